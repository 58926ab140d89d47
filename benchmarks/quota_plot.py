"""Draws a run of the limiter against a limit that doubles and halves, for docs/quota.md; on virtual time.

python -m benchmarks.quota_plot docs/images/quota-run.svg
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Final

from tests.simulation import Run, TokenBucketServer, constant, lognormal, simulate

__all__ = ["main", "quota_run"]

_UP, _DOWN = 20.0, 50.0
_BIN: Final = 0.5  # seconds


def quota_run() -> Run:
    """2,000 questions, 50 workers, 20 calls a second that become 40 and then 20 again; nothing configured."""
    server = TokenBucketServer(_granted, burst=20)
    return simulate(server, questions=2000, workers=50, latency=lognormal(0.2, 0.2), refusal_latency=constant(0.02))


def _granted(now: float) -> float:
    return 40.0 if _UP <= now < _DOWN else 20.0


def main(path: Path) -> None:
    from utils.export_charts import load_pygal

    pygal = load_pygal()
    run = quota_run()
    started = Counter(int(at / _BIN) for at in run.sent)
    last = int(run.sent[-1] / _BIN)
    chart = pygal.XY(
        width=900, height=420, show_dots=False, stroke_style={"width": 2}, legend_at_bottom=True, js=[],
        title="Calls started per second; the limit is 20, from 20 s to 50 s it is 40", x_title="seconds",
        disable_xml_declaration=True, y_title="calls per second", range=(0, 60),
    )  # fmt: skip
    chart.add("calls started", [(each * _BIN, started[each] / _BIN) for each in range(last + 1)])
    limit = [(0, 20), (_UP, 20), (_UP, 40), (_DOWN, 40), (_DOWN, 20), (run.seconds, 20)]
    chart.add("the true limit", limit)
    paces = [(at, min(pace, 60.0)) for at, pace, _ in run.paces[::4]]
    chart.add("the limiter's pace", paces)
    chart.add("a refused call", [(at, _granted(at)) for at in run.refused], stroke=False, show_dots=True, dots_size=3)
    path.write_text(chart.render(is_unicode=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

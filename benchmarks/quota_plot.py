"""Draws a run of the limiter against a limit that doubles and halves, for docs/quota.md; on virtual time.

python -m benchmarks.quota_plot [FILE]
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import ROOT
from tests.simulation import Run, TokenBucketServer, constant, lognormal, simulate
from utils.export_charts import load_pygal

__all__ = ["draw", "main", "quota_run"]

_UP: Final = 20.0
_DOWN: Final = 50.0
_BIN: Final = 0.5  # seconds
_HIGHEST: Final = 60.0
_FILE: Final = ROOT / "docs" / "images" / "quota-run.svg"
_TITLE: Final = "Calls started per second; the limit is 20, from 20 s to 50 s it is 40"
_SVG: Final = "http://www.w3.org/2000/svg"


def quota_run(questions: int = 2000) -> Run:
    """50 workers, 20 calls a second that become 40 and then 20 again; nothing configured."""
    server = TokenBucketServer(_granted, burst=20)
    latency, refusal = lognormal(0.2, 0.2), constant(0.02)
    return simulate(server, questions=questions, workers=50, latency=latency, refusal_latency=refusal)


def _granted(now: float) -> float:
    return 40.0 if _UP <= now < _DOWN else 20.0


def draw(run: Run) -> str:
    """The run as SVG. Equal runs give equal drawings."""
    started = Counter(int(at / _BIN) for at in run.sent)
    end = run.sent[-1]
    chart = _chart()
    chart.add("calls started", [(each * _BIN, started[each] / _BIN) for each in range(int(end / _BIN) + 1)])
    steps = [at for at in (_UP, _DOWN) if at < end]
    limit = [point for at in steps for point in ((at, _granted(at - _BIN)), (at, _granted(at)))]
    chart.add("the true limit", [(0.0, _granted(0.0)), *limit, (end, _granted(end))])
    chart.add("the limiter's pace", [(at, min(pace, _HIGHEST)) for at, pace, _ in run.paces[::4]])
    chart.add("a refused call", [(at, _granted(at)) for at in run.refused], stroke=False, show_dots=True, dots_size=3)
    return _still(chart.render())


def _chart() -> Any:
    pygal = load_pygal()
    from pygal.style import Style  # type: ignore[import-untyped]  # it ships no types

    style = Style(colors=("#9aa5b1", "#1b4f9c", "#d9730d", "#c1121f"), background="white", plot_background="white")
    chart = pygal.XY(
        width=900, height=420, show_dots=False, stroke_style={"width": 2}, legend_at_bottom=True, js=[], style=style,
        title=_TITLE, x_title="seconds", y_title="calls per second", range=(0, _HIGHEST), disable_xml_declaration=True,
    )  # fmt: skip
    chart.uuid = "quota-run"  # a random one would make every drawing another file
    return chart


def _still(svg: bytes | str) -> str:
    """Without what only scripts would use, and without the date."""
    ET.register_namespace("", _SVG)
    root = ET.fromstring(svg)  # comments are left out as it is read
    for element in list(root.iter()):
        for child in [child for child in element if _for_scripts(child)]:
            element.remove(child)
    root.attrib.update({"role": "img", "aria-label": _TITLE})
    return ET.tostring(root, encoding="unicode") + "\n"


def _for_scripts(element: ET.Element) -> bool:
    return element.tag.endswith(("}script", "}desc", "}title")) or "tooltip" in element.get("class", "").split()


def main(arguments: list[str]) -> None:
    path = Path(arguments[0]) if arguments else _FILE
    path.write_text(draw(quota_run()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

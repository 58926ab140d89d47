"""Where the time of the tasks went, and how many calls their answers took."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any, Final

from core.language import marked, tr, tr_n
from core.limits import LimiterStatistics
from core.outcome import Outcome
from utils.durations import Durations
from utils.limiter_text import rate_text, refused_text
from utils.spark_plot import spark_plot
from utils.text_width import cell_width, pad

__all__ = ["CallBreakdown"]

_EXACT: Final = 1000
_HEADS: Final = (marked("總計"), marked("平均"), "p50", "p95", "p99")
_PERCENTS: Final = (50, 95, 99)
_INDENT: Final = "  "
_PLOT_ROWS: Final = 3
_PLOT_COLUMNS: Final = 60


def _durations() -> Durations:
    return Durations(exact=_EXACT)


@dataclass(slots=True)
class _Sums:
    tasks: int = 0
    called: int = 0
    attempts: int = 0
    answered: int = 0
    queue: Durations = field(default_factory=_durations)
    limiter: Durations = field(default_factory=_durations)
    service: Durations = field(default_factory=_durations)
    other: Durations = field(default_factory=_durations)

    def copy(self) -> _Sums:
        queue, limiter, service, other = (each.copy() for each in (self.queue, self.limiter, self.service, self.other))
        return replace(self, queue=queue, limiter=limiter, service=service, other=other)


class CallBreakdown:
    """Adds up where the tasks' time went: queue, limiter, service, and what is left of the run (other).

    Counted are the tasks that a worker took, however they ended. Other is back-off, waiting for another task's call
    of the same question, and our own work; never negative. The limiter's and the service's figures are of the tasks
    that got as far as either: answers from the cache would make the service look fast. Attempts are those of all
    tasks, failed ones too, and are set against the answers that took at least one.

    Memory is bounded whatever is added; quantiles are exact up to 1000 tasks and within 1 % beyond (see Durations).
    Thread-safe; a reader sees each task whole or not at all.
    """

    def __init__(self) -> None:
        # Guards _sums; held by add() and by text() for its copy, and by nobody while anything else is called.
        self._lock = threading.Lock()
        self._sums = _Sums()

    def add(self, outcome: Outcome[Any]) -> None:
        """Take a finished task in."""
        if outcome.started_at is None:
            return
        figures = outcome.figures
        other = outcome.run_seconds - figures.limiter_seconds - figures.service_seconds
        called = bool(figures.attempts or figures.limiter_seconds or figures.service_seconds)
        with self._lock:
            sums = self._sums
            sums.tasks += 1
            sums.queue.add(outcome.queue_seconds)
            sums.other.add(max(other, 0.0))
            sums.attempts += figures.attempts
            if called:
                sums.called += 1
                sums.limiter.add(figures.limiter_seconds)
                sums.service.add(figures.service_seconds)
                sums.answered += outcome.answered and figures.attempts > 0

    def text(
        self, statistics: LimiterStatistics | None, now: float, *, width: int = 80, ascii_only: bool = False
    ) -> str:
        """The block for the performance report: the tasks' time, then what the limiter saw in its whole life.

        now is an instant of the limiter's clock; ascii_only as in spark_plot.
        """
        with self._lock:
            sums = self._sums.copy()
        lines = _time_lines(sums)
        if statistics is not None and statistics.calls:
            lines += _limiter_lines(statistics, now, min(width, _PLOT_COLUMNS), ascii_only=ascii_only)
        return "\n".join(lines)


def _time_lines(sums: _Sums) -> list[str]:
    if not sums.tasks:
        return [tr("⏱️ 時間花在哪裡: 尚無資料")]
    per_answer = f"{sums.attempts / sums.answered:.2f}" if sums.answered else "—"
    return [
        tr_n("⏱️ 時間花在哪裡 (秒; {count:,} 個任務, 其中 {called:,} 個呼叫模型):", sums.tasks, called=sums.called),
        *_table(sums),
        tr(
            "  每個回答的嘗試次數: {ratio} (嘗試 {attempts:,} 次, 模型回答 {answered:,} 個)",
            ratio=per_answer, attempts=sums.attempts, answered=sums.answered,
        ),
    ]  # fmt: skip


def _table(sums: _Sums) -> list[str]:
    rows = [
        ("", tuple(map(tr, _HEADS))),
        (tr("排隊"), _cells(sums.queue)),
        (tr("限流等待"), _cells(sums.limiter)),
        (tr("服務時間"), _cells(sums.service)),
        (tr("其他"), _cells(sums.other)),
    ]
    label_columns = max(cell_width(label) for label, _ in rows)
    columns = [max(map(cell_width, column)) for column in zip(*(cells for _, cells in rows), strict=True)]
    return [
        _INDENT + pad(label, label_columns) + "".join(
            "  " + " " * (most - cell_width(cell)) + cell for cell, most in zip(cells, columns, strict=True)
        )
        for label, cells in rows
    ]  # fmt: skip


def _cells(durations: Durations) -> tuple[str, ...]:
    if not durations.count:
        return ("—",) * len(_HEADS)
    quantiles = [durations.percentile(percent) for percent in _PERCENTS]
    return tuple(f"{each:,.3f}" for each in (durations.total, durations.total / durations.count, *quantiles))


def _limiter_lines(statistics: LimiterStatistics, now: float, width: int, *, ascii_only: bool) -> list[str]:
    lines = [
        tr("  被拒絕的呼叫: {refused}", refused=refused_text(statistics)),
        tr("  每分鐘可呼叫: {rate}", rate=rate_text(statistics) or tr("還沒有遇到上限")),
    ]
    plot = spark_plot(statistics.history, now=now, width=width - len(_INDENT), height=_PLOT_ROWS, ascii_only=ascii_only)
    if plot:
        lines += [tr("  每分鐘可呼叫的次數, 隨時間:"), *(_INDENT + row for row in plot)]
    return lines

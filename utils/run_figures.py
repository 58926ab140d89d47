"""The figures of a finished run to look at: its timeline, what it gained, how long its answers took. Pure."""

from __future__ import annotations

from typing import Final

from core.language import marked, tr
from core.outcome import Answer, RunReport
from utils.histogram import histogram_lines
from utils.run_items import head_of, items_of
from utils.timeline import comparison_lines, timeline_lines

__all__ = ["run_figures_text"]

_NONE: Final = marked("📊 時間軸: 尚無資料")


def run_figures_text(report: RunReport[Answer], *, width: int = 80, ascii_only: bool = False) -> str:
    """Paragraphs for the performance report, in lines of at most width cells (20 or more), without a final line end.

    The service's time is that of the tasks that called a model, all attempts together; a task's time is that of
    those a worker took, without their queueing; both however they ended. ascii_only: for outputs that are not
    Unicode, as in spark_plot.
    """
    items = list(items_of([outcome.name for outcome in report.outcomes], report))
    if not items:
        return tr(_NONE)
    head = head_of(report)
    service = [item.service_seconds for item in items if item.attempts]
    whole = [item.run_seconds for item in items if item.started is not None]
    paragraphs = [
        timeline_lines(items, head, width=width, ascii_only=ascii_only) or [tr(_NONE)],
        comparison_lines(head, width=width, ascii_only=ascii_only),
        histogram_lines(tr("📶 服務時間"), service, width=width, ascii_only=ascii_only),
        histogram_lines(tr("⏱️ 任務時間, 不含排隊"), whole, width=width, ascii_only=ascii_only),
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines)

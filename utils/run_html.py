"""A run of questions as one HTML page that needs nothing else: figures, timeline, and every answer in a frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

from core.errors import UsageError
from core.language import tr
from core.outcome import OutcomeKind
from utils.html_page import page_parts
from utils.neutralise import neutralise
from utils.run_items import RunHead, RunItem
from utils.run_tables import head_figures, item_facts
from utils.text_width import one_line
from utils.timeline_svg import timeline_svg

__all__ = ["require_jinja", "write_run_html"]


def require_jinja() -> None:
    """UsageError where what fills the page is not installed."""
    try:
        import jinja2  # noqa: F401  # whether it is there, is the question
    except ImportError:
        pass
    else:
        return
    raise UsageError(tr("HTML 報告需要套件 jinja2: 請執行 pip install jinja2, 或改存成 md、json、jsonl 或 csv"))


def write_run_html(file: TextIO, head: RunHead, items: Iterable[RunItem]) -> int:
    """The page, escaped throughout; it loads nothing and runs no script. Returns how many items there were."""
    listed = list(items)
    parts = page_parts(
        "run.html",
        title=one_line(head.title),
        figures=head_figures(head),
        timeline=timeline_svg(listed, head),
        items=_shown(listed),
    )
    file.writelines(parts)
    return len(listed)


def _shown(items: Sequence[RunItem]) -> Iterator[dict[str, object]]:
    for item in items:
        answered = item.kind is OutcomeKind.ANSWERED
        yield {
            "number": f"{item.number:,}",
            "question": neutralise(item.question),
            "answered": answered,
            "text": neutralise(item.answer if answered else item.reason or tr("原因不明")),
            "facts": item_facts(item),
        }

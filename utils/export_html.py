"""Results as one HTML page that needs nothing else: figures, charts, and the first rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TextIO

from core.errors import UsageError
from core.language import tr
from core.outcome import OutcomeKind
from utils.event_lines import KIND_TITLES
from utils.export_charts import ChartData, draw_charts, load_pygal
from utils.export_rows import ExportHead, ExportRow, figures, shortened, value_text
from utils.html_page import page_parts
from utils.text_width import one_line

__all__ = ["MOST_ROWS", "require_libraries", "write_html"]

MOST_ROWS: Final = 1000
_SHOWN_CHARACTERS: Final = 300


def require_libraries() -> None:
    """UsageError where what draws and fills the page is not installed."""
    try:
        import jinja2  # noqa: F401  # whether it is there, is the question

        load_pygal()
    except ImportError as error:
        missing = error.name or "pygal"
    else:
        return
    raise UsageError(
        tr("HTML 報告需要套件 {name}: 請執行 pip install pygal jinja2, 或改存成 csv、jsonl 或 md", name=missing)
    )


def write_html(file: TextIO, head: ExportHead, rows: Iterable[ExportRow]) -> int:
    """The page, escaped throughout; it loads nothing and runs no script. All rows count, the first are listed."""
    data, shown, count = ChartData(head.fields), [], 0
    for count, row in enumerate(rows, 1):
        data.add(row)
        if count <= MOST_ROWS:
            shown.append(_cells(head, row))
    parts = page_parts(
        "report.html",
        title=one_line(head.title),
        figures=figures(head),
        charts=draw_charts(data),
        columns=[tr("編號"), tr("文字"), tr("結果"), *(one_line(each.title) for each in head.fields), tr("原因")],
        rows=shown,
        count=count,
        left=count - len(shown),
    )
    file.writelines(parts)
    return count


def _cells(head: ExportHead, row: ExportRow) -> tuple[bool, list[str]]:
    """Whether the row has a result, and its cells."""
    values = (value_text(row.values.get(each.name)) for each in head.fields)
    texts = [f"{row.number:,}", row.text, tr(KIND_TITLES[row.kind]), *values, row.reason]
    return row.kind is OutcomeKind.ANSWERED, [shortened(text, _SHOWN_CHARACTERS) for text in texts]

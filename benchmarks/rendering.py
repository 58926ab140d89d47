"""Results as plain text: one table per question, and the promises with their marks at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.figures import Bar, Result, Row, Spread, Table

__all__ = ["bars_text", "result_text"]


def result_text(result: Result) -> str:
    return "\n\n".join(_table_text(table) for table in result.tables)


def bars_text(bars: Iterable[Bar]) -> str:
    """The table "Must hold": promise, bar, figure, and whether the bar was met."""
    lines = [["must hold", "bar", "median", "", ""]]
    lines += [[bar.promise, _limit(bar), _figure(bar), bar.unit, _mark(bar)] for bar in bars]
    return _aligned(lines)


def _table_text(table: Table) -> str:
    lines = [["", *(heading for heading, _ in table.columns)]]
    lines += [_cells(row, [form for _, form in table.columns]) for row in table.rows]
    body = [f"== {table.title}", _aligned(lines)]
    body += [f"   {note}" for note in table.notes]
    return "\n".join(body)


def _cells(row: Row, forms: Sequence[str]) -> list[str]:
    if row.note:
        return [row.label, row.note]
    return [row.label, *(_spread(figure, form) for figure, form in zip(row.figures, forms, strict=True))]


def _spread(figure: Spread, form: str) -> str:
    middle = format(figure.median, form)
    if figure.low == figure.high:
        return middle
    return f"{middle} ({format(figure.low, form)}-{format(figure.high, form)})"


def _limit(bar: Bar) -> str:
    return f"{'=' if bar.exact else '<='} {bar.limit:g}"


def _figure(bar: Bar) -> str:
    return "-" if bar.figure is None else f"{bar.figure:.4g}"


def _mark(bar: Bar) -> str:
    return "not measured" if bar.figure is None else "met" if bar.met else "MISSED"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    columns = max(len(line) for line in lines)
    full = [line for line in lines if len(line) == columns]  # a note spans the columns and widens none
    widths = [max(len(line[index]) for line in full) for index in range(columns)]
    widths[0] = max(len(line[0]) for line in lines)
    texts = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)) for line in lines)
    return "\n".join(f"   {text}".rstrip() for text in texts)

"""A Markdown table → lines: in columns where they fit, else one line for every cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from utils.answer_lines import Line
from utils.markdown_inline import Span, span_cells, wrapped

if TYPE_CHECKING:
    from markdown_it.token import Token

__all__ = ["Table", "table_lines"]

_HEAD_STYLE: Final = "bold"
_MARK_STYLE: Final = "dim"
_MARKS: Final = str.maketrans("", "", " \t|\\-:>")  # of the table itself, and of what it may stand in
_LONGEST_RULE: Final = 40


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, the heads first; every row has as many. sources are the cells' texts as they were written."""

    rows: Sequence[Sequence[Sequence[Span]]]
    sides: Sequence[str]
    sources: Sequence[str]

    @classmethod
    def of(cls, tokens: Sequence[Token], spans: Callable[[str, str], Sequence[Span]]) -> Self:
        """From the tokens between table_open and table_close; spans(content, base style) reads one cell."""
        rows: list[list[Sequence[Span]]] = []
        sides: list[str] = []
        sources: list[str] = []
        base = ""
        for token in tokens:
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "th_open":
                sides.append(str(token.attrs.get("style") or "").rpartition(":")[2])
            elif token.type == "inline":
                base = _HEAD_STYLE if len(rows) == 1 else ""
                rows[-1].append(spans(token.content, base))
                sources.append(token.content)
        return cls(rows, sides, sources)

    def holds_all_of(self, source: Sequence[str]) -> bool:
        """Whether no cell of the source was left out: what a row has beyond the head's columns is."""
        told = sum(len(each.translate(_MARKS)) for each in self.sources)
        return told >= sum(len(line.translate(_MARKS)) for line in source)


def table_lines(table: Table, columns: int, *, ascii_only: bool) -> Iterator[Line]:
    """The table in lines of at most that many columns."""
    widths = [max(span_cells(row[place]) for row in table.rows) for place in range(len(table.sides))]
    gap, line = (" | ", "-") if ascii_only else (" │ ", "─")
    if sum(widths) + len(gap) * (len(widths) - 1) > columns:
        yield from _records(table, columns, line)
        return
    for number, row in enumerate(table.rows):
        yield _aligned(row, widths, table.sides, gap)
        if number == 0:
            yield ((line * (sum(widths) + len(gap) * (len(widths) - 1)), _MARK_STYLE),)


def _aligned(row: Sequence[Sequence[Span]], widths: Sequence[int], sides: Sequence[str], gap: str) -> Line:
    pieces: list[Span] = []
    for place, spans in enumerate(row):
        free = widths[place] - span_cells(spans)
        before = {"right": free, "center": free // 2}.get(sides[place], 0)
        after = free - before if place < len(row) - 1 else 0
        pieces += [(gap, _MARK_STYLE)] if place else []
        pieces += [(" " * before, ""), *spans, (" " * after, "")]
    return tuple(piece for piece in pieces if piece[0])


def _records(table: Table, columns: int, rule: str) -> Iterator[Line]:
    """Each cell on a line of its own after its head; a rule between rows."""
    head, *body = table.rows
    if not body:
        yield from (line for spans in head for line in wrapped(spans, columns))
    for number, row in enumerate(body):
        if number:
            yield ((rule * min(columns, _LONGEST_RULE), _MARK_STYLE),)
        for name, spans in zip(head, row, strict=True):
            yield from wrapped([*name, (": ", _HEAD_STYLE), *spans], columns)

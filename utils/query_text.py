"""Text as a person pasted it → the questions in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from utils.list_marks import MarkedItem, find_list

__all__ = ["QueryText", "Shape", "count_twins", "read_queries", "without_twins"]

_LINE_END = re.compile("\r\n|\n|\r")
_QUESTION_END = ("?", "？")


class Shape(Enum):
    """What one question is: a line, a numbered item with the lines below it, or a paragraph between blank lines."""

    LINES = "lines"
    ITEMS = "items"
    PARAGRAPHS = "paragraphs"


@dataclass(frozen=True, slots=True)
class QueryText:
    """The questions of a text, in order, each trimmed and not blank, and how they were told apart.

    numbered: the text is a list with marks ("1.", "-", "Q:"); stripped: they are not in the questions. blank counts
    the blank lines before the last line end. twins counts the questions that equal an earlier one, white space
    folded. shapes are the readings that give different questions, shape among them.
    """

    queries: tuple[str, ...] = ()
    shape: Shape = Shape.LINES
    numbered: bool = False
    stripped: bool = False
    blank: int = 0
    twins: int = 0
    shapes: tuple[Shape, ...] = (Shape.LINES,)


def read_queries(text: str, *, shape: Shape | None = None, keep_marks: bool = False) -> QueryText:
    """The questions in the text.

    Marks are recognised where all or nearly all items have them (see find_list); they are taken off unless
    keep_marks. shape None: a numbered list whose items have further lines is read by ITEMS; text without marks by
    PARAGRAPHS where most of its blocks have several lines that are no questions of their own (most do not end with a
    question mark); everything else by LINES. No other character is lost, but for white space around a question.
    """
    lines = _LINE_END.split(text)
    if lines[-1] == "":
        lines.pop()
    items = find_list(lines)
    blocks = _blocks(lines)
    shapes = _shapes(items, blocks)
    chosen = shape if shape in shapes else _likely(items, blocks)
    if items is None:
        pieces = blocks if chosen is Shape.PARAGRAPHS else [[line] for block in blocks for line in block]
        queries = [_joined(piece) for piece in pieces]
    else:
        queries = _marked_queries(items, lines, chosen, keep_marks)
    found = tuple(query for query in queries if query)
    return QueryText(
        found,
        chosen,
        numbered=items is not None,
        stripped=items is not None and not keep_marks,
        blank=sum(not line.strip() for line in lines),
        twins=count_twins(found),
        shapes=shapes,
    )


def count_twins(queries: Sequence[str]) -> int:
    """How many questions equal an earlier one, white space folded."""
    return len(queries) - len({_folded(query) for query in queries})


def without_twins(queries: Sequence[str]) -> tuple[str, ...]:
    """The first of each, in order."""
    first: dict[str, str] = {}
    for query in queries:
        first.setdefault(_folded(query), query)
    return tuple(first.values())


def _folded(query: str) -> str:
    return " ".join(query.split())


def _joined(lines: Sequence[str]) -> str:
    return "\n".join(lines).strip()


def _blocks(lines: Sequence[str]) -> list[list[str]]:
    """Runs of lines that are not blank."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return blocks if blocks[-1] else blocks[:-1]


def _shapes(items: Sequence[MarkedItem] | None, blocks: Sequence[Sequence[str]]) -> tuple[Shape, ...]:
    several = any(len(block) > 1 for block in blocks)
    deep = items is not None and any(item.has_more for item in items)
    return (
        Shape.LINES,
        *([Shape.ITEMS] if deep else []),
        *([Shape.PARAGRAPHS] if several else []),
    )


def _likely(items: Sequence[MarkedItem] | None, blocks: Sequence[Sequence[str]]) -> Shape:
    if items is not None:
        return Shape.ITEMS if any(item.has_more for item in items) else Shape.LINES
    long = [block for block in blocks if len(block) > 1]
    if len(blocks) < 2 or len(long) * 2 <= len(blocks):
        return Shape.LINES
    inner = [line for block in long for line in block[:-1]]
    asking = sum(line.rstrip().endswith(_QUESTION_END) for line in inner)
    return Shape.LINES if asking * 2 > len(inner) else Shape.PARAGRAPHS


def _marked_queries(items: Sequence[MarkedItem], lines: Sequence[str], shape: Shape, keep_marks: bool) -> list[str]:
    """The questions of a list: its items, or its lines or paragraphs without the marks that they begin with."""
    if shape is Shape.ITEMS:
        return [_joined([item.first(keep_marks), *item.rest]) for item in items]
    bare = list(lines)
    for item in items:
        bare[item.at] = item.first(keep_marks)
    if shape is Shape.LINES:
        return [line.strip() for line in bare]
    # Blocks are told by the lines as they were: a mark with nothing behind it is no blank line.
    starts = [at for at, (above, line) in enumerate(pairwise(["", *lines])) if line.strip() and not above.strip()]
    return [_joined(bare[start:end]) for start, end in pairwise([*starts, len(lines)])]

"""Text that is not ours as lines of a screen, laid out only as far as somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol, TypeAlias

from utils.neutralise import neutralise
from utils.text_width import cell_width, graphemes

__all__ = ["LazyLines", "Line", "Lines", "RawLines", "plain", "units"]

Line: TypeAlias = tuple[tuple[str, str], ...]  # pieces of (text, style); the style is one of rich's, "" for none
_STRIDE: Final = 64
_TAB: Final = 8
_MOST_CODE_POINTS: Final = 2048  # of one line, however few columns a heap of combining marks takes


class Lines(Protocol):
    """Lines by number, from 0. None has a line end or a frame. Not thread-safe."""

    @property
    def total(self) -> int | None:
        """How many there are; None until the end has been laid out."""

    def take(self, start: int, count: int) -> list[Line]:
        """At most count lines from start on: fewer at the end, none beyond it."""


class LazyLines:
    """Lines that an iterator gives, kept once given."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._rest = lines
        self._kept: list[Line] = []
        self._ended = False

    @property
    def total(self) -> int | None:
        return len(self._kept) if self._ended else None

    def take(self, start: int, count: int) -> list[Line]:
        missing = start + count + 1 - len(self._kept)  # one more than asked for, to know whether it is the last
        if missing > 0 and not self._ended:
            before = len(self._kept)
            self._kept.extend(islice(self._rest, missing))
            self._ended = len(self._kept) - before < missing
        return self._kept[start : start + count]


class RawLines:
    """The text as it is, neutralised and wrapped at columns between characters; no character lost.

    Of a text of any size only the lines asked for are made, and none kept: one offset is remembered for every 64
    lines passed. safe is applied to single characters of the text; columns must have room for what it makes of one.
    """

    def __init__(self, text: str, columns: int, *, safe: Callable[[str], str] = neutralise) -> None:
        self._text = text
        self._columns = columns
        self._safe = safe
        self._marks = [0]  # where line 0, 64, 128 … begins in the text
        self._line_end = -1  # of the text's line looked at last
        self._total: int | None = None

    @property
    def total(self) -> int | None:
        return self._total

    def take(self, start: int, count: int) -> list[Line]:
        return [((line, ""),) if line else () for line in islice(self._lines_from(start), count)]

    def _lines_from(self, start: int) -> Iterator[str]:
        mark = min(start // _STRIDE, len(self._marks) - 1)
        number, offset = mark * _STRIDE, self._marks[mark]
        self._line_end = -1
        while offset <= len(self._text):
            if number == len(self._marks) * _STRIDE:
                self._marks.append(offset)
            line, offset = self._line_at(offset)
            number += 1
            if offset > len(self._text):
                self._total = number
            if number > start:
                yield line

    def _line_at(self, offset: int) -> tuple[str, int]:
        """The screen line that begins at offset, and where the next one begins: beyond the text after the last."""
        end = self._end_of_line(offset)
        visible = end - 1 if end < len(self._text) and end > offset and self._text[end - 1] == "\r" else end
        if self._text.isascii() and "\t" not in (short := self._text[offset : min(visible, offset + self._columns)]):
            shown = self._safe(short)
            if shown == short:
                offset += len(short)
                return short.rstrip(), offset if offset < visible else end + 1
        return self._wrapped(offset, visible, end)

    def _wrapped(self, offset: int, visible: int, end: int) -> tuple[str, int]:
        pieces: list[str] = []
        used = points = 0
        for source, shown, cells in units(self._text, offset, visible, self._safe):
            if source == "\t":
                cells = min(_TAB - used % _TAB, max(self._columns - used, 1))
                shown = " " * cells
            if pieces and (used + cells > self._columns or points > _MOST_CODE_POINTS):
                return "".join(pieces).rstrip(), offset
            pieces.append(shown)
            used += cells
            points += len(source)
            offset += len(source)
        return "".join(pieces).rstrip(), end + 1

    def _end_of_line(self, offset: int) -> int:
        if self._line_end < offset:
            found = self._text.find("\n", offset)
            self._line_end = len(self._text) if found < 0 else found
        return self._line_end


def units(text: str, start: int, end: int, safe: Callable[[str], str]) -> Iterator[tuple[str, str, int]]:
    """The characters of text[start:end]: each as it is, made safe, and the columns that takes.

    What is safe as it is stays whole; else every code point stands for itself, so that none outgrows a line.
    """
    for piece, cells in graphemes(text, start, end):
        if safe(piece) == piece:
            yield piece, piece, cells
            continue
        for character in piece:
            shown = safe(character)
            yield character, shown, cell_width(shown)


def plain(line: Line) -> str:
    """The line's text without its styles."""
    return "".join(text for text, _ in line)

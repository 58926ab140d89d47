"""Text measured in terminal cells and cut between characters as a person sees them."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final

from wcwidth import iter_graphemes, width

from utils.neutralise import neutralise

__all__ = ["cell_width", "fit", "fit_end", "graphemes", "one_line", "pad", "preview", "rows_of", "wrap_line"]

_FRAME: Final = re.compile(r" *[│|] ")  # also as it is where the encoding has no box drawing
_INDENT: Final = "    "
_WORD: Final = 20  # columns; what is longer without a blank is broken where the row ends
_CLOSING: Final = frozenset({"Pe", "Pf", "Po"})  # categories of Unicode: 」 ” 。 , and the like
_OPENING: Final = frozenset({"Pi", "Ps"})  # 「 “ (
_LONGEST_GRAPHEME: Final = 64  # beyond it, a heap of combining marks is no character that anyone reads
_WINDOW: Final = 512
_WIDEST: Final = 8  # columns of one character; what claims more comes as its code points


def cell_width(text: str) -> int:
    """Columns the text takes; text that cannot be measured counts its characters."""
    cells: int = width(text)
    return cells if cells >= 0 else len(text)


def one_line(text: str) -> str:
    """The text neutralised, with every run of white space made one space."""
    return neutralise(" ".join(text.split()), keep_newlines=False)


def preview(text: str, most: int) -> str:
    """The text if it has at most that many characters, else its beginning and … ; never half a character.

    A character is what a person sees as one: an emoji joined of several code points is whole or absent.
    """
    beginning = _beginning(text[: most + _LONGEST_GRAPHEME], most, len)
    return text if len(beginning) == len(text) else beginning.rstrip() + "…"


def fit(text: str, columns: int) -> str:
    """The text on one line in at most that many columns, ending in … where it was cut."""
    text = one_line(text)
    if cell_width(text) <= columns:
        return text
    return _beginning(text, columns - 1, cell_width) + "…"


def fit_end(text: str, columns: int) -> str:
    """As fit(), but it is the end of the text that stays."""
    text = one_line(text)
    if cell_width(text) <= columns:
        return text
    pieces = list(iter_graphemes(text))
    start, used = len(pieces), 1
    while start and used + cell_width(pieces[start - 1]) <= columns:
        start -= 1
        used += cell_width(pieces[start])
    return "…" + "".join(pieces[start:])


def wrap_line(line: str, columns: int) -> list[str]:
    """The line in pieces of at most that many columns, no character lost.

    A piece ends after a blank or between Chinese characters, unless that would leave more than 20 columns of it empty,
    and none begins with a closing mark nor ends with an opening one. Every piece after the first begins with the line's
    own frame (│), or else is indented: left to the terminal, a long line would go on at the edge of the screen, where
    untrusted text could pass for a line of ours.
    """
    line = line.expandtabs(8)
    if cell_width(line) <= columns:
        return [line]
    frame = _FRAME.match(line)
    head = frame[0] if frame and len(frame[0]) <= columns // 2 else _INDENT
    start = len(head) if line.startswith(head) else 0
    room = columns - (cell_width(head) if start else 0)
    pieces, piece = [], _Piece()
    for grapheme, cells in graphemes(line, start):
        if piece.used + cells > room and piece.graphemes:
            joint = piece.joint_before(grapheme, cells)
            pieces.append(piece.text(joint))
            piece, room = piece.rest(joint), columns - cell_width(head)
        piece.add(grapheme, cells)
    pieces.append(piece.text())
    return [line[:start] + pieces[0], *(head + text for text in pieces[1:])]


class _Piece:
    """What of a line stands on one row, and the last place in it where the line may be broken.

    What rest() takes over has no such place in it, so each character is taken over at most once.
    """

    __slots__ = ("_blank", "_joint", "_joint_used", "graphemes", "used")

    def __init__(self) -> None:
        self.graphemes: list[tuple[str, int]] = []
        self.used = 0
        self._joint = self._joint_used = 0
        self._blank = True  # a row of blanks alone says nothing: no place to break

    def add(self, grapheme: str, cells: int) -> None:
        if not self._blank and _may_break(*self.graphemes[-1], grapheme, cells):
            self._joint, self._joint_used = len(self.graphemes), self.used
        self.graphemes.append((grapheme, cells))
        self.used += cells
        self._blank = self._blank and grapheme.isspace()

    def joint_before(self, grapheme: str, cells: int) -> int:
        """How many of its characters to leave on the row where this one has no room on it any more."""
        here = len(self.graphemes)
        if not self._joint or self.used - self._joint_used > _WORD:
            return here
        return here if _may_break(*self.graphemes[-1], grapheme, cells) else self._joint

    def text(self, end: int | None = None) -> str:
        return "".join(grapheme for grapheme, _ in self.graphemes[:end])

    def rest(self, start: int) -> _Piece:
        rest = _Piece()
        for grapheme, cells in self.graphemes[start:]:
            rest.add(grapheme, cells)
        return rest


def _may_break(left: str, left_cells: int, right: str, right_cells: int) -> bool:
    """Whether a line may end between the two. A blank stays with the word before it."""
    if left == " ":
        return True
    if unicodedata.category(left[-1]) in _OPENING or unicodedata.category(right[0]) in _CLOSING:
        return False
    return left_cells > 1 or right_cells > 1


def rows_of(line: str, columns: int) -> list[str]:
    """The line in the pieces that a terminal of that many columns makes of it where it is not wrapped for it."""
    rows, used = [""], 0
    for grapheme, cells in graphemes(line.expandtabs(8)):
        if used + cells > columns and rows[-1]:
            rows.append("")
            used = 0
        rows[-1] += grapheme
        used += cells
    return rows


def pad(text: str, columns: int) -> str:
    """The text followed by spaces up to that many columns."""
    return text + " " * max(columns - cell_width(text), 0)


def graphemes(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[str, int]]:
    """The characters of text[start:end] as a person sees them, each with its columns. Lazy: reads only as it goes.

    A character of more than 512 code points or 8 columns, which no one would read as one, comes in parts.
    """
    end = len(text) if end is None else end
    while start < end:
        window = text[start : min(start + _WINDOW, end)]
        pieces = list(window) if window.isascii() else list(iter_graphemes(window))
        if start + len(window) < end and len(pieces) > 1:
            pieces.pop()  # its rest may lie beyond the window
        for piece in pieces:
            start += len(piece)
            if _cells(piece) <= _WIDEST:
                yield piece, _cells(piece)
            else:
                yield from ((character, _cells(character)) for character in piece)


@functools.lru_cache(maxsize=4096)
def _cells(grapheme: str) -> int:
    return cell_width(grapheme)


def _beginning(text: str, most: int, measure: Callable[[str], int]) -> str:
    """As many whole characters from the beginning as measure to at most that much."""
    kept, used = [], 0
    for grapheme in iter_graphemes(text):
        used += measure(grapheme)
        if used > most:
            break
        kept.append(grapheme)
    return "".join(kept)

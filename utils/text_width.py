"""Text measured in terminal cells and cut between characters as a person sees them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Final

from wcwidth import iter_graphemes, width

from utils.neutralise import neutralise

__all__ = ["cell_width", "fit", "fit_end", "graphemes", "one_line", "pad", "preview", "wrap_line"]

_FRAME: Final = re.compile(r" *[│|] ")  # also as it is where the encoding has no box drawing
_INDENT: Final = "    "
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

    Every piece after the first begins with the line's own frame (│), or else is indented: left to the terminal, a
    long line would go on at the edge of the screen, where untrusted text could pass for a line of ours.
    """
    line = line.expandtabs(8)
    if cell_width(line) <= columns:
        return [line]
    frame = _FRAME.match(line)
    head = frame[0] if frame else _INDENT
    pieces, piece, used = [], "", 0
    for grapheme, cells in graphemes(line):
        if used + cells > columns and piece.strip() != head.strip():
            pieces.append(piece)
            piece, used = head, cell_width(head)
        piece += grapheme
        used += cells
    return [*pieces, piece]


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

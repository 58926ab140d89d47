"""What a person hands in, told apart by how it came: typed, pasted, or read from a pipe."""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from utils.text_decoding import DecodedLine, LineDecoder, replaced_note

__all__ = ["Entry", "EntryReader", "Pasted", "PipeReader", "QuerySet", "Typed", "collect_queries", "entry_of"]

_LINE_END: Final = re.compile("\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Typed:
    """One line that the person ended with Enter. last is True where the key was Ctrl-D instead.

    pasted: it begins with what was pasted, as far as the terminal's editor can tell.
    """

    text: str
    last: bool = False
    pasted: bool = False

    @property
    def choice(self) -> str:
        """The text as a menu choice: trimmed, full-width digits and letters made plain."""
        return unicodedata.normalize("NFKC", self.text).strip()


@dataclass(frozen=True, slots=True)
class Pasted:
    """Several lines that came in one paste: questions perhaps, never commands. Blank lines are among them."""

    lines: tuple[str, ...]
    last: bool = False

    @property
    def queries(self) -> tuple[str, ...]:
        return tuple(line.strip() for line in self.lines if line.strip())


Entry: TypeAlias = Typed | Pasted


@dataclass(frozen=True, slots=True)
class QuerySet:
    """The questions of one entry, in order. blank counts blank lines inside pastes.

    left_out is how many questions were beyond the most allowed; None where more came and were not read.
    """

    queries: tuple[str, ...] = ()
    blank: int = 0
    left_out: int | None = 0


class EntryReader(Protocol):
    """Where entries come from."""

    def read(self, prompt: str, *, queries: bool = False) -> Entry:
        """One entry. queries: this is a line of a query set, kept in the history, which Ctrl-D ends with its text.

        Raises EOFError at the end of the input and KeyboardInterrupt at Ctrl-C.
        """


def entry_of(text: str, *, last: bool = False, pasted: bool = False) -> Entry:
    """What an edited text is: Typed if it has at most one line with anything on it, else Pasted. pasted: see Typed."""
    lines = _LINE_END.split(text)
    filled = [line for line in lines if line.strip()]
    if len(filled) > 1:
        return Pasted(tuple(lines), last)
    return Typed(filled[0] if filled else "", last, pasted)


def collect_queries(
    read: Callable[[int], Entry], *, most: int, abandon: Callable[[], object] | None = None
) -> QuerySet:
    """Read entries until a typed empty line, Ctrl-D or the end of the input, all of which keep what there is.

    read is given the number of the question it asks for. abandon, where the input has no end that is sure to come,
    is called as soon as there are more than most: the rest is then not read at all. KeyboardInterrupt passes.
    """
    queries: list[str] = []
    blank = left_out = 0
    while True:
        try:
            entry = read(len(queries) + 1)
        except EOFError:
            break
        if isinstance(entry, Typed):
            if not entry.text.strip():
                break
            found: tuple[str, ...] = (entry.text.strip(),)
        else:
            found = entry.queries
            blank += len(entry.lines) - len(found)
        room = most - len(queries)
        queries += found[:room]
        left_out += len(found[room:])
        if left_out and abandon is not None:
            abandon()
            return QuerySet(tuple(queries), blank, None)
        if entry.last:
            break
    return QuerySet(tuple(queries), blank, left_out)


class PipeReader:
    """Entries from an input that is no terminal: each line is one, read as it is needed, never ahead of one chunk.

    read_chunk returns the next bytes, b"" at the end. note is told of bytes that could not be decoded. Not
    thread-safe.
    """

    def __init__(self, read_chunk: Callable[[], bytes], *, note: Callable[[str], object]) -> None:
        self._read_chunk = read_chunk
        self._note = note
        self._decoder = LineDecoder()
        self._lines: deque[DecodedLine] = deque()
        self._ended = False

    def read(self, prompt: str, *, queries: bool = False) -> Entry:
        while not self._lines and not self._ended:
            data = self._read_chunk()
            self._ended = not data
            self._lines += self._decoder.feed(data) if data else self._decoder.finish()
        if not self._lines:
            raise EOFError
        line = self._lines.popleft()
        if line.replaced:
            self._note(replaced_note(line))
        return Typed(line.text)

    def abandon(self) -> None:
        """Read nothing more: every further read is the end of the input."""
        self._lines.clear()
        self._ended = True

"""A stream to write to whose encoding may lack our symbols and whose reader may leave at any time."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Final, TextIO

from utils.neutralise import neutralise

__all__ = ["OutputClosed", "OutputStream", "is_terminal"]

_EPIPE_CODE: Final = 141  # 128 + SIGPIPE: what a shell reports of any program whose reader has left
_PLAIN: Final = {
    "✅": "[OK]", "❌": "[X]", "⏰": "[T]", "⚠": "[!]", "🚫": "[-]", "⏹": "[-]", "⏭": "[>]", "⏳": "[...]",
    "🔁": "[~]", "🔄": "[~]", "⚡": "*", "🚀": ">>", "⏱": "[t]", "💾": "[#]", "📦": "[+]", "📊": "[=]", "📝": "[?]",
    "👋": "", "💡": "i:", "🔌": "[!]", "│": "|", "─": "-", "━": "=", "└": "+", "…": "...", "→": "->", "×": "x",
    "÷": "/", "·": "-", "—": "-",
    "≤": "<=", "〔": "[", "〕": "]", "（": "(", "）": ")", "，": ",", "：": ":", "\ufe0f": "", "\u200d": "",
    "🗂": "[=]", "💰": "$", "📄": "[f]", "🔬": "[=]", "🎉": "", "🛑": "[!]", "⏸": "[=]", "📋": "[=]", "📐": "~",
    "📶": "[=]", "📬": "[+]", "🔀": "[~]", "🤖": "", "🔎": "[?]", "🕒": "[t]", "├": "+", "┼": "+", "┤": "+", "┬": "+",
    "┴": "+", "┌": "+", "┐": "+", "┘": "+", "█": "#", "▏": "|", "░": ".", "▒": ":", "▓": "%", "▁": "_", "▂": "_",
    "▃": "-", "▄": "-", "▅": "=", "▆": "=", "▇": "#", "●": "*", "○": "o", "•": "*", "←": "<-", "↑": "^", "↓": "v",
}  # fmt: skip
# Punctuation is read aloud as it should be, so the plain mode leaves it alone.
_SPOKEN: Final = {ord(symbol): plain for symbol, plain in _PLAIN.items() if symbol not in "〔〕（），：…·—\u200d"}


class OutputClosed(Exception):
    """Nobody reads our output any more; leave quietly with exit_code (141, or 1 where the disk refused it).

    detail is the system's word for it, empty where the reader simply left.
    """

    def __init__(self, exit_code: int = _EPIPE_CODE, detail: str = "") -> None:
        super().__init__("the output was closed")
        self.exit_code = exit_code
        self.detail = detail


class OutputStream:
    """Text out, neutralised and in characters that the stream's encoding has. Thread-safe.

    find gives the stream at each use (None: there is none). plain: our symbols are written as plain ones whatever the
    encoding has, for screen readers. Once a write has failed, every further one raises OutputClosed as the first did.
    """

    def __init__(self, find: Callable[[], TextIO | None], *, plain: bool = False) -> None:
        self._find = find
        self._plain = plain
        self._closed: OutputClosed | None = None
        # Guards the order of writes; held while one piece of text goes out.
        self._lock = threading.RLock()

    @property
    def stream(self) -> TextIO | None:
        return self._find()

    @property
    def is_terminal(self) -> bool:
        return is_terminal(self._find())

    @property
    def encoding(self) -> str:
        return getattr(self._find(), "encoding", None) or "utf-8"

    @property
    def is_unicode(self) -> bool:
        """True where every character can be written, and is to be."""
        return not self._plain and self.encoding.lower().startswith("utf")

    def encodable(self, text: str) -> str:
        """The text with plain symbols, or escapes, for what the encoding lacks."""
        if text.isascii() or self.is_unicode:
            return text
        if self._plain:
            text = text.translate(_SPOKEN)
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return "".join([_encodable_character(character, self.encoding) for character in text])
        return text

    def write(self, text: str) -> None:
        """Write and flush; raises OutputClosed."""
        self.write_raw(self.encodable(neutralise(text)))

    def write_raw(self, text: str) -> None:
        """Write our own control characters too; raises OutputClosed."""
        with self._lock, self.guard():
            stream = self._find()
            if stream is None:
                raise BrokenPipeError
            stream.write(text)
            stream.flush()

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Around foreign code that writes to the stream: turns what a closed stream raises into OutputClosed."""
        if self._closed is not None:
            raise OutputClosed(self._closed.exit_code, self._closed.detail)
        try:
            yield
            return
        except BrokenPipeError:
            self._closed = OutputClosed()
        except OSError as error:
            self._closed = OutputClosed(1, f"{type(error).__name__}: {error.strerror or error}")
        except ValueError:
            stream = self._find()
            if stream is not None and not stream.closed:
                raise
            self._closed = OutputClosed()
        _muzzle(self._find())
        raise OutputClosed(self._closed.exit_code, self._closed.detail)


def is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


@functools.lru_cache(maxsize=4096)
def _encodable_character(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return _PLAIN.get(character, character.encode("ascii", "backslashreplace").decode("ascii"))
    return character


def _muzzle(stream: TextIO | None) -> None:
    """Let the interpreter's own flush at exit go nowhere: it would complain about the closed pipe on stderr."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        descriptor = stream.fileno()  # type: ignore[union-attr]  # None has none: suppressed
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, descriptor)
        os.close(sink)

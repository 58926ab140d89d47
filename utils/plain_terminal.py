"""Prompts on a terminal that cannot move its cursor (TERM=dumb), or whose screen is not where we write."""

from __future__ import annotations

import contextlib
import re
import termios
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, TextIO

from utils.key_bursts import BurstReader, Keys, Token
from utils.line_input import Entry, entry_of
from utils.neutralise import neutralise
from utils.paste_shelf import PasteShelf
from utils.text_decoding import typed_bytes_note
from utils.text_width import cell_width

__all__ = ["PlainTerminal", "cooked_keyboard", "raw_keyboard"]

_ESCAPE_SEQUENCE: Final = re.compile("\x1b(?:[\\[O][0-9;]*[A-Za-z~]|.|$)")


@contextlib.contextmanager
def raw_keyboard(fd: int, *, signals: bool) -> Iterator[None]:
    """Keys arrive one by one, unechoed, at any line length; signals: Ctrl-C still interrupts. Restored on leaving."""
    with _local_flags(fd, lambda flags: flags & ~_flags(signals)):
        yield


@contextlib.contextmanager
def cooked_keyboard(fd: int) -> Iterator[None]:
    """The terminal as another program expects it: it echoes, edits lines and sends signals. Restored on leaving."""
    with _local_flags(fd, lambda flags: flags | _flags(signals=False)):
        yield


@contextlib.contextmanager
def _local_flags(fd: int, change: Callable[[int], int]) -> Iterator[None]:
    try:
        before: list[Any] = termios.tcgetattr(fd)
    except termios.error:  # the terminal has gone: there is nothing to set and nothing to give back
        yield
        return
    mode = [*before[:3], change(before[3]), *before[4:6], list(before[6])]
    mode[6][termios.VMIN] = 1
    try:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSANOW, mode)
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSANOW, before)


def _flags(signals: bool) -> int:
    return termios.ECHO | termios.ICANON | (0 if signals else termios.ISIG)


class PlainTerminal:
    """An EntryReader with nothing but backspace and Ctrl-U to edit with. For the main thread.

    echo writes what is typed to the person's screen; the prompt itself has been written by the caller.
    """

    def __init__(self, stdin: TextIO, *, echo: Callable[[str], object], note: Callable[[str], object]) -> None:
        self._fd = stdin.fileno()
        self._reader = BurstReader(self._fd, encoding=stdin.encoding)
        self._echo = echo
        self._note = note
        self._tokens: deque[Token] = deque()
        self._shelf = PasteShelf()

    def read(self, prompt: str, *, queries: bool = False) -> Entry:
        replaced = self._reader.replaced
        with raw_keyboard(self._fd, signals=False):
            try:
                entry = self._edit(queries)
            finally:
                self._echo("\n")
        if self._reader.replaced > replaced:
            self._note(typed_bytes_note(self._reader.replaced - replaced))
        return entry

    def _edit(self, queries: bool) -> Entry:
        text = ""
        while True:
            token = self._next_token()
            if token is None:
                if not text:
                    raise EOFError
                return entry_of(self._shelf.expand(text), last=True)
            if not isinstance(token, Keys):
                added = self._shelf.collapse(token.text.removesuffix("\n"))
                self._echo(self._shown(added))
                text += added
                continue
            for key in _ESCAPE_SEQUENCE.sub("", token.text):
                if key in "\r\n":
                    return entry_of(self._shelf.expand(text))
                if key == "\x03":
                    raise KeyboardInterrupt
                if key == "\x04" and (queries or not text):
                    if not text:
                        raise EOFError
                    return entry_of(self._shelf.expand(text), last=True)
                text = self._typed(text, key)

    def _next_token(self) -> Token | None:
        """None once the terminal has gone."""
        while not self._tokens and not self._reader.closed:
            self._tokens += self._reader.read()
        return self._tokens.popleft() if self._tokens else None

    def _typed(self, text: str, key: str) -> str:
        if key in "\x7f\b":
            self._echo("\b \b" * cell_width(self._shown(text[-1:])))
            return text[:-1]
        if key == "\x15":
            self._echo("\b \b" * cell_width(self._shown(text)))
            return ""
        if key >= " " or key == "\t":
            self._echo(neutralise(key))
            return text + key
        return text

    def _shown(self, text: str) -> str:
        return neutralise("".join([self._shelf.label(character) or character for character in text]))

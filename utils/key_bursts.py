"""Tells typing from pasting in what a terminal sends, with and without bracketed paste.

A person's keys come one at a time. Text in which something follows a line end within the same burst was not
typed: it is a paste, whether the terminal marked it or not.
"""

from __future__ import annotations

import codecs
import os
import re
import select
from dataclasses import dataclass
from typing import Final, TypeAlias

from core.clock import SYSTEM_CLOCK, Clock
from utils.text_decoding import clean_surrogates

__all__ = ["PASTE_END", "PASTE_START", "BurstReader", "KeySorter", "Keys", "Paste", "Token"]

PASTE_START: Final = "\x1b[200~"
PASTE_END: Final = "\x1b[201~"
QUIET_SECONDS: Final = 0.03
GRACE_SECONDS: Final = 0.1
_LONG: Final = 64
_CHUNK: Final = 64 * 1024
_COMMAND_KEYS: Final = re.compile("([\x03\x04])")
_LINE_ENDS: Final = "\r\n"


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys to be acted on. A line end, if there is one, comes last."""

    text: str


@dataclass(frozen=True, slots=True)
class Paste:
    """Text to be inserted, none of it a command. Line ends are newlines."""

    text: str


Token: TypeAlias = Keys | Paste


class KeySorter:
    """Sorts bursts of terminal input into keys and pastes. Pure: no time, no I/O.

    A burst is what arrived without a pause. After a paste, everything else in the same burst belongs to it, so that
    an end mark smuggled into the pasted text gains nothing.
    """

    def __init__(self) -> None:
        self._pasting = False
        self._pasted: list[str] = []
        self._held = ""

    @property
    def pasting(self) -> bool:
        """True between a paste's start mark and its end mark."""
        return self._pasting

    def sort(self, burst: str, *, after_paste: bool = False) -> list[Token]:
        """The tokens of one burst. after_paste: it comes so soon after a paste that it is the rest of it."""
        if self._pasting and burst == "\x03":
            return [self._end_paste(), Keys("\x03")]  # the end mark got lost: the person gets out with Ctrl-C
        rest, self._held = self._held + burst, ""
        tokens: list[Token] = []
        while rest:
            if self._pasting:
                body, mark, rest = rest.partition(PASTE_END)
                if not mark:
                    body, self._held = _hold_back(body, PASTE_END)
                self._pasted.append(body)
                if mark:
                    tokens.append(self._end_paste())
                    after_paste = True
            else:
                before, mark, rest = rest.partition(PASTE_START)
                if not mark:
                    before, self._held = _hold_back(before, PASTE_START)
                tokens += _unmarked(before, after_paste)
                self._pasting = bool(mark)
        return tokens

    def flush(self) -> list[Token]:
        """What was held back in case it was the beginning of a mark, now that nothing followed."""
        if self._pasting:
            return []
        held, self._held = self._held, ""
        return [Keys(held)] if held else []

    def _end_paste(self) -> Paste:
        text = "".join(self._pasted) + self._held
        self._pasted.clear()
        self._pasting, self._held = False, ""
        return Paste(_newlines(text))


def _hold_back(text: str, mark: str) -> tuple[str, str]:
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:length]):
            return text[:-length], text[-length:]
    return text, ""


def _unmarked(text: str, after_paste: bool) -> list[Token]:
    if not text:
        return []
    before, key, after = _split_at_command(text)
    if key:
        return [*_unmarked(before, after_paste), Keys(key), *_unmarked(after, after_paste or bool(before))]
    if after_paste:
        return [Paste(_newlines(text))]
    body = text.rstrip(_LINE_ENDS)
    end = "\r" if len(body) < len(text) else ""
    if not body:
        return [Keys("\r")]
    if "\r" in body or "\n" in body:
        return [Paste(_newlines(text))]
    if len(body) > _LONG and "\x1b" not in body:
        return [Paste(body), *([Keys(end)] if end else [])]
    return [Keys(body + end)]


def _split_at_command(text: str) -> tuple[str, str, str]:
    parts = _COMMAND_KEYS.split(text, maxsplit=1)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (text, "", "")


def _newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


class BurstReader:
    """Reads tokens from a terminal in raw mode: whole bursts, each ended by a pause of QUIET_SECONDS.

    replaced counts the bytes that were no text and became �. closed is True once the terminal is gone. For one
    thread.
    """

    def __init__(self, fd: int, *, encoding: str | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._fd = fd
        self._clock = clock
        # ASCII is what a terminal without a locale calls itself; UTF-8 contains it.
        name = encoding if encoding and codecs.lookup(encoding).name != "ascii" else "utf-8"
        self._decoder = codecs.getincrementaldecoder(name)("surrogateescape")
        self._sorter = KeySorter()
        self._paste_seen_at = float("-inf")
        self.replaced = 0
        self.closed = False

    def read(self) -> list[Token]:
        """The next burst; waits for its first byte. No tokens where the terminal has closed."""
        chunks = [self._chunk()]
        after_paste = self._clock.now() - self._paste_seen_at < GRACE_SECONDS
        while self._goes_on(chunks[-1]) and select.select([self._fd], [], [], QUIET_SECONDS)[0]:
            chunks.append(self._chunk())
        burst = "".join(chunks)
        tokens = self._sorter.sort(burst, after_paste=after_paste)
        # Only an unmarked paste can go on after a pause: a marked one says where it ends.
        if PASTE_END not in burst and (after_paste or any(_has_lines(token) for token in tokens)):
            self._paste_seen_at = self._clock.now()
        return tokens

    def flush(self) -> list[Token]:
        """What was held back in case more followed."""
        return self._sorter.flush()

    def _goes_on(self, chunk: str) -> bool:
        """Whether what was just read may be the beginning of something longer."""
        if self.closed or (self._sorter.pasting and PASTE_END not in chunk):
            return False
        partial = _hold_back(chunk, PASTE_START)[1]
        return bool(partial) or len(chunk) > _LONG or any(mark in chunk for mark in ("\r", "\n", PASTE_START))

    def _chunk(self) -> str:
        try:
            data = os.read(self._fd, _CHUNK)
        except OSError:  # EIO: the other side of the pseudo-terminal has gone
            data = b""
        self.closed = not data
        text, replaced = clean_surrogates(self._decoder.decode(data, self.closed))
        self.replaced += replaced
        return text


def _has_lines(token: Token) -> bool:
    return isinstance(token, Paste) and "\n" in token.text

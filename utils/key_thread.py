"""Reads the keyboard while a run goes on."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import selectors
import termios
import threading
import unicodedata
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from core.clock import SYSTEM_CLOCK, Clock
from utils.key_bursts import KeySorter, Paste

__all__ = ["KeyThread", "typed_keys"]

_SETTLE_SECONDS: Final = 0.008  # what comes this soon after the first byte was not typed after it
_GRACE_SECONDS: Final = 0.1
_LOST_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 1.0
_PATIENCE: Final = 1.0
_MOST_KEYS: Final = 8  # while this thread had to wait for the processor
_HELD_DOWN: Final = "+-=_\x7f\b"
_CHUNK: Final = 64 * 1024
_COOKED: Final = termios.ICANON | termios.ECHO
_ESCAPE_SEQUENCE: Final = re.compile("\x1b(?:[\\[O][0-9;?]*[ -/]*[A-Za-z~]|[^\x1b])")


class KeyThread:
    """Reads a terminal's keys in a thread of its own, from entering to leaving the block and not a byte longer.

    keys(text) is called for what was typed, pasted() for what was pasted, both in that thread; they must not raise.
    Arrow keys and the like are passed over, and so is what was typed before. The terminal is in raw mode; where it
    has lost that (the program was stopped and continued), it gets it back within a second. In the background, where
    keys belong to the shell, nothing is read.
    """

    def __init__(
        self,
        fd: int,
        *,
        keys: Callable[[str], object],
        pasted: Callable[[], object],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._fd = fd
        self._keys = keys
        self._pasted = pasted
        self._clock = clock
        self._sorter = KeySorter()
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._paste_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="run-keys", daemon=True)

    def __enter__(self) -> Self:
        with contextlib.suppress(termios.error):
            termios.tcflush(self._fd, termios.TCIFLUSH)
        self._ended, self._ending = os.pipe()
        try:
            self._thread.start()
        except RuntimeError:  # the machine gives no thread
            os.close(self._ended)
            os.close(self._ending)
            raise
        except BaseException:  # Ctrl-C, and the thread is there: it ends now, and closes the other end itself
            os.close(self._ending)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._ending)
        self._thread.join(_PATIENCE)  # what a key does may hang; the thread reads nothing more after it

    def _run(self) -> None:
        with (
            open(self._ended, "rb", buffering=0),
            selectors.DefaultSelector() as selector,
            selectors.DefaultSelector() as end,
        ):
            end.register(self._ended, selectors.EVENT_READ)
            selector.register(self._ended, selectors.EVENT_READ)
            selector.register(self._fd, selectors.EVENT_READ)
            while self._ended not in (ready := _ready(selector, _LOOK_SECONDS)):
                if not _is_ours(self._fd):
                    end.select(_LOOK_SECONDS)
                elif not ready:
                    _keep_raw(self._fd)
                elif not self._take(self._burst(selector)):
                    return

    def _burst(self, selector: selectors.BaseSelector) -> str | None:
        """What came without a pause; None once the terminal has gone or the block was left."""
        data = b""
        while len(data) < _CHUNK:
            try:
                chunk = os.read(self._fd, _CHUNK)
            except OSError:  # EIO: the other side of the pseudo-terminal has gone
                return None
            ready = _ready(selector, _SETTLE_SECONDS)
            if not chunk or self._ended in ready:
                return None
            data += chunk
            if not ready:
                break
        return self._decoder.decode(data)

    def _take(self, burst: str | None) -> bool:
        if burst is None:
            return False
        now = self._clock.now()
        if now - self._paste_at > _LOST_SECONDS:
            self._sorter = KeySorter()  # a paste whose end mark never came
        keys = typed_keys(self._sorter, burst, after_paste=now - self._paste_at < _GRACE_SECONDS)
        if keys is None:
            self._paste_at = now
            self._pasted()
        elif keys:
            self._keys(keys)
        return True


def _ready(selector: selectors.BaseSelector, timeout: float) -> list[int]:
    return [key.fd for key, _ in selector.select(timeout)]


def _is_ours(fd: int) -> bool:
    """Whether keys are for us: whoever reads a terminal in the background is stopped by the system."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # not the terminal that we were started from: nobody else's keys
        return True


def _keep_raw(fd: int) -> None:
    with contextlib.suppress(termios.error):
        mode = termios.tcgetattr(fd)
        if mode[3] & _COOKED:
            mode[3] &= ~_COOKED
            mode[6][termios.VMIN] = 1
            termios.tcsetattr(fd, termios.TCSANOW, mode)


def typed_keys(sorter: KeySorter, burst: str, *, after_paste: bool) -> str | None:
    """The keys in what came without a pause; None where it was not typed.

    Nobody types two keys at once: what is taken is one key, one held down that does little each time, or digits,
    which input methods give several at a time.
    """
    was_pasting = sorter.pasting
    tokens = sorter.sort(burst, after_paste=after_paste)
    if was_pasting or sorter.pasting or any(isinstance(token, Paste) for token in tokens):
        return None
    text = "".join(token.text for token in [*tokens, *sorter.flush()])
    keys = _ESCAPE_SEQUENCE.sub("", text)
    return keys if len(keys) <= 1 or _come_together(unicodedata.normalize("NFKC", keys)) else None


def _come_together(keys: str) -> bool:
    held_down = keys[0] in _HELD_DOWN and keys == keys[0] * len(keys)
    return len(keys) <= _MOST_KEYS and (held_down or keys.isdecimal())

"""Ctrl-C and its kin: the first one ends the run, the second one ends the program."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeAlias

__all__ = ["Interrupts"]

_Cancel: TypeAlias = Callable[[], object]
_NAMES: Final = ("SIGINT", "SIGTERM", "SIGHUP")
_POKE_SECONDS: Final = 0.05


class Interrupts:
    """What SIGINT, SIGTERM and SIGHUP do while this context manager is open.

    Inside during(cancel), the first signal calls cancel in a watcher thread (a signal handler may run while its own
    thread holds any lock, so it must not call anything that takes one); every further one raises KeyboardInterrupt
    in the main thread. Outside, SIGINT raises KeyboardInterrupt and the others SystemExit(128 + signal), so that
    every `finally` runs.

    count is the number of interrupts in a row: main adds those that it catches with note() and forgets them all
    with reset() once the person types anything. leave_with is the exit code that a SIGTERM or SIGHUP during a run
    asks for once the run has been shown; None otherwise.

    Off the main thread, where Python allows no handlers, it changes nothing. The previous handlers come back on
    leaving. Not reentrant.
    """

    def __init__(self) -> None:
        self.count = 0
        self.leave_with: int | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self._run: _Run | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in _NAMES:
                number = getattr(signal, name, None)
                # SIGHUP that was ignored at start (nohup) stays ignored: whoever started us wanted it so.
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()

    @contextlib.contextmanager
    def during(self, cancel: _Cancel) -> Iterator[None]:
        """A run that the first signal ends by calling cancel, once, from another thread."""
        if not self._previous or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._run = _Run(cancel, frozenset(self._previous))
        try:
            with self._run.watched():
                yield
        finally:
            self._run = None

    def note(self) -> int:
        """Count a KeyboardInterrupt that was caught; returns how many there were in a row."""
        self.count += 1
        return self.count

    def reset(self) -> None:
        """The person typed something: the next interrupt is the first again."""
        self.count = 0

    def _handle(self, number: int, frame: FrameType | None) -> None:
        run = self._run
        if run is None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + number)
        run.handled += 1
        if number != signal.SIGINT:
            self.leave_with = 128 + number
        if run.handled > 1:
            run.raised = True
            raise KeyboardInterrupt
        self.count += 1


class _Run:
    """One run and the thread that watches for signals to it.

    The interpreter runs a handler only once the main thread gets round to it, which may be at the end of the very
    wait that the signal is meant to end. Its wake-up descriptor tells of a signal at once, from whatever state.
    """

    def __init__(self, cancel: _Cancel, numbers: frozenset[int]) -> None:
        self.handled = 0
        self.raised = False
        self._cancel = cancel
        self._numbers = numbers
        self._over = threading.Event()
        self._main = threading.get_ident()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        watcher = threading.Thread(target=self._watch, args=(reading,), name="interrupts", daemon=True)
        watcher.start()
        previous = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous)
            self._over.set()
            os.close(writing)

    def _watch(self, reading: int) -> None:
        arrived = 0
        with open(reading, "rb", buffering=0) as signals:
            while data := signals.read(1):
                if data[0] not in self._numbers:
                    continue
                arrived += 1
                if arrived == 1:
                    self._cancel()
                else:
                    self._insist()

    def _insist(self) -> None:
        """Interrupt the main thread's wait until it has taken notice of the second signal."""
        while not self._over.wait(_POKE_SECONDS) and not self.raised:
            signal.pthread_kill(self._main, signal.SIGINT)

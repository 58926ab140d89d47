"""Shows a bulk run while it goes on: one bar with its figures on a terminal, a line for every tenth elsewhere."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from core.bulk import BulkProgress
from core.clock import SYSTEM_CLOCK, Clock
from core.limits import LimiterStatistics
from utils.bulk_text import progress_line
from utils.console import Console
from utils.limiter_text import limiter_rows
from utils.redraw import SELDOM_SECONDS, Beat, Figures, RedrawnBlock, bar
from utils.run_keyboard import keys_for, listening
from utils.run_keys import RunControls, RunKeys
from utils.text_width import fit

__all__ = ["BulkView"]

_STEPS = 10
_FIRST = 10_000  # texts until the first line where nobody knows how many there are; until the next, twice as many


class _Screen(Protocol):
    def start(self) -> None: ...
    def print(self, lines: list[str]) -> None: ...
    def show(self, progress: BulkProgress, money: str) -> None: ...
    def stop(self) -> None: ...


class BulkView:
    """Draws what progress() says, five times a second and for each key, while its block is open.

    Elsewhere than on a terminal it prints a dozen lines at most. progress and money (what the run has cost so far,
    as text) are called in the drawing thread and must be thread-safe; limiter and controls as in LiveView, but that
    there is no key to cancel one.
    """

    def __init__(
        self,
        console: Console,
        progress: Callable[[], BulkProgress],
        *,
        money: Callable[[], str] = lambda: "",
        limiter: Callable[[], LimiterStatistics | None] = lambda: None,
        clock: Clock = SYSTEM_CLOCK,
        controls: RunControls | None = None,
    ) -> None:
        self._console = console
        self._progress = progress
        self._money = money
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._parts = contextlib.ExitStack()
        self._keys = keys_for(console, controls, say=self.say, changed=self._wake)
        drawn = console.draws
        self._screen: _Screen = _Drawn(console, limiter, clock, self._keys) if drawn else _Lines(console)
        self._beat = Beat(
            self._draw, start=self._screen.start, stop=self._screen.stop, name="bulk-view",
            seconds=lambda: SELDOM_SECONDS,
        )  # fmt: skip

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as parts:
            parts.enter_context(self._beat)
            parts.enter_context(listening(self._console, self._keys))
            parts.enter_context(self._console.lines_go_to(self.say))
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    def say(self, line: str) -> None:
        """Show a line above the bar. Thread-safe, never blocks, never raises."""
        self._said.put(line)

    def _wake(self) -> None:
        self._beat.wake()

    def _draw(self) -> None:
        lines = [self._said.get() for _ in range(self._said.qsize())]
        if lines:
            self._screen.print(lines)
        self._screen.show(self._progress(), self._money())


class _Lines:
    """For outputs on which nothing can be drawn again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step = 0
        self._next = _FIRST

    def start(self) -> None:
        """Nothing to prepare."""

    def print(self, lines: list[str]) -> None:
        self._console.write_line("\n".join(lines))

    def show(self, progress: BulkProgress, money: str) -> None:
        if self._is_due(progress):
            self._console.write_line(progress_line(progress, money=money))

    def _is_due(self, progress: BulkProgress) -> bool:
        if progress.share is None:
            due = progress.settled >= self._next
            self._next = 2 * progress.settled if due else self._next
            return due
        before, self._step = self._step, max(self._step, int(progress.share * _STEPS))
        return self._step > before

    def stop(self) -> None:
        """Nothing to take back."""


class _Drawn:
    """A bar, the figures under it, the limiter's where it has any, and the keys."""

    def __init__(
        self,
        console: Console,
        limiter: Callable[[], LimiterStatistics | None],
        clock: Clock,
        keys: RunKeys | None,
    ) -> None:
        self._block = RedrawnBlock(console)
        self._limiter = Figures(limiter)
        self._clock = clock
        self._keys = keys
        self.start, self.print, self.stop = self._block.start, self._block.print, self._block.stop

    def show(self, progress: BulkProgress, money: str) -> None:
        width, now = self._block.width, self._clock.now()
        rows = [] if progress.share is None else [bar(progress.share, width)]
        rows.append(fit(progress_line(progress, money=money), width))
        figures = self._limiter.latest(now)
        if figures is not None:
            rows += limiter_rows(figures, now, width)
        if self._keys is not None:
            rows += self._keys.rows(width)
        self._block.show(rows)

"""Shows a bulk run while it goes on: one bar with its figures on a terminal, a line for every tenth elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from core.bulk import BulkProgress
from core.clock import SYSTEM_CLOCK, Clock
from core.limits import LimiterStatistics
from utils.bulk_text import progress_line
from utils.console import Console
from utils.limiter_text import limiter_rows
from utils.redraw import Beat, LimiterFigures, RedrawnBlock, bar
from utils.text_width import fit

__all__ = ["BulkView"]

_STEPS = 10
_FIRST = 10_000  # texts until the first line where nobody knows how many there are; until the next, twice as many


class _Screen(Protocol):
    def start(self) -> None: ...
    def show(self, progress: BulkProgress, money: str) -> None: ...
    def stop(self) -> None: ...


class BulkView:
    """Draws what progress() says, ten times a second, while its block is open; prints a dozen lines at most elsewhere.

    progress and money (what the run has cost so far, as text) are called in the drawing thread and must be
    thread-safe; limiter as in LiveView.
    """

    def __init__(
        self,
        console: Console,
        progress: Callable[[], BulkProgress],
        *,
        money: Callable[[], str] = lambda: "",
        limiter: Callable[[], LimiterStatistics | None] = lambda: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._progress = progress
        self._money = money
        self._screen: _Screen = _Drawn(console, limiter, clock) if console.draws else _Lines(console)
        self._beat = Beat(self._draw, start=self._screen.start, stop=self._screen.stop, name="bulk-view")

    def __enter__(self) -> Self:
        self._beat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beat.__exit__(kind, error, trace)

    def _draw(self) -> None:
        self._screen.show(self._progress(), self._money())


class _Lines:
    """For outputs on which nothing can be drawn again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step = 0
        self._next = _FIRST

    def start(self) -> None:
        """Nothing to prepare."""

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
    """A bar, the figures under it, and the limiter's where it has any."""

    def __init__(self, console: Console, limiter: Callable[[], LimiterStatistics | None], clock: Clock) -> None:
        self._block = RedrawnBlock(console)
        self._limiter = LimiterFigures(limiter)
        self._clock = clock
        self.start, self.stop = self._block.start, self._block.stop

    def show(self, progress: BulkProgress, money: str) -> None:
        width, now = self._block.width, self._clock.now()
        rows = [] if progress.share is None else [bar(progress.share, width)]
        rows.append(fit(progress_line(progress, money=money), width))
        figures = self._limiter.latest(now)
        if figures is not None:
            rows += limiter_rows(figures, now, width)
        self._block.show(rows)

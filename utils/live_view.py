"""Shows a run while it goes on: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import queue
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from core.clock import SYSTEM_CLOCK, Clock
from core.events import Event
from core.limits import LimiterStatistics
from utils.console import Console
from utils.limiter_text import limiter_rows
from utils.redraw import Beat, LimiterFigures, RedrawnBlock, bar
from utils.run_progress import RunProgress
from utils.text_width import fit

__all__ = ["LiveView"]


class _Screen(Protocol):
    """Where a view is drawn."""

    def start(self) -> None: ...
    def print(self, lines: list[str]) -> None: ...
    def refresh(self, progress: RunProgress, now: float, elapsed: float) -> None: ...
    def stop(self) -> None: ...


class LiveView:
    """An observer of one run, drawn by a thread of its own at most ten times a second.

    Use it as a context manager around the run and hand observe (any thread; it only queues) to whatever emits the
    events. On leaving, however that happens, everything queued is shown and the cursor is visible again. An output
    that closes meanwhile ends the drawing, not the run; the next write through the console then raises
    OutputClosed. total: the number of tasks, where no RunStarted will tell.

    limiter gives the limiter's figures, of the same clock as ours; None: there are none yet. It is asked by the
    drawing thread at most four times a second, where the screen can be redrawn and so only there. If it raises,
    its rows are not drawn; all else is.
    """

    def __init__(
        self,
        console: Console,
        *,
        total: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
        limiter: Callable[[], LimiterStatistics | None] | None = None,
    ) -> None:
        self.progress = RunProgress(total)
        self._clock = clock
        self._screen: _Screen = _RichScreen(console, limiter) if console.draws else _PlainScreen(console)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._beat = Beat(self._draw, start=self._screen.start, stop=self._screen.stop, name="live-view")
        self._started_at = 0.0

    def observe(self, event: Event) -> None:
        """Take an event. Thread-safe, never blocks, never raises."""
        self._events.put(event)

    __call__ = observe

    def __enter__(self) -> Self:
        self._started_at = self._clock.now()
        self._beat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beat.__exit__(kind, error, trace)

    def _draw(self) -> None:
        lines = [line for event in self._happened() for line in self.progress.lines(event)]
        if lines:
            self._screen.print(lines)
        now = self._clock.now()
        self._screen.refresh(self.progress, now, now - self._started_at)

    def _happened(self) -> list[Event]:
        return [self._events.get() for _ in range(self._events.qsize())]


class _PlainScreen:
    """Lines only: of long runs, one for every tenth that is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step = 0

    def start(self) -> None:
        pass

    def print(self, lines: list[str]) -> None:
        self._console.write_line("\n".join(lines))

    def refresh(self, progress: RunProgress, now: float, elapsed: float) -> None:
        step = progress.step()
        if step > self._step and not progress.is_small:
            self._step = step
            self._console.write_line(f"{progress.finished:,}/{progress.total:,}  {progress.status(now, elapsed)}")

    def stop(self) -> None:
        pass


class _RichScreen:
    """A bar that stays below the lines."""

    def __init__(self, console: Console, limiter: Callable[[], LimiterStatistics | None] | None) -> None:
        self._block = RedrawnBlock(console)
        self._limiter = None if limiter is None else LimiterFigures(limiter)
        self.start, self.print, self.stop = self._block.start, self._block.print, self._block.stop

    def refresh(self, progress: RunProgress, now: float, elapsed: float) -> None:
        width = self._block.width
        rows = [] if progress.is_small else [fit(line, width) for line in progress.recent]
        if progress.total:
            rows.append(bar(progress.finished / progress.total, width))
        figures = None if self._limiter is None else self._limiter.latest(now)
        counts_down = figures is not None and figures.gate_until is not None
        rows.append(fit(progress.status(now, elapsed, quota=not counts_down), width))
        if figures is not None:
            rows += limiter_rows(figures, now, width)
        self._block.show(rows)

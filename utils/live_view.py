"""Shows a run while it goes on: live rows over a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from core.clock import SYSTEM_CLOCK, Clock
from core.cost import Spend
from core.events import Event
from core.limits import LimiterStatistics
from utils.console import Console
from utils.redraw import REFRESH_SECONDS, SELDOM_SECONDS, Beat
from utils.run_block import RunBlock
from utils.run_keyboard import keys_for, listening
from utils.run_keys import RunControls
from utils.run_progress import RunProgress
from utils.task_rows import ListedTask, OpenTasks

__all__ = ["ListedTask", "LiveView", "RunControls"]


class _Screen(Protocol):
    """Where a view is drawn."""

    def start(self) -> None: ...
    def print(self, lines: list[str]) -> None: ...
    def refresh(self, progress: RunProgress, now: float, elapsed: float) -> None: ...
    def stop(self) -> None: ...


class LiveView:
    """An observer of one run, drawn by a thread of its own ten times a second (a large one: five), and for each key.

    Use it as a context manager around the run and hand observe (any thread; it only queues) to whatever emits the
    events. On leaving, however that happens, everything queued is shown, the cursor is visible again and the
    keyboard is read no more. An output that closes meanwhile ends the drawing, not the run; the next write through
    the console then raises OutputClosed. total: the number of tasks, where no RunStarted will tell; tasks: those
    that are known beforehand, with the numbers that the person knows them by.

    limiter gives the limiter's figures, of the same clock as ours, and spend what the run has cost so far; None:
    there are none yet. They are asked by the drawing thread at most four times a second, where the screen can be
    redrawn and so only there. If they raise, theirs is not drawn; all else is.

    controls puts the run on the keyboard, where the console has one and can draw: see RunKeys. A pause that is
    left over at the end is lifted.
    """

    def __init__(
        self,
        console: Console,
        *,
        total: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
        limiter: Callable[[], LimiterStatistics | None] | None = None,
        spend: Callable[[], Spend | None] | None = None,
        controls: RunControls | None = None,
        tasks: Sequence[ListedTask] = (),
    ) -> None:
        self.progress = RunProgress(total)
        self._console = console
        self._clock = clock
        self._happened: queue.SimpleQueue[tuple[Event | str, float]] = queue.SimpleQueue()
        self._tasks: OpenTasks | None = OpenTasks(tasks) if console.draws else None
        self._screen: _Screen = _PlainScreen(console)
        find = self._tasks.task_id if self._tasks is not None else None
        self._keys = keys_for(console, controls, say=self.say, changed=self._wake, find_task=find)
        if self._tasks is not None:
            self._screen = RunBlock(console, self._tasks, limiter=limiter, spend=spend, keys=self._keys)
        self._beat = Beat(
            self._draw, start=self._screen.start, stop=self._screen.stop, name="live-view", seconds=self._rest
        )
        self._parts = contextlib.ExitStack()
        self._started_at = 0.0

    def observe(self, event: Event) -> None:
        """Take an event. Thread-safe, never blocks, never raises."""
        self._happened.put((event, self._clock.now()))

    __call__ = observe

    def say(self, line: str) -> None:
        """Show a line above the bar, in order with the events. Thread-safe, never blocks, never raises."""
        self._happened.put((line, 0.0))

    def __enter__(self) -> Self:
        self._started_at = self._clock.now()
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

    def _rest(self) -> float:
        return REFRESH_SECONDS if self.progress.is_small or not self.progress.total else SELDOM_SECONDS

    def _wake(self) -> None:
        self._beat.wake()

    def _draw(self) -> None:
        lines = [line for _ in range(self._happened.qsize()) for line in self._lines(*self._happened.get())]
        if lines:
            self._screen.print(lines)
        now = self._clock.now()
        self._screen.refresh(self.progress, now, now - self._started_at)

    def _lines(self, happened: Event | str, at: float) -> list[str]:
        if isinstance(happened, str):
            return [happened]
        if self._tasks is not None:
            self._tasks.take(happened, at)
        return self.progress.lines(happened)


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

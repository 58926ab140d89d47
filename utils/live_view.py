"""Shows a run while it goes on: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from core.clock import SYSTEM_CLOCK, Clock
from core.events import Event
from core.limits import LimiterStatistics
from utils.console import Console, OutputClosed
from utils.limiter_text import limiter_rows
from utils.run_progress import RunProgress
from utils.text_width import fit

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["LiveView"]

REFRESH_SECONDS: Final = 0.1
_BAR_COLUMNS: Final = 60
_FIGURES_SECONDS: Final = 0.25


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
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="live-view", daemon=True)
        self._started_at = 0.0

    def observe(self, event: Event) -> None:
        """Take an event. Thread-safe, never blocks, never raises."""
        self._events.put(event)

    __call__ = observe

    def __enter__(self) -> Self:
        self._started_at = self._clock.now()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        try:
            self._thread.join()
        finally:
            self._screen.stop()  # a second Ctrl-C may have cut the join short; stopping twice does no harm

    def _draw(self) -> None:
        # A fixed beat rather than a wake-up for each event: the workers need the processor more than the screen does.
        try:
            self._screen.start()
            ended = False
            while not ended:
                ended = self._ended.wait(REFRESH_SECONDS)
                lines = [line for event in self._happened() for line in self.progress.lines(event)]
                if lines:
                    self._screen.print(lines)
                now = self._clock.now()
                self._screen.refresh(self.progress, now, now - self._started_at)
        except OutputClosed:
            pass
        finally:
            self._screen.stop()

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
        from rich.live import Live

        self._console = console
        self._limiter = None if limiter is None else _LimiterFigures(limiter)
        self._rich = console.rich()
        self._live = Live(
            console=self._rich, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )

    def start(self) -> None:
        self._live.start()

    def print(self, lines: list[str]) -> None:
        self._rich.print(self._text("\n".join(lines)), soft_wrap=True)

    def refresh(self, progress: RunProgress, now: float, elapsed: float) -> None:
        self._live.update(self._picture(progress, now, elapsed), refresh=True)

    def stop(self) -> None:
        with contextlib.suppress(OutputClosed):
            self._live.stop()

    def _picture(self, progress: RunProgress, now: float, elapsed: float) -> RenderableType:
        width = self._rich.width
        rows = [] if progress.is_small else [fit(line, width) for line in progress.recent]
        if progress.total:
            rows.append(_bar(progress.finished / progress.total, min(width, _BAR_COLUMNS)))
        figures = None if self._limiter is None else self._limiter.latest(now)
        counts_down = figures is not None and figures.gate_until is not None
        rows.append(fit(progress.status(now, elapsed, quota=not counts_down), width))
        if figures is not None:
            rows += limiter_rows(figures, now, width)
        return self._text("\n".join(rows))

    def _text(self, line: str) -> RenderableType:
        """A Text object, never markup: brackets in a task's name are just brackets."""
        from rich.text import Text

        return Text(self._console.fitted(line))


class _LimiterFigures:
    """The limiter's figures, not much older than _FIGURES_SECONDS. For one thread."""

    def __init__(self, read: Callable[[], LimiterStatistics | None]) -> None:
        self._read = read
        self._figures: LimiterStatistics | None = None
        self._next_at = -math.inf

    def latest(self, now: float) -> LimiterStatistics | None:
        if now >= self._next_at:
            self._next_at = now + _FIGURES_SECONDS
            try:
                self._figures = self._read()
            except Exception:  # noqa: BLE001 - foreign code: what it gets wrong must not end the drawing
                self._figures = None
        return self._figures


def _bar(share: float, columns: int) -> str:
    done = int(min(share, 1.0) * columns)
    return "━" * done + "─" * (columns - done)

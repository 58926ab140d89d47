"""The mechanics of showing a run while it goes on: a beat of its own, and a block of lines drawn again and again."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from core.limits import LimiterStatistics
from utils.console import Console, OutputClosed

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["REFRESH_SECONDS", "Beat", "LimiterFigures", "RedrawnBlock", "bar"]

REFRESH_SECONDS: Final = 0.1
_FIGURES_SECONDS: Final = 0.25
_BAR_COLUMNS: Final = 60


class Beat:
    """Calls step ten times a second in a thread of its own, and once more on leaving. A context manager.

    start is called before the first step and stop after the last, however the block ends; stop may be called twice.
    An output that closes ends the beat and nothing else.
    """

    def __init__(
        self, step: Callable[[], object], *, start: Callable[[], object], stop: Callable[[], object], name: str
    ) -> None:
        self._step = step
        self._start = start
        self._stop = stop
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        try:
            self._thread.join()
        finally:
            self._stop()  # a second Ctrl-C may have cut the join short

    def _run(self) -> None:
        # A fixed beat rather than a wake-up for each event: the workers need the processor more than the screen does.
        try:
            self._start()
            ended = False
            while not ended:
                ended = self._ended.wait(REFRESH_SECONDS)
                self._step()
        except OutputClosed:
            pass
        finally:
            self._stop()


class RedrawnBlock:
    """Lines at the bottom of a terminal that are drawn anew at each show(), with what print() writes above them."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._rich = console.rich()
        self._live = Live(
            console=self._rich, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )

    @property
    def width(self) -> int:
        """Columns; may change at any time."""
        return self._rich.width

    def start(self) -> None:
        self._live.start()

    def print(self, lines: list[str]) -> None:
        self._rich.print(self._text("\n".join(lines)), soft_wrap=True)

    def show(self, rows: list[str]) -> None:
        self._live.update(self._text("\n".join(rows)), refresh=True)

    def stop(self) -> None:
        """Take the block off the screen. Idempotent."""
        with contextlib.suppress(OutputClosed):
            self._live.stop()

    def _text(self, line: str) -> RenderableType:
        """A Text object, never markup: brackets in a task's name are just brackets."""
        from rich.text import Text

        return Text(self._console.fitted(line))


class LimiterFigures:
    """The limiter's figures, not much older than a quarter of a second. For one thread."""

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


def bar(share: float, width: int) -> str:
    """A bar of at most 60 columns; share from 0 to 1."""
    columns = min(width, _BAR_COLUMNS)
    done = int(min(share, 1.0) * columns)
    return "━" * done + "─" * (columns - done)

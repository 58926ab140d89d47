"""The mechanics of showing a run while it goes on: a beat of its own, and a block of lines drawn again and again."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from utils.console import Console, OutputClosed
from utils.neutralise import neutralise
from utils.text_width import cell_width, rows_of

__all__ = ["REFRESH_SECONDS", "SELDOM_SECONDS", "Beat", "Figures", "RedrawnBlock", "bar", "foreign"]

T = TypeVar("T")

REFRESH_SECONDS: Final = 0.1
SELDOM_SECONDS: Final = 0.2  # where much goes on: the workers need the processor more than the screen does
_FIGURES_SECONDS: Final = 0.25
_BAR_COLUMNS: Final = 60
_WRAP_OFF: Final = "\x1b[?7l"
_WRAP_ON: Final = "\x1b[?7h"
# Terminals that, made narrower, break the lines that they show already.
_REFLOWING: Final = (
    "VTE_VERSION", "WT_SESSION", "TMUX", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "ALACRITTY_WINDOW_ID", "TERM_PROGRAM",
)  # fmt: skip


class Beat:
    """Calls step every so often in a thread of its own, and once more on leaving. A context manager.

    seconds says how often, anew each time. start is called before the first step and stop after the last, however
    the block ends; stop may be called twice. wake(), from any thread but never from a signal handler, has the next
    step come at once. An output that closes ends the beat and nothing else.
    """

    def __init__(
        self,
        step: Callable[[], object],
        *,
        start: Callable[[], object],
        stop: Callable[[], object],
        name: str,
        seconds: Callable[[], float] = lambda: REFRESH_SECONDS,
    ) -> None:
        self._step = step
        self._seconds = seconds
        self._start = start
        self._stop = stop
        self._due = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        self._due.set()
        try:
            self._thread.join()
        finally:
            self._stop()  # a second Ctrl-C may have cut the join short

    def wake(self) -> None:
        self._due.set()

    def _run(self) -> None:
        # A beat rather than a wake-up for each event: the workers need the processor more than the screen does.
        try:
            self._start()
            ended = False
            while not ended:
                self._due.wait(self._seconds())
                self._due.clear()
                ended = self._ended
                self._step()
        except OutputClosed:
            pass
        finally:
            self._stop()


class RedrawnBlock:
    """Lines at the bottom of a terminal that are drawn anew at each show(), with what print() writes above them.

    Only rows that differ are written, over the old ones and in one piece, so that nothing flickers. A row is cut at
    the screen's width, by us and, where the terminal draws a character wider than we count it, by the terminal. At
    most one row fewer than the screen has is drawn, the last ones. What print() was given goes out with the next
    show(), or with stop(). print and show are for one thread, stop for any.
    """

    def __init__(self, console: Console, *, environ: Mapping[str, str] | None = None) -> None:
        self._console = console
        self._rich = console.rich()
        self._reflows = any(name in (os.environ if environ is None else environ) for name in _REFLOWING)
        # Guards the fields below and the order of writes; held while one picture goes out.
        self._lock = threading.Lock()
        self._above: list[str] = []
        self._rows: list[str] = []
        self._columns = 0
        self._shown = False

    @property
    def width(self) -> int:
        """Columns; may change at any time."""
        return self._rich.width

    @property
    def most_rows(self) -> int:
        """How many rows can be drawn; may change at any time."""
        return max(self._rich.height - 1, 1)

    def start(self) -> None:
        with self._lock:
            self._shown = True
            self._rich.file.write("\x1b[?25l")

    def print(self, lines: list[str]) -> None:
        self._above += lines

    def show(self, rows: list[str]) -> None:
        columns, most = self._rich.size
        drawn = [self._cut(row, columns) for row in rows[-max(most - 1, 1) :]]
        with self._lock:
            if not self._shown:  # stopped, perhaps by another thread
                return
            anew = bool(self._above) or columns != self._columns or len(drawn) < len(self._rows)
            if not anew and drawn == self._rows:
                return
            head = self._cleared(columns) + self._taken_above() if anew else self._to_top(columns)
            body = _painted(drawn, [] if anew else self._rows, columns)
            self._rich.file.write(f"{head}{_WRAP_OFF}{body}{_WRAP_ON}")
            self._rows, self._columns = drawn, columns

    def stop(self) -> None:
        """Take the block off the screen. Idempotent."""
        with contextlib.suppress(OutputClosed), self._lock:
            if not self._shown:
                return
            self._shown = False
            self._rich.file.write(f"{self._cleared(self._rich.width)}{self._taken_above()}\x1b[?25h")

    def _cut(self, row: str, columns: int) -> str:
        """Encoded before it is measured: what stands in for a symbol may be wider."""
        return rows_of(self._console.encoding_safe(neutralise(row, keep_newlines=False)), columns)[0]

    def _taken_above(self) -> str:
        above, self._above = self._above, []
        return self._console.fitted("\n".join(above)) + "\n" if above else ""

    def _cleared(self, columns: int) -> str:
        return f"{self._to_top(columns)}\x1b[J"

    def _to_top(self, columns: int) -> str:
        """To the beginning of the block's first row, from the end of its last."""
        up = len(self._rows) - 1
        if self._reflows and columns < self._columns:
            up = sum(len(rows_of(row, columns)) for row in self._rows) - 1
        return f"\r\x1b[{up}A" if up > 0 else "\r"


class Figures(Generic[T]):
    """What read gives, not much older than a quarter of a second; None where it fails or is None. For one thread."""

    def __init__(self, read: Callable[[], T | None] | None) -> None:
        self._read = read
        self._latest: T | None = None
        self._next_at = -math.inf

    def latest(self, now: float) -> T | None:
        if self._read is not None and now >= self._next_at:
            self._next_at = now + _FIGURES_SECONDS
            self._latest = foreign(self._read)
        return self._latest


def foreign(read: Callable[[], T]) -> T | None:
    """What foreign code says; None where it fails: what it gets wrong must not end the drawing."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - foreign code may raise anything
        return None


def bar(share: float, width: int) -> str:
    """A bar of at most 60 columns; share from 0 to 1."""
    columns = min(width, _BAR_COLUMNS)
    done = int(min(share, 1.0) * columns)
    return "━" * done + "─" * (columns - done)


def _painted(rows: list[str], before: list[str], columns: int) -> str:
    """The rows from the first one's beginning on, over those before; there are no more of them than rows."""
    painted = []
    for number, row in enumerate(rows):
        if number < len(before) and before[number] == row:
            painted.append("")
        else:  # at the right edge there is nothing to erase, and some terminals would erase the last character
            painted.append(row if cell_width(row) >= columns else f"{row}\x1b[K")
    return "\n".join(painted)

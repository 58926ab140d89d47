"""A run's open tasks, a row for each: where it stands, since when, which attempt, what is asked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from core.events import (
    CallStarted,
    Event,
    LimiterWaiting,
    QuotaWaiting,
    RetryScheduled,
    TaskFinished,
    TaskQueued,
    TaskStarted,
)
from core.language import tr
from utils.text_width import cell_width, fit, one_line, pad

__all__ = ["ListedTask", "OpenTasks"]

_BETWEEN: Final = "  "
_STATE_CELLS: Final = 16
_ELAPSED_CELLS: Final = 8
_ATTEMPT_CELLS: Final = 7
_LEAST_QUESTION: Final = 12
_MOST_CHARACTERS: Final = 400  # of a question that are looked at: no screen shows more of it on one row


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A task that the run is going to have, under the number that the person knows it by."""

    number: int
    task_id: str
    name: str


class _Waits(Enum):
    FOR_QUOTA = auto()
    FOR_RETRY = auto()


@dataclass(slots=True)
class _Task:
    number: int
    name: str
    started_at: float | None = None
    attempt: int = 1
    waits: _Waits | None = None
    until: float = -math.inf
    beginning: str | None = None
    fitted: tuple[int, str] = (-1, "")

    def waiting(self, now: float) -> _Waits | None:
        return self.waits if self.until > now else None

    def elapsed(self, now: float) -> float:
        return 0.0 if self.started_at is None else max(now - self.started_at, 0.0)

    def question(self, cells: int) -> str:
        if self.beginning is None:
            self.beginning = one_line(self.name[:_MOST_CHARACTERS])
        if self.fitted[0] != cells:
            self.fitted = cells, fit(self.beginning, cells)
        return self.fitted[1]


class OpenTasks:
    """The tasks that have not ended, those that a worker has before those that are queued. Instants are monotonic.

    Tasks that nobody has listed are numbered as they come. take, rows and waiting are for one thread; task_id may be
    called by any.
    """

    def __init__(self, tasks: Iterable[ListedTask] = ()) -> None:
        self._queued = {task.task_id: _Task(task.number, task.name) for task in tasks}
        self._started: dict[str, _Task] = {}
        self._ids = {task.number: task_id for task_id, task in self._queued.items()}
        self._numbers = itertools.count(max(self._ids, default=0) + 1)
        self._digits = len(str(max(self._ids, default=0)))
        self._quota_until = -math.inf

    def take(self, event: Event, at: float) -> None:
        """Take in an event that happened at this instant."""
        match event:
            case TaskQueued(task_id=task_id, name=name):
                self._queue(task_id, name)
            case TaskStarted(task_id=task_id, name=name, at=started_at):
                self._start(task_id, name, started_at)
            case CallStarted(task_id=task_id, attempt=attempt):
                self._change(task_id, None, attempt=attempt)
            case LimiterWaiting(task_id=task_id):
                self._change(task_id, _Waits.FOR_QUOTA)
            case QuotaWaiting(task_id=task_id, until=until):
                self._quota_until = until
                self._change(task_id, _Waits.FOR_QUOTA, until)
            case RetryScheduled(task_id=task_id, attempt=attempt, delay=delay):
                self._change(task_id, _Waits.FOR_RETRY, at + delay, attempt + 1)
            case TaskFinished(outcome=outcome):
                self._finish(outcome.task_id)
            case _:
                pass

    def task_id(self, number: int) -> str | None:
        """The open task of that number."""
        return self._ids.get(number)

    def waiting(self, now: float) -> list[str]:
        """How many of the started ones wait, and for what, as facts."""
        kinds = [task.waiting(now) for task in self._started.values()]
        quota, retry = kinds.count(_Waits.FOR_QUOTA), kinds.count(_Waits.FOR_RETRY)
        facts = [tr("等限額 {count:,}", count=quota)] if quota else []
        return [*facts, tr("等重試 {count:,}", count=retry)] if retry else facts

    def rows(self, now: float, width: int, most: int) -> list[str]:
        """At most that many rows of at most width cells; where they are too few, the last one says so."""
        count = len(self._started) + len(self._queued)
        shown = count if count <= most else most - 1
        rows = [self._row(task, now, width) for task in itertools.islice(self._in_order(), max(shown, 0))]
        if most > 0 and count > shown:
            rows.append(fit(tr("… 另有 {count:,} 個", count=count - shown), width))
        return rows

    def slow_rows(self, now: float, width: int, most: int, *, seconds: float) -> list[str]:
        """Rows of those that were started first, where that is at least so many seconds ago."""
        first = itertools.islice(self._started.values(), max(most, 0))
        return [self._row(task, now, width) for task in first if task.elapsed(now) >= seconds]

    def _in_order(self) -> Iterator[_Task]:
        return itertools.chain(self._started.values(), self._queued.values())

    def _queue(self, task_id: str, name: str) -> None:
        if task_id not in self._started and task_id not in self._queued:
            task = self._queued[task_id] = _Task(next(self._numbers), name)
            self._known(task_id, task)

    def _start(self, task_id: str, name: str, at: float) -> None:
        task = self._queued.pop(task_id, None) or _Task(next(self._numbers), name)
        task.started_at = at
        self._started[task_id] = task
        self._known(task_id, task)

    def _known(self, task_id: str, task: _Task) -> None:
        self._ids[task.number] = task_id
        self._digits = max(self._digits, len(str(task.number)))

    def _finish(self, task_id: str) -> None:
        task = self._started.pop(task_id, None) or self._queued.pop(task_id, None)
        if task is not None:
            self._ids.pop(task.number, None)

    def _change(
        self, task_id: str, waits: _Waits | None, until: float = math.inf, attempt: int | None = None
    ) -> None:
        task = self._started.get(task_id)
        if task is not None:
            task.waits, task.until, task.attempt = waits, until, attempt or task.attempt

    def _state(self, task: _Task, now: float) -> str:
        if task.started_at is None:
            return tr("排隊")
        match task.waiting(now):
            case _Waits.FOR_RETRY:
                seconds = math.ceil(task.until - now)
                return tr("重試 {count} 等 {seconds:,} s", count=task.attempt - 1, seconds=seconds)
            case _Waits.FOR_QUOTA:
                until = self._quota_until if math.isinf(task.until) else task.until
                return tr("等限額 {seconds:,} s", seconds=math.ceil(until - now)) if until > now else tr("等限額")
            case _:
                return tr("詢問中")

    def _row(self, task: _Task, now: float, width: int) -> str:
        """Columns that the screen has no room for are left out, the question's last."""
        number, state = f"{task.number:>{max(self._digits, 2)}}", fit(self._state(task, now), _STATE_CELLS)
        queued = task.started_at is None
        elapsed = "" if queued else _seconds(task.elapsed(now))
        attempt = "" if queued else tr("第 {attempt} 次", attempt=task.attempt)
        columns = [number, pad(state, _STATE_CELLS), f"{elapsed:>{_ELAPSED_CELLS}}", pad(attempt, _ATTEMPT_CELLS)]
        while len(columns) > 2 and width - _taken(columns) < _LEAST_QUESTION:
            columns.pop()
        left = width - _taken(columns)
        if left < 2:
            return fit(f"{number} {state}", width)
        return _BETWEEN.join([*columns, task.question(left)]).rstrip()


def _taken(columns: Sequence[str]) -> int:
    """Cells that are no longer there for the question."""
    return sum(cell_width(column) + len(_BETWEEN) for column in columns)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 1000 else f"{seconds:,.0f} s"

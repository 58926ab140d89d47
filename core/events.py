"""What happens during a run, as plain values. The core is silent: whoever wants to show a run observes these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from core.errors import ErrorKind
from core.outcome import Outcome, RunReport

__all__ = [
    "BatchFinished",
    "BatchStarted",
    "CallStarted",
    "Event",
    "LimiterWaiting",
    "Observer",
    "QuotaWaiting",
    "RetryScheduled",
    "RunFinished",
    "RunStarted",
    "TaskFinished",
    "TaskQueued",
    "TaskStarted",
]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins; total is its number of tasks, None where the input is a stream of unknown length."""

    total: int | None
    at: float


@dataclass(frozen=True, slots=True)
class TaskQueued:
    """A task was read from the input and waits for a worker. What a run never read has only its TaskFinished."""

    task_id: str
    name: str
    at: float


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """A worker took a task."""

    task_id: str
    name: str
    at: float


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """A task has its outcome."""

    outcome: Outcome[Any]


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """An attempt failed and the next one starts in delay seconds; attempt counts from 1."""

    task_id: str
    attempt: int
    kind: ErrorKind
    delay: float


@dataclass(frozen=True, slots=True)
class LimiterWaiting:
    """An attempt has to wait for the limiter, from the monotonic instant at on, until its CallStarted or its end.

    Every attempt that waits says so for itself; until when is said once for all of them, by QuotaWaiting.
    """

    task_id: str
    at: float


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The provider is being asked, from the monotonic instant at on. attempt: of this task, from 1."""

    task_id: str
    attempt: int
    at: float


@dataclass(frozen=True, slots=True)
class QuotaWaiting:
    """The quota is used up; no call is made before the monotonic instant until. Told once for all who wait."""

    task_id: str
    until: float
    delay: float


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run is over."""

    report: RunReport[Any]


@dataclass(frozen=True, slots=True)
class BatchStarted:
    """The first item of a batch is about to be worked on; number counts from 1, total is None if unknown."""

    number: int
    total: int | None


@dataclass(frozen=True, slots=True)
class BatchFinished:
    """Every item of a batch has its outcome; seconds since its BatchStarted."""

    number: int
    total: int | None
    seconds: float


Event: TypeAlias = (
    RunStarted
    | TaskQueued
    | TaskStarted
    | TaskFinished
    | RetryScheduled
    | QuotaWaiting
    | LimiterWaiting
    | CallStarted
    | BatchStarted
    | BatchFinished
    | RunFinished
)

Observer: TypeAlias = Callable[[Event], object]
"""Any callable. It may be called from any thread; if it raises, the run goes on without noticing."""

"""One unit of work, and how its end is told: from value or exception to Outcome."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.errors import (
    DeadlineExceededError,
    ErrorKind,
    ModelError,
    OperationCancelledError,
    ParallelProcessingError,
    ScopeError,
    UsageError,
)
from core.events import TaskStarted
from core.language import tr
from core.outcome import MISSING, Missing, Outcome, OutcomeKind
from core.scope import Scope, call_shielded

__all__ = ["ParallelTask", "TaskHandle", "TaskSnapshot", "TaskState", "tell_all"]

_BLOCKED_KINDS = frozenset({ErrorKind.BLOCKED, ErrorKind.RECITATION})


@dataclass(slots=True)
class ParallelTask:
    """One unit of work: function(*args, **kwargs), which may take timeout seconds from the moment a worker has it.

    id is unique within a run. scoped=True passes the task's Scope to the function as the keyword argument scope,
    so that it can end in time; a function that does not look is left behind at its deadline.

    Raises UsageError for a timeout that is not positive.
    """

    id: str
    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] | None = None
    timeout: float = 30.0
    scoped: bool = False

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise UsageError(
                tr("任務 {task_id} 的 timeout 必須大於 0 秒, 收到 {timeout!r}", task_id=self.id, timeout=self.timeout)
            )
        if self.kwargs is None:
            self.kwargs = {}

    def call(self, scope: Scope) -> Any:
        kwargs = self.kwargs or {}
        return self.function(*self.args, **kwargs, scope=scope) if self.scoped else self.function(*self.args, **kwargs)


class TaskState(StrEnum):
    """Where a task is on its way."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class TaskSnapshot:
    """One task at one instant. elapsed: seconds since a worker took it, 0.0 while queued."""

    task_id: str
    name: str
    state: TaskState
    elapsed: float


class TaskHandle:
    """A submitted task. Its fields are the pool's: written under the pool's lock; outcome is written once.

    wake_at is the instant at which the pool must look at a running task again: its deadline (or an instant before
    it, where a pause has moved it), or, once it is overdue (its scope has ended), the end of its grace. admitted:
    the pool has counted it. abandoned: the pool has given up on its function.
    """

    __slots__ = (
        "__weakref__", "abandoned", "admitted", "on_done", "outcome", "overdue", "scope",
        "started_at", "submitted_at", "task", "wake_at",
    )  # fmt: skip

    def __init__(self, task: ParallelTask, scope: Scope, on_done: Callable[[Outcome[Any]], object]) -> None:
        self.task = task
        self.scope = scope
        self.on_done = on_done
        self.submitted_at = scope.now()
        self.started_at: float | None = None
        self.outcome: Outcome[Any] | None = None
        self.wake_at = scope.deadline
        self.admitted = False
        self.overdue = False
        self.abandoned = False

    @property
    def state(self) -> TaskState:
        if self.outcome is not None:
            return TaskState.FINISHED
        return TaskState.QUEUED if self.started_at is None else TaskState.RUNNING

    def snapshot(self) -> TaskSnapshot:
        elapsed = 0.0 if self.started_at is None else self.scope.now() - self.started_at
        return TaskSnapshot(self.task.id, self.task.name, self.state, elapsed)

    def run(self) -> Outcome[Any]:
        """Run the task's function and turn whatever it does into an outcome."""
        assert self.started_at is not None
        self.scope.emit(TaskStarted(self.task.id, self.task.name, self.started_at))
        try:
            return self._end(OutcomeKind.ANSWERED, value=self.task.call(self.scope))
        except BaseException as error:  # noqa: BLE001 - the one broad except: a task's failure, SystemExit included, is its outcome
            return self.failed(error)

    def tell(self) -> None:
        """Pass on the outcome, which has just been written; not for use under a lock."""
        self.scope.close()
        outcome = self.outcome
        assert outcome is not None
        call_shielded(functools.partial(self.on_done, outcome))

    def failed(self, error: BaseException) -> Outcome[Any]:
        """The outcome of a task that raised, or whose scope ended."""
        if isinstance(error, ScopeError):
            return self._ended_by(self.scope.cause or error)
        if not isinstance(error, ParallelProcessingError):
            name, text = type(error).__name__, _text_of(error)
            return self._end(OutcomeKind.FAILED, error, f"{name}: {text}" if text else name)
        return self._end(_kind_of(error), error, error.reason, error.advice)

    def _ended_by(self, cause: ScopeError) -> Outcome[Any]:
        if isinstance(cause, DeadlineExceededError):
            if self.started_at is None:
                advice = tr("請減少數量或延長期限後再執行")
                return self._end(OutcomeKind.NOT_RUN, cause, tr("整體期限已到, 尚未執行"), advice)
            seconds = min(self.task.timeout, max(self.scope.deadline - self.started_at, 0.0))
            reason = tr("逾時 {seconds:.3g} 秒", seconds=seconds)
            return self._end(OutcomeKind.TIMED_OUT, cause, reason, tr("請稍後再試, 或延長期限"))
        if isinstance(cause, OperationCancelledError):
            return self._end(OutcomeKind.CANCELLED, cause, tr("已取消"), tr("需要時請再執行一次"))
        return self._end(OutcomeKind.NOT_RUN, cause, cause.reason, cause.advice)

    def _end(
        self,
        kind: OutcomeKind,
        error: BaseException | None = None,
        reason: str = "",
        advice: str = "",
        *,
        value: Any | Missing = MISSING,
    ) -> Outcome[Any]:
        return Outcome(
            task_id=self.task.id,
            name=self.task.name,
            kind=kind,
            submitted_at=self.submitted_at,
            started_at=self.started_at,
            ended_at=self.scope.now(),
            value=value,
            error=error,
            reason=reason,
            advice=advice,
            figures=self.scope.trace.figures(),
        )


def tell_all(handles: list[TaskHandle]) -> None:
    """Pass on the outcomes of handles that have just got theirs; never under the lock."""
    for handle in handles:
        handle.tell()


def _text_of(error: BaseException) -> str:
    try:
        return str(error).strip()
    except Exception:  # noqa: BLE001 - a foreign __str__ that raises must not cost the task its outcome
        return ""


def _kind_of(error: ParallelProcessingError) -> OutcomeKind:
    if isinstance(error, ModelError):
        if error.kind in _BLOCKED_KINDS:
            return OutcomeKind.BLOCKED
        if error.kind is ErrorKind.TIMEOUT:
            return OutcomeKind.TIMED_OUT
    return OutcomeKind.FAILED

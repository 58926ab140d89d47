"""TaskLedger: what is queued, what is on a worker and what has ended, in counts that add up at every instant."""

from __future__ import annotations

import math
import threading
from collections import Counter, deque
from typing import Any, Final

from core.clock import Clock
from core.errors import DeadlineExceededError, OperationCancelledError
from core.language import tr
from core.outcome import ExecutorStatistics, Outcome, OutcomeKind
from core.task import TaskHandle, TaskSnapshot

__all__ = ["TaskLedger"]

_LEAST_LOOK: Final = 0.05  # seconds between two looks at a paused task: with next to nothing left it would be a spin


class TaskLedger:
    """The books of a TaskPool: every submitted task is queued, on a worker, or ended with its one outcome.

    Not thread-safe by itself: whoever calls a method or reads a field holds `lock`. Nothing here waits or calls
    what is not ours. queued and on_worker are for reading; on_worker keeps a function that outlives its outcome
    until it returns or is abandoned, grace seconds after its scope has ended.
    """

    def __init__(self, clock: Clock, grace: float) -> None:
        self._clock = clock
        self._grace = grace
        # Guards every field below, the handles' fields and the pool's own; held by the pool around each use of the
        # ledger, only for bookkeeping, never while a task, a callback or a scope's cancellation runs.
        self.lock = threading.Lock()
        self.room = threading.Condition(self.lock)  # submitters wait here for a place in the queue
        self.queued = 0  # handles in _queue that have no outcome yet
        self.on_worker: dict[TaskHandle, None] = {}
        self.workers = 0  # threads that take tasks; the pool counts them in and out, abandon() those that are stuck
        self._queue: deque[TaskHandle] = deque()
        self._submitted = 0
        self._started = 0  # of those that ended, how many a worker had
        self._ended: Counter[OutcomeKind] = Counter()
        self._task_seconds = 0.0

    def add(self, handle: TaskHandle) -> None:
        """Queue a task. Interrupted, it has either done all of it (handle.admitted) or nothing."""
        # A Ctrl-C can come out of any call, so none stands between these four.
        handle.admitted = True
        self.queued += 1
        self._submitted += 1
        self._queue.append(handle)

    def compact(self, most: int) -> None:
        """Keep the queue from growing beyond that length by handles that were cancelled while queued."""
        if len(self._queue) > most:
            self._queue = deque(waiting for waiting in self._queue if waiting.outcome is None)

    def next_alive(self, too_late: list[TaskHandle]) -> TaskHandle | None:
        """Take from the queue; what ended before a worker came goes to too_late instead."""
        while self._queue:
            handle = self._queue.popleft()
            if handle.outcome is not None:  # cancelled while it waited
                continue
            cause = handle.scope.cause
            if cause is None:
                return handle
            self.seal(handle, handle.failed(cause))
            too_late.append(handle)
        return None

    def begin(self, handle: TaskHandle) -> None:
        """Mark a task taken from the queue as running from now on; its own timeout starts here."""
        self.queued -= 1
        handle.started_at = self._clock.now()
        handle.scope.tighten(handle.task.timeout)
        handle.wake_at = handle.scope.deadline
        self.on_worker[handle] = None
        self.room.notify()

    def finish(self, handle: TaskHandle, outcome: Outcome[Any]) -> bool:
        """Its function came back. Returns whether this is the outcome: False if it has one already."""
        del self.on_worker[handle]
        return self.seal(handle, outcome)

    def abandon(self, handle: TaskHandle) -> bool:
        """Give up on a function that does not end, and free its place; returns whether it got its outcome here."""
        handle.abandoned = True
        self.workers -= 1
        return self.finish(handle, handle.failed(OperationCancelledError(tr("已取消"))))

    def cancelled(self, handle: TaskHandle) -> bool:
        """Its scope was cancelled: end it if queued, give it its grace if running. As seal() returns."""
        if handle.started_at is None:
            return self.seal(handle, handle.failed(OperationCancelledError(tr("已取消"))))
        now, deadline = self._clock.now(), handle.scope.deadline  # wake_at may lag behind that after a pause
        if now < deadline:  # else its deadline has come too, which end_overdue() ends with full grace
            handle.overdue = True
            handle.wake_at = min(deadline, now + self._grace)
        return False

    def end_overdue(self) -> tuple[list[TaskHandle], list[TaskHandle]]:
        """End what is past its deadline, abandon what is past its grace.

        Returns the handles whose scope is still to be cancelled, and those that got their outcome here.
        """
        now = self._clock.now()
        expired: list[TaskHandle] = []
        ended: list[TaskHandle] = []
        for handle in [handle for handle in self.on_worker if handle.wake_at <= now]:
            if handle.overdue:
                sealed = self.abandon(handle)
            elif (end := handle.scope.earliest_end()) > now:  # a pause has moved the deadline, or is going to
                handle.wake_at = max(end, now + _LEAST_LOOK)
                continue
            else:
                handle.overdue = True
                handle.wake_at = now + self._grace
                expired.append(handle)
                sealed = self.seal(handle, handle.failed(DeadlineExceededError(tr("期限已到"))))
            if sealed:
                ended.append(handle)
        return expired, ended

    def next_look(self) -> float:
        """The instant at which end_overdue() has something to do; math.inf if none will."""
        return min((handle.wake_at for handle in self.on_worker), default=math.inf)

    def seal(self, handle: TaskHandle, outcome: Outcome[Any]) -> bool:
        """Write the outcome unless there is one, or the handle was never added. Returns whether this call wrote it."""
        if handle.outcome is not None or not handle.admitted:
            return False
        seconds = outcome.run_seconds
        self._ended[outcome.kind] += 1
        handle.outcome = outcome
        self._task_seconds += seconds
        if handle.started_at is not None:
            self._started += 1
            return True
        self.queued -= 1
        self.room.notify()
        return True

    def refuse(self, outcome: Outcome[Any]) -> None:
        """Count a task that was ended without being queued."""
        self._ended[outcome.kind] += 1
        self._submitted += 1

    def alive(self) -> list[TaskHandle]:
        """Queued, then running: in this order their cancellation starts nothing."""
        return [handle for handle in (*self._queue, *self.on_worker) if handle.outcome is None]

    def snapshots(self) -> tuple[TaskSnapshot, ...]:
        """Running, then queued."""
        handles = (*self.on_worker, *self._queue)
        return tuple(handle.snapshot() for handle in handles if handle.outcome is None)

    def statistics(self) -> ExecutorStatistics:
        """Counts of which submitted is the sum; wall_seconds is left to whoever knows the runs."""
        return ExecutorStatistics(
            submitted=self._submitted,
            queued=self.queued,
            running=sum(handle.outcome is None for handle in self.on_worker),
            task_seconds=self._task_seconds,
            started=self._started,
            **{kind.value: self._ended[kind] for kind in OutcomeKind},
        )

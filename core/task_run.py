"""TaskRun: one run on a pool, from its input to the last outcome."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from core.errors import DeadlineExceededError, DuplicateTaskError, ModelError, NotRunError, PoolClosedError, ScopeError
from core.events import TaskFinished, TaskQueued
from core.language import tr
from core.outcome import Outcome
from core.scope import Scope
from core.task import ParallelTask
from core.task_pool import TaskPool

__all__ = ["TaskRun", "duplicate"]


class TaskRun:
    """One run: feeds the pool, collects outcomes, and ends all of it together.

    Used by one thread, once; look_again() is for any.
    """

    def __init__(self, pool: TaskPool, scope: Scope) -> None:
        self._pool = pool
        self._scope = scope.child()
        self._inbox: deque[tuple[int, Outcome[Any]]] = deque()
        # Guards nothing but the wait: workers append to _inbox (atomic) and notify, this run's thread waits.
        # Entered as the bare lock: Condition.__enter__ is Python code, and a Ctrl-C in it would keep the lock.
        self._arrival_lock = threading.Lock()
        self._arrival = threading.Condition(self._arrival_lock)
        self._under_way: set[str] = set()
        self._nudged = False

    def outcomes(
        self, tasks: Iterable[ParallelTask], *, drain_input: bool = True
    ) -> Iterator[tuple[int, Outcome[Any]]]:
        """Yield every outcome once. drain_input: give an outcome to every task of the input, come what may."""
        source = enumerate(tasks)
        try:
            while self._feed(source) or self._under_way:
                yield from self._collect()
            if drain_input:
                for index, task in source:
                    outcome = self._refuse(task)
                    self._scope.emit(TaskFinished(outcome))
                    yield index, outcome
        finally:
            self._scope.cancel()
            self._scope.close()

    def look_again(self) -> None:
        """The pool's size has changed: it may take more now than when it was last fed. Any thread."""
        with self._arrival_lock:
            self._nudged = True
            self._arrival.notify()

    def _feed(self, source: Iterator[tuple[int, ParallelTask]]) -> bool:
        """Submit tasks up to the window; False once there is nothing more to submit.

        The window is also what bounds the queue in a pause, when the pool makes nobody wait for a place.
        """
        self._nudged = False  # before the look at the pool's size
        window = self._pool.max_workers + self._pool.queue_capacity
        while len(self._under_way) < window and not self._scope.ended:
            index, task = next(source, (None, None))
            if index is None or task is None:
                return False
            self._submit(index, task)
        return not self._scope.ended

    def _submit(self, index: int, task: ParallelTask) -> None:
        if task.id in self._under_way:
            raise duplicate(task.id)
        self._under_way.add(task.id)
        if self._scope.observer is not None:  # a long run that nobody watches does not pay for it
            self._scope.emit(TaskQueued(task.id, task.name, self._scope.now()))
        try:
            self._pool.submit(task, lambda outcome: self._deliver(index, outcome), scope=self._scope)
        except PoolClosedError as error:
            self._scope.cancel(NotRunError(str(error), error))
            self._deliver(index, self._refuse(task))
        except ScopeError:
            self._deliver(index, self._refuse(task))

    def _refuse(self, task: ParallelTask) -> Outcome[Any]:
        cause = self._scope.cause
        assert cause is not None
        return self._pool.refuse(task, cause, scope=self._scope)

    def _deliver(self, index: int, outcome: Outcome[Any]) -> None:
        error = outcome.error
        if isinstance(error, ModelError) and error.stops_run:  # here, in the worker: the next one may already be asking
            self._scope.cancel(NotRunError(tr("{reason}; 其餘未執行", reason=error.reason), error))
        self._inbox.append((index, outcome))
        with self._arrival_lock:
            self._arrival.notify()

    def _collect(self) -> Iterator[tuple[int, Outcome[Any]]]:
        """Wait for at least one outcome (or the run's deadline, or a nudge) and yield all that have arrived."""
        with self._arrival_lock:
            while self._under_way and not (self._inbox or self._nudged or self._past_deadline()):
                left = self._scope.deadline - self._scope.now()
                patience = None if self._scope.cancelled or math.isinf(left) else left
                self._scope.clock.wait(self._arrival, patience)
        if self._past_deadline():
            self._scope.cancel(DeadlineExceededError(tr("整體期限已到")))
        while self._inbox:
            index, outcome = self._inbox.popleft()
            self._under_way.remove(outcome.task_id)
            self._scope.emit(TaskFinished(outcome))
            yield index, outcome

    def _past_deadline(self) -> bool:
        return not self._scope.cancelled and self._scope.now() >= self._scope.deadline


def duplicate(task_id: str) -> DuplicateTaskError:
    """The error for two tasks of one id."""
    return DuplicateTaskError(tr("有兩個任務的編號都是 {task_id!r}, 每個任務的編號必須不同", task_id=task_id))

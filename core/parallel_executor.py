"""ParallelExecutor: many tasks side by side, each with exactly one outcome, none able to hold up the others."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypedDict

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import DeadlineExceededError, DuplicateTaskError, ModelError, NotRunError, PoolClosedError, ScopeError
from core.events import RunFinished, RunStarted, TaskFinished
from core.outcome import ExecutorStatistics, Outcome, RunReport
from core.scope import Scope
from core.task import ParallelTask, TaskSnapshot
from core.task_pool import TaskPool

__all__ = ["ExecutionResult", "ExecutorStats", "ParallelExecutor", "ParallelTask"]


class ExecutionResult(TypedDict):
    """One run as a dict; times in seconds, rates 0..1."""

    success: bool
    results: dict[str, Any]
    errors: dict[str, str]
    execution_time: float
    tasks_count: int
    success_rate: float


class ExecutorStats(TypedDict):
    """The executor's life as a dict. total_time: wall clock of all runs; average_time: mean of the tasks' own."""

    total_tasks: int
    successful_tasks: int
    failed_tasks: int
    total_time: float
    success_rate: float
    average_time: float


class ParallelExecutor:
    """Runs tasks on max_workers threads and tells how each ended. Thread-safe: several runs may share it.

    A run ends when every task has its outcome. A task that fails, hangs or is cancelled does not touch the
    others; a ModelError that concerns the whole run (stops_run) ends it, and what was not asked is not_run.
    Interrupting the thread that waits (KeyboardInterrupt) cancels the run. close() parts from the threads.

    Raises UsageError for a max_workers that cannot be.
    """

    def __init__(self, max_workers: int = 5, *, clock: Clock = SYSTEM_CLOCK, queue_capacity: int | None = None) -> None:
        self._clock = clock
        self._pool = TaskPool(max_workers, clock=clock, queue_capacity=queue_capacity)
        # Guards _wall_seconds; held by a run for its one addition, and by readers.
        self._lock = threading.Lock()
        self._wall_seconds = 0.0

    @property
    def max_workers(self) -> int:
        return self._pool.max_workers

    def execute_parallel(self, tasks: Iterable[ParallelTask], *, scope: Scope | None = None) -> ExecutionResult:
        """Run the tasks and wait for all of them. An empty input is a success.

        Raises DuplicateTaskError, before anything runs, if two tasks share an id.
        """
        report: RunReport[Any] = self.run(tasks, scope=scope)
        return ExecutionResult(
            success=report.all_answered,
            results={outcome.task_id: outcome.value for outcome in report.outcomes if outcome.answered},
            errors={outcome.task_id: outcome.reason for outcome in report.outcomes if not outcome.answered},
            execution_time=report.wall_seconds,
            tasks_count=len(report.outcomes),
            success_rate=report.success_rate,
        )

    def run(self, tasks: Iterable[ParallelTask], *, scope: Scope | None = None) -> RunReport[Any]:
        """As execute_parallel, with the whole outcomes in input order. The scope's deadline is the run's."""
        todo = list(tasks)
        _check_ids(todo)
        scope = scope or Scope(clock=self._clock)
        started_at = self._clock.now()
        scope.emit(RunStarted(len(todo), started_at))
        outcomes: list[Outcome[Any] | None] = [None] * len(todo)
        for index, outcome in _Run(self._pool, scope).outcomes(todo):
            outcomes[index] = outcome
        report = RunReport(tuple(outcome for outcome in outcomes if outcome is not None), started_at, self._clock.now())
        self._add_wall(report.wall_seconds)
        scope.emit(RunFinished(report))
        return report

    def stream(
        self, tasks: Iterable[ParallelTask], *, scope: Scope | None = None, drain_input: bool = False
    ) -> Iterator[tuple[int, Outcome[Any]]]:
        """Yield (position in the input, outcome) as tasks end; reads the input no further ahead than it must.

        For inputs too long to hold. When the scope ends, what has been read gets its outcome; the rest of the
        input stays unread, or with drain_input is read and ended as not run. Closing the iterator early cancels
        what is under way. Raises DuplicateTaskError if two tasks under way share an id.
        """
        scope = scope or Scope(clock=self._clock)
        started_at = self._clock.now()
        try:
            yield from _Run(self._pool, scope).outcomes(tasks, drain_input=drain_input)
        finally:
            self._add_wall(self._clock.now() - started_at)

    def statistics(self) -> ExecutorStatistics:
        """Counts over the executor's life that add up at every instant."""
        with self._lock:
            return dataclasses.replace(self._pool.statistics(), wall_seconds=self._wall_seconds)

    def get_stats(self) -> ExecutorStats:
        """The statistics as a dict; success_rate is over finished tasks, average_time over their own durations."""
        statistics = self.statistics()
        return ExecutorStats(
            total_tasks=statistics.submitted,
            successful_tasks=statistics.answered,
            failed_tasks=statistics.unanswered,
            total_time=statistics.wall_seconds,
            success_rate=statistics.success_rate,
            average_time=statistics.mean_task_seconds,
        )

    def in_flight(self) -> tuple[TaskSnapshot, ...]:
        """The tasks running and queued at this instant."""
        return self._pool.in_flight()

    def resize(self, max_workers: int) -> None:
        """Change the number of workers, also during a run."""
        self._pool.resize(max_workers)

    def close(self, *, timeout: float = 5.0) -> None:
        """Cancel what is under way and part from the threads, waiting for them timeout seconds at most."""
        self._pool.shutdown(timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add_wall(self, seconds: float) -> None:
        with self._lock:
            self._wall_seconds += seconds


class _Run:
    """One run: feeds the pool, collects outcomes, and ends all of it together. Used by one thread, once."""

    def __init__(self, pool: TaskPool, scope: Scope) -> None:
        self._pool = pool
        self._scope = scope.child()
        self._inbox: deque[tuple[int, Outcome[Any]]] = deque()
        # Guards nothing but the wait: workers append to _inbox (atomic) and notify, this run's thread waits.
        # Entered as the bare lock: Condition.__enter__ is Python code, and a Ctrl-C in it would keep the lock.
        self._arrival_lock = threading.Lock()
        self._arrival = threading.Condition(self._arrival_lock)
        self._under_way: set[str] = set()

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

    def _feed(self, source: Iterator[tuple[int, ParallelTask]]) -> bool:
        """Submit tasks up to the window; False once there is nothing more to submit."""
        window = self._pool.max_workers + self._pool.queue_capacity
        while len(self._under_way) < window and not self._scope.ended:
            index, task = next(source, (None, None))
            if index is None or task is None:
                return False
            self._submit(index, task)
        return not self._scope.ended

    def _submit(self, index: int, task: ParallelTask) -> None:
        if task.id in self._under_way:
            raise _duplicate(task.id)
        self._under_way.add(task.id)
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
            self._scope.cancel(NotRunError(f"{error.reason}; 其餘未執行", error))
        self._inbox.append((index, outcome))
        with self._arrival_lock:
            self._arrival.notify()

    def _collect(self) -> Iterator[tuple[int, Outcome[Any]]]:
        """Wait for at least one outcome (or the run's deadline) and yield all that have arrived."""
        with self._arrival_lock:
            while self._under_way and not self._inbox and not self._past_deadline():
                left = self._scope.deadline - self._scope.now()
                patience = None if self._scope.cancelled or math.isinf(left) else left
                self._scope.clock.wait(self._arrival, patience)
        if self._past_deadline():
            self._scope.cancel(DeadlineExceededError("整體期限已到"))
        while self._inbox:
            index, outcome = self._inbox.popleft()
            self._under_way.remove(outcome.task_id)
            self._scope.emit(TaskFinished(outcome))
            yield index, outcome

    def _past_deadline(self) -> bool:
        return not self._scope.cancelled and self._scope.now() >= self._scope.deadline


def _check_ids(tasks: list[ParallelTask]) -> None:
    seen: set[str] = set()
    for task in tasks:
        if task.id in seen:
            raise _duplicate(task.id)
        seen.add(task.id)


def _duplicate(task_id: str) -> DuplicateTaskError:
    return DuplicateTaskError(f"有兩個任務的編號都是 {task_id!r}, 每個任務的編號必須不同")

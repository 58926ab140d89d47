"""ParallelExecutor: many tasks side by side, each with exactly one outcome, none able to hold up the others."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypedDict

from core.clock import SYSTEM_CLOCK, Clock
from core.events import RunFinished, RunStarted
from core.outcome import ExecutorStatistics, Outcome, RunReport
from core.scope import Scope
from core.task import ParallelTask, TaskSnapshot
from core.task_pool import TaskPool
from core.task_run import TaskRun, duplicate

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
    pause(), resume(), resize() and cancel_task() steer it from other threads while runs go on.

    Raises UsageError for a max_workers that cannot be.
    """

    def __init__(self, max_workers: int = 5, *, clock: Clock = SYSTEM_CLOCK, queue_capacity: int | None = None) -> None:
        self._clock = clock
        self._pool = TaskPool(max_workers, clock=clock, queue_capacity=queue_capacity)
        # Guards the two below; held by a run as it begins and ends, by resize() to copy, and by readers.
        self._lock = threading.Lock()
        self._wall_seconds = 0.0
        self._runs: set[TaskRun] = set()

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
        for index, outcome in self._outcomes(todo, scope):
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
            yield from self._outcomes(tasks, scope, drain_input=drain_input)
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
        """Change the number of workers, also during a run: more begin at once, too many end with their task."""
        self._pool.resize(max_workers)
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            run.look_again()

    @property
    def paused(self) -> bool:
        return self._pool.paused

    def pause(self) -> None:
        """From when this returns until resume(), no task begins, of whatever run; what is in flight goes on.

        A pause ends nothing by itself: a task's timeout begins when a worker takes it, so those that are queued wait
        as long as the pause lasts. The deadline of a run (its scope's) does not stand still: run, execute_parallel
        and stream end at it, paused or not, and what was queued is not run. Cancelling a run's scope and close()
        end it as ever. Idempotent.
        """
        self._pool.pause()

    def resume(self) -> None:
        """End the pause; does nothing where there is none."""
        self._pool.resume()

    def cancel_task(self, task_id: str) -> bool:
        """Cancel one task and let the run go on; False where no task of that id is open.

        A queued task is CANCELLED at once. A running one has its scope cancelled, so that a call in flight ends, and
        is CANCELLED when its function comes back, or after a short grace; what it returns within the grace counts.
        A task that its run has not read from the input yet (no TaskQueued so far) is not open. Where several runs
        that share the executor have a task of that id open, all of these are cancelled.
        """
        return self._pool.cancel_task(task_id)

    def close(self, *, timeout: float = 5.0) -> None:
        """Cancel what is under way and part from the threads, waiting for them timeout seconds at most."""
        self._pool.shutdown(timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _outcomes(
        self, tasks: Iterable[ParallelTask], scope: Scope, *, drain_input: bool = True
    ) -> Iterator[tuple[int, Outcome[Any]]]:
        run = TaskRun(self._pool, scope)
        try:
            with self._lock:
                self._runs.add(run)
            yield from run.outcomes(tasks, drain_input=drain_input)
        finally:
            with self._lock:
                self._runs.discard(run)

    def _add_wall(self, seconds: float) -> None:
        with self._lock:
            self._wall_seconds += seconds


def _check_ids(tasks: list[ParallelTask]) -> None:
    seen: set[str] = set()
    for task in tasks:
        if task.id in seen:
            raise duplicate(task.id)
        seen.add(task.id)

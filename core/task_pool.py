"""TaskPool: a bounded queue in front of ThreadPoolExecutor workers, with deadlines that hold for any function."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable
from typing import Any

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import DeadlineExceededError, OperationCancelledError, PoolClosedError, ScopeError, UsageError
from core.language import tr
from core.outcome import ExecutorStatistics, Outcome
from core.scope import Scope
from core.task import ParallelTask, TaskHandle, TaskSnapshot, tell_all
from core.task_ledger import TaskLedger
from core.worker_threads import WorkerThreads, check_workers

__all__ = ["TaskPool"]


class TaskPool:
    """Runs submitted tasks on at most max_workers threads at once, first come first served. Thread-safe.

    - submit() waits while queue_capacity tasks are queued, so that a long input is never a list of futures; in a
      pause, when no place would come, it does not: then whoever submits sees to a bound, as a run does with its own.
    - Every task gets exactly one Outcome, told once to its on_done, from whichever thread ended it.
    - A running task is ended at its deadline, as pauses have moved it, whatever its function does. A function still
      busy grace seconds after that (or after its cancellation) is abandoned: its place is given to another thread,
      and neither shutdown nor the interpreter's exit waits for it.
    - No thread works while nothing is queued or running; in a pause only those that were at work when it began.
      Where the machine gives no more threads, max_workers falls to the number it gave.

    A supervisor thread starts the workers, which take tasks until there are none, and watches the deadlines.
    """

    def __init__(
        self,
        max_workers: int = 5,
        *,
        queue_capacity: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
        grace: float = 0.2,
    ) -> None:
        check_workers(max_workers)
        if queue_capacity is not None and queue_capacity < 1:
            raise UsageError(tr("queue_capacity 必須至少為 1, 收到 {value}", value=queue_capacity))
        self._clock = clock
        self._capacity = queue_capacity
        self._threads = WorkerThreads()
        self._ledger = TaskLedger(clock, grace)
        self._lock = self._ledger.lock  # guards every field below too; nothing foreign is called while it is held
        self._wake = threading.Condition(self._lock)  # the supervisor waits here for work or the next deadline
        self._quiet = threading.Condition(self._lock)  # shutdown waits here for the last worker and the supervisor
        self._max_workers = max_workers
        self._next_wake = math.inf
        self._supervised = self._closed = self._paused = False

    @property
    def max_workers(self) -> int:
        return self._max_workers

    @property
    def queue_capacity(self) -> int:
        return max(64, 2 * self._max_workers) if self._capacity is None else self._capacity

    @property
    def paused(self) -> bool:
        return self._paused

    def submit(self, task: ParallelTask, on_done: Callable[[Outcome[Any]], object], *, scope: Scope) -> TaskHandle:
        """Queue a task; waits while the queue is full and no pause is on.

        on_done must not block; what it raises is logged and goes no further. Raises PoolClosedError after
        shutdown, and the scope's ScopeError if it ends while waiting for a place; there is no outcome then.
        """
        handle: TaskHandle | None = None
        try:
            with self._lock:
                scope.wait_for(self._ledger.room, self._takes_more)
                if self._closed:
                    raise PoolClosedError(tr("任務池已關閉, 不再接受任務"))
                self._ledger.compact(2 * self.queue_capacity)
                handle = TaskHandle(task, scope.child(task_id=task.id), on_done)
                self._ledger.add(handle)
            self._watch(handle)
        except BaseException:  # Ctrl-C, or no thread to be had: what the caller will not know of must not run
            if handle is not None:
                handle.scope.cancel()
                self._scope_cancelled(handle)
            raise
        return handle

    def _takes_more(self) -> bool:
        """Whether submit() has nothing to wait for; needs the lock."""
        return self._closed or self._paused or self._ledger.queued < self.queue_capacity

    def _watch(self, handle: TaskHandle) -> None:
        """See to it that the handle's cancellation is noticed and that a supervisor is there."""
        handle_ref = weakref.ref(handle)  # a callback that held the handle would be a cycle, kept until the next gc
        handle.scope.on_cancel(lambda: self._scope_cancelled(handle_ref()))
        with self._lock:
            supervised = self._supervised
            if self._ledger.workers < self._max_workers:
                self._wake.notify()
        if not supervised:
            threading.Thread(target=self._supervise, name="task-pool-supervisor", daemon=True).start()

    def refuse(self, task: ParallelTask, error: ScopeError, *, scope: Scope) -> Outcome[Any]:
        """Count and end a task that is not going to be queued, because its run has ended."""
        outcome = TaskHandle(task, scope, lambda outcome: None).failed(error)
        with self._lock:
            self._ledger.refuse(outcome)
        return outcome

    def cancel(self, handle: TaskHandle) -> bool:
        """Cancel one task; False if it already has its outcome."""
        if handle.outcome is not None:
            return False
        handle.scope.cancel(OperationCancelledError(tr("已取消")))
        return True

    def cancel_task(self, task_id: str) -> bool:
        """Cancel every open task of that id, each as cancel() does; False if there is none."""
        with self._lock:
            handles = [handle for handle in self._ledger.alive() if handle.task.id == task_id]
        return sum(self.cancel(handle) for handle in handles) > 0

    def cancel_all(self) -> int:
        """Cancel everything queued and running; returns how many tasks that were."""
        with self._lock:
            handles = self._ledger.alive()
        return sum(self.cancel(handle) for handle in handles)

    def resize(self, max_workers: int) -> None:
        """Change the number of workers, also while tasks run; surplus workers leave after their task."""
        check_workers(max_workers)
        with self._lock:
            self._max_workers = max_workers
            self._wake.notify()
            self._ledger.room.notify_all()

    def pause(self) -> None:
        """No queued task begins any more until resume(); what is running goes on. Idempotent.

        Cancellation and shutdown reach the queued as ever. A deadline that a queued task brings with it is noticed
        when the pause is over. Who waits for a place in the queue goes on, to take what is in flight as it ends.
        """
        with self._lock:
            self._paused = True
            self._ledger.room.notify_all()

    def resume(self) -> None:
        """End a pause, if there is one."""
        with self._lock:
            self._paused = False
            self._wake.notify()

    def in_flight(self) -> tuple[TaskSnapshot, ...]:
        """The tasks that are running and those that are queued, in this order, at one instant."""
        with self._lock:
            return self._ledger.snapshots()

    def statistics(self) -> ExecutorStatistics:
        """Counts that add up at any instant; wall_seconds is left to whoever knows the runs."""
        with self._lock:
            return self._ledger.statistics()

    def shutdown(self, *, timeout: float = 5.0) -> None:
        """Take no more tasks, cancel what is queued and running, and part from the threads.

        Waits up to timeout seconds for the workers to come back; with timeout 0, or for those that do not
        come, the functions are abandoned. Idempotent.
        """
        with self._lock:
            self._closed = True
            self._ledger.room.notify_all()
        self.cancel_all()
        give_up = self._clock.now() + timeout
        with self._lock:
            while self._ledger.workers or self._supervised:
                left = give_up - self._clock.now()
                if left <= 0:
                    break
                self._clock.wait(self._quiet, left)
            ended = [handle for handle in list(self._ledger.on_worker) if self._ledger.abandon(handle)]
            self._wake.notify()
        tell_all(ended)
        self._threads.shutdown()  # a worker just asked for still comes, finds nothing and signs off

    # The supervisor: starts workers, ends what is overdue, leaves when there is nothing to watch.

    def _supervise(self) -> None:
        with self._lock:
            if self._supervised:  # two submitters each started one
                return
            self._supervised = True
        while True:
            with self._lock:
                expired, ended = self._ledger.end_overdue()
                missing = self._missing()
                self._ledger.workers += missing
                if not (missing or ended):
                    if not self._ledger.queued and not self._ledger.on_worker:
                        self._supervised = False
                        self._quiet.notify_all()
                        return
                    self._next_wake = self._ledger.next_look()
                    self._clock.wait(self._wake, self._next_wake - self._clock.now())
                    continue
            for handle in expired:
                handle.scope.cancel(DeadlineExceededError(tr("期限已到")))
            tell_all(ended)
            self._start_workers(missing)

    def _missing(self) -> int:
        """How many more workers have something to do; needs the lock."""
        return 0 if self._paused else max(min(self._max_workers - self._ledger.workers, self._ledger.queued), 0)

    def _start_workers(self, count: int) -> None:
        """Where fewer come, go on with the workers there are, so as not to ask for more in a loop."""
        missing = count - self._threads.start(count, self._work, self._sign_off)
        if not missing:
            return
        with self._lock:
            self._ledger.workers -= missing
            if workers := self._ledger.workers:
                self._max_workers = min(self._max_workers, workers)
        if not workers:
            self.cancel_all()  # nobody will work

    # A worker: takes tasks until there are none.

    def _work(self) -> None:
        while (handle := self._take()) is not None:
            outcome = handle.run()
            with self._lock:
                if handle.abandoned:
                    return
                ended = [handle] if self._ledger.finish(handle, outcome) else []
            tell_all(ended)

    def _take(self) -> TaskHandle | None:
        """The next task to run; None, and the worker's place is free again, where there is none, or none for it."""
        too_late: list[TaskHandle] = []
        with self._lock:
            stays = self._ledger.workers <= self._max_workers and not self._paused
            handle = self._ledger.next_alive(too_late) if stays else None
            if handle is None:
                self._free_place()
            else:
                self._ledger.begin(handle)
                if handle.wake_at < self._next_wake:
                    self._wake.notify()
        tell_all(too_late)
        return handle

    def _sign_off(self) -> None:
        with self._lock:
            self._free_place()

    def _free_place(self) -> None:
        """A worker leaves; needs the lock."""
        self._ledger.workers -= 1
        self._wake.notify()
        self._quiet.notify_all()

    def _scope_cancelled(self, handle: TaskHandle | None) -> None:
        """The handle's scope was cancelled, by whomever; None: it is long gone."""
        if handle is None:
            return
        with self._lock:
            ended = [handle] if self._ledger.cancelled(handle) else []
            self._wake.notify()
        tell_all(ended)

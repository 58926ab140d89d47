"""TaskPool: a bounded queue in front of ThreadPoolExecutor workers, with deadlines that hold for any function."""

from __future__ import annotations

import concurrent.futures.thread as _futures_thread
import functools
import math
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import DeadlineExceededError, OperationCancelledError, PoolClosedError, ScopeError, UsageError
from core.events import TaskStarted
from core.outcome import ExecutorStatistics, Outcome, OutcomeKind
from core.scope import Scope, call_shielded
from core.task import ParallelTask, TaskHandle, TaskSnapshot

__all__ = ["TaskPool"]

_MOST_THREADS: Final = 10_000  # workers plus abandoned ones; a pool that gets there is leaking stuck functions


class TaskPool:
    """Runs submitted tasks on at most max_workers threads at once, first come first served. Thread-safe.

    - submit() waits while queue_capacity tasks are queued, so that a long input is never a list of futures.
    - Every task gets exactly one Outcome, told once to its on_done, from whichever thread ended it.
    - A running task is ended at its deadline whatever its function does. A function that is still busy grace
      seconds after that (or after its cancellation) is abandoned: its place is given to another thread, and
      neither shutdown nor the interpreter's exit waits for it.
    - No thread works while nothing is queued or running. Where the machine gives no more threads, max_workers
      falls to the number it gave.

    The threads come from one ThreadPoolExecutor. Each takes tasks from this pool's queue until it is empty; a
    supervisor thread starts them and watches the deadlines.
    """

    def __init__(
        self,
        max_workers: int = 5,
        *,
        queue_capacity: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
        grace: float = 0.2,
    ) -> None:
        _check_workers(max_workers)
        if queue_capacity is not None and queue_capacity < 1:
            raise UsageError(f"queue_capacity 必須至少為 1, 收到 {queue_capacity}")
        self._clock = clock
        self._grace = grace
        self._capacity = queue_capacity
        # Guards every field below and the handles' fields; held only for bookkeeping, never while a task,
        # a callback or a scope's cancellation runs.
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)  # submitters wait here for a place in the queue
        self._wake = threading.Condition(self._lock)  # the supervisor waits here for work or the next deadline
        self._quiet = threading.Condition(self._lock)  # shutdown waits here for the last worker and the supervisor
        self._max_workers = max_workers
        self._queue: deque[TaskHandle] = deque()
        self._queued = 0  # handles in _queue that have no outcome yet
        self._on_worker: dict[TaskHandle, None] = {}
        self._workers = 0
        self._next_wake = math.inf
        self._supervised = False
        self._closed = False
        self._submitted = 0
        self._started = 0  # of those that ended, how many a worker had
        self._ended: Counter[OutcomeKind] = Counter()
        self._task_seconds = 0.0
        self._threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="task-pool")

    @property
    def max_workers(self) -> int:
        return self._max_workers

    @property
    def queue_capacity(self) -> int:
        return max(64, 2 * self._max_workers) if self._capacity is None else self._capacity

    def submit(self, task: ParallelTask, on_done: Callable[[Outcome[Any]], object], *, scope: Scope) -> TaskHandle:
        """Queue a task; waits while the queue is full.

        on_done must not block; what it raises is logged and goes no further. Raises PoolClosedError after
        shutdown, and the scope's ScopeError if it ends while waiting for a place; there is no outcome then.
        """
        handle: TaskHandle | None = None
        try:
            with self._lock:
                scope.wait_for(self._room, lambda: self._closed or self._queued < self.queue_capacity)
                if self._closed:
                    raise PoolClosedError("任務池已關閉, 不再接受任務")
                if len(self._queue) > 2 * self.queue_capacity:  # mostly handles that were cancelled while queued
                    self._queue = deque(waiting for waiting in self._queue if waiting.outcome is None)
                handle = TaskHandle(task, scope.child(task_id=task.id), on_done)
                # A Ctrl-C can come out of any call, so none stands between these three.
                self._queued += 1
                self._submitted += 1
                self._queue.append(handle)
            self._watch(handle)
        except BaseException:  # Ctrl-C, or no thread to be had: what the caller will not know of must not run
            if handle is not None:
                handle.scope.cancel()
                self._scope_cancelled(handle)
            raise
        return handle

    def _watch(self, handle: TaskHandle) -> None:
        """See to it that the handle's cancellation is noticed and that a supervisor is there."""
        handle_ref = weakref.ref(handle)  # a callback that held the handle would be a cycle, kept until the next gc
        handle.scope.on_cancel(lambda: self._scope_cancelled(handle_ref()))
        with self._lock:
            supervised = self._supervised
            if self._workers < self._max_workers:
                self._wake.notify()
        if not supervised:
            threading.Thread(target=self._supervise, name="task-pool-supervisor", daemon=True).start()

    def refuse(self, task: ParallelTask, error: ScopeError, *, scope: Scope) -> Outcome[Any]:
        """Count and end a task that is not going to be queued, because its run has ended."""
        handle = TaskHandle(task, scope, lambda outcome: None)
        outcome = handle.failed(error)
        with self._lock:
            self._ended[outcome.kind] += 1
            self._submitted += 1
        return outcome

    def cancel(self, handle: TaskHandle) -> bool:
        """Cancel one task; False if it already has its outcome."""
        if handle.outcome is not None:
            return False
        handle.scope.cancel(OperationCancelledError("已取消"))
        return True

    def cancel_all(self) -> int:
        """Cancel everything queued and running; returns how many tasks that were."""
        with self._lock:
            handles = [handle for handle in (*self._queue, *self._on_worker) if handle.outcome is None]
        return sum(self.cancel(handle) for handle in handles)

    def resize(self, max_workers: int) -> None:
        """Change the number of workers, also while tasks run; surplus workers leave after their task."""
        _check_workers(max_workers)
        with self._lock:
            self._max_workers = max_workers
            self._wake.notify()
            self._room.notify_all()

    def in_flight(self) -> tuple[TaskSnapshot, ...]:
        """The tasks that are running and those that are queued, in this order, at one instant."""
        with self._lock:
            handles = [handle for handle in (*self._on_worker, *self._queue) if handle.outcome is None]
            return tuple(handle.snapshot() for handle in handles)

    def statistics(self) -> ExecutorStatistics:
        """Counts that add up at any instant; wall_seconds is left to whoever knows the runs."""
        with self._lock:
            running = sum(handle.outcome is None for handle in self._on_worker)
            return ExecutorStatistics(
                submitted=self._submitted,
                queued=self._queued,
                running=running,
                task_seconds=self._task_seconds,
                started=self._started,
                **{kind.value: self._ended[kind] for kind in OutcomeKind},
            )

    def shutdown(self, *, timeout: float = 5.0) -> None:
        """Take no more tasks, cancel what is queued and running, and part from the threads.

        Waits up to timeout seconds for the workers to come back; with timeout 0, or for those that do not
        come, the functions are abandoned. Idempotent.
        """
        with self._lock:
            self._closed = True
            self._room.notify_all()
        self.cancel_all()
        give_up = self._clock.now() + timeout
        with self._lock:
            while self._workers or self._supervised:
                left = give_up - self._clock.now()
                if left <= 0:
                    break
                self._clock.wait(self._quiet, left)
            ended = [handle for handle in list(self._on_worker) if self._abandon(handle)]
            self._wake.notify()
        _tell(ended)
        self._threads.shutdown(wait=False)  # a worker just asked for still comes, finds nothing and signs off

    # The supervisor: starts workers, ends what is overdue, leaves when there is nothing to watch.

    def _supervise(self) -> None:
        with self._lock:
            if self._supervised:  # two submitters each started one
                return
            self._supervised = True
        while True:
            with self._lock:
                expired, ended = self._end_overdue(self._clock.now())
                missing = max(min(self._max_workers - self._workers, self._queued), 0)
                self._workers += missing
                if not (missing or ended):
                    if not self._queued and not self._on_worker:
                        self._supervised = False
                        self._quiet.notify_all()
                        return
                    self._next_wake = min((handle.wake_at for handle in self._on_worker), default=math.inf)
                    left = self._next_wake - self._clock.now()
                    self._clock.wait(self._wake, None if math.isinf(left) else left)
                    continue
            for handle in expired:
                handle.scope.cancel(DeadlineExceededError("期限已到"))
            _tell(ended)
            self._start_workers(missing)

    def _end_overdue(self, now: float) -> tuple[list[TaskHandle], list[TaskHandle]]:
        """End what is past its deadline, abandon what is past its grace; needs the lock.

        Returns the handles whose scope is still to be cancelled, and those that got their outcome here.
        """
        expired: list[TaskHandle] = []
        ended: list[TaskHandle] = []
        for handle in [handle for handle in self._on_worker if handle.wake_at <= now]:
            if handle.overdue:
                sealed = self._abandon(handle)
            else:
                handle.overdue = True
                handle.wake_at = now + self._grace
                expired.append(handle)
                sealed = self._seal(handle, handle.failed(DeadlineExceededError("期限已到")))
            if sealed:
                ended.append(handle)
        return expired, ended

    def _abandon(self, handle: TaskHandle) -> bool:
        """Give up on a function that does not end, and free its place; needs the lock.

        Returns whether the handle got its outcome here.
        """
        handle.abandoned = True
        del self._on_worker[handle]
        self._workers -= 1
        return self._seal(handle, handle.failed(OperationCancelledError("已取消")))

    def _start_workers(self, count: int) -> None:
        for started in range(count):
            ticket = threading.Lock()  # whoever acquires it decides whether this worker comes; held for good
            try:
                self._threads.submit(self._work, ticket)
            except RuntimeError:  # no more threads, the pool was shut down, or the interpreter is about to end
                # submit may have queued the call before it failed: without its ticket it does nothing.
                missing = count - started - (not ticket.acquire(blocking=False))
                if not self._do_without(missing):
                    self.cancel_all()  # nobody will work
                return

    def _do_without(self, missing: int) -> bool:
        """Go on with the workers there are, so as not to ask for more in a loop; False if there are none."""
        with self._lock:
            self._workers -= missing
            if self._workers > 0:
                self._max_workers = min(self._max_workers, self._workers)
            return self._workers > 0

    # A worker: takes tasks until there are none.

    def _work(self, ticket: threading.Lock) -> None:
        if not ticket.acquire(blocking=False):
            return
        if not _disown(threading.current_thread()):
            with self._lock:
                self._workers -= 1
                self._wake.notify()
            return
        while (handle := self._take()) is not None:
            outcome = _run(handle)
            with self._lock:
                if handle.abandoned:
                    return
                del self._on_worker[handle]
                ended = [handle] if self._seal(handle, outcome) else []
            _tell(ended)

    def _take(self) -> TaskHandle | None:
        """The next task to run; None, and the worker's place is free again, where there is none."""
        too_late: list[TaskHandle] = []
        with self._lock:
            handle = self._next_alive(too_late)
            if handle is None:
                self._workers -= 1
                self._wake.notify()
                self._quiet.notify_all()
            else:
                self._begin(handle)
        _tell(too_late)
        return handle

    def _next_alive(self, too_late: list[TaskHandle]) -> TaskHandle | None:
        """Take from the queue; what ended before a worker came goes to too_late instead. Needs the lock."""
        while self._queue and self._workers <= self._max_workers:
            handle = self._queue.popleft()
            if handle.outcome is not None:  # cancelled while it waited
                continue
            cause = handle.scope.cause
            if cause is None:
                return handle
            self._seal(handle, handle.failed(cause))
            too_late.append(handle)
        return None

    def _begin(self, handle: TaskHandle) -> None:
        """Mark a task as running from now on; needs the lock."""
        self._queued -= 1
        handle.started_at = self._clock.now()
        handle.scope.tighten(handle.task.timeout)
        handle.wake_at = handle.scope.deadline
        self._on_worker[handle] = None
        self._room.notify()
        if handle.wake_at < self._next_wake:
            self._wake.notify()

    # Ends of tasks.

    def _scope_cancelled(self, handle: TaskHandle | None) -> None:
        """The handle's scope was cancelled, by whomever: end it if queued, give it its grace if running."""
        if handle is None:
            return
        ended: list[TaskHandle] = []
        with self._lock:
            if handle.started_at is not None:
                now = self._clock.now()
                if now < handle.wake_at:  # else its deadline has come too, which the supervisor ends with full grace
                    handle.overdue = True
                    handle.wake_at = min(handle.wake_at, now + self._grace)
                self._wake.notify()
            elif self._seal(handle, handle.failed(OperationCancelledError("已取消"))):
                ended.append(handle)
        _tell(ended)

    def _seal(self, handle: TaskHandle, outcome: Outcome[Any]) -> bool:
        """Write the outcome unless there is one; needs the lock. Returns whether this call wrote it."""
        if handle.outcome is not None:
            return False
        seconds = outcome.run_seconds
        self._ended[outcome.kind] += 1
        handle.outcome = outcome
        self._task_seconds += seconds
        if handle.started_at is not None:
            self._started += 1
            return True
        self._queued -= 1
        self._room.notify()
        self._wake.notify()
        return True


def _tell(handles: list[TaskHandle]) -> None:
    """Pass on the outcomes of handles that have just got theirs; never under the lock."""
    for handle in handles:
        handle.scope.close()
        outcome = handle.outcome
        assert outcome is not None
        call_shielded(functools.partial(handle.on_done, outcome))


def _run(handle: TaskHandle) -> Outcome[Any]:
    """Run the task's function and turn whatever it does into an outcome."""
    assert handle.started_at is not None
    handle.scope.emit(TaskStarted(handle.task.id, handle.task.name, handle.started_at))
    try:
        return handle.succeeded(handle.task.call(handle.scope))
    except BaseException as error:  # noqa: BLE001 - the one broad except: a task's failure, SystemExit included, is its outcome
        return handle.failed(error)


def _check_workers(max_workers: int) -> None:
    if not (isinstance(max_workers, int) and 1 <= max_workers <= _MOST_THREADS // 2):
        raise UsageError(f"max_workers 必須介於 1 與 {_MOST_THREADS // 2} 之間, 收到 {max_workers!r}")


def _disown(thread: threading.Thread) -> bool:
    """Take a thread off the list that concurrent.futures joins at exit, before it runs anything foreign.

    Doing so at a task's deadline would be too late: the exit may be waiting by then. False if the exit has begun,
    and so may be waiting for this thread already. The threads are daemons (they inherit it from the supervisor that
    starts them). The list has no public door; where a future Python has none of this name, exit waits for the stuck
    function and all else holds.
    """
    lock = getattr(_futures_thread, "_global_shutdown_lock", None) or threading.Lock()
    with lock:
        getattr(_futures_thread, "_threads_queues", {}).pop(thread, None)
        return not getattr(_futures_thread, "_shutdown", False)

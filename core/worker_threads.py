"""WorkerThreads: threads for work that may never come back, from one ThreadPoolExecutor."""

from __future__ import annotations

import concurrent.futures.thread as _futures_thread
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from core.errors import UsageError
from core.language import tr

__all__ = ["WorkerThreads", "check_workers"]

_MOST_THREADS: Final = 10_000  # workers plus abandoned ones; a pool that gets there is leaking stuck functions


def check_workers(count: int) -> None:
    """Raise UsageError for a number of workers that cannot be; half of the threads are for those who take over."""
    most = _MOST_THREADS // 2
    if not (isinstance(count, int) and 1 <= count <= most):
        raise UsageError(tr("max_workers 必須介於 1 與 {most} 之間, 收到 {value!r}", most=most, value=count))


class WorkerThreads:
    """Gives a thread to each piece of work asked for, and says how many really come. Thread-safe.

    Neither shutdown() nor the interpreter's exit waits for work that is stuck. Dropping the last reference lets
    idle threads go. Nothing starts before the first start(); after shutdown() no thread is given any more, though
    one asked for earlier still comes.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="task-pool")

    def start(self, count: int, work: Callable[[], object], turned_away: Callable[[], object]) -> int:
        """Have count threads call work once each; returns how many will.

        Fewer than count where there are no more threads, the executor was shut down, or the interpreter is about
        to end. A thread that comes when the exit has begun calls turned_away instead, and must not run anything
        that might not return. Call it from a daemon thread: new threads inherit that.
        """
        for started in range(count):
            ticket = threading.Lock()  # whoever acquires it decides whether this worker comes; held for good
            try:
                self._executor.submit(_come, ticket, work, turned_away)
            except RuntimeError:
                # submit may have queued the call before it failed: without its ticket it does nothing.
                return started + (not ticket.acquire(blocking=False))
        return count

    def shutdown(self) -> None:
        """Part from the threads without waiting for any."""
        self._executor.shutdown(wait=False)


def _come(ticket: threading.Lock, work: Callable[[], object], turned_away: Callable[[], object]) -> None:
    if not ticket.acquire(blocking=False):
        return
    if _disown(threading.current_thread()):
        work()
    else:
        turned_away()


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

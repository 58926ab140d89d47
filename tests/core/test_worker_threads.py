"""WorkerThreads: as many calls of the work as threads were promised, whatever goes wrong on the way."""

from __future__ import annotations

import concurrent.futures.thread as futures_thread
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_mock import MockerFixture

from core import worker_threads
from core.worker_threads import WorkerThreads

PATIENCE = 10.0


@pytest.fixture
def threads() -> Iterator[WorkerThreads]:
    threads = WorkerThreads()
    yield threads
    threads.shutdown()
    for thread in threads._executor._threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Calls:
    """Counts its calls."""

    def __init__(self) -> None:
        self._came = threading.Semaphore(0)

    def __call__(self) -> None:
        self._came.release()

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self._came.acquire(timeout=PATIENCE)

    def no_more(self) -> bool:
        return not self._came.acquire(blocking=False)


def never() -> None:
    raise AssertionError("turned away")


def test_each_thread_calls_the_work_once(threads: WorkerThreads) -> None:
    """Three are asked for, three are promised and three come."""
    work = Calls()
    assert threads.start(3, work, never) == 3
    work.wait(3)
    threads.shutdown()
    assert work.no_more()


def test_all_of_them_work_side_by_side(threads: WorkerThreads) -> None:
    """None waits for another's thread."""
    barrier, work = threading.Barrier(5), Calls()

    def meet() -> None:
        barrier.wait(PATIENCE)
        work()

    assert threads.start(5, meet, never) == 5
    work.wait(5)


def test_no_threads_are_no_trouble(threads: WorkerThreads) -> None:
    """Asking for none gives none and starts nothing."""
    assert threads.start(0, never, never) == 0
    assert not threads._executor._threads


def test_after_shutdown_nobody_comes(threads: WorkerThreads) -> None:
    """And the caller learns it rather than an exception."""
    threads.shutdown()
    assert threads.start(2, never, never) == 0


def test_what_was_asked_for_before_a_shutdown_still_comes(threads: WorkerThreads) -> None:
    """The promise is kept."""
    gate, work = threading.Event(), Calls()
    threads._executor._max_workers = 1
    threads.start(1, lambda: gate.wait(PATIENCE), never)
    assert threads.start(1, work, never) == 1
    threads.shutdown()
    gate.set()
    work.wait(1)


def test_where_the_machine_gives_out_the_rest_never_comes(threads: WorkerThreads, mocker: MockerFixture) -> None:
    """A call that was queued although its thread failed to start does nothing when a thread gets to it."""
    gate, inside, work, real = threading.Event(), Calls(), Calls(), threads._executor._adjust_thread_count

    def hold() -> None:
        inside()
        gate.wait(PATIENCE)
        work()

    allowed = iter([real, real])

    def adjust() -> None:
        step = next(allowed, None)
        if step is None:
            raise RuntimeError("can't start new thread")
        step()

    mocker.patch.object(threads._executor, "_adjust_thread_count", adjust)
    assert threads.start(4, hold, never) == 2
    inside.wait(2)
    gate.set()
    work.wait(2)
    mocker.stopall()
    assert threads.start(1, work, never) == 1  # its turn is after the orphan's
    work.wait(1)
    assert inside.no_more()


def test_a_thread_that_takes_the_call_although_the_start_failed_counts(
    threads: WorkerThreads, mocker: MockerFixture
) -> None:
    """An idle thread may be quicker than the failure's way back."""
    work, real = Calls(), threads._executor.submit

    def submit(call: Callable[..., Any], *args: Any) -> None:
        real(call, *args)
        work.wait(1)
        raise RuntimeError("can't start new thread")

    mocker.patch.object(threads._executor, "submit", submit)
    assert threads.start(3, work, never) == 1


def test_at_the_interpreter_s_end_a_thread_is_turned_away(threads: WorkerThreads, mocker: MockerFixture) -> None:
    """The exit may be waiting for it already, so it must not run the work."""
    turned_away = Calls()
    mocker.patch.object(futures_thread, "_shutdown", True)
    assert worker_threads._disown(threading.current_thread()) is False
    mocker.stopall()
    mocker.patch.object(worker_threads, "_disown", return_value=False)
    assert threads.start(1, never, turned_away) == 1
    turned_away.wait(1)


def test_the_exit_does_not_wait_for_a_thread_at_work(threads: WorkerThreads) -> None:
    """It is off the list that concurrent.futures joins, before the work begins."""
    work, listed = Calls(), list[bool]()

    def look() -> None:
        listed.append(threading.current_thread() in futures_thread._threads_queues)
        work()

    threads.start(1, look, never)
    work.wait(1)
    assert listed == [False]


def test_a_python_without_the_private_list_still_works(threads: WorkerThreads, mocker: MockerFixture) -> None:
    """Only the exit would then wait for stuck work."""
    work = Calls()
    mocker.patch.object(worker_threads, "_futures_thread", SimpleNamespace())
    assert threads.start(1, work, never) == 1
    work.wait(1)

"""TaskLedger: sums that hold after every step, one outcome per task, and when to look again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import NotRunError, OperationCancelledError
from core.outcome import Outcome, OutcomeKind
from core.scope import Scope
from core.task import ParallelTask, TaskHandle, TaskState
from core.task_ledger import TaskLedger
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(clock: FakeClock) -> Iterator[TaskLedger]:
    ledger = TaskLedger(clock, 0.2)
    with ledger.lock:
        yield ledger


def handle_of(clock: FakeClock, *, timeout: float = 60.0) -> TaskHandle:
    task = ParallelTask("t", "name", lambda: None, timeout=timeout)
    return TaskHandle(task, Scope(clock=clock).child(), lambda outcome: None)


def added(ledger: TaskLedger, clock: FakeClock, *, timeout: float = 60.0) -> TaskHandle:
    handle = handle_of(clock, timeout=timeout)
    ledger.add(handle)
    return handle


def running(ledger: TaskLedger, clock: FakeClock, *, timeout: float = 60.0) -> TaskHandle:
    handle = added(ledger, clock, timeout=timeout)
    assert ledger.next_alive([]) is handle
    ledger.begin(handle)
    ledger.workers += 1
    return handle


def answer(handle: TaskHandle) -> Outcome[Any]:
    return handle.run()


def sums_hold(ledger: TaskLedger) -> bool:
    counts = ledger.statistics()
    ended = sum(getattr(counts, kind.value) for kind in OutcomeKind)
    return bool(counts.submitted == counts.queued + counts.running + ended)


def test_a_task_goes_from_queued_to_running_to_ended(ledger: TaskLedger, clock: FakeClock) -> None:
    """At each step it is in one place, and its seconds count when it has ended."""
    handle = added(ledger, clock)
    assert (ledger.queued, handle.admitted, ledger.statistics().submitted) == (1, True, 1)
    assert ledger.next_alive([]) is handle
    ledger.begin(handle)
    clock.advance(3.0)
    assert (ledger.queued, ledger.statistics().running, list(ledger.on_worker)) == (0, 1, [handle])
    assert ledger.finish(handle, answer(handle))
    counts = ledger.statistics()
    assert (counts.running, counts.answered, counts.started, counts.task_seconds) == (0, 1, 1, 3.0)
    assert (ledger.alive(), ledger.snapshots(), dict(ledger.on_worker)) == ([], (), {})


def test_the_first_outcome_stays(ledger: TaskLedger, clock: FakeClock) -> None:
    """A second one is neither written nor counted."""
    handle = running(ledger, clock)
    first, second = answer(handle), handle.failed(OperationCancelledError("late"))
    assert ledger.seal(handle, first)
    assert not ledger.finish(handle, second)
    assert handle.outcome is first
    assert (ledger.statistics().answered, ledger.statistics().cancelled) == (1, 0)


def test_what_was_never_added_is_never_counted(ledger: TaskLedger, clock: FakeClock) -> None:
    """A submitter interrupted before it added its task may end it all the same."""
    handle = handle_of(clock)
    assert not ledger.cancelled(handle)
    assert (ledger.queued, handle.outcome, sums_hold(ledger)) == (0, None, True)


def test_what_ended_in_the_queue_is_passed_over(ledger: TaskLedger, clock: FakeClock) -> None:
    """Sealed ones silently; those whose scope ended unnoticed get their outcome now."""
    sealed, unnoticed, alive = (added(ledger, clock) for _ in range(3))
    assert ledger.cancelled(sealed)
    unnoticed.scope.cancel(NotRunError("stopped"))
    too_late: list[TaskHandle] = []
    assert ledger.next_alive(too_late) is alive
    assert too_late == [unnoticed]
    assert unnoticed.outcome is not None
    assert (unnoticed.outcome.kind, unnoticed.outcome.reason) == (OutcomeKind.NOT_RUN, "stopped")
    ledger.begin(alive)
    assert ledger.next_alive(too_late) is None
    assert sums_hold(ledger)


def test_a_refused_task_is_counted_at_once(ledger: TaskLedger, clock: FakeClock) -> None:
    """Submitted and ended in one step."""
    ledger.refuse(handle_of(clock).failed(NotRunError("stopped")))
    assert (ledger.statistics().submitted, ledger.statistics().not_run, sums_hold(ledger)) == (1, 1, True)


def test_compacting_drops_only_what_has_ended(ledger: TaskLedger, clock: FakeClock) -> None:
    """And only when the queue is longer than asked."""
    handles = [added(ledger, clock) for _ in range(6)]
    for handle in handles[:4]:
        ledger.cancelled(handle)
    ledger.compact(6)
    assert len(ledger._queue) == 6
    ledger.compact(5)
    assert list(ledger._queue) == handles[4:] == ledger.alive()


def test_the_order_of_what_is_alive_depends_on_what_it_is_for(ledger: TaskLedger, clock: FakeClock) -> None:
    """Queued first for cancelling, running first for showing."""
    first, second = running(ledger, clock), added(ledger, clock)
    assert ledger.alive() == [second, first]
    assert [seen.state for seen in ledger.snapshots()] == [TaskState.RUNNING, TaskState.QUEUED]


def test_a_deadline_then_a_grace(ledger: TaskLedger, clock: FakeClock) -> None:
    """The outcome at the one instant, the place free at the other, nothing in between."""
    handle = running(ledger, clock, timeout=1.0)
    assert (ledger.next_look(), ledger.end_overdue()) == (clock.now() + 1.0, ([], []))
    clock.advance(1.0)
    assert ledger.end_overdue() == ([handle], [handle])
    assert (ledger.next_look(), ledger.end_overdue()) == (clock.now() + 0.2, ([], []))
    clock.advance(0.2)
    assert ledger.end_overdue() == ([], [])  # it had its outcome
    assert (handle.abandoned, ledger.workers, ledger.next_look()) == (True, 0, math.inf)


def test_a_cancellation_then_a_grace(ledger: TaskLedger, clock: FakeClock) -> None:
    """Here the outcome comes with the end of the grace, or at the deadline if that is nearer."""
    far, near = running(ledger, clock), running(ledger, clock, timeout=0.1)
    for handle in (far, near):
        handle.scope.cancel()
        assert not ledger.cancelled(handle)
    clock.advance(0.1)
    assert ledger.end_overdue() == ([], [near])
    clock.advance(0.1)
    assert ledger.end_overdue() == ([], [far])
    assert ledger.statistics().cancelled == 2


def test_a_cancellation_after_the_deadline_leaves_it_to_the_deadline(ledger: TaskLedger, clock: FakeClock) -> None:
    """The grace is counted from when the deadline is seen."""
    handle = running(ledger, clock, timeout=1.0)
    clock.advance(1.5)
    handle.scope.cancel()
    assert not ledger.cancelled(handle)
    assert ledger.end_overdue() == ([handle], [handle])
    assert handle.wake_at == clock.now() + 0.2


def test_a_paused_task_is_looked_at_when_it_could_end(ledger: TaskLedger, clock: FakeClock) -> None:
    """After what remained when the pause began, and once it goes on, at its new deadline."""
    handle = running(ledger, clock, timeout=3.0)
    clock.advance(2.0)
    with handle.scope.paused():
        clock.advance(1.0)
        assert ledger.end_overdue() == ([], [])
        assert ledger.next_look() == clock.now() + 1.0
        clock.advance(0.5)
    assert handle.scope.deadline == clock.now() + 1.0
    clock.advance(0.5)
    assert ledger.end_overdue() == ([], [])
    assert ledger.next_look() == handle.scope.deadline == clock.now() + 0.5
    clock.advance(0.5)
    assert ledger.end_overdue() == ([handle], [handle])
    assert handle.outcome is not None
    assert handle.outcome.reason == "逾時 3 秒"


def test_a_pause_with_next_to_nothing_left_is_not_a_spin(ledger: TaskLedger, clock: FakeClock) -> None:
    """Twenty looks a second, which still ends the task well within a quarter of a second."""
    handle = running(ledger, clock, timeout=1.0)
    clock.advance(1.0 - 2**-20)
    with handle.scope.paused():
        clock.advance(1.0)
        assert ledger.end_overdue() == ([], [])
        assert ledger.next_look() == clock.now() + 0.05


def test_a_task_cancelled_in_a_long_pause_has_its_whole_grace(ledger: TaskLedger, clock: FakeClock) -> None:
    """Also where its next look was overdue."""
    handle = running(ledger, clock, timeout=1.0)
    with handle.scope.paused():
        clock.advance(5.0)
        handle.scope.cancel()
        assert not ledger.cancelled(handle)
        assert (ledger.next_look(), ledger.end_overdue()) == (clock.now() + 0.2, ([], []))
        clock.advance(0.2)
        assert ledger.end_overdue() == ([], [handle])
    assert handle.outcome is not None
    assert handle.outcome.kind is OutcomeKind.CANCELLED


STEPS = ["add", "take", "finish", "cancel", "stop", "refuse", "compact", "look", "advance"]


@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9)), max_size=60))
@settings(max_examples=150, deadline=None)
def test_the_sums_hold_after_every_step(steps: list[tuple[str, int]]) -> None:
    """Whatever comes in whatever order, each task has one place, and its outcome is told once."""
    clock = FakeClock()
    ledger = TaskLedger(clock, 0.2)
    ledger.lock.acquire()
    everyone: list[TaskHandle] = []
    told: list[TaskHandle] = []
    for step, number in steps:
        pick = everyone[number % len(everyone)] if everyone else None
        working = list(ledger.on_worker)
        if step == "add":
            everyone.append(added(ledger, clock, timeout=1.0 + number))
        elif step == "take" and (handle := ledger.next_alive(told)):
            ledger.begin(handle)
            ledger.workers += 1
        elif step == "finish" and working:
            handle = working[number % len(working)]
            ledger.workers -= 1
            told += [handle] if ledger.finish(handle, answer(handle)) else []
        elif step == "cancel" and pick is not None and pick.outcome is None:
            pick.scope.cancel()
            told += [pick] if ledger.cancelled(pick) else []
        elif step == "stop" and pick is not None:
            pick.scope.cancel(NotRunError("stopped"))
        elif step == "refuse":
            ledger.refuse(handle_of(clock).failed(NotRunError("stopped")))
        elif step == "compact":
            ledger.compact(number)
        elif step == "look":
            told += ledger.end_overdue()[1]
        else:
            clock.advance(number / 4)
        assert sums_hold(ledger)
        assert ledger.workers == len(ledger.on_worker)
    assert len(told) == len(set(told)) == sum(handle.outcome is not None for handle in everyone)

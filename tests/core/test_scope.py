"""Scope: deadlines and cancellations handed down, waits that end with them, nothing left behind."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from core.errors import DeadlineExceededError, NotRunError, OperationCancelledError, ScopeError
from core.events import Event, RunStarted
from core.outcome import CallFigures, Usage
from core.scope import Scope, call_shielded
from tests.fakes import FakeClock

PATIENCE = 10.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def scope_of(clock: FakeClock, timeout: float = math.inf) -> Scope:
    return Scope(clock=clock, deadline=clock.now() + timeout)


class Background:
    """Runs a function in a thread and keeps what came of it."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self.value: object = None
        self._function = function
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.value = self._function()
        except ScopeError as error:
            self.error = error

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@contextmanager
def in_background(function: Callable[[], object]) -> Iterator[Background]:
    """On leaving, the function must have come to its end."""
    work = Background(function)
    yield work
    work.join()


# State.


def test_a_new_scope_is_alive(clock: FakeClock) -> None:
    """Without a deadline there is always time left."""
    scope = Scope(clock=clock)
    scope.check()
    assert (scope.cause, scope.ended, scope.cancelled) == (None, False, False)
    assert scope.remaining() == math.inf
    assert scope.now() == clock.now()


def test_the_deadline_is_the_instant_at_which_the_scope_ends(clock: FakeClock) -> None:
    """A moment before there is a moment left; at the instant itself the scope has ended."""
    scope = scope_of(clock, 5.0)
    clock.advance(4.5)
    assert (scope.remaining(), scope.ended) == (0.5, False)
    clock.advance(0.5)
    assert (scope.remaining(), scope.ended, scope.cancelled) == (0.0, True, False)
    with pytest.raises(DeadlineExceededError):
        scope.check()


def test_a_deadline_that_is_now_has_passed(clock: FakeClock) -> None:
    """A scope of no length never lives."""
    assert scope_of(clock, 0.0).ended


def test_cancelling_ends_the_scope_before_its_deadline(clock: FakeClock) -> None:
    """No time remains in a cancelled scope."""
    scope = scope_of(clock, 5.0)
    scope.cancel()
    assert (scope.remaining(), scope.cancelled) == (0.0, True)
    with pytest.raises(OperationCancelledError):
        scope.check()


def test_the_first_cancellation_stays(clock: FakeClock) -> None:
    """Later causes are not heard."""
    scope = scope_of(clock)
    scope.cancel(NotRunError("first"))
    scope.cancel(OperationCancelledError("second"))
    assert str(scope.cause) == "first"


def test_a_passed_deadline_stays_the_cause(clock: FakeClock) -> None:
    """Cancelling what has already run out of time does not turn it into a cancellation."""
    scope = scope_of(clock, 1.0)
    clock.advance(1.0)
    scope.cancel(OperationCancelledError("late"))
    assert isinstance(scope.cause, DeadlineExceededError)
    assert scope.cancelled


def test_check_raises_a_fresh_exception_each_time(clock: FakeClock) -> None:
    """Two threads never share one exception with its traceback, and nothing of the cause is lost."""
    scope = scope_of(clock)
    scope.cancel(NotRunError("stopped", OperationCancelledError("why")))
    raised = []
    for _ in range(2):
        with pytest.raises(NotRunError, match="stopped") as caught:
            scope.check()
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    assert raised[0] is not scope.cause
    assert str(raised[1].cause) == "why"


def test_tighten_never_puts_the_deadline_off(clock: FakeClock) -> None:
    """The nearer of the two deadlines holds."""
    scope = scope_of(clock, 5.0)
    scope.tighten(9.0)
    assert scope.remaining() == 5.0
    scope.tighten(2.0)
    assert scope.remaining() == 2.0
    scope.tighten(math.inf)
    assert scope.remaining() == 2.0


# Children.


def test_a_child_has_what_its_parent_has(clock: FakeClock) -> None:
    """Clock, observer and task id are handed down; the figures are its own."""
    seen: list[Event] = []
    parent = Scope(clock=clock, observer=seen.append, task_id="t", deadline=clock.now() + 5.0)
    child = parent.child()
    child.trace.attempts = 3
    child.emit(RunStarted(1, 2.0))
    assert (child.clock, child.task_id, child.deadline) == (clock, "t", parent.deadline)
    assert parent.child(task_id="u").task_id == "u"
    assert seen == [RunStarted(1, 2.0)]
    assert parent.trace.attempts == 0


@pytest.mark.parametrize(("timeout", "left"), [(2.0, 2.0), (9.0, 5.0), (None, 5.0), (math.inf, 5.0)])
def test_a_child_ends_no_later_than_its_parent(clock: FakeClock, timeout: float | None, left: float) -> None:
    """A child may shorten the time, not lengthen it."""
    assert scope_of(clock, 5.0).child(timeout=timeout).remaining() == left


def test_cancelling_reaches_children_and_their_children(clock: FakeClock) -> None:
    """The cause travels down all generations."""
    root = scope_of(clock)
    grandchild = root.child().child()
    root.cancel(NotRunError("stop"))
    assert str(grandchild.cause) == "stop"


def test_a_cancellation_holds_below_before_it_has_been_told_there(clock: FakeClock) -> None:
    """On its way down it may meet thousands of hooks: what is below must not begin anything meanwhile."""
    root, seen = scope_of(clock), list[tuple[object, ...]]()

    def look() -> None:
        with pytest.raises(NotRunError, match="stop"):
            grandchild.check()
        with pytest.raises(NotRunError, match="stop"):
            grandchild.sleep(5.0)
        seen.append((str(grandchild.cause), grandchild.cancelled, grandchild.ended, grandchild.remaining()))

    root.on_cancel(look)  # before the child's own registration, so that it is called first
    grandchild = root.child().child()
    root.cancel(NotRunError("stop"))
    assert seen == [("stop", True, True, 0.0)]


def test_a_deadline_that_passed_stays_the_cause_whatever_ends_the_parent(clock: FakeClock) -> None:
    """First come, first told; also where the parent's end has not been handed down yet."""
    root, seen = scope_of(clock), list[object]()
    root.on_cancel(lambda: seen.append(child.cause))
    child = root.child(timeout=1.0)
    clock.advance(1.0)
    root.cancel(NotRunError("stop"))
    assert [type(cause) for cause in (*seen, child.cause)] == [DeadlineExceededError] * 2


def test_ending_a_child_does_not_touch_its_parent(clock: FakeClock) -> None:
    """Neither cancellation nor deadline go up."""
    parent = scope_of(clock, 5.0)
    child, sibling = parent.child(timeout=1.0), parent.child()
    child.cancel()
    clock.advance(2.0)
    assert not parent.ended
    assert not sibling.ended


def test_a_child_of_an_ended_scope_is_born_ended(clock: FakeClock) -> None:
    """Nothing starts under what has been called off."""
    parent = scope_of(clock)
    parent.cancel(NotRunError("stop"))
    assert str(parent.child().cause) == "stop"


def test_a_closed_child_goes_its_own_way(clock: FakeClock) -> None:
    """After close() the parent's cancellation no longer reaches it; closing a root or closing twice is harmless."""
    parent = scope_of(clock)
    with parent.child() as child:
        pass
    child.close()
    parent.close()
    parent.cancel()
    assert not child.cancelled


def test_ten_thousand_closed_children_leave_nothing_behind(clock: FakeClock) -> None:
    """A long-lived scope keeps no trace of the work done under it."""
    parent = scope_of(clock, 1e6)
    condition = threading.Condition()
    for _ in range(10_000):
        with parent.child(timeout=1.0) as child:
            child.on_cancel(lambda: None)()
            with condition:
                child.wait_for(condition, lambda: True)
            assert not child._callbacks
    assert not parent._callbacks


def test_a_cancelled_scope_lets_go_of_its_hooks(clock: FakeClock) -> None:
    """What has been called once is not kept."""
    scope = scope_of(clock)
    scope.on_cancel(lambda: None)
    scope.cancel()
    assert not scope._callbacks


# Hooks.


def test_a_hook_is_called_once(clock: FakeClock) -> None:
    """However often the scope is cancelled."""
    calls: list[str] = []
    scope = scope_of(clock)
    scope.on_cancel(lambda: calls.append("hook"))
    scope.cancel()
    scope.cancel()
    assert calls == ["hook"]


def test_a_hook_on_a_cancelled_scope_is_called_at_once(clock: FakeClock) -> None:
    """Whoever comes late still learns of it."""
    calls: list[str] = []
    scope = scope_of(clock)
    scope.cancel()
    withdraw = scope.on_cancel(lambda: calls.append("hook"))
    withdraw()
    assert calls == ["hook"]


def test_a_withdrawn_hook_is_not_called(clock: FakeClock) -> None:
    """Withdrawing works, also twice."""
    calls: list[str] = []
    scope = scope_of(clock)
    withdraw = scope.on_cancel(lambda: calls.append("hook"))
    withdraw()
    withdraw()
    scope.cancel()
    assert calls == []


def test_a_hook_that_raises_does_not_keep_the_others_from_being_called(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its exception is logged whole and goes no further."""
    calls: list[str] = []

    def broken() -> None:
        raise RuntimeError("hook")

    scope = scope_of(clock)
    scope.on_cancel(broken)
    scope.on_cancel(lambda: calls.append("second"))
    with caplog.at_level(logging.ERROR, "core.scope"):
        scope.cancel()
    assert calls == ["second"]
    assert caplog.records[0].exc_info is not None


def test_hooks_run_outside_the_lock(clock: FakeClock) -> None:
    """A hook may use the scope in every way, also cancel it again."""
    seen: list[object] = []
    scope = scope_of(clock)

    def hook() -> None:
        scope.cancel()
        scope.on_cancel(lambda: seen.append("inner"))
        seen.append(scope.child().ended)

    scope.on_cancel(hook)
    scope.cancel()
    assert seen == ["inner", True]


def test_of_many_cancellers_exactly_one_calls_the_hooks() -> None:
    """Eight threads cancel at once; the cause is one of theirs and the hook runs once."""
    for _ in range(50):
        scope = Scope()
        calls: list[ScopeError | None] = []
        scope.on_cancel(lambda scope=scope, calls=calls: calls.append(scope.cause))  # type: ignore[misc]  # early binding
        barrier = threading.Barrier(8)

        def cancel(name: str, scope: Scope = scope, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(PATIENCE)
            scope.cancel(OperationCancelledError(name))

        threads = [threading.Thread(target=cancel, args=(str(number),)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert calls == [scope.cause]


# Waits.


def test_sleep_lasts_as_long_as_it_says(clock: FakeClock) -> None:
    """It ends at its instant, neither before nor after."""
    scope = scope_of(clock)
    with in_background(lambda: scope.sleep(3.0)) as sleeper:
        clock.block_until(1)
        assert clock.next_wake() == clock.now() + 3.0
        clock.advance(3.0)
    assert sleeper.error is None


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_sleeping_no_time_returns_at_once(clock: FakeClock, seconds: float) -> None:
    """Yet a scope that has ended says so."""
    scope = scope_of(clock)
    scope.sleep(seconds)
    scope.cancel()
    with pytest.raises(OperationCancelledError):
        scope.sleep(seconds)


def test_a_wake_up_without_cause_does_not_end_the_sleep(clock: FakeClock) -> None:
    """A condition may wake its waiters for nothing."""
    scope = scope_of(clock)
    with in_background(lambda: scope.sleep(3.0)) as sleeper:
        clock.block_until(1)
        with scope._condition:
            scope._condition.notify_all()
        clock.block_until(1)
        clock.advance(3.0)
    assert sleeper.error is None


def test_sleep_is_bounded_by_the_deadline(clock: FakeClock) -> None:
    """A sleep that would outlast the deadline ends at it, with the cause."""
    scope = scope_of(clock, 2.0)
    with in_background(lambda: scope.sleep(60.0)) as sleeper:
        clock.block_until(1)
        clock.advance(2.0)
    assert isinstance(sleeper.error, DeadlineExceededError)


@pytest.mark.parametrize("seconds", [60.0, math.inf])
def test_cancelling_wakes_a_sleeper(clock: FakeClock, seconds: float) -> None:
    """At once, without any time passing, through two generations."""
    scope = scope_of(clock)
    child = scope.child().child()
    with in_background(lambda: child.sleep(seconds)) as sleeper:
        clock.block_until(1)
        scope.cancel()
    assert isinstance(sleeper.error, OperationCancelledError)


def test_sleep_on_the_real_clock() -> None:
    """The defaults work together; an infinite sleep is woken by the cancellation."""
    scope = Scope()
    scope.sleep(0.001)
    with in_background(lambda: scope.sleep(math.inf)) as sleeper:
        scope.cancel()
    assert isinstance(sleeper.error, OperationCancelledError)


def waiting(scope: Scope, condition: threading.Condition, state: list[bool]) -> Callable[[], str]:
    def wait() -> str:
        with condition:
            scope.wait_for(condition, lambda: bool(state))
        return "came"

    return wait


def test_wait_for_returns_when_the_predicate_holds(clock: FakeClock) -> None:
    """A notice with a true predicate ends the wait, one without does not."""
    scope, condition, state = scope_of(clock), threading.Condition(), list[bool]()
    with in_background(waiting(scope, condition, state)) as waiter:
        clock.block_until(1)
        with condition:
            condition.notify_all()
        with condition:
            state.append(True)
            condition.notify_all()
    assert waiter.value == "came"
    assert not scope._callbacks


def test_wait_for_is_ended_by_a_cancellation(clock: FakeClock) -> None:
    """The waiter wakes without anybody notifying its condition, and leaves no hook."""
    scope, condition = scope_of(clock), threading.Condition()
    with in_background(waiting(scope, condition, [])) as waiter:
        clock.block_until(1)
        scope.cancel()
    assert isinstance(waiter.error, OperationCancelledError)
    assert not scope._callbacks


def test_wait_for_is_ended_by_the_deadline(clock: FakeClock) -> None:
    """At its instant."""
    scope, condition = scope_of(clock, 2.0), threading.Condition()
    with in_background(waiting(scope, condition, [])) as waiter:
        clock.block_until(1, timed=True)
        clock.advance(2.0)
    assert isinstance(waiter.error, DeadlineExceededError)
    assert not scope._callbacks


def test_wait_for_in_an_ended_scope(clock: FakeClock) -> None:
    """What already holds is taken; waiting for anything else raises at once."""
    scope, condition = scope_of(clock), threading.Condition()
    scope.cancel()
    with condition:
        scope.wait_for(condition, lambda: True)
        with pytest.raises(OperationCancelledError):
            scope.wait_for(condition, lambda: False)


def test_cancelling_and_notifying_at_once_loses_no_wake_up() -> None:
    """Two hundred waiters, each cancelled at an arbitrary moment of its wait, all come back."""
    for _ in range(200):
        scope, condition = Scope(), threading.Condition()
        with in_background(waiting(scope, condition, [])) as waiter:
            scope.cancel()
        assert isinstance(waiter.error, OperationCancelledError)


# Pauses.


def test_a_pause_does_not_count(clock: FakeClock) -> None:
    """However long it lasts, as much remains after it as before it."""
    scope = scope_of(clock, 5.0)
    clock.advance(2.0)
    with scope.paused():
        assert (scope.deadline, scope.remaining()) == (math.inf, math.inf)
        clock.advance(100.0)
        scope.check()
    assert (scope.remaining(), scope.deadline) == (3.0, clock.now() + 3.0)
    clock.advance(3.0)
    assert isinstance(scope.cause, DeadlineExceededError)


def test_one_may_sleep_in_a_pause_longer_than_the_timeout(clock: FakeClock) -> None:
    """The sleep takes its whole time, and a wait on a condition too."""
    scope, condition, state = scope_of(clock, 1.0), threading.Condition(), list[bool]()

    def pause() -> float:
        with scope.paused():
            scope.sleep(60.0)
            waiting(scope, condition, state)()
        return scope.remaining()

    with in_background(pause) as work:
        clock.block_until(1, timed=True)
        assert clock.next_wake() == clock.now() + 60.0
        clock.advance(60.0)
        while clock.next_wake() != math.inf or not scope._callbacks:
            clock.block_until(1)
        with condition:
            state.append(True)
            condition.notify_all()
    assert (work.error, work.value) == (None, 1.0)


def test_the_parent_s_deadline_holds_in_a_pause(clock: FakeClock) -> None:
    """It ends the waits in it, and what it ended stays ended."""
    scope = scope_of(clock, 4.0).child(timeout=1.0)

    def pause() -> None:
        with scope.paused():
            assert scope.remaining() == 4.0
            scope.sleep(60.0)

    with in_background(pause) as work:
        clock.block_until(1, timed=True)
        clock.advance(4.0)
    assert isinstance(work.error, DeadlineExceededError)
    assert scope.ended


def test_a_pause_moves_the_deadline_no_further_than_the_parent_s(clock: FakeClock) -> None:
    """Not even where the parent's was brought forward in the meantime."""
    parent = scope_of(clock, 10.0)
    first, second = parent.child(timeout=3.0), parent.child(timeout=3.0)
    with first.paused(), second.paused():
        clock.advance(8.0)
        with first.paused():
            pass
        parent_left = parent.remaining()
        second_at = parent.deadline
    assert (first.remaining(), parent_left, second.deadline) == (2.0, 2.0, second_at)
    third = parent.child(timeout=1.0)
    with third.paused():
        parent.tighten(0.5)
    assert third.remaining() == 0.5


def test_what_is_tightened_in_a_pause_stays_so(clock: FakeClock) -> None:
    """The deadline is never put off beyond it."""
    scope = scope_of(clock, 3.0)
    with scope.paused():
        scope.tighten(1.0)
        assert scope.remaining() == 1.0
        clock.advance(0.5)
    assert scope.remaining() == 0.5


@pytest.mark.parametrize("kind", [NotRunError, OperationCancelledError])
def test_cancelling_ends_a_pause(clock: FakeClock, kind: type[ScopeError]) -> None:
    """Whoever waits in it wakes at once, with the cause; no time remains afterwards."""
    parent = scope_of(clock)
    scope = parent.child(timeout=1.0)

    def pause() -> None:
        with scope.paused():
            scope.sleep(60.0)

    with in_background(pause) as work:
        clock.block_until(1, timed=True)
        parent.cancel(kind("stop"))
    assert type(work.error) is kind
    assert scope.remaining() == 0.0


def test_pauses_within_a_pause_count_once(clock: FakeClock) -> None:
    """The time stands still until the outermost one ends."""
    scope = scope_of(clock, 5.0)
    with scope.paused():
        clock.advance(1.0)
        with scope.paused():
            clock.advance(10.0)
        assert scope.remaining() == math.inf
        clock.advance(1.0)
    assert scope.remaining() == 5.0


def test_an_exception_ends_the_pause(clock: FakeClock) -> None:
    """It goes on its way, and the deadline moves again."""
    scope = scope_of(clock, 5.0)

    def pause() -> None:
        with scope.paused():
            clock.advance(7.0)
            raise KeyError

    with pytest.raises(KeyError):
        pause()
    assert scope.remaining() == 5.0
    clock.advance(5.0)
    assert scope.ended


@pytest.mark.parametrize("how", ["deadline", "cancel"])
def test_what_has_ended_cannot_be_paused(clock: FakeClock, how: str) -> None:
    """A pause brings nothing back to life."""
    scope = scope_of(clock, 1.0)
    if how == "deadline":
        clock.advance(1.0)
    else:
        scope.cancel()
    expected = DeadlineExceededError if how == "deadline" else OperationCancelledError
    with pytest.raises(expected), scope.paused():
        pass
    assert scope.deadline <= clock.now() + 1.0


def test_a_child_made_before_a_pause_is_not_paused(clock: FakeClock) -> None:
    """It keeps the deadline it was made with."""
    scope = scope_of(clock, 5.0)
    child = scope.child()
    with scope.paused():
        clock.advance(5.0)
        assert child.ended
        assert scope.child().remaining() == math.inf


def test_the_earliest_end_is_where_a_pause_could_put_it(clock: FakeClock) -> None:
    """Outside a pause the deadline; inside what remained, from now, within the parent's deadline."""
    scope = scope_of(clock, 10.0).child(timeout=3.0)
    assert scope.earliest_end() == clock.now() + 3.0
    with scope.paused():
        clock.advance(5.0)
        assert scope.earliest_end() == clock.now() + 3.0
        clock.advance(4.0)
        assert scope.earliest_end() == clock.now() + 1.0


# Events and figures.


def test_emit_reaches_the_observer_and_shields_the_run_from_it(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An observer that raises is logged; without an observer nothing happens."""
    seen: list[Event] = []

    def observer(event: Event) -> None:
        seen.append(event)
        raise ValueError("observer")

    event = RunStarted(3, 1.0)
    with caplog.at_level(logging.ERROR, "core.scope"):
        Scope(clock=clock, observer=observer).emit(event)
    Scope(clock=clock).emit(event)
    assert seen == [event]
    assert len(caplog.records) == 1


def test_an_interrupt_inside_foreign_code_is_not_swallowed() -> None:
    """Ctrl-C during an observer belongs to whoever waits for the run."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call_shielded(interrupted)


def test_figures_are_a_copy(clock: FakeClock) -> None:
    """What was read does not change when the task goes on."""
    trace = scope_of(clock).trace
    trace.attempts, trace.limiter_seconds, trace.service_seconds, trace.usage = 2, 0.5, 1.5, Usage(1, 2, 3)
    figures = trace.figures()
    trace.attempts = 9
    assert figures == CallFigures(2, 0.5, 1.5, Usage(1, 2, 3))

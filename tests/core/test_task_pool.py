"""TaskPool: one outcome per task, deadlines that hold, bounds, cancellation, resizing, shutdown."""

from __future__ import annotations

import math
import random
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pytest_mock import MockerFixture

from core import worker_threads
from core.clock import SYSTEM_CLOCK, Clock
from core.errors import (
    DeadlineExceededError,
    ErrorKind,
    ModelError,
    NotRunError,
    OperationCancelledError,
    PoolClosedError,
    ScopeError,
    UsageError,
)
from core.outcome import MISSING, ExecutorStatistics, Outcome, OutcomeKind
from core.scope import Scope
from core.task import ParallelTask, TaskHandle, TaskState
from core.task_pool import TaskPool
from tests.fakes import FakeClock

PATIENCE = 10.0


class Outcomes:
    """An on_done that collects."""

    def __init__(self) -> None:
        self._arrival = threading.Condition()
        self._all: list[Outcome[Any]] = []

    def __call__(self, outcome: Outcome[Any]) -> None:
        with self._arrival:
            self._all.append(outcome)
            self._arrival.notify_all()

    def wait(self, count: int = 1) -> list[Outcome[Any]]:
        with self._arrival:
            assert self._arrival.wait_for(lambda: len(self._all) >= count, PATIENCE), self._all
            return list(self._all)

    def kinds(self, count: int) -> list[OutcomeKind]:
        return [outcome.kind for outcome in self.wait(count)]

    @property
    def count(self) -> int:
        return len(self._all)


class Gate:
    """A function that looks at nothing and returns when the gate opens; keeps its high-water mark."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entered = threading.Semaphore(0)
        self._opened = threading.Semaphore(0)
        self.calls = 0
        self.inside = 0
        self.most_inside = 0

    def __call__(self) -> str:
        with self._lock:
            self.calls += 1
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
        self._entered.release()
        self._opened.acquire(timeout=3 * PATIENCE)
        with self._lock:
            self.inside -= 1
        return "through"

    def wait_entered(self, count: int = 1) -> None:
        for _ in range(count):
            assert self._entered.acquire(timeout=PATIENCE)

    def open(self, count: int = 1000) -> None:
        self._opened.release(count)


MakePool = Callable[..., TaskPool]


@pytest.fixture(autouse=True)
def threads_return() -> Iterator[None]:
    """Whatever a test starts is gone after it."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive(), thread


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def make_pool(gate: Gate) -> Iterator[MakePool]:
    pools: list[TaskPool] = []

    def make(max_workers: int = 1, *, clock: Clock = SYSTEM_CLOCK, **options: Any) -> TaskPool:
        pools.append(TaskPool(max_workers, clock=clock, **options))
        return pools[-1]

    yield make
    gate.open()
    for pool in pools:
        pool.shutdown(timeout=0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def task(function: Callable[..., Any], name: str = "t", *, timeout: float = 60.0, scoped: bool = False) -> ParallelTask:
    return ParallelTask(name, f"name of {name}", function, timeout=timeout, scoped=scoped)


def forever(scope: Scope) -> None:
    scope.sleep(math.inf)


def fail() -> None:
    raise ModelError(ErrorKind.BLOCKED)


def accounted(statistics: ExecutorStatistics) -> int:
    """The right-hand side of the invariant."""
    ended: int = sum(getattr(statistics, kind.value) for kind in OutcomeKind)
    return statistics.queued + statistics.running + ended


# Outcomes.


def run_one(pool: TaskPool, function: Callable[..., Any], **options: Any) -> Outcome[Any]:
    done = Outcomes()
    pool.submit(task(function, **options), done, scope=Scope())
    return done.wait()[0]


@pytest.mark.parametrize("value", [None, "", 0, False, [], "text"])
def test_what_the_function_returns_is_the_value(make_pool: MakePool, value: object) -> None:
    """None, "" and 0 are answers too."""
    outcome = run_one(make_pool(), lambda: value)
    assert (outcome.kind, outcome.error, outcome.reason, outcome.advice) == (OutcomeKind.ANSWERED, None, "", "")
    assert outcome.value is value


def test_args_and_kwargs_reach_the_function(make_pool: MakePool) -> None:
    """As they were given, with the scope beside them where it is asked for."""
    done = Outcomes()
    given = ParallelTask("t", "n", lambda *args, **kwargs: (args, kwargs), (1, 2), {"a": 3})
    make_pool().submit(given, done, scope=Scope())
    assert done.wait()[0].value == ((1, 2), {"a": 3})
    assert run_one(make_pool(), lambda scope: scope.task_id, scoped=True).value == "t"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("bad value "), "ValueError: bad value"),
        (KeyError(), "KeyError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
    ],
)
def test_what_the_function_raises_is_the_error(make_pool: MakePool, error: BaseException, reason: str) -> None:
    """Whatever it is, it fails this task, is kept whole, and the worker goes on."""

    def fail() -> None:
        raise error

    pool = make_pool()
    outcome = run_one(pool, fail)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, reason)
    assert outcome.error is error
    assert outcome.value is MISSING
    assert run_one(pool, int).value == 0


def test_errors_meant_for_a_person_keep_their_words(make_pool: MakePool) -> None:
    """No class name stands before a message that was written to be read."""

    def refuse() -> None:
        raise UsageError("請給數字")

    outcome = run_one(make_pool(), refuse)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "請給數字")


def test_an_exception_that_cannot_be_shown_fails_only_its_task(make_pool: MakePool) -> None:
    """A __str__ that raises does not cost the task its outcome, nor the pool its worker."""

    class Unshowable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def fail() -> None:
        raise Unshowable

    pool = make_pool()
    outcome = run_one(pool, fail, timeout=math.inf)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "Unshowable")


EXPECTED_KINDS = {
    ErrorKind.BLOCKED: OutcomeKind.BLOCKED,
    ErrorKind.RECITATION: OutcomeKind.BLOCKED,
    ErrorKind.TIMEOUT: OutcomeKind.TIMED_OUT,
}


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_of_model_error_has_its_outcome(make_pool: MakePool, kind: ErrorKind) -> None:
    """Blocked and timed out are told apart from failed; reason and advice are the error's own."""
    error = ModelError(kind, "detail")

    def fail() -> None:
        raise error

    outcome = run_one(make_pool(), fail)
    assert outcome.kind is EXPECTED_KINDS.get(kind, OutcomeKind.FAILED)
    assert (outcome.reason, outcome.advice, outcome.error) == (error.reason, error.advice, error)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (DeadlineExceededError("x"), OutcomeKind.TIMED_OUT, "逾時 60 秒"),
        (OperationCancelledError("x"), OutcomeKind.CANCELLED, "已取消"),
        (NotRunError("stopped"), OutcomeKind.NOT_RUN, "stopped"),
    ],
)
def test_scope_errors_of_an_inner_scope_map_by_their_type(
    make_pool: MakePool, error: ScopeError, kind: OutcomeKind, reason: str
) -> None:
    """A function may bound parts of its work with scopes of its own."""

    def fail() -> None:
        raise error

    outcome = run_one(make_pool(), fail)
    assert (outcome.kind, outcome.reason) == (kind, reason)


@pytest.mark.parametrize("timeout", [0, -1.0, math.nan])
def test_a_timeout_that_is_no_length_is_refused(timeout: float) -> None:
    """At construction, before anything runs."""
    with pytest.raises(UsageError, match="timeout"):
        task(int, timeout=timeout)


def test_an_infinite_timeout_is_a_timeout(make_pool: MakePool) -> None:
    """It never comes."""
    assert run_one(make_pool(), int, timeout=math.inf).kind is OutcomeKind.ANSWERED


@pytest.mark.parametrize("workers", [0, -3, 5001, 2.5, "5", None])
def test_an_impossible_number_of_workers_is_refused(make_pool: MakePool, workers: Any) -> None:
    """Also fractions and texts, at construction and at resizing."""
    with pytest.raises(UsageError, match="max_workers"):
        TaskPool(workers)
    with pytest.raises(UsageError, match="max_workers"):
        make_pool().resize(workers)
    with pytest.raises(UsageError, match="queue_capacity"):
        TaskPool(1, queue_capacity=0)


# Deadlines.


def test_a_deadline_holds_for_a_function_that_never_looks(make_pool: MakePool, clock: FakeClock, gate: Gate) -> None:
    """The outcome comes at the very instant, and says how long it waited."""
    pool, done = make_pool(clock=clock), Outcomes()
    pool.submit(task(gate, timeout=2.5), done, scope=Scope(clock=clock))
    gate.wait_entered()
    clock.block_until(1, timed=True)
    clock.advance(2.5)
    outcome = done.wait()[0]
    assert (outcome.kind, outcome.reason) == (OutcomeKind.TIMED_OUT, "逾時 2.5 秒")
    assert outcome.ended_at - outcome.submitted_at == 2.5
    assert isinstance(outcome.error, DeadlineExceededError)


def test_the_deadline_cancels_the_scope(make_pool: MakePool, clock: FakeClock) -> None:
    """A function that looks at its scope ends with it."""
    pool, done, ended = make_pool(clock=clock), Outcomes(), threading.Event()

    def look(scope: Scope) -> None:
        try:
            forever(scope)
        finally:
            ended.set()

    pool.submit(task(look, timeout=2.0, scoped=True), done, scope=Scope(clock=clock))
    clock.block_until(2, timed=False)
    while clock.next_wake() == math.inf:
        clock.block_until(1, timed=True)
    clock.advance(2.0)
    assert done.kinds(1) == [OutcomeKind.TIMED_OUT]
    assert ended.wait(PATIENCE)


def test_a_stuck_function_loses_its_place_after_the_grace(make_pool: MakePool, clock: FakeClock, gate: Gate) -> None:
    """With one worker the next task runs although the first one never returns."""
    pool, done = make_pool(1, clock=clock, grace=0.2), Outcomes()
    pool.submit(task(gate, "stuck", timeout=1.0), done, scope=Scope(clock=clock))
    gate.wait_entered()
    pool.submit(task(int, "next"), done, scope=Scope(clock=clock))
    clock.block_until(1, timed=True)
    clock.advance(1.0)
    done.wait(1)
    while clock.next_wake() != clock.now() + 0.2:  # the supervisor's next look is the end of the grace
        clock.block_until(1, timed=True)
    assert done.count == 1
    clock.advance(0.2)
    assert [(outcome.task_id, outcome.kind) for outcome in done.wait(2)] == [
        ("stuck", OutcomeKind.TIMED_OUT),
        ("next", OutcomeKind.ANSWERED),
    ]


def test_what_an_abandoned_function_returns_is_dropped(make_pool: MakePool, gate: Gate) -> None:
    """One outcome, told once, counted once, however late the function comes back."""
    pool, done = make_pool(1, grace=0.01), Outcomes()
    pool.submit(task(gate, timeout=0.02), done, scope=Scope())
    gate.wait_entered()
    assert done.kinds(1) == [OutcomeKind.TIMED_OUT]
    assert run_one(pool, int).kind is OutcomeKind.ANSWERED  # so its place had been freed
    gate.open()
    pool.shutdown(timeout=PATIENCE)
    assert done.count == 1
    assert (pool.statistics().submitted, accounted(pool.statistics())) == (2, 2)


def test_a_deadline_holds_on_the_real_clock(make_pool: MakePool, gate: Gate) -> None:
    """Within a quarter of a second."""
    pool, done = make_pool(), Outcomes()
    started = time.monotonic()
    pool.submit(task(gate, timeout=0.2), done, scope=Scope())
    done.wait()
    assert 0.2 <= time.monotonic() - started <= 0.45


def test_the_run_s_deadline_cuts_the_task_s(make_pool: MakePool, clock: FakeClock, gate: Gate) -> None:
    """The reason names the time the task really had."""
    pool, done = make_pool(clock=clock), Outcomes()
    pool.submit(task(gate, timeout=60.0), done, scope=Scope(clock=clock, deadline=clock.now() + 1.5))
    gate.wait_entered()
    clock.block_until(1, timed=True)
    clock.advance(1.5)
    assert done.wait()[0].reason == "逾時 1.5 秒"


def test_nothing_starts_after_its_deadline(make_pool: MakePool, clock: FakeClock, gate: Gate) -> None:
    """A task whose scope ran out while it was queued is never asked."""
    pool, done, asked = make_pool(1, clock=clock), Outcomes(), list[str]()
    pool.submit(task(gate, "first"), done, scope=Scope(clock=clock))
    gate.wait_entered()
    short = Scope(clock=clock, deadline=clock.now() + 1.0)
    handle = pool.submit(task(lambda: asked.append("late"), "late"), done, scope=short)
    clock.advance(1.0)
    gate.open(1)
    late = next(outcome for outcome in done.wait(2) if outcome.task_id == "late")
    assert (late.kind, late.started_at, late.reason) == (OutcomeKind.NOT_RUN, None, "整體期限已到, 尚未執行")
    assert (asked, handle.state) == ([], TaskState.FINISHED)
    assert (pool.statistics().queued, pool.statistics().not_run) == (0, 1)


def test_nothing_starts_after_its_cancellation(make_pool: MakePool, mocker: MockerFixture) -> None:
    """Not even where the worker is quicker than the cancellation's way to the pool."""
    pool, done, asked = make_pool(), Outcomes(), list[str]()
    scope = Scope()
    mocker.patch.object(pool, "_scope_cancelled")  # the notice is still on its way
    start = mocker.patch.object(pool, "_start_workers")
    pool.submit(task(lambda: asked.append("ran")), done, scope=scope)
    scope.cancel()
    mocker.stop(start)
    with pool._lock:
        pool._ledger.workers = 0
        pool._wake.notify()
    assert done.kinds(1) == [OutcomeKind.CANCELLED]
    assert asked == []


# Pauses.


class Pauser:
    """A function that pauses its scope, waits in it for the given seconds, then enters the gate, if there is one."""

    def __init__(self, seconds: float, after: Callable[[], object] = str) -> None:
        self._seconds = seconds
        self._after = after
        self.paused_at = math.nan
        self.inside = threading.Event()

    def __call__(self, scope: Scope) -> str:
        with scope.paused():
            self.paused_at = scope.now()
            self.inside.set()
            scope.sleep(self._seconds)
        self._after()
        return "answer"


def until_next_look(clock: FakeClock, instant: float) -> None:
    """Return once the supervisor, or another thread, waits for that instant and no earlier one."""
    give_up = time.monotonic() + PATIENCE
    while clock.next_wake() != pytest.approx(instant, abs=1e-6):
        assert time.monotonic() < give_up, (clock.next_wake() - clock.now(), instant - clock.now())
        time.sleep(0)  # whoever is to look again is on its way


def test_a_pause_longer_than_the_timeout_does_not_time_out(make_pool: MakePool, clock: FakeClock) -> None:
    """The supervisor looks again at the earliest instant that could matter, and the answer comes."""
    pool, done, pauser = make_pool(clock=clock), Outcomes(), Pauser(10.0)
    pool.submit(task(pauser, timeout=4.0, scoped=True), done, scope=Scope(clock=clock))
    assert pauser.inside.wait(PATIENCE)
    clock.block_until(2, timed=True)
    for wait in (4.0, 4.0, 2.0):
        until_next_look(clock, clock.now() + wait)
        assert done.count == 0
        clock.advance(wait)
    outcome = done.wait()[0]
    assert (outcome.kind, outcome.run_seconds) == (OutcomeKind.ANSWERED, 10.0)


def test_a_function_that_hangs_after_its_pause_is_ended_at_its_moved_deadline(
    make_pool: MakePool, clock: FakeClock, gate: Gate
) -> None:
    """At the very instant; the reason names the task's own timeout, and the place is free after the grace."""
    pool, done, pauser = make_pool(clock=clock, grace=0.2), Outcomes(), Pauser(10.0, gate)
    pool.submit(task(pauser, timeout=4.0, scoped=True), done, scope=Scope(clock=clock))
    assert pauser.inside.wait(PATIENCE)
    clock.block_until(2, timed=True)
    for wait in (4.0, 4.0, 2.0):
        until_next_look(clock, clock.now() + wait)
        clock.advance(wait)
    gate.wait_entered()
    for wait in (2.0, 2.0):  # the look set in the pause, then the new deadline
        until_next_look(clock, clock.now() + wait)
        assert done.count == 0
        clock.advance(wait)
    outcome = done.wait()[0]
    assert (outcome.kind, outcome.reason, outcome.run_seconds) == (OutcomeKind.TIMED_OUT, "逾時 4 秒", 14.0)
    until_next_look(clock, clock.now() + 0.2)
    clock.advance(0.2)
    pool.submit(task(int, "next"), done, scope=Scope(clock=clock))
    assert done.kinds(2)[1] is OutcomeKind.ANSWERED


def test_the_moved_deadline_holds_on_the_real_clock(make_pool: MakePool, gate: Gate) -> None:
    """Within a quarter of a second, also where next to nothing was left when the pause began."""
    pool, done, ends = make_pool(), Outcomes(), list[float]()

    def hang(scope: Scope) -> None:
        while scope.remaining() > 0.02:
            scope.sleep(0.001)
        with scope.paused():
            scope.sleep(0.3)
        ends.append(scope.deadline)
        gate()

    pool.submit(task(hang, timeout=0.1, scoped=True), done, scope=Scope())
    outcome = done.wait()[0]
    assert outcome.kind is OutcomeKind.TIMED_OUT
    assert 0.0 <= outcome.ended_at - ends[0] <= 0.25


def test_the_run_s_deadline_ends_a_task_in_its_pause(make_pool: MakePool, clock: FakeClock, gate: Gate) -> None:
    """Also if its function does not wait in its scope."""
    pool, done, entered = make_pool(clock=clock), Outcomes(), threading.Event()

    def hang(scope: Scope) -> None:
        with scope.paused():
            entered.set()
            gate()

    pool.submit(task(hang, timeout=2.0, scoped=True), done, scope=Scope(clock=clock, deadline=clock.now() + 3.0))
    assert entered.wait(PATIENCE)
    until_next_look(clock, clock.now() + 2.0)
    clock.advance(2.0)
    until_next_look(clock, clock.now() + 1.0)
    assert done.count == 0
    clock.advance(1.0)
    outcome = done.wait()[0]
    assert (outcome.kind, outcome.run_seconds, outcome.reason) == (OutcomeKind.TIMED_OUT, 3.0, "逾時 2 秒")


def test_a_task_is_cancelled_in_its_pause(make_pool: MakePool, clock: FakeClock) -> None:
    """At once, without any time passing, long after its first deadline."""
    pool, done, pauser = make_pool(clock=clock), Outcomes(), Pauser(math.inf)
    handle = pool.submit(task(pauser, timeout=2.0, scoped=True), done, scope=Scope(clock=clock))
    assert pauser.inside.wait(PATIENCE)
    until_next_look(clock, clock.now() + 2.0)
    clock.advance(2.0)
    until_next_look(clock, clock.now() + 2.0)
    assert pool.cancel(handle)
    assert done.kinds(1) == [OutcomeKind.CANCELLED]


def test_a_function_stuck_in_its_pause_is_cancelled_after_the_grace(
    make_pool: MakePool, clock: FakeClock, gate: Gate
) -> None:
    """The pause protects from the task's own deadline only."""
    pool, done = make_pool(clock=clock, grace=0.2), Outcomes()

    def hang(scope: Scope) -> None:
        with scope.paused():
            gate()

    handle = pool.submit(task(hang, timeout=2.0, scoped=True), done, scope=Scope(clock=clock))
    gate.wait_entered()
    until_next_look(clock, clock.now() + 2.0)
    pool.cancel(handle)
    until_next_look(clock, clock.now() + 0.2)
    clock.advance(0.2)
    assert done.kinds(1) == [OutcomeKind.CANCELLED]


# The queue.


def test_submit_waits_while_the_queue_is_full(make_pool: MakePool, gate: Gate) -> None:
    """And goes on when a worker takes a task."""
    pool, done = make_pool(1, queue_capacity=2), Outcomes()
    pool.submit(task(gate), done, scope=Scope())
    gate.wait_entered()
    for _ in range(2):
        pool.submit(task(gate), done, scope=Scope())
    submitted = threading.Event()

    def submit() -> None:
        pool.submit(task(gate), done, scope=Scope())
        submitted.set()

    thread = threading.Thread(target=submit)
    thread.start()
    assert not submitted.wait(0.02)
    gate.open(1)
    assert submitted.wait(PATIENCE)
    thread.join(PATIENCE)
    gate.open()
    assert len(done.wait(4)) == 4


@pytest.mark.parametrize("how", ["cancel", "deadline", "shutdown"])
def test_waiting_for_a_place_ends_with_the_scope_or_the_pool(
    make_pool: MakePool, clock: FakeClock, gate: Gate, how: str
) -> None:
    """The submitter learns why; there is no outcome and nothing is counted."""
    pool, done = make_pool(1, clock=clock, queue_capacity=1), Outcomes()
    pool.submit(task(gate), done, scope=Scope(clock=clock))
    gate.wait_entered()
    pool.submit(task(gate), done, scope=Scope(clock=clock))
    scope = Scope(clock=clock, deadline=clock.now() + 5.0)
    errors: list[Exception] = []

    def submit() -> None:
        try:
            pool.submit(task(int), done, scope=scope)
        except (ScopeError, PoolClosedError) as error:
            errors.append(error)

    thread = threading.Thread(target=submit)
    thread.start()
    while not scope._callbacks:
        clock.block_until(1)
    clock.block_until(2, timed=True)
    if how == "cancel":
        scope.cancel()
    elif how == "deadline":
        clock.advance(5.0)
    else:
        pool.shutdown(timeout=0)
    thread.join(PATIENCE)
    expected: dict[str, type[Exception]] = {
        "cancel": OperationCancelledError,
        "deadline": DeadlineExceededError,
        "shutdown": PoolClosedError,
    }
    assert [type(error) for error in errors] == [expected[how]]
    assert pool.statistics().submitted == 2


def test_the_capacity_follows_the_workers_unless_it_is_given(make_pool: MakePool) -> None:
    """Two per worker, 64 at the least."""
    pool = make_pool(100)
    assert (pool.queue_capacity, pool.max_workers) == (200, 100)
    pool.resize(3)
    assert (pool.queue_capacity, pool.max_workers) == (64, 3)
    assert make_pool(100, queue_capacity=7).queue_capacity == 7


def test_cancelled_tasks_do_not_pile_up_in_the_queue(make_pool: MakePool, gate: Gate) -> None:
    """A thousand cancelled while one worker is busy leave a queue of a few."""
    pool, done = make_pool(1, queue_capacity=4), Outcomes()
    pool.submit(task(gate), done, scope=Scope())
    gate.wait_entered()
    for _ in range(1000):
        assert pool.cancel(pool.submit(task(int), done, scope=Scope()))
    assert len(pool._ledger._queue) <= 10
    assert pool.statistics().cancelled == 1000


def test_tasks_start_first_come_first_served(make_pool: MakePool) -> None:
    """One worker takes them in the order of submission."""
    pool, done, order = make_pool(1), Outcomes(), list[int]()
    for number in range(50):
        pool.submit(task(lambda number=number: order.append(number)), done, scope=Scope())
    done.wait(50)
    assert order == list(range(50))


# Cancellation.


def test_a_queued_task_is_cancelled_at_once(make_pool: MakePool, gate: Gate) -> None:
    """It never runs, and a second cancellation says that there was nothing to do."""
    pool, done = make_pool(1), Outcomes()
    pool.submit(task(gate, "running"), done, scope=Scope())
    gate.wait_entered()
    handle = pool.submit(task(gate, "queued"), done, scope=Scope())
    assert handle.state is TaskState.QUEUED
    assert pool.cancel(handle)
    assert not pool.cancel(handle)
    assert [(outcome.task_id, outcome.kind, outcome.started_at) for outcome in done.wait(1)] == [
        ("queued", OutcomeKind.CANCELLED, None)
    ]
    gate.open()
    done.wait(2)
    assert gate.calls == 1


def test_a_running_function_that_looks_is_cancelled_at_once(make_pool: MakePool, clock: FakeClock) -> None:
    """Without any time passing, and its worker goes on."""
    pool, done, entered = make_pool(1, clock=clock), Outcomes(), threading.Event()

    def look(scope: Scope) -> None:
        entered.set()
        forever(scope)

    handle = pool.submit(task(look, scoped=True), done, scope=Scope(clock=clock))
    assert entered.wait(PATIENCE)
    assert pool.cancel(handle)
    outcome = done.wait()[0]
    assert (outcome.kind, outcome.ended_at) == (OutcomeKind.CANCELLED, clock.now())
    pool.submit(task(int), done, scope=Scope(clock=clock))
    assert done.kinds(2)[1] is OutcomeKind.ANSWERED


def test_a_running_function_that_does_not_look_is_left_behind_after_the_grace(
    make_pool: MakePool, clock: FakeClock, gate: Gate
) -> None:
    """Its outcome comes then; the time it really had is in it."""
    pool, done = make_pool(1, clock=clock, grace=0.2), Outcomes()
    handle = pool.submit(task(gate), done, scope=Scope(clock=clock))
    gate.wait_entered()
    clock.block_until(1, timed=True)
    pool.cancel(handle)
    while clock.next_wake() != clock.now() + 0.2:
        clock.block_until(1, timed=True)
    assert done.count == 0
    clock.advance(0.2)
    outcome = done.wait()[0]
    assert outcome.kind is OutcomeKind.CANCELLED
    assert outcome.run_seconds == pytest.approx(0.2)


def test_an_answer_within_the_grace_is_kept(make_pool: MakePool, gate: Gate) -> None:
    """What is already paid for is not thrown away."""
    pool, done = make_pool(1, grace=PATIENCE), Outcomes()
    handle = pool.submit(task(gate), done, scope=Scope())
    gate.wait_entered()
    pool.cancel(handle)
    gate.open()
    assert done.kinds(1) == [OutcomeKind.ANSWERED]
    assert not pool.cancel(handle)


def test_a_cancellation_that_meets_the_deadline_leaves_the_grace_whole(
    make_pool: MakePool, clock: FakeClock, gate: Gate
) -> None:
    """The task times out at the instant; its function still has its grace before its place is given away."""
    pool, done = make_pool(1, clock=clock, grace=0.2), Outcomes()
    scope = Scope(clock=clock, deadline=clock.now() + 1.0)
    handle = pool.submit(task(gate), done, scope=scope)
    gate.wait_entered()
    clock.block_until(1, timed=True)
    clock._now += 1.0  # the run's thread is first to see the time
    scope.cancel(DeadlineExceededError("whole run"))
    assert done.kinds(1) == [OutcomeKind.TIMED_OUT]
    while clock.next_wake() != clock.now() + 0.2:
        clock.block_until(1, timed=True)
    assert not handle.abandoned


def test_cancel_all_reaches_queued_and_running(make_pool: MakePool) -> None:
    """It says how many there were; the pool goes on taking tasks."""
    pool, done, entered = make_pool(2), Outcomes(), threading.Semaphore(0)

    def look(scope: Scope) -> None:
        entered.release()
        forever(scope)

    for _ in range(7):
        pool.submit(task(look, scoped=True), done, scope=Scope())
    for _ in range(2):
        assert entered.acquire(timeout=PATIENCE)
    assert pool.cancel_all() == 7
    assert set(done.kinds(7)) == {OutcomeKind.CANCELLED}
    assert pool.cancel_all() == 0
    assert run_one(pool, int).kind is OutcomeKind.ANSWERED


def test_a_task_may_cancel_itself_and_others(make_pool: MakePool) -> None:
    """From inside a worker, without a deadlock."""
    pool, done, handles = make_pool(1), Outcomes(), list[TaskHandle]()
    submitted = threading.Event()

    def cancel(scope: Scope) -> None:
        assert submitted.wait(PATIENCE)
        assert all(pool.cancel(handle) for handle in handles)
        scope.check()

    handles.append(pool.submit(task(cancel, "self", scoped=True), done, scope=Scope()))
    handles.append(pool.submit(task(int, "other"), done, scope=Scope()))
    submitted.set()
    assert done.kinds(2) == [OutcomeKind.CANCELLED] * 2


def test_on_done_may_submit_and_cancel(make_pool: MakePool) -> None:
    """It is called with no lock held, also when it runs inside a cancellation."""
    pool, done, handles = make_pool(2), Outcomes(), list[TaskHandle]()

    def again(outcome: Outcome[Any]) -> None:
        done(outcome)
        pool.statistics()
        pool.in_flight()
        if done.count < 20:
            handles.append(pool.submit(task(forever, scoped=True), again, scope=Scope()))
            pool.cancel(handles[-1])

    pool.submit(task(int), again, scope=Scope())
    assert Counter(done.kinds(20)) == {OutcomeKind.ANSWERED: 1, OutcomeKind.CANCELLED: 19}


def test_an_on_done_that_raises_harms_nobody(make_pool: MakePool, caplog: pytest.LogCaptureFixture) -> None:
    """The worker goes on to the next task."""
    pool, called = make_pool(1), threading.Event()

    def broken(outcome: Outcome[Any]) -> None:
        called.set()
        raise ValueError(outcome)

    pool.submit(task(int), broken, scope=Scope())
    assert run_one(pool, int).kind is OutcomeKind.ANSWERED
    assert called.is_set()
    assert len(caplog.records) == 1


def test_a_task_may_submit_to_its_own_pool(make_pool: MakePool) -> None:
    """The new task waits its turn."""
    pool, done = make_pool(1), Outcomes()
    pool.submit(task(lambda: pool.submit(task(int, "inner"), done, scope=Scope()), "outer"), done, scope=Scope())
    assert {outcome.task_id for outcome in done.wait(2)} == {"outer", "inner"}


# What is in flight.


def test_in_flight_shows_running_then_queued(make_pool: MakePool, clock: FakeClock, gate: Gate) -> None:
    """With the seconds a worker has had each; what has its outcome is gone."""
    pool, done = make_pool(1, clock=clock), Outcomes()
    handles = [pool.submit(task(gate, name), done, scope=Scope(clock=clock)) for name in "abc"]
    gate.wait_entered()
    clock.advance(1.5)
    pool.cancel(handles[1])
    assert [(seen.task_id, seen.name, seen.state, seen.elapsed) for seen in pool.in_flight()] == [
        ("a", "name of a", TaskState.RUNNING, 1.5),
        ("c", "name of c", TaskState.QUEUED, 0.0),
    ]
    assert [handle.state for handle in handles] == [TaskState.RUNNING, TaskState.FINISHED, TaskState.QUEUED]
    gate.open()
    done.wait(3)
    assert pool.in_flight() == ()


# Workers.


def test_never_more_at_once_than_workers(make_pool: MakePool) -> None:
    """The high-water mark of 200 tasks is exactly the number of workers."""
    pool, done, gate = make_pool(4), Outcomes(), Gate()
    gate.open()
    barrier = threading.Barrier(4)
    for _ in range(4):
        pool.submit(task(lambda: barrier.wait(PATIENCE)), done, scope=Scope())
    for _ in range(200):
        pool.submit(task(gate), done, scope=Scope())
    assert set(done.kinds(204)) == {OutcomeKind.ANSWERED}
    assert gate.most_inside <= 4


def test_more_workers_start_while_tasks_run(make_pool: MakePool, gate: Gate) -> None:
    """Resizing up takes effect at once."""
    pool, done = make_pool(1), Outcomes()
    for _ in range(6):
        pool.submit(task(gate), done, scope=Scope())
    gate.wait_entered(1)
    pool.resize(4)
    gate.wait_entered(3)
    assert (gate.inside, pool.statistics().queued) == (4, 2)


def test_surplus_workers_leave_after_their_task(make_pool: MakePool, gate: Gate) -> None:
    """After resizing down, what starts later runs one at a time."""
    pool, done, later = make_pool(3), Outcomes(), Gate()
    later.open()
    for _ in range(3):
        pool.submit(task(gate), done, scope=Scope())
    gate.wait_entered(3)
    pool.resize(1)
    for _ in range(20):
        pool.submit(task(later), done, scope=Scope())
    gate.open(2)
    done.wait(2)
    assert later.calls == 0
    gate.open(1)
    assert set(done.kinds(23)) == {OutcomeKind.ANSWERED}
    assert later.most_inside == 1


def test_an_idle_pool_has_no_supervisor_and_no_working_threads(make_pool: MakePool) -> None:
    """A hundred short bursts do not pile up threads."""
    pool = make_pool(2)
    for _ in range(100):
        run_one(pool, int)
    pool.shutdown(timeout=PATIENCE)
    assert (pool._ledger.workers, pool._supervised, len(pool._threads._executor._threads) <= 6) == (0, False, True)


# Statistics.


def test_the_mean_counts_finished_tasks_only(make_pool: MakePool, clock: FakeClock, gate: Gate) -> None:
    """A task still running neither adds to the durations nor to their number."""
    pool, done, other = make_pool(2, clock=clock), Outcomes(), Gate()
    pool.submit(task(other), done, scope=Scope(clock=clock))
    pool.submit(task(gate), done, scope=Scope(clock=clock))
    gate.wait_entered()
    other.wait_entered()
    clock.advance(3.0)
    other.open()
    done.wait(1)
    statistics = pool.statistics()
    assert (statistics.running, statistics.started, statistics.task_seconds) == (1, 1, 3.0)
    assert statistics.mean_task_seconds == 3.0


def test_statistics_add_up_at_every_instant(make_pool: MakePool) -> None:
    """Read from another thread as fast as it can, while tasks are answered, fail, time out and are cancelled."""
    pool, done, total = make_pool(4, queue_capacity=8, grace=0.001), Outcomes(), 400
    stop, wrong, reads = threading.Event(), list[ExecutorStatistics](), 0
    dice = random.Random(7)
    choices: list[tuple[Callable[..., Any], float, bool]] = [
        (int, 60.0, False), (fail, 60.0, False), (forever, 0.002, True), (forever, 60.0, True),
    ]  # fmt: skip

    def hammer() -> None:
        nonlocal reads
        last = 0
        while not stop.is_set():
            statistics = pool.statistics()
            reads += 1
            rates = 0.0 <= statistics.success_rate <= 1.0 and statistics.finished >= last
            last = statistics.finished
            if accounted(statistics) != statistics.submitted or statistics.running > 4 or not rates:
                wrong.append(statistics)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    watcher = threading.Thread(target=hammer)
    watcher.start()
    try:
        for _ in range(total):
            function, timeout, scoped = dice.choice(choices)
            handle = pool.submit(task(function, timeout=timeout, scoped=scoped), done, scope=Scope())
            if timeout == 60.0 and (scoped or dice.random() < 0.1):
                pool.cancel(handle)
        outcomes = done.wait(total)
    finally:
        sys.setswitchinterval(before)
        stop.set()
        watcher.join(PATIENCE)
    assert wrong == []
    assert reads > 100
    statistics = pool.statistics()
    assert {kind: getattr(statistics, kind.value) for kind in OutcomeKind} == {
        kind: sum(outcome.kind is kind for outcome in outcomes) for kind in OutcomeKind
    }


def test_a_refused_task_is_counted(make_pool: MakePool) -> None:
    """As submitted and not run, so that the sums hold."""
    pool = make_pool()
    scope = Scope()
    scope.cancel(NotRunError("stopped"))
    outcome = pool.refuse(task(int), NotRunError("stopped"), scope=scope)
    assert (outcome.kind, outcome.reason, outcome.started_at) == (OutcomeKind.NOT_RUN, "stopped", None)
    assert (pool.statistics().submitted, pool.statistics().not_run) == (1, 1)


# Shutdown and failures to start.


def test_a_closed_pool_takes_nothing(make_pool: MakePool) -> None:
    """And says so; closing twice is closing once."""
    pool = make_pool()
    run_one(pool, int)
    pool.shutdown(timeout=PATIENCE)
    pool.shutdown(timeout=PATIENCE)
    with pytest.raises(PoolClosedError, match="已關閉"):
        pool.submit(task(int), Outcomes(), scope=Scope())


def test_shutdown_ends_what_is_queued_and_running(make_pool: MakePool, gate: Gate) -> None:
    """A function that does not look is abandoned within the timeout."""
    pool, done = make_pool(1, grace=0.01), Outcomes()
    for _ in range(3):
        pool.submit(task(gate), done, scope=Scope())
    gate.wait_entered()
    pool.shutdown(timeout=PATIENCE)
    assert done.kinds(3) == [OutcomeKind.CANCELLED] * 3
    assert (pool._ledger.workers, gate.calls) == (0, 1)


def test_shutdown_without_patience_abandons_at_once(make_pool: MakePool, clock: FakeClock, gate: Gate) -> None:
    """No time passes, every task has its outcome."""
    pool, done = make_pool(2, clock=clock), Outcomes()
    for _ in range(3):
        pool.submit(task(gate), done, scope=Scope(clock=clock))
    gate.wait_entered(2)
    pool.shutdown(timeout=0)
    assert done.kinds(3) == [OutcomeKind.CANCELLED] * 3


def test_a_task_may_shut_its_own_pool_down(make_pool: MakePool) -> None:
    """It waits for itself no longer than the grace."""
    pool, done = make_pool(1, grace=0.01), Outcomes()
    pool.submit(task(lambda: pool.shutdown(timeout=PATIENCE)), done, scope=Scope())
    assert done.kinds(1) == [OutcomeKind.CANCELLED]


def test_shutdown_finds_every_worker_that_was_asked_for(make_pool: MakePool, mocker: MockerFixture) -> None:
    """A worker still on its way when the pool closes signs off, and a second closing does not wait in vain."""
    pool, done, blocker, asked = make_pool(1), Outcomes(), threading.Event(), threading.Event()
    pool._threads._executor._max_workers = 1
    pool._threads._executor.submit(blocker.wait)
    real_submit = pool._threads._executor.submit

    def submit(work: Callable[..., Any], *args: Any) -> None:
        real_submit(work, *args)
        asked.set()

    mocker.patch.object(pool._threads._executor, "submit", submit)
    pool.submit(task(int), done, scope=Scope())
    assert asked.wait(PATIENCE)
    pool.shutdown(timeout=0)
    blocker.set()
    pool.shutdown(timeout=2.0)
    assert pool._ledger.workers == 0
    assert done.kinds(1) == [OutcomeKind.CANCELLED]


def test_submitting_against_a_shutdown_loses_nothing(make_pool: MakePool) -> None:
    """Whatever was accepted has exactly one outcome, whatever was not raised."""
    for round_ in range(60):
        pool, done = make_pool(2, queue_capacity=4), Outcomes()
        accepted: list[str] = []

        def submit(name: str, pool: TaskPool = pool, done: Outcomes = done, accepted: list[str] = accepted) -> None:
            for number in range(100):
                try:
                    pool.submit(task(int, f"{name}{number}"), done, scope=Scope())
                except PoolClosedError:
                    return
                accepted.append(f"{name}{number}")

        threads = [threading.Thread(target=submit, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        while done.count < round_ % 7:
            done.wait(round_ % 7)
        pool.shutdown(timeout=PATIENCE)
        for thread in threads:
            thread.join(PATIENCE)
        outcomes = done.wait(len(accepted))
        assert sorted(outcome.task_id for outcome in outcomes) == sorted(accepted)
        assert accounted(pool.statistics()) == pool.statistics().submitted == len(accepted)


def test_where_no_worker_can_be_started_the_tasks_end(make_pool: MakePool, mocker: MockerFixture) -> None:
    """Rather than waiting for ever; as at the interpreter's end."""
    pool, done = make_pool(2), Outcomes()
    mocker.patch.object(pool._threads._executor, "submit", side_effect=RuntimeError("cannot schedule new futures"))
    for _ in range(3):
        pool.submit(task(int), done, scope=Scope())
    assert done.kinds(3) == [OutcomeKind.CANCELLED] * 3
    mocker.stopall()
    assert run_one(pool, int).kind is OutcomeKind.ANSWERED


def test_where_the_machine_gives_no_more_threads_the_pool_goes_on_with_those_it_has(
    make_pool: MakePool, mocker: MockerFixture, gate: Gate
) -> None:
    """Nobody's task is cancelled for it, and the limit is lowered to what there is."""
    pool, done, refused = make_pool(1), Outcomes(), threading.Event()
    pool.submit(task(gate), done, scope=Scope())
    gate.wait_entered()

    def refuse() -> None:
        refused.set()
        raise RuntimeError("can't start new thread")

    mocker.patch.object(pool._threads._executor, "_adjust_thread_count", refuse)
    pool.resize(3)
    for _ in range(3):
        pool.submit(task(gate), done, scope=Scope())
    assert refused.wait(PATIENCE)
    give_up = time.monotonic() + PATIENCE
    while pool.max_workers > 1 and time.monotonic() < give_up:
        time.sleep(0)  # the supervisor is about to lower it
    gate.open()
    assert set(done.kinds(4)) == {OutcomeKind.ANSWERED}
    assert (gate.most_inside, pool.max_workers) == (1, 1)
    pool.shutdown(timeout=PATIENCE)
    assert pool._ledger.workers == 0


def test_where_no_supervisor_can_be_started_the_caller_is_told(make_pool: MakePool, mocker: MockerFixture) -> None:
    """The task does not stay behind in the queue, and the next one finds a working pool."""
    pool, done = make_pool(1), Outcomes()
    mocker.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread"))
    with pytest.raises(RuntimeError, match="can't start"):
        pool.submit(task(int), done, scope=Scope())
    mocker.stopall()
    assert done.kinds(1) == [OutcomeKind.CANCELLED]
    assert pool.statistics().queued == 0
    assert run_one(pool, int).kind is OutcomeKind.ANSWERED


def test_only_one_supervisor_stays(make_pool: MakePool, gate: Gate) -> None:
    """A second one, started by a submitter at the same moment, leaves."""
    pool, done = make_pool(1), Outcomes()
    pool.submit(task(gate), done, scope=Scope())
    gate.wait_entered()
    second = threading.Thread(target=pool._supervise)
    second.start()
    second.join(PATIENCE)
    assert not second.is_alive()
    assert pool._supervised


def test_a_worker_that_starts_as_the_program_ends_takes_no_task(make_pool: MakePool, mocker: MockerFixture) -> None:
    """The exit may be waiting for its thread already, so it must not run anything that might not return."""
    pool, done = make_pool(1), Outcomes()
    mocker.patch.object(worker_threads, "_disown", return_value=False)
    asked = mocker.patch.object(pool._threads._executor, "submit", wraps=pool._threads._executor.submit)
    asked.side_effect = [mocker.DEFAULT, RuntimeError("cannot schedule new futures after interpreter shutdown")]
    pool.submit(task(int), done, scope=Scope())
    assert done.kinds(1) == [OutcomeKind.CANCELLED]
    assert pool._ledger.workers == 0


def test_a_python_without_the_private_list_still_works(make_pool: MakePool, mocker: MockerFixture) -> None:
    """Only the exit would then wait for stuck functions."""
    mocker.patch.object(worker_threads, "_futures_thread", SimpleNamespace())
    assert run_one(make_pool(), int).kind is OutcomeKind.ANSWERED


# Memory.


class Thing:
    """Something whose end can be watched."""


def test_a_finished_task_is_freed_without_the_garbage_collector(make_pool: MakePool) -> None:
    """Answers may be large: no cycle keeps a value, its task or its handle until the next collection."""
    import gc

    pool, scope, things, handles = make_pool(1), Scope(), list[weakref.ref[Thing]](), list[weakref.ref[TaskHandle]]()

    def make() -> Thing:
        thing = Thing()
        things.append(weakref.ref(thing))
        return thing

    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            done = Outcomes()
            handles.append(weakref.ref(pool.submit(task(make), done, scope=scope)))
            done.wait()
        pool.shutdown(timeout=PATIENCE)
        assert not scope._callbacks
        assert sum(ref() is not None for ref in things) <= 1
        assert sum(ref() is not None for ref in handles) <= 1
    finally:
        gc.enable()


def test_cancelling_the_scope_of_a_task_long_gone_does_nothing(make_pool: MakePool) -> None:
    """Whoever kept the scope keeps neither the task nor its outcome alive."""
    pool, kept = make_pool(1), list[Scope]()
    outcome = run_one(pool, lambda scope: kept.append(scope), scoped=True)
    pool.shutdown(timeout=PATIENCE)
    kept[0].cancel()
    assert outcome.kind is OutcomeKind.ANSWERED
    assert pool.statistics().answered == 1


def test_a_pool_that_is_dropped_lets_its_threads_go() -> None:
    """Without shutdown its idle threads end with it (the fixture looks)."""
    run_one(TaskPool(3), int)


# All of it at random, against a model.


class PoolMachine(RuleBasedStateMachine):
    """Submits, releases, fails, cancels and resizes; a list of queued and a list of running names is the model."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = TaskPool(2, queue_capacity=1000)
        self.done = Outcomes()
        self.condition = threading.Condition()
        self.released: dict[str, bool] = {}
        self.entered: set[str] = set()
        self.handles: dict[str, TaskHandle] = {}
        self.queued: list[str] = []
        self.running: list[str] = []
        self.ended: Counter[OutcomeKind] = Counter()
        self.workers = 2

    def work(self, name: str, scope: Scope) -> str:
        with self.condition:
            self.entered.add(name)
            self.condition.notify_all()
            scope.wait_for(self.condition, lambda: name in self.released)
        if not self.released[name]:
            raise ValueError(name)
        return name

    def settle(self) -> None:
        while self.queued and len(self.running) < self.workers:
            self.running.append(self.queued.pop(0))
        with self.condition:
            assert self.condition.wait_for(lambda: self.entered.issuperset(self.running), PATIENCE)
        self.done.wait(sum(self.ended.values()))

    @rule(count=st.integers(1, 3))
    def submit(self, count: int) -> None:
        for _ in range(count):
            name = str(len(self.handles))
            given = ParallelTask(name, name, self.work, (name,), scoped=True)
            self.handles[name] = self.pool.submit(given, self.done, scope=Scope())
            self.queued.append(name)
            self.settle()

    @precondition(lambda self: self.running)
    @rule(choice=st.integers(0, 99), answered=st.booleans())
    def release(self, choice: int, answered: bool) -> None:
        name = self.running.pop(choice % len(self.running))
        with self.condition:
            self.released[name] = answered
            self.condition.notify_all()
        self.ended[OutcomeKind.ANSWERED if answered else OutcomeKind.FAILED] += 1
        self.settle()

    @precondition(lambda self: self.handles)
    @rule(choice=st.integers(0, 99))
    def cancel(self, choice: int) -> None:
        name = str(choice % len(self.handles))
        alive = name in self.running or name in self.queued
        assert self.pool.cancel(self.handles[name]) == alive
        if alive:
            (self.running if name in self.running else self.queued).remove(name)
            self.ended[OutcomeKind.CANCELLED] += 1
        self.settle()

    @rule()
    def cancel_all(self) -> None:
        assert self.pool.cancel_all() == len(self.running) + len(self.queued)
        self.ended[OutcomeKind.CANCELLED] += len(self.running) + len(self.queued)
        self.running.clear()
        self.queued.clear()
        self.settle()

    @rule(workers=st.integers(1, 4))
    def resize(self, workers: int) -> None:
        self.pool.resize(workers)
        self.workers = workers
        self.settle()

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        statistics = self.pool.statistics()
        assert accounted(statistics) == statistics.submitted == len(self.handles)
        assert (statistics.queued, statistics.running) == (len(self.queued), len(self.running))
        assert {kind: getattr(statistics, kind.value) for kind in OutcomeKind} == {
            kind: self.ended[kind] for kind in OutcomeKind
        }
        flight = [(seen.task_id, seen.state) for seen in self.pool.in_flight()]
        assert sorted(flight) == sorted(
            [(name, TaskState.RUNNING) for name in self.running] + [(name, TaskState.QUEUED) for name in self.queued]
        )

    def teardown(self) -> None:
        self.pool.shutdown(timeout=PATIENCE)
        assert self.done.count == len(self.handles)


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)

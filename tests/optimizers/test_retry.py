"""RetryPolicy and RetryingModel, one question at a time, on a clock that moves only when told."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.errors import (
    DeadlineExceededError,
    ErrorKind,
    ModelError,
    NotRunError,
    OperationCancelledError,
    UsageError,
)
from core.events import Event, QuotaWaiting, RetryScheduled
from core.outcome import Answer
from core.ports import ChatModel, Prompt
from core.scope import Scope
from optimizers.retry import RetryingModel, RetryPolicy
from tests.fakes import FakeClock, FunctionModel

PROMPT = Prompt("1 + 1 = ?")
OVERLOADED = ErrorKind.OVERLOADED


class Asked:
    """One generate() in its own thread, so that the test can move the clock under it."""

    def __init__(self, model: ChatModel, scope: Scope) -> None:
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(model, scope), daemon=True)
        self._thread.start()

    def _run(self, model: ChatModel, scope: Scope) -> None:
        try:
            self.answer = model.generate(PROMPT, scope)
        except BaseException as error:  # noqa: BLE001 - whatever came out is what the test looks at
            self.error = error

    def end(self) -> Asked:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self


def scripted(*steps: ModelError | str) -> FunctionModel:
    """A model that fails or answers as told, and says its last line for ever."""
    script: Iterator[ModelError | str] = itertools.chain(steps, itertools.repeat(steps[-1]))

    def function(_: Prompt, __: Scope) -> str:
        step = next(script)
        if isinstance(step, ModelError):
            raise step
        return step

    return FunctionModel(function)


def half() -> float:
    return 0.5


def run(
    inner: ChatModel, clock: FakeClock, *, timeout: float = math.inf, random: Callable[[], float] = half, **policy: Any
) -> tuple[Asked, Scope, list[Event]]:
    """Ask once, moving the clock from one wait to the next until the call is over."""
    events: list[Event] = []
    scope = Scope(clock=clock, deadline=clock.now() + timeout, observer=events.append, task_id="query_0")
    asked = Asked(RetryingModel(inner, policy=RetryPolicy(**policy), random=random), scope)
    while asked._thread.is_alive():
        if clock.next_wake() < math.inf:
            clock.advance(max(clock.next_wake() - clock.now(), 0.0))
        asked._thread.join(0.001)
    return asked.end(), scope, events


def test_an_answer_is_asked_for_once() -> None:
    """A model that answers is called once and nothing is emitted or waited for."""
    inner, clock = scripted("2"), FakeClock()
    asked, _, events = run(inner, clock)
    assert (asked.answer and asked.answer.text, inner.calls, events, clock.now()) == ("2", 1, [], 1000.0)


def test_identity_is_the_next_models() -> None:
    """Retrying changes nothing about what the model is."""
    assert RetryingModel(scripted("2")).identity == "fake"


@pytest.mark.parametrize("kind", [ErrorKind.OVERLOADED, ErrorKind.SERVER_ERROR, ErrorKind.UNAVAILABLE, ErrorKind.RESET])
def test_a_passing_failure_is_asked_again_after_a_jittered_wait_that_doubles(kind: ErrorKind) -> None:
    """Three failures, then the answer: the waits are the drawn share of 0.5, 1 and 2 s, and each is announced."""
    inner, clock = scripted(*[ModelError(kind)] * 3, "2"), FakeClock()
    asked, scope, events = run(inner, clock)
    assert asked.answer is not None
    assert inner.calls == 4
    assert clock.now() == 1000.0 + 0.25 + 0.5 + 1.0
    assert events == [RetryScheduled("query_0", n, kind, 0.25 * 2 ** (n - 1)) for n in (1, 2, 3)]
    assert scope.trace.attempts == 0, "counting attempts is the measuring wrapper's"


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if not ModelError(kind).retryable])
def test_what_asking_again_cannot_help_is_raised_at_once(kind: ErrorKind) -> None:
    """A wrong key, a spent day quota, a block and their like cost exactly one call."""
    error = ModelError(kind)
    inner = scripted(error)
    asked, _, _ = run(inner, FakeClock())
    assert asked.error is error
    assert inner.calls == 1


@pytest.mark.parametrize(
    "error", [NotRunError("停"), OperationCancelledError("停"), KeyboardInterrupt(), ZeroDivisionError()]
)
def test_what_is_no_model_error_passes_through(error: BaseException) -> None:
    """Only the model's own failures are retried; an ended scope or a bug is not."""

    def function(_: Prompt, __: Scope) -> str:
        raise error

    inner = FunctionModel(function)
    asked, _, _ = run(inner, FakeClock())
    assert asked.error is error
    assert inner.calls == 1


@pytest.mark.parametrize("kind", [ErrorKind.EMPTY, ErrorKind.RECITATION, ErrorKind.BAD_RESPONSE])
def test_an_error_that_bounds_its_own_attempts_is_asked_once_more_and_costs_no_budget(kind: ErrorKind) -> None:
    """Thirty questions that stay empty cost two calls each, with a budget of one retry."""
    inner = scripted(ModelError(kind))
    clock = FakeClock()
    model = RetryingModel(inner, policy=RetryPolicy(budget_floor=1), random=lambda: 0.0)
    for _ in range(30):
        with pytest.raises(ModelError):
            model.generate(PROMPT, Scope(clock=clock))
    assert inner.calls == 60


def test_the_last_error_is_raised_as_it_is_with_nothing_hung_on_it() -> None:
    """After the last attempt the very ModelError comes out, with no context or cause that could carry more."""
    errors = [ModelError(OVERLOADED, str(number)) for number in range(3)]
    inner = scripted(*errors)
    asked, _, events = run(inner, FakeClock(), most_attempts=3)
    assert asked.error is errors[2]
    assert asked.error.__context__ is None
    assert asked.error.__cause__ is None
    assert inner.calls == 3
    assert len(events) == 2


def test_a_back_off_past_the_deadline_raises_the_model_error_at_once() -> None:
    """With less time left than the back-off, the person learns that the server was busy, and learns it now."""
    error = ModelError(OVERLOADED)
    clock = FakeClock()
    asked, _, events = run(scripted(error), clock, timeout=0.25)
    assert asked.error is error
    assert clock.now() == 1000.0
    assert events == []


def test_the_servers_delay_for_an_overload_is_the_least_wait() -> None:
    """A 503 that names 3 s is not asked again before 3 s, plus the jitter."""
    inner, clock = scripted(ModelError(OVERLOADED, retry_after=3.0), "2"), FakeClock()
    run(inner, clock)
    assert clock.now() == 1003.25


def test_cancelling_ends_a_back_off() -> None:
    """A cancelled scope ends the wait with the cancellation, not with the server's error."""
    clock = FakeClock()
    scope = Scope(clock=clock)
    asked = Asked(RetryingModel(scripted(ModelError(OVERLOADED)), random=half), scope)
    clock.block_until(1, timed=True)
    scope.cancel()
    assert isinstance(asked.end().error, OperationCancelledError)


@pytest.mark.parametrize("deadline", [999.0, math.inf])
def test_an_ended_scope_makes_no_call(deadline: float) -> None:
    """Nothing is asked in a scope that has ended before the first attempt."""
    clock, inner = FakeClock(), scripted("2")
    scope = Scope(clock=clock, deadline=deadline)
    if deadline == math.inf:
        scope.cancel()
    with pytest.raises((DeadlineExceededError, OperationCancelledError)):
        RetryingModel(inner).generate(PROMPT, scope)
    assert inner.calls == 0


def test_a_minute_quota_waits_as_long_as_the_server_says() -> None:
    """FAULTS 4: after a 429 naming 39 s the next attempt starts at 39 s, the wait is announced and charged."""
    inner, clock = scripted(ModelError(ErrorKind.QUOTA_MINUTE, retry_after=39.0), "2"), FakeClock()
    asked, scope, events = run(inner, clock, random=lambda: 0.0)
    assert asked.answer is not None
    assert clock.now() == 1039.0
    assert scope.trace.limiter_seconds == 39.0
    assert events == [QuotaWaiting("query_0", 1039.0, 39.0)]


def test_a_quota_wait_past_the_deadline_fails_at_once_and_says_how_long_was_asked() -> None:
    """FAULTS 4: with 15 s left, a 429 naming 39 s is an error now, with both the server's words and the 39 s."""
    clock = FakeClock()
    error = ModelError(ErrorKind.QUOTA_MINUTE, "PerMinute", retry_after=39.0, resets_at=5.0)
    asked, scope, _ = run(scripted(error), clock, timeout=15.0)
    assert isinstance(asked.error, ModelError)
    assert asked.error.kind is ErrorKind.QUOTA_MINUTE
    assert "PerMinute" in asked.error.detail
    assert "39 秒" in asked.error.detail
    assert (asked.error.retry_after, asked.error.resets_at) == (39.0, 5.0)
    assert asked.error.__context__ is None
    assert (clock.now(), scope.trace.limiter_seconds) == (1000.0, 0.0)


def test_an_endless_quota_wait_is_said_as_such() -> None:
    """A server that names an infinite delay is not waited for, deadline or none."""
    asked, _, _ = run(scripted(ModelError(ErrorKind.QUOTA_MINUTE, retry_after=math.inf)), FakeClock())
    assert isinstance(asked.error, ModelError)
    assert "∞" in asked.error.detail


@pytest.mark.parametrize("stated", [None, 0.0, -1.0, math.nan])
def test_a_quota_without_a_usable_delay_is_waited_for_in_doubling_steps(stated: float | None) -> None:
    """429s that name no delay are asked again after 1, 2, 4 … s, so never in a hot loop."""
    inner, clock = scripted(*[ModelError(ErrorKind.QUOTA_MINUTE, retry_after=stated)] * 8, "2"), FakeClock()
    asked, _, _ = run(inner, clock, random=lambda: 0.0, most_attempts=2)
    assert asked.answer is not None
    assert clock.now() == 1000.0 + 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60


def test_quota_waits_count_neither_as_attempts_nor_against_the_budget() -> None:
    """Thirty refusals in a row end in the answer, with two attempts allowed and a budget of one retry."""
    inner = scripted(*[ModelError(ErrorKind.QUOTA_MINUTE, retry_after=0.5)] * 30, ModelError(OVERLOADED), "2")
    asked, _, _ = run(inner, FakeClock(), most_attempts=2, budget_floor=1)
    assert asked.answer is not None
    assert inner.calls == 32


def test_one_refusal_closes_the_gate_for_every_thread() -> None:
    """FAULTS 4: no attempt of any thread starts before the named instant, and not all start at one instant."""
    clock = FakeClock()
    starts: list[float] = []
    refuse = ModelError(ErrorKind.QUOTA_MINUTE, retry_after=39.0)

    def function(_: Prompt, scope: Scope) -> str:
        starts.append(scope.now())
        if len(starts) == 1:
            raise refuse
        return "2"

    model = RetryingModel(FunctionModel(function), random=random.Random(3).random)
    calls = [Asked(model, Scope(clock=clock))]
    clock.block_until(1, timed=True)
    calls += [Asked(model, Scope(clock=clock)) for _ in range(7)]
    clock.block_until(8, timed=True)
    clock.advance(38.999)
    assert starts == [1000.0], "0 early calls"
    for call in calls:
        while call._thread.is_alive():
            clock.advance(0.05)
            call._thread.join(0.002)
    assert all(call.end().answer is not None for call in calls)
    assert len(starts) == 9
    assert min(starts[1:]) >= 1039.0
    assert len(set(starts[1:])) > 3


def test_a_thread_that_cannot_wait_for_the_gate_fails_without_a_call() -> None:
    """A gate closed by another thread beyond this one's deadline costs no call, and the error names the wait."""
    clock = FakeClock()
    inner = scripted(ModelError(ErrorKind.QUOTA_MINUTE, retry_after=39.0))
    model = RetryingModel(inner, random=half)
    with pytest.raises(ModelError):
        model.generate(PROMPT, Scope(clock=clock, deadline=1010.0))
    with pytest.raises(ModelError, match="39 秒") as caught:
        model.generate(PROMPT, Scope(clock=clock, deadline=1015.0))
    assert caught.value.kind is ErrorKind.QUOTA_MINUTE
    assert inner.calls == 1


def test_the_spread_at_the_gate_never_reaches_the_deadline() -> None:
    """A gate that opens just before the deadline is passed before it, whatever is drawn."""
    clock = FakeClock()
    inner = scripted(ModelError(ErrorKind.QUOTA_MINUTE, retry_after=39.0), "2")
    asked, _, _ = run(inner, clock, timeout=39.5, random=lambda: 0.999)
    assert asked.answer is not None
    assert 1039.0 < clock.now() < 1039.5


def test_a_gate_that_moves_during_the_wait_is_waited_for_again() -> None:
    """A later refusal of another thread moves the instant, and the waiting thread follows and says so."""
    clock = FakeClock()
    starts: list[float] = []

    def function(_: Prompt, scope: Scope) -> str:
        if scope.now() >= 1010.0:
            starts.append(scope.now())
            return "2"
        if scope.task_id == "slow":
            scope.sleep(5.0)
            raise ModelError(ErrorKind.QUOTA_MINUTE, retry_after=20.0)
        raise ModelError(ErrorKind.QUOTA_MINUTE, retry_after=10.0)

    def observe(event: Event) -> None:
        assert isinstance(event, QuotaWaiting)
        announced.append((event.task_id, event.until))
        told.release()

    announced, told = list[tuple[str, float]](), threading.Semaphore(0)
    model = RetryingModel(FunctionModel(function), random=lambda: 0.0)
    slow = Asked(model, Scope(clock=clock, observer=observe, task_id="slow"))
    clock.block_until(1, timed=True)
    quick = Asked(model, Scope(clock=clock, observer=observe, task_id="quick"))
    for step in (0.0, 5.0, 5.0):
        clock.advance(step)
        assert told.acquire(timeout=20)
    assert announced == [("quick", 1010.0), ("slow", 1025.0), ("quick", 1025.0)]
    clock.advance(15.0)
    assert quick.end().answer is not None
    assert slow.end().answer is not None
    assert starts == [1025.0, 1025.0]


def test_a_cancelled_quota_wait_is_charged_for_the_time_it_took() -> None:
    """Ctrl-C in the countdown ends it, and the seconds waited so far are on the record."""
    clock = FakeClock()
    scope = Scope(clock=clock)
    asked = Asked(RetryingModel(scripted(ModelError(ErrorKind.QUOTA_MINUTE, retry_after=39.0))), scope)
    clock.block_until(1, timed=True)
    clock.advance(10.0)
    scope.cancel()
    assert isinstance(asked.end().error, OperationCancelledError)
    assert scope.trace.limiter_seconds == 10.0


def test_a_spent_budget_delays_the_retry_instead_of_dropping_it() -> None:
    """With one retry per 10 s, the second retry waits until the first has left the window, and then is made."""
    inner, clock = scripted(*[ModelError(OVERLOADED)] * 2, "2"), FakeClock()
    asked, _, events = run(inner, clock, budget_floor=1)
    assert asked.answer is not None
    assert 1009.0 <= clock.now() <= 1012.0
    assert [type(event) for event in events] == [RetryScheduled, RetryScheduled]


def test_a_spent_budget_that_outlasts_the_deadline_raises_the_model_error() -> None:
    """Where the budget does not come back in time, the server's error is raised before the deadline."""
    error = ModelError(OVERLOADED)
    inner, clock = scripted(error), FakeClock()
    asked, _, _ = run(inner, clock, timeout=5.0, budget_floor=1)
    assert asked.error is error
    assert inner.calls == 2
    assert clock.now() < 1005.0


def test_the_policy_draws_from_zero_to_the_doubled_base_and_never_beyond_the_cap() -> None:
    """Full jitter: 0 .. min(cap, base x 2^(n-1)), also for absurd n."""
    policy = RetryPolicy()
    assert [policy.backoff(n, 1.0) for n in (1, 2, 3, 4, 5, 10**6)] == [0.5, 1.0, 2.0, 2.0, 2.0, 2.0]
    assert policy.backoff(3, 0.0) == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {"most_attempts": 0},
        {"base_seconds": 0.0},
        {"base_seconds": 5.0},
        {"cap_seconds": math.inf},
        {"quota_spread": -1.0},
    ],
)
def test_a_policy_that_cannot_work_is_refused(changes: dict[str, Any]) -> None:
    """Wrong figures are named when the policy is made, not in the middle of a run."""
    with pytest.raises(UsageError):
        dataclasses.replace(RetryPolicy(), **changes)

"""RetryPolicy and RetryingModel, one question at a time, on a clock that moves only when told."""

from __future__ import annotations

import dataclasses
import itertools
import math
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
from core.events import Event, RetryScheduled
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


def test_a_minute_quota_is_asked_for_again_at_once() -> None:
    """The wait is the limiter's, behind this model: here it costs no time, no attempt and no budget."""
    inner = scripted(*[ModelError(ErrorKind.QUOTA_MINUTE, retry_after=39.0)] * 30, ModelError(OVERLOADED), "2")
    policy = RetryPolicy(most_attempts=2, budget_fraction=0.0, budget_per_answer=0.0, budget_floor=1)
    clock = FakeClock()
    events: list[object] = []
    scope = Scope(clock=clock, observer=events.append)
    model = RetryingModel(inner, policy=policy, random=lambda: 0.0)
    assert model.generate(Prompt("q"), scope).text == "2"
    assert (inner.calls, clock.now()) == (32, FakeClock().now())
    assert [type(event).__name__ for event in events] == ["RetryScheduled"]


def test_cancelling_ends_the_asking_for_quota() -> None:
    """A model that refuses for ever is asked no more once the scope has ended."""
    scope = Scope(clock=FakeClock())

    def refuse(prompt: Prompt, inner_scope: Scope) -> str:
        scope.cancel()
        raise ModelError(ErrorKind.QUOTA_MINUTE)

    model = FunctionModel(refuse)
    with pytest.raises(OperationCancelledError):
        RetryingModel(model).generate(Prompt("q"), scope)
    assert model.calls == 1


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
    ],
)
def test_a_policy_that_cannot_work_is_refused(changes: dict[str, Any]) -> None:
    """Wrong figures are named when the policy is made, not in the middle of a run."""
    with pytest.raises(UsageError):
        dataclasses.replace(RetryPolicy(), **changes)

"""The limited model: what it reports, what it charges, what it announces."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from core.errors import DeadlineExceededError, ErrorKind, ModelError, NotRunError, OperationCancelledError
from core.events import Event, LimiterWaiting, QuotaWaiting
from core.limits import BreakerState, Limits
from core.outcome import Answer, Usage
from core.ports import Prompt
from core.scope import Scope
from optimizers.limited_model import LimitedModel
from optimizers.rate_limiter import RateLimiter
from tests.fakes import FakeClock, FunctionModel

PROMPT = Prompt("什麼是 REST API?")


class Asking:
    """generate() in a thread of its own."""

    def __init__(self, model: LimitedModel, scope: Scope, ended: threading.Semaphore | None = None) -> None:
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.ended_at = 0.0
        self._ended = ended
        self._model = model
        self._scope = scope
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self.answer = self._model.generate(PROMPT, self._scope)
        except Exception as error:  # noqa: BLE001 - whatever came out is what the test looks at
            self.error = error
        self.ended_at = self._scope.now()
        if self._ended is not None:
            self._ended.release()

    def end(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


def failing(*errors: ModelError | None) -> FunctionModel:
    """Raises the errors in turn; None and beyond: answers."""
    script = iter(errors)

    def answer(_: Prompt, __: Scope) -> Answer:
        error = next(script, None)
        if error is not None:
            raise error
        return Answer("ok", "fake", Usage(7, 3))

    return FunctionModel(answer)


def refused(retry_after: float | None) -> ModelError:
    return ModelError(ErrorKind.QUOTA_MINUTE, retry_after=retry_after)


def limited(model: FunctionModel, clock: FakeClock, limits: Limits | None = None) -> tuple[LimitedModel, RateLimiter]:
    limiter = RateLimiter(clock=clock, limits=limits or Limits())
    return LimitedModel(model, limiter), limiter


def test_an_answer_passes_and_its_tokens_replace_the_estimate() -> None:
    """The service counted 7 tokens of the prompt: that is what the minute holds."""
    clock = FakeClock()
    model, limiter = limited(failing(), clock)
    scope = Scope(clock=clock)
    assert model.generate(PROMPT, scope).text == "ok"
    figures = limiter.statistics()
    assert (figures.tokens_last_minute, figures.requests_last_minute, figures.in_flight) == (7, 1, 0)
    assert (figures.calls, figures.refused, scope.trace.limiter_seconds, model.identity) == (1, 0, 0.0, "fake")


def test_an_answer_without_usage_leaves_the_estimate_of_text_instruction_and_schema() -> None:
    """A service that does not count is believed to have read what was sent."""
    clock = FakeClock()
    model, limiter = limited(FunctionModel(lambda _, __: Answer("ok", "fake")), clock)
    model.generate(Prompt("a" * 40, "b" * 40, "c" * 40), Scope(clock=clock))
    assert limiter.statistics().tokens_last_minute == 30


def test_no_call_before_the_instant_that_a_refusal_named_and_one_soon_after() -> None:
    """RetryInfo 5.2 s: everybody waits at one gate, 5.2 s to the tick, and it is told once."""
    clock, events = FakeClock(), list[Event]()
    inner = failing(refused(5.2))
    model, limiter = limited(inner, clock)
    with pytest.raises(ModelError) as caught:
        model.generate(PROMPT, Scope(clock=clock))
    assert caught.value.kind is ErrorKind.QUOTA_MINUTE
    began = clock.now()
    ended = threading.Semaphore(0)
    scopes = [Scope(clock=clock, observer=events.append, task_id=f"q{n}") for n in range(3)]
    asking = [Asking(model, scope, ended) for scope in scopes]
    clock.block_until(3)
    figures = limiter.statistics()
    assert (figures.gate_until, figures.waiting, figures.refused) == (began + 5.2, 3, 1)
    clock.advance(5.19)
    clock.block_until(3)
    assert inner.calls == 1
    for waiting in (3, 2, 1):
        clock.block_until(waiting)
        clock.block_until(1, timed=True)
        clock.advance(clock.next_wake() - clock.now() + 1e-9)
        assert ended.acquire(timeout=20)
    for one in asking:
        one.end()
        assert one.answer is not None
    first = min(one.ended_at for one in asking)
    assert began + 5.2 <= first <= began + 5.5
    [told] = [event for event in events if isinstance(event, QuotaWaiting)]
    assert [event.task_id for event in events if isinstance(event, LimiterWaiting)] == ["q0", "q1", "q2"]
    assert told.until == began + 5.2
    assert told.delay == pytest.approx(5.2)
    assert min(scope.trace.limiter_seconds for scope in scopes) == pytest.approx(first - began)


def test_waiting_does_not_count_against_the_questions_own_timeout() -> None:
    """A question of 15 s waits 60 s for quota and is answered; afterwards its 15 s are what they were."""
    clock = FakeClock()
    model, _ = limited(failing(refused(60.0)), clock)
    with pytest.raises(ModelError):
        model.generate(PROMPT, Scope(clock=clock))
    run = Scope(clock=clock, deadline=clock.now() + 600)
    scope = run.child(timeout=15.0)
    asking = Asking(model, scope)
    clock.block_until(1)
    clock.advance(60.0)
    asking.end()
    assert asking.answer is not None
    assert scope.remaining() == pytest.approx(15.0)


def test_the_runs_deadline_and_a_cancellation_end_the_wait_and_leave_the_line() -> None:
    """One wait ends at the run's deadline, one by cancellation; nobody is left in the line."""
    clock = FakeClock()
    inner = failing(refused(60.0))
    model, limiter = limited(inner, clock)
    with pytest.raises(ModelError):
        model.generate(PROMPT, Scope(clock=clock))
    run = Scope(clock=clock, deadline=clock.now() + 20)
    late, cancelled = run.child(timeout=5.0), Scope(clock=clock)
    first, second = Asking(model, late), Asking(model, cancelled)
    clock.block_until(2)
    cancelled.cancel()
    second.end()
    assert isinstance(second.error, OperationCancelledError)
    clock.advance(20.0)
    first.end()
    assert isinstance(first.error, DeadlineExceededError)
    assert (limiter.statistics().waiting, inner.calls) == (0, 1)


def test_a_used_up_day_is_raised_without_asking_and_frees_those_who_wait() -> None:
    """After QUOTA_DAY nobody calls until it resets; who was waiting learns it at once."""
    clock = FakeClock()
    resets_at = clock.wall() + 3600
    day = ModelError(ErrorKind.QUOTA_DAY, resets_at=resets_at)
    inner = failing(refused(30.0), day)
    model, limiter = limited(inner, clock)
    with pytest.raises(ModelError):
        model.generate(PROMPT, Scope(clock=clock))
    asking = [Asking(model, Scope(clock=clock)) for _ in range(3)]
    clock.block_until(3)
    clock.advance(30.0)
    for one in asking:
        one.end()
        assert isinstance(one.error, ModelError)
        assert (one.error.kind, one.error.resets_at) == (ErrorKind.QUOTA_DAY, resets_at)
    assert inner.calls == 2
    with pytest.raises(ModelError):
        model.generate(PROMPT, Scope(clock=clock))
    assert (inner.calls, limiter.statistics().day_resets_at) == (2, resets_at)
    clock.advance(3600.0)
    assert model.generate(PROMPT, Scope(clock=clock)).text == "ok"


def test_ten_failures_open_the_breaker_and_a_probe_closes_it() -> None:
    """The service is down: the eleventh caller waits a second, is the probe, and the door is open again."""
    clock = FakeClock()
    kinds = (ErrorKind.OVERLOADED, ErrorKind.SERVER_ERROR, ErrorKind.UNAVAILABLE)
    model, limiter = limited(failing(*(ModelError(kinds[n % 3]) for n in range(10))), clock)
    for _ in range(10):
        with pytest.raises(ModelError):
            model.generate(PROMPT, Scope(clock=clock))
        clock.advance(1.0)
    clock.advance(-1.0)
    assert limiter.statistics().breaker is BreakerState.OPEN
    asking = Asking(model, Scope(clock=clock))
    clock.block_until(1)
    clock.advance(1.0)
    asking.end()
    assert asking.answer is not None
    assert limiter.statistics().breaker is BreakerState.CLOSED


@pytest.mark.parametrize(
    "error",
    [ModelError(ErrorKind.TIMEOUT), ModelError(ErrorKind.BLOCKED), NotRunError("not sent"), KeyboardInterrupt()],
)
def test_whatever_a_call_ends_with_its_permit_comes_back(error: BaseException) -> None:
    """Errors of any kind pass as they are, and nothing stays in flight."""
    clock = FakeClock()

    def fail(_: Prompt, __: Scope) -> str:
        raise error

    model, limiter = limited(FunctionModel(fail), clock)
    with pytest.raises(type(error)):
        model.generate(PROMPT, Scope(clock=clock))
    assert (limiter.statistics().in_flight, limiter.statistics().breaker) == (0, BreakerState.CLOSED)


def test_a_configured_day_holds_across_a_restart(tmp_path: Path) -> None:
    """Two calls a day: the third is refused by us, in this process and in the next."""
    clock, inner = FakeClock(), failing()
    for expected in (2, 2):
        limiter = RateLimiter(clock=clock, limits=Limits(requests_per_day=2), day_file=tmp_path / "day.json")
        model = LimitedModel(inner, limiter)
        while inner.calls < 2:
            model.generate(PROMPT, Scope(clock=clock))
        with pytest.raises(ModelError) as caught:
            model.generate(PROMPT, Scope(clock=clock))
        assert caught.value.kind is ErrorKind.QUOTA_DAY
        assert caught.value.resets_at is not None
        assert (inner.calls, limiter.statistics().requests_today) == (expected, 2)
        limiter.close()
        limiter.close()

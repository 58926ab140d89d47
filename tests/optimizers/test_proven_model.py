"""ProvenModel: one call finds out, the others wait for its verdict."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from core.errors import (
    DeadlineExceededError,
    ErrorKind,
    ModelError,
    NotRunError,
    OperationCancelledError,
    ParallelProcessingError,
    UsageError,
)
from core.outcome import Answer
from core.ports import Prompt
from core.scope import Scope
from optimizers.proven_model import ProvenModel
from tests.fakes import FakeClock, FunctionModel

INCONCLUSIVE = (ErrorKind.UNAVAILABLE, ErrorKind.RESET, ErrorKind.TIMEOUT, ErrorKind.BAD_RESPONSE)
PROMPT = Prompt("1 + 1 = ?")


class Asked:
    """One generate() in its own thread."""

    def __init__(self, model: ProvenModel, scope: Scope) -> None:
        self.result: Answer | BaseException | None = None
        self.scope = scope
        self._thread = threading.Thread(target=self._run, args=(model,), daemon=True)
        self._thread.start()

    def _run(self, model: ProvenModel) -> None:
        try:
            self.result = model.generate(PROMPT, self.scope)
        except BaseException as error:  # noqa: BLE001 - whatever came out is what the test looks at
            self.result = error

    def end(self) -> Answer | BaseException | None:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.result


class Stage:
    """A model whose every call waits for the test to say how it ends, behind a ProvenModel."""

    def __init__(self, *, patience: float = 1.0) -> None:
        self.clock = FakeClock()
        self.called = threading.Semaphore(0)
        self._ends: list[Callable[[], str]] = []
        self._condition = threading.Condition()
        self.inner = FunctionModel(self._serve)
        self.model = ProvenModel(self.inner, patience=patience)

    def _serve(self, _: Prompt, __: Scope) -> str:
        self.called.release()
        with self._condition:
            assert self._condition.wait_for(lambda: self._ends, 20)
            end = self._ends.pop(0)
        return end()

    def ask(self, deadline: float = 1e9) -> Asked:
        return Asked(self.model, Scope(clock=self.clock, deadline=deadline))

    def lead(self) -> Asked:
        """Ask, and return once the call has reached the model."""
        asked = self.ask()
        self.await_call()
        return asked

    def wait(self, count: int) -> list[Asked]:
        """Ask that many times, and return once all of them wait at the gate."""
        waiting = [self.ask() for _ in range(count)]
        self.clock.block_until(count)
        return waiting

    def await_call(self) -> None:
        assert self.called.acquire(timeout=20)

    def settle(self, error: BaseException | None = None) -> None:
        """End the oldest call that is out: with an answer, or with this error."""

        def end() -> str:
            if error is not None:
                raise error
            return "2"

        with self._condition:
            self._ends.append(end)
            self._condition.notify_all()


def refusal(kind: ErrorKind = ErrorKind.BAD_KEY) -> ModelError:
    return ModelError(kind)


def test_a_wrong_key_costs_one_call_for_a_hundred_questions() -> None:
    """FAULTS 34: of 100 questions asked at once with a wrong key one is asked, and 99 are not run, with the cause."""
    stage = Stage()
    leader = stage.lead()
    others = stage.wait(99)
    error = refusal()
    stage.settle(error)
    assert leader.end() is error
    for other in others:
        result = other.end()
        assert isinstance(result, NotRunError)
        assert result.cause is error
        assert result.advice == error.advice
        assert error.reason in result.reason
        assert result.__context__ is None
    assert stage.inner.calls == 1


def test_after_a_refusal_the_next_call_leads_anew() -> None:
    """The gate is not shut for ever: who asks later finds out for himself, alone."""
    stage = Stage()
    leader = stage.lead()
    stage.settle(refusal())
    leader.end()
    second = stage.lead()
    waiting = stage.wait(2)
    stage.settle()
    assert isinstance(second.end(), Answer)
    for _ in waiting:
        stage.settle()
    assert all(isinstance(each.end(), Answer) for each in waiting)
    assert stage.model.proven


def test_the_first_answer_lets_all_the_others_go_at_once() -> None:
    """Nobody calls before the leader is back, and then all are in flight together."""
    stage = Stage()
    leader = stage.lead()
    others = stage.wait(5)
    assert stage.inner.most_in_flight == 1
    stage.settle()
    leader.end()
    for _ in others:
        stage.await_call()
    assert stage.inner.most_in_flight == 5
    for _ in others:
        stage.settle()
    assert all(isinstance(other.end(), Answer) for other in others)


@pytest.mark.parametrize("kind", [k for k in ErrorKind if not ModelError(k).stops_run and k not in INCONCLUSIVE])
def test_what_only_a_valid_key_can_get_proves_it(kind: ErrorKind) -> None:
    """A block, a spent minute quota or a server error opens the gate as an answer does."""
    stage = Stage()
    leader = stage.lead()
    stage.settle(refusal(kind))
    assert isinstance(leader.end(), ModelError)
    assert stage.model.proven


@pytest.mark.parametrize("error", [*map(ModelError, INCONCLUSIVE), DeadlineExceededError(), SystemExit()])
def test_a_leader_that_proved_nothing_is_followed_by_one_of_the_waiting(error: BaseException) -> None:
    """No connection, an ended scope or a dying thread frees the others: one of them leads, and one only."""
    stage = Stage()
    leader = stage.lead()
    others = stage.wait(3)
    stage.settle(error)
    assert leader.end() is error
    stage.await_call()
    assert not stage.called.acquire(blocking=False)
    assert not stage.model.proven
    for _ in others:
        stage.settle()
    assert all(isinstance(other.end(), Answer) for other in others)
    assert stage.inner.calls == 4


def test_a_leader_that_stays_away_holds_the_others_back_no_longer_than_the_patience() -> None:
    """A hanging first call costs the others one second; then they all call, and one answer opens the gate."""
    stage = Stage()
    hanging = stage.lead()
    others = stage.wait(3)
    stage.clock.advance(0.999)
    assert not stage.called.acquire(blocking=False)
    stage.clock.advance(0.001)
    for _ in others:
        stage.await_call()
    for _ in range(4):
        stage.settle()
    assert all(isinstance(each.end(), Answer) for each in [hanging, *others])
    assert stage.model.proven


def test_patience_counts_from_the_first_leader_not_from_each() -> None:
    """A network that is down serialises the calls for one second in all, however many leaders come back empty."""
    stage = Stage()
    leader = stage.lead()
    waiting = stage.wait(2)
    stage.clock.advance(0.6)
    stage.settle(refusal(ErrorKind.UNAVAILABLE))
    leader.end()
    stage.await_call()
    stage.clock.advance(0.4)
    stage.await_call()
    assert stage.inner.in_flight == 2
    late = stage.lead()
    for _ in range(3):
        stage.settle(refusal(ErrorKind.UNAVAILABLE))
    assert all(isinstance(each.end(), ModelError) for each in [*waiting, late])


def test_zero_patience_never_holds_anybody_back() -> None:
    """With patience 0 the gate only watches."""
    stage = Stage(patience=0.0)
    calls = [stage.lead(), stage.lead()]
    stage.settle()
    stage.settle()
    assert all(isinstance(call.end(), Answer) for call in calls)


def test_a_waiting_call_ends_at_its_own_deadline() -> None:
    """Waiting for the leader is bounded by the waiting call's scope, and the leader is not touched."""
    stage = Stage()
    leader = stage.lead()
    short = stage.ask(deadline=1000.5)
    stage.clock.block_until(1)
    stage.clock.advance(0.5)
    assert isinstance(short.end(), DeadlineExceededError)
    stage.settle()
    assert isinstance(leader.end(), Answer)
    assert stage.inner.calls == 1


def test_a_waiting_call_ends_when_it_is_cancelled() -> None:
    """Ctrl-C reaches those at the gate as well."""
    stage = Stage()
    leader = stage.lead()
    [waiting] = stage.wait(1)
    waiting.scope.cancel()
    assert isinstance(waiting.end(), OperationCancelledError)
    stage.settle()
    leader.end()


def test_prove_opens_the_gate_for_those_who_wait_too() -> None:
    """A check at start-up that succeeded elsewhere lets everybody in."""
    stage = Stage()
    leader = stage.lead()
    [waiting] = stage.wait(1)
    stage.model.prove()
    stage.await_call()
    assert stage.inner.in_flight == 2
    stage.settle()
    stage.settle()
    assert isinstance(leader.end(), Answer)
    assert isinstance(waiting.end(), Answer)


def test_a_refusal_after_the_proof_closes_the_gate_again() -> None:
    """When the day's quota ends in mid-run, the next calls go one at a time, and a second refusal stops who waits."""
    stage = Stage()
    stage.model.prove()
    in_flight = stage.lead()
    stage.settle(refusal(ErrorKind.QUOTA_DAY))
    assert isinstance(in_flight.end(), ModelError)
    assert not stage.model.proven
    stage.lead()
    waiting = stage.wait(3)
    stage.settle(refusal(ErrorKind.QUOTA_DAY))
    assert all(isinstance(each.end(), NotRunError) for each in waiting)
    assert stage.inner.calls == 2


def test_a_passing_failure_after_the_proof_leaves_the_gate_open() -> None:
    """Only what stops the run closes it."""
    stage = Stage()
    stage.model.prove()
    call = stage.lead()
    stage.settle(refusal(ErrorKind.OVERLOADED))
    assert isinstance(call.end(), ModelError)
    assert stage.model.proven


def test_an_answer_to_a_call_from_before_the_refusal_proves_nothing() -> None:
    """A late answer does not reopen the gate that a later word of the server has closed."""
    stage = Stage(patience=0.0)
    calls = [stage.lead(), stage.lead()]
    stage.settle(refusal())
    while not any(isinstance(call.result, ModelError) for call in calls):
        for call in calls:
            call._thread.join(0.001)
    stage.settle()
    assert {type(call.end()) for call in calls} == {ModelError, Answer}
    assert not stage.model.proven


def test_identity_and_arguments() -> None:
    """The identity is the next model's, and a patience that is no length of time is refused."""
    stage = Stage()
    assert stage.model.identity == "fake"
    for patience in (-1.0, float("nan")):
        with pytest.raises(UsageError):
            ProvenModel(stage.inner, patience=patience)
    assert issubclass(NotRunError, ParallelProcessingError)

"""SpendingCap and CappedModel: what stops, when, and by how much a run can overshoot."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DeadlineExceededError, ErrorKind, ModelError, ScopeError, UsageError
from core.outcome import Answer, OutcomeKind, Usage
from core.parallel_executor import ParallelExecutor, ParallelTask
from core.ports import Prompt
from core.scope import Scope
from optimizers.cost_ledger import CostLedger
from optimizers.measured_model import CallRecord, MeasuredModel
from optimizers.retry import RetryingModel
from optimizers.spending_cap import CappedModel, SpendingCap
from tests.fakes import FakeClock, FunctionModel
from tests.optimizers.test_cost_ledger import CATALOGUE, clock_at

PROMPT = Prompt("?")
PER_CALL = 150  # tokens; 0.0006 dollars at the sample's first price


def make_ledger() -> CostLedger:
    return CostLedger(catalogue=lambda: CATALOGUE, clock=clock_at(0.0))


def serve(_: Prompt, scope: Scope) -> Answer:
    return Answer("text", "priced", Usage(100, 30, 20))


def capped(cap: SpendingCap, ledger: CostLedger, base: FunctionModel) -> CappedModel:
    return CappedModel(MeasuredModel(base, on_call=ledger.note_call), cap)


def calls_until_stopped(model: CappedModel, most: int = 50) -> int:
    for number in range(most):
        try:
            model.generate(PROMPT, Scope(clock=FakeClock()))
        except ModelError as error:
            if error.kind is ErrorKind.BUDGET_SPENT and error.stops_run and not error.retryable:
                return number
            raise
    return most


@given(st.integers(1, 20 * PER_CALL))
def test_one_after_the_other_the_cap_in_tokens_is_passed_by_less_than_one_call(tokens: int) -> None:
    """The call that reaches the cap is the last one."""
    ledger, base = make_ledger(), FunctionModel(serve, identity="priced")
    cap = SpendingCap(ledger=ledger, tokens=tokens)
    assert calls_until_stopped(capped(cap, ledger, base)) == -(-tokens // PER_CALL) == base.calls
    assert tokens <= cap.spent().tokens < tokens + PER_CALL


def test_a_cap_in_money_stops_as_well_and_says_how_much() -> None:
    """Two calls reach 0.0012 dollars; the message names the cap."""
    ledger, base = make_ledger(), FunctionModel(serve, identity="priced")
    model = capped(SpendingCap(ledger=ledger, money=Decimal("0.0012")), ledger, base)
    assert calls_until_stopped(model) == 2
    with pytest.raises(ModelError, match=r"US\$0\.0012"):
        model.generate(PROMPT, Scope(clock=FakeClock()))


def test_the_first_cap_that_is_reached_stops() -> None:
    """With tokens to spare the money stops, with money to spare the tokens do."""
    for tokens, money, calls in ((10_000, Decimal("0.0006"), 1), (300, Decimal(1), 2)):
        ledger = make_ledger()
        cap = SpendingCap(ledger=ledger, tokens=tokens, money=money)
        assert calls_until_stopped(capped(cap, ledger, FunctionModel(serve, identity="priced"))) == calls


def test_money_cannot_cap_a_model_without_a_price() -> None:
    """It is refused before it costs anything; a cap in tokens works for it."""
    ledger, base = make_ledger(), FunctionModel(serve, identity="nameless")
    cap = SpendingCap(ledger=ledger, money=Decimal(1))
    with pytest.raises(ModelError, match="沒有 nameless 的價格資料"):
        capped(cap, ledger, base).generate(PROMPT, Scope(clock=FakeClock()))
    assert base.calls == 0
    assert calls_until_stopped(capped(SpendingCap(ledger=ledger, tokens=1), ledger, base)) == 1


def test_without_caps_nothing_stops() -> None:
    """A cap of nothing is no cap, and the model keeps its identity."""
    ledger, base = make_ledger(), FunctionModel(serve, identity="priced")
    model = capped(SpendingCap(ledger=ledger), ledger, base)
    assert calls_until_stopped(model) == 50
    assert model.identity == "priced"


def test_each_run_has_the_whole_cap() -> None:
    """What earlier runs spent does not count after start_run()."""
    ledger, base = make_ledger(), FunctionModel(serve, identity="priced")
    cap = SpendingCap(ledger=ledger, tokens=PER_CALL)
    model = capped(cap, ledger, base)
    assert calls_until_stopped(model) == 1
    assert calls_until_stopped(model) == 0
    cap.start_run()
    assert cap.spent().tokens == 0
    assert calls_until_stopped(model) == 1


@pytest.mark.parametrize("workers", [1, 4])
def test_a_run_stops_cleanly_and_keeps_what_was_in_flight(workers: int) -> None:
    """The cap is one call: those in flight when it is reached are answered, and nothing else is ever asked."""
    ledger, barrier = make_ledger(), threading.Barrier(workers)

    def together(prompt: Prompt, scope: Scope) -> Answer:
        barrier.wait(20)  # all workers are in a call when the first of them ends
        return serve(prompt, scope)

    base = FunctionModel(together, identity="priced")
    model = RetryingModel(capped(SpendingCap(ledger=ledger, tokens=PER_CALL), ledger, base))
    tasks = [
        ParallelTask(f"t{n}", "t", lambda scope: model.generate(PROMPT, scope), timeout=25.0, scoped=True)
        for n in range(40)
    ]
    executor = ParallelExecutor(workers)
    try:
        report = executor.run(tasks)
    finally:
        executor.close()
    assert report.counts[OutcomeKind.ANSWERED] == base.calls == workers
    assert 1 <= report.counts[OutcomeKind.FAILED] <= workers
    idle = [outcome for outcome in report.outcomes if outcome.kind is OutcomeKind.NOT_RUN]
    assert len(idle) >= 40 - 2 * workers
    assert all("花費上限" in outcome.reason and "提高上限" in outcome.advice for outcome in idle)


def test_a_refused_call_waits_for_those_in_flight_and_for_no_longer_than_its_scope() -> None:
    """A refusal would end the run and with it answers that are already paid for."""
    ledger, clock, enter, go_on = make_ledger(), FakeClock(), threading.Event(), threading.Event()
    ledger.note_call(CallRecord("priced", "", 0.0, 0.0, serve(PROMPT, Scope(clock=clock)), None))

    def slow(prompt: Prompt, scope: Scope) -> Answer:
        enter.set()
        assert go_on.wait(20)
        return serve(prompt, scope)

    cap = SpendingCap(ledger=ledger, tokens=PER_CALL)
    model = capped(cap, ledger, FunctionModel(slow, identity="priced"))
    ends: list[object] = []

    def refused(scope: Scope) -> None:
        try:
            model.generate(PROMPT, scope)
        except (ModelError, ScopeError) as error:
            ends.append(type(error))

    first = threading.Thread(target=model.generate, args=(PROMPT, Scope(clock=clock)))
    first.start()
    assert enter.wait(20)
    ledger.note_call(CallRecord("priced", "", 0.0, 0.0, serve(PROMPT, Scope(clock=clock)), None))
    hasty, patient = (
        threading.Thread(target=refused, args=(Scope(clock=clock, deadline=clock.now() + seconds),))
        for seconds in (5.0, 50.0)
    )
    hasty.start()
    patient.start()
    clock.block_until(2, timed=True)
    clock.advance(6.0)
    hasty.join(20)
    assert ends == [DeadlineExceededError]
    go_on.set()
    for thread in (first, patient):
        thread.join(20)
    assert ends == [DeadlineExceededError, ModelError]


def test_a_call_that_fails_leaves_as_well() -> None:
    """Otherwise the refused would wait for it for ever."""
    ledger = make_ledger()

    def fail(prompt: Prompt, scope: Scope) -> Answer:
        raise ModelError(ErrorKind.OVERLOADED)

    cap = SpendingCap(ledger=ledger, tokens=PER_CALL)
    with pytest.raises(ModelError, match="忙碌"):
        capped(cap, ledger, FunctionModel(fail, identity="priced")).generate(PROMPT, Scope(clock=FakeClock()))
    assert calls_until_stopped(capped(cap, ledger, FunctionModel(serve, identity="priced"))) == 1


@pytest.mark.parametrize("money", [Decimal(0), Decimal(-1), Decimal("nan"), Decimal("inf")])
def test_a_cap_is_above_zero(money: Decimal) -> None:
    """Anything else would stop all or nothing, and is refused."""
    with pytest.raises(UsageError, match="大於 0"):
        SpendingCap(ledger=make_ledger(), money=money)
    with pytest.raises(UsageError, match="大於 0"):
        SpendingCap(ledger=make_ledger(), tokens=0)

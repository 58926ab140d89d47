"""CostLedger: totals, runs as differences, money that is known and money that is not, savings, history."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cost import CallHistory, Spend
from core.errors import ErrorKind, ModelError
from core.outcome import Answer, AnswerSource, Usage
from core.ports import Prompt
from core.scope import Scope
from optimizers.cache_manager import CacheManager
from optimizers.cached_model import CachedModel
from optimizers.catalogue import parse_catalogue
from optimizers.cost_ledger import CostLedger
from optimizers.measured_model import CallRecord, MeasuredModel
from tests.fakes import FakeClock, FunctionModel

CATALOGUE = parse_catalogue(
    """
    prices_source = "x"
    batch_factor = 0.5
    [[models]]
    name = "priced"
    checked = 2026-01-01
    prices = [{ input = 1, output = 10 }, { from = 2026-06-01, input = 2, output = 20 }]
    [limits]
    source = "x"
    last_published = "x"
    current_at = "x"
    tiers = []
    """
)
USAGE = Usage(100, 30, 20)
JUNE = datetime(2026, 6, 1, tzinfo=UTC).timestamp()


def clock_at(wall: float) -> FakeClock:
    clock = FakeClock()
    clock.wall_offset = wall - clock.now()
    return clock


def ledger_at(wall: float = JUNE - 1) -> CostLedger:
    return CostLedger(catalogue=lambda: CATALOGUE, clock=clock_at(wall))


def record(answer: Answer | None = None, identity: str = "priced", seconds: float = 1.0) -> CallRecord:
    error = ModelError(ErrorKind.OVERLOADED) if answer is None else None
    return CallRecord(identity, "task", 0.0, seconds, answer, error)


def answer(model: str = "priced", source: AnswerSource = AnswerSource.MODEL, usage: Usage = USAGE) -> Answer:
    return Answer("text", model, usage, source=source)


def test_a_new_ledger_is_empty() -> None:
    """Nothing was called, and that cost nothing."""
    totals = ledger_at().totals()
    assert totals == Spend()
    assert totals.money == totals.saved_money == 0
    assert (totals.tokens, totals.answered) == (0, 0)


def test_attempts_add_up_failed_ones_too() -> None:
    """An answered attempt brings its tokens and its price, a failed one counts and brings none."""
    ledger = ledger_at()
    ledger.note_call(record(answer()))
    ledger.note_call(record())
    totals = ledger.totals()
    assert (totals.calls, totals.failed_calls, totals.tokens, totals.output_tokens) == (2, 1, 150, 50)
    assert totals.money == Decimal("0.0006")


def test_the_price_is_that_of_the_day() -> None:
    """A price that changed at midnight counts from then on."""
    ledger = ledger_at(JUNE)
    ledger.note_call(record(answer()))
    assert ledger.totals().money == Decimal("0.0012")


def test_unknown_prices_are_not_zero() -> None:
    """One call without a price makes the sum unknown; what is known stays to be seen."""
    ledger = ledger_at()
    ledger.note_call(record(answer()))
    ledger.note_call(record(answer("other")))
    ledger.note_answer(answer("other", AnswerSource.CACHE))
    totals = ledger.totals()
    assert (totals.money, totals.known_money, totals.unpriced_calls) == (None, Decimal("0.0006"), 1)
    assert totals.saved_money is None
    assert (totals.known_saved_money, totals.unpriced_saved) == (Decimal(0), 1)


def test_a_failed_call_of_a_model_without_price_hides_no_money() -> None:
    """It told no tokens, so there is nothing to price."""
    ledger = ledger_at()
    ledger.note_call(record(identity=json.dumps({"model": "other"})))
    assert ledger.totals().money == 0


def test_answers_without_a_call_are_savings() -> None:
    """From cache and shared calls: their calls, tokens and money; the model's own answer saves nothing."""
    ledger = ledger_at()
    for source in AnswerSource:
        ledger.note_answer(answer(source=source))
    totals = ledger.totals()
    assert (totals.asked, totals.cached, totals.shared) == (1, 1, 1)
    assert (totals.saved_calls, totals.saved_tokens, totals.saved_money) == (2, 300, Decimal("0.0012"))
    assert (totals.calls, totals.tokens, totals.money) == (0, 0, Decimal(0))


def test_behind_the_real_wrappers_everything_is_counted_once() -> None:
    """Three questions of which two are equal: two calls, one answer from the cache."""
    ledger = ledger_at()
    base = FunctionModel(lambda prompt, scope: answer(), identity="priced")
    model = CachedModel(MeasuredModel(base, on_call=ledger.note_call), CacheManager())
    for text in ("a", "b", "a"):
        ledger.note_answer(model.generate(Prompt(text), Scope(clock=FakeClock())))
    totals = ledger.totals()
    assert (totals.calls, totals.asked, totals.cached, totals.answered) == (2, 2, 1, 3)
    assert totals.money == 2 * Decimal("0.0006") == 2 * totals.known_saved_money


def test_history_is_by_model_and_of_answers_only() -> None:
    """Output tokens and seconds of the latest thousand answered calls of that identity."""
    ledger = ledger_at()
    ledger.note_call(record(answer(), seconds=2.0))
    ledger.note_call(record())
    ledger.note_call(record(answer(), identity="else"))
    assert ledger.history("priced") == CallHistory((50,), (2.0,))
    assert ledger.history("never") == CallHistory()
    for _ in range(1001):
        ledger.note_call(record(answer(usage=Usage(0, 7))))
    assert ledger.history("priced").output_tokens == (7,) * 1000


def test_by_default_it_knows_the_published_prices() -> None:
    """A ledger made of nothing prices the default model and not an unheard-of one."""
    ledger = CostLedger()
    assert ledger.price_of("gemini-2.5-flash") is not None
    assert ledger.price_of("unheard-of") is None


@pytest.fixture
def eager_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_switching")
def test_no_note_is_lost_between_threads() -> None:
    """Eight threads that note at once leave exact totals."""
    ledger, start = ledger_at(), threading.Barrier(8)

    def work() -> None:
        start.wait(20)
        for _ in range(100):
            ledger.note_call(record(answer()))
            ledger.note_answer(answer(source=AnswerSource.SHARED))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    totals = ledger.totals()
    assert (totals.calls, totals.shared, totals.tokens) == (800, 800, 120_000)
    assert totals.money == totals.saved_money == 800 * Decimal("0.0006")


USAGES = st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**5), st.integers(0, 10**5))
ANSWERS = st.builds(answer, st.sampled_from(["priced", "other"]), st.sampled_from(AnswerSource), USAGES)
NOTES = st.one_of(ANSWERS, ANSWERS.map(record), st.just(record()))


@given(st.lists(st.lists(NOTES, max_size=12), max_size=6))
def test_totals_are_the_sum_of_the_runs(runs: list[list[Answer | CallRecord]]) -> None:
    """Whatever happens: the runs add up exactly, saved + asked = answered, money is known or said not to be."""
    ledger, spends = ledger_at(), []
    for notes in runs:
        before = ledger.totals()
        for note in notes:
            if isinstance(note, Answer):
                ledger.note_answer(note)
            else:
                ledger.note_call(note)
        spends.append(ledger.totals() - before)
    totals = ledger.totals()
    assert sum(spends, Spend()) == totals
    for spend in [*spends, totals]:
        assert spend.saved_calls + spend.asked == spend.answered
        assert 0 <= spend.failed_calls <= spend.calls
        assert spend.known_money >= 0
        assert (spend.money is None) == (spend.unpriced_calls > 0)
    answers = [note for notes in runs for note in notes if isinstance(note, Answer)]
    assert totals.answered == len(answers)
    assert totals - totals == Spend()

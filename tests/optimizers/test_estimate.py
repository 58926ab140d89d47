"""The estimate: tokens of a text, and calls, tokens, money and time of a run."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cost import CallHistory, Range, RunEstimate
from core.errors import UsageError
from core.limits import Limits
from core.ports import Prompt
from core.providers.offline import OfflineModel
from core.scope import Scope
from optimizers.estimate import DEFAULT_OUTPUT_TOKENS, DEFAULT_SECONDS, estimate, estimate_tokens
from tests.fakes import FakeClock
from tests.optimizers.test_cost_ledger import CATALOGUE

DAY = date(2026, 1, 1)
NONE = CallHistory()


def run(
    prompts: list[Prompt], history: CallHistory = NONE, *, workers: int = 1, limits: Limits | None = None
) -> RunEstimate:
    return estimate(prompts, CATALOGUE, "priced", history, on=DAY, workers=workers, limits=limits or Limits())


def distinct(count: int) -> list[Prompt]:
    return [Prompt(f"{number:08}") for number in range(count)]  # two tokens each


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("The quick brown fox jumps over the lazy dog.", 11),  # Google's example counts 10
        ("這是什麼奇怪的世界?", 7),  # Gemini makes 5 of it
        ("什麼是 REST API?", 5),
        ("ключ", 2),
        ("한국어 ひらがな", 5),
        ("🚀🚀", 1),
    ],
)
def test_tokens_of_a_text(text: str, tokens: int) -> None:
    """Four ASCII characters, a character and a half of CJK, or two of another script make a token."""
    assert estimate_tokens(text) == tokens


@given(st.text(max_size=200), st.text(max_size=200))
def test_tokens_grow_with_the_text(one: str, two: str) -> None:
    """Two texts have about as many tokens as both have, and never more than characters."""
    assert estimate_tokens(one) <= estimate_tokens(one + two) <= estimate_tokens(one) + estimate_tokens(two)
    assert (estimate_tokens(one) > 0) == (one != "")
    assert estimate_tokens(one) <= len(one)


@given(st.text(alphabet="什麼是並行處理與效能優化系統", min_size=1, max_size=60))
def test_chinese_counts_as_the_offline_model_counts_it(text: str) -> None:
    """A demonstration meets its estimate."""
    answer = OfflineModel(scale=0).generate(Prompt(text), Scope(clock=FakeClock()))
    assert estimate_tokens(text) == answer.usage.prompt_tokens


def test_equal_prompts_are_one_call_and_cached_ones_none() -> None:
    """Five prompts, two of them equal, one cached: three calls, whose text and instruction are counted."""
    prompts = [*distinct(3), Prompt("00000000"), Prompt("0000", "abcdefgh")]
    result = estimate(prompts, CATALOGUE, "priced", NONE, on=DAY, is_cached=lambda prompt: prompt.text == "00000001")
    assert (result.prompts, result.calls, result.input_tokens) == (5, 3, 2 + 2 + 1 + 2)


def test_without_a_history_the_stated_defaults_hold() -> None:
    """Nineteen answers are no history yet."""
    history = CallHistory((7,) * 19, (0.1,) * 19)
    result = run(distinct(10), history)
    assert not result.from_history
    assert result.output_tokens == Range(10 * DEFAULT_OUTPUT_TOKENS.low, 10 * DEFAULT_OUTPUT_TOKENS.high)
    assert result.seconds == Range(10 * DEFAULT_SECONDS.low, 10 * DEFAULT_SECONDS.high)


def test_with_twenty_answers_their_percentiles_hold() -> None:
    """The 2nd and the 18th of twenty, whatever their order; money follows the price of the day."""
    history = CallHistory(tuple(range(20, 0, -1)), tuple(float(number) for number in range(1, 21)))
    result = run(distinct(10), history)
    assert result.from_history
    assert result.output_tokens == Range(20, 180)
    assert result.seconds == Range(20.0, 180.0)
    assert result.money == Range(Decimal("0.00022"), Decimal("0.00182"))
    assert result.priced_on == DAY


def test_what_has_no_price_has_no_money() -> None:
    """Unknown stays unknown."""
    result = estimate(distinct(1), CATALOGUE, "other", NONE, on=DAY)
    assert (result.money, result.priced_on) == (None, None)


def test_workers_share_the_time() -> None:
    """Ten calls by four workers are three rounds; no workers are refused."""
    assert run(distinct(10), workers=4).seconds.low == 3 * DEFAULT_SECONDS.low
    with pytest.raises(UsageError, match="workers"):
        run(distinct(1), workers=0)


def test_the_quota_of_the_minute_sets_the_pace() -> None:
    """Seventy calls at ten a minute: six minutes with the burst unused, seven without; tokens may bind as well."""
    slow = run(distinct(70), workers=70, limits=Limits(requests_per_minute=10, burst=10))
    assert slow.seconds == Range(360.0, 420.0)
    heavy = run(distinct(70), workers=70, limits=Limits(tokens_per_minute=20))
    assert heavy.seconds == Range(360.0, 420.0)
    assert run(distinct(70), workers=70, limits=Limits(100_000)).seconds == DEFAULT_SECONDS


def test_the_quota_of_the_day_is_told() -> None:
    """Calls beyond it are counted."""
    assert run(distinct(70), limits=Limits(requests_per_day=50)).over_day_limit == 20
    assert run(distinct(70), limits=Limits(requests_per_day=70)).over_day_limit == 0


MAYBE = st.none() | st.integers(1, 500)
LIMITS = st.builds(Limits, MAYBE, MAYBE, MAYBE, MAYBE)
PROMPTS = st.lists(st.builds(Prompt, st.text(max_size=20)), max_size=20)
ANSWERS = st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 100)), max_size=40)


@given(PROMPTS, ANSWERS, st.integers(1, 8), LIMITS)
def test_ranges_are_ranges(
    prompts: list[Prompt], answers: list[tuple[int, float]], workers: int, limits: Limits
) -> None:
    """Low is never above high, nothing is negative, calls are at most the prompts, and no calls cost nothing."""
    history = CallHistory(tuple(tokens for tokens, _ in answers), tuple(seconds for _, seconds in answers))
    result = run(prompts, history, workers=workers, limits=limits)
    assert 0 <= result.calls == len(set(prompts)) <= result.prompts == len(prompts)
    assert 0 <= result.output_tokens.low <= result.output_tokens.high
    assert 0 <= result.seconds.low <= result.seconds.high
    assert result.money is not None
    assert 0 <= result.money.low <= result.money.high
    if not prompts:
        assert (result.money, result.seconds) == (Range(Decimal(0), Decimal(0)), Range(0.0, 0.0))

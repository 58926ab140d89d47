"""What a bulk run will take, from a sample of its texts."""

from __future__ import annotations

import itertools
import math
from datetime import date

import pytest

from core.bulk import TextItem
from core.cost import CallHistory, Range, RunEstimate
from core.limits import Limits
from optimizers.analyses import ANALYSES
from optimizers.bulk_estimate import estimate_bulk
from optimizers.estimate import DEFAULT_SECONDS, estimate_tokens
from optimizers.pack_size import PackSize
from optimizers.packing import Packer, pack_prompt
from tests.optimizers.test_cost_ledger import CATALOGUE

SENTIMENT = ANALYSES["sentiment"]
SHORT = [f"第 {number} 則短文" for number in range(100, 200)]


def run(
    sample: list[str], count: int, pack: int, history: CallHistory | None = None, limits: Limits | None = None
) -> RunEstimate:
    return estimate_bulk(
        sample, count, SENTIMENT, pack, CATALOGUE, "priced", history or CallHistory(), on=date(2026, 1, 1), workers=5,
        limits=limits or Limits(),
    )  # fmt: skip


def test_short_texts_fill_their_packs() -> None:
    """Ten thousand texts in packs of 25 are 400 requests, each as large as the sample's packs are."""
    found = run(SHORT, 10_000, 25)
    prompt = pack_prompt(SENTIMENT, SHORT[:25]).prompt
    one = estimate_tokens(prompt.system_instruction) + estimate_tokens(prompt.text)
    assert (found.prompts, found.calls) == (10_000, 400)
    assert found.input_tokens == pytest.approx(400 * one, rel=0.01)
    assert found.output_tokens == Range(400 * 250, 400 * 2000)


def test_long_texts_need_more_requests() -> None:
    """The estimate packs as the run does: by tokens, where these are what limits a pack."""
    sample = ["字" * 3000] * 100
    packer = Packer((TextItem(n, text, n) for n, text in enumerate(sample)), PackSize(fixed=25), analysis=SENTIMENT)
    first = len(packer.next_pack())
    assert first < 25
    assert run(sample, 6000, 25).calls == math.ceil(6000 / first)


def test_fewer_texts_than_a_pack_are_one_small_request() -> None:
    """Not one that is reckoned as if it were full."""
    few, full = run(SHORT, 3, 25), run(SHORT, 25, 25)
    assert (few.calls, few.output_tokens) == (1, Range(30, 240))
    assert few.input_tokens < full.input_tokens


@pytest.mark.parametrize("sample", [SHORT[:1], SHORT[:24], SHORT[:26], SHORT[:49]])
def test_a_sample_that_is_no_multiple_of_a_pack_says_as_much(sample: list[str]) -> None:
    """Its last, smaller pack is the sample's end and not the input's."""
    assert run(sample, 5000, 25).calls == 200


def test_without_packing_the_history_tells() -> None:
    """It holds answers to single texts, so packs know nothing of it."""
    history = CallHistory((7,) * 20, (2.0,) * 20)
    alone, packed = run(SHORT, 50, 1, history), run(SHORT, 50, 25, history)
    assert (alone.from_history, alone.output_tokens, alone.seconds) == (True, Range(350, 350), Range(20.0, 20.0))
    assert (packed.from_history, packed.seconds) == (False, DEFAULT_SECONDS)


def test_a_quota_makes_it_longer() -> None:
    """Requests a minute count, not texts."""
    found = run(SHORT, 2500, 25, limits=Limits(requests_per_minute=10, requests_per_day=40))
    assert found.seconds.high >= 9 * 60
    assert found.over_day_limit == 60


@pytest.mark.parametrize(("sample", "count"), [([], 0), (SHORT, 0), ([], 10)])
def test_nothing_to_ask_takes_nothing(sample: list[str], count: int) -> None:
    """No texts, or none to judge by."""
    found = run(sample, count, 25)
    assert (found.calls, found.input_tokens) == (0, 0)


def test_all_texts_are_in_some_call() -> None:
    """Calls never hold more texts than a pack may, nor fewer than all."""
    for count, pack in itertools.product((1, 2, 99, 100, 101), (1, 2, 7, 50)):
        assert run(SHORT, count, pack).calls == math.ceil(count / pack)

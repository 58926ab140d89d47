"""A sample asked both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizers.agreement import compare, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(95, 100, 0.8882, 0.9785), (50, 50, 0.9287, 1.0), (0, 10, 0.0, 0.2775), (0, 0, 0.0, 1.0)],
)
def test_the_interval_is_wilson_s(successes: int, trials: int, low: float, high: float) -> None:
    """Against figures reckoned by hand from the published formula."""
    found = wilson_interval(successes, trials)
    assert found == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500), st.data())
def test_the_interval_holds_the_share(trials: int, data: st.DataObject) -> None:
    """Whatever was found lies in it, and it lies between nothing and all."""
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_interval(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0


def test_results_are_compared_by_text() -> None:
    """Only texts with a result both ways; the others are counted as left out."""
    alone = {b"a": {"result": "正面"}, b"b": {"result": "負面"}, b"c": {"result": "中性"}}
    packed = {b"a": {"result": "正面"}, b"b": {"result": "正面"}, b"d": {"result": "中性"}}
    agreement = compare(alone, packed, sample=4, free_fields=frozenset())
    assert (agreement.compared, agreement.agreed, agreement.left_out) == (2, 1, 2)
    assert agreement.share == 0.5
    assert agreement.low < 0.5 < agreement.high


def test_free_texts_do_not_count() -> None:
    """Two good summaries differ in words: only labels and numbers are compared."""
    alone = {b"a": {"mood": "好", "why": "因為"}}
    packed = {b"a": {"mood": "好", "why": "由於"}}
    assert compare(alone, packed, sample=1, free_fields=frozenset({"why"})).agreed == 1
    assert not compare(alone, packed, sample=1, free_fields=frozenset({"why", "mood"})).comparable


@pytest.mark.parametrize(
    ("one", "other", "same"), [(1.0, 1, True), (0.1 + 0.2, 0.3, True), (1.5, 2, False), (1, 1, True)]
)
def test_numbers_are_compared_as_numbers(one: float, other: float, same: bool) -> None:
    """A rounding is no disagreement."""
    agreement = compare({b"a": {"n": one}}, {b"a": {"n": other}}, sample=1, free_fields=frozenset())
    assert agreement.agreed == same


def test_nothing_compared_is_no_disagreement() -> None:
    """An empty sample has a share of 1 and an interval that says nothing."""
    agreement = compare({}, {}, sample=0, free_fields=frozenset())
    assert (agreement.share, agreement.low, agreement.high) == (1.0, 0.0, 1.0)

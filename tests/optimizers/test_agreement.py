"""A sample asked both ways."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from optimizers.agreement import Agreement, Pair, Verdict, compare, draw_sample, sample_size, wilson_interval


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


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [(10**12, 10**12 + 1, False), (True, 1, False), (True, True, True), (True, False, False), ("1", 1, False),
     ("好", "好 ", False), (1.0, True, False)],
)  # fmt: skip
def test_everything_else_is_compared_exactly(one: object, other: object, same: bool) -> None:
    """Whole numbers have no rounding, truth is no number, and labels are what they are."""
    agreement = compare({b"a": {"n": one}}, {b"a": {"n": other}}, sample=1, free_fields=frozenset())
    assert agreement.agreed == same


def test_a_field_that_one_way_lacks_is_a_disagreement() -> None:
    """Results of different shapes are not the same, and nothing is counted of what is not there."""
    agreement = compare({b"a": {"m": "好"}}, {b"a": {"n": "好"}}, sample=1, free_fields=frozenset())
    assert (agreement.agreed, agreement.pairs) == (0, ())


def test_the_labels_that_were_confused_are_counted() -> None:
    """Pairs of labels by field, the most frequent first; numbers and free texts are in no pair."""
    alone: dict[bytes, dict[str, object]] = {
        bytes([n]): {"mood": "好" if n < 6 else "壞", "ok": n == 0, "stars": n, "why": "x"} for n in range(8)
    }
    packed = {key: {**values} for key, values in alone.items()}
    packed[b"\x01"]["mood"] = packed[b"\x02"]["mood"] = "壞"
    packed[b"\x07"]["mood"] = "好"
    agreement = compare(alone, packed, sample=9, free_fields=frozenset({"why"}))
    assert agreement.pairs == (
        Pair("mood", "好", "好", 4),
        Pair("mood", "好", "壞", 2),
        Pair("mood", "壞", "壞", 1),
        Pair("mood", "壞", "好", 1),
        Pair("ok", False, False, 7),
        Pair("ok", True, True, 1),
    )
    assert agreement.confused == (Pair("mood", "好", "壞", 2), Pair("mood", "壞", "好", 1))
    assert (agreement.agreed, agreement.compared, agreement.left_out, agreement.free) == (5, 8, 1, ("why",))


@pytest.mark.parametrize(
    ("agreement", "verdict"),
    [
        (Agreement(100, 100, 0), Verdict.SAME),
        (Agreement(20, 20, 0), Verdict.UNSURE),
        (Agreement(100, 95, 0), Verdict.UNSURE),
        (Agreement(100, 80, 0), Verdict.DIFFERENT),
        (Agreement(0, 0, 5), Verdict.NOTHING_COMPARED),
        (Agreement(100, 100, 0, comparable=False), Verdict.NOT_COMPARABLE),
    ],
)
def test_the_verdict_says_no_more_than_the_sample_shows(agreement: Agreement, verdict: Verdict) -> None:
    """Twenty of twenty is not yet 95 %; only an interval wholly on one side of the bar decides."""
    assert agreement.verdict() is verdict


@given(st.floats(0, 0.999))
def test_the_sample_is_as_small_as_may_be(bar: float) -> None:
    """So many texts that all agree show that share, and one fewer do not."""
    size = sample_size(bar)
    assert wilson_interval(size, size)[0] >= bar - 1e-9
    assert size == 1 or wilson_interval(size - 1, size - 1)[0] < bar


@pytest.mark.parametrize("bar", [1.0, 1.5, -0.1, float("nan")])
def test_no_sample_shows_everything(bar: float) -> None:
    """A share of all texts cannot be shown by some of them."""
    with pytest.raises(UsageError):
        sample_size(bar)
    assert sample_size() == 73


@given(st.integers(0, 60), st.integers(1, 40), st.integers(0, 5))
def test_a_sample_is_some_of_the_items_in_order(count: int, size: int, seed: int) -> None:
    """Each at most once, in input order, all where there are no more, and again the same for the same seed."""
    drawn = draw_sample(iter(range(count)), size, seed=seed)
    assert drawn == sorted(set(drawn))
    assert len(drawn) == min(count, size)
    assert drawn == draw_sample(range(count), size, seed=seed)


@pytest.mark.parametrize(("count", "size"), [(20, 5), (2, 1), (6, 5)])
def test_every_item_has_the_same_chance(count: int, size: int) -> None:
    """Over 2,000 seeds each item is drawn in its share of the samples, give or take five standard deviations."""
    share = size / count
    times = Counter(item for seed in range(2000) for item in draw_sample(range(count), size, seed=seed))
    assert all(abs(times[item] - 2000 * share) < 5 * (2000 * share * (1 - share)) ** 0.5 for item in range(count))


def test_no_sample_is_refused() -> None:
    """A sample has at least one item."""
    with pytest.raises(UsageError):
        draw_sample([1], 0)

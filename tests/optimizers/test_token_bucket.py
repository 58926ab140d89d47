"""Known limits: the bucket and the sliding sum, against brute force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizers.token_bucket import SlidingWindow, TokenBucket


def test_a_full_bucket_lets_its_burst_go_at_once_and_then_its_rate() -> None:
    """Three of three go at once; the fourth comes when a token has flowed in."""
    bucket = TokenBucket(rate=2.0, burst=3, now=100.0)
    for _ in range(3):
        assert bucket.ready_at(100.0) == 100.0
        bucket.take(100.0)
    assert bucket.ready_at(100.0) == pytest.approx(100.5)
    assert bucket.ready_at(100.5) == 100.5


def test_a_bucket_never_keeps_more_than_its_burst() -> None:
    """After an hour of rest there are two tokens in a bucket of two."""
    bucket = TokenBucket(rate=1.0, burst=2, now=0.0)
    bucket.take(3600.0)
    bucket.take(3600.0)
    assert bucket.ready_at(3600.0) == pytest.approx(3601.0)


PAUSES = st.lists(st.floats(0, 30), min_size=1, max_size=60)


@given(st.floats(0.01, 1000), st.integers(1, 50), PAUSES, st.floats(0, 1e6))
def test_who_waits_as_told_finds_a_token_and_no_interval_sees_more_than_burst_plus_rate(
    rate: float, burst: int, pauses: list[float], start: float
) -> None:
    """The bucket's promise holds between any two starts, whatever the pauses before them."""
    bucket, now, taken = TokenBucket(rate=rate, burst=burst, now=start), start, []
    for pause in pauses:
        now = bucket.ready_at(now + pause)
        assert bucket.ready_at(now) == now
        bucket.take(now)
        taken.append(now)
    for first in range(len(taken)):
        count = len(taken) - first
        assert count <= burst + rate * (taken[-1] - taken[first]) + 1e-3


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(1, 50)), min_size=1, max_size=60), st.integers(1, 200))
def test_no_span_of_a_minute_ever_holds_more_than_the_limit(steps: list[tuple[float, int]], limit: int) -> None:
    """Whoever waits until ready_at keeps every span of 60 s, of any phase, within the limit."""
    window, now, log = SlidingWindow(), 5.0, []
    for pause, amount in steps:
        now = window.ready_at(now + pause, amount, limit)
        assert window.ready_at(now, amount, limit) == now
        window.add(now, amount)
        log.append((now, amount))
        in_span = [part for at, part in log if at > now - 60.0]
        assert sum(in_span) <= limit or (len(in_span) == 1 and amount > limit)


def test_an_amount_above_the_limit_goes_alone() -> None:
    """A prompt larger than a minute's tokens waits for an empty minute and no longer."""
    window = SlidingWindow()
    assert window.ready_at(0.0, 500, 100) == 0.0
    window.add(0.0, 10)
    assert window.ready_at(1.0, 500, 100) == pytest.approx(60.25)


def test_a_large_amount_waits_until_enough_has_left_the_span() -> None:
    """60 of 100 fit when 50 and then 50 more are a minute old; 50 fit when the first 50 are."""
    window = SlidingWindow()
    window.add(0.0, 50)
    window.add(10.0, 50)
    assert window.ready_at(20.0, 60, 100) == pytest.approx(70.25)
    assert window.ready_at(20.0, 50, 100) == pytest.approx(60.25)


def test_a_correction_counts_where_the_amount_was_counted() -> None:
    """Tokens found to be fewer make room at once; those found to be more do not count longer."""
    window = SlidingWindow()
    window.add(0.0, 80)
    window.add(10.0, 10)
    window.add(0.0, -60)
    assert (window.total(10.0), window.ready_at(10.0, 60, 100)) == (30, 10.0)
    assert window.total(60.3) == 10
    window.add(0.0, 7)
    assert window.total(60.3) == 10
    assert window.total(100.0) == 0

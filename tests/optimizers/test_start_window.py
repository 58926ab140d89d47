"""The start window: growth, failures, latency."""

from __future__ import annotations

import math

import pytest

from optimizers.start_window import StartWindow


def test_it_begins_with_five_at_once_and_without_a_pace() -> None:
    """Nothing is known: five may start, side by side."""
    window = StartWindow()
    assert (window.has_room(4), window.has_room(5), window.pace()) == (True, False, math.inf)


def test_it_doubles_in_a_trip_and_grows_by_half_where_the_pace_is_brisk() -> None:
    """Each call let in adds one below 30 calls a second, and one half above."""
    slow, brisk = StartWindow(), StartWindow()
    slow.answered(1.0)
    brisk.answered(0.1)
    for window in (slow, brisk):
        window.let_in(5, wanted=True)
    assert (slow.size, brisk.size) == (6.0, 5.5)


def test_it_does_not_grow_where_it_is_not_what_holds_calls_back() -> None:
    """Nobody waits, or less than half of the window is in use: no growth."""
    window = StartWindow()
    window.let_in(5, wanted=False)
    window.let_in(2, wanted=True)
    assert window.size == 5.0


def test_the_pace_fills_the_window_within_the_latency_but_at_most_a_quarter_second() -> None:
    """Five a trip: 50 a second at 0.1 s, 20 a second at 3 s."""
    for latency, pace in ((0.1, 50.0), (3.0, 20.0)):
        window = StartWindow()
        window.answered(latency)
        window.let_in(1, wanted=False)
        assert window.pace() == pytest.approx(pace)


def test_it_grows_at_a_third_of_failures_and_shrinks_at_four_fifths() -> None:
    """Failures by chance do not starve it; a service that mostly fails sees less and less, but never nothing."""
    window = StartWindow()
    window.answered(0.2)
    for _ in range(50):
        window.let_in(1000, wanted=True)
        window.let_in(1000, wanted=True)
        window.failed(was_let_in=False)
    grown = window.size
    assert grown > 25
    for _ in range(1000):
        window.let_in(1000, wanted=True)
        for _ in range(4):
            window.failed(was_let_in=True)
    assert window.size == 2.0


def test_answers_that_take_more_than_twice_as_long_shrink_it_to_half_at_most() -> None:
    """A round at four times the usual latency halves the window; it learns the new latency in a few rounds."""
    window = StartWindow()
    window.widen(10.0)
    for _ in range(10):
        window.answered(0.2)
    for _ in range(10):
        window.answered(0.8)
    assert window.size == 5.0
    for _ in range(100):
        window.answered(0.8)
    assert window.size > 2.0
    assert window.latency == pytest.approx(0.8, rel=0.3)


def test_a_restart_is_as_modest_as_the_first_start() -> None:
    """After an outage five again, and not more if it was less."""
    window = StartWindow()
    window.widen(80.0)
    window.widen(3.0)
    assert window.size == 80.0
    window.restart()
    assert window.size == 5.0


def test_after_a_hundred_calls_an_eighth_of_what_came_in_may_start_at_once() -> None:
    """The more was let in without a refusal, the more may start at once; failures halve what counts."""
    window = StartWindow()
    assert window.burst() == 0.0
    for _ in range(180):
        window.let_in(1, wanted=False)
    assert window.burst() == 10.0
    window.failed(was_let_in=False)
    assert window.burst() == 0.0


def test_no_failure_and_no_restart_takes_the_pace_away() -> None:
    """However often it fails, the starts stay spread; and before the first call was let in there is no pace."""
    window = StartWindow()
    window.failed(was_let_in=False)
    assert window.pace() == math.inf
    window.let_in(1, wanted=False)
    for _ in range(2000):
        window.failed(was_let_in=False)
    window.restart()
    assert window.pace() < math.inf

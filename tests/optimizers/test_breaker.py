"""The breaker: when it opens, how it probes, what closes it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.limits import BreakerState
from optimizers.breaker import Breaker


def opened(now: float = 100.0) -> Breaker:
    breaker = Breaker()
    for _ in range(10):
        breaker.failed(now, probe=False)
    return breaker


def test_ten_failures_in_a_row_open_it_and_nine_do_not() -> None:
    """The tenth failure opens the breaker; a success in between starts the count anew."""
    breaker = Breaker()
    for _ in range(9):
        breaker.failed(0.0, probe=False)
    assert not breaker.worked(probe=False)
    for _ in range(9):
        breaker.failed(0.0, probe=False)
    assert (breaker.state, breaker.ready_at(5.0)) == (BreakerState.CLOSED, 5.0)
    breaker.failed(5.0, probe=False)
    assert (breaker.state, breaker.ready_at(5.0)) == (BreakerState.OPEN, 6.0)


def test_probes_go_alone_and_after_doubling_pauses_of_at_most_eight_seconds() -> None:
    """1, 2, 4, 8, 8 s after the failure before; while one is out nobody else may go."""
    breaker, now, pauses = opened(), 100.0, []
    for _ in range(5):
        ready = breaker.ready_at(now)
        pauses.append(ready - now)
        assert breaker.started(ready)
        assert breaker.state is BreakerState.PROBING
        assert breaker.ready_at(ready) == ready + 30
        now = ready + 0.5
        breaker.failed(now, probe=True)
    assert pauses == [1, 2, 4, 8, 8]


def test_a_probe_that_works_closes_it_and_the_next_outage_begins_with_a_short_pause() -> None:
    """Closed means closed: calls pass at once, and ten failures are needed again."""
    breaker = opened()
    breaker.started(101.0)
    breaker.failed(101.0, probe=True)
    breaker.started(103.0)
    assert breaker.worked(probe=True)
    assert (breaker.state, breaker.ready_at(103.0), breaker.started(103.0)) == (BreakerState.CLOSED, 103.0, False)
    for _ in range(10):
        breaker.failed(104.0, probe=False)
    assert breaker.ready_at(104.0) == 105.0


def test_calls_from_before_the_outage_neither_close_it_nor_prolong_the_pause() -> None:
    """A late success is old news, and so is a late failure."""
    breaker = opened()
    assert not breaker.worked(probe=False)
    breaker.failed(100.9, probe=False)
    assert (breaker.state, breaker.ready_at(100.9)) == (BreakerState.OPEN, 101.0)


def test_a_probe_that_was_cancelled_lets_another_go_after_the_same_pause() -> None:
    """A probe that says nothing costs its pause again, not double; others that say nothing cost nothing."""
    breaker = opened()
    breaker.started(101.0)
    breaker.learned_nothing(101.2, probe=False)
    assert breaker.state is BreakerState.PROBING
    breaker.learned_nothing(101.5, probe=True)
    assert breaker.ready_at(101.5) == 102.5


def test_a_probe_that_hangs_is_given_up_after_half_a_minute() -> None:
    """A worker that never comes back does not close the door for good."""
    breaker = opened()
    breaker.started(101.0)
    assert breaker.ready_at(131.0) == 131.0
    assert breaker.started(131.0)


def test_what_a_given_up_probe_says_late_is_ignored_once_closed() -> None:
    """The second probe closed the breaker; the first one, cancelled later, does not open it."""
    breaker = opened()
    breaker.started(101.0)
    breaker.started(131.0)
    breaker.worked(probe=True)
    breaker.learned_nothing(140.0, probe=True)
    assert breaker.state is BreakerState.CLOSED


@given(st.lists(st.tuples(st.sampled_from(["worked", "failed", "nothing"]), st.booleans(), st.floats(0, 20))))
def test_whatever_happens_a_call_may_start_within_half_a_minute(steps: list[tuple[str, bool, float]]) -> None:
    """The breaker never says never."""
    breaker, now = Breaker(), 0.0
    for what, start, pause in steps:
        now += pause
        probe = start and breaker.ready_at(now) <= now and breaker.started(now)
        if what == "worked":
            breaker.worked(probe=probe)
        elif what == "failed":
            breaker.failed(now, probe=probe)
        else:
            breaker.learned_nothing(now, probe=probe)
        assert now <= breaker.ready_at(now) <= now + 30

"""The learned rate: measuring, cutting, searching, waiting."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizers.learned_limit import LearnedRate


def refuse(learned: LearnedRate, now: float, retry_after: float | None = None, pace: float = 40.0) -> None:
    """A call starts, held back by the pace, and is refused at once."""
    number = learned.started(now, bound=True)
    learned.refused(number, now, now, retry_after, pace)


def grant(learned: LearnedRate, now: float, calls: int = 1) -> None:
    for _ in range(calls):
        learned.ended(learned.started(now, bound=True), granted=True)


def test_nothing_is_known_before_the_first_refusal() -> None:
    """Without a refusal there is no rate, no pace and no gate."""
    learned = LearnedRate()
    grant(learned, 1.0, 1000)
    assert (learned.known, learned.pace(), learned.gate_until) == (False, math.inf, -math.inf)


@given(st.floats(0.1, 500), st.integers(1, 20))
def test_two_stated_moments_give_the_rate_of_a_bucket_exactly(rate: float, grants: int) -> None:
    """The grants between two refusals, over the time between the instants they named."""
    learned = LearnedRate()
    refuse(learned, 10.0, retry_after=0.5 / rate)
    empty_again = 10.0 + (grants + 0.25) / rate
    grant(learned, 10.0 + 0.5 / rate, grants)
    refuse(learned, empty_again, retry_after=0.25 / rate)
    assert learned.rate == pytest.approx(rate)


def test_a_fixed_window_is_measured_by_its_ends() -> None:
    """10 calls used up within a second of a minute are a rate of 10 a minute."""
    learned = LearnedRate()
    grant(learned, 0.0, 10)
    refuse(learned, 0.5, retry_after=59.5)
    grant(learned, 60.0, 10)
    refuse(learned, 61.0, retry_after=59.0)
    assert learned.rate == pytest.approx(10 / 60)


def test_refusals_that_started_before_the_cut_belong_to_its_episode() -> None:
    """Twenty calls in flight, all refused: one cut, and one later gate if a refusal names one."""
    learned = LearnedRate()
    numbers = [learned.started(0.01 * n, bound=True) for n in range(20)]
    learned.refused(numbers[0], 0.0, 0.2, None, 80.0)
    assert learned.rate == 40.0
    for n, number in enumerate(numbers[1:], 1):
        learned.refused(number, 0.01 * n, 0.2 + 0.01 * n, None, 80.0)
    assert learned.rate == 40.0
    assert learned.gate_until == pytest.approx(0.25)
    learned.refused(learned.numbers, 0.19, 0.4, 5.0, 80.0)
    assert learned.gate_until == pytest.approx(5.4)


def test_the_gate_only_moves_later() -> None:
    """A refusal that names an earlier instant does not open the gate before the later one."""
    learned = LearnedRate()
    refuse(learned, 0.0, retry_after=5.2)
    refuse(learned, 1.0, retry_after=0.1)
    assert learned.gate_until == 5.2


def test_unstated_waits_double_while_nothing_is_granted_and_end_at_a_minute() -> None:
    """From the time of one grant up; a grant in between begins anew, at the rate that can be told by then."""
    learned = LearnedRate()
    waits, now = [], 0.0
    for _ in range(14):
        refuse(learned, now)
        waits.append(round(learned.gate_until - now, 3))
        now = learned.gate_until
    assert waits[:4] == [0.05, 0.1, 0.2, 0.4]
    assert waits[-1] == 60.0
    grant(learned, now)
    refuse(learned, now + 1.0)
    assert learned.gate_until == pytest.approx(now + 1.0 + 1 / learned.rate)


def test_after_refusals_in_a_row_one_call_goes_and_the_next_when_it_was_not_turned_away() -> None:
    """A second unstated refusal in a row makes the next call a probe for the length of a probation."""
    learned = LearnedRate()
    refuse(learned, 0.0)
    assert learned.probe_ends_at(0.25) == -math.inf
    refuse(learned, 0.1)
    number = learned.started(1.0, bound=True)
    assert learned.probe_ends_at(0.25) == 1.25
    learned.ended(number, granted=True)
    assert learned.probe_ends_at(0.25) == -math.inf


def test_the_pace_steps_back_rests_at_the_rate_and_then_searches_ever_faster() -> None:
    """CUBIC's shape: just below, equal, above, far above."""
    learned = LearnedRate()
    refuse(learned, 0.0, retry_after=0.05)
    grant(learned, 0.05, 40)
    refuse(learned, 2.0, retry_after=0.05)
    assert learned.rate == pytest.approx(20.0)
    start = learned.pace()
    paces = []
    for step in range(1, 161):
        learned.started(2.05 + 0.1 * step, bound=True)
        paces.append(learned.pace() / learned.rate)
    assert 0.95 <= start / learned.rate < 1
    assert paces == sorted(paces)
    assert paces[29] == pytest.approx(1.0, abs=0.01)
    assert paces[-1] > 3


def test_the_search_stands_still_while_the_pace_holds_nobody_back() -> None:
    """Calls that come seldom do not prove that more would be granted."""
    learned = LearnedRate()
    refuse(learned, 0.0, retry_after=0.05)
    before = learned.pace()
    for second in range(1, 100):
        learned.ended(learned.started(float(second), bound=False), granted=True)
    assert learned.pace() == before


def test_grants_over_idle_time_do_not_measure_the_limit() -> None:
    """A refusal after ten idle minutes lowers the rate a little; it does not make it one call in ten minutes."""
    learned = LearnedRate()
    refuse(learned, 0.0, retry_after=0.05)
    grant(learned, 0.05, 20)
    refuse(learned, 1.0, retry_after=0.05)
    learned.ended(learned.started(600.0, bound=False), granted=True)
    refuse(learned, 600.1, retry_after=0.05)
    assert 10 < learned.rate < 20


def test_a_halved_limit_is_believed_after_a_few_refusals() -> None:
    """Three short intervals at half the rate outweigh a long one from before."""
    learned = LearnedRate()
    refuse(learned, 0.0, retry_after=0.025)
    grant(learned, 0.025, 400)
    refuse(learned, 10.0, retry_after=0.025)
    assert learned.rate == pytest.approx(40.0)
    now = 10.025
    for _ in range(4):
        grant(learned, now, 2)
        refuse(learned, now + 0.05, retry_after=0.05)
        now += 0.1
    assert learned.rate == pytest.approx(20.0, rel=0.15)


def test_a_raised_limit_is_taken_to_lie_between_the_measurement_and_the_pace() -> None:
    """Old and new limit are mixed in the interval in which it rose."""
    learned = LearnedRate()
    refuse(learned, 0.0, retry_after=0.05)
    grant(learned, 0.05, 40)
    refuse(learned, 2.0, retry_after=0.05)
    grant(learned, 2.05, 300)
    refuse(learned, 12.0, retry_after=0.05, pace=50.0)
    assert learned.rate == pytest.approx((30 + 50) / 2, rel=0.02)


def test_a_refusal_before_anything_is_known_assumes_a_moderate_rate() -> None:
    """The very first call is refused: no pace is known, and no division fails."""
    learned = LearnedRate()
    refuse(learned, 0.0, pace=math.inf)
    assert learned.rate == 50.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["grant", "refuse", "start", "late"]), st.floats(0, 100), st.none() | st.floats(-1, 100)
        ),
        max_size=60,
    )
)
def test_whatever_comes_in_rate_and_gate_stay_sane(steps: list[tuple[str, float, float | None]]) -> None:
    """Rates are positive, gates at most as late as told, in any order of events."""
    learned, now, latest = LearnedRate(), 0.0, 0.0
    out: list[tuple[int, float]] = []
    for what, pause, retry in steps:
        now += pause
        number = learned.started(now, bound=pause < 50)
        if what == "grant":
            learned.ended(number, granted=True)
        elif what == "refuse":
            learned.refused(number, now, now, retry, 40.0)
            latest = max(latest, now + max(retry or 0.0, 60.0))
        elif what == "start" or not out:
            out.append((number, now))
        else:
            late, sent_at = out.pop(0)
            learned.refused(late, sent_at, now, retry, 40.0)
            latest = max(latest, now + max(retry or 0.0, 60.0))
        assert learned.rate > 0
        assert learned.pace() > 0
        assert learned.gate_until <= latest

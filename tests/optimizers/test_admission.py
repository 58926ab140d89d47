"""Admission: what the pace costs where nothing is limited."""

from __future__ import annotations

from core.limits import Limits
from optimizers.admission import Admission, Permit
from optimizers.limits import CallEnd, CallResult

ANSWERED = CallResult(CallEnd.ANSWERED)


def crowd(admission: Admission, now: float, size: int) -> tuple[float, list[Permit]]:
    """Start so many calls, each as soon as it may; returns when the last one started."""
    permits = []
    for _ in range(size):
        while (until := admission.wait(now, 0).until) > now:
            now = until
        permits.append(admission.start(now, 0))
    return now, permits


def test_a_crowd_starts_at_once_after_two_seconds_without_a_refusal() -> None:
    """Fifty callers who come together wait for each other at first, and no more once nothing was ever turned away."""
    admission, now = Admission(Limits(), 0.0), 0.0
    spreads = []
    for _ in range(15):
        last, permits = crowd(admission, now, 50)
        spreads.append(last - now)
        now = last + 0.2
        for permit in permits:
            admission.finish(permit, now, ANSWERED, wanted=True)
    assert spreads[0] > 0.3
    assert spreads[-1] == 0.0
    assert sum(spreads) < 3.0


def test_a_refusal_brings_the_even_pace_back() -> None:
    """Where a limit shows, starts are spread again, however much was let in before."""
    admission, now = Admission(Limits(), 0.0), 0.0
    for _ in range(20):
        now, permits = crowd(admission, now, 50)
        now += 0.2
        for permit in permits:
            admission.finish(permit, now, ANSWERED, wanted=True)
    now, permits = crowd(admission, now, 50)
    admission.finish(permits[0], now, CallResult(CallEnd.REFUSED, retry_after=1.0), wanted=True)
    for permit in permits[1:]:
        admission.finish(permit, now + 0.2, ANSWERED, wanted=True)
    last, _ = crowd(admission, now + 1.0, 50)
    assert last - now > 1.1


def test_a_call_that_outlives_what_was_learned_says_nothing_about_how_many_may_be_out() -> None:
    """After forget() an old call's answer brings a latency but no pace: no number is made of it."""
    admission = Admission(Limits(), 0.0)
    permit = admission.start(0.0, 0)
    admission.wait(1.0, 0)
    admission.forget()
    admission.finish(permit, 1.0, ANSWERED, wanted=False)
    assert admission.concurrency() is None

"""The real clock."""

from __future__ import annotations

import math
import threading
import time

import pytest

from core.clock import SYSTEM_CLOCK, Clock, SystemClock


def test_now_is_monotonic_and_wall_is_the_epoch() -> None:
    """Durations come from the monotonic clock, dates from the wall clock."""
    clock: Clock = SystemClock()
    assert time.monotonic() <= clock.now() <= time.monotonic()
    assert abs(clock.wall() - time.time()) < 60


@pytest.mark.parametrize("timeout", [0.0, -3.0, 0.001])
def test_a_bounded_wait_ends_by_itself(timeout: float) -> None:
    """A wait without a notice ends at its timeout, a negative one at once."""
    condition = threading.Condition()
    with condition:
        SYSTEM_CLOCK.wait(condition, timeout)


@pytest.mark.parametrize("timeout", [None, math.inf, 1e300, threading.TIMEOUT_MAX * 2])
def test_an_unbounded_wait_ends_with_the_notice(timeout: float | None) -> None:
    """None, infinity and lengths the platform refuses all mean: until notified."""
    condition = threading.Condition()
    told = False

    def tell() -> None:
        nonlocal told
        with condition:
            told = True
            condition.notify_all()

    with condition:
        threading.Thread(target=tell, daemon=True).start()
        while not told:
            SYSTEM_CLOCK.wait(condition, timeout)
    assert told

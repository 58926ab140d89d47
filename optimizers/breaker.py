"""Leaving a service alone that is down, and finding out soon when it is back."""

from __future__ import annotations

import math
from typing import Final

from core.limits import BreakerState

__all__ = ["Breaker"]

_FAILURES: Final = 10
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 8.0
_LONGEST_PROBE: Final = 30.0


class Breaker:
    """A circuit breaker (Nygard, "Release It!") that fails no call itself: callers wait for it.

    Ten failures in a row open it. From then on single calls probe: the first after 1 s, then after twice the
    pause before, 8 s at most, so that a service that is back is found within 8 s and a call's length. One probe
    that gets through closes it. A failure is an answer of the kind overloaded, failing or unreachable; any other
    answer, refusals too, shows a service that works. A probe that hangs is given up after 30 s: then another may go.

    In a row means as they end. Calls in flight when the breaker opened neither close it, their success being old
    news, nor prolong the pause. Arithmetic only: instants are arguments. Not thread-safe.
    """

    __slots__ = ("_failures", "_pause", "_retry_at", "down_since", "state")

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.down_since = math.inf  # when it last opened from closed; math.inf while it is closed
        self._failures = 0
        self._pause = _FIRST_PAUSE
        self._retry_at = -math.inf

    def ready_at(self, now: float) -> float:
        """The earliest instant at which a call may start; while a probe is out, when that is given up."""
        return now if self.state is BreakerState.CLOSED else max(self._retry_at, now)

    def started(self, now: float) -> bool:
        """A call starts; returns whether it is a probe."""
        if self.state is BreakerState.CLOSED:
            return False
        self.state = BreakerState.PROBING
        self._retry_at = now + _LONGEST_PROBE
        return True

    def worked(self, *, probe: bool) -> bool:
        """A call showed that the service works; returns whether that closed the breaker."""
        if self.state is not BreakerState.CLOSED and not probe:
            return False
        closes = self.state is not BreakerState.CLOSED
        self.state = BreakerState.CLOSED
        self.down_since = math.inf
        self._failures = 0
        self._pause = _FIRST_PAUSE
        return closes

    def failed(self, now: float, *, probe: bool) -> None:
        self._failures += 1
        if self.state is BreakerState.CLOSED and self._failures >= _FAILURES:
            self.down_since = now
            self._open(now)
        elif probe:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._open(now)

    def learned_nothing(self, now: float, *, probe: bool) -> None:
        """A call ended without saying anything about the service, cancelled for example."""
        if probe and self.state is BreakerState.PROBING:
            self._open(now)

    def _open(self, now: float) -> None:
        self.state = BreakerState.OPEN
        self._retry_at = now + self._pause

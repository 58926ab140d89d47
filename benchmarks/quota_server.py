"""What the server of the quota benchmarks does: grant so many calls a second, state a wait, fail by chance."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

from tests.servers.records import SeenRequest
from tests.servers.replies import Reply, Slow, overloaded, quota, server_error

__all__ = ["WARM_UP", "ChanceFailures", "QuotaRule", "StatedWait"]

WARM_UP: Final = "warm-up"  # a question that is answered whatever the rule, and not counted
_REFUSAL_SECONDS: Final = 0.02  # a server that grants nothing has nothing to think about
_CROWD: Final = 0.5  # seconds in which those that had started before they could know arrive


class QuotaRule:
    """A token bucket: rate calls a second after a burst. A refusal states the time to the next token.

    A script of LoopbackGemini, which calls it under the server's lock; read the counts when nothing is in flight.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.calls = 0
        self.refused = 0
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._left = burst
        self._at = clock()

    def __call__(self, seen: SeenRequest) -> Reply | None:
        if seen.text == WARM_UP:
            return None
        self.calls += 1
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return None
        self.refused += 1
        return Slow(_REFUSAL_SECONDS, quota((1 - self._left) / self._rate))


class StatedWait:
    """Refuses the first crowd, for half a second, with one wait for all; notes who comes when. Called as QuotaRule is.

    The wait must be longer than that, or who comes back from it would be refused again.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._refused: list[float] = []
        self._later: list[float] = []

    def __call__(self, seen: SeenRequest) -> Reply | None:
        now = self._clock()
        if not self._refused or now < self._refused[0] + _CROWD:
            self._refused.append(now)
            return Slow(_REFUSAL_SECONDS, quota(self._seconds))
        self._later.append(now)
        return None

    @property
    def early(self) -> int:
        """Calls that came before the last stated wait was over."""
        return sum(at < self._stated for at in self._later)

    @property
    def overslept(self) -> float:
        """Seconds from the end of the last stated wait to the first call after the crowd."""
        return min(self._later) - self._stated

    @property
    def _stated(self) -> float:
        return self._refused[-1] + _REFUSAL_SECONDS + self._seconds  # a refusal says nothing before it arrives


class ChanceFailures:
    """Three of every ten calls fail, at random places, with 500 and 503 in turn. Called as QuotaRule is.

    The share is exact, so that what is measured is the program and not the luck of the draw.
    """

    def __init__(self, seed: int = 7) -> None:
        self.calls = 0
        self._chance = random.Random(seed)
        self._ten: list[bool] = []
        self._failures = 0

    def __call__(self, seen: SeenRequest) -> Reply | None:
        self.calls += 1
        if not self._ten:
            self._ten = [True] * 3 + [False] * 7
            self._chance.shuffle(self._ten)
        if not self._ten.pop():
            return None
        self._failures += 1
        return server_error() if self._failures % 2 else overloaded()

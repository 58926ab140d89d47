"""How fast calls may start, as far as the service's load goes."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["StartWindow"]

_START: Final = 5.0
_LEAST: Final = 2.0
_MOST: Final = 10_000.0
_BRISK: Final = 30.0  # calls a second
_FAILURE_SHARE: Final = 0.5
_PROBATION: Final = 0.25  # seconds
_ROUND_SAMPLES: Final = 10
_SHORTEST: Final = 1e-6
_BURST_AFTER: Final = 100  # calls let in
_BURST_SHARE: Final = 1 / 8
_TOLERANCE: Final = 2.0
_SMOOTHING: Final = 0.1
_SMOOTHING_AFTER_CUT: Final = 0.3  # where calls have become slower for good, this takes three cuts to see


class StartWindow:
    """How many calls may be on probation: started, and neither ended nor 0.25 s old.

    A service that is over its limit says so at once, while an answer may take many seconds; so a call that was
    not turned away in that time counts as let in, and growth need not wait for the answer. What is in flight
    follows from it: pace x latency (Little's law).

    Growth. Each call let in adds 1, so the window doubles in a trip, which is a call's latency, 0.25 s at most
    (slow start, RFC 5681); from 30 calls a second on it adds 1/2, since what starts between a refusal and its
    arrival grows with the pace. Only a window that is what holds calls back grows: somebody waits, and at least
    half of it is in use (RFC 7661).

    Failures (overloaded, failing, unreachable). Each takes half of what a success gives: the window grows while more
    than a third of the calls succeed, since slowing down helps nobody where failures come by chance, and falls while
    more fail. How many calls a failing service gets to see is bounded by the retry budget.

    Bursts. Starts are spread evenly over a trip, so that a limit still unknown turns few calls away. After the first
    hundred calls let in, an eighth of as many as came after them may start at once: it is the spreading that costs
    a service without limits its speed, and the eighth bounds what the doubt about it can cost.

    Latency. Once in a round (ten answers, or a whole window) their mean is compared with the mean of the rounds
    before, which moves slowly (Netflix concurrency-limits, Gradient2; Envoy's adaptive concurrency filter): above
    twice that the window shrinks by the quotient, to half at most.

    Arithmetic only. Not thread-safe.
    """

    __slots__ = ("_count", "_first_round", "_let_in", "_sum", "latency", "size")

    def __init__(self) -> None:
        self.size = _START
        self.latency: float | None = None  # seconds of a usual call; None before the first answer
        self._let_in = 0.0  # calls; fewer after failures
        self._first_round = True
        self._count = 0
        self._sum = 0.0

    @property
    def probation(self) -> float:
        """Seconds after which a call that is still in flight counts as let in."""
        return _PROBATION

    def pace(self) -> float:
        """Calls a second that use the window evenly; math.inf before the first call was let in."""
        return self.size / self._trip() if self._let_in else math.inf

    def burst(self) -> float:
        """How many calls may start at once, ahead of the even pace."""
        return max(self._let_in - _BURST_AFTER, 0.0) * _BURST_SHARE

    def has_room(self, young: int) -> bool:
        return young < math.floor(self.size)

    def widen(self, size: float) -> None:
        """Start no smaller than this: more is known than nothing."""
        self.size = max(self.size, size)

    def let_in(self, young: int, *, wanted: bool) -> None:
        """A call passed its probation; young counts it too; wanted: somebody waits for a place."""
        self._let_in += 1
        if wanted and young >= self.size / 2:
            self.size = min(self.size + self._step(), _MOST)

    def failed(self, *, was_let_in: bool) -> None:
        """A call failed; was_let_in: let_in() has been told of it, and what that gave is taken back, too."""
        self.size = max(_LEAST, self.size - self._step() * (_FAILURE_SHARE + was_let_in))
        self._trust_less(self._let_in / 2)

    def restart(self) -> None:
        """The service was down: begin as modestly as at first."""
        self.size = min(self.size, _START)
        self._trust_less(0.0)

    def answered(self, seconds: float) -> None:
        self._count += 1
        self._sum += seconds
        if self._first_round:
            self.latency = max(self._sum / self._count, _SHORTEST)
        if self._count >= max(_ROUND_SAMPLES, self.size):
            self._end_round(self._sum / self._count)

    def _trust_less(self, calls: float) -> None:
        self._let_in = max(calls, min(self._let_in, 1.0))  # that there was one gives the pace

    def _step(self) -> float:
        return 1.0 if self.size < _BRISK * self._trip() else 0.5

    def _trip(self) -> float:
        return min(self.latency or _PROBATION, _PROBATION)

    def _end_round(self, recent: float) -> None:
        usual = self.latency or recent
        slower = recent > _TOLERANCE * usual
        if slower:
            self.size = max(_LEAST, self.size * max(0.5, _TOLERANCE * usual / recent))
        smoothing = _SMOOTHING_AFTER_CUT if slower else _SMOOTHING
        self.latency = max(usual + smoothing * (recent - usual), _SHORTEST)
        self._first_round = False
        self._count = 0
        self._sum = 0.0

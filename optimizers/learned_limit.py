"""The quota that nobody told us: learned from refusals, and kept an eye on."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from typing import Final, NamedTuple

__all__ = ["LearnedRate"]

_ANCHORS: Final = 16
_NOISE: Final = 0.02  # the share by which calls may overtake each other on their way
_STEP_BACK: Final = 0.02
_SURE_SPREAD: Final = 0.05
_UNSURE_SPREAD: Final = 0.25
_SHORTEST_HOLD: Final = 1.0  # seconds
_LONGEST_HOLD: Final = 3.0
_LONGEST_HOLD_EVER: Final = 120.0  # a rate measured in bad times must not be believed for hours
_LEAST_GRANTS: Final = 4  # a hold is long enough for so many grants, where these come seldom
_HOLD_GRANTS: Final = 12  # and so many when the rate is well known
_BLIND_CUT: Final = 0.9  # where a refusal comes without anything to measure
_LEAST_RATE: Final = 1 / 60  # calls a second: a per-minute quota is no smaller
_FASTEST_GUESS: Final = 100.0  # calls a second
_LONGEST_UNSTATED: Final = 60.0  # seconds: a per-minute quota is back after a minute at the latest
_SHORTEST_UNSTATED: Final = 0.05
_IDLE_GRANTS: Final = 4
_IDLE_SECONDS: Final = 0.5
_IDLE_UNSURE: Final = 10.0  # a guessed rate says little about how long is idle


class LearnedRate:
    """Calls a second that the service grants, as learned from those it refused; and the gate after a refusal.

    Learning. A refusal tells when the service had nothing left, and what was granted between two such moments is
    what came in between them: rate = grants / time, exact to one call, whatever the bucket's size. Where the
    refusal says when to come back, that instant takes the place of the refusal's own, which makes the quotient
    exact for token buckets and fixed windows alike. Of the last moments, the longest run is used whose quotients
    agree within one call; where they do not, the limit has changed, and the older ones are forgotten.

    Pacing. Calls start evenly at (TCP pacing; Aggarwal, Savage, Anderson 2000)

        rate x (1 + spread x ((t - hold) / hold)^3)        t seconds after the last refusal

    which is CUBIC's curve (RFC 9438): a step back after a refusal, a plateau at the learned rate, then a search
    upward that gets faster and faster, so that a doubled limit is found in a few holds and a limit that still
    stands costs one refusal in about 2.3 of them. hold and spread follow from how much evidence there is. t
    stands still while the pace is not what holds calls back (as congestion window validation does, RFC 7661).

    Cutting. Refusals of calls that had started before the last cut belong to the same episode: they add to what
    is known, but do not cut again (AIMD: Chiu and Jain 1989; one cut per round trip: RFC 5681).

    The gate. No call starts before the latest instant that a refusal named. Where it names none: after the time of
    one grant, twice that for each further refusal without a grant between, a minute at most.

    Arithmetic only: instants are arguments. Not thread-safe.
    """

    __slots__ = (
        "_anchors", "_cut_number", "_hold", "_last", "_out", "_refused", "_spread", "_streak", "_sure",
        "_t", "_unstated", "gate_until", "numbers", "rate",
    )  # fmt: skip

    def __init__(self, numbers: int = 0) -> None:
        self.rate = math.inf
        self.gate_until = -math.inf
        self.numbers = numbers  # calls started so far; a call's number says where it stands among them
        self._cut_number = numbers  # calls up to this number belong to the last episode
        self._out = 0  # calls after it that have not ended
        self._refused: list[int] = []  # numbers, ascending
        self._anchors: list[_Moment] = []  # ascending
        self._streak = 0  # episodes in a row without a grant between
        self._unstated = False  # the last refusal did not say when to come back
        self._sure = False  # the rate was measured, not guessed
        self._t = 0.0
        self._last = -math.inf
        self._hold = _SHORTEST_HOLD
        self._spread = _UNSURE_SPREAD

    @property
    def known(self) -> bool:
        return self.rate < math.inf

    def probe_ends_at(self, probation: float) -> float:
        """While one call finds out whether an unstated wait was long enough: when it has been out for that long."""
        probing = self._unstated and self._streak > 1 and self._out > 0
        return self._last + probation if probing else -math.inf

    def pace(self) -> float:
        """Calls a second to start now; math.inf as long as nothing was ever refused."""
        if not self.known:
            return math.inf
        x = (self._t - self._hold) / self._hold
        return self.rate * (1 + (_STEP_BACK if x < 0 else self._spread) * x**3)

    def started(self, now: float, *, bound: bool) -> int:
        """A call starts; bound: the gate or the pace was what held it back. Returns its number."""
        self.numbers += 1
        self._out += 1
        if self.known:
            since = max(now - max(self._last, self.gate_until), 0.0)
            if bound:
                self._t += since
            elif since > (max(_IDLE_GRANTS / self.rate, _IDLE_SECONDS) if self._sure else _IDLE_UNSURE):
                self._anchors.clear()  # unused quota may have been lost: grants no longer measure the rate
            self._last = now
        return self.numbers

    def ended(self, number: int, *, granted: bool) -> None:
        """A call that was not refused ended; granted: the service took it."""
        if number > self._cut_number:
            self._out -= 1
            if granted:
                self._streak = 0

    def refused(self, number: int, sent_at: float, now: float, retry_after: float | None, pace: float) -> None:
        """A call was refused; pace: how fast calls were starting when it was sent, as far as known."""
        stated = retry_after if retry_after is not None and retry_after > 0 else None
        insort(self._refused, number)
        new_episode = number > self._cut_number
        if new_episode:
            self._begin_episode(number, stated)
        before = self.rate
        tells = stated is not None or (new_episode and self._streak == 1)
        if tells:
            insort(self._anchors, _Moment(number, sent_at + (stated or 0.0), (now - sent_at) / 2))
        if not (tells and self._measure(pace)) and new_episode and self._streak == 1:
            self.rate = before * _BLIND_CUT if before < math.inf else min(pace, _FASTEST_GUESS) / 2
            self._trust(0.0, 0)
        if stated is not None:
            self.gate_until = max(self.gate_until, now + stated)
        elif new_episode:
            self.gate_until = max(self.gate_until, now + self._unstated_wait())

    def _begin_episode(self, number: int, stated: float | None) -> None:
        granted_between = self._grants(self._cut_number, number) > 0
        self._streak = 1 if granted_between else self._streak + 1
        self._cut_number = self.numbers
        self._out = 0
        self._unstated = stated is None
        self._t = 0.0

    def _unstated_wait(self) -> float:
        doublings = min(self._streak - 1, 16)
        return min(max(1 / self.rate, _SHORTEST_UNSTATED) * 2.0**doublings, _LONGEST_UNSTATED)

    def _measure(self, pace: float) -> bool:
        """Set the rate from the longest run of moments that agree; False where there is none."""
        last = self._anchors[-1]
        low, high, best = 0.0, math.inf, None
        for index in range(len(self._anchors) - 2, -1, -1):
            first = self._anchors[index]
            grants, seconds = self._grants(first.number, last.number), last.at - first.at
            least, most = _bounds(grants, seconds, first.doubt + last.doubt)
            if least > high or most < low:
                break
            low, high = max(low, least), min(high, most)
            if grants > 0 and seconds > 0:
                best = (index, grants, seconds)
        if best is None:
            return False
        self._adopt(best, low, high, pace)
        return True

    def _adopt(self, best: tuple[int, int, float], low: float, high: float, pace: float) -> None:
        index, grants, seconds = best
        raised = self._sure and low > self.rate
        del self._anchors[: max(index, len(self._anchors) - _ANCHORS)]
        del self._refused[: bisect_left(self._refused, self._anchors[0].number)]
        self.rate = max(min(max(grants / seconds, low), high), _LEAST_RATE)
        self._trust(seconds, grants)
        if raised and pace > self.rate:
            # Old and new limit are mixed in this one measurement. The new one is above it, and below the pace.
            self.rate = (self.rate + min(pace, 2 * self.rate)) / 2
            del self._anchors[:-1]
            self._trust(0.0, 0)

    def _trust(self, seconds: float, grants: int) -> None:
        self._sure = grants > 0
        shortest = max(_SHORTEST_HOLD, _LEAST_GRANTS / self.rate)
        longest = max(_LONGEST_HOLD, _HOLD_GRANTS / self.rate)
        self._hold = min(max(2 * seconds, shortest), longest, _LONGEST_HOLD_EVER)
        self._spread = min(max(1 / max(grants, 1), _SURE_SPREAD), _UNSURE_SPREAD)

    def _grants(self, first: int, last: int) -> int:
        """How many of the calls between two refused ones were not refused."""
        refused = bisect_left(self._refused, last) - bisect_right(self._refused, first)
        return last - first - 1 - refused


class _Moment(NamedTuple):
    """When the service had nothing left, give or take the doubt in seconds, seen by the call of that number."""

    number: int
    at: float
    doubt: float


def _bounds(grants: int, seconds: float, doubt: float) -> tuple[float, float]:
    """The lowest and the highest rate that so many grants in that time allow."""
    slack = 1 + _NOISE * grants
    shortest, longest = seconds - doubt, seconds + doubt
    least = max(grants - slack, 0.0) / longest if longest > 0 else 0.0
    most = (grants + slack) / shortest if shortest > 0 else math.inf
    return least, most

"""A summary of many durations in little memory."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from typing import Final

__all__ = ["Durations"]

_ERROR: Final = 0.01
_GAMMA: Final = (1 + _ERROR) / (1 - _ERROR)
_LOG_GAMMA: Final = math.log(_GAMMA)
_FINEST: Final = 1e-9  # no clock here resolves less; shorter durations count as 0


class Durations:
    """Count, total, least and greatest of all durations, and their quantiles. Seconds.

    The first `exact` durations are kept as they are. When there are more, all go into buckets whose bounds grow
    by a constant factor (as DDSketch: Masson, Rim, Lee, VLDB 2019), at most a few thousand whatever is added,
    and quantiles are from then on within 1 % of the true value. percentile is the nearest rank: the smallest
    duration that at least p % of all do not exceed (Hyndman and Fan 1996, type 1).

    Not thread-safe; an empty one has no quantiles.
    """

    __slots__ = ("_buckets", "_exact", "_samples", "count", "greatest", "least", "total")

    def __init__(self, *, exact: int) -> None:
        self._exact = exact
        self._samples: list[float] = []
        self._buckets: Counter[int] = Counter()
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.greatest = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.total += seconds
        self.least = min(self.least, seconds)
        self.greatest = max(self.greatest, seconds)
        if self._buckets:
            self._buckets[_bucket(seconds)] += 1
            return
        self._samples.append(seconds)
        if self.count > self._exact:
            self._buckets.update(map(_bucket, self._samples))
            self._samples = []

    def copy(self) -> Durations:
        twin = Durations(exact=self._exact)
        twin._samples, twin._buckets = self._samples.copy(), self._buckets.copy()
        twin.count, twin.total = self.count, self.total
        twin.least, twin.greatest = self.least, self.greatest
        return twin

    def median(self) -> float:
        """The middle one, or the mean of the two middle ones."""
        if self._samples:
            return statistics.median(self._samples)
        return (self._at_rank((self.count + 1) // 2) + self._at_rank(self.count // 2 + 1)) / 2

    def percentile(self, percent: float) -> float:
        """The nearest-rank percentile, for 0 < percent <= 100."""
        return self._at_rank(max(math.ceil(percent * self.count / 100), 1))

    def _at_rank(self, rank: int) -> float:
        """The rank-th smallest, from 1."""
        if self._samples:
            return sorted(self._samples)[rank - 1]
        seen = 0
        for index in sorted(self._buckets):
            seen += self._buckets[index]
            if seen >= rank:
                # The clamp makes the ends exact, and the zero bucket as well.
                return min(max(_middle(index), self.least), self.greatest)
        raise ValueError("no durations, or a rank beyond them")


def _bucket(seconds: float) -> int:
    return math.ceil(math.log(max(seconds, _FINEST)) / _LOG_GAMMA)


def _middle(index: int) -> float:
    """The value whose relative distance to both bounds of the bucket is the same."""
    return 2 * _GAMMA**index / (_GAMMA + 1)

"""Limits that are known: how many at once, and how many in a minute."""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import Final

__all__ = ["SlidingWindow", "TokenBucket"]

_SLICES: Final = 240
_ROUNDING: Final = 1e-6  # instants are floats: a wake-up at the computed instant must find its room


class TokenBucket:
    """`rate` tokens a second flow in, `burst` at most are kept, a call takes one.

    Arithmetic only: instants are arguments and never go back. Not thread-safe.
    """

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._at = now

    def ready_at(self, now: float) -> float:
        """The earliest instant, now or later, at which there is a token."""
        level = self._level_at(now)
        return now if level >= 1 - _ROUNDING else now + (1 - level) / self._rate

    def take(self, now: float) -> None:
        self._level = self._level_at(now) - 1
        self._at = now

    def _level_at(self, now: float) -> float:
        return min(self._burst, self._level + (now - self._at) * self._rate)


class SlidingWindow:
    """Sums amounts over the last `span` seconds, and says when another one fits under a limit.

    A sum that holds for every span holds whatever the phase of the server's own window. Kept in slices; a slice
    counts until its last moment is a span old, so the sum is never too low, and up to 1/240 span is kept clear
    for the time that calls take to arrive. Arithmetic only; not thread-safe.
    """

    __slots__ = ("_slices", "_sum", "_width")

    def __init__(self, span: float = 60.0) -> None:
        self._width = span / _SLICES
        self._slices: deque[list[int]] = deque()  # [index, amount]
        self._sum = 0

    def total(self, now: float) -> int:
        oldest = self._index(now) - _SLICES
        while self._slices and self._slices[0][0] < oldest:
            self._sum -= self._slices.popleft()[1]
        return self._sum

    def add(self, now: float, amount: int) -> None:
        """Count an amount at an instant; correct it later by adding the difference at that same instant."""
        index = self._index(now)
        for entry in reversed(self._slices):
            if entry[0] == index:
                entry[1] += amount
                self._sum += amount
                return
            if entry[0] < index:
                break
        else:
            if self._slices:
                return  # older than all that is kept: no longer counted, no longer to be corrected
        self._slices.append([index, amount])
        self._sum += amount

    def ready_at(self, now: float, amount: int, limit: int) -> float:
        """The earliest instant at which amount fits; an amount above the limit fits when all else is gone."""
        excess = self.total(now) + min(amount, limit) - limit
        if excess <= 0:
            return now
        freed = itertools.accumulate(part for _, part in self._slices)  # all of it is enough, at the latest
        index = next(index for (index, _), so_far in zip(self._slices, freed, strict=True) if so_far >= excess)
        return (index + _SLICES + 1) * self._width

    def _index(self, now: float) -> int:
        return math.floor(now / self._width + _ROUNDING)

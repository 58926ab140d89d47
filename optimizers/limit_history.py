"""The course of a limit over any length of time, in few points."""

from __future__ import annotations

import math
from typing import Final

__all__ = ["LimitHistory"]

_MOST_POINTS: Final = 240
_FIRST_SPACING: Final = 0.25


class LimitHistory:
    """Points (instant, value), at most 240: when they are full every other one goes and the spacing doubles.

    Not thread-safe.
    """

    __slots__ = ("_points", "_spacing")

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []
        self._spacing = _FIRST_SPACING

    def record(self, now: float, value: float) -> None:
        """Add a point, unless the value is math.inf or the last point is too recent."""
        if value == math.inf or (self._points and now - self._points[-1][0] < self._spacing):
            return
        if len(self._points) >= _MOST_POINTS:
            del self._points[1::2]
            self._spacing *= 2
        self._points.append((now, value))

    def points(self) -> tuple[tuple[float, float], ...]:
        return tuple(self._points)

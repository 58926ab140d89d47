"""How long calls take nowadays: one quantile of the latest latencies."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from typing import Final

from core.errors import UsageError
from core.language import tr

__all__ = ["LatencyQuantile"]

_ROUNDING: Final = 1e-9  # 0.95 x 20 is a hair above 19 in floats


class LatencyQuantile:
    """The exact quantile of the last `window` latencies, by nearest rank; None until there are min_samples.

    An attempt that was called off counts as it stood, provided that it had outlasted the quantile: its true
    latency has the same rank. Counting only those that came to their end would bend the quantile downwards.

    Costs about a microsecond per latency: the window is kept sorted as well, and moving some kilobytes is
    cheaper than any tree. Not thread-safe, except that value may be read by any thread.
    """

    __slots__ = ("_in_order", "_min_samples", "_quantile", "_recent", "value")

    def __init__(self, quantile: float, *, min_samples: int = 50, window: int = 1000) -> None:
        if not 0 < quantile < 1:
            raise UsageError(tr("quantile 必須介於 0 與 1 之間, 收到 {value!r}", value=quantile))
        if not 1 <= min_samples <= window:
            raise UsageError(
                tr("min_samples 必須介於 1 與 {window} 之間, 收到 {value!r}", window=window, value=min_samples)
            )
        self._quantile = quantile
        self._min_samples = min_samples
        self._recent: deque[float] = deque(maxlen=window)
        self._in_order: list[float] = []
        self.value: float | None = None

    def add(self, seconds: float) -> None:
        recent, in_order = self._recent, self._in_order
        if len(recent) == recent.maxlen:
            del in_order[bisect_left(in_order, recent[0])]
        recent.append(seconds)
        insort(in_order, seconds)
        count = len(in_order)
        if count >= self._min_samples:
            self.value = in_order[max(math.ceil(self._quantile * count - _ROUNDING), 1) - 1]

"""The nouns of quotas that cross a folder: what is known about the service's limits, and how the limiter stands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from core.errors import UsageError
from core.language import tr

__all__ = ["BreakerState", "LimiterStatistics", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What is known about the service's quotas; None: not known, to be learned.

    tokens_per_minute counts tokens of the prompts, as Gemini's quota does. burst: how many calls may start at
    once before the even pace applies; None: ten, or one second's worth where that is more, in any case no
    more than a minute's.

    Raises UsageError for a limit below 1.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    burst: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not value >= 1:
                raise UsageError(tr("{name} 必須至少為 1, 收到 {value!r}", name=name, value=value))

    @property
    def most_at_once(self) -> int:
        """The burst in force; meaningless where requests_per_minute is None."""
        per_minute = self.requests_per_minute or 0
        return min(per_minute, self.burst or max(10, math.floor(per_minute / 60)))


class BreakerState(StrEnum):
    """CLOSED: calls pass. OPEN: none do until the next probe. PROBING: one call finds out."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


@dataclass(frozen=True, slots=True)
class LimiterStatistics:
    """The limiter at one instant. Instants are monotonic seconds.

    learned_concurrency: calls allowed in flight. learned_per_minute: the rate learned from refusals, None as long
    as there were none. tokens_last_minute counts as the tokens-per-minute limit does, for calls in flight by the
    estimate. gate_until: no call starts before it, None if the gate is open. history: (instant, calls per minute
    then allowed), oldest first, over the limiter's whole life and ever coarser.
    """

    in_flight: int
    waiting: int
    learned_concurrency: int | None
    learned_per_minute: float | None
    requests_last_minute: int
    tokens_last_minute: int
    requests_today: int
    limits: Limits
    calls: int
    refused: int
    gate_until: float | None
    breaker: BreakerState
    day_resets_at: float | None
    history: tuple[tuple[float, float], ...]

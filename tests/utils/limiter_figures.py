"""The limiter's figures for tests, nothing going on unless said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from core.limits import BreakerState, LimiterStatistics, Limits

__all__ = ["figures"]

_IDLE: Final = LimiterStatistics(
    in_flight=0, waiting=0, learned_concurrency=None, learned_per_minute=None, requests_last_minute=0,
    tokens_last_minute=0, requests_today=0, limits=Limits(), calls=0, refused=0, gate_until=None,
    breaker=BreakerState.CLOSED, day_resets_at=None, history=(),
)  # fmt: skip


def figures(**changes: Any) -> LimiterStatistics:
    return replace(_IDLE, **changes)

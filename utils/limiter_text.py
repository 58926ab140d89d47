"""How the limiter stands → text: rows for a run under way, words for the report. Pure."""

from __future__ import annotations

import math
from typing import Final

from core.limits import BreakerState, LimiterStatistics
from utils.text_width import cell_width, fit

__all__ = ["count_text", "limiter_rows", "rate_text", "refused_text"]

_BETWEEN: Final = " · "
_UNITS: Final = ((1e8, "億"), (1e4, "萬"))


def limiter_rows(statistics: LimiterStatistics, now: float, width: int) -> list[str]:
    """The limiter in rows of at most width cells, what holds everything up first; none while nothing goes on."""
    rows: list[str] = []
    for part in _parts(statistics, now):
        longer = f"{rows[-1]}{_BETWEEN}{part}" if rows else part
        if rows and cell_width(longer) <= width:
            rows[-1] = longer
        else:
            rows.append(fit(part, width))
    return rows


def rate_text(statistics: LimiterStatistics) -> str:
    """The requests a minute that are known to be allowed; empty where nothing is known.

    A learned rate is shown beside a configured one only where it is the lower of the two, and so in force.
    """
    configured, learned = statistics.limits.requests_per_minute, statistics.learned_per_minute
    known = [] if configured is None else [f"上限 {count_text(configured)}"]
    if learned is not None and (configured is None or learned < configured):
        known.append(f"學到的 ~{count_text(learned)}")
    return ", ".join(known)


def refused_text(statistics: LimiterStatistics) -> str:
    """Refused calls and their share of all calls."""
    share = f" ({statistics.refused / statistics.calls:.1%})" if statistics.calls else ""
    return f"{statistics.refused:,}{share}"


def count_text(count: float) -> str:
    """A count of 0 or more in few characters: 7.5, 9,999, 1.2萬, 25萬, 3億. Three significant digits or more."""
    for unit, name in _UNITS:
        if count >= unit * 0.99995:  # what would round up to it
            return _short(count / unit) + name
    return _short(count, decimals_below=9.95)


def _short(count: float, *, decimals_below: float = 99.95) -> str:
    return f"{count:.1f}".removesuffix(".0") if count < decimals_below else f"{count:,.0f}"


def _parts(statistics: LimiterStatistics, now: float) -> list[str]:
    parts = _held_up(statistics, now)
    if not (parts or statistics.in_flight or statistics.waiting or statistics.requests_last_minute):
        return []
    learned = statistics.learned_concurrency
    parts.append(f"呼叫中 {statistics.in_flight:,}{'' if learned is None else f'/{count_text(learned)}'}")
    parts.append(_per_minute("請求", statistics.requests_last_minute, rate_text(statistics)))
    if statistics.waiting:
        parts.append(f"等候 {statistics.waiting:,}")
    most_tokens = statistics.limits.tokens_per_minute
    if most_tokens is not None:
        parts.append(_per_minute("tokens", statistics.tokens_last_minute, f"上限 {count_text(most_tokens)}"))
    return parts


def _held_up(statistics: LimiterStatistics, now: float) -> list[str]:
    parts = []
    if statistics.gate_until is not None and statistics.gate_until > now:
        parts.append(f"⏳ 限流, {math.ceil(statistics.gate_until - now):,} s 後繼續")
    if statistics.breaker is not BreakerState.CLOSED:
        parts.append("🔌 服務中斷, 試探中")
    return parts


def _per_minute(what: str, count: int, known: str) -> str:
    return f"{what} {count_text(count)}/min" + (f" ({known})" if known else "")

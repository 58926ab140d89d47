"""How the limiter stands → text: rows for a run under way, words for the report. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from core.language import language, tr
from core.limits import BreakerState, LimiterStatistics
from utils.fact_rows import fact_rows

__all__ = ["count_text", "limiter_rows", "rate_text", "refused_text"]

# How a language abbreviates large numbers is part of it, and no message: the steps differ, not only their names.
# From which count on, the unit, its name.
_UNITS: Final[Mapping[str, tuple[tuple[float, float, str], ...]]] = {
    "zh_TW": ((1e8, 1e8, "億"), (1e4, 1e4, "萬")),
    "en": ((1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "K")),
}


def limiter_rows(statistics: LimiterStatistics, now: float, width: int) -> list[str]:
    """The limiter in rows of at most width cells, what holds everything up first; none while nothing goes on."""
    return fact_rows(_facts(statistics, now), width)


def rate_text(statistics: LimiterStatistics) -> str:
    """The requests a minute that are known to be allowed; empty where nothing is known.

    A learned rate is shown beside a configured one only where it is the lower of the two, and so in force.
    """
    configured, learned = statistics.limits.requests_per_minute, statistics.learned_per_minute
    known = [] if configured is None else [tr("上限 {count}", count=count_text(configured))]
    if learned is not None and (configured is None or learned < configured):
        known.append(tr("學到的 ~{count}", count=count_text(learned)))
    return ", ".join(known)


def refused_text(statistics: LimiterStatistics) -> str:
    """Refused calls and their share of all calls."""
    share = f" ({statistics.refused / statistics.calls:.1%})" if statistics.calls else ""
    return f"{statistics.refused:,}{share}"


def count_text(count: float) -> str:
    """A count of 0 or more in few characters: 7.5, 9,999, 1.2萬, 25萬, 3億. Three significant digits or more."""
    for least, unit, name in _UNITS[language()]:
        if count >= least * 0.99995:  # what would round up to it
            return _short(count / unit) + name
    return _short(count, decimals_below=9.95)


def _short(count: float, *, decimals_below: float = 99.95) -> str:
    return f"{count:.1f}".removesuffix(".0") if count < decimals_below else f"{count:,.0f}"


def _facts(statistics: LimiterStatistics, now: float) -> list[str]:
    facts = _held_up(statistics, now)
    if not (facts or statistics.in_flight or statistics.waiting or statistics.requests_last_minute):
        return []
    facts.append(_calls(statistics))
    facts.append(_requests(statistics))
    if statistics.waiting:
        facts.append(tr("等候 {count:,}", count=statistics.waiting))
    most_tokens = statistics.limits.tokens_per_minute
    if most_tokens is not None:
        used = count_text(statistics.tokens_last_minute)
        facts.append(tr("tokens {count}/min (上限 {limit})", count=used, limit=count_text(most_tokens)))
    return facts


def _held_up(statistics: LimiterStatistics, now: float) -> list[str]:
    facts = []
    if statistics.gate_until is not None and statistics.gate_until > now:
        facts.append(tr("⏳ 限流, {seconds:,} s 後繼續", seconds=math.ceil(statistics.gate_until - now)))
    if statistics.breaker is not BreakerState.CLOSED:
        facts.append(tr("🔌 服務中斷, 試探中"))
    return facts


def _calls(statistics: LimiterStatistics) -> str:
    learned = statistics.learned_concurrency
    if learned is None:
        return tr("呼叫中 {count:,}", count=statistics.in_flight)
    return tr("呼叫中 {count:,}/{most}", count=statistics.in_flight, most=count_text(learned))


def _requests(statistics: LimiterStatistics) -> str:
    count, known = count_text(statistics.requests_last_minute), rate_text(statistics)
    if not known:
        return tr("請求 {count}/min", count=count)
    return tr("請求 {count}/min ({known})", count=count, known=known)

"""The limits of a model → text. Pure; whole lines without a final line end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from core.limits import BreakerState, LimiterStatistics, Limits
from utils.limiter_text import count_text, limiter_rows, refused_text

__all__ = ["DAMAGED", "LIMIT_NAMES", "limits_text", "tiers_text"]

DAMAGED: Final = "⚠️ 限額設定檔無法讀取, 視為沒有設定; 在選單 9 再設定一次就會換成新的"

LIMIT_NAMES: Final[Mapping[str, str]] = {
    "requests_per_minute": "每分鐘請求 (RPM)",
    "tokens_per_minute": "每分鐘 tokens (TPM)",
    "requests_per_day": "每日請求 (RPD)",
}


def limits_text(
    model: str,
    limits: Limits,
    sources: Mapping[str, str],
    statistics: LimiterStatistics,
    now: float,
    *,
    day_ends_at: float,
    width: int = 80,
) -> str:
    """What is configured and from where, what was learned, and how the limiter stands.

    sources: by the limit's name. now: monotonic; day_ends_at: Unix time at which the service's day ends.
    """
    lines = [f"⏱️ 限額 (模型 {model}):"]
    for name, title in LIMIT_NAMES.items():
        value = getattr(limits, name)
        lines.append(f"  {title}: " + ("未設定, 由程式自行學習" if value is None else f"{value:,} ({sources[name]})"))
    rate, at_once = statistics.learned_per_minute, statistics.learned_concurrency
    learned = "還沒有遇到上限" if rate is None else f"每分鐘約 {count_text(rate)} 次"
    lines.append(f"  學到的: {learned}" + ("" if at_once is None else f", 可同時 {count_text(at_once)} 個"))
    lines.append(
        f"  最近一分鐘: 請求 {_used(statistics.requests_last_minute, limits.requests_per_minute)}, "
        f"tokens {_used(statistics.tokens_last_minute, limits.tokens_per_minute)}; "
        f"今日請求 {_used(statistics.requests_today, limits.requests_per_day)}; 被拒絕 {refused_text(statistics)}"
    )
    over_until = statistics.day_resets_at
    local = datetime.fromtimestamp(day_ends_at if over_until is None else over_until, UTC).astimezone()
    lines.append(f"  今日配額{'' if over_until is None else '用完,'} {local:%m/%d %H:%M} 重置 (本地時間)")
    if statistics.gate_until is not None or statistics.breaker is not BreakerState.CLOSED:
        lines += [f"  {row}" for row in limiter_rows(statistics, now, width - 2)]
    return "\n".join(lines)


def _used(count: int, limit: int | None) -> str:
    return f"{count:,}" if limit is None else f"{count:,}/{limit:,}"


def tiers_text(tiers: Sequence[tuple[str, Limits | None]], *, published: str, current_at: str) -> str:
    """The published tiers, numbered, with the model's limits in each, and how far they can be trusted."""
    lines = []
    for number, (title, limits) in enumerate(tiers, 1):
        if limits is None:
            lines.append(f"{number}. {title}: 沒有這個模型的資料")
            continue
        known = (
            ("RPM", limits.requests_per_minute),
            ("TPM", limits.tokens_per_minute),
            ("RPD", limits.requests_per_day),
        )
        figures = ", ".join(f"{name} {value:,}" for name, value in known if value is not None)
        lines.append(f"{number}. {title}: {figures}")
    lines.append(f"⚠️ 這些是 {published} 年最後公布的數字, 只供參考; 目前的限額請看 {current_at}")
    return "\n".join(lines)

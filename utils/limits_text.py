"""The limits of a model → text. Pure; whole lines without a final line end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from core.language import marked, tr
from core.limits import BreakerState, LimiterStatistics, Limits
from utils.limiter_text import count_text, limiter_rows, refused_text

__all__ = ["DAMAGED", "LIMIT_NAMES", "limits_text", "tiers_text"]

DAMAGED: Final = marked("⚠️ 限額設定檔無法讀取, 視為沒有設定; 在選單 9 再設定一次就會換成新的")

LIMIT_NAMES: Final[Mapping[str, str]] = {
    "requests_per_minute": marked("每分鐘請求 (RPM)"),
    "tokens_per_minute": marked("每分鐘 tokens (TPM)"),
    "requests_per_day": marked("每日請求 (RPD)"),
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
    lines = [tr("⏱️ 限額 (模型 {model}):", model=model)]
    for name, title in LIMIT_NAMES.items():
        value = getattr(limits, name)
        shown = tr("未設定, 由程式自行學習") if value is None else f"{value:,} ({sources[name]})"
        lines.append(f"  {tr(title)}: {shown}")
    lines.append(f"  {_learned_text(statistics)}")
    recent = tr(
        "最近一分鐘: 請求 {requests}, tokens {tokens}; 今日請求 {today}; 被拒絕 {refused}",
        requests=_used(statistics.requests_last_minute, limits.requests_per_minute),
        tokens=_used(statistics.tokens_last_minute, limits.tokens_per_minute),
        today=_used(statistics.requests_today, limits.requests_per_day),
        refused=refused_text(statistics),
    )
    lines.append(f"  {recent}")
    over_until = statistics.day_resets_at
    at = datetime.fromtimestamp(day_ends_at if over_until is None else over_until, UTC).astimezone()
    resets = marked("今日配額用完, {at} 重置 (本地時間)")
    if over_until is None:
        resets = marked("今日配額 {at} 重置 (本地時間)")
    lines.append("  " + tr(resets, at=f"{at:%m/%d %H:%M}"))
    if statistics.gate_until is not None or statistics.breaker is not BreakerState.CLOSED:
        lines += [f"  {row}" for row in limiter_rows(statistics, now, width - 2)]
    return "\n".join(lines)


def _learned_text(statistics: LimiterStatistics) -> str:
    rate, at_once = statistics.learned_per_minute, statistics.learned_concurrency
    learned = tr("還沒有遇到上限") if rate is None else tr("每分鐘約 {count} 次", count=count_text(rate))
    if at_once is None:
        return tr("學到的: {learned}", learned=learned)
    return tr("學到的: {learned}, 可同時 {count} 個", learned=learned, count=count_text(at_once))


def _used(count: int, limit: int | None) -> str:
    return f"{count:,}" if limit is None else f"{count:,}/{limit:,}"


def tiers_text(tiers: Sequence[tuple[str, Limits | None]], *, published: str, current_at: str) -> str:
    """The published tiers, numbered, with the model's limits in each, and how far they can be trusted."""
    lines = []
    for number, (title, limits) in enumerate(tiers, 1):
        if limits is None:
            lines.append(tr("{number}. {title}: 沒有這個模型的資料", number=number, title=title))
            continue
        known = (
            ("RPM", limits.requests_per_minute),
            ("TPM", limits.tokens_per_minute),
            ("RPD", limits.requests_per_day),
        )
        figures = ", ".join(f"{name} {value:,}" for name, value in known if value is not None)
        lines.append(f"{number}. {title}: {figures}")
    lines.append(
        tr("⚠️ 這些是 {published} 年最後公布的數字, 只供參考; 目前的限額請看 {current_at}",
           published=published, current_at=current_at)
    )  # fmt: skip
    return "\n".join(lines)

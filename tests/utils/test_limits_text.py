"""The limits as text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.limits import BreakerState, Limits
from tests.utils.limiter_figures import figures
from utils.limits_text import limits_text, tiers_text


def shown(**changes: object) -> str:
    statistics = figures(**changes)
    limits = Limits(requests_per_minute=600, requests_per_day=5000)
    sources = {"requests_per_minute": "選單設定", "requests_per_day": "環境變數"}
    return limits_text("m", limits, sources, statistics, 0.0, day_ends_at=1_700_000_000.0)


def local(wall: float) -> str:
    return f"{datetime.fromtimestamp(wall, UTC).astimezone():%m/%d %H:%M} 重置 (本地時間)"


def test_what_was_learned_is_told() -> None:
    """The learned rate, and how many calls at once it amounts to."""
    assert "學到的: 每分鐘約 58 次, 可同時 12 個" in shown(learned_per_minute=58.0, learned_concurrency=12)


def test_what_is_used_stands_beside_its_limit() -> None:
    """The last minute and today, each against its limit where there is one."""
    text = shown(requests_last_minute=12, tokens_last_minute=3400, requests_today=1234)
    assert "最近一分鐘: 請求 12/600, tokens 3,400; 今日請求 1,234/5,000; 被拒絕 0" in text


def test_a_used_up_day_tells_when_it_is_back() -> None:
    """In local time: the service's own word where it has given one, else the end of its day."""
    assert f"  今日配額用完, {local(1_700_009_000.0)}" in shown(day_resets_at=1_700_009_000.0)
    assert f"  今日配額 {local(1_700_000_000.0)}" in shown()


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"gate_until": 12.0}, "限流, 12 s 後繼續"), ({"breaker": BreakerState.OPEN}, "服務中斷, 試探中")],
)
def test_what_holds_calls_back_is_told(changes: dict[str, object], said: str) -> None:
    """A closed gate with its countdown, an open breaker."""
    assert said in shown(**changes)


def test_a_tier_without_figures_says_so() -> None:
    """A model that the data file does not know in a tier."""
    text = tiers_text([("免費", None), ("第 1 級", Limits(10, None, 100))], published="2025", current_at="https://x")
    assert text.splitlines()[:2] == ["1. 免費: 沒有這個模型的資料", "2. 第 1 級: RPM 10, RPD 100"]

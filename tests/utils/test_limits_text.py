"""The limits as text."""

from __future__ import annotations

import pytest

from core.limits import BreakerState, Limits
from tests.utils.limiter_figures import figures
from utils.limits_text import limits_text, tiers_text


def shown(**changes: object) -> str:
    statistics = figures(**changes)
    return limits_text("m", Limits(requests_per_minute=600), {"requests_per_minute": "選單設定"}, statistics, 0.0)


def test_what_was_learned_is_told() -> None:
    """The learned rate, and how many calls at once it amounts to."""
    assert "學到的: 每分鐘約 58 次, 可同時 12 個" in shown(learned_per_minute=58.0, learned_concurrency=12)


def test_a_used_up_day_tells_when_it_is_back() -> None:
    """In local time."""
    assert "今日配額用完" in shown(day_resets_at=1_700_000_000.0)


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

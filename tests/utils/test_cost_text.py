"""Costs as text: amounts, lengths of time, the run's line, the report's lines, the estimate."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cost import Range, RunEstimate, Spend
from utils.cost_text import cost_report_text, duration_text, estimate_text, money_text, run_cost_line

RUN = Spend(
    calls=12, failed_calls=2, prompt_tokens=1234, answer_tokens=5000, thinking_tokens=678,
    known_money=Decimal("0.014567"), asked=10, cached=3, shared=2,
    saved_prompt_tokens=500, saved_answer_tokens=2000, known_saved_money=Decimal("0.00515"),
)  # fmt: skip
PLAIN = Spend(calls=1, prompt_tokens=5, answer_tokens=6, known_money=Decimal(2))
ESTIMATE = RunEstimate(
    120, 100, 2000, Range(5000, 200_000), Range(Decimal("0.0131"), Decimal("0.5006")), Range(20.0, 301.0), True,
    priced_on=date(2026, 9, 22),
)  # fmt: skip


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (None, "未知 (沒有這個模型的價格資料)"),
        (Decimal(0), "US$0.00"),
        (Decimal("0.00002"), "不到 US$0.0001"),
        (Decimal("0.0001"), "US$0.0001"),
        (Decimal("0.01235"), "US$0.0124"),
        (Decimal("0.5"), "US$0.5000"),
        (Decimal("1234.567"), "US$1,234.57"),
    ],
)
def test_amounts(money: Decimal | None, text: str) -> None:
    """Small amounts keep four places, large ones two; the unknown is never zero."""
    assert money_text(money) == text


@given(st.decimals(0, 10**6, places=8))
def test_an_amount_above_zero_never_reads_as_zero(money: Decimal) -> None:
    """Rounding makes nothing free."""
    assert (money_text(money) == "US$0.00") == (money == 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 秒"), (0.2, "1 秒"), (59.0, "59 秒"), (59.5, "1 分"), (61.0, "2 分"), (3540.0, "59 分"),
        (3541.0, "1 小時"), (3660.0, "1 小時 1 分"), (3_600_000.0, "1,000 小時"),
    ],
)  # fmt: skip
def test_lengths_of_time(seconds: float, text: str) -> None:
    """In the unit a person would use, rounded up."""
    assert duration_text(seconds) == text


def test_the_line_of_a_run() -> None:
    """Calls, tokens and money, and what was saved where something was."""
    assert run_cost_line(PLAIN) == "💰 用量: 呼叫 1 次, 輸入 5, 輸出 6 tokens, 費用 US$2.00"
    assert run_cost_line(RUN) == (
        "💰 用量: 呼叫 12 次 (失敗 2), 輸入 1,234, 輸出 5,678 (思考 678) tokens, 費用 US$0.0146; "
        "快取與共用省下 5 次呼叫, 2,500 tokens, US$0.0052"
    )


def test_what_is_unknown_is_said_to_be() -> None:
    """Alone, or beside the part that is known."""
    nothing_known = replace(PLAIN, unpriced_calls=1, known_money=Decimal(0))
    assert "費用 未知 (沒有這個模型的價格資料)" in run_cost_line(nothing_known)
    assert "費用 未知 (3 次沒有價格資料; 其餘 US$2.00)" in run_cost_line(replace(PLAIN, unpriced_calls=3))
    saved = replace(RUN, unpriced_saved=1)
    assert run_cost_line(saved).endswith("2,500 tokens, 未知 (1 次沒有價格資料; 其餘 US$0.0052)")


def test_the_lines_of_the_report() -> None:
    """The latest run and everything since the start, each with its money, its answers' sources and its savings."""
    assert cost_report_text(RUN, PLAIN).split("\n") == [
        "💰 用量與費用 (依付費方案牌價; 免費方案不收費):",
        "  最近一次執行: 呼叫 1 次, 輸入 5, 輸出 6 tokens",
        "    費用: US$2.00",
        "  啟動以來: 呼叫 12 次 (失敗 2), 輸入 1,234, 輸出 5,678 (思考 678) tokens",
        "    費用: US$0.0146",
        "    回答 15 個: 呼叫模型 10, 快取 3, 共用 2",
        "    快取與共用省下: 5 次呼叫, 2,500 tokens, US$0.0052",
    ]
    assert cost_report_text(Spend()).split("\n")[1:] == [
        "  啟動以來: 呼叫 0 次, 輸入 0, 輸出 0 tokens", "    費用: US$0.00"
    ]  # fmt: skip


def test_the_estimate() -> None:
    """Calls, tokens, money and time as ranges, with what they rest on."""
    assert estimate_text(ESTIMATE).split("\n") == [
        "📐 預估: 共 120 個問題, 呼叫模型 100 次 (相同或已在快取的 20 個不必問)",
        "  tokens: 輸入約 2,000, 輸出 5,000 到 200,000",
        "  費用: US$0.0131 到 US$0.5006 (2026-09-22 查得, 依付費方案牌價; 免費方案不收費)",
        "  時間: 20 秒 到 6 分",
        "  依據: 最近的回答; 重試不計",
    ]


def test_the_estimate_without_history_price_or_quota_enough() -> None:
    """Defaults are called so, no price is no amount, the quota of the day is warned of, equal ends are one."""
    bare = RunEstimate(100, 100, 2000, Range(5000, 200_000), None, Range(5.0, 5.0), False, over_day_limit=1500)
    assert estimate_text(bare, texts=True).split("\n") == [
        "📐 預估: 共 100 則文字, 呼叫模型 100 次",
        "  tokens: 輸入約 2,000, 輸出 5,000 到 200,000",
        "  費用: 未知 (沒有這個模型的價格資料)",
        "  時間: 5 秒",
        "  依據: 還沒有足夠的回答可參考, 用預設範圍; 重試不計",
        "  ⚠️ 超出每日配額 1,500 次, 一天內問不完",
    ]
    assert "查得" not in estimate_text(replace(ESTIMATE, priced_on=None))

"""Entries of the cache as text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import pytest

from core.cost import Spend
from core.outcome import Answer, Usage
from core.ports import Prompt
from utils.cache_view_text import cache_saved_text, cache_table, entry_text, size_text
from utils.text_width import cell_width


@dataclass(frozen=True)
class Entry:
    question: str = "什麼是 REST API?"
    age: float = 61
    remaining: float = 239
    hits: int = 3
    bytes: int = 2048
    pinned: bool = False
    key: str = "0123456789abcdef"


PINNED = Entry("並行\n是什麼", remaining=math.inf, pinned=True, hits=1234)
UNKNOWN = Entry("")


def test_the_list_shows_a_line_per_entry() -> None:
    """Number, age, remaining time or the pin, hits, size, question; without a question, the beginning of the key."""
    assert cache_table([Entry(), PINNED, UNKNOWN], first=21, total=1134).splitlines() == [
        "🗂️ 快取內容: 第 21 到 23 筆, 共 1,134 筆 (最新的在前)",
        " #  已存  剩餘  命中   大小     問題",
        "-" * 60,
        "21  1 分  3 分  3      2.0 KiB  什麼是 REST API?",
        "22  1 分  釘選  1,234  2.0 KiB  並行 是什麼",
        "23  1 分  3 分  3      2.0 KiB  (沒有記下問題) 01234567",
    ]


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 200])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    """Whatever the entries are, at whatever width; the questions begin in one column."""
    entries = [Entry("長" * 200, age=7e5, remaining=7e5, hits=10**6), Entry("x" * 200, bytes=2**30), UNKNOWN]
    lines = cache_table(entries, first=9_999, total=10**5, width=width).splitlines()
    assert max(map(cell_width, lines)) <= width
    starts = [cell_width(line[: line.index(mark)]) for line, mark in zip(lines[3:], "長x(", strict=True)]
    assert len(set(starts)) == 1


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 秒"), (0.2, "1 秒"), (59.5, "1 分"), (3599, "59 分"), (172_799, "47 小時"), (1e9, "11,574 天")],
)
def test_times_have_one_unit(seconds: float, told: str) -> None:
    """The one that says most."""
    assert f"已存 {told}, " in entry_text(1, Entry(age=seconds), "", None)


def test_a_narrow_screen_keeps_what_is_needed() -> None:
    """Number, remaining time, question."""
    assert cache_table([PINNED], total=1, width=40).splitlines()[3] == "1  釘選  並行 是什麼"


def test_an_answer_is_shown_whole_and_framed() -> None:
    """Nothing in it passes for a line of ours, nothing reaches the terminal raw; then its figures."""
    answer = Answer("第一行\n✅ 已刪除第 1 筆\x1b[2J", "m\n1", Usage(3, 4, 5), truncated=True)
    shown = entry_text(7, Entry(), answer, Prompt("問\n題", "要\n簡短")).splitlines()
    assert shown[:4] == ["📝 快取 7: 問 題", "   指示: 要 簡短", "│ 第一行", "│ ✅ 已刪除第 1 筆␛[2J"]
    assert shown[4] == "└ 模型 m 1, 12 tokens, 已存 1 分, 剩餘 3 分, 命中 3 次, 2.0 KiB"
    assert shown[5] == "⚠️ 回答到達輸出上限, 在此被截斷"


@pytest.mark.parametrize(("value", "framed"), [("text", "│ text"), (["secret"], "│ (list 型別的值)")])
def test_other_values_are_told_by_their_type(value: object, framed: str) -> None:
    """Text is shown; of anything else only what it is."""
    assert entry_text(1, PINNED, value, None).splitlines() == [
        "📝 快取 1: 並行 是什麼",
        framed,
        "└ 已存 1 分, 已釘選, 不會過期, 命中 1,234 次, 2.0 KiB",
    ]


def test_an_unpinned_question_without_instruction_has_one_line() -> None:
    """No empty line about an instruction."""
    assert entry_text(1, Entry(), Answer("a", "m"), Prompt("q")).splitlines()[:2] == ["📝 快取 1: q", "│ a"]


def test_what_was_saved() -> None:
    """Calls, tokens and money; money of which a part is unknown is at least the rest."""
    spend = Spend(cached=2, shared=1, saved_prompt_tokens=1000, saved_answer_tokens=500, known_saved_money=Decimal(2))
    assert cache_saved_text(Spend()) == "💰 啟動以來還沒有省下呼叫"
    head = "💰 啟動以來省下: 3 次呼叫 (快取 2, 共用 1), 1,500 tokens, 費用 "
    assert cache_saved_text(spend) == head + "US$2.00"
    assert cache_saved_text(spend + Spend(unpriced_saved=1)) == head + "至少 US$2.00 (1 次沒有價格資料)"
    unknown = cache_saved_text(Spend(cached=1, unpriced_saved=1))
    assert unknown.endswith("費用 未知 (沒有這個模型的價格資料)")


def test_sizes_have_a_unit() -> None:
    """The largest that leaves at least one."""
    assert [size_text(size) for size in (1, 1023, 1024, 2**20)] == ["1 B", "1,023 B", "1.0 KiB", "1.0 MiB"]

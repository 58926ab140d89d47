"""Kept runs as text: whole transcripts, and what holds at every width and for every text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.history import ServiceTimes, StoredItem, StoredRun
from core.outcome import AnswerSource, OutcomeKind
from utils.history_text import compare_text, history_table, run_summary_text
from utils.text_width import cell_width

K = OutcomeKind
FIRST = StoredRun(
    12, "測試集 1: 程式語言", 1785000000.0, 4.2, "m-1", {K.ANSWERED: 8, K.FAILED: 1, K.CANCELLED: 1}, 1200, 3400, 50,
    Decimal("0.0123"), 31.5, 4.1, ServiceTimes(9, 3.1, 3.0, 4.0),
)  # fmt: skip
SECOND = StoredRun(
    1015, "什麼是並行處理?", 1785090000.0, 3.9, "m-1", {K.ANSWERED: 10}, 1200, 34000, 0, Decimal("0.0023"), 30.5, 3.8,
    ServiceTimes(9, 2.9, 3.0, 3.7),
)  # fmt: skip
ITEMS = (
    StoredItem(1, "為什麼?", K.ANSWERED, 2.0, 0.1, answer="因為\n所以", source=AnswerSource.CACHE, truncated=True),
    StoredItem(2, "何時?", K.FAILED, 1.0, 0.2, reason="伺服器忙碌中"),
    StoredItem(3, "誰?", K.CANCELLED, 1.0),
)


@pytest.fixture(autouse=True)
def _taipei(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Taipei")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_list_at_60_columns() -> None:
    """Number, time, title, outcomes and seconds, each in its column."""
    assert history_table([SECOND, FIRST], 60).split("\n") == [
        "   #  時間         標題                           成功    秒",
        "------------------------------------------------------------",
        "1015  07-27 02:20  什麼是並行處理?                10/10  3.9",
        "  12  07-26 01:20  測試集 1: 程式語言             8/10   4.2",
    ]


def test_the_list_at_80_columns_tells_every_kind() -> None:
    """And the year."""
    assert history_table([SECOND, FIRST], 80).split("\n") == [
        "   #  時間              標題                          成功                    秒",
        "--------------------------------------------------------------------------------",
        "1015  2026-07-27 02:20  什麼是並行處理?               10/10                  3.9",
        "  12  2026-07-26 01:20  測試集 1: 程式語言            8/10 (失敗 1, 取消 1)  4.2",
    ]


def test_no_run_is_said() -> None:
    """An empty list is one sentence."""
    assert history_table([]) == "🗂️ 沒有符合的執行紀錄"


def test_one_run_with_its_questions() -> None:
    """The figures, then each question with the beginning of what came of it."""
    assert run_summary_text(FIRST, ITEMS, 60).split("\n") == [
        "🗂️ 執行紀錄 #12: 測試集 1: 程式語言",
        "🕒 2026-07-26 01:20, 模型 m-1",
        "✅ 成功: 8/10 (失敗 1, 取消 1)",
        "⏱️ 總時間: 4.20 秒; 依序需 31.50 秒",
        "⚡ 加速: 7.50 倍 (上限 7.68 倍)",
        "📶 服務時間: 平均 3.10, p50 3.00, p95 4.00 秒",
        "💰 tokens: 輸入 1,200, 輸出 3,450; 費用 US$0.0123",
        "1. 為什麼?",
        "   │ 因為 所以 [快取] ⚠️ 被截斷",
        "2. 何時?",
        "   ❌ 伺服器忙碌中",
        "3. 誰?",
        "   ⏹️ 取消",
        "… 另有 7 個問題沒有列出",
    ]


def test_what_nobody_knows_of_a_run_is_left_out() -> None:
    """An empty run has no speed-up and no service times; its questions are not read further than shown."""
    run = StoredRun(1, "t", 1e300, 0.0, "")
    assert run_summary_text(run).split("\n") == [
        "🗂️ 執行紀錄 #1: t",
        "🕒 -, 模型 未知",
        "✅ 成功: 0/0",
        "⏱️ 總時間: 0.00 秒; 依序需 0.00 秒",
        "💰 tokens: 輸入 0, 輸出 0; 費用 未知 (沒有這個模型的價格資料)",
    ]
    items = iter(ITEMS)
    shown = run_summary_text(SECOND, items, most=1).split("\n")
    assert shown[-1] == "… 另有 9 個問題沒有列出"
    assert next(items) is ITEMS[1]


def test_two_runs_side_by_side() -> None:
    """Each figure of both, and the difference; one that says nothing in percent is without."""
    assert compare_text(FIRST, replace(SECOND, counts={K.ANSWERED: 100}), 60).split("\n") == [
        "📊 兩次執行的比較",
        "#12 2026-07-26 01:20 測試集 1: 程式語言",
        "#1015 2026-07-27 02:20 什麼是並行處理?",
        "------------------------------------------------------------",
        "                     #12      #1015               差異",
        "問題數                10        100        +90 (+900%)",
        "成功                   8        100                +92",
        "未成功                 2          0         -2 (-100%)",
        "總時間 (秒)         4.20       3.90        -0.30 (-7%)",
        "依序時間 (秒)      31.50      30.50        -1.00 (-3%)",
        "加速 (倍)           7.50       7.82        +0.32 (+4%)",
        "服務平均 (秒)       3.10       2.90        -0.20 (-6%)",
        "服務 p50 (秒)       3.00       3.00                  =",
        "服務 p95 (秒)       4.00       3.70        -0.30 (-7%)",
        "輸入 tokens        1,200      1,200                  =",
        "輸出 tokens        3,450     34,000    +30,550 (+886%)",
        "費用           US$0.0123  US$0.0023  -US$0.0100 (-81%)",
    ]


def test_what_one_run_does_not_know_has_no_difference() -> None:
    """A dash for the figure and for the difference; from nothing there is no percentage."""
    bare = StoredRun(1, "t", 0.0, 0.0, "m", {K.NOT_RUN: 2})
    lines = compare_text(bare, FIRST, 80).split("\n")
    assert [line.split() for line in lines if "費用" in line] == [["費用", "-", "US$0.0123", "-"]]
    assert [line.split()[2:] for line in lines if "p95" in line] == [["(秒)", "-", "4.00", "-"]]
    assert next(line.split() for line in lines if "成功" in line) == ["成功", "0", "8", "+8"]


PIECES = ("a", " ", "天", "\n", "\x1b", "\u202e", "\t", "👩\u200d👧", "é", "字" * 40)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
NUMBERS = st.floats(0, 1e5)
COUNTS = st.integers(0, 100_000)
RUNS = st.builds(
    StoredRun, st.integers(1, 9999), TEXTS, st.floats(0, 4e9), NUMBERS, TEXTS,
    st.dictionaries(st.sampled_from(K), COUNTS), COUNTS, COUNTS, COUNTS,
    st.none() | st.decimals(0, 1000, places=6), NUMBERS, NUMBERS,
    st.builds(ServiceTimes, COUNTS, NUMBERS, NUMBERS, NUMBERS),
)  # fmt: skip
ITEM = st.builds(
    StoredItem, st.integers(1, 99_999), TEXTS, st.sampled_from(K), NUMBERS, st.none() | NUMBERS, TEXTS, TEXTS,
    source=st.sampled_from(AnswerSource), truncated=st.booleans(),
)  # fmt: skip


@settings(max_examples=40)
@given(st.lists(RUNS, min_size=1, max_size=3), st.lists(ITEM, max_size=3), st.integers(60, 200))
def test_no_line_is_wider_than_the_screen_and_none_can_act_on_it(
    runs: list[StoredRun], items: list[StoredItem], width: int
) -> None:
    """From 60 columns on, whatever titles, questions and answers hold; table rows are of one width."""
    table = history_table(runs, width).split("\n")
    texts = [
        *table,
        *run_summary_text(runs[0], items, width).split("\n"),
        *compare_text(runs[0], runs[-1], width).split("\n"),
    ]
    assert max(map(cell_width, texts)) <= width
    assert not any(bad in line for line in texts for bad in "\x1b\u202e\t")
    assert len({cell_width(line) for line in table}) == 1
    assert len(table) == len(runs) + 2


@settings(max_examples=40)
@given(st.lists(RUNS, min_size=2, max_size=2), st.lists(ITEM, max_size=3), st.integers(-5, 59))
def test_a_narrow_screen_harms_nothing(runs: list[StoredRun], items: list[StoredItem], width: int) -> None:
    """Below 60 columns lines may be longer than the screen; nothing raises."""
    for text in (
        history_table(runs, width),
        run_summary_text(runs[0], items, width),
        compare_text(runs[0], runs[1], width),
    ):
        assert text

"""The totals of the history as a person reads them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from core.history import HistoryTotals, RunSums, ServiceTimes
from core.outcome import OutcomeKind
from utils.stats_text import stats_text
from utils.text_width import cell_width

SUMS = RunSums(12, 345, 300, 123_456, 7_654_321, Decimal("1.2345"), 0)
UNPRICED = replace(SUMS, known_money=Decimal(0), unpriced_runs=12)
PARTLY = replace(SUMS, unpriced_runs=2)
TOTALS = HistoryTotals(
    whole=SUMS,
    counts={OutcomeKind.ANSWERED: 300, OutcomeKind.TIMED_OUT: 45},
    by_model={"gemini-2.5-flash": SUMS, "": PARTLY, "\x1b[2J模型" * 20: UNPRICED},
    service=ServiceTimes(302, 1.5, 1.2, 3.4),
    cached=40,
    shared=3,
    saved_tokens=12_345,
    saved_money=Decimal("0.25"),
    first=1_785_000_000.0,
    last=1_785_090_000.0,
)
DAYS = {date(2026, 7, 26): SUMS, date(2026, 7, 27): UNPRICED}


def test_every_figure_has_its_line() -> None:
    """Labels stand in one column; kinds that did not occur are left out."""
    lines = stats_text(TOTALS, DAYS, 60).splitlines()
    assert lines[0].startswith("📊 統計 (2026-07-2")
    assert lines[2:13] == [
        "執行      12 次",
        "題數      345",
        "成功      300 (87.0%)",
        "逾時      45 (13.0%)",
        "快取命中  40",
        "共用      3",
        "tokens    輸入 123,456, 輸出 7,654,321",
        "費用      US$1.23",
        "服務時間  p50 1.20, p95 3.40 秒 (302 題)",
        "快取省下  43 次呼叫, 12,345 tokens",
        "省下費用  US$0.2500",
    ]


def test_tables_are_aligned_by_cells_and_fit() -> None:
    """At 60 columns, with names of any length and kind; the latest day comes first."""
    lines = stats_text(TOTALS, DAYS, 60).splitlines()
    assert max(map(cell_width, lines)) <= 60
    models = lines[lines.index("") + 1 :][:4]
    assert len({cell_width(line) for line in models}) == 1
    assert "\x1b" not in "".join(lines)
    assert [line.split()[-1] for line in models] == ["費用", "US$1.23", "US$1.23+", "-"]
    assert [line.split()[0] for line in lines[-3:]] == ["日期", "2026-07-27", "2026-07-26"]


@pytest.mark.parametrize(
    ("totals", "said"),
    [
        (replace(TOTALS, whole=UNPRICED), "費用      未知 (沒有這個模型的價格資料)"),
        (replace(TOTALS, whole=PARTLY), "費用      至少 US$1.23 (2 次執行沒有價格)"),
        (replace(TOTALS, unknown_saved=1), "快取省下  43 次呼叫, ≥ 12,345 tokens"),
        (replace(TOTALS, unknown_saved=1), "省下費用  至少 US$0.2500"),
        (replace(TOTALS, unpriced_saved=1, saved_money=Decimal(0)), "省下費用  未知 (沒有這個模型的價格資料)"),
    ],
)
def test_what_is_not_known_is_said_to_be(totals: HistoryTotals, said: str) -> None:
    """Part of a sum is not the sum."""
    assert said in stats_text(totals, {}, 80).splitlines()


def test_what_did_not_happen_has_no_line() -> None:
    """Nothing saved, nobody asked, no day in the time looked at; a clock far off has no date."""
    text = stats_text(replace(TOTALS, cached=0, shared=0, service=ServiceTimes(), first=1e300), {}, 80)
    for word in ("省下", "服務時間", "日期"):
        assert word not in text
    assert text.startswith("📊 統計 (- 到 2026-")


def test_no_runs_are_one_sentence() -> None:
    """Not a table of zeros."""
    assert stats_text(HistoryTotals(), {}, 60) == "📊 還沒有執行紀錄"


@pytest.mark.parametrize("width", [1, 20, 40])
def test_a_narrow_screen_harms_nothing(width: int) -> None:
    """Tables may be wider than so few columns; facts are cut."""
    assert stats_text(TOTALS, DAYS, width)

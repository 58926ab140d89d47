"""Bulk runs as text: whole transcripts, and what may never be in them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bulk import BulkEnd, BulkProgress
from core.outcome import Usage
from utils.bulk_text import (
    agreement_text,
    distribution_text,
    end_text,
    failures_text,
    preview_text,
    progress_line,
    result_rows_text,
)
from utils.text_width import cell_width

ESCAPE = "\x1b[2J\x1b]0;pwned\x07\u202e壞\n✅ 偽造"
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PROGRESS = BulkProgress(
    expected=12_000, read=9_000, twins=500, done_before=2_000, answered=3_900, failed=100, in_flight=250, requests=161,
    pack_size=25, usage=Usage(90_000, 9_000, 1_000), seconds=80.0,
)  # fmt: skip


def test_a_run_on_one_line() -> None:
    """The most telling figures first."""
    assert progress_line(PROGRESS, money="US$0.02") == (
        "6,000/12,000 (50%) · 剩約 2 分 · 50.0 則/s · ✅ 3,900 · ❌ 100 · 先前完成 2,000 · 請求 161 (每次 25 則)"
        " · 100,000 tokens, US$0.02"
    )


def test_a_run_of_unknown_length_on_one_line() -> None:
    """Without share and time left."""
    line = progress_line(BulkProgress(answered=10, seconds=2.0))
    assert line == "10 · 5.0 則/s · ✅ 10 · ❌ 0 · 請求 0 (每次 1 則) · 0 tokens"


def test_the_end_of_a_run() -> None:
    """Each way a session ends has its own headline and says what to do."""
    done = BulkProgress(expected=3, answered=3, requests=1, seconds=2.0)
    assert end_text(BulkEnd(done)).splitlines()[0] == "🎉 批次完成, 每一則都有結果"
    failed = BulkEnd(BulkProgress(expected=3, answered=2, failed=1))
    assert end_text(failed).splitlines()[0] == "⚠️ 批次完成, 有 1 則沒有結果; 再執行一次會只重問這些"
    paused = end_text(BulkEnd(PROGRESS, cancelled=True)).splitlines()
    assert paused[0] == "⏸️ 批次已暫停, 還有 6,000 則沒有問; 已有的結果都保留, 再執行同一個檔案就會接著做"
    assert paused[1].startswith("  這次: 回答 3,900 則, 失敗 100 則, 請求 161 次, 100,000 tokens, ")
    assert paused[2] == "  先前已完成 2,000 則, 重複的文字 500 則 (只問一次)"
    uncounted = end_text(BulkEnd(BulkProgress(answered=1), cancelled=True)).splitlines()
    assert uncounted[0] == "⏸️ 批次已暫停; 已有的結果都保留, 再執行同一個檔案就會接著做"


def test_a_run_that_was_stopped_says_why() -> None:
    """Reason, advice and what is in memory only, on lines of their own that nothing can forge."""
    end = BulkEnd(BulkProgress(answered=1), f"磁碟已滿{ESCAPE}", f"請清出空間{ESCAPE}", unsaved=40)
    lines = end_text(end).splitlines()
    assert lines[0] == "🛑 批次停下來了"
    assert lines[2] == "  ⚠️ 40 則回答還沒有存下, 只在記憶體裡"
    assert lines[3].startswith("  原因: 磁碟已滿")
    assert lines[4].startswith("💡 請清出空間")
    assert len(lines) == 5
    assert not UNSAFE.search("".join(lines))


def test_a_preview() -> None:
    """The first texts, one a line, and the counts of what there is."""
    text = preview_text(["好吃", f"第二{ESCAPE}"], ["文字 12,000", "要問 11,000"], width=40)
    lines = text.splitlines()
    assert lines[:2] == ["🔎 輸入預覽:", "  1. 好吃"]
    assert lines[-1] == "  文字 12,000, 要問 11,000"
    assert len(lines) == 4


@pytest.mark.parametrize(("counts", "comparable", "text"), [
    ((100, 97, 0.9155, 0.9897, 3), True,
     "🔬 抽查 100 則: 合併詢問與單獨詢問有 97 則相同 (97.0%; 95% 信賴區間 91.5% 到 99.0%); 另有 3 則沒有兩種結果"),
    ((2, 2, 0.3424, 1.0, 0), True,
     "🔬 抽查 2 則: 合併詢問與單獨詢問有 2 則相同 (100.0%; 95% 信賴區間 34.2% 到 100.0%)"),
    ((0, 0, 0.0, 1.0, 4), True, "🔬 抽查: 沒有可比較的結果"),
    ((9, 0, 0.0, 0.3, 0), False, "🔬 抽查: 結果都是自由文字, 逐字比較沒有意義; 請自行看過預覽"),
])  # fmt: skip
def test_what_a_sample_says(counts: tuple[int, int, float, float, int], comparable: bool, text: str) -> None:
    """Share and interval, or why there is none."""
    assert agreement_text(*counts, comparable=comparable) == text


def test_a_distribution() -> None:
    """The most frequent label first, with its share and a bar."""
    lines = distribution_text({"負面": 1, "正面": 3}, title="分析結果", width=60).splitlines()
    assert lines[0] == "分析結果:"
    assert re.fullmatch(r"  正面 +3  75\.0% █{22}", lines[1])
    assert re.fullmatch(r"  負面 +1  25\.0% █{7}", lines[2])
    assert distribution_text({}, title="分析結果") == "分析結果: 還沒有結果"


def test_of_many_labels_few_are_listed() -> None:
    """The rest is summed up."""
    lines = distribution_text({f"類別{n}": n + 1 for n in range(50)}, title="t").splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  … 另有 30 種, 共 465 則"


def test_the_first_results() -> None:
    """Result or reason before the text, and how many more there are."""
    rows = [("好吃", "正面", ""), ("難吃", "", "內容被安全機制擋下")]
    assert result_rows_text(rows, total=5, width=60).splitlines() == [
        "📋 結果:",
        "    1  正面                   好吃",
        "    2  ❌ 內容被安全機制擋下  難吃",
        "  … 另有 3 則, 匯出後可看全部",
    ]
    assert result_rows_text([], total=0) == "📋 結果:"


def test_why_texts_have_no_result() -> None:
    """The most frequent reason first, ten at most."""
    assert failures_text({}) == ""
    assert failures_text({"逾時": 2, "擋下": 1_200}).splitlines() == [
        "❌ 沒有結果的 1,202 則:", "     1,200  擋下", "         2  逾時",
    ]  # fmt: skip
    lines = failures_text({f"原因 {n}": 1 for n in range(15)}).splitlines()
    assert (len(lines), lines[-1]) == (12, "  … 另有 5 種原因")


@given(st.lists(st.text(max_size=60), min_size=1, max_size=25), st.integers(30, 200))
def test_nothing_untrusted_acts_on_the_screen_or_makes_lines(texts: list[str], width: int) -> None:
    """Whatever the labels, texts and reasons: one line each, within the width, without control characters."""
    counts = {text: number + 1 for number, text in enumerate(texts)}
    for text, most in (
        (preview_text(texts, ["文字 1"], width=width), len(texts) + 2),
        (distribution_text(counts, title="結果", width=width), len(counts) + 2),
        (failures_text(counts), len(counts) + 2),
        (result_rows_text([(each, each, each) for each in texts], total=99, width=width), len(texts) + 2),
    ):
        assert len(text.split("\n")) <= most
        assert not UNSAFE.search(text)
    bars = distribution_text(counts, title="結果", width=width).split("\n")
    assert max(map(cell_width, bars)) <= max(width, 46)


@pytest.mark.parametrize("width", [20, 40, 80])
def test_bars_fit_the_screen(width: int) -> None:
    """Also where one label has it all."""
    lines = distribution_text({"正面": 10_000}, title="結果", width=width).splitlines()
    assert max(map(cell_width, lines)) <= max(width, 25)

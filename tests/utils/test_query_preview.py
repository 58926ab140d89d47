"""What a person sees of a query set before it runs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from core.cost import Range, RunEstimate
from utils.cost_text import estimate_text
from utils.query_draft import QueryDraft
from utils.query_preview import QueryFigures, preview_prompt, preview_text
from utils.query_text import Shape, read_queries
from utils.text_width import cell_width

ESTIMATE = RunEstimate(7, 5, 70, Range(5, 50), Range(Decimal("0.01"), Decimal("0.02")), Range(1.0, 9.0), True)
LIST = "1. 甲\n2. 乙\n3. 甲\n"


def test_everything_there_is_to_say() -> None:
    """The count, the reading, blank lines, twins, what is cached, the first questions, and the estimate."""
    text = "".join(f"{number}. 題\x1b{number % 6}\n" for number in range(1, 8)) + "\n"
    shown = preview_text(read_queries(text), QueryFigures(ESTIMATE, 2), width=80)
    assert shown == "\n".join([
        "📋 7 個問題",
        "  每行一題 · 編號已去掉 · 空白行 1 · 重複 1 個 · 已在快取 2 個",
        *[f"│ {number}. 題␛{number}" for number in range(1, 6)],
        "│ … 還有 2 個",
        estimate_text(ESTIMATE),
    ])  # fmt: skip


def test_less_there_is_to_say() -> None:
    """Without figures, twins or marks only what is known is said; what was left out and taken out is."""
    assert preview_text(read_queries("甲\n續\n\n乙\n續"), width=80).splitlines() == [
        "📋 2 個問題", "  每段一題 · 空白行 1", "│ 1. 甲 續", "│ 2. 乙 續",
    ]  # fmt: skip
    reading = read_queries("1. 甲\n續\n2. 乙", keep_marks=True)
    shown = preview_text(reading, QueryFigures(ESTIMATE), width=80, unique=True, left_out=3).splitlines()
    assert shown[1:3] == ["  每個編號一題 · 編號保留 · 重複的已去掉", "  ⚠️ 超過一次的上限, 後面的 3 個沒有採用"]


@pytest.mark.parametrize("width", [20, 60, 80])
@pytest.mark.parametrize("question", ["長" * 1_000_000, "a\tb " * 100, "\x1b[2J" * 50, "👨‍👩‍👧" * 90, "e\u0301" * 500])
def test_questions_are_cut_to_the_width(question: str, width: int) -> None:
    """However long and of whatever characters, a question takes one line within the width."""
    line = preview_text(read_queries(question), width=width).splitlines()[2]
    assert width - 2 <= cell_width(line) <= width
    assert line.endswith("…")


def test_only_what_changes_something_is_offered() -> None:
    """Readings, marks and twins are offered where there are any, each with what it would do."""
    plain = QueryDraft().pasted("甲")
    assert preview_prompt(plain, plain.read()) == "Enter 執行, e 編輯, q 取消: "
    draft = QueryDraft().pasted(LIST)
    assert preview_prompt(draft, draft.read()) == (
        "Enter 執行, e 編輯, s 改為每段一題, n 保留編號, d 去掉重複, q 取消: "
    )
    draft = replace(draft, keep_marks=True, unique=True, shape=Shape.PARAGRAPHS)
    assert preview_prompt(draft, draft.read()) == (
        "Enter 執行, e 編輯, s 改為每行一題, n 去掉編號, d 保留重複, q 取消: "
    )

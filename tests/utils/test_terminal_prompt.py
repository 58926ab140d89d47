"""Prompts fit the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.terminal_prompt import folded
from utils.text_width import cell_width

PROMPT = "Enter 執行, e 編輯, s 改為每段一題, q 取消: "


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (80, PROMPT),
        (30, "Enter 執行, e 編輯, \ns 改為每段一題, q 取消: "),
        (14, "Enter 執行, \ne 編輯, \ns 改為每段一\n    題, \nq 取消: "),
    ],
)
def test_a_prompt_breaks_between_words(columns: int, expected: str) -> None:
    """What does not fit goes on below, and there is room for a character at the end."""
    assert folded(PROMPT, columns) == expected


@given(st.text(alphabet="甲a ,:"), st.integers(10, 40))
def test_no_line_is_too_wide(prompt: str, columns: int) -> None:
    """Whatever the prompt, every line leaves room to type, and no character is lost."""
    lines = folded(prompt, columns).split("\n")
    assert all(cell_width(line.rstrip()) <= columns - 2 for line in lines)
    assert "".join(lines).replace(" ", "") == prompt.replace(" ", "")

"""Markdown becomes lines that fit, hide nothing and cannot act on a terminal."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from utils.answer_lines import Line, plain
from utils.markdown_text import MOST_CHARACTERS, markdown_lines
from utils.neutralise import neutralise
from utils.text_width import cell_width

PARTS = [
    "#", "##### ", "*", "**", "_", "`", "```", "~~~~py\n", "[", "](", ")", "![", "<", ">", "> ", "- ", "+ ", "12. ",
    "| a | b |\n|--|:-:|\n", "|c|d|e|\n", "|", "\\|", "\n", "\n\n", "    ", "\t", "---\n", "===\n", "~~", "\\", ":",
    "!", "<!-- x\n", "<b>", "http://a.b/c", "<http://d.e>", "(x \"y\")", "[f]: g\n", "  \n", " ", "z",
    "中文", "👨‍👩‍👧‍👦", "é",
]  # fmt: skip
HOSTILE = ["&#x202e;", "&NewLine;", "&Tab;", "&#10;", "&lt;", "\x1b[2J", "\x1b]52;c;x\x07", "\r", "\r\n", "\x9b",
           "\x7f", "\u202e", "\u2028", "\u0600\u0600", "\u0301", "\x00", "\ufeff", "\U000e0041"]  # fmt: skip


def shown(text: str, columns: int = 60, *, styled: bool = False, ascii_only: bool = False) -> list[str]:
    lines = markdown_lines(text, columns, styled=styled, ascii_only=ascii_only)
    assert lines is not None
    return [plain(line) for line in lines]


def styles(text: str) -> list[Line]:
    lines = markdown_lines(text, 60, styled=True)
    assert lines is not None
    return list(lines)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("# 一\n第二\n===\n### 三 ###", ["# 一", "", "# 第二", "", "### 三"]),
        ("甲\n乙  \n丙", ["甲", "乙", "丙"]),
        ("- a\n  1. b\n  2. c\n- d", ["• a", "  1. b", "  2. c", "• d"]),
        ("7) a\n\n   b\n8) c", ["7) a", "", "   b", "", "8) c"]),
        ("-\n- x\n>", ["•", "• x", "", ">"]),
        ("> 引\n> > 用\n>\n> - x", ["> 引", ">", "> > 用", ">", "> • x"]),
        ("```py 檔\nif x:\n\ty\n```", ["```py 檔", "if x:", "    y", "```"]),
        ("~~~~\n```\n~~~~\n後", ["~~~~", "```", "~~~~", "", "後"]),
        ("x\n\n    a\n\n     b", ["x", "", "    a", "", "     b"]),
        ("a\n\n---\n\nb", ["a", "", "─" * 40, "", "b"]),
        ("[好](http://x.y) <http://a.b> <m@n.o>", ["好 (http://x.y) http://a.b m@n.o"]),
        ('[good.com](http://evil.com "標")', ['good.com (http://evil.com "標")']),
        ("![圖](http://i.p)", ["[圖片: 圖] (http://i.p)"]),
        ("[f]: http://hidden\n\n[x][f]", ["[f]: http://hidden", "", "[x][f]"]),
        ("<b>粗</b>\n\n<!-- 看\n不見 -->", ["<b>粗</b>", "", "<!-- 看", "不見 -->"]),
        ("**粗** _斜_ ~~刪~~ ``碼`` a&lt;b", ["**粗** _斜_ ~~刪~~ ``碼`` a<b"]),
        ("a&#x202e;b&NewLine;c", ["a\\u202eb c"]),
    ],
)
def test_each_kind_of_block(text: str, lines: list[str]) -> None:
    """The structure can be read without colours, and nothing that was written is missing."""
    assert [line.rstrip() for line in shown(text)] == lines


def test_styles_take_the_place_of_marks() -> None:
    """With styles emphasis and code lose their marks, nested ones add up; addresses are underlined."""
    assert styles("# 大 *小*\n\n**粗 _斜_** `碼` ~~刪~~ [a](http://b)") == [
        (("# 大 ", "bold"), ("小", "bold italic")),
        (),
        (
            ("粗 ", "bold"), ("斜", "bold italic"), (" ", ""), ("碼", "cyan"), (" ", ""), ("刪", "strike"),
            (" a", ""), (" (http://b)", "underline"),
        ),
    ]  # fmt: skip
    assert styles("```\nx\n```")[1] == (("x", "cyan"),)


def test_tables_are_aligned_by_cells() -> None:
    """Columns line up although characters differ in width, each to its side."""
    assert shown("| 名稱 | 值 | 數 |\n|---|:-:|--:|\n| 蘋果 | x | 1 |\n| b | yyyy | 234 |") == [
        "名稱 │  值  │  數",
        "─" * 17,
        "蘋果 │  x   │   1",
        "b    │ yyyy │ 234",
    ]
    assert shown("|a|b|\n|-|-|\n|1|2|", ascii_only=True) == ["a | b", "-----", "1 | 2"]


def test_a_table_too_wide_becomes_rows() -> None:
    """Every cell is on a line of its own after its head."""
    wide = "|名稱|說明|\n|-|-|\n|甲|" + "字" * 10 + "|\n|乙||"
    assert shown(wide, 20) == ["名稱: 甲", "說明: " + "字" * 7, "字" * 3, "─" * 20, "名稱: 乙", "說明:"]
    assert shown("|" + "長" * 9 + "|b|\n|-|-|", 20) == ["長" * 9, "b"]


def test_a_table_with_cells_beyond_its_columns_is_shown_as_written() -> None:
    """Markdown would leave out what a row has too many of."""
    text = "| a | b |\n|---|---|\n| 1 | 2 | 藏 |"
    assert shown(text) == text.split("\n")


def test_lines_are_broken_between_words() -> None:
    """Latin words stay whole, Chinese breaks anywhere but before closing marks; what is longer than a line is cut."""
    assert shown("aaa bbb ccc ddd eee", 12) == ["aaa bbb ccc", "ddd eee"]
    assert shown("aaa bbb ccc, ddd", 10) == ["aaa bbb", "ccc, ddd"]
    assert shown("一二三四五,六七", 10) == ["一二三四", "五,六七"]
    assert shown("a" * 25, 10) == ["a" * 10, "a" * 10, "a" * 5]
    assert shown("```\n" + "x y " * 6 + "\n```", 10)[1:-1] == ["x y x y x ", "y x y x y ", "x y "]


@given(st.lists(st.sampled_from(PARTS), max_size=40).map("".join), st.integers(18, 80), st.booleans())
@example("1. |a|\n   |-|\n   |b|c|", 40, False)
def test_nothing_is_left_out(text: str, columns: int, styled: bool) -> None:
    """Whatever marks stand around them: every letter of the text is on the screen, no line too wide."""
    lines = markdown_lines(text, columns, styled=styled)
    if lines is None:
        return
    told = [plain(line) for line in lines]
    assert all(cell_width(line) <= columns for line in told)
    missing = Counter(re.findall(r"[^\W_]", text)) - Counter(re.findall(r"[^\W_]", "".join(told)))
    assert not missing


@given(st.lists(st.sampled_from([*PARTS, *HOSTILE]) | st.text(max_size=5), max_size=40).map("".join), st.booleans())
def test_nothing_acts_on_the_terminal(text: str, styled: bool) -> None:
    """What the parser decodes is made visible as well; no line has a line end."""
    for line in markdown_lines(text, 60, styled=styled) or ():
        assert cell_width(plain(line)) <= 60
        assert neutralise(plain(line), keep_newlines=False) == plain(line)


@pytest.mark.parametrize(
    "text",
    [
        "> " * 10_000 + "x", ">" * 60_000, "- " * 30 + "x", "1. " * 5_000, "x" * (MOST_CHARACTERS + 1), " \n\t\n",
        "".join("  " * depth + "- a\n" for depth in range(200)), "> " * 35 + "|a|\n" + "> " * 35 + "|-|",
    ],
)  # fmt: skip
def test_too_deep_or_too_long_is_not_laid_out(text: str) -> None:
    """Nothing is raised and nothing left out: there are no lines, and the text is to be shown as it is."""
    assert markdown_lines(text, 200, styled=True) is None


@pytest.mark.parametrize(
    "text",
    [
        "[" * 90_000, ("[" * 100 + "\n\n") * 300, "![](" * 20_000, "*a_ " * 20_000, "`" * 9_000 + " ``" * 9_000,
        "|" + "a|" * 3000 + "\n|" + "-|" * 3000 + "\n|b", "x" * MOST_CHARACTERS, "e" + "\u0301" * 90_000,
        "```\n" * 20_000,
    ],
)  # fmt: skip
def test_hostile_shapes_end(text: str) -> None:
    """Shapes that make parsers quadratic are laid out in the time a test has."""
    assert all(cell_width(line) <= 60 for line in shown(text, styled=True))

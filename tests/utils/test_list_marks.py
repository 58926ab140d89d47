"""The marks of a list are recognised where it is one, and only there."""

from __future__ import annotations

import pytest

from utils.list_marks import find_list


def stripped(text: str) -> list[str] | None:
    """The items' first lines without their marks; None where the text is no list."""
    items = find_list(text.split("\n"))
    return None if items is None else [item.first(keep_mark=False) for item in items]


@pytest.mark.parametrize(
    "marks",
    [
        ("1. ", "2. "), ("1.", "2."), ("1) ", "2) "), ("1、", "2、"), ("(1) ", "(2) "), ("（1）", "（2）"),
        ("１．", "２．"), ("一、", "二、"), ("（一）", "（二）"), ("十、", "十一、"), ("一百二十、", "一百二十一、"),
        ("二〇、", "二一、"),
        ("- ", "- "), ("－ ", "- "), ("* ", "* "), ("•", "• "), ("Q: ", "Q:"), ("q1: ", "Q2："), ("Ｑ１．", "Ｑ２．"),
        ("問:", "問："), ("問題1: ", "問題2: "), ("問一、", "問二、"), ("1. ", "1. "),
        ("9. ", "10. "), ("  1. ", "  2. "),
    ],
)  # fmt: skip
def test_marks_of_every_kind(marks: tuple[str, str]) -> None:
    """Two lines with marks of one kind are a list; one line with such a mark is a question."""
    assert stripped(f"{marks[0]}甲\n{marks[1]}乙") == ["甲", "乙"]
    assert stripped(f"{marks[0]}甲") is None


@pytest.mark.parametrize(
    "text",
    [
        "-5 度會結冰嗎\n-6 度呢", "3.14 是什麼\n4.5 呢", "*注意* 甲\n*注意* 乙", "1. 甲\n5. 乙", "2. 甲\n1. 乙",
        "1. 甲\n- 乙",
        "Q 甲\nQ 乙", "Q. 甲\nQ. 乙", "Q: 甲\nQ2: 乙", "前言\n1. 甲\n2. 乙", "- 甲\n乙\n丙", "1. 甲\n2. 乙\n丙\n丁\n戊",
        "1. 甲\n2. 乙\n\n丙", "1. 甲\n3. 乙\n丙", "問題 1\n問題 2", "10 個\n11 個", "", "甲",
    ],
)  # fmt: skip
def test_what_is_no_list(text: str) -> None:
    """Numbers, emphasis, broken counts and lists within prose or before plain questions keep every character."""
    assert stripped(text) is None


def test_nearly_all_items() -> None:
    """A slip of the count is forgiven where every line has its mark, one other break in ten, one bare line in ten."""
    assert stripped("1. 甲\n2. 乙\n2. 丙\n4. 丁") == ["甲", "乙", "丙", "丁"]
    counted = "\n".join(f"{number}. x" for number in (*range(1, 11), *range(50, 60)))
    assert stripped(counted) == ["x"] * 20
    assert stripped(counted + "\nplain") is None
    bullets = ["- x"] * 10
    assert stripped("\n".join([*bullets, "plain"])) == [*["x"] * 10, "plain"]
    assert stripped("\n".join([*bullets, "plain", "plain"])) is None


def test_further_lines_belong_to_their_item() -> None:
    """Continuations, lists within an item and blank lines between go with the item above."""
    items = find_list(["1. 甲", "   1. 子", "- 丑", "", "2. 乙", "續"])
    assert items is not None
    assert [item.rest for item in items] == [("   1. 子", "- 丑", ""), ("續",)]
    assert [item.has_more for item in items] == [True, True]
    assert [item.first(keep_mark=True) for item in items] == ["1. 甲", "2. 乙"]

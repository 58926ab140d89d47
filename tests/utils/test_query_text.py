"""Text as it was pasted becomes questions, and nothing of it gets lost on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.query_text import QueryText, Shape, count_twins, read_queries, without_twins

PLAIN_LINES = st.lists(
    st.text(alphabet="甲乙丙abc 3.14%,?", min_size=1).map(str.strip).filter(lambda line: line and line[0] not in "3.,"),
    min_size=1,
)


@given(PLAIN_LINES)
def test_plain_lines_are_the_questions(lines: list[str]) -> None:
    """Of n lines without marks and without blank lines exactly these n are the questions."""
    found = read_queries("\n".join(lines))
    assert found.queries == tuple(lines)
    assert (found.shape, found.numbered, found.blank) == (Shape.LINES, False, 0)


@given(st.text(alphabet="甲a1.-*)、 \n\t\r?:Q問(（一"), st.sampled_from([None, *Shape]), st.booleans())
def test_no_character_is_lost_but_marks(text: str, shape: Shape | None, keep: bool) -> None:
    """Whatever the text and the reading: kept marks, or no list, leave every character that is not white space."""
    found = read_queries(text, shape=shape, keep_marks=keep)
    assert all(query == query.strip() and query for query in found.queries)
    whole = "".join("".join(found.queries).split())
    if not found.stripped:
        assert whole == "".join(text.split())
    else:
        rest = iter("".join(text.split()))
        assert all(character in rest for character in whole)  # in this order, with only marks left out


@given(
    PLAIN_LINES.filter(lambda lines: len(lines) > 1),
    st.sampled_from(["{}. ", "{}) ", "{}、", "({}) ", "Q{}: ", "- "]),
)
def test_marks_come_off_again(lines: list[str], mark: str) -> None:
    """Marking every line of a list and reading it gives the lines."""
    text = "\n".join(mark.format(number) + line for number, line in enumerate(lines, 1))
    found = read_queries(text)
    assert (found.queries, found.shape, found.stripped) == (tuple(lines), Shape.LINES, True)
    assert read_queries(text, keep_marks=True).queries == tuple(text.split("\n"))


@pytest.mark.parametrize(
    ("text", "queries", "shape"),
    [
        ("問一行\n第二行\n\n下一題\n也兩行", ("問一行\n第二行", "下一題\n也兩行"), Shape.PARAGRAPHS),
        ("主題\n\n甲?\n乙?\n\n丙?\n丁?", ("主題", "甲?", "乙?", "丙?", "丁?"), Shape.LINES),
        ("一\n\n二\n5\n6\n", ("一", "二", "5", "6"), Shape.LINES),
        ("甲\n乙\n", ("甲", "乙"), Shape.LINES),
        ("1. 甲\n續\n\n再續\n2. 乙\n\n又\n3. 丙", ("甲\n續\n\n再續", "乙\n\n又", "丙"), Shape.ITEMS),
        ("- 甲\n  續\n- 乙", ("甲\n  續", "乙"), Shape.ITEMS),
        ("Q: 甲\r\nA: 乙\r\nQ: 丙\r\n", ("甲\nA: 乙", "丙"), Shape.ITEMS),
        ("1.\n甲\n2.\n乙", ("甲", "乙"), Shape.ITEMS),
        ("", (), Shape.LINES),
        (" \n\n", (), Shape.LINES),
    ],
)
def test_what_one_question_is(text: str, queries: tuple[str, ...], shape: Shape) -> None:
    """Lines, items with their further lines, or paragraphs: as the text itself suggests."""
    found = read_queries(text)
    assert (found.queries, found.shape) == (queries, shape)


def test_another_reading_can_be_asked_for() -> None:
    """A list with further lines can be read in three ways; a reading that would change nothing is not offered."""
    text = "1. 甲\n續\n\n2. 乙\n"
    found = read_queries(text)
    assert found.shapes == (Shape.LINES, Shape.ITEMS, Shape.PARAGRAPHS)
    assert read_queries(text, shape=Shape.LINES).queries == ("甲", "續", "乙")
    assert read_queries(text, shape=Shape.PARAGRAPHS).queries == ("甲\n續", "乙")
    assert read_queries(text, shape=Shape.PARAGRAPHS, keep_marks=True).queries == ("1. 甲\n續", "2. 乙")
    assert read_queries("甲\n\n乙").shapes == (Shape.LINES,)
    assert read_queries("甲\n\n乙", shape=Shape.PARAGRAPHS).shape is Shape.LINES
    assert read_queries("甲\n乙\n\n丙", shape=Shape.PARAGRAPHS).queries == ("甲\n乙", "丙")


def test_blank_lines_and_twins_are_counted() -> None:
    """Blank lines count before the last line end; questions that differ in white space only are twins."""
    found = read_queries("什麼 是\n\n\u3000\n什麼  是\n什麼是\n")
    assert found.queries == ("什麼 是", "什麼  是", "什麼是")
    assert (found.blank, found.twins) == (2, 1)
    assert read_queries("") == QueryText()
    assert count_twins(["a", "a ", "b", "a"]) == 2
    assert without_twins(["a  b", "c", "a b"]) == ("a  b", "c")

"""A draft keeps what was entered, piece by piece, and what the person chose about it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from utils.query_draft import QueryDraft
from utils.query_text import Shape

PARAGRAPHS = "甲\n續\n\n乙\n續"


def test_pieces_do_not_run_into_each_other() -> None:
    """A typed line neither joins a pasted paragraph nor the last item of a pasted list."""
    draft = QueryDraft().typed("先打").pasted(PARAGRAPHS).typed("1. 後打").pasted("1. 丙\n2. 丁").typed("尾")
    reading = draft.read()
    assert reading.queries == ("先打", "甲\n續", "乙\n續", "1. 後打", "丙", "丁", "尾")
    assert (reading.numbered, reading.stripped, reading.blank) == (True, True, 1)
    assert replace(draft, keep_marks=True).read().queries[4] == "1. 丙"


def test_typed_lines_are_read_together() -> None:
    """Numbers typed by hand come off like pasted ones, and twins are found across pieces."""
    draft = QueryDraft().typed("1. 甲").typed("2. 乙").ready(("甲",))
    assert draft.read().queries == ("甲", "乙", "甲")
    assert draft.read().twins == 1
    assert replace(draft, unique=True).read().queries == ("甲", "乙")
    assert replace(draft, unique=True).read().twins == 0
    assert QueryDraft().read().queries == ()


def test_what_needs_no_preview() -> None:
    """One or two typed lines with nothing odd about them."""
    one = QueryDraft().typed("甲")
    two = one.typed("乙")
    numbered = QueryDraft().typed("1. 甲").typed("2. 乙")
    odd = [two.typed("丙"), one.typed("甲"), numbered, one.pasted("乙"), one.ready(("乙",))]
    assert [draft.is_plain(draft.read()) for draft in (one, two)] == [True, True]
    assert not any(draft.is_plain(draft.read()) for draft in odd)


PIECES = st.lists(
    st.one_of(
        st.sampled_from(["甲", "1. 乙", "- 丙", "丙"]).map(lambda line: ("typed", line)),
        st.sampled_from([PARAGRAPHS, "1. 甲\n2. 乙", "- 甲\n- 乙", "甲\n\n乙\n"]).map(lambda text: ("pasted", text)),
        st.sampled_from(["舊", "1. 舊", "舊\n續"]).map(lambda text: ("ready", text)),
    ),
    min_size=1,
    max_size=4,
)


@given(PIECES, st.booleans(), st.sampled_from([None, *Shape]))
def test_a_draft_as_one_text_gives_the_same_questions(
    pieces: list[tuple[str, str]], keep: bool, shape: Shape | None
) -> None:
    """Opening the editor and leaving it changes nothing about the questions."""
    draft = QueryDraft(keep_marks=keep, shape=shape)
    for kind, text in pieces:
        draft = draft.ready((text,)) if kind == "ready" else getattr(draft, kind)(text)
    edited = draft.as_text()
    assert edited.read().queries == draft.read().queries
    assert edited.edited(edited.text) == edited


def test_blank_lines_within_a_question_may_be_lost_to_the_editor() -> None:
    """A question with a blank line in it is shown whole, though a text cannot say where it ends."""
    edited = QueryDraft().ready(("甲\n\n乙", "丙")).as_text()
    assert edited.text == "甲\n\n乙\n\n丙"
    assert edited.read().queries == ("甲", "乙", "丙")

"""Large pastes stand aside without losing a character."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from utils.paste_shelf import MOST_CHARACTERS, MOST_LINES, PasteShelf


def test_short_text_stays_in_the_line() -> None:
    """A paste that fits is edited as text."""
    assert PasteShelf().collapse("a\nb") == "a\nb"


def test_long_text_becomes_one_labelled_character() -> None:
    """Too many characters or lines make a stand-in that says how much it stands for."""
    shelf = PasteShelf()
    by_length = shelf.collapse("x" * (MOST_CHARACTERS + 1))
    by_lines = shelf.collapse("a\n" * (MOST_LINES + 1))
    assert len(by_length) == len(by_lines) == 1
    assert shelf.label(by_length) == "〔貼上 1 行, 2,001 字〕"
    assert shelf.label(by_lines) == "〔貼上 9 行, 18 字〕"
    assert shelf.label("x") is None


def test_edits_around_a_stand_in_keep_it() -> None:
    """Text before and after the stand-in comes back around the original."""
    shelf = PasteShelf()
    long = "x\n" * 50
    assert shelf.expand(f"before {shelf.collapse(long)} after") == f"before {long} after"


@given(st.lists(st.text(alphabet=st.sampled_from("ab\n\U0010f000\U0010f001"), max_size=20), max_size=5))
def test_pasted_text_is_never_mistaken_for_a_stand_in(texts: list[str]) -> None:
    """Text that itself holds private-use characters comes back as it was."""
    shelf = PasteShelf()
    assert [shelf.expand(line) for line in [shelf.collapse(text) for text in texts]] == texts


def test_an_unknown_stand_in_is_left_alone() -> None:
    """A private-use character that stands for nothing stays itself."""
    assert PasteShelf().expand("\U0010f005") == "\U0010f005"

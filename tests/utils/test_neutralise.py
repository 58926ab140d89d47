"""Untrusted text becomes harmless and stays readable."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.neutralise import neutralise

# Written out independently of the implementation: what must never reach a terminal.
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
# ZWNJ, ZWJ, and the signs that Arabic, Syriac and Kaithi numbers are written with, which have a shape of their own.
KEPT_FORMAT_CHARACTERS = {
    0x200C, 0x200D, *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD,
}  # fmt: skip


@given(st.text(alphabet=st.characters(codec=None)))
def test_nothing_that_acts_on_a_terminal_remains(text: str) -> None:
    """Whatever the text, the output holds no control, bidi, separator or surrogate character."""
    assert not ACTS.search(neutralise(text))


@given(st.text(alphabet=st.characters(codec=None)), st.booleans())
def test_it_is_idempotent(text: str, keep: bool) -> None:
    """Doing it twice changes nothing more."""
    once = neutralise(text, keep_newlines=keep)
    assert neutralise(once, keep_newlines=keep) == once


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;aGk=\x07", "␛]52;c;aGk=␇"),
        ("\x1b[2J", "␛[2J"),
        ("a\x00b\x7f", "a␀b␡"),
        ("\x9b31m", "\\x9b31m"),
        ("x\u202egpj.exe", "x\\u202egpj.exe"),
        ("a\u2028b", "a\\u2028b"),
        ("\ud800", "\\ud800"),
        ("\ufeffa\u200bb\u2060", "\\ufeffa\\u200bb\\u2060"),
        ("\U000e0041", "\\U000e0041"),
        ("over\rwrite", "over␍write"),
        ("dos\r\nlines", "dos\nlines"),
    ],
)
def test_what_acts_or_hides_becomes_visible(text: str, shown: str) -> None:
    """Each dangerous character has one visible form."""
    assert neutralise(text) == shown


@pytest.mark.parametrize(
    "text", ["中文與 emoji 👨‍👩‍👧‍👦 ❤️ 🏳️‍🌈", "葛\U000e0100城", "tab\tand\nnewline", "می‌خواهم", "é e\u0301", "", "한국어"]
)
def test_ordinary_text_is_untouched(text: str) -> None:
    """Emoji sequences, variation selectors, CJK, combining marks and ZWNJ pass as they are."""
    assert neutralise(text) is text


def test_a_label_stays_on_one_line() -> None:
    """Without newlines kept, a newline is shown as its picture."""
    assert neutralise("a\nb\r\nc", keep_newlines=False) == "a␊b␊c"


def test_every_format_character_is_decided() -> None:
    """Each invisible format character of Unicode is made visible, except those that scripts are written with."""
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) == "Cf" and code not in KEPT_FORMAT_CHARACTERS:
            assert neutralise(character) != character, hex(code)

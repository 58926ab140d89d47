"""Lists of failed questions and of hits: bounded, cut by cells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.outcome import OutcomeKind
from tests.utils.run_samples import outcome, report
from utils.neutralise import neutralise
from utils.reading_text import failed_text, found_text
from utils.text_width import cell_width


def test_long_lists_are_bounded() -> None:
    """Fifty are shown, the rest counted."""
    failed = report(*[outcome("a", 0.0, 1.0, kind=OutcomeKind.FAILED)] * 1070, wall=1.0)
    lines = failed_text(["q"] * 1070, failed).split("\n")
    assert (lines[0], lines[-1], len(lines)) == ("沒有回答的有 1,070 個問題:", "… 另有 1,020 個問題沒有列出", 102)
    assert len(failed_text(["q"] * 50, report(*failed.outcomes[:50], wall=1.0)).split("\n")) == 101
    answered = report(*[outcome("a", 0.0, 1.0, text="Xyz")] * 51, wall=1.0)
    lines = found_text("xy", ["q"] * 51, answered, columns=80).split("\n")
    assert lines[:3] == ["🔍 51 個問題或其回答提到 xy:", "1. q", "   │ Xyz"]
    assert (lines[-1], len(lines)) == ("… 另有 1 個問題沒有列出", 102)


def test_the_hit_is_seen() -> None:
    """However long what stands around it: the hit stands in the piece that is shown."""
    text = "前 " * 5000 + "針 " + "後 " * 5000
    finished = report(outcome("a", 0.0, 1.0, text=text), wall=1.0)
    lines = found_text("針", ["頭" * 100 + "針"], finished, columns=60).split("\n")
    assert len(lines) == 3
    assert all("針" in line and cell_width(line) <= 60 for line in lines)
    assert lines[2].startswith("   │ …")
    assert lines[2].endswith("…")


@given(st.text(alphabet=st.characters(codec=None), min_size=1), st.text(alphabet=st.characters(codec=None)))
def test_any_word_in_any_text(word: str, text: str) -> None:
    """Nothing is raised, every line fits, and what goes out is harmless."""
    finished = report(outcome("a", 0.0, 1.0, text=f"{text}{word}{text}"), wall=1.0)
    shown = found_text(word, [text], finished, columns=40)
    assert neutralise(shown) == shown
    assert "   │ " in shown
    assert all(cell_width(line) <= 40 for line in shown.split("\n")[1:])

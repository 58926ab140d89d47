"""Lines of any text, laid out only as far as somebody looks."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.answer_lines import LazyLines, Line, RawLines, plain
from utils.neutralise import neutralise
from utils.report_text import framed
from utils.text_width import cell_width

ANY = st.text(alphabet=st.characters(codec=None) | st.sampled_from("ab \t\r\n\x1b\u202e中é👨\u200d👩\u0600\u0301"))
EVERYTHING = 1 << 30


def all_lines(text: str, columns: int) -> list[str]:
    return [plain(line) for line in RawLines(text, columns).take(0, EVERYTHING)]


@given(ANY, st.integers(18, 60))
def test_the_text_is_whole_and_fits(text: str, columns: int) -> None:
    """No character is lost but spaces at ends of lines, none can act on a terminal, no line is too wide."""
    lines = all_lines(text, columns)
    assert all(cell_width(line) <= columns for line in lines)
    assert all(neutralise(line, keep_newlines=False) == line for line in lines)
    assert "".join("".join(lines).split()) == "".join(neutralise(text).split())


@given(ANY)
def test_wide_screens_show_the_lines_of_the_text(text: str) -> None:
    """Where nothing is wrapped the lines are those of the framed text."""
    text = text.replace("\t", " ")
    expected = [line.removeprefix("│").removeprefix(" ").rstrip() for line in framed(text).split("\n")]
    assert [line.rstrip() for line in all_lines(text, 10_000)] == expected


def test_tabs_reach_the_next_stop_in_cells() -> None:
    """Every eighth column, wide characters counted; at the edge of the screen a tab ends the line."""
    assert all_lines("a\tb中\tc\n\t\td", 40) == ["a" + " " * 7 + "b中" + " " * 5 + "c", " " * 16 + "d"]
    assert all_lines("x" * 18 + "\ty", 20) == ["x" * 18, "y"]


@given(ANY, st.integers(18, 30), st.integers(0, 30), st.integers(0, 8))
def test_any_piece_is_the_same_piece(text: str, columns: int, start: int, count: int) -> None:
    """Wherever somebody looks first, it is what stands there in the whole."""
    assert RawLines(text * 20, columns).take(start, count) == RawLines(text * 20, columns).take(0, 999)[
        start : start + count
    ]


def test_the_total_is_known_at_the_end_only() -> None:
    """Before the last line was laid out nobody knows how many there are."""
    lines = RawLines("x\n" * 200, 20)
    line: Line = (("x", ""),)
    looks = [(lines.take(start, count), lines.total) for start, count in ((100, 5), (198, 9), (999, 1))]
    assert looks == [([line] * 5, None), ([line, line, ()], 201), ([], 201)]
    assert lines.take(0, 0) == []


def test_what_is_made_safe_by_longer_text_is_wrapped_by_it() -> None:
    """A character that becomes an escape counts as many columns as the escape has."""

    def escaped(text: str) -> str:
        return text.encode("ascii", "backslashreplace").decode()

    lines = RawLines("👨‍👩‍👧" * 2 + "a\tb", 20, safe=escaped)
    assert [plain(line) for line in lines.take(0, 9)] == [
        "\\U0001f468\\u200d", "\\U0001f469\\u200d", "\\U0001f467\\U0001f468", "\\u200d\\U0001f469",
        "\\u200d\\U0001f467a", "b",
    ]  # fmt: skip
    assert all_lines("\u0600" * 30, 20) == ["\u0600" * 20, "\u0600" * 10]


@pytest.mark.parametrize(
    "text",
    ["x" * (10 << 20), "中文, " * (1 << 20), "\n" * (10 << 20), "some text\r\n" * 800_000, "e" + "\u0301" * 1_000_000],
    ids=["one line", "Chinese", "empty lines", "lines", "marks"],
)
def test_the_first_screen_of_a_large_text_costs_little(text: str) -> None:
    """Ten megabytes: neither the first lines nor later ones take half a megabyte."""
    tracemalloc.start()
    try:
        lines = RawLines(text, 78)
        assert len(lines.take(0, 40)) == 40
        assert tracemalloc.get_traced_memory()[1] < 500_000
        lines.take(2_000, 1)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_an_iterator_is_read_no_further_than_asked() -> None:
    """One line more than is shown, to know whether it was the last; the end is found once."""
    read: list[int] = []

    def endless() -> Iterator[Line]:
        for number in range(5):
            read.append(number)
            yield ((str(number), ""),)

    lines = LazyLines(endless())
    assert lines.take(0, 2) == [(("0", ""),), (("1", ""),)]
    assert (read, lines.total) == ([0, 1, 2], None)
    assert lines.take(1, 1) == [(("1", ""),)]
    assert len(lines.take(3, 9)) == 2
    assert lines.total == 5
    assert lines.take(9, 1) == []

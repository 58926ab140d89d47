"""The box to edit in, on an input that is a pipe."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from utils.query_box import QueryBox
from utils.query_desk import MOST_CHARACTERS, MOST_IN_A_LINE, BoxEnd, BoxResult, fits_box


class Screen(DummyOutput):
    """An output of 80 columns that keeps what was written."""

    def __init__(self) -> None:
        self.written = ""

    def get_size(self) -> Size:
        return Size(rows=24, columns=80)

    def write(self, data: str) -> None:
        self.written += data


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe:
        yield pipe


def box(keys: PipeInput, screen: Screen | None = None) -> QueryBox:
    return QueryBox(keys=keys, screen=screen or Screen(), status=lambda text: f"{len(text.split())} 個", colour=False)


@pytest.mark.parametrize("last", ["\x04", "\x1b\r", "\x1bOQ"])
def test_ways_to_finish(keys: PipeInput, last: str) -> None:
    """Enter and Ctrl-J begin lines; Ctrl-D, Esc Enter and F2 hand the text in."""
    keys.send_text(f"甲\r\n乙{last}")
    assert box(keys).edit("丙") == BoxResult(BoxEnd.FINISHED, "甲\n\n乙丙")


def test_where_the_cursor_begins(keys: PipeInput) -> None:
    """At the beginning, or at the end where the person goes on writing."""
    keys.send_text("甲\x04")
    assert box(keys).edit("丙", at_end=True).text == "丙甲"


@pytest.mark.parametrize(("key", "end"), [("\x03", BoxEnd.GIVEN_UP), ("\x0f", BoxEnd.OUTSIDE)])
def test_other_ways_out(keys: PipeInput, key: str, end: BoxEnd) -> None:
    """Ctrl-C gives up, Ctrl-O asks for the other editor, both with the text as it is."""
    keys.send_text(f"甲{key}")
    assert box(keys).edit("丙") == BoxResult(end, "甲丙")


@pytest.mark.parametrize(
    ("note", "shown", "hidden"),
    [("編輯器壞了", "編輯器壞了", "2 個"), ("", "2 個 · Ctrl-D 完成 · Ctrl-C 放棄修改", "壞了")],
)
def test_the_last_line_counts_or_tells(keys: PipeInput, note: str, shown: str, hidden: str) -> None:
    """A note where there is one, else what status says of the text, and the keys."""
    screen = Screen()
    keys.send_text("\x04")
    box(keys, screen).edit("甲 乙", note=note)
    assert shown in screen.written
    assert hidden not in screen.written


def test_a_paste_is_taken_where_it_fits(keys: PipeInput) -> None:
    """Line ends in a paste are lines; one that is too large leaves the text as it was and says so."""
    keys.send_text("\x1b[200~甲\n乙\x1b[201~\x04")
    assert box(keys).edit("丙").text == "甲\n乙丙"
    screen = Screen()
    keys.send_text("\x1b[200~" + "x" * (MOST_IN_A_LINE + 1) + "\x1b[201~\x04")
    assert box(keys, screen).edit("丙").text == "丙"


def test_what_fits() -> None:
    """A text of a million characters in lines of twenty thousand, no more."""
    assert fits_box("x\n" * (MOST_CHARACTERS // 2))
    assert not fits_box("x\n" * (MOST_CHARACTERS // 2 + 1))
    assert fits_box("x" * MOST_IN_A_LINE)
    assert not fits_box("x" * (MOST_IN_A_LINE + 1))


def test_large_texts_are_counted_by_their_lines(keys: PipeInput) -> None:
    """Above the bound a key within a line does not count the questions again."""
    counted: list[int] = []

    def count(shown: str) -> str:
        counted.append(len(shown))
        return ""

    text = "長" * 100 + "\n"
    large = QueryBox(keys=keys, screen=Screen(), status=count, colour=True)
    keys.send_text("a\x04")
    large.edit(text * 2000)
    assert len(counted) == 1

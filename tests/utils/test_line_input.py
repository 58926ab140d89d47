"""Entries become query sets; pastes never become commands."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.line_input import Entry, Pasted, PipeReader, QuerySet, Typed, collect_queries, entry_of


def scripted(*entries: Entry) -> Callable[[int], Entry]:
    """A reader that hands out these entries and then the end of the input."""
    rest = list(entries)

    def read(number: int) -> Entry:
        if not rest:
            raise EOFError
        return rest.pop(0)

    return read


def pipe(data: bytes, notes: list[str] | None = None, size: int = 7) -> PipeReader:
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    return PipeReader(lambda: chunks.pop(0) if chunks else b"", note=([] if notes is None else notes).append)


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("5", Typed("5")),
        ("", Typed("")),
        ("5\n", Typed("5")),
        ("\n \n", Typed("")),
        ("5\n6", Pasted(("5", "6"))),
        ("a\r\n\r\nb\rc", Pasted(("a", "", "b", "c"))),
    ],
)
def test_several_filled_lines_are_a_paste(text: str, entry: Entry) -> None:
    """One line with something on it is typed; more are a paste with all its lines."""
    assert entry_of(text) == entry


def test_full_width_choices_count() -> None:
    """A choice typed with an input method on is the same choice."""
    assert Typed(" ６\u3000").choice == "6"


def test_a_set_ends_with_a_typed_empty_line() -> None:
    """Blank lines inside a paste are counted and end nothing; a typed one ends the set."""
    read = scripted(Typed("一"), Pasted(("二", "", "三", "5")), Typed(" 四 "), Typed(""), Typed("not read"))
    assert collect_queries(read, most=10) == QuerySet(("一", "二", "三", "5", "四"), blank=1)
    assert read(1) == Typed("not read")


def test_the_end_of_the_input_keeps_what_was_typed() -> None:
    """EOF in a query set hands in what there is."""
    assert collect_queries(scripted(Typed("a")), most=10) == QuerySet(("a",))


def test_ctrl_d_after_text_ends_the_set_with_it() -> None:
    """A line ended by Ctrl-D is the last one of the set, typed or pasted."""
    assert collect_queries(scripted(Typed("a", last=True), Typed("b")), most=10) == QuerySet(("a",))
    assert collect_queries(scripted(Pasted(("a", "b"), last=True), Typed("c")), most=10) == QuerySet(("a", "b"))


def test_too_many_are_counted_but_not_kept() -> None:
    """On a terminal the whole paste is read: how many were left out is known."""
    entries = scripted(Pasted(("a", "b", "c")), Typed("d"), Typed(""))
    assert collect_queries(entries, most=2) == QuerySet(("a", "b"), left_out=2)


def test_an_endless_pipe_is_left_after_the_most() -> None:
    """From a pipe no more than one line beyond the most is read, and then the input counts as ended."""
    served = 0

    def endless() -> bytes:
        nonlocal served
        served += 1
        return b"question\n"

    reader = PipeReader(endless, note=print)
    found = collect_queries(lambda number: reader.read(""), most=3, abandon=reader.abandon)
    assert found == QuerySet(("question",) * 3, left_out=None)
    assert served == 4
    with pytest.raises(EOFError):
        reader.read("")


def test_a_pipe_gives_one_line_at_a_time() -> None:
    """Each line is one entry; the last needs no line end; then EOFError, however often asked."""
    reader = pipe("2\n問題一\r\n\n6".encode())
    assert [reader.read("") for _ in range(4)] == [Typed("2"), Typed("問題一"), Typed(""), Typed("6")]
    for _ in range(2):
        with pytest.raises(EOFError):
            reader.read("")


def test_a_pipe_tells_of_undecodable_bytes_once_per_line() -> None:
    """The note comes when the line is read, with its own number."""
    notes: list[str] = []
    reader = pipe(b"ok\n\xff\n", notes)
    reader.read("")
    assert notes == []
    assert reader.read("") == Typed("�")
    assert notes == ["第 2 行有 1 個無法解碼的位元組, 已用 � 代替"]


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\r\n", codec="utf-8")), max_size=8))
def test_nothing_piped_is_lost(lines: list[str]) -> None:
    """Any lines come back in order, exactly."""
    reader = pipe("".join(f"{line}\n" for line in ["", *lines]).encode(), size=5)
    assert [reader.read("") for _ in range(len(lines) + 1)] == [Typed(line) for line in ["", *lines]]

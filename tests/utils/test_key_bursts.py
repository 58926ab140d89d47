"""Typing and pasting are told apart, with marks and without."""

from __future__ import annotations

import itertools
import os
import pty
import threading
import tty
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import FakeClock
from utils.key_bursts import GRACE_SECONDS, PASTE_END, PASTE_START, BurstReader, Keys, KeySorter, Paste, Token


def sort(*bursts: str) -> list[Token]:
    sorter = KeySorter()
    return [token for burst in bursts for token in sorter.sort(burst)]


@pytest.mark.parametrize(
    ("burst", "tokens"),
    [
        ("2", [Keys("2")]),
        ("2\r", [Keys("2\r")]),
        ("\n", [Keys("\r")]),
        ("\r\r\r", [Keys("\r")]),
        ("你好\r", [Keys("你好\r")]),
        ("\x1b[A", [Keys("\x1b[A")]),
        ("5\r6", [Paste("5\n6")]),
        ("q1\r\n\r\nq2\r\n", [Paste("q1\n\nq2\n")]),
        ("x" * 65 + "\r", [Paste("x" * 65), Keys("\r")]),
        ("x" * 65, [Paste("x" * 65)]),
        ("\x1b[A" * 30, [Keys("\x1b[A" * 30)]),
        ("", []),
        (f"{PASTE_START}5\r6\r{PASTE_END}", [Paste("5\n6\n")]),
        (f"a{PASTE_START}b{PASTE_END}", [Keys("a"), Paste("b")]),
        (f"{PASTE_START}x{PASTE_END}5\r", [Paste("x"), Paste("5\n")]),
        ("2\x03", [Keys("2"), Keys("\x03")]),
        ("q1\rq2\r\x04", [Paste("q1\nq2\n"), Keys("\x04")]),
        ("x\x035\r", [Keys("x"), Keys("\x03"), Paste("5\n")]),
        ("\x036\r", [Keys("\x03"), Keys("6\r")]),
    ],
)
def test_a_burst_is_sorted(burst: str, tokens: list[Token]) -> None:
    """Something after a line end makes a paste; what follows a paste in one burst belongs to it."""
    assert sort(burst) == tokens


def test_the_rest_of_a_paste_is_a_paste() -> None:
    """A burst that follows a paste at once is no typing, even if it looks like a menu choice."""
    assert KeySorter().sort("5\r", after_paste=True) == [Paste("5\n")]


def test_a_lost_end_mark_can_be_left_with_ctrl_c() -> None:
    """Ctrl-C alone gives back what was pasted so far, and cancels."""
    sorter = KeySorter()
    assert sorter.sort(f"{PASTE_START}abc\x1b[20") == []
    assert sorter.pasting
    assert sorter.flush() == []
    assert sorter.sort("\x03") == [Paste("abc\x1b[20"), Keys("\x03")]
    assert sorter.sort("x") == [Keys("x")]


def test_a_lone_escape_is_held_until_flushed() -> None:
    """The beginning of a mark waits for its rest; without one it was a key."""
    sorter = KeySorter()
    assert sorter.sort("\x1b") == []
    assert sorter.flush() == [Keys("\x1b")]
    assert sorter.flush() == []


@given(st.text(alphabet="ab\r\n\x1b[20~1中", max_size=30), st.lists(st.integers(0, 50), max_size=6))
def test_a_marked_paste_survives_any_cutting(body: str, cuts: list[int]) -> None:
    """However the bytes of a marked paste arrive, it is one paste with all of its text."""
    if PASTE_END in body or PASTE_START in body:
        return
    data = PASTE_START + body + PASTE_END
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    tokens = sort(*(data[a:b] for a, b in itertools.pairwise(edges)))
    assert tokens == [Paste(body.replace("\r\n", "\n").replace("\r", "\n"))]


@given(st.text(alphabet="ab56\r\x1b\x03\x04", max_size=30))
def test_no_burst_holds_two_commands(burst: str) -> None:
    """Of everything that arrives at once, at most one Enter is a key, and only at the end."""
    tokens = sort(burst)
    entered = [token for token in tokens if isinstance(token, Keys) and "\r" in token.text]
    assert len(entered) <= 1
    assert all(token.text.index("\r") == len(token.text) - 1 for token in entered)


@pytest.fixture
def wires() -> Iterator[tuple[int, int]]:
    """The person's end and the program's end of a raw pseudo-terminal."""
    person, program = pty.openpty()
    tty.setraw(program)
    yield person, program
    for descriptor in (person, program):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_a_reader_takes_what_is_there_as_one_burst(wires: tuple[int, int]) -> None:
    """Keys come as keys, several lines at once as a paste, undecodable bytes as counted �."""
    person, program = wires
    reader = BurstReader(program, encoding="ascii", clock=FakeClock())
    os.write(person, "６\r".encode())
    assert reader.read() == [Keys("６\r")]
    os.write(person, b"\xffx")
    assert reader.read() == [Keys("�x")]
    assert reader.replaced == 1
    os.write(person, b"\x1b[20")
    assert reader.read() == []
    assert reader.flush() == [Keys("\x1b[20")]


def test_what_comes_right_after_an_unmarked_paste_belongs_to_it(wires: tuple[int, int]) -> None:
    """Within the grace after a paste nothing is a command; after it, typing is typing again."""
    person, program = wires
    clock = FakeClock()
    reader = BurstReader(program, clock=clock)
    os.write(person, b"a\rb\r")
    assert reader.read() == [Paste("a\nb\n")]
    clock.advance(GRACE_SECONDS / 2)
    os.write(person, b"5\r")
    assert reader.read() == [Paste("5\n")]
    clock.advance(GRACE_SECONDS)
    os.write(person, b"5\r")
    assert reader.read() == [Keys("5\r")]


def test_a_marked_paste_says_itself_where_it_ends(wires: tuple[int, int]) -> None:
    """After a marked paste the next burst is typing at once."""
    person, program = wires
    reader = BurstReader(program, clock=FakeClock())
    os.write(person, f"{PASTE_START}a\rb{PASTE_END}".encode())
    assert reader.read() == [Paste("a\nb")]
    os.write(person, b"\r")
    assert reader.read() == [Keys("\r")]


def test_a_marked_paste_in_pieces_is_put_together(wires: tuple[int, int]) -> None:
    """Between the marks nothing is waited for and nothing is handed out."""
    person, program = wires
    reader = BurstReader(program, clock=FakeClock())
    os.write(person, PASTE_START.encode() + b"a\r")
    assert reader.read() == []
    os.write(person, b"b\r")
    assert reader.read() == []
    os.write(person, PASTE_END.encode())
    assert reader.read() == [Paste("a\nb\n")]


def test_a_long_burst_arrives_whole(wires: tuple[int, int]) -> None:
    """Far more than one read's worth is still one burst, nothing cut."""
    person, program = wires
    reader = BurstReader(program, clock=FakeClock())
    data = "".join(f"line {number}\r" for number in range(5000))
    threading.Thread(target=lambda: os.write(person, data.encode()), daemon=True).start()
    tokens: list[Token] = []
    while sum(len(token.text) for token in tokens) < len(data):
        tokens += reader.read()
    assert all(isinstance(token, Paste) for token in tokens)
    assert "".join(token.text for token in tokens) == data.replace("\r", "\n")


def test_a_terminal_that_goes_away_is_noticed(wires: tuple[int, int]) -> None:
    """A hung-up terminal gives no tokens and says that it is closed."""
    person, program = wires
    reader = BurstReader(program)
    os.close(person)
    assert reader.read() == []
    assert reader.closed
    os.close(program)
    assert reader.read() == []
    assert reader.closed

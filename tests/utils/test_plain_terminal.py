"""Terminals without a drawing cursor, and the edges of those with one, on a pseudo-terminal inside the test."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import select
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from prompt_toolkit.keys import Keys as KeyNames

from utils.console import Console
from utils.key_bursts import PASTE_END, PASTE_START
from utils.line_input import QuerySet, Typed
from utils.paste_shelf import PasteShelf
from utils.plain_terminal import PlainTerminal, raw_keyboard
from utils.terminal_prompt import _BurstInput, _ShelvedHistory


class Wires:
    """A person's end of a pseudo-terminal, and the program's end as the streams a process has."""

    def __init__(self) -> None:
        self.person, program = pty.openpty()
        self.stdin: TextIO = os.fdopen(program, encoding="utf-8")
        self.stdout: TextIO = os.fdopen(os.dup(program), "w", encoding="utf-8")
        self.notes: list[str] = []

    def script(self, *steps: tuple[str, bytes]) -> None:
        """In a thread: send each step's keys once its text has been shown; no keys hang the terminal up."""
        threading.Thread(target=self._act, args=(steps,), daemon=True).start()

    def _act(self, steps: tuple[tuple[str, bytes], ...]) -> None:
        shown = ""
        for awaited, keys in steps:
            while awaited not in shown:
                shown += os.read(self.person, 4096).decode("utf-8", "replace")
            shown = shown.partition(awaited)[2]
            if keys:
                os.write(self.person, keys)
            else:
                os.close(self.person)

    def echo(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may have gone, as a console takes it
            os.write(self.stdout.fileno(), text.encode())

    def close(self) -> None:
        for stream in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        with contextlib.suppress(OSError):  # a test may have hung up
            os.close(self.person)


@pytest.fixture
def wires() -> Iterator[Wires]:
    made = Wires()
    yield made
    made.close()


@pytest.fixture
def plain(wires: Wires) -> Iterator[PlainTerminal]:
    with raw_keyboard(wires.stdin.fileno(), signals=True):  # as the console does around the whole program
        yield PlainTerminal(wires.stdin, echo=wires.echo, note=wires.notes.append)


def test_what_was_typed_before_a_hang_up_is_handed_in(wires: Wires, plain: PlainTerminal) -> None:
    """A terminal that goes away in mid-line ends the entry with it; after that it is the end of the input."""
    wires.echo("? ")
    wires.script(("? ", b"half"), ("half", b""))
    assert plain.read("? ") == Typed("half", last=True)
    with pytest.raises(EOFError):
        plain.read("? ")


def test_a_reader_without_a_terminal_is_at_its_end(wires: Wires, plain: PlainTerminal) -> None:
    """Reading from a descriptor that cannot be read is the end of the input."""
    os.close(wires.person)
    with pytest.raises(EOFError):
        plain.read("? ")


def test_a_pasted_book_is_echoed_as_a_label(wires: Wires, plain: PlainTerminal) -> None:
    """A long paste shows its size, is deleted as one, and otherwise comes back whole."""
    wires.echo("? ")
    wires.script(("? ", b"x" * 3000), ("3,000", b"\x7fy"), ("y", b"\r"))
    assert plain.read("? ") == Typed("y")
    wires.echo("? ")
    wires.script(("? ", b"z" * 3000), ("3,000", b"\r"))
    assert plain.read("? ") == Typed("z" * 3000)


def test_ctrl_d_after_text_means_nothing_at_the_menu(wires: Wires, plain: PlainTerminal) -> None:
    """Only an empty line is ended by Ctrl-D there."""
    wires.echo("? ")
    wires.script(("? ", b"6"), ("6", b"\x047"), ("7", b"\r"))
    assert plain.read("? ") == Typed("67")


def test_too_many_pasted_questions_are_told(wires: Wires) -> None:
    """On a terminal the number of questions left out is known and said."""
    stderr = io.StringIO()
    console = Console(stdin=wires.stdin, stdout=wires.stdout, stderr=stderr, environ={"TERM": "dumb"})
    with console:
        wires.script(("1> ", f"{PASTE_START}a\rb\rc{PASTE_END}".encode()), ("c", b"\r"), ("3> ", b"\r"))
        assert console.ask_lines("?", most=2) == QuerySet(("a", "b"), left_out=1)
    assert stderr.getvalue() == "一次最多 2 個問題, 後面的 1 個沒有採用\n"


def test_keys_without_a_screen_are_not_echoed(wires: Wires) -> None:
    """With neither stdout nor stderr on a terminal, typing works unseen."""
    console = Console(stdin=wires.stdin, stdout=io.StringIO(), stderr=io.StringIO(), environ={"TERM": "xterm"})
    os.write(wires.person, b"5\r")
    assert console.ask("? ") == "5"


def test_the_keyboard_is_given_back(wires: Wires) -> None:
    """Echo and line editing are off inside, Ctrl-C on if asked, and all is as before afterwards."""
    fd = wires.stdin.fileno()
    before = termios.tcgetattr(fd)
    for signals in (True, False):
        with raw_keyboard(fd, signals=signals):
            flags = termios.tcgetattr(fd)[3]
            assert not flags & (termios.ECHO | termios.ICANON)
            assert bool(flags & termios.ISIG) is signals
        assert termios.tcgetattr(fd) == before


def test_a_keyboard_that_has_gone_is_left_alone(tmp_path: Path) -> None:
    """What is no terminal any more has no modes to set, and that is no error."""
    with (tmp_path / "file").open("w") as file, raw_keyboard(file.fileno(), signals=True):
        assert not os.isatty(file.fileno())


def test_typed_ahead_can_be_forgotten(wires: Wires) -> None:
    """What was typed while nobody asked is gone after discard_typed()."""
    console = Console(stdin=wires.stdin, stdout=wires.stdout, environ={"TERM": "dumb"})
    with console:
        os.write(wires.person, b"5\r")
        select.select([wires.stdin], [], [], 10)
        console.discard_typed()
        wires.script(("? ", b"6\r"))
        assert console.ask("? ") == "6"


def test_the_width_is_the_terminal_s(wires: Wires) -> None:
    """A terminal's own size wins; one that does not know its size leaves it to the environment."""
    console = Console(stdout=wires.stdout, environ={"COLUMNS": "50"})
    termios.tcsetwinsize(wires.person, (24, 33))
    assert console.width == 33
    termios.tcsetwinsize(wires.person, (0, 0))
    assert console.width == 50


def test_the_escape_key_is_a_key_once_nothing_follows(wires: Wires) -> None:
    """A lone ESC is held in case it begins a paste, and handed out when prompt_toolkit asks for what is left."""
    keys = _BurstInput(wires.stdin)
    with raw_keyboard(wires.stdin.fileno(), signals=False):
        os.write(wires.person, b"\x1b")
        assert keys.read_keys() == []
        assert [press.key for press in keys.flush_keys()] == [KeyNames.Escape]


def test_a_session_without_a_history_file_still_recalls() -> None:
    """With the history off, entries live for the session."""
    history = _ShelvedHistory(None, PasteShelf())
    history.append_string("a")
    assert history.get_strings() == ["a"]
    assert list(history.load_history_strings()) == []

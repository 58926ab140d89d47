"""The keyboard of a run: who has one, and what the terminal is told meanwhile."""

from __future__ import annotations

import contextlib
import os
import pty
from collections.abc import Iterator
from typing import TextIO

import pytest

from utils.console import Console
from utils.run_keyboard import keys_for, listening
from utils.run_keys import RunControls, RunKeys

MARKS_ON, MARKS_OFF = "\x1b[?2004h", "\x1b[?2004l"


class Terminal:
    """A pseudo-terminal with a console on it."""

    def __init__(self) -> None:
        self.far, near = pty.openpty()
        os.set_blocking(self.far, False)
        self._stdin: TextIO = os.fdopen(os.dup(near), "r")
        self.stdout: TextIO = os.fdopen(near, "w")
        self.console = Console(
            stdin=self._stdin, stdout=self.stdout, environ={"TERM": "xterm"}, history_path=None
        )
        self.resized: list[int] = []

    def keys(self) -> RunKeys | None:
        controls = RunControls(
            pause=int, resume=int, is_paused=lambda: False, workers=lambda: 5, resize=self.resized.append,
            cancel_task=lambda task_id: False, stop=int,
        )  # fmt: skip
        return keys_for(self.console, controls, say=str, changed=int)

    def written(self) -> str:
        """What has come since the last time."""
        try:
            return os.read(self.far, 1000).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        self._stdin.close()
        self.stdout.close()
        os.close(self.far)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def test_pastes_are_marked_while_the_keys_are_the_runs(terminal: Terminal) -> None:
    """However it ends; and what the keys changed is put back."""
    keys = terminal.keys()
    assert keys is not None
    interrupted = KeyboardInterrupt()
    with contextlib.suppress(KeyboardInterrupt), listening(terminal.console, keys):
        assert terminal.written() == MARKS_ON
        keys.press("+")
        raise interrupted
    assert terminal.written() == MARKS_OFF
    assert terminal.resized == [6, 5]


def test_without_keys_nothing_is_written(terminal: Terminal) -> None:
    """The keyboard stays whose it was."""
    assert keys_for(terminal.console, None, say=str, changed=int) is None
    with listening(terminal.console, None):
        pass
    assert terminal.written() == ""


def test_an_output_that_closes_does_not_end_the_run(terminal: Terminal) -> None:
    """Nor does it keep the keys from being given back."""
    keys = terminal.keys()
    assert keys is not None
    with listening(terminal.console, keys):
        keys.press("+")
        terminal.written()
        terminal.stdout.close()
    assert terminal.resized == [6, 5]

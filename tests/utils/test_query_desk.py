"""The desk goes from the box to the person's own editor and back, and loses no text on the way."""

from __future__ import annotations

import io
import os
import pty
import tempfile
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from core.errors import UsageError
from utils.output_stream import OutputClosed, OutputStream
from utils.plain_terminal import raw_keyboard
from utils.query_box import QueryBox
from utils.query_desk import MOST_IN_A_LINE, BoxEnd, BoxResult, QueryDesk
from utils.terminal_prompt import TerminalPrompt


class Box:
    """A box that is left as scripted, and remembers what it was opened with."""

    def __init__(self, *results: BoxResult | Exception) -> None:
        self.results = list(results)
        self.opened: list[tuple[str, str]] = []
        self.kept: list[str] = []
        self.status: Callable[[str], str] = str

    def edit(self, text: str, *, at_end: bool, note: str) -> BoxResult:
        self.opened.append((text, note))
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def box(self, status: Callable[[str], str], *, colour: bool) -> QueryBox:
        self.status = status
        return cast(QueryBox, self)

    def remember(self, text: str) -> None:
        self.kept.append(text)


@pytest.fixture
def keyboard() -> Iterator[int]:
    """The program's side of a terminal, raw as during the program."""
    far, near = pty.openpty()
    with raw_keyboard(near, signals=True):
        yield near
    os.close(near)
    os.close(far)


def desk(box: Box, keyboard: int, editor: str = "true", screen: io.StringIO | None = None) -> QueryDesk:
    environ = {"EDITOR": editor, "PATH": os.environ["PATH"]}
    out = OutputStream(lambda: screen or io.StringIO())
    return QueryDesk(cast(TerminalPrompt, box), out, environ, keyboard_fd=keyboard, colour=False)


def test_the_box_alone(keyboard: int) -> None:
    """Finished is the text, given up is None; what is too large is not opened at all."""
    box = Box(BoxResult(BoxEnd.FINISHED, "乙"), BoxResult(BoxEnd.GIVEN_UP, "丙"))
    assert desk(box, keyboard).edit("甲", str) == "乙"
    assert desk(box, keyboard).edit("甲", lambda text: "✅" + text) is None
    assert box.status("x") == "✅x"
    with pytest.raises(UsageError, match="文字太大"):
        desk(box, keyboard).edit("x" * (MOST_IN_A_LINE + 1), str)
    assert box.opened == [("甲", ""), ("甲", "")]


def test_to_the_own_editor_and_back(keyboard: int, tmp_path: Path) -> None:
    """The text goes from box to editor to box; the editor has a terminal that echoes, and we have ours after it."""
    script = tmp_path / "editor"
    script.write_text(f'#!/bin/sh\nstty -a < {os.ttyname(keyboard)} > {tmp_path}/modes\necho 丁 >> "$1"\n')
    script.chmod(0o700)
    box = Box(BoxResult(BoxEnd.OUTSIDE, "丙"), BoxResult(BoxEnd.FINISHED, "戊"))
    assert desk(box, keyboard, str(script)).edit("甲", str) == "戊"
    assert box.opened == [("甲", ""), ("丙\n丁", "")]
    modes = (tmp_path / "modes").read_text().split()
    assert {"echo", "icanon", "isig"} <= {mode.rstrip(";") for mode in modes}
    assert not termios.tcgetattr(keyboard)[3] & termios.ICANON


def test_an_editor_that_fails_is_noted_in_the_box(keyboard: int) -> None:
    """The box opens again with its text and one sentence."""
    box = Box(BoxResult(BoxEnd.OUTSIDE, "丙"), BoxResult(BoxEnd.FINISHED, "丙"))
    assert desk(box, keyboard, "false").edit("甲", str) == "丙"
    assert box.opened[1][0] == "丙"
    assert "沒有正常結束 (1)" in box.opened[1][1]


def test_what_the_editor_left_is_kept_where_it_is_too_much(
    keyboard: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The box opens again with its text; the screen keeps a line that names the file, which the box may cut."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = tmp_path / "editor"
    script.write_text(f'#!/bin/sh\nhead -c {MOST_IN_A_LINE + 1} /dev/zero | tr "\\0" x > "$1"\n')
    script.chmod(0o700)
    box, out = Box(BoxResult(BoxEnd.OUTSIDE, "丙"), BoxResult(BoxEnd.FINISHED, "丙")), io.StringIO()
    assert desk(box, keyboard, str(script), out).edit("甲", str) == "丙"
    (path,) = tmp_path.glob("questions-*/*")
    assert path.read_text() == "x" * (MOST_IN_A_LINE + 1)
    assert box.opened[1][0] == "丙"
    assert str(path) in box.opened[1][1]
    assert out.getvalue() == f"⚠️ {box.opened[1][1]}\n"


def test_what_is_remembered(keyboard: int) -> None:
    """The history is the prompt's."""
    box = Box()
    desk(box, keyboard).remember("甲")
    assert box.kept == ["甲"]


def test_a_closed_output_is_told_as_such(keyboard: int) -> None:
    """A broken pipe below the box is OutputClosed, as everywhere."""
    with pytest.raises(OutputClosed):
        desk(Box(BrokenPipeError()), keyboard).edit("甲", str)

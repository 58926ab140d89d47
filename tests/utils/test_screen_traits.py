"""What the screen can do: the stream, the environment and the person's word decide, in a fixed order."""

from __future__ import annotations

import io

import pytest

from utils.console import Console


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


XTERM = {"TERM": "xterm"}


@pytest.mark.parametrize(
    ("environ", "colour", "expected"),
    [
        (XTERM, None, True),
        (XTERM | {"NO_COLOR": "1"}, None, False),
        (XTERM | {"NO_COLOR": ""}, None, True),
        (XTERM | {"NO_COLOR": "1", "FORCE_COLOR": "1"}, None, False),
        (XTERM | {"NO_COLOR": "1"}, True, True),
        (XTERM | {"FORCE_COLOR": "1"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, None, False),
        ({"FORCE_COLOR": "1"}, None, True),
        ({"FORCE_COLOR": "0"}, None, False),
    ],
)
def test_colour_on_a_terminal(environ: dict[str, str], colour: bool | None, expected: bool) -> None:
    """The person's word first, then NO_COLOR, then FORCE_COLOR, then the terminal; a dumb one never has any."""
    assert Console(stdout=Terminal(), environ=environ, colour=colour).has_colour is expected


def test_colour_in_a_pipe() -> None:
    """A pipe has colour where it is forced, and is never drawn on."""
    forced = Console(stdout=io.StringIO(), environ=XTERM | {"FORCE_COLOR": "1"})
    assert (forced.has_colour, forced.draws) == (True, False)
    assert not Console(stdout=io.StringIO(), environ=XTERM).has_colour


def test_a_plain_screen() -> None:
    """For a screen reader nothing is drawn or coloured, our symbols are words or ASCII, and Chinese stays."""
    out = Terminal()
    console = Console(stdout=out, environ=XTERM | {"FORCE_COLOR": "1"}, plain=True)
    assert (console.is_plain, console.draws, console.has_colour, console.is_unicode) == (True, False, False, False)
    console.write_line("✅ 完成（三題）: │ ⚠️ 慢 📐 預估 → 「é」 👍")
    assert out.getvalue() == "[OK] 完成（三題）: | [!] 慢 ~ 預估 -> 「é」 👍\n"
    assert not Console(stdout=out, environ=XTERM).is_plain


def test_data_stays_exact_on_a_plain_screen() -> None:
    """JSON keeps its characters: what would be replaced is escaped."""
    out = io.StringIO()
    Console(stdout=out, environ={}, plain=True).write_data({"a": "✅"})
    assert out.getvalue() == '{"a": "\\u2705"}\n'


def test_rows_and_columns_without_a_terminal() -> None:
    """COLUMNS or 80; what is narrower than 20 counts as 20."""
    assert Console(stdout=io.StringIO(), environ={"COLUMNS": "7"}).width == 20
    assert Console(stdout=io.StringIO(), environ={}).width == 80

"""The prompts in a real terminal: what is typed, pasted and interrupted."""

from __future__ import annotations

import json
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal.session import Session, terminal

PROGRAM = ("-m", "tests.terminal.echo_program")
MENU = "選擇:"


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.jsonl"


@pytest.fixture(params=["xterm-256color", "dumb"])
def session(request: pytest.FixtureRequest, history: Path) -> Iterator[Session]:
    """The program at its menu, on a terminal that can draw and on one that cannot."""
    with terminal(*PROGRAM, str(history), environ={"TERM": request.param}) as started:
        started.wait_for_prompt(MENU)
        yield started


@pytest.fixture
def drawing(history: Path) -> Iterator[Session]:
    """The program at its menu, on a terminal that can draw."""
    with terminal(*PROGRAM, str(history)) as started:
        started.wait_for_prompt(MENU)
        yield started


def test_a_choice_is_typed(session: Session) -> None:
    """A digit and Enter are one command, full-width too."""
    session.enter("２")
    session.expect("COMMAND '2' 1")
    session.wait_for_prompt(MENU)
    session.enter("6")
    session.expect("LEFT")
    assert session.wait_for_exit() == 0


@pytest.mark.parametrize("marked", [True, False])
def test_a_paste_at_the_menu_is_no_command(session: Session, marked: bool) -> None:
    """Several lines pasted at the menu come back as a paste, marked by the terminal or not."""
    if marked:
        session.paste("5\n6\n")
    else:
        session.flood("5\r6\r")
    assert "LEFT" not in session.text
    session.enter()
    session.expect("PASTED")
    session.wait_for_prompt(MENU)
    session.enter("6")
    session.expect("LEFT")
    assert "COMMAND" not in session.text


@pytest.mark.parametrize("marked", [True, False])
def test_blank_lines_in_a_paste_end_nothing(session: Session, marked: bool) -> None:
    """A paste with blank lines and digits is all questions; a typed empty line ends the set."""
    session.enter("q")
    session.wait_for_prompt("1>")
    if marked:
        session.paste("一\n\n二\n5\n6\n")
    else:
        session.flood("一\r\r二\r5\r6\r")
    session.enter()
    session.wait_for_prompt("5>")
    session.enter("三")
    session.wait_for_prompt("6>")
    session.enter()
    session.expect(f"SET 5 blank 1 {('一', '二', '5', '6', '三')!a}")
    session.wait_for_prompt(MENU)
    assert "COMMAND" not in session.text


@pytest.mark.parametrize("length", [4095, 4096, 4097, 20_003, 1_000_000])
def test_a_line_of_any_length_arrives_whole(session: Session, length: int) -> None:
    """Nothing is cut at the terminal's 4,095 bytes or anywhere else."""
    session.enter("x" * length)
    session.expect(f" {length}")


def test_a_hundred_thousand_pasted_lines(drawing: Session) -> None:
    """A huge paste is one label on the screen and all of it in the set."""
    drawing.enter("q")
    drawing.wait_for_prompt("1>")
    drawing.paste("".join(f"question {number}\n" for number in range(100_000)))
    drawing.expect_on_screen("〔貼上 100,000 行")
    drawing.enter()
    drawing.wait_for_prompt("100,001>")
    drawing.enter()
    drawing.expect("SET 100000 blank 0 characters 1388890 end 'on 99999'")
    assert len(drawing.output) < 20_000


def test_ctrl_c_at_the_menu_interrupts(session: Session) -> None:
    """Ctrl-C at the menu is told to the program, which goes on."""
    session.interrupt()
    session.expect("INTERRUPTED")
    session.wait_for_prompt(MENU)


def test_ctrl_c_in_a_query_set_cancels_the_entry_only(drawing: Session, history: Path) -> None:
    """What was typed is one arrow key away, and in the history file of the next session."""
    drawing.enter("q")
    drawing.wait_for_prompt("1>")
    drawing.enter("第一個")
    drawing.wait_for_prompt("2>")
    drawing.send("打到一半")
    drawing.expect_on_screen("打到一半")
    drawing.interrupt()
    drawing.expect("CANCELLED")
    drawing.wait_for_prompt(MENU)
    drawing.enter("q")
    drawing.wait_for_prompt("1>")
    drawing.send("\x1b[A")
    drawing.expect_on_screen("1> 打到一半")
    drawing.enter()
    drawing.wait_for_prompt("2>")
    drawing.enter()
    drawing.expect("SET 1")
    assert [json.loads(line) for line in history.read_text().splitlines()] == ["第一個", "打到一半"]
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert stat.S_IMODE(history.parent.stat().st_mode) == 0o700


def test_history_of_an_earlier_session(history: Path) -> None:
    """The arrow key brings back what an earlier session asked, long pastes as a label."""
    history.parent.mkdir()
    history.write_text(json.dumps("很久以前") + "\n" + json.dumps("x\n" * 50) + "\n")
    with terminal(*PROGRAM, str(history)) as session:
        session.wait_for_prompt(MENU)
        session.enter("q")
        session.wait_for_prompt("1>")
        session.send("\x1b[A")
        session.expect_on_screen("〔貼上 50 行, 100 字〕")
        session.send("\x1b[A")
        session.expect_on_screen("1> 很久以前")


def test_a_history_that_cannot_be_kept_is_told_once(tmp_path: Path) -> None:
    """One note, and the questions are answered all the same."""
    (tmp_path / "file").touch()
    with terminal(*PROGRAM, str(tmp_path / "file" / "h.jsonl")) as session:
        session.wait_for_prompt(MENU)
        session.enter("q")
        for number in (1, 2):
            session.wait_for_prompt(f"{number}>")
            session.enter(f"問題{number}")
        session.wait_for_prompt("3>")
        session.enter()
        session.expect("SET 2")
    assert session.text.count("輸入歷史無法存取") == 1


def test_ctrl_d_at_the_menu_says_goodbye(session: Session) -> None:
    """The end of the input at the menu is EOFError."""
    session.send("\x04")
    session.expect("GOODBYE")
    assert session.wait_for_exit() == 0


@pytest.mark.parametrize("half", ["", "問到一半"])
def test_ctrl_d_in_a_query_set_runs_what_was_typed(session: Session, half: str) -> None:
    """Ctrl-D hands in the set, with the line under the cursor."""
    session.enter("q")
    session.wait_for_prompt("1>")
    session.enter("a")
    session.wait_for_prompt("2>")
    session.send(half)
    session.wait_until(lambda: half in session.display, "the half line")
    session.send("\x04")
    session.expect(f"SET {2 if half else 1}")


def test_a_single_line_question_takes_no_paste(drawing: Session) -> None:
    """Where one line is asked for, several are refused with a sentence and the question comes again."""
    drawing.enter("a")
    drawing.wait_for_prompt("一行:")
    drawing.paste("x\ny")
    drawing.enter()
    drawing.expect("貼上的 2 行沒有採用")
    drawing.wait_for_prompt("一行:")
    drawing.enter("好")
    drawing.expect(f"LINE {'好'!r}")


def test_keys_typed_during_start_up_are_kept_and_shown_once(history: Path) -> None:
    """What is typed before the first prompt answers it, and is not echoed by the terminal as well."""
    code = (
        "import sys\nfrom utils.console import Console\n"
        "with Console(history_path=None) as console:\n"
        "    console.write_line('READY')\n"
        "    sys.stdin.buffer.raw.fileno()\n"
        "    import select; select.select([0], [], [], 20)\n"
        "    print('GOT', repr(console.ask('? ')))\n"
    )
    with terminal("-c", code) as session:
        session.expect("READY")
        session.send("hello\r")
        session.expect("GOT 'hello'")
        session.wait_for_exit()
    assert session.display.splitlines() == ["READY", "? hello", "GOT 'hello'"]


def test_the_terminal_is_given_back_as_it_was(history: Path) -> None:
    """After the program, by whatever way out, the terminal echoes and edits lines again."""
    code = (
        "import subprocess, sys\n"
        "before = subprocess.check_output(['stty', '-a'])\n"
        "code = subprocess.call([sys.executable, '-m', 'tests.terminal.echo_program'])\n"
        "print('SAME' if subprocess.check_output(['stty', '-a']) == before else 'CHANGED', code)\n"
    )
    with terminal("-c", code) as session:
        session.wait_for_prompt(MENU)
        session.enter("6")
        session.expect("SAME 0")


def test_bytes_that_are_no_text_are_told(session: Session) -> None:
    """Invalid bytes typed into the terminal become � with a note."""
    session.send(b"a\xffb\r")
    session.expect("1 個無法解碼的位元組")
    session.expect("COMMAND 'a\\ufffdb' 3")


def test_typing_can_be_corrected(session: Session) -> None:
    """Backspace and Ctrl-U work, wide characters included; other control keys do nothing."""
    session.send("中x\x7f\x7f\x7f")
    session.send("ab\x15")
    session.send("\x1b[D\x07c\r")
    session.expect("COMMAND 'c' 1")


def test_a_twenty_column_terminal(history: Path) -> None:
    """The prompts work in a very narrow window."""
    with terminal(*PROGRAM, str(history), columns=20) as session:
        session.wait_for_prompt(MENU)
        session.enter("1")
        session.expect("COMMAND '1'")


def test_a_screen_that_is_a_pipe(tmp_path: Path) -> None:
    """With stdout in a pipe the person still types, sees it on stderr, and the prompts go into the pipe."""
    code = (
        "import subprocess, sys\n"
        f"out = open({str(tmp_path / 'out')!r}, 'wb')\n"
        "raise SystemExit(subprocess.call([sys.executable, '-m', 'tests.terminal.echo_program'], stdout=out))\n"
    )
    with terminal("-c", code) as session:
        session.wait_until(lambda: "選擇: " in read(tmp_path / "out"), "the prompt")
        session.enter("3")
        session.wait_until(lambda: "COMMAND '3'" in read(tmp_path / "out"), "the command")
        session.enter("6")
        assert session.wait_for_exit() == 0
    assert "3" in session.display


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_hung_up_terminal_ends_the_program(session: Session) -> None:
    """A SIGINT from elsewhere is a Ctrl-C, and closing the terminal does not leave the program spinning."""
    if "xterm" in session.text or "\x1b" in session.text:
        session.kill(signal.SIGINT)
        session.expect("INTERRUPTED")
        session.wait_for_prompt(MENU)
    session.kill(signal.SIGHUP)
    assert session.wait_for_exit() == 128 + signal.SIGHUP

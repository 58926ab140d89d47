"""Query sets in a real terminal: pasted, looked at, edited, loaded, recalled."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal.menu import all_lines
from tests.terminal.session import Session, terminal
from utils.text_width import cell_width

PROGRAM = ("-m", "tests.terminal.query_program")
MENU = "選擇:"
ENDS = "q 取消:"
LIST = "1. 什麼是 並行\n2. 什麼是快取\n3. 什麼是  並行\n4. " + "很長的問題" * 30 + "\x1b[2J\n"


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


@pytest.fixture(params=[60, 80])
def session(request: pytest.FixtureRequest, history: Path, tmp_path: Path) -> Iterator[Session]:
    """The program where it asks for the first question; nothing on its screen may be wider than the terminal."""
    script = tmp_path / "editor.sh"
    script.write_text('#!/bin/sh\necho EDITOR-SEES; cat "$1"; read line; printf \'%s\\n\' "$line" >> "$1"\n')
    script.chmod(0o700)
    environ = {"EDITOR": str(script)}
    with terminal(*PROGRAM, str(history), environ=environ, columns=request.param, rows=30) as started:
        started.wait_for_prompt(MENU)
        started.enter("q")
        started.wait_for_prompt("1>")
        yield started
        assert all(cell_width(line) <= request.param for line in all_lines(started))
        assert "\x1b[2J" not in started.text


def paste_list(session: Session) -> None:
    session.paste(LIST)
    session.enter()
    session.wait_for_prompt("5>")
    session.enter()
    session.expect(ENDS)


def chosen(session: Session, history: Path, *, agreed: bool = True) -> object:
    """The questions that the program is to ask."""
    session.expect(f" {'AGREED' if agreed else 'UNASKED'}")
    return json.loads(history.with_name("chosen.json").read_text())


def open_box(session: Session) -> None:
    session.enter("e")
    session.expect("Ctrl-D 完成")


def test_a_numbered_paste_is_shown_and_runs(session: Session) -> None:
    """The preview says what was understood, s, n and d change it, and Enter runs it."""
    paste_list(session)
    assert "📋 4 個問題" in session.display
    assert "每行一題 · 編號已去掉 · 重複 1 個 · 已在快取 1 個" in session.display
    assert "│ 4. 很長的問題" in session.display
    session.enter("n")
    session.expect("編號保留")
    session.expect(ENDS)
    session.enter("n")
    session.expect("編號已去掉")
    session.expect(ENDS)
    session.enter("d")
    session.expect("重複的已去掉")
    session.expect(ENDS)
    session.enter("s")
    session.expect("📋 1 個問題")
    session.expect(ENDS)
    session.enter("s")
    session.expect("📋 3 個問題")
    session.expect(ENDS)
    session.enter("x")
    session.expect("無效的選擇")
    session.expect(ENDS)
    session.enter()
    session.expect("RUN 3 AGREED")
    session.wait_for_prompt(MENU)


def test_the_box_edits_what_was_pasted(session: Session, history: Path) -> None:
    """A line is changed, one added, the count follows, and nothing of the box stays on the screen."""
    session.paste("甲\n乙\n")
    session.enter()
    session.wait_for_prompt("3>")
    session.enter()
    session.expect(ENDS)
    before = session.display
    open_box(session)
    assert " 1 甲" in session.display
    assert "2 個問題 · Ctrl-D 完成" in session.display
    session.send("\x1b[B\x1b[F")
    session.send("中x\x7f!")
    session.expect_on_screen(" 2 乙中!")
    session.send("\r")
    session.expect_on_screen(" 3")
    session.send("丙")
    session.expect_on_screen("3 個問題 ·")
    session.send("\x04")
    session.expect(ENDS)
    assert session.display.startswith(before)
    assert "Ctrl-D 完成" not in session.display
    session.enter()
    assert chosen(session, history) == ["甲", "乙中!", "丙"]
    session.wait_for_prompt(MENU)
    session.enter("q")
    session.wait_for_prompt("1>")
    session.send("\x1b[A")
    session.expect_on_screen("乙中!")


def test_giving_the_edit_up_keeps_what_was(session: Session) -> None:
    """Ctrl-C in the box leaves the questions as they were, and the preview is back."""
    paste_list(session)
    open_box(session)
    session.send("改壞了")
    session.expect_on_screen("改壞了")
    session.interrupt()
    session.expect(ENDS)
    assert "改壞了" not in session.display
    session.enter("q")
    session.expect("已取消")
    session.expect("NOTHING")
    session.wait_for_prompt(MENU)
    session.enter("q")
    session.wait_for_prompt("1>")
    session.send("\x1b[A")
    session.expect_on_screen("1> 1. 什麼是 並行")


def test_the_persons_own_editor(session: Session, history: Path) -> None:
    """It has an ordinary terminal, the text comes back from it, into the preview and into the box."""
    session.paste("甲\n乙\n")
    session.enter()
    session.wait_for_prompt("3>")
    session.enter()
    session.expect(ENDS)
    session.enter("ed")
    session.expect("EDITOR-SEES")
    session.expect("乙")
    session.enter("從編輯器來")
    session.expect("📋 3 個問題")
    session.expect(ENDS)
    open_box(session)
    session.send("\x0f")
    session.expect("EDITOR-SEES")
    session.expect("從編輯器來")
    session.enter("又一題")
    session.expect_on_screen("4 個問題 ·")
    session.send("\x04")
    session.expect(ENDS)
    session.enter()
    assert chosen(session, history) == ["甲", "乙", "從編輯器來", "又一題"]


def test_ctrl_c_in_the_persons_own_editor(history: Path, tmp_path: Path) -> None:
    """It goes to the editor, which does something with it and ends when it will; what it saved comes back."""
    script = tmp_path / "editor.sh"
    script.write_text('#!/bin/sh\ntrap \'sleep 0.6; echo 丁 >> "$1"; exit 0\' INT\necho EDITOR-WAITS\nread line\n')
    script.chmod(0o700)
    with terminal(*PROGRAM, str(history), environ={"EDITOR": str(script)}, columns=80, rows=30) as session:
        session.wait_for_prompt(MENU)
        session.enter("q")
        session.wait_for_prompt("1>")
        session.paste("甲\n乙\n丙\n")
        session.enter()
        session.wait_for_prompt("4>")
        session.enter()
        session.expect(ENDS)
        session.enter("ed")
        session.expect("EDITOR-WAITS")
        session.interrupt()
        session.expect("📋 4 個問題")
        session.expect(ENDS)
        session.enter()
        assert chosen(session, history) == ["甲", "乙", "丙", "丁"]


def test_commands_at_the_entry(session: Session, history: Path, tmp_path: Path) -> None:
    """/help, /load, /history and /edit do what they say, and other lines with a slash are questions."""
    (tmp_path / "問題.txt").write_text("- 檔一\n- 檔二\n\n")
    session.enter("/help")
    session.expect("/load 檔案")
    session.wait_for_prompt("1>")
    session.enter("/load 沒有.txt")
    session.expect("找不到檔案 沒有.txt")
    session.wait_for_prompt("1>")
    session.enter("/load")
    session.expect("請在 /load 後面寫檔案的路徑")
    session.wait_for_prompt("1>")
    session.enter("/etc 是什麼")
    session.wait_for_prompt("2>")
    session.send("/load ")
    session.paste(f"'{tmp_path}/問題.txt'")
    session.enter()
    session.expect("已讀入 問題.txt: 2 個問題")
    session.wait_for_prompt("4>")
    session.enter("/history")
    session.expect("昨天的␛[2J")
    session.wait_for_prompt("選擇哪一組 (直接按 Enter 返回):")
    session.enter("２")
    session.wait_for_prompt("5>")
    session.enter("/edit")
    session.expect("4 個問題 · Ctrl-D 完成")
    session.send("\r")
    session.expect_on_screen(" 5")
    session.send("最後\x04")
    session.expect(ENDS)
    session.enter()
    assert chosen(session, history) == ["/etc 是什麼", "檔一", "檔二", "更早", "最後"]


def test_a_pasted_command_is_a_question(session: Session, history: Path) -> None:
    """What was pasted is never acted on, at the entry or at the preview."""
    session.paste("/edit")
    session.enter()
    session.wait_for_prompt("2>")
    session.paste("甲\n乙")
    session.enter()
    session.wait_for_prompt("4>")
    session.enter()
    session.expect(ENDS)
    session.paste("q")
    session.enter()
    session.expect("無效的選擇")
    session.expect(ENDS)
    session.enter()
    assert chosen(session, history) == ["/edit", "甲", "乙"]


def test_two_typed_questions_just_run(session: Session, history: Path) -> None:
    """Nothing odd, nothing asked."""
    for number, line in ((2, "甲"), (3, "乙")):
        session.enter(line)
        session.wait_for_prompt(f"{number}>")
    session.enter()
    assert chosen(session, history, agreed=False) == ["甲", "乙"]


def test_ctrl_c_at_the_preview_keeps_the_questions(session: Session, history: Path) -> None:
    """The whole set is in the history, one arrow key away."""
    for number, line in ((2, "甲"), (3, "乙"), (4, "丙")):
        session.enter(line)
        session.wait_for_prompt(f"{number}>")
    session.enter()
    session.expect(ENDS)
    session.interrupt()
    session.expect("INTERRUPTED")
    session.wait_for_prompt(MENU)
    assert json.loads(history.read_text().splitlines()[-1]) == "甲\n乙\n丙"


def test_a_paste_at_the_menu_is_shown_first(session: Session, history: Path) -> None:
    """Several lines pasted where a choice was asked run only after the preview's Enter."""
    session.interrupt()
    session.wait_for_prompt(MENU)
    session.paste("5\n6\n")
    session.enter()
    session.expect("貼上的是多行文字")
    session.expect(ENDS)
    session.enter()
    assert chosen(session, history) == ["5", "6"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_box_gives_the_terminal_back(history: Path, number: int) -> None:
    """SIGINT from elsewhere is a Ctrl-C of the whole entry; after either the screen is as it was."""
    code = (
        "import signal, sys\nfrom utils.interrupts import Interrupts\nfrom tests.terminal.query_program import main\n"
        "with Interrupts(): main(sys.argv[1])\n"
    )
    with terminal("-c", code, str(history)) as session:
        session.wait_for_prompt(MENU)
        session.enter("q")
        session.wait_for_prompt("1>")
        session.enter("/edit")
        session.expect("0 個問題 · Ctrl-D 完成")
        session.kill(number)
        if number == signal.SIGINT:
            session.expect("INTERRUPTED")
            session.wait_for_prompt(MENU)
            session.enter("6")
            assert session.wait_for_exit() == 0
        else:
            assert session.wait_for_exit() == 128 + number
        assert "Ctrl-D" not in session.display
        assert not session.screen.cursor.hidden

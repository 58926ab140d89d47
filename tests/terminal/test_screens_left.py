"""What is left of a run on the screen, in the terminal and in the history, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.program import MAIN, environment, fresh_home, run_main
from tests.terminal.menu import MENU, all_lines, is_given_back
from tests.terminal.session import Session
from utils.text_width import cell_width

HANGS = {"OFFLINE_FAULTS": "hang@match:REST", "QUERY_TIMEOUT": "60"}
LIVE = re.compile("━|進行中|詢問中|in flight|p 暫停|p pause|題/s")
SETS = "選擇測試集 (1-3):"
CHILDREN = Path("/proc/self/task")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return fresh_home(tmp_path)


@contextmanager
def running(home: Path, columns: int = 80) -> Iterator[Session]:
    """A run of three questions, two answered, one that never will be, drawn on the screen."""
    session = Session([sys.executable, str(MAIN)], environ=environment(home, HANGS), columns=columns, rows=50, cwd=home)
    try:
        start_run(session)
        yield session
    finally:
        session.close()


def start_run(session: Session) -> None:
    session.wait_for_prompt(MENU)
    session.answer("1", SETS)
    session.enter("1")
    session.wait_until(lambda: "2/3" in session.display and "詢問中" in session.display, "the open question's row")


def kept(home: Path) -> list[tuple[str, str]]:
    """The questions of the latest run in the history, with their outcomes."""
    told = run_main(home, "", arguments=["history", "show", "1", "--json"]).out.splitlines()
    return [(row["question"], row["outcome"]) for row in map(json.loads, told[1:])]


@pytest.mark.parametrize("columns", [20, 60, 80, 200, 300])
def test_ctrl_c_leaves_the_answers_and_nothing_of_the_bar(home: Path, columns: int) -> None:
    """While it runs no row is too wide; afterwards no row, no bar and no key is left, and the cursor is back."""
    with running(home, columns) as session:
        live = [line.rstrip() for line in session.screen.display if LIVE.search(line)]
        assert len(live) >= 2
        assert max(map(cell_width, live)) <= columns
        assert session.screen.cursor.hidden
        session.interrupt()
        session.wait_for_prompt(MENU)
        assert not session.screen.cursor.hidden
        assert [line for line in all_lines(session) if LIVE.search(line)] == []
        assert sum("任務" in line and ("✅" in line or "⏹" in line) for line in all_lines(session)) == 3
        session.enter("6")
        assert session.wait_for_exit() == 0
        assert is_given_back(session)
        assert session.wraps == []
        assert [line for line in all_lines(session) if LIVE.search(line)] == []


def test_sigterm_leaves_nothing_of_the_bar(home: Path) -> None:
    """As Ctrl-C does, and the program ends with 143."""
    with running(home) as session:
        session.kill(signal.SIGTERM)
        assert session.wait_for_exit() == 128 + signal.SIGTERM
        assert is_given_back(session)
        assert [line for line in all_lines(session) if LIVE.search(line)] == []


def test_a_terminal_that_is_closed_keeps_the_answers(home: Path) -> None:
    """The hang-up ends the run; the two answers are in the history, the third question as cancelled."""
    with running(home) as session:
        assert session.hang_up() == 128 + signal.SIGHUP
    assert [outcome for _, outcome in kept(home)] == ["answered", "answered", "cancelled"]


@pytest.mark.skipif(not CHILDREN.exists(), reason="finds the program by its shell's children in /proc")
@pytest.mark.parametrize("where", ["menu", "run"])
def test_kill_9_leaves_what_a_shell_repairs(home: Path, where: str) -> None:
    """Nobody can tidy up after it: the shell takes back echo and lines, and only the cursor of a run stays hidden.

    There is no other screen, mouse mode, scroll region or switched-off wrapping to be left in; a new start shows the
    cursor again.
    """
    variables = {**environment(home, HANGS), "PS1": "SHELL> ", "PYTHONPATH": str(MAIN.parent)}
    session = Session(["bash", "--norc", "--noprofile", "-i"], environ=variables, columns=80, rows=50, cwd=home)
    program = f"'{sys.executable}' '{MAIN}'"
    try:
        session.wait_for_prompt("SHELL>")
        session.enter(program)
        if where == "run":
            start_run(session)
        else:
            session.wait_for_prompt(MENU)
        pid = session.child.pid
        (child,) = (CHILDREN.parents[1] / str(pid) / "task" / str(pid) / "children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        session.expect("SHELL>")
        session.wait_for_prompt("SHELL>")
        assert session.screen.cursor.hidden is (where == "run")
        assert not re.search(r"\x1b\[\?(1049|47|1000|1002|1003|1006)h|\x1b\[\d+;\d+r", session.text)
        assert session.text.rfind("\x1b[?7h") >= session.text.rfind("\x1b[?7l")
        session.enter("stty -a | tr ';' ' '")
        session.expect(" icanon ")
        session.expect(" echo ")
        session.wait_for_prompt("SHELL>")
        session.enter(program)
        session.wait_for_prompt(MENU)
        assert not session.screen.cursor.hidden
        session.enter("6")
        session.expect("再見")
        session.wait_for_prompt("SHELL>")
        session.enter("exit")
        assert session.wait_for_exit() == 0
    finally:
        session.close()

"""The menu in a real terminal: Ctrl-C, Ctrl-D, signals, and leaving with something still stuck."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import MAIN, fresh_home
from tests.terminal.menu import BROWSE, MENU, all_lines, is_given_back, menu
from tests.terminal.session import Session

HINT = "再按一次 Ctrl-C 離開程式"
HANGS = {"OFFLINE_FAULTS": "hang@match:慢"}
STOPPED = "⏹️ 已中斷, 已完成 1/2"


QUESTIONS = {
    (): MENU,
    ("1",): "選擇測試集 (1-3):",
    ("2",): "1>",
    ("2", "甲"): "2>",
    ("7",): "選擇分析類型 (1-5):",
    ("7", "1"): "檔案 (TXT/CSV/TSV/JSONL), 或按 Enter 改為貼上:",
    ("7", "1", ""): "1>",
}
STUCK = """\
import threading
from core.providers.offline import OfflineModel
OfflineModel.generate = lambda *_: threading.Event().wait()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return fresh_home(tmp_path)


@pytest.fixture
def running(home: Path) -> Iterator[Session]:
    """A run of two questions, one answered, one that never will be."""
    with menu(home, environ=HANGS) as session:
        ask(session, "快", "慢")
        session.expect("✅ 任務完成: 快")
        yield session


def shim(home: Path, code: str) -> dict[str, str]:
    """Code that runs in the program before its first line."""
    folder = home / "shim"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": f"{folder}:{MAIN.parent}"}


def go_to(session: Session, keys: tuple[str, ...], prompt: str) -> None:
    """From the menu to the question at this prompt."""
    for done, key in enumerate(keys):
        session.wait_for_prompt(QUESTIONS[keys[:done]])
        session.enter(key)
    session.wait_for_prompt(prompt)


def ask(session: Session, *questions: str) -> None:
    session.enter("2")
    for number, question in enumerate(questions, 1):
        session.wait_for_prompt(f"{number}>")
        session.enter(question)
    session.wait_for_prompt(f"{len(questions) + 1}>")
    session.enter()


def test_ctrl_c_in_a_run_keeps_what_is_answered(running: Session) -> None:
    """Back at the menu at once, the answer shown and kept, the next run as good as ever.

    The Ctrl-C that follows one in a run leaves with 130.
    """
    began = time.monotonic()
    running.interrupt()
    running.expect(STOPPED)
    running.wait_for_prompt(MENU)
    assert time.monotonic() - began < 3
    lines = all_lines(running)
    assert any(line.startswith("   │ 【示範】") for line in lines)
    assert any(line.startswith("✅ 成功: 1/2 (") for line in lines)
    assert not any("進行中" in line for line in lines)
    running.enter("8")
    running.wait_for_prompt(BROWSE)
    running.enter("1")
    running.expect("📝 問題 1: 快")
    running.wait_for_prompt(BROWSE)
    running.enter("2")
    running.expect("📝 問題 2: 慢")
    running.wait_for_prompt(BROWSE)
    running.enter()
    running.wait_for_prompt(MENU)
    running.enter("4")
    running.expect("總任務數: 2")
    running.expect("成功任務: 1")
    running.expect("失敗任務: 1")
    running.expect("成功率: 50.0%")
    running.wait_for_prompt(MENU)
    ask(running, "快", "又一個")
    running.wait_for_prompt(BROWSE)
    assert "✅ 成功: 2/2" in all_lines(running)
    running.enter()
    running.wait_for_prompt(MENU)
    ask(running, "慢")
    running.expect("進行中 1")
    running.interrupt()
    running.expect("⏹️ 已中斷, 已完成 0/1")
    running.wait_for_prompt(MENU)
    running.interrupt()
    assert running.wait_for_exit() == 130
    assert is_given_back(running)


def test_two_quick_ctrl_c_in_a_run_leave(home: Path) -> None:
    """The second one ends the program with 130, whatever the call in flight does, and the terminal is given back."""
    with menu(home, environ=shim(home, STUCK)) as session:
        ask(session, "甲")
        session.expect("進行中 1")
        began = time.monotonic()
        session.interrupt()
        seen = len(session.output)
        session.wait_until(lambda: len(session.output) > seen, "the next picture of the bar")
        session.interrupt()
        assert session.wait_for_exit() == 130
        assert time.monotonic() - began < 3
        assert is_given_back(session)
    assert "Traceback" not in session.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_run_shows_what_is_answered_and_leaves(running: Session, number: signal.Signals) -> None:
    """SIGTERM and a hang-up end the run as Ctrl-C does, then the program, with 128 + signal."""
    running.kill(number)
    running.expect(STOPPED)
    assert running.wait_for_exit() == 128 + number
    assert is_given_back(running)
    assert "Traceback" not in running.text


def test_ctrl_c_in_a_batch_keeps_what_is_done(home: Path) -> None:
    """The batch pauses, the menu comes back, and the next visit offers to go on with what is left."""
    (home / "texts.txt").write_text("慢\n" + "很好\n" * 3)
    with menu(home, environ=HANGS) as session:
        session.enter("7")
        session.wait_for_prompt("選擇分析類型 (1-5):")
        session.enter("1")
        session.expect("或按 Enter 改為貼上:")
        session.enter("texts.txt")
        session.expect("請求 0")
        session.interrupt()
        session.expect("⏸️ 批次已暫停, 還有 2 則沒有問")
        session.wait_for_prompt(MENU)
        session.enter("6")
        assert session.wait_for_exit() == 0


def test_ctrl_c_at_every_question(home: Path) -> None:
    """It cancels that question only: the hint, the menu again, nothing run, and never a traceback."""
    with menu(home) as session:
        for keys, prompt in QUESTIONS.items():
            go_to(session, keys, prompt)
            session.interrupt()
            session.expect(HINT)
            session.wait_for_prompt(MENU)
            session.enter("0")  # something typed: the next Ctrl-C is a first one again
            session.expect("❌ 無效的選擇")
            session.wait_for_prompt(MENU)
        session.interrupt()
        session.expect(HINT)
        session.wait_for_prompt(MENU)
        session.interrupt()
        assert session.wait_for_exit() == 130
        assert is_given_back(session)
    assert "🚀 開始" not in session.text
    assert "Traceback" not in session.text


def test_ctrl_c_while_reading_answers(home: Path) -> None:
    """At the question for a number it leads back to the menu, with the answers kept."""
    with menu(home) as session:
        ask(session, "甲")
        session.wait_for_prompt(BROWSE)
        session.interrupt()
        session.expect(HINT)
        session.wait_for_prompt(MENU)
        session.enter("8")
        session.wait_for_prompt(BROWSE)
        session.send("\x04")
        session.expect("👋 再見!")
        assert session.wait_for_exit() == 0
        assert is_given_back(session)


@pytest.mark.parametrize("keys", [(), ("1",), ("7", "1")], ids=["menu", "query set", "file"])
def test_ctrl_d_is_a_goodbye(home: Path, keys: tuple[str, ...]) -> None:
    """The end of the input at a question for one line leaves with 0."""
    with menu(home) as session:
        go_to(session, keys, QUESTIONS[keys])
        session.send("\x04")
        session.expect("👋 再見!")
        assert session.wait_for_exit() == 0
        assert is_given_back(session)
    assert "Traceback" not in session.text


def test_ctrl_d_in_a_query_set_runs_it(home: Path) -> None:
    """The end of a set of questions is its start."""
    with menu(home) as session:
        session.enter("2")
        session.wait_for_prompt("1>")
        session.enter("甲")
        session.wait_for_prompt("2>")
        session.send("乙")
        session.expect_on_screen("2> 乙")
        session.send("\x04")
        session.wait_for_prompt(BROWSE)
        assert "✅ 成功: 2/2" in all_lines(session)
        session.enter()
        session.wait_for_prompt(MENU)
        session.enter("2")
        session.wait_for_prompt("1>")
        session.send("\x04")
        session.expect("❌ 沒有輸入查詢")
        session.wait_for_prompt(MENU)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_menu_leaves_in_order(home: Path, number: signal.Signals) -> None:
    """The terminal is given back, the exit code names the signal."""
    with menu(home) as session:
        session.kill(number)
        assert session.wait_for_exit() == 128 + number
        assert is_given_back(session)
    assert "Traceback" not in session.text


def test_an_exception_gives_the_terminal_back(home: Path) -> None:
    """Even what nobody catches leaves a terminal that echoes."""
    code = (
        "from optimizers.cache_manager import CacheManager\n"
        "class Boom(BaseException): pass\n"
        "def fail(self): raise Boom\n"
        "CacheManager.clear_all = fail\n"
    )
    with menu(home, environ=shim(home, code)) as session:
        session.enter("5")
        session.expect("Boom")
        assert session.wait_for_exit() == 1
        assert is_given_back(session)


def leave_quickly(session: Session) -> None:
    session.wait_for_prompt(BROWSE)
    session.enter()
    session.wait_for_prompt(MENU)
    began = time.monotonic()
    session.enter("6")
    assert session.wait_for_exit() == 0
    assert time.monotonic() - began < 3


def test_leaving_with_a_function_that_never_returns(home: Path) -> None:
    """A call that ignores its deadline is abandoned: neither the run nor the program's end waits for it."""
    with menu(home, environ={"QUERY_TIMEOUT": "0.5", **shim(home, STUCK)}) as session:
        ask(session, "甲", "乙")
        session.expect("⏰ 任務逾時")
        leave_quickly(session)


def test_leaving_after_a_server_that_never_answers(home: Path) -> None:
    """The same with real calls that hang in the SDK."""
    # A process of its own: a pty is made by fork, which the threads of a gRPC server in this one do not survive.
    command = [sys.executable, "-m", "tests.servers", "--latency", "3600"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=MAIN.parent) as server:
        assert server.stdout is not None
        port = json.loads(server.stdout.readline())["grpc_port"]
        environ = {
            "GEMINI_API_KEY": "some-key",
            "GEMINI_API_ENDPOINT": f"127.0.0.1:{port}",
            "QUERY_TIMEOUT": "0.5",
        }
        with menu(home, environ=environ) as session:
            ask(session, "甲", "乙")
            session.expect("⏰ 任務逾時")
            leave_quickly(session)

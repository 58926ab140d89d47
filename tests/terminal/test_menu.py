"""The menu in a real terminal: choosing, asking, pasting, reading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.program import fresh_home
from tests.terminal.menu import BROWSE, MENU, all_lines, heading, is_given_back, menu
from tests.terminal.session import Session

ENDS = "q 取消:"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return fresh_home(tmp_path)


def leave(session: Session) -> None:
    """Leave, and look back at all that was shown."""
    session.enter("6")
    session.expect("👋 再見!")
    assert session.wait_for_exit() == 0
    assert is_given_back(session)
    lines = all_lines(session)
    assert not any("進行中" in line or "━" in line for line in lines), "the bar has left something behind"
    rules = [line for line in lines if re.fullmatch("=+|-+", line)]
    assert rules
    assert max(map(len, rules)) <= min(session.screen.columns, 60)


def test_a_visit(home: Path) -> None:
    """A person chooses with full-width digits, asks in Chinese, reads a whole answer and leaves."""
    with menu(home, columns=80, environ={"OFFLINE_SCALE": "0.1"}) as session:
        for text in ("⚡ 並行處理與效能優化系統", "1. 執行預設並行查詢測試", "6. 退出", "8. 檢視上次查詢的完整回答"):
            session.expect_on_screen(text)
        session.enter("２")
        session.wait_for_prompt("1>")
        session.enter("什麼是並行")
        session.wait_for_prompt("2>")
        session.enter("什麼是快取")
        session.wait_for_prompt("3>")
        session.enter()
        session.wait_for_prompt(BROWSE)
        lines = all_lines(session)
        assert "🚀 開始並行執行 2 個任務..." in lines
        assert "1. 什麼是並行" in lines
        assert "✅ 成功: 2/2" in lines
        assert "進行中" in session.text, "the bar was drawn"
        session.enter("２")
        session.expect("📝 問題 2: 什麼是快取")
        session.expect("tokens")
        session.wait_for_prompt(BROWSE)
        session.enter()
        session.wait_for_prompt(MENU)
        session.enter("1")
        session.wait_for_prompt("選擇測試集 (1-3):")
        session.expect_on_screen("   - Python 的主要特性是什麼?")
        session.enter("３")
        session.wait_for_prompt(BROWSE)
        assert "✅ 成功: 3/3" in all_lines(session)
        session.enter()
        session.wait_for_prompt(MENU)
        leave(session)


def test_a_terminal_that_cannot_draw(home: Path) -> None:
    """With TERM=dumb the same visit works in plain lines."""
    with menu(home, columns=200, environ={"TERM": "dumb"}) as session:
        session.enter("2")
        session.wait_for_prompt("1>")
        session.enter("甲")
        session.wait_for_prompt("2>")
        session.enter()
        session.wait_for_prompt(BROWSE)
        session.enter()
        session.wait_for_prompt(MENU)
        leave(session)
    assert "✅ 成功: 1/1" in session.text
    assert "\x1b" not in session.text


def test_pastes_are_questions_and_never_commands(home: Path) -> None:
    """A blank line, a 5 and a 6 in a paste clear nothing and end nothing, in a set and at the menu."""
    with menu(home, columns=60) as session:
        session.enter("2")
        session.wait_for_prompt("1>")
        session.paste("一\n\n二\n5\n6\n")
        session.enter()
        session.wait_for_prompt("5>")
        session.enter()
        session.expect(ENDS)
        session.enter()
        session.wait_for_prompt(BROWSE)
        assert "🚀 開始並行執行 4 個任務..." in all_lines(session)
        session.enter()
        session.wait_for_prompt(MENU)

        session.paste("5\n\n6\n")
        session.enter()
        session.expect("貼上的是多行文字, 當成問題的話:")
        session.expect(ENDS)
        session.enter("n")
        session.wait_for_prompt(MENU)

        session.flood("5\r6\r")  # a terminal that does not mark pastes
        session.enter()
        session.expect("📋 2 個問題")
        session.expect(ENDS)
        session.enter("q")
        session.wait_for_prompt(MENU)

        session.enter("3")
        session.expect("快取大小: 4")
        session.wait_for_prompt("選擇 (直接按 Enter 返回選單):")
        session.enter()
        session.wait_for_prompt(MENU)
        session.paste("5\n新的\n")
        session.enter()
        session.expect(ENDS)
        session.enter("ｙ")
        session.wait_for_prompt(BROWSE)
        session.enter()
        session.wait_for_prompt(MENU)
        leave(session)
    assert session.text.count("🚀 開始並行執行") == 2
    assert "快取已清除" not in session.text
    assert "✅ 成功: 2/2" in all_lines(session)


def test_a_large_set_is_asked_about_once(home: Path) -> None:
    """Above fifty questions too one yes or no, with the count and the most calls it can cost."""
    questions = "".join(f"問題{number % 30}\n" for number in range(60))
    with menu(home, columns=200) as session:
        for answer in ("n", "y"):
            session.enter("2")
            session.wait_for_prompt("1>")
            session.paste(questions)
            session.enter()
            session.wait_for_prompt("61>")
            session.enter()
            session.expect("共 60 個問題, 呼叫模型 30 次 (相同或已在快取的 30 個不必問)")
            session.expect(ENDS)
            session.enter(answer)
            session.wait_for_prompt(MENU if answer == "n" else BROWSE)
        assert "✅ 成功: 60/60" in all_lines(session)
        session.enter()
        session.wait_for_prompt(MENU)
        session.enter("3")
        session.expect("快取大小: 30")
        session.wait_for_prompt("選擇 (直接按 Enter 返回選單):")
        session.enter()
        session.wait_for_prompt(MENU)
        leave(session)
    assert session.text.count("🚀 開始並行執行") == 1


def test_a_long_line_arrives_whole(home: Path) -> None:
    """20,003 bytes typed as one question are 20,003 bytes in the answer's heading."""
    question = "x" * 20_000 + "尾"
    with menu(home) as session:
        session.enter("2")
        session.wait_for_prompt("1>")
        session.enter(question)
        session.wait_for_prompt("2>")
        session.enter()
        session.wait_for_prompt(BROWSE)
        session.enter("1")
        session.expect("tokens")
        session.wait_for_prompt(BROWSE)
        assert heading(session) == f"📝 問題 1: {question}"
        session.enter("2")
        session.expect("❌ 沒有這個題號, 請輸入 1 到 1")
        session.wait_for_prompt(BROWSE)
        session.enter()
        session.wait_for_prompt(MENU)
        leave(session)


def test_answers_cannot_touch_the_terminal(home: Path) -> None:
    """Titles, clipboard writes, screen clearing and forged status lines in an answer are shown, not obeyed."""
    with menu(home, columns=60, environ={"OFFLINE_FAULTS": "escapes"}) as session:
        session.enter("2")
        session.wait_for_prompt("1>")
        session.enter("甲")
        session.wait_for_prompt("2>")
        session.enter()
        session.wait_for_prompt(BROWSE)
        session.enter("1")
        session.expect("📝 問題 1: 甲")
        session.wait_for_prompt(BROWSE)
        session.enter()
        session.wait_for_prompt(MENU)
        answer = session.text[session.text.index("📝 問題 1: 甲") : session.text.rindex(BROWSE)]
        leave(session)
    assert "␛" in answer
    assert not any(sequence in session.text for sequence in ("\x1b]", "\x1b[2J", "\x1bc", "\x07", "\u202e"))
    body = [line for line in answer[: answer.index("└")].splitlines()[1:] if line]
    assert all(line.startswith("│") for line in body)

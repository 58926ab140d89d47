"""Option 3 in a pseudo-terminal: the entries of the cache, at three widths."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.program import fresh_home
from tests.terminal.menu import BROWSE, MENU, all_lines, is_given_back, menu
from tests.terminal.session import Session
from utils.text_width import cell_width

CHOOSE = "選擇 (直接按 Enter 返回選單):"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return fresh_home(tmp_path)


def fill(session: Session) -> None:
    """Ask the first query set twice, so that there are entries and hits."""
    for _ in range(2):
        session.enter("1")
        session.wait_for_prompt("選擇測試集 (1-3):")
        session.enter("1")
        session.wait_for_prompt(BROWSE)
        session.enter()
        session.wait_for_prompt(MENU)


def do(session: Session, command: str, told: str) -> None:
    """Enter the command, and wait for what comes of it and for the next question."""
    session.enter(command)
    session.expect(told)
    session.wait_for_prompt(CHOOSE)


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_person_tends_the_cache(home: Path, columns: int) -> None:
    """Pins with full-width letters, looks inside, refreshes, drops; then back at the menu, the terminal as it was."""
    with menu(home, columns=columns) as session:
        fill(session)
        do(session, "3", "💰 啟動以來省下: 3 次呼叫 (快取 3, 共用 0)")
        do(session, "ｐ２", "✅ 已釘選第 2 筆")
        do(session, "２", "📝 快取 2: ")
        do(session, "r 1", "✅ 第 1 筆已換成新的回答")
        do(session, "d 3", "✅ 已刪除第 3 筆")
        session.enter()
        session.wait_for_prompt(MENU)
        session.enter("6")
        assert session.wait_for_exit() == 0
        assert is_given_back(session)
    lines = all_lines(session)
    assert max(map(cell_width, lines)) <= columns
    assert any("第 1 到 2 筆, 共 2 筆 (最新的在前)" in line for line in lines)
    heads = [line for line in lines if line.startswith("#") and line.endswith("問題")]
    assert len(heads) == 4
    assert ("命中" in heads[0]) is (columns >= 60)


def test_ctrl_c_leaves_the_list(home: Path) -> None:
    """Back at the menu, with the cache as it was."""
    with menu(home) as session:
        fill(session)
        do(session, "3", "共 3 筆")
        session.interrupt()
        session.wait_for_prompt(MENU)
        do(session, "3", "共 3 筆")
        session.enter()
        session.wait_for_prompt(MENU)
        session.enter("6")
        assert session.wait_for_exit() == 0

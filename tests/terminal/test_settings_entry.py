"""Option 11 in a real terminal: aligned, checked as it is typed, kept, and there again at the next start."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import environment, fresh_home
from tests.terminal.session import Session
from utils.text_width import cell_width

PROGRAM = Path(__file__).parent / "settings_program.py"
CHOICE = "選擇 (直接按 Enter 返回選單):"
VALUE = "新的值 (直接按 Enter 不改):"


@contextlib.contextmanager
def entry(home: Path, columns: int, **environ: str) -> Iterator[Session]:
    file = home / "config/parallel_processing/settings.toml"
    variables = {**environment(home, environ), "PYTHONPATH": str(PROGRAM.parents[2])}
    session = Session([sys.executable, str(PROGRAM), str(file)], environ=variables, columns=columns, rows=60, cwd=home)
    try:
        session.wait_for_prompt(CHOICE)
        yield session
    finally:
        session.close()


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_person_changes_a_setting(tmp_path: Path, columns: int) -> None:
    """Full-width digits, a value that is refused, one that is taken; the next start has it, the columns stand."""
    home = fresh_home(tmp_path)
    with entry(home, columns, QUERY_TIMEOUT="9") as session:
        session.enter("７")
        session.wait_for_prompt(VALUE)
        session.enter("2000")
        session.expect_on_screen("❌ 同時詢問數 的值 '2000' 不對, 請給 1 到 1,000 之間的整數")
        session.wait_for_prompt(VALUE)
        session.enter("１２")
        session.wait_for_prompt(CHOICE)
        session.expect_on_screen("⚡ 現在起是 12 個")
        session.enter("8")
        session.wait_for_prompt(VALUE)
        session.enter("30")
        session.wait_for_prompt(CHOICE)
        session.expect_on_screen("⚠️ 環境變數 QUERY_TIMEOUT 優先".replace("\ufe0f", ""))
        session.enter()
        session.expect("workers=12")
        assert session.wait_for_exit() == 0
    with entry(home, columns) as session:
        lines = session.display.splitlines()
        rows = [line for line in lines if line[:4].strip().rstrip(".").isdigit()]
        assert len(rows) == 19
        assert max(cell_width(line) for line in lines) <= columns
        shown = {row.split()[0]: row for row in rows}
        assert "12 個" in shown["7."]
        assert "30 秒" in shown["8."]
        sources = [(row, word) for row in rows for word in ("預設", "設定檔") if f" {word}" in row]
        assert len({cell_width(row[: row.rindex(word)]) for row, word in sources}) == 1
        session.enter("x 7")
        session.expect_on_screen("✅ 已從設定檔移除: 同時詢問數")
        session.wait_for_prompt(CHOICE)
        session.enter()
        session.expect("workers=5")
        assert session.wait_for_exit() == 0

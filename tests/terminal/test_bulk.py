"""Option 7 in a real terminal: from the choice of an analysis to the exported file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.program import fresh_home
from tests.terminal.menu import MENU, all_lines, is_given_back, menu
from tests.terminal.session import Session

KIND = "選擇分析類型 (1-5):"
FILE = "檔案 (TXT/CSV/TSV/JSONL), 或按 Enter 改為貼上:"
EXPORT = "匯出檔名 (.jsonl .csv .md .html; 按 Enter 略過):"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return fresh_home(tmp_path)


def choose(session: Session, kind: str, file: str) -> None:
    session.enter("7")
    session.wait_for_prompt(KIND)
    session.enter(kind)
    session.wait_for_prompt(FILE)
    session.enter(file)


def leave(session: Session) -> None:
    session.wait_for_prompt(MENU)
    session.enter("6")
    assert session.wait_for_exit() == 0
    assert is_given_back(session)
    assert "Traceback" not in session.text


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_file_from_preview_to_export(home: Path, columns: int) -> None:
    """Preview, estimate, one question above fifty, the bar, the labels, the file; no line wider than the screen."""
    lines = [
        f"第 {number} 則, 這家餐廳{'很好吃' if number % 3 else '很難吃'}, 服務人員也很親切\n" for number in range(60)
    ]
    (home / "reviews.txt").write_text("".join(lines) + lines[0], encoding="utf-8")
    with menu(home, columns=columns, environ={"OFFLINE_SCALE": "0.2"}) as session:
        choose(session, "１", "reviews.txt")
        session.expect("文字 61, 重複 1, 要問 60")
        session.expect("📐 預估")
        session.wait_for_prompt("要執行嗎? (y/N):")
        session.enter("y")
        session.wait_for_prompt(EXPORT)
        assert "━" in session.text, "the bar was drawn"
        session.enter("result.csv")
        session.expect("📄 已寫入 result.csv (61 列)")
        leave(session)
        shown = all_lines(session)
        assert any("🎉 批次完成" in line for line in shown)
        assert not any("━" in line for line in shown), "the bar has left something behind"
    assert (home / "result.csv").read_text(encoding="utf-8-sig").count("\n") == 62


def test_a_no_asks_nothing(home: Path) -> None:
    """Above fifty texts only a yes starts the run."""
    (home / "many.txt").write_text("".join(f"第 {number} 則\n" for number in range(60)), encoding="utf-8")
    with menu(home) as session:
        choose(session, "1", "many.txt")
        session.wait_for_prompt("要執行嗎? (y/N):")
        session.enter("n")
        leave(session)
        assert "📦 開始" not in session.text


def test_a_file_in_big5_is_read_so_after_a_yes(home: Path) -> None:
    """The guess is shown with a line as it would be read."""
    (home / "big5.txt").write_bytes("這家餐廳很好吃, 服務也很好\n".encode("big5"))
    with menu(home) as session:
        choose(session, "1", "big5.txt")
        session.expect("這家餐廳很好吃")
        session.expect("讀嗎? (y/N):")
        session.enter("y")
        session.wait_for_prompt(EXPORT)
        assert "1. 這家餐廳很好吃, 服務也很好" in session.text
        session.enter()
        leave(session)


def test_a_table_asks_for_its_column(home: Path) -> None:
    """Where no column is the obvious one, the person names it."""
    (home / "table.csv").write_text("甲,乙\n1,很好吃\n2,很難吃\n", encoding="utf-8")
    with menu(home) as session:
        choose(session, "1", "table.csv")
        session.wait_for_prompt("要分析哪一欄:")
        session.enter("乙")
        session.wait_for_prompt(EXPORT)
        assert "1. 很好吃" in session.text
        session.enter()
        leave(session)


def test_labels_of_ones_own(home: Path) -> None:
    """The category is one of the person's labels and nothing else."""
    (home / "mails.txt").write_text("我要退貨\n發票開錯了\n", encoding="utf-8")
    with menu(home) as session:
        session.enter("7")
        session.wait_for_prompt(KIND)
        session.enter("4")
        session.expect("標籤 (以逗號分開")
        session.enter("帳務,售後,其他")
        session.wait_for_prompt(FILE)
        session.enter("mails.txt")
        session.wait_for_prompt(EXPORT)
        assert any(label in session.text for label in ("帳務", "售後", "其他"))
        session.enter()
        leave(session)


def test_an_existing_export_is_overwritten_only_after_a_yes(home: Path) -> None:
    """A no, or a format there is none of, asks for another name."""
    (home / "texts.txt").write_text("很好\n", encoding="utf-8")
    (home / "old.md").write_text("mine")
    with menu(home) as session:
        choose(session, "1", "texts.txt")
        session.wait_for_prompt(EXPORT)
        session.enter("result.doc")
        session.expect("看不出 result.doc 要用哪一種輸出格式")
        session.wait_for_prompt(EXPORT)
        session.enter("old.md")
        session.wait_for_prompt("old.md 已存在, 要覆寫嗎? (y/N):")
        session.enter("n")
        session.wait_for_prompt(EXPORT)
        assert (home / "old.md").read_text() == "mine"
        session.enter("old.md")
        session.wait_for_prompt("old.md 已存在, 要覆寫嗎? (y/N):")
        session.enter("y")
        session.expect("📄 已寫入 old.md (1 列)")
        leave(session)
    assert "很好" in (home / "old.md").read_text(encoding="utf-8")


def test_what_was_left_is_offered_the_next_time(home: Path) -> None:
    """FAULTS 22: Ctrl-C pauses; another start of the program offers to go on, and asks only what is left."""
    (home / "texts.txt").write_text("很好\n很差\n慢\n", encoding="utf-8")
    faults = {"OFFLINE_FAULTS": "hang@match:慢", "QUERY_TIMEOUT": "60"}
    with menu(home, environ=faults) as session:
        choose(session, "1", "texts.txt")
        session.expect("請求 0")
        session.interrupt()
        session.expect("⏸️ 批次已暫停")
        leave(session)
    with menu(home, environ={**faults, "QUERY_TIMEOUT": "0.5"}) as session:
        session.enter("7")
        session.wait_for_prompt(KIND)  # nothing was answered yet, so there is nothing to go on with
        session.enter("1")
        session.wait_for_prompt(FILE)
        session.enter("texts.txt")
        session.wait_for_prompt(EXPORT)
        session.enter()
        session.wait_for_prompt(MENU)
        session.enter("7")
        session.wait_for_prompt("上次未完成 2/3: texts.txt, 要繼續嗎? (y/N):")
        session.enter("y")
        session.expect("先前完成 2")
        session.wait_for_prompt(EXPORT)
        session.enter()
        leave(session)

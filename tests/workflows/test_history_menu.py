"""Option 10, driven by typed lines."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from core.outcome import MISSING, Answer, Outcome, OutcomeKind, RunReport
from optimizers.run_history import RunHistory
from utils.console import Console
from workflows.history_menu import HistoryMenu

Visit = Callable[[str], str]


def outcome(number: int, text: str | None) -> Outcome[Answer]:
    name = f"q{number}"
    if text is None:
        return Outcome(name, name, OutcomeKind.FAILED, 0.0, 1.0, 0.0, MISSING, reason="壞了")
    return Outcome(name, name, OutcomeKind.ANSWERED, 0.0, 1.0, 0.0, Answer(text, "m"))


def report(*answers: str | None) -> RunReport[Answer]:
    return RunReport(tuple(outcome(number, text) for number, text in enumerate(answers)), 0.0, 2.0)


@pytest.fixture
def history(tmp_path: Path) -> RunHistory:
    history = RunHistory(tmp_path / "history.sqlite3")
    history.add("蘋果", ["蘋果是什麼", "香蕉是什麼"], report("一種水果", None), model="m")
    history.add("並行", ["並行是什麼"], report("同時做事"), model="m")
    return history


@pytest.fixture
def asked() -> list[list[str]]:
    return []


@pytest.fixture
def visit(history: RunHistory, asked: list[list[str]]) -> Visit:
    def visit(typed: str) -> str:
        out = io.StringIO()
        console = Console(
            stdin=io.StringIO(typed + "\n"), stdout=out, stderr=io.StringIO(), environ={}, history_path=None
        )

        def ask(questions: Sequence[str]) -> None:
            asked.append(list(questions))

        HistoryMenu(console, history, browse=lambda questions, report: None, ask=ask).show()
        return out.getvalue()

    return visit


def test_the_runs_are_listed_newest_first(visit: Visit) -> None:
    """Number, title and outcomes of each."""
    lines = visit("").splitlines()
    assert ["並行" in lines[2], "蘋果" in lines[3]] == [True, True]
    assert "1/2" in lines[3]


def test_a_run_is_opened_by_its_number(visit: Visit) -> None:
    """Full-width digits too: its figures, its questions and the beginnings of its answers."""
    shown = visit("１\n")
    assert "🗂️ 執行紀錄 #1: 蘋果" in shown
    assert "一種水果" in shown


def test_a_run_is_asked_again_whole_or_where_it_failed(visit: Visit, asked: list[list[str]]) -> None:
    """r asks every question, f only those without an answer; where all have one there is nothing to do."""
    shown = visit("r 1\nf 1\nF 2\n")
    assert asked == [["蘋果是什麼", "香蕉是什麼"], ["香蕉是什麼"]]
    assert "沒有需要重問的" in shown


def test_two_runs_are_compared(visit: Visit) -> None:
    """Their figures side by side."""
    assert "📊 兩次執行的比較" in visit("c 1 2\n")


def test_searching_narrows_the_list(visit: Visit) -> None:
    """Questions and answers are searched; an empty search shows all again."""
    shown = visit("s 水果\ns\n")
    first, second = shown.split("選擇 (直接按 Enter 返回選單): ")[1:3]
    assert "並行" not in first
    assert "並行" in second


def test_deleting_needs_a_yes(visit: Visit, history: RunHistory) -> None:
    """Anything else keeps the run."""
    visit("d 1\nn\n")
    assert history.run(1) is not None
    assert "✅ 已刪除紀錄 1" in visit("d 1\ny\n")
    assert history.run(1) is None


def test_old_runs_are_pruned_after_a_yes(visit: Visit, history: RunHistory) -> None:
    """Beyond a number of them or an age in days, asked for where it is not given; Enter and a no change nothing."""
    assert "要刪除最舊的 1 次紀錄嗎? (y/N): " in visit("p 1\nn\n")
    assert "🗂️ 沒有需要清理的紀錄" in visit("p ３０ｄ\n")
    assert "保留最新的幾次?" in visit("p\n\n")
    assert len(history.runs()) == 2
    assert "✅ 已刪除 1 次紀錄" in visit("p\n1\ny\n")
    assert [run.id for run in history.runs()] == [2]
    assert "✅ 已刪除 1 次紀錄" in visit("p 0d\ny\n")
    assert history.runs() == ()


@pytest.mark.parametrize("typed", ["p x", "p -1", "p 1 2", "p\nx", "x", "r", "c 1", "c 1 2 3", "r x", "1 2", "d -1"])
def test_what_is_no_command_is_told(visit: Visit, typed: str) -> None:
    """One sentence, and the list comes back."""
    assert "❌ 無效的選擇" in visit(f"{typed}\n")


def test_a_run_that_is_not_there_is_told(visit: Visit) -> None:
    """By any command."""
    assert visit("9\nc 1 9\n").count("❌ 沒有這個編號的紀錄") == 2


def test_switched_off_it_says_so() -> None:
    """And asks nothing."""
    out = io.StringIO()
    console = Console(stdin=io.StringIO(""), stdout=out, stderr=io.StringIO(), environ={}, history_path=None)
    HistoryMenu(console, RunHistory(None), browse=lambda *_: None, ask=lambda _: None).show()
    assert out.getvalue() == "🗂️ 歷史紀錄已關閉 (HISTORY=off)\n"

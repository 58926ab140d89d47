"""Option 10: the runs of before: list, search, reopen, ask again, compare, delete, prune."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from core.history import StoredRun, stored_report
from core.language import marked, tr, tr_n
from core.outcome import Answer, RunReport
from optimizers.run_history import RunHistory
from utils.console import Console
from utils.history_text import compare_text, history_table, run_summary_text

__all__ = ["HistoryMenu"]

_AT_ONCE: Final = 20
_HELP: Final = marked(
    "N 看那次的回答 · r N 再問一次 · f N 只重問沒有回答的 · c N M 比較 · d N 刪除 · p 清理舊的 · s 文字 搜尋"
)
_PRUNING: Final = re.compile(r"([0-9]{1,9})( ?d| ?天)?")
_WHICH: Final = marked("保留最新的幾次? 或輸入 30d, 刪除 30 天以前的 (Enter 取消): ")
_DAY: Final = 24 * 3600

Browse = Callable[[Sequence[str], RunReport[Answer]], object]
Ask = Callable[[Sequence[str]], object]


class HistoryMenu:
    """Shows the kept runs and does with them what the person says, until Enter. For the main thread.

    browse shows the answers of a run, ask asks questions anew: both are the menu's own ways of doing it.
    """

    def __init__(self, console: Console, history: RunHistory, *, browse: Browse, ask: Ask) -> None:
        self._console = console
        self._history = history
        self._browse = browse
        self._ask = ask

    def show(self) -> None:
        if not self._history.enabled:
            self._console.write_line(tr("🗂️ 歷史紀錄已關閉 (HISTORY=off)"))
            return
        search = ""
        while True:
            runs = self._history.runs(_AT_ONCE, search=search)
            self._console.write_line(history_table(runs, self._console.width))
            self._console.write_line(tr(_HELP))
            entered = self._console.ask_plain(tr("選擇 (直接按 Enter 返回選單): "))
            if not entered:
                return
            command, _, rest = entered.partition(" ")
            if command.lower() == "s":
                search = rest.strip()
            elif not self._do(command.lower(), rest.split() if rest else []):
                self._console.write_line(tr("❌ 無效的選擇"))

    def _do(self, command: str, numbers: Sequence[str]) -> bool:
        """Do one thing; False where it was none."""
        if command.isdigit() and not numbers:
            return self._with_runs([command], lambda runs: self._open(runs[0]))
        match command, len(numbers):
            case "r", 1:
                return self._with_runs(numbers, lambda runs: self._again(runs[0], failed_only=False))
            case "f", 1:
                return self._with_runs(numbers, lambda runs: self._again(runs[0], failed_only=True))
            case "c", 2:
                return self._with_runs(numbers, self._compare)
            case "d", 1:
                return self._with_runs(numbers, lambda runs: self._delete(runs[0]))
            case "p", 0 | 1:
                return self._prune(numbers[0] if numbers else self._console.ask_plain(tr(_WHICH)))
            case _:
                return False

    def _with_runs(self, numbers: Sequence[str], action: Callable[[list[StoredRun]], object]) -> bool:
        if not all(number.isascii() and number.isdigit() for number in numbers):
            return False
        runs = [self._history.run(int(number)) for number in numbers]
        known = [run for run in runs if run is not None]
        if len(known) < len(runs):
            self._console.write_line(tr("❌ 沒有這個編號的紀錄"))
        else:
            action(known)
        return True

    def _open(self, run: StoredRun) -> None:
        items = list(self._history.items(run.id))
        self._console.write_line(run_summary_text(run, items, self._console.width))
        if self._console.is_interactive:
            self._browse([item.question for item in items], stored_report(run, items))

    def _again(self, run: StoredRun, *, failed_only: bool) -> None:
        items = self._history.items(run.id)
        questions = [item.question for item in items if not (failed_only and item.as_outcome().answered)]
        if questions:
            self._ask(questions)
        else:
            self._console.write_line(tr("🎉 那次的每個問題都有回答, 沒有需要重問的"))

    def _compare(self, runs: Sequence[StoredRun]) -> None:
        self._console.write_line(compare_text(runs[0], runs[1], self._console.width))

    def _delete(self, run: StoredRun) -> None:
        if self._console.agrees(tr("要刪除紀錄 {id} 嗎?", id=run.id)):
            self._history.delete(run.id)
            self._console.write_line(tr("✅ 已刪除紀錄 {id}", id=run.id))

    def _prune(self, which: str) -> bool:
        """Delete the oldest runs, beyond a number or an age, after a yes that knows how many; False: no such thing."""
        if not which:
            return True
        match = _PRUNING.fullmatch(which.lower())
        if match is None:
            return False
        number = int(match[1])
        keep, age = (number, None) if match[2] is None else (None, float(number * _DAY))
        count = self._history.prunable(keep_runs=keep, older_than=age)
        if not count:
            self._console.write_line(tr("🗂️ 沒有需要清理的紀錄"))
        elif self._console.agrees(tr_n("要刪除最舊的 {count:,} 次紀錄嗎?", count)):
            removed = self._history.prune(keep_runs=keep, older_than=age)
            self._console.write_line(tr_n("✅ 已刪除 {count:,} 次紀錄", removed))
        return True

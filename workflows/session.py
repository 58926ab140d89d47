"""Session: what each entry of the menu does, between the person at the console and the engine."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.clock import SYSTEM_CLOCK
from core.language import marked, tr, tr_n
from core.outcome import Answer, RunReport
from core.ports import Prompt
from utils.console import Console
from utils.cost_text import cost_report_text
from utils.interrupts import Interrupts
from utils.line_input import Pasted
from utils.rendering import executor_text, query_sets_text
from workflows.asking import Asking
from workflows.consent import agrees_to, tell_cost
from workflows.engine import Engine
from workflows.query_sets import query_sets
from workflows.reading import Reading
from workflows.settings_store import SettingsStore

if TYPE_CHECKING:
    from workflows.custom_queries import ChosenQueries, CustomQueries

__all__ = ["Session"]

_INVALID: Final = marked("❌ 無效的選擇")


class Session:
    """The menu's entries as methods. For the main thread.

    Methods raise ParallelProcessingError for what the person should read, EOFError at the end of the input and
    KeyboardInterrupt at Ctrl-C outside a run. During a run the first Ctrl-C ends the run and keeps its answers.
    """

    def __init__(self, console: Console, interrupts: Interrupts, engine: Engine, store: SettingsStore) -> None:
        self._console = console
        self._interrupts = interrupts
        self._engine = engine
        self._store = store
        self._last: tuple[Sequence[str], RunReport[Answer]] | None = None
        self._told: set[str] = set()
        self._asking = Asking(console, interrupts, engine)

    def preset(self) -> None:
        """1: one of the built-in query sets."""
        sets = query_sets()
        self._console.write_line(query_sets_text(sets, width=self._console.width))
        number = self._ask_number(tr("選擇測試集 (1-{most}): ", most=len(sets)), len(sets))
        if number is not None:
            name, queries = sets[number - 1]
            self._console.write_line(tr_n("📋 {name} ({count} 個問題)", len(queries), name=name))
            self.ask(queries)

    def custom(self) -> None:
        """2: questions of the person's own."""
        self._ask_chosen(self._custom_queries().enter())

    def pasted(self, lines: Pasted) -> None:
        """Several lines pasted where a choice was asked: questions if the person says so, commands never."""
        self._ask_chosen(self._custom_queries().pasted(lines))

    def _custom_queries(self) -> CustomQueries:
        from workflows.custom_queries import CustomQueries  # what few entries need must not keep the menu waiting
        from workflows.outlook import figures_of

        look = functools.partial(figures_of, self._engine)
        return CustomQueries(self._console, look=look, query_sets=self._query_sets)

    def _ask_chosen(self, chosen: ChosenQueries | None) -> None:
        if chosen is not None:
            self.ask(chosen.queries, agreed=chosen.agreed)

    def _query_sets(self) -> list[tuple[str, list[str]]]:
        """The latest runs of the history, newest first."""
        history = self._engine.history
        return [(run.title, [item.question for item in history.items(run.id)]) for run in history.runs(9)]

    def ask(self, queries: Sequence[str], *, agreed: bool = False) -> None:
        """Ask the questions side by side and show what came of it. agreed: the person has said yes already."""
        self._engine.wait_until_loaded()
        if not agreed and not agrees_to(self._console, self._engine, len(queries), map(Prompt, queries)):
            return
        for text, report, stopped in self._asking.passes(queries):
            self._show(queries, report, text)
            cancelled = stopped
        if cancelled:
            kept = tr("⏹️ 已中斷, 已完成 {done:,}/{total:,}; 已有的回答都保留, 可用選單 8 檢視",
                      done=report.answered, total=len(queries))  # fmt: skip
            self._console.write_line(kept)
        elif self._console.is_interactive:
            self._browse(queries, report)

    def _show(self, queries: Sequence[str], report: RunReport[Answer], text: str) -> None:
        self._last = queries, report
        self._told = {outcome.reason for outcome in report.outcomes}
        self._console.write_line(text)
        tell_cost(self._console, self._engine)

    def cache(self) -> None:
        """3: the cache's figures and entries."""
        from workflows.cache_menu import CacheMenu

        CacheMenu(self._console, self._interrupts, self._engine).show()

    def performance(self) -> None:
        """4: what was measured, and the executor's figures."""
        self._console.write_line(self._engine.monitor.report_text())
        self._console.write_line("\n" + executor_text(self._engine.executor.statistics()))
        self._console.write_line("\n" + self._breakdown_text())
        if self._last is not None:
            self._console.write_line("\n" + self._figures_text(self._last[1]))
        self._console.write_line("\n" + cost_report_text(self._engine.ledger.totals(), self._engine.last_run))

    def clear_cache(self) -> None:
        """5: forget all cached answers."""
        if self._engine.cache.clear_all():
            self._console.write_line(tr("✅ 快取已清除"))
        else:
            self._console.write_line(tr("❌ 快取沒有清除, 檔案被別的程式佔用或不能寫; 請稍後再試"))

    def batch(self) -> None:
        """7: analyse many texts, from a file or pasted."""
        from workflows.bulk_menu import BulkMenu  # what only this entry needs must not keep the menu waiting
        from workflows.list_batch import ListBatch

        lists = ListBatch(self._console, self._interrupts, self._engine)
        menu = BulkMenu(self._console, self._interrupts, self._engine)
        if menu.unfinished():
            return
        analysis = menu.choose_analysis()
        if analysis is None:
            return
        entry = self._console.ask_choice(tr("檔案 (TXT/CSV/TSV/JSONL), 或按 Enter 改為貼上: "))
        if isinstance(entry, Pasted):
            lists.analyze(entry.queries, analysis)
        elif entry.text.strip():
            menu.analyze(Path(entry.text.strip()).expanduser(), analysis)
        else:
            texts = self._console.ask_lines(tr("請貼上文字(每行一則,輸入空行結束):")).queries
            lists.analyze(texts, analysis)

    def answers(self) -> None:
        """8: whole answers of the last run."""
        if self._last is None:
            self._console.write_line(tr("❌ 還沒有執行過查詢, 請先選 1 或 2"))
        else:
            self._browse(*self._last)

    def limits(self) -> None:
        """9: the limits of the model in use."""
        from workflows.limits_menu import LimitsMenu

        LimitsMenu(self._console, self._engine, sources=self._store.load().sources).show()

    def history(self) -> None:
        """10: the runs of before."""
        from workflows.history_menu import HistoryMenu

        HistoryMenu(self._console, self._engine.history, browse=self._browse, ask=self.ask).show()

    def settings(self) -> None:
        """11: what is set, and where; changed and kept."""
        from workflows.settings_menu import SettingsMenu

        SettingsMenu(self._console, self._engine, self._store, limits=self.limits).show()

    def tell_problem(self) -> None:
        """Say once what the check of the model found, unless the run just shown has said it."""
        problem, self._engine.problem = self._engine.problem, None
        if problem is not None and problem.reason not in self._told:
            self._console.write_line(f"\n⚠️ {problem.reason}\n💡 {problem.advice}")

    def _browse(self, queries: Sequence[str], report: RunReport[Answer]) -> None:
        model = self._engine.settings.served_model
        Reading(self._console, self._interrupts, again=self.ask, model=model).show(queries, report)

    def _ask_number(self, prompt: str, most: int) -> int | None:
        number = _number(self._console.ask_plain(prompt), most)
        if number is None:
            self._console.write_line(tr(_INVALID))
        return number

    def _figures_text(self, report: RunReport[Answer]) -> str:
        from utils.run_figures import run_figures_text

        return run_figures_text(report, width=self._console.width, ascii_only=not self._console.is_unicode)

    def _breakdown_text(self) -> str:
        return self._engine.breakdown.text(
            self._engine.limiter_figures(),
            SYSTEM_CLOCK.now(),
            width=self._console.width,
            ascii_only=not self._console.is_unicode,
        )


def _number(text: str, most: int) -> int | None:
    """A number from 1 to most, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most else None

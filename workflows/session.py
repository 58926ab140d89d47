"""Session: what each entry of the menu does, between the person at the console and the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from core.clock import SYSTEM_CLOCK
from core.outcome import Answer, Outcome, RunReport
from core.ports import Prompt
from core.scope import Scope
from optimizers.analyses import Analysis
from utils.console import Console
from utils.cost_text import cost_report_text, estimate_text, run_cost_line
from utils.interrupts import Interrupts
from utils.line_input import Pasted
from utils.live_view import LiveView
from utils.rendering import batch_table, executor_text, query_sets_text
from workflows.asking import Asking
from workflows.engine import Engine
from workflows.parts import ASK_ABOVE
from workflows.query_sets import QUERY_SETS
from workflows.reading import Reading

__all__ = ["Session"]

_INVALID: Final = "❌ 無效的選擇"


class Session:
    """The menu's entries as methods. For the main thread.

    Methods raise ParallelProcessingError for what the person should read, EOFError at the end of the input and
    KeyboardInterrupt at Ctrl-C outside a run. During a run the first Ctrl-C ends the run and keeps its answers.
    """

    def __init__(self, console: Console, interrupts: Interrupts, engine: Engine) -> None:
        self._console = console
        self._interrupts = interrupts
        self._engine = engine
        self._last: tuple[Sequence[str], RunReport[Answer]] | None = None
        self._told: set[str] = set()
        self._asking = Asking(console, interrupts, engine)

    def preset(self) -> None:
        """1: one of the built-in query sets."""
        self._console.write_line(query_sets_text(QUERY_SETS, width=self._console.width))
        number = self._ask_number(f"選擇測試集 (1-{len(QUERY_SETS)}): ", len(QUERY_SETS))
        if number is not None:
            name, queries = QUERY_SETS[number - 1]
            self._console.write_line(f"📋 {name} ({len(queries)} 個問題)")
            self.ask(queries)

    def custom(self) -> None:
        """2: questions of the person's own."""
        entered = self._console.ask_lines("請輸入多個問題(每行一個,輸入空行結束):")
        if not entered.queries:
            self._console.write_line("❌ 沒有輸入查詢")
        else:
            self.ask(entered.queries)

    def pasted(self, lines: Pasted) -> None:
        """Several lines pasted where a choice was asked: questions if the person says so, commands never."""
        count = len(lines.queries)
        if count and self._console.agrees(f"貼上的是多行文字, 要當成 {count:,} 個問題執行嗎?"):
            self.ask(lines.queries)

    def ask(self, queries: Sequence[str]) -> None:
        """Ask the questions side by side and show what came of it."""
        self._engine.wait_until_loaded()
        if not self._agrees_to(len(queries), map(Prompt, queries), "個問題"):
            return
        for text, report, stopped in self._asking.passes(queries):
            self._show(queries, report, text)
            cancelled = stopped
        if cancelled:
            done = f"{report.answered:,}/{len(queries):,}"
            self._console.write_line(f"⏹️ 已中斷, 已完成 {done}; 已有的回答都保留, 可用選單 8 檢視")
        elif self._console.is_interactive:
            self._browse(queries, report)

    def _show(self, queries: Sequence[str], report: RunReport[Answer], text: str) -> None:
        self._last = queries, report
        self._told = {outcome.reason for outcome in report.outcomes}
        self._console.write_line(text)
        self._tell_cost()

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
        self._engine.cache.clear_all()
        self._console.write_line("✅ 快取已清除")

    def batch(self) -> None:
        """7: analyse many texts, from a file or pasted."""
        from workflows.bulk_menu import BulkMenu  # what only this entry needs must not keep the menu waiting

        menu = BulkMenu(self._console, self._interrupts, self._engine)
        if menu.unfinished():
            return
        analysis = menu.choose_analysis()
        if analysis is None:
            return
        entry = self._console.ask_choice("檔案 (TXT/CSV/TSV/JSONL), 或按 Enter 改為貼上: ")
        if isinstance(entry, Pasted):
            self._analyze_list(entry.queries, analysis)
        elif entry.text.strip():
            menu.analyze(Path(entry.text.strip()).expanduser(), analysis)
        else:
            texts = self._console.ask_lines("請貼上文字(每行一則,輸入空行結束):").queries
            self._analyze_list(texts, analysis)

    def answers(self) -> None:
        """8: whole answers of the last run."""
        if self._last is None:
            self._console.write_line("❌ 還沒有執行過查詢, 請先選 1 或 2")
        else:
            self._browse(*self._last)

    def limits(self) -> None:
        """9: the limits of the model in use."""
        from workflows.limits_menu import LimitsMenu

        LimitsMenu(self._console, self._engine).show()

    def history(self) -> None:
        """10: the runs of before."""
        from workflows.history_menu import HistoryMenu

        HistoryMenu(self._console, self._engine.history, browse=self._browse, ask=self.ask).show()

    def tell_problem(self) -> None:
        """Say once what the check of the model found, unless the run just shown has said it."""
        problem, self._engine.problem = self._engine.problem, None
        if problem is not None and problem.reason not in self._told:
            self._console.write_line(f"\n⚠️ {problem.reason}\n💡 {problem.advice}")

    def _browse(self, queries: Sequence[str], report: RunReport[Answer]) -> None:
        model = self._engine.settings.served_model
        Reading(self._console, self._interrupts, again=self.ask, model=model).show(queries, report)

    def _analyze_list(self, texts: Sequence[str], analysis: Analysis) -> None:
        if not texts:
            self._console.write_line("❌ 沒有輸入文字")
        elif self._agrees_to(len(texts), map(analysis.prompt, texts), "則文字"):
            self._analyze(texts, len(texts), analysis)

    def _analyze(self, texts: Iterable[str], total: int | None, analysis: Analysis) -> None:
        self._engine.wait_until_loaded()
        count = "" if total is None else f" {total:,} 則文字"
        self._console.write_line(f"📦 開始批次處理{count} ({analysis.title})")
        kept: list[str] = []
        outcomes: dict[int, Outcome[str]] = {}
        with LiveView(self._console, total=total, limiter=self._engine.limiter_figures) as view:
            scope = Scope(observer=view.observe)
            with self._interrupts.during(scope.cancel):
                outcomes.update(self._engine.analyze(texts, analysis, kept=kept, scope=scope))
        self._console.discard_typed()
        rows = [(text, outcomes[index]) for index, text in enumerate(kept) if index in outcomes]
        self._console.write_line(batch_table(rows, labels=analysis.labels, width=self._console.width))
        self._tell_cost()
        if total is not None and len(rows) < total:
            self._console.write_line(f"⏹️ 其餘 {total - len(rows):,} 則沒有處理")

    def _ask_number(self, prompt: str, most: int) -> int | None:
        number = _number(self._console.ask_plain(prompt), most)
        if number is None:
            self._console.write_line(_INVALID)
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

    def _tell_cost(self) -> None:
        if self._engine.last_run is not None:
            self._console.write_line(run_cost_line(self._engine.last_run))

    def _agrees_to(self, count: int, prompts: Iterable[Prompt], what: str) -> bool:
        """Ask once before a large run; without a person to ask, the input itself is the yes."""
        if count <= ASK_ABOVE:
            return True
        self._console.write_line(estimate_text(self._engine.estimate(prompts), what=what))
        return not self._console.is_interactive or self._console.agrees("要執行嗎?")


def _number(text: str, most: int) -> int | None:
    """A number from 1 to most, or None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most else None

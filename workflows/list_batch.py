"""A batch of texts that were pasted or typed: analysed side by side and shown as a table."""

from __future__ import annotations

from collections.abc import Sequence

from core.language import tr, tr_n
from core.outcome import Outcome
from core.scope import Scope
from optimizers.analyses import Analysis
from utils.console import Console
from utils.interrupts import Interrupts
from utils.live_view import LiveView
from utils.rendering import batch_table
from workflows.consent import agrees_to, tell_cost
from workflows.engine import Engine
from workflows.steering import run_controls

__all__ = ["ListBatch"]


class ListBatch:
    """Analyses lists of texts and shows them while they are analysed. For the main thread."""

    def __init__(self, console: Console, interrupts: Interrupts, engine: Engine) -> None:
        self._console = console
        self._interrupts = interrupts
        self._engine = engine

    def analyze(self, texts: Sequence[str], analysis: Analysis) -> None:
        if not texts:
            self._console.write_line(tr("❌ 沒有輸入文字"))
        elif agrees_to(self._console, self._engine, len(texts), map(analysis.prompt, texts), texts=True):
            self._run(texts, analysis)

    def _run(self, texts: Sequence[str], analysis: Analysis) -> None:
        self._engine.wait_until_loaded()
        title = tr(analysis.title)
        self._console.write_line(tr_n("📦 開始批次處理 {count:,} 則文字 ({title})", len(texts), title=title))
        outcomes: dict[int, Outcome[str]] = {}
        scope = Scope()
        view = LiveView(
            self._console,
            total=len(texts),
            limiter=self._engine.limiter_figures,
            spend=self._engine.spent,
            controls=run_controls(self._engine, scope.cancel),
        )
        scope.observer = view.observe
        with view, self._interrupts.during(scope.cancel):
            outcomes.update(self._engine.analyze(texts, analysis, kept=[], scope=scope))
        self._console.discard_typed()
        rows = [(texts[index], outcomes[index]) for index in sorted(outcomes)]
        self._console.write_line(batch_table(rows, labels=analysis.labels, width=self._console.width))
        tell_cost(self._console, self._engine)
        if len(rows) < len(texts):
            self._console.write_line(tr_n("⏹️ 其餘 {count:,} 則沒有處理", len(texts) - len(rows)))

"""A set of questions, asked of one model after the other as their quotas of the day allow, and kept in the history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from core.cost import Spend
from core.outcome import Answer, RunReport
from core.scope import Scope
from utils.console import Console
from utils.interrupts import Interrupts
from utils.live_view import ListedTask, LiveView
from utils.rendering import aggregate_text
from workflows.engine import Engine
from workflows.fallback import Fallback, merged
from workflows.steering import run_controls

__all__ = ["Asking"]


class Asking:
    """Asks sets of questions and shows them on the console while they are asked. For the main thread."""

    def __init__(self, console: Console, interrupts: Interrupts, engine: Engine) -> None:
        self._console = console
        self._interrupts = interrupts
        self._engine = engine
        self._fallback = Fallback(console, engine)

    def passes(self, queries: Sequence[str]) -> Iterator[tuple[str, RunReport[Answer], bool]]:
        """Yield the overview, the whole report so far and whether it was stopped, once for each model asked.

        However it ends, what came of it is in the history, once.
        """
        text, report, cancelled = self._once(queries, range(len(queries)))
        spend = self._engine.last_run or Spend()
        try:
            yield text, report, cancelled
            while not cancelled and (places := self._fallback.switch(report)):
                _, later, cancelled = self._once(queries, places)
                report = merged(report, places, later)
                spend += self._engine.last_run or Spend()
                yield self._overview(queries, report), report, cancelled
        finally:
            self._engine.history.add(queries[0], queries, report, model=self._engine.settings.served_model, spend=spend)

    def _once(self, queries: Sequence[str], places: Sequence[int]) -> tuple[str, RunReport[Answer], bool]:
        """Ask those of the queries at the places, which keep the numbers that the person knows them by."""
        asked = [queries[place] for place in places]
        scope = Scope()
        view = LiveView(
            self._console,
            limiter=self._engine.limiter_figures,
            spend=self._engine.spent,
            controls=run_controls(self._engine, scope.cancel),
            tasks=[ListedTask(place + 1, f"query_{i}", queries[place]) for i, place in enumerate(places)],
        )
        with view, self._interrupts.during(scope.cancel):
            state = self._engine.ask(asked, scope=scope, observer=view.observe)
        self._console.discard_typed()
        return self._overview(asked, state["report"]), state["report"], scope.cancelled

    def _overview(self, queries: Sequence[str], report: RunReport[Answer]) -> str:
        columns = self._console.width if self._console.is_terminal else None
        return aggregate_text(report, queries, self._engine.cache.get_stats(), columns=columns)

"""When a model's quota of the day is used up in the middle of a run: another model for what is left, or later."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import ErrorKind, ModelError
from core.language import tr, tr_n
from core.outcome import Answer, Outcome, OutcomeKind, RunReport
from core.pacific import next_pacific_midnight
from utils.console import Console
from utils.cost_text import duration_text
from workflows.engine import Engine

__all__ = ["Fallback", "left_over", "merged"]


class Fallback:
    """Goes over to the next model whose quota of the day is not used up. For the main thread.

    The model of the start counts as one of them again once its quota has come back.
    """

    def __init__(self, console: Console, engine: Engine, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._console = console
        self._engine = engine
        self._clock = clock
        self._first = engine.settings.model
        self._over: dict[str, float] = {}  # Unix times before which a model need not be asked

    def switch(self, report: RunReport[Answer]) -> list[int]:
        """The places of the run to ask again, now that the engine has another model; empty: it has the same.

        The person, or GEMINI_FALLBACK=auto, has agreed. Otherwise the screen says how to go on later.
        """
        places = left_over(report)
        if not places:
            return []
        self._over[self._engine.settings.model] = self._resets_at()
        while (name := self._next()) is not None and self._wanted(name, len(places)):
            try:
                self._engine.use_model(name)
            except ModelError as error:
                self._over[name] = error.resets_at or math.inf
                self._console.write_line(tr("⚠️ 無法改用 {name}: {reason}", name=name, reason=error.reason))
            else:
                told = tr_n("🔄 改用 {name} 問剩下的 {count:,} 個問題 (之後的查詢也用它)", len(places), name=name)
                self._console.write_line(told)
                return places
        self._tell_how_to_go_on()
        return []

    def _next(self) -> str | None:
        now, current = self._clock.wall(), self._engine.settings.model
        names = (self._first, *self._engine.settings.fallback_models)
        return next((name for name in names if name != current and self._over.get(name, now) <= now), None)

    def _resets_at(self) -> float:
        figures = self._engine.limiter_figures()
        known = None if figures is None else figures.day_resets_at
        return next_pacific_midnight(self._clock.wall()) if known is None else known

    def _tell_how_to_go_on(self) -> None:
        settings = self._engine.settings
        told = tr("💡 已有的回答可用選單 8 檢視")
        if settings.cache_ttl:
            told = tr(
                "💡 已有的回答可用選單 8 檢視; {duration}內 (CACHE_TTL) 用同一個模型再問同一組, 只會問還沒有回答的",
                duration=duration_text(settings.cache_ttl),
            )
        self._console.write_line(told)
        if not settings.fallback_models:
            self._console.write_line(tr("💡 設定 GEMINI_FALLBACK_MODELS=模型,模型 就能在配額用完時改用其他模型"))
        elif not (settings.fallback_unasked or self._console.is_interactive):
            self._console.write_line(tr("💡 設定 GEMINI_FALLBACK=auto 就會不先詢問, 直接改用其他模型"))

    def _wanted(self, name: str, left: int) -> bool:
        if self._engine.settings.fallback_unasked:
            return True
        if not self._console.is_interactive:
            return False
        return self._console.agrees(tr_n("今日配額用完, 要改用 {name} 問剩下的 {count:,} 個問題嗎?", left, name=name))


def left_over(report: RunReport[Answer]) -> list[int]:
    """The places of the outcomes that a used-up quota of the day has cost; empty if it was not the cause."""
    if not any(_day_is_over(outcome) for outcome in report.outcomes):
        return []
    return [
        place
        for place, outcome in enumerate(report.outcomes)
        if _day_is_over(outcome) or outcome.kind is OutcomeKind.NOT_RUN
    ]


def merged(report: RunReport[Answer], places: Sequence[int], later: RunReport[Answer]) -> RunReport[Answer]:
    """The report with the later outcomes in those places; it has taken both runs' time."""
    outcomes = list(report.outcomes)
    for place, outcome in zip(places, later.outcomes, strict=True):
        outcomes[place] = outcome
    return RunReport(tuple(outcomes), later.started_at - report.wall_seconds, later.ended_at)


def _day_is_over(outcome: Outcome[Answer]) -> bool:
    return isinstance(outcome.error, ModelError) and outcome.error.kind is ErrorKind.QUOTA_DAY

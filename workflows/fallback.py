"""When a model's quota of the day is used up in the middle of a run: another model for what is left, or later."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import ErrorKind, ModelError
from core.outcome import Answer, Outcome, OutcomeKind, RunReport
from utils.console import Console
from workflows.engine import Engine

__all__ = ["Fallback", "left_over", "merged"]


class Fallback:
    """Finds the model to go on with. Each model is offered once in the life of the program. For the main thread."""

    def __init__(self, console: Console, engine: Engine) -> None:
        self._console = console
        self._engine = engine
        self._used = {engine.settings.model}

    def model_for(self, report: RunReport[Answer]) -> str | None:
        """The model that the person (or GEMINI_FALLBACK=auto) wants for what the run has left over, if any."""
        left = len(left_over(report))
        if not left:
            return None
        settings = self._engine.settings
        name = next((each for each in settings.fallback_models if each not in self._used), None)
        if name is None:
            self._console.write_line("💡 已有的回答都在; 配額重置後 (或換模型後) 再問同一組, 快取裡有的不會重問")
            if not settings.fallback_models:
                self._console.write_line("💡 設定 GEMINI_FALLBACK_MODELS=模型,模型 就能在配額用完時改用其他模型")
            return None
        if not self._wanted(name, left):
            return None
        self._used.add(name)
        self._console.write_line(f"🔄 改用 {name} 問剩下的 {left:,} 個問題 (之後的查詢也用它)")
        return name

    def _wanted(self, name: str, left: int) -> bool:
        if self._engine.settings.fallback_unasked:
            return True
        if not self._console.is_interactive:
            return False
        answer = self._console.ask_plain(f"今日配額用完, 要改用 {name} 問剩下的 {left:,} 個問題嗎? (y/N): ")
        return answer.lower() in ("y", "yes", "是", "好")


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

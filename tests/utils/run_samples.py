"""Runs of questions to draw and to export, made by hand or by Hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from core.outcome import MISSING, Answer, AnswerSource, CallFigures, Outcome, OutcomeKind, RunReport, Usage
from utils.run_items import RunHead, RunItem

__all__ = ["head", "item", "items_strategy", "outcome", "report"]

_START = 1000.0


def outcome(
    name: str,
    started: float | None,
    ended: float,
    *,
    submitted: float = 0.0,
    service: float = 0.0,
    limiter: float = 0.0,
    kind: OutcomeKind = OutcomeKind.ANSWERED,
    source: AnswerSource = AnswerSource.MODEL,
    text: str = "好",
) -> Outcome[Answer]:
    """An outcome whose instants are given from the run's start."""
    answered = kind is OutcomeKind.ANSWERED
    return Outcome(
        task_id=name,
        name=name,
        kind=kind,
        submitted_at=_START + submitted,
        started_at=None if started is None else _START + started,
        ended_at=_START + ended,
        value=Answer(text, "gemini", Usage(1, 2, 3), source=source) if answered else MISSING,
        reason="" if answered else "伺服器忙碌中",
        figures=CallFigures(int(service > 0), limiter, service, Usage(1, 2, 3) if service else Usage()),
    )


def report(*outcomes: Outcome[Answer], wall: float) -> RunReport[Answer]:
    return RunReport(outcomes, _START, _START + wall)


def item(number: int = 1, question: str = "問題", kind: OutcomeKind = OutcomeKind.ANSWERED, **rest: Any) -> RunItem:
    if kind is OutcomeKind.ANSWERED:
        rest = {"answer": "好", "model": "gemini", "source": AnswerSource.MODEL, **rest}
    return RunItem(number, question, kind, **rest)


def head(wall: float = 4.0, serial: float = 8.0, longest: float = 2.0, **rest: Any) -> RunHead:
    return RunHead(**{"title": "標題", "model": "gemini", "created": 0.0, **rest}, wall_seconds=wall,
                   serial_seconds=serial, longest_seconds=longest)  # fmt: skip


def items_strategy(text: st.SearchStrategy[str], *, most: int = 8) -> st.SearchStrategy[list[RunItem]]:
    """Items as a run may leave them, also with sums of hedged calls and a clock that was a little behind."""
    seconds = st.floats(0, 100) | st.integers(0, 5).map(float)
    tokens = st.builds(Usage, *[st.integers(0, 10**6)] * 3)

    def build(number: int, parts: tuple[Any, ...]) -> RunItem:
        question, answer, reason, kind, source, truncated, taken, times, sums, attempts, usage = parts
        answered = kind is OutcomeKind.ANSWERED
        submitted, waited, worked = times
        started = submitted + waited if taken or answered else None
        return RunItem(
            number=number,
            question=question,
            kind=kind,
            answer=answer if answered else "",
            reason="" if answered else reason,
            model=reason if answered else "",
            source=source if answered else None,
            truncated=truncated and answered,
            submitted=submitted,
            started=started,
            ended=submitted + waited + worked,
            limiter_seconds=sums[0],
            service_seconds=sums[1],
            attempts=attempts,
            tokens=usage,
        )

    parts = st.tuples(
        text, text, text, st.sampled_from(OutcomeKind), st.sampled_from(AnswerSource), st.booleans(), st.booleans(),
        st.tuples(st.just(-0.001) | st.floats(0, 50), seconds, seconds), st.tuples(seconds, seconds),
        st.integers(0, 9), tokens,
    )  # fmt: skip
    return st.lists(parts, max_size=most).map(lambda all_: [build(number, each) for number, each in enumerate(all_, 1)])

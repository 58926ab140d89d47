"""Kept runs as rows of a table, and back. A row that this program would not have written is no run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from core.cost import Spend
from core.history import ServiceTimes, StoredItem, StoredRun
from core.outcome import Answer, AnswerSource, Outcome, OutcomeKind, RunReport, Usage

__all__ = [
    "ITEM_COLUMNS", "RUN_COLUMNS", "SAVINGS", "SAVING_COLUMNS", "SCHEMA", "item_of", "item_rows", "run_of", "run_row",
    "saving_of", "saving_row",
]  # fmt: skip

RUN_COLUMNS: Final = (
    "title", "started_wall", "wall_seconds", "model", "counts", "prompt_tokens", "answer_tokens", "thinking_tokens",
    "money", "serial_seconds", "longest_seconds", "service_tasks", "service_mean", "service_p50", "service_p95",
)  # fmt: skip
ITEM_COLUMNS: Final = (
    "number", "question", "kind", "ended", "started", "answer", "reason", "advice", "model", "source", "truncated",
    "queue_seconds", "limiter_seconds", "service_seconds", "attempts", "prompt_tokens", "answer_tokens",
    "thinking_tokens",
)  # fmt: skip
SCHEMA: Final = (
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, started_wall REAL NOT NULL,
        wall_seconds REAL NOT NULL, model TEXT NOT NULL, counts TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,
        answer_tokens INTEGER NOT NULL, thinking_tokens INTEGER NOT NULL, money TEXT, serial_seconds REAL NOT NULL,
        longest_seconds REAL NOT NULL, service_tasks INTEGER NOT NULL, service_mean REAL NOT NULL,
        service_p50 REAL NOT NULL, service_p95 REAL NOT NULL, bytes INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE items (
        run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE, number INTEGER NOT NULL, question TEXT NOT NULL,
        kind TEXT NOT NULL, ended REAL NOT NULL, started REAL, answer TEXT NOT NULL, reason TEXT NOT NULL,
        advice TEXT NOT NULL, model TEXT NOT NULL, source TEXT NOT NULL, truncated INTEGER NOT NULL,
        queue_seconds REAL NOT NULL, limiter_seconds REAL NOT NULL, service_seconds REAL NOT NULL,
        attempts INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, answer_tokens INTEGER NOT NULL,
        thinking_tokens INTEGER NOT NULL, PRIMARY KEY (run, number)
    )""",
)
# Beside the first two, so that a file of before has all that it needs, and a program of before can go on with this one.
SAVING_COLUMNS: Final = ("tokens", "money", "unpriced")
SAVINGS: Final = """CREATE TABLE IF NOT EXISTS savings (
    run INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE, tokens INTEGER NOT NULL, money TEXT NOT NULL,
    unpriced INTEGER NOT NULL
)"""

_TITLE_CHARACTERS: Final = 200
_NO_ANSWER: Final = Answer("", "")
_LARGEST: Final = 2**63
_MOST_MONEY: Final = Decimal(10) ** 12


def run_row(
    title: str, model: str, report: RunReport[Answer], spend: Spend | None, started_wall: float
) -> tuple[Any, ...]:
    """The values of RUN_COLUMNS. Without a spend the tokens are those of the outcomes, and the money is unknown."""
    counts = {kind.value: count for kind, count in report.counts.items() if count}
    usages = [outcome.figures.usage for outcome in report.outcomes] if spend is None else [spend]
    money = None if spend is None or spend.money is None else str(spend.money)
    service = ServiceTimes.of(each.figures.service_seconds for each in report.outcomes if each.figures.attempts)
    return (
        title[:_TITLE_CHARACTERS],
        started_wall,
        report.wall_seconds,
        model,
        json.dumps(counts),
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.answer_tokens for usage in usages),
        sum(usage.thinking_tokens for usage in usages),
        money,
        report.serial_seconds,
        report.longest_seconds,
        service.tasks,
        service.mean,
        service.p50,
        service.p95,
    )


def item_rows(
    questions: Sequence[str], report: RunReport[Answer], clean: Callable[[str], str]
) -> Iterator[tuple[Any, ...]]:
    """The values of ITEM_COLUMNS for each question, every text of them cleaned."""
    for number, (question, outcome) in enumerate(zip(questions, report.outcomes, strict=True), 1):
        yield number, clean(question), *_item_values(outcome, report.started_at, clean)


def saving_row(spend: Spend | None) -> tuple[Any, ...] | None:
    """The values of SAVING_COLUMNS; None where nothing was saved, or nobody knows."""
    if spend is None or not spend.saved_calls:
        return None
    return spend.saved_tokens, str(spend.known_saved_money), spend.unpriced_saved


def saving_of(row: Sequence[Any]) -> tuple[int, int, Decimal, int] | None:
    """A row of run and SAVING_COLUMNS, checked."""
    try:
        run, tokens, money, unpriced = row
        return _count(run), _count(tokens), _money(_text(money)), _count(unpriced)
    except ValueError:
        return None


def run_of(row: Sequence[Any]) -> StoredRun | None:
    """The run in a row of id and RUN_COLUMNS."""
    try:
        number, title, started, wall, model, counts, prompt, answer, thinking, money, serial, longest, *service = row
        return StoredRun(
            id=_count(number),
            title=_text(title),
            started_wall=_real(started),
            wall_seconds=_real(wall),
            model=_text(model),
            counts=_counts(json.loads(_text(counts))),
            prompt_tokens=_count(prompt),
            answer_tokens=_count(answer),
            thinking_tokens=_count(thinking),
            money=None if money is None else _money(_text(money)),
            serial_seconds=_real(serial),
            longest_seconds=_real(longest),
            service=ServiceTimes(_count(service[0]), *map(_real, service[1:])),
        )
    except (ValueError, RecursionError):
        return None


def item_of(row: Sequence[Any]) -> StoredItem | None:
    """The item in a row of ITEM_COLUMNS."""
    try:
        number, question, kind, ended, started, answer, reason, advice, model, source, truncated, *figures = row
        queue, limiter, service, attempts, *tokens = figures
        return StoredItem(
            number=_count(number),
            question=_text(question),
            kind=OutcomeKind(kind),
            ended=_real(ended),
            started=None if started is None else _real(started),
            answer=_text(answer),
            reason=_text(reason),
            advice=_text(advice),
            model=_text(model),
            source=AnswerSource(source),
            truncated=bool(_count(truncated)),
            queue_seconds=_real(queue),
            limiter_seconds=_real(limiter),
            service_seconds=_real(service),
            attempts=_count(attempts),
            usage=Usage(*map(_count, tokens)),
        )
    except ValueError:
        return None


def _item_values(outcome: Outcome[Answer], beginning: float, clean: Callable[[str], str]) -> tuple[Any, ...]:
    answer = outcome.value if isinstance(outcome.value, Answer) else _NO_ANSWER
    figures = outcome.figures
    return (
        outcome.kind.value,
        outcome.ended_at - beginning,
        None if outcome.started_at is None else outcome.started_at - beginning,
        clean(answer.text),
        clean(outcome.reason),
        clean(outcome.advice),
        clean(answer.model),
        answer.source.value,
        answer.truncated,
        outcome.queue_seconds,
        figures.limiter_seconds,
        figures.service_seconds,
        figures.attempts,
        figures.usage.prompt_tokens,
        figures.usage.answer_tokens,
        figures.usage.thinking_tokens,
    )


def _counts(data: Any) -> Mapping[OutcomeKind, int]:
    if not isinstance(data, dict):
        raise ValueError("no counts")
    return {OutcomeKind(kind): _count(count) for kind, count in data.items()}


def _money(text: str) -> Decimal:
    try:
        money = Decimal(text)
    except InvalidOperation:
        raise ValueError("no amount") from None
    if not (money.is_finite() and 0 <= money < _MOST_MONEY):
        raise ValueError("no amount")
    return money


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    return value


def _real(value: Any) -> float:
    if not isinstance(value, float) or not math.isfinite(value):
        raise ValueError("no number")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _LARGEST:  # True is an int, too
        raise ValueError("no count")
    return value

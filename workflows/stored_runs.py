"""Kept runs as exports and JSON have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

from core.history import StoredItem, StoredRun
from core.outcome import OutcomeKind, Usage
from utils.cost_text import money_text
from utils.run_items import RunHead, RunItem

__all__ = ["amount", "head_of_run", "instant", "items_of_run", "run_object"]


def run_object(run: StoredRun) -> dict[str, object]:
    """The run's figures as JSON has them. usd is None where nobody knows the price."""
    return {
        "id": run.id,
        "started": instant(run.started_wall),
        "title": run.title,
        "model": run.model,
        "questions": run.questions,
        "answered": run.answered,
        "counts": {kind.value: count for kind, count in run.counts.items()},
        "wall_seconds": round(run.wall_seconds, 6),
        "serial_seconds": round(run.serial_seconds, 6),
        "speed_up": round(run.speed_up, 6),
        "service_mean": round(run.service.mean, 6),
        "service_p50": round(run.service.p50, 6),
        "service_p95": round(run.service.p95, 6),
        "prompt_tokens": run.prompt_tokens,
        "output_tokens": run.output_tokens,
        "usd": amount(run.money),
    }


def head_of_run(run: StoredRun) -> RunHead:
    """What stands above the run's items in an export."""
    return RunHead(
        title=run.title,
        model=run.model,
        created=run.started_wall,
        wall_seconds=run.wall_seconds,
        serial_seconds=run.serial_seconds,
        longest_seconds=run.longest_seconds,
        counts=run.counts,
        tokens=Usage(run.prompt_tokens, run.answer_tokens, run.thinking_tokens),
        money="" if run.money is None else money_text(run.money),
    )


def items_of_run(items: Iterable[StoredItem]) -> Iterator[RunItem]:
    """The run's questions for an export, one at a time."""
    for item in items:
        yield RunItem(
            number=item.number,
            question=item.question,
            kind=item.kind,
            answer=item.answer,
            reason=item.reason,
            model=item.model,
            source=item.source if item.kind is OutcomeKind.ANSWERED else None,
            truncated=item.truncated,
            submitted=(item.ended if item.started is None else item.started) - item.queue_seconds,
            started=item.started,
            ended=item.ended,
            limiter_seconds=item.limiter_seconds,
            service_seconds=item.service_seconds,
            attempts=item.attempts,
            tokens=item.usage,
        )


def instant(wall: float | None) -> str | None:
    """A Unix time as ISO 8601 in UTC; None for one that no calendar has."""
    if wall is None:
        return None
    try:
        return datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, OSError, ValueError):
        return None


def amount(money: Decimal | None) -> float | None:
    """US dollars as JSON's number."""
    return None if money is None else float(money)

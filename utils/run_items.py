"""The nouns of a finished run of questions, as its figures and its exports need them. All frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.outcome import Answer, AnswerSource, Outcome, OutcomeKind, RunReport, Usage

__all__ = ["RunHead", "RunItem", "head_of", "items_of"]


@dataclass(frozen=True, slots=True)
class RunItem:
    """One question of a run with what became of it. number counts from 1, in the order of the input.

    submitted, started and ended are seconds from the run's start; started is None where no worker took the task.
    answer is "", model is "" and source is None unless kind is ANSWERED; reason is "" if it is. tokens, attempts and
    the two sums of seconds are what this task's own calls cost: nothing for an answer from the cache.
    """

    number: int
    question: str
    kind: OutcomeKind
    answer: str = ""
    reason: str = ""
    model: str = ""
    source: AnswerSource | None = None
    truncated: bool = False
    submitted: float = 0.0
    started: float | None = None
    ended: float = 0.0
    limiter_seconds: float = 0.0
    service_seconds: float = 0.0
    attempts: int = 0
    tokens: Usage = field(default_factory=Usage)

    @property
    def run_seconds(self) -> float:
        """Seconds a worker had the task; 0.0 if none did."""
        return 0.0 if self.started is None else self.ended - self.started


@dataclass(frozen=True, slots=True)
class RunHead:
    """What stands above the items of a run. created: wall-clock seconds; money: as text, "" if nobody knows.

    The durations are seconds, with RunReport's meanings. Tokens are the sums of the items'.
    """

    title: str
    model: str
    created: float
    wall_seconds: float
    serial_seconds: float
    longest_seconds: float
    counts: Mapping[OutcomeKind, int] = field(default_factory=dict)
    tokens: Usage = field(default_factory=Usage)
    money: str = ""

    @property
    def speed_up(self) -> float:
        """serial_seconds ÷ wall_seconds; 0.0 for an empty run."""
        return self.serial_seconds / self.wall_seconds if self.wall_seconds > 0 else 0.0

    @property
    def speed_up_limit(self) -> float:
        """The speed-up that unlimited workers could have reached."""
        return self.serial_seconds / self.longest_seconds if self.longest_seconds > 0 else 0.0


def head_of(
    report: RunReport[Answer], *, title: str = "", model: str = "", created: float = 0.0, money: str = ""
) -> RunHead:
    """The head of a report; what the report does not know is given."""
    usages = [outcome.figures.usage for outcome in report.outcomes]
    return RunHead(
        title=title,
        model=model,
        created=created,
        wall_seconds=report.wall_seconds,
        serial_seconds=report.serial_seconds,
        longest_seconds=report.longest_seconds,
        counts={kind: count for kind, count in report.counts.items() if count},
        tokens=Usage(
            sum(usage.prompt_tokens for usage in usages),
            sum(usage.answer_tokens for usage in usages),
            sum(usage.thinking_tokens for usage in usages),
        ),
        money=money,
    )


def items_of(queries: Sequence[str], report: RunReport[Answer]) -> Iterator[RunItem]:
    """The report's outcomes with their questions, which are in the same order and as many (ValueError if not)."""
    for number, (query, outcome) in enumerate(zip(queries, report.outcomes, strict=True), 1):
        yield _item(number, query, outcome, report.started_at)


def _item(number: int, query: str, outcome: Outcome[Answer], beginning: float) -> RunItem:
    answer = outcome.value if isinstance(outcome.value, Answer) else None
    figures = outcome.figures
    return RunItem(
        number=number,
        question=query,
        kind=outcome.kind,
        answer="" if answer is None else answer.text,
        reason=outcome.reason,
        model="" if answer is None else answer.model,
        source=None if answer is None else answer.source,
        truncated=answer is not None and answer.truncated,
        submitted=outcome.submitted_at - beginning,
        started=None if outcome.started_at is None else outcome.started_at - beginning,
        ended=outcome.ended_at - beginning,
        limiter_seconds=figures.limiter_seconds,
        service_seconds=figures.service_seconds,
        attempts=figures.attempts,
        tokens=figures.usage,
    )

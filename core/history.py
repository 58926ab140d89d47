"""The nouns of the history: a run that was kept, its questions with what became of them. All frozen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final

from core.outcome import MISSING, Answer, AnswerSource, CallFigures, Outcome, OutcomeKind, RunReport, Usage

__all__ = ["HistoryTotals", "RunSums", "ServiceTimes", "StoredItem", "StoredRun", "stored_report"]


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """What the model's service took for the tasks of a run that it was asked for. Seconds; all 0 for no task.

    Percentiles are of the nearest rank: the smallest time that at least so many percent do not exceed.
    """

    tasks: int = 0
    mean: float = 0.0
    p50: float = 0.0
    p95: float = 0.0

    @classmethod
    def of(cls, seconds: Iterable[float]) -> ServiceTimes:
        ordered = sorted(seconds)
        if not ordered:
            return cls()
        return cls(len(ordered), sum(ordered) / len(ordered), _nearest_rank(ordered, 50), _nearest_rank(ordered, 95))


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One kept run and its figures. id: its number, never given to another run; started_wall: Unix time.

    questions = the sum of counts; kinds that did not occur may be absent from counts. Tokens and money are what the
    run spent; money (US dollars) is None where nobody knows the price. Durations are seconds, with RunReport's
    meanings.
    """

    id: int
    title: str
    started_wall: float
    wall_seconds: float
    model: str
    counts: Mapping[OutcomeKind, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    answer_tokens: int = 0
    thinking_tokens: int = 0
    money: Decimal | None = None
    serial_seconds: float = 0.0
    longest_seconds: float = 0.0
    service: ServiceTimes = field(default_factory=ServiceTimes)

    @property
    def questions(self) -> int:
        return sum(self.counts.values())

    @property
    def answered(self) -> int:
        return self.counts.get(OutcomeKind.ANSWERED, 0)

    @property
    def output_tokens(self) -> int:
        """Answer and thinking: both are billed as output."""
        return self.answer_tokens + self.thinking_tokens

    @property
    def speed_up(self) -> float:
        """serial_seconds ÷ wall_seconds; 0.0 for an empty run."""
        return self.serial_seconds / self.wall_seconds if self.wall_seconds > 0 else 0.0

    @property
    def speed_up_limit(self) -> float:
        """The speed-up that unlimited workers could have reached."""
        return self.serial_seconds / self.longest_seconds if self.longest_seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One question of a kept run with its outcome. number counts from 1, in the order of the input.

    answer is "" unless kind is ANSWERED; model and source are then its own, else "" and MODEL. started and ended are
    seconds from the run's start, started None where no worker took the task. usage and attempts are what this task's
    own calls cost: nothing for an answer from the cache.
    """

    number: int
    question: str
    kind: OutcomeKind
    ended: float
    started: float | None = None
    answer: str = ""
    reason: str = ""
    advice: str = ""
    model: str = ""
    source: AnswerSource = AnswerSource.MODEL
    truncated: bool = False
    queue_seconds: float = 0.0
    limiter_seconds: float = 0.0
    service_seconds: float = 0.0
    attempts: int = 0
    usage: Usage = field(default_factory=Usage)

    @property
    def run_seconds(self) -> float:
        """Seconds a worker had the task; 0.0 if none did."""
        return 0.0 if self.started is None else self.ended - self.started

    def as_outcome(self) -> Outcome[Answer]:
        """The outcome as it was, but for its error object; instants are seconds from the run's start."""
        answered = self.kind is OutcomeKind.ANSWERED
        taken = self.ended if self.started is None else self.started
        return Outcome(
            task_id=f"query_{self.number - 1}",
            name=self.question,
            kind=self.kind,
            submitted_at=taken - self.queue_seconds,
            started_at=self.started,
            ended_at=self.ended,
            value=Answer(self.answer, self.model, self.usage, self.truncated, self.source) if answered else MISSING,
            reason=self.reason,
            advice=self.advice,
            figures=CallFigures(self.attempts, self.limiter_seconds, self.service_seconds, self.usage),
        )


@dataclass(frozen=True, slots=True)
class RunSums:
    """Some kept runs added up: all of them, those of one model, those of one day. US dollars.

    known_money leaves out the runs whose price nobody knows; unpriced_runs counts them.
    """

    runs: int = 0
    questions: int = 0
    answered: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    known_money: Decimal = Decimal(0)
    unpriced_runs: int = 0

    @classmethod
    def of(cls, run: StoredRun) -> RunSums:
        return cls(
            runs=1,
            questions=run.questions,
            answered=run.answered,
            prompt_tokens=run.prompt_tokens,
            output_tokens=run.output_tokens,
            known_money=run.money or Decimal(0),
            unpriced_runs=int(run.money is None),
        )

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    @property
    def money(self) -> Decimal | None:
        """None where a run has no price: part of a sum is not the sum."""
        return None if self.unpriced_runs else self.known_money

    def __add__(self, other: RunSums) -> RunSums:
        return RunSums(
            self.runs + other.runs,
            self.questions + other.questions,
            self.answered + other.answered,
            self.prompt_tokens + other.prompt_tokens,
            self.output_tokens + other.output_tokens,
            self.known_money + other.known_money,
            self.unpriced_runs + other.unpriced_runs,
        )


@dataclass(frozen=True, slots=True)
class HistoryTotals:
    """What all kept runs come to. by_model and by_day hold what occurred, a day being that of a run's start, local.

    service is of the questions that the model was asked for. cached and shared count answers without a call of their
    own. The saved figures are of the runs that told them; unknown_saved counts the runs, of before that was kept,
    that have such answers and did not tell. saved_money leaves out unpriced_saved answers of a model without a price.
    first and last are the Unix times of the oldest and the newest run's start, None where there is no run.
    """

    whole: RunSums = field(default_factory=RunSums)
    counts: Mapping[OutcomeKind, int] = field(default_factory=dict)
    by_model: Mapping[str, RunSums] = field(default_factory=dict)
    by_day: Mapping[date, RunSums] = field(default_factory=dict)
    service: ServiceTimes = field(default_factory=ServiceTimes)
    cached: int = 0
    shared: int = 0
    saved_tokens: int = 0
    saved_money: Decimal = Decimal(0)
    unpriced_saved: int = 0
    unknown_saved: int = 0
    first: float | None = None
    last: float | None = None


def stored_report(run: StoredRun, items: Iterable[StoredItem]) -> RunReport[Answer]:
    """A kept run as the report it came from, for whatever shows, exports or repeats reports; it begins at 0.0."""
    return RunReport(tuple(item.as_outcome() for item in items), _BEGINNING, run.wall_seconds)


_BEGINNING: Final = 0.0


def _nearest_rank(ordered: Sequence[float], percent: int) -> float:
    return ordered[math.ceil(percent * len(ordered) / 100) - 1]

"""The nouns that cross a folder: answers, outcomes, reports and statistics. All frozen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Final, Generic, TypeVar

__all__ = [
    "MISSING",
    "Answer",
    "AnswerSource",
    "CallFigures",
    "ExecutorStatistics",
    "Missing",
    "Outcome",
    "OutcomeKind",
    "RunReport",
    "Usage",
]

T_co = TypeVar("T_co", covariant=True)


class Missing(Enum):
    """The type of MISSING: absence as an object of its own, since None, "" and 0 are values."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        raise TypeError("compare with `is MISSING`")


MISSING: Final = Missing.MISSING


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, as the server counted them."""

    prompt_tokens: int = 0
    answer_tokens: int = 0
    thinking_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.answer_tokens + self.thinking_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.answer_tokens + other.answer_tokens,
            self.thinking_tokens + other.thinking_tokens,
        )


class AnswerSource(StrEnum):
    """Where an answer came from."""

    MODEL = "model"
    CACHE = "cache"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class Answer:
    """A usable answer. truncated is True where the model stopped at its output limit in mid-text."""

    text: str
    model: str
    usage: Usage = Usage()
    truncated: bool = False
    source: AnswerSource = AnswerSource.MODEL


class OutcomeKind(StrEnum):
    """How a task ended. Every task ends in exactly one of these."""

    ANSWERED = "answered"
    FAILED = "failed"
    BLOCKED = "blocked"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    NOT_RUN = "not_run"


@dataclass(frozen=True, slots=True)
class CallFigures:
    """What the model calls of one task cost. Seconds; a task answered from the cache has zero attempts."""

    attempts: int = 0
    limiter_seconds: float = 0.0
    service_seconds: float = 0.0
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T_co]):
    """The one end of one task.

    value is MISSING unless kind is ANSWERED; error is None if it is. reason and advice are sentences for the
    person (empty when answered). The instants are monotonic seconds; started_at is None for a task that no
    worker ever took.
    """

    task_id: str
    name: str
    kind: OutcomeKind
    submitted_at: float
    ended_at: float
    started_at: float | None = None
    value: T_co | Missing = MISSING
    error: BaseException | None = None
    reason: str = ""
    advice: str = ""
    figures: CallFigures = field(default_factory=CallFigures)

    @property
    def answered(self) -> bool:
        return self.kind is OutcomeKind.ANSWERED

    @property
    def queue_seconds(self) -> float:
        """Seconds between submission and the moment a worker took the task."""
        return (self.ended_at if self.started_at is None else self.started_at) - self.submitted_at

    @property
    def run_seconds(self) -> float:
        """Seconds a worker had the task; 0.0 if none did."""
        return 0.0 if self.started_at is None else self.ended_at - self.started_at


@dataclass(frozen=True, slots=True)
class RunReport(Generic[T_co]):
    """All outcomes of one run in input order, and what follows from them. Instants are monotonic seconds."""

    outcomes: tuple[Outcome[T_co], ...]
    started_at: float
    ended_at: float

    @property
    def counts(self) -> Mapping[OutcomeKind, int]:
        """How many tasks ended in each kind; kinds that did not occur count 0."""
        return Counter(outcome.kind for outcome in self.outcomes)

    @property
    def answered(self) -> int:
        return self.counts[OutcomeKind.ANSWERED]

    @property
    def all_answered(self) -> bool:
        return self.answered == len(self.outcomes)

    @property
    def success_rate(self) -> float:
        """Answered ÷ tasks, 0..1; an empty run is a success."""
        return self.answered / len(self.outcomes) if self.outcomes else 1.0

    @property
    def wall_seconds(self) -> float:
        return self.ended_at - self.started_at

    @property
    def serial_seconds(self) -> float:
        """The tasks' own durations added up: what the same work would have taken one after another.

        A task that shared another's call does not count: one after the other, it would have been a cache hit.
        """
        return sum(outcome.run_seconds for outcome in self.outcomes if not _shared(outcome))

    @property
    def longest_seconds(self) -> float:
        """The longest single task: no parallel run of these tasks can be shorter."""
        return max((outcome.run_seconds for outcome in self.outcomes), default=0.0)

    @property
    def mean_seconds(self) -> float:
        """Mean duration of the tasks that a worker took."""
        seconds = [outcome.run_seconds for outcome in self.outcomes if outcome.started_at is not None]
        return sum(seconds) / len(seconds) if seconds else 0.0

    @property
    def speed_up(self) -> float:
        """serial_seconds ÷ wall_seconds; 0.0 for an empty run."""
        return self.serial_seconds / self.wall_seconds if self.wall_seconds > 0 else 0.0

    @property
    def speed_up_limit(self) -> float:
        """The speed-up that unlimited workers could reach: serial_seconds ÷ longest_seconds."""
        return self.serial_seconds / self.longest_seconds if self.longest_seconds > 0 else 0.0


def _shared(outcome: Outcome[object]) -> bool:
    return isinstance(outcome.value, Answer) and outcome.value.source is AnswerSource.SHARED


@dataclass(frozen=True, slots=True)
class ExecutorStatistics:
    """Counts over an executor's life, taken at one instant, so that they always add up:

    submitted = queued + running + answered + failed + blocked + timed_out + cancelled + not_run.
    task_seconds is the sum of the finished tasks' own durations, wall_seconds that of the finished runs.
    """

    submitted: int = 0
    queued: int = 0
    running: int = 0
    answered: int = 0
    failed: int = 0
    blocked: int = 0
    timed_out: int = 0
    cancelled: int = 0
    not_run: int = 0
    task_seconds: float = 0.0
    wall_seconds: float = 0.0
    started: int = 0

    @property
    def finished(self) -> int:
        return self.submitted - self.queued - self.running

    @property
    def unanswered(self) -> int:
        """Finished without an answer."""
        return self.finished - self.answered

    @property
    def success_rate(self) -> float:
        """Answered ÷ finished, 0..1; 0.0 while nothing has finished."""
        return self.answered / self.finished if self.finished else 0.0

    @property
    def mean_task_seconds(self) -> float:
        """Mean duration of the finished tasks that a worker took."""
        return self.task_seconds / self.started if self.started else 0.0

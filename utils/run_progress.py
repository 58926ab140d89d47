"""What a run's events add up to while it goes on, and which of them deserve a line of their own."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from core.events import (
    BatchFinished,
    BatchStarted,
    Event,
    QuotaWaiting,
    RetryScheduled,
    RunFinished,
    RunStarted,
    TaskFinished,
    TaskStarted,
)
from core.language import tr
from core.outcome import Outcome, OutcomeKind, RunReport
from utils.event_lines import event_line, outcome_line
from utils.fact_rows import BETWEEN

__all__ = ["MOST_TASKS_LISTED", "RunProgress"]

MOST_TASKS_LISTED: Final = 50
_MOST_NOTICES: Final = 20
_RECENT: Final = 3
_STEPS: Final = 10


class RunProgress:
    """Counts of a run so far. For one thread.

    total None: the length is unknown. lines() says what to print for an event: a line for each task in runs of at
    most MOST_TASKS_LISTED; in longer ones the first failures only, so that no run prints more than about a hundred
    lines.
    """

    def __init__(self, total: int | None = None) -> None:
        self.total = total
        self.answered = 0
        self.unanswered = 0
        self.in_flight: dict[str, str] = {}
        self.retries = 0
        self.quota_until = -math.inf
        self._recent: deque[Outcome[Any]] = deque(maxlen=_RECENT)
        self.report: RunReport[object] | None = None
        self._notices = {"failure": 0, "retry": 0, "quota": 0, "batch": 0}

    @property
    def finished(self) -> int:
        return self.answered + self.unanswered

    @property
    def is_small(self) -> bool:
        return self.total is not None and self.total <= MOST_TASKS_LISTED

    @property
    def recent(self) -> list[str]:
        """The last finished tasks' lines."""
        return [outcome_line(outcome) for outcome in self._recent]

    def rate(self, elapsed: float) -> float | None:
        """Answers a second so far; None while there is none."""
        return self.answered / elapsed if self.answered and elapsed > 0 else None

    def eta(self, elapsed: float) -> float | None:
        """Seconds until the end at the pace so far; None while there is no pace."""
        if self.total is None or not self.finished:
            return None
        return elapsed / self.finished * (self.total - self.finished)

    def lines(self, event: Event) -> list[str]:
        """Take an event in; returns the lines to print for it."""
        match event:
            case RunStarted(total=total):
                self.total = total
                return _some(event_line(event))
            case TaskStarted(task_id=task_id, name=name):
                self.in_flight[task_id] = name
                return []
            case TaskFinished():
                return self._finished(event)
            case RetryScheduled(task_id=task_id):
                self.retries += 1
                return self._notice("retry", event_line(event, name=self.in_flight.get(task_id, "")))
            case QuotaWaiting(until=until):
                # Every waiting task says so; only an instant later than the last announced one is news.
                if until <= self.quota_until + 1.0:
                    return []
                self.quota_until = until
                return self._notice("quota", event_line(event))
            case RunFinished(report=report):
                self.report = report
                return _some(event_line(event))
            case BatchStarted() | BatchFinished():
                return self._notice("batch", event_line(event))
            case _:
                return []

    def counts(self, now: float, *, waiting: Sequence[str] = (), quota: bool = True) -> list[str]:
        """How many there are of each kind, as facts; waiting: facts about those in flight.

        quota: with the seconds until the quota allows more, where it holds calls back.
        """
        facts = [f"✅ {self.answered:,}", f"❌ {self.unanswered:,}", tr("進行中 {count:,}", count=len(self.in_flight))]
        facts += waiting
        if self.retries:
            facts.append(tr("重試 {count:,}", count=self.retries))
        if quota and self.quota_until > now:
            facts.append(tr("限流 {seconds} s", seconds=math.ceil(self.quota_until - now)))
        return facts

    def status(self, now: float, elapsed: float) -> str:
        """Counts and times as one line."""
        facts = [*self.counts(now), f"{elapsed:.1f} s"]
        left = self.eta(elapsed)
        if left is not None and left > 0:
            facts.append(tr("剩約 {seconds:,} s", seconds=math.ceil(left)))
        return BETWEEN.join(facts)

    def step(self) -> int:
        """Tenths of the run that are done, 0..10."""
        return self.finished * _STEPS // self.total if self.total else 0

    def _finished(self, event: TaskFinished) -> list[str]:
        outcome = event.outcome
        self.in_flight.pop(outcome.task_id, None)
        if outcome.answered:
            self.answered += 1
        else:
            self.unanswered += 1
        if outcome.kind is OutcomeKind.NOT_RUN:  # whatever stopped the run has told why; the overview counts these
            return []
        self._recent.append(outcome)
        if self.is_small:
            return [outcome_line(outcome)]
        return [] if outcome.answered else self._notice("failure", outcome_line(outcome))

    def _notice(self, kind: str, line: str | None) -> list[str]:
        self._notices[kind] += 1
        count = self._notices[kind]
        if line is None or count > _MOST_NOTICES + 1:
            return []
        return [line] if count <= _MOST_NOTICES else [tr("… 之後的同類訊息只計數, 不再逐行顯示")]


def _some(line: str | None) -> list[str]:
    return [] if line is None else [line]

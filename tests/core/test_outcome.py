"""The nouns: what follows from outcomes, and that every sum adds up."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.outcome import (
    MISSING,
    Answer,
    AnswerSource,
    ExecutorStatistics,
    Outcome,
    OutcomeKind,
    RunReport,
    Usage,
)

KINDS = st.sampled_from(OutcomeKind)


def outcome(
    kind: OutcomeKind = OutcomeKind.ANSWERED, *, run_seconds: float | None = 1.0, task_id: str = "t"
) -> Outcome[str]:
    """An outcome submitted at 10.0, taken two seconds later (never taken: run_seconds None)."""
    started = None if run_seconds is None else 12.0
    ended = 15.0 if run_seconds is None else 12.0 + run_seconds
    return Outcome(task_id, "name", kind, submitted_at=10.0, started_at=started, ended_at=ended)


def test_absence_is_an_object_of_its_own() -> None:
    """MISSING names itself and refuses to be taken for a truth value."""
    assert repr(MISSING) == "MISSING"
    assert outcome(OutcomeKind.FAILED).value is MISSING
    with pytest.raises(TypeError, match="is MISSING"):
        bool(MISSING)


def test_usage_adds_up_all_three_kinds_of_tokens() -> None:
    """Thinking is billed too."""
    assert Usage(3, 5, 7).total_tokens == 15
    assert Answer("x", "m").usage.total_tokens == 0
    assert Answer("x", "m").source is AnswerSource.MODEL


def test_what_crosses_a_folder_is_frozen() -> None:
    """Neither outcomes nor answers nor reports can be changed by who receives them."""
    for noun, name in (
        (outcome(), "kind"),
        (Answer("x", "m"), "text"),
        (RunReport((), 0.0, 0.0), "outcomes"),
        (ExecutorStatistics(), "submitted"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(noun, name, None)


def test_the_seconds_of_a_task_that_ran() -> None:
    """Waiting in the queue and running are told apart."""
    ran = outcome(run_seconds=3.0)
    assert (ran.queue_seconds, ran.run_seconds, ran.answered) == (2.0, 3.0, True)


def test_the_seconds_of_a_task_that_no_worker_took() -> None:
    """All of its life was waiting."""
    never = outcome(OutcomeKind.NOT_RUN, run_seconds=None)
    assert (never.queue_seconds, never.run_seconds, never.answered) == (5.0, 0.0, False)


def test_an_empty_run_is_a_success_without_divisions_by_zero() -> None:
    """Every figure of an empty report exists."""
    report: RunReport[str] = RunReport((), 5.0, 5.0)
    assert report.all_answered
    assert report.success_rate == 1.0
    assert (report.wall_seconds, report.serial_seconds, report.longest_seconds, report.mean_seconds) == (0, 0, 0, 0)
    assert (report.speed_up, report.speed_up_limit) == (0.0, 0.0)
    assert report.counts[OutcomeKind.FAILED] == 0


def test_the_headline_example_comes_out() -> None:
    """2.5, 2.3 and 2.4 s side by side in 2.5 s are a speed-up of 2.88, which is also the limit."""
    report = RunReport(tuple(outcome(run_seconds=seconds) for seconds in (2.5, 2.3, 2.4)), 12.0, 14.5)
    assert report.serial_seconds == pytest.approx(7.2)
    assert report.speed_up == pytest.approx(2.88)
    assert report.speed_up_limit == pytest.approx(2.88)
    assert report.mean_seconds == pytest.approx(2.4)


def test_the_mean_leaves_out_what_never_ran() -> None:
    """A task that no worker took has no duration."""
    report = RunReport((outcome(run_seconds=4.0), outcome(OutcomeKind.NOT_RUN, run_seconds=None)), 0.0, 9.0)
    assert report.mean_seconds == 4.0
    assert report.success_rate == 0.5
    assert not report.all_answered


@given(st.lists(KINDS, max_size=30))
def test_the_counts_of_a_report_add_up(kinds: list[OutcomeKind]) -> None:
    """Every outcome is counted once, and the success rate stays within 0 and 1."""
    report = RunReport(tuple(outcome(kind) for kind in kinds), 0.0, 1.0)
    assert sum(report.counts.values()) == len(kinds)
    assert report.answered == kinds.count(OutcomeKind.ANSWERED)
    assert 0.0 <= report.success_rate <= 1.0
    assert report.all_answered == all(kind is OutcomeKind.ANSWERED for kind in kinds)


def test_statistics_of_nothing() -> None:
    """Before the first task every rate is 0.0."""
    empty = ExecutorStatistics()
    assert (empty.finished, empty.unanswered, empty.success_rate, empty.mean_task_seconds) == (0, 0, 0.0, 0.0)


def test_statistics_rate_finished_tasks_only() -> None:
    """What is queued or running is neither a success nor a failure yet."""
    statistics = ExecutorStatistics(
        submitted=10, queued=3, running=2, answered=4, failed=1, task_seconds=8.0, started=4
    )
    assert (statistics.finished, statistics.unanswered) == (5, 1)
    assert statistics.success_rate == pytest.approx(0.8)
    assert statistics.mean_task_seconds == 2.0

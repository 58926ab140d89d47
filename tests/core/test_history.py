"""The nouns of the history: what follows from a kept run, and the report made of it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.history import ServiceTimes, StoredItem, StoredRun, stored_report
from core.outcome import MISSING, Answer, AnswerSource, CallFigures, OutcomeKind, Usage


def test_a_runs_figures_follow_from_what_is_stored() -> None:
    """Questions, answers, speed-up and its limit; nothing is divided by zero."""
    counts = {OutcomeKind.ANSWERED: 3, OutcomeKind.FAILED: 1}
    run = StoredRun(1, "t", 0.0, 2.0, "m", counts, answer_tokens=5, thinking_tokens=2, serial_seconds=6.0)
    assert (run.questions, run.answered, run.output_tokens, run.speed_up, run.speed_up_limit) == (4, 3, 7, 3.0, 0.0)
    assert StoredRun(1, "t", 0.0, 2.0, "m", serial_seconds=6.0, longest_seconds=1.5).speed_up_limit == 4.0
    empty = StoredRun(1, "t", 0.0, 0.0, "m")
    assert (empty.questions, empty.answered, empty.speed_up) == (0, 0, 0.0)


@given(st.lists(st.floats(0, 1e6)))
def test_percentiles_are_of_the_nearest_rank(seconds: list[float]) -> None:
    """At least so many percent do not exceed it, and it is the smallest such time."""
    times = ServiceTimes.of(seconds)
    assert times.tasks == len(seconds)
    for percent, value in ((50, times.p50), (95, times.p95)):
        if seconds:
            assert value in seconds
            assert sum(each <= value for each in seconds) * 100 >= percent * len(seconds)
            assert sum(each < value for each in seconds) * 100 < percent * len(seconds)
    assert times.mean == pytest.approx(sum(seconds) / len(seconds) if seconds else 0.0)


def test_an_item_becomes_the_outcome_it_was() -> None:
    """With its answer, its place in time and what it cost."""
    item = StoredItem(
        3, "q", OutcomeKind.ANSWERED, 4.0, 1.0, "text", model="m", source=AnswerSource.SHARED, truncated=True,
        queue_seconds=0.5, limiter_seconds=0.25, service_seconds=2.0, attempts=2, usage=Usage(1, 2, 3),
    )  # fmt: skip
    outcome = item.as_outcome()
    assert outcome.value == Answer("text", "m", Usage(1, 2, 3), truncated=True, source=AnswerSource.SHARED)
    assert (outcome.name, outcome.task_id, outcome.reason) == ("q", "query_2", "")
    assert (outcome.queue_seconds, outcome.run_seconds, item.run_seconds) == (0.5, 3.0, 3.0)
    assert outcome.figures == CallFigures(2, 0.25, 2.0, Usage(1, 2, 3))


def test_an_item_that_nobody_took_has_no_answer_and_no_run() -> None:
    """Its reason and advice are kept; it waited until its end."""
    item = StoredItem(1, "q", OutcomeKind.NOT_RUN, 4.0, reason="why", advice="what", queue_seconds=4.0)
    outcome = item.as_outcome()
    assert outcome.value is MISSING
    assert (outcome.reason, outcome.advice) == ("why", "what")
    assert (outcome.queue_seconds, outcome.run_seconds, item.run_seconds) == (4.0, 0.0, 0.0)


def test_a_kept_run_is_a_report_again() -> None:
    """Its counts and times are those of the run."""
    items = [StoredItem(1, "a", OutcomeKind.ANSWERED, 2.0, 0.5, "x"), StoredItem(2, "b", OutcomeKind.FAILED, 3.0, 1.0)]
    run = StoredRun(1, "t", 0.0, 3.0, "m", {OutcomeKind.ANSWERED: 1, OutcomeKind.FAILED: 1}, serial_seconds=3.5)
    report = stored_report(run, iter(items))
    assert (report.answered, report.wall_seconds, report.serial_seconds) == (1, 3.0, run.serial_seconds)

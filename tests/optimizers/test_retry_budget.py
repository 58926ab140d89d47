"""RetryBudget: how many retries a window bears."""

from __future__ import annotations

import heapq
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from optimizers.retry_budget import RetryBudget


def budget(**changes: Any) -> RetryBudget:
    return RetryBudget(**{"per_call": 0.1, "per_answer": 0.4, "floor": 10, "window": 10.0, **changes})


def taken(subject: RetryBudget, now: float) -> int:
    count = 0
    while subject.take(now):
        count += 1
    return count


def test_without_history_the_floor_is_there() -> None:
    """A run of three questions can retry ten times before it has made a name for itself."""
    assert taken(budget(), 0.0) == 10


def test_ten_percent_of_the_calls_of_the_window_come_on_top() -> None:
    """A hundred calls without an answer allow ten retries beyond the floor."""
    subject = budget()
    for _ in range(100):
        subject.called(5.0)
    assert taken(subject, 5.0) == 20


def test_answers_allow_more_retries_than_silence() -> None:
    """Each answered call allows half a retry in all: a tenth for the call, four tenths for the answer."""
    subject = budget()
    for _ in range(100):
        subject.called(5.0)
        subject.answered(5.0)
    assert taken(subject, 5.0) == 60


def test_what_leaves_the_window_no_longer_counts() -> None:
    """Retries of a past window are forgiven, and its calls and answers allow nothing any more."""
    subject = budget()
    for _ in range(50):
        subject.called(1.0)
        subject.answered(1.0)
    assert taken(subject, 1.0) == 35
    assert taken(subject, 9.9) == 0
    assert taken(subject, 11.0) == 10


def test_an_instant_read_just_before_another_counts_in_the_newest_slice() -> None:
    """Threads that bring their instants in the wrong order do not lose a count."""
    subject = budget()
    for _ in range(10):
        subject.called(5.0)
    for _ in range(10):
        subject.called(3.9)
    assert taken(subject, 5.0) == 12


@pytest.mark.parametrize(
    "changes", [{"per_call": 1.0}, {"per_call": -0.1}, {"per_answer": 1.0}, {"floor": 0}, {"window": 0}]
)
def test_a_budget_that_could_grow_or_never_return_is_refused(changes: dict[str, float]) -> None:
    """Shares of 1 and more would feed themselves, and without a floor or a window nobody would ever retry again."""
    with pytest.raises(UsageError):
        budget(**changes)


@given(st.lists(st.tuples(st.sampled_from(["called", "answered", "take"]), st.floats(0, 3)), max_size=200))
def test_no_window_ever_holds_more_retries_than_its_calls_and_answers_allow(steps: list[tuple[str, float]]) -> None:
    """In every window of nine tenths of the length, retries stay within what the full window before it allows."""
    subject, now, log = budget(floor=2), 0.0, list[tuple[str, float]]()
    for kind, gap in steps:
        now += gap
        if kind != "take":
            getattr(subject, kind)(now)
            log.append((kind, now))
        elif subject.take(now):
            log.append((kind, now))
            calls, answers, retries = (
                sum(each == what and now - at <= length for each, at in log)
                for what, length in (("called", 10.0), ("answered", 10.0), ("take", 9.0))
            )
            assert retries <= 2 + 0.1 * calls + 0.4 * answers + 1e-9


def test_thirty_percent_of_chance_failures_need_less_than_the_budget() -> None:
    """A thousand questions on fifty workers, 30 % of the calls failing: hardly a retry has to wait for its budget."""
    dice = random.Random(7)
    subject = budget()
    todo, done, calls, refusals = 1000, 0, 0, 0
    workers = [(0.0, number, False) for number in range(50)]  # (free at, tie-break, must retry)
    heapq.heapify(workers)
    while workers:
        now, number, again = heapq.heappop(workers)
        if again and not subject.take(now):
            refusals += 1
            heapq.heappush(workers, (now + 0.375, number, True))
            continue
        if not again:
            if todo == 0:
                continue
            todo -= 1
            subject.called(now)
        calls += 1
        failed = dice.random() < 0.3
        if not failed:
            done += 1
            subject.answered(now + 0.2)
        heapq.heappush(workers, (now + 0.2, number, failed))
    assert done == 1000
    assert calls <= 1500
    assert refusals <= 10

"""The open tasks of a run, a row for each."""

from __future__ import annotations

import pytest

from core.errors import ErrorKind
from core.events import (
    CallStarted,
    Event,
    LimiterWaiting,
    QuotaWaiting,
    RetryScheduled,
    RunStarted,
    TaskFinished,
    TaskQueued,
    TaskStarted,
)
from core.outcome import Outcome, OutcomeKind
from utils.task_rows import ListedTask, OpenTasks
from utils.text_width import cell_width

NOW = 100.0


def tasks_after(*events: Event, listed: tuple[ListedTask, ...] = ()) -> OpenTasks:
    tasks = OpenTasks(listed)
    for event in events:
        tasks.take(event, NOW)
    return tasks


def ended(task_id: str) -> TaskFinished:
    return TaskFinished(Outcome(task_id, task_id, OutcomeKind.FAILED, 0.0, 1.0))


STARTED = TaskStarted("a", "問題", NOW - 3.25)


@pytest.mark.parametrize(
    ("events", "row"),
    [
        ([TaskQueued("a", "問題", NOW)], " 1  排隊                                 問題"),
        ([STARTED], " 1  詢問中               3.2 s  第 1 次  問題"),
        ([STARTED, CallStarted("a", 2, NOW)], " 1  詢問中               3.2 s  第 2 次  問題"),
        ([STARTED, LimiterWaiting("a", NOW)], " 1  等限額               3.2 s  第 1 次  問題"),
        ([STARTED, QuotaWaiting("a", NOW + 11.5, 11.5)], " 1  等限額 12 s          3.2 s  第 1 次  問題"),
        (
            [STARTED, QuotaWaiting("other", NOW + 11.5, 11.5), LimiterWaiting("a", NOW)],
            " 1  等限額 12 s          3.2 s  第 1 次  問題",
        ),
        (
            [STARTED, RetryScheduled("a", 2, ErrorKind.RESET, 3.0)],
            " 1  重試 2 等 3 s        3.2 s  第 3 次  問題",
        ),
        (
            [STARTED, RetryScheduled("a", 2, ErrorKind.RESET, 3.0), CallStarted("a", 3, NOW)],
            " 1  詢問中               3.2 s  第 3 次  問題",
        ),
        ([RunStarted(1, NOW), TaskStarted("a", "問題", NOW - 1234.5)], " 1  詢問中             1,234 s  第 1 次  問題"),
    ],
)
def test_where_a_task_stands(events: list[Event], row: str) -> None:
    """Its state in words, its seconds and its attempt, the question last."""
    assert tasks_after(*events).rows(NOW, 60, 9) == [row]


def test_a_wait_is_over_when_its_instant_has_come() -> None:
    """Nobody has to say so."""
    tasks = tasks_after(STARTED, RetryScheduled("a", 1, ErrorKind.RESET, 3.0))
    assert "重試 1 等 1 s" in tasks.rows(NOW + 2.5, 60, 9)[0]
    assert "詢問中" in tasks.rows(NOW + 3.0, 60, 9)[0]
    assert tasks.waiting(NOW + 2.5) == ["等重試 1"]
    assert tasks.waiting(NOW + 3.0) == []


def test_started_tasks_come_first_and_the_rest_is_counted() -> None:
    """Where not all fit, the last row says how many there are besides."""
    queued = [TaskQueued(f"q{number}", f"q{number}", NOW) for number in range(1, 13)]
    tasks = tasks_after(*queued, TaskStarted("q12", "q12", NOW))
    assert [row.split()[0] for row in tasks.rows(NOW, 80, 12)] == ["12", *map(str, range(1, 12))]
    assert [row.split()[-1] for row in tasks.rows(NOW, 80, 3)] == ["q12", "q1", "個"]
    assert tasks.rows(NOW, 80, 3)[-1] == "… 另有 10 個"
    assert tasks.rows(NOW, 80, 1) == ["… 另有 12 個"]
    assert tasks.rows(NOW, 80, 0) == []


@pytest.mark.parametrize("width", [1, 4, 20, 36, 45, 60, 80, 200])
def test_columns_are_aligned_by_cells_and_no_row_is_wider_than_the_screen(width: int) -> None:
    """Whatever the scripts of the questions: each begins in the same cell."""
    names = ["什麼是並行處理", "Explain the GIL", "日本語の質問", "👩\u200d👩\u200d👧 家族", "é\u0301 combining\x1b[2J"]
    events = [TaskStarted(f"t{number}", name * 30, NOW) for number, name in enumerate(names)]
    rows = tasks_after(*events, RetryScheduled("t2", 1, ErrorKind.RESET, 600.0)).rows(NOW, width, 9)
    assert len(rows) == len(names)
    assert max(map(cell_width, rows)) <= width
    assert not any("\x1b" in row for row in rows)
    if width >= 36:
        starts = [cell_width(row[: row.index(name[0])]) for row, name in zip(rows, names, strict=True)]
        assert len(set(starts)) == 1
    if width == 36:
        assert "第" not in "".join(rows), "the attempt gives way to the question"


def test_numbers_are_those_that_the_person_knows() -> None:
    """Listed tasks keep theirs, others go on after them, and what has ended has none."""
    tasks = tasks_after(
        TaskQueued("a", "a", NOW), TaskStarted("b", "b", NOW), TaskQueued("b", "b", NOW),
        listed=(ListedTask(40, "a", "a"), ListedTask(41, "x", "x")),
    )  # fmt: skip
    assert [tasks.task_id(number) for number in (40, 41, 42, 43)] == ["a", "x", "b", None]
    for task_id in ("a", "b", "never heard of"):
        tasks.take(ended(task_id), NOW)
    tasks.take(LimiterWaiting("b", NOW), NOW)
    assert [tasks.task_id(number) for number in (40, 41, 42)] == [None, "x", None]


def test_only_the_slowest_are_shown_of_many() -> None:
    """Those that were started first, if they take long."""
    tasks = tasks_after(*[TaskStarted(f"t{number}", f"t{number}", NOW + number) for number in range(9)])
    assert [row.split()[-1] for row in tasks.slow_rows(NOW + 3.5, 80, 5, seconds=2.0)] == ["t0", "t1"]
    assert len(tasks.slow_rows(NOW + 99, 80, 3, seconds=2.0)) == 3
    assert tasks.slow_rows(NOW + 99, 80, -1, seconds=2.0) == []
    tasks.take(LimiterWaiting("t0", NOW), NOW)
    assert tasks.waiting(NOW) == ["等限額 1"]


def test_a_question_without_end_costs_no_more_than_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only as much of it is looked at as any screen can show, and only once."""
    looked_at: list[int] = []

    def watched(text: str) -> str:
        looked_at.append(len(text))
        return text

    monkeypatch.setattr("utils.task_rows.one_line", watched)
    tasks = tasks_after(TaskStarted("a", "長" * 10_000, NOW))
    tasks.rows(NOW, 200, 1)
    tasks.rows(NOW, 100, 1)
    assert looked_at == [400]
    row = tasks_after(TaskStarted("a", "長" * 10_000_000, NOW)).rows(NOW, 200, 1)[0]
    assert cell_width(row) <= 200
    assert row.endswith("…")

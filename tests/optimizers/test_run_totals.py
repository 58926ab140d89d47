"""What all kept runs come to: each figure as a plain count over the outcomes has it."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from core.cost import Spend
from core.history import HistoryTotals
from core.outcome import MISSING, Answer, AnswerSource, CallFigures, Outcome, OutcomeKind, RunReport, Usage
from optimizers import run_totals
from optimizers.run_history import RunHistory
from tests.fakes import FakeClock

A, F = OutcomeKind.ANSWERED, OutcomeKind.FAILED


def answered(seconds: float = 1.0, source: AnswerSource = AnswerSource.MODEL) -> Outcome[Answer]:
    calls = int(source is AnswerSource.MODEL)
    figures = CallFigures(calls, 0.0, seconds * calls, Usage(10, 20) if calls else Usage())
    return Outcome("t", "n", A, 0.0, seconds, 0.0, Answer("回答", "m", Usage(10, 20), source=source), figures=figures)


def failed() -> Outcome[Answer]:
    return Outcome("t", "n", F, 0.0, 9.0, 0.0, MISSING, reason="壞了", figures=CallFigures(2, 0.0, 9.0))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


@pytest.fixture
def history(path: Path, clock: FakeClock) -> RunHistory:
    return RunHistory(path, clock=clock)


def add(
    history: RunHistory, clock: FakeClock, *outcomes: Outcome[Answer], model: str = "m", spend: Spend | None = None
) -> None:
    now = clock.now()
    report = RunReport(outcomes, now, now + 1)
    assert history.add("t", ["q"] * len(outcomes), report, model=model, spend=spend) is not None


def test_nothing_comes_to_nothing(history: RunHistory) -> None:
    """Also where there is no file, and where the history is off."""
    assert history.totals() == RunHistory(None).totals() == HistoryTotals()


def test_the_figures_are_those_of_the_outcomes(history: RunHistory, clock: FakeClock) -> None:
    """Questions by kind, models, answers by source, and the service's times of what was asked."""
    add(history, clock, answered(1.0), answered(3.0), failed(), answered(source=AnswerSource.CACHE))
    add(history, clock, answered(2.0), answered(source=AnswerSource.SHARED), model="n")
    totals = history.totals()
    assert (totals.whole.runs, totals.whole.questions, totals.whole.answered) == (2, 6, 5)
    assert totals.counts == {A: 5, F: 1}
    assert {model: (sums.runs, sums.questions) for model, sums in totals.by_model.items()} == {"m": (1, 4), "n": (1, 2)}
    assert (totals.cached, totals.shared) == (1, 1)
    assert (totals.service.tasks, totals.service.p50, totals.service.p95) == (4, 2.0, 9.0)
    assert (totals.whole.prompt_tokens, totals.whole.output_tokens, totals.whole.tokens) == (30, 60, 90)
    assert (totals.whole.money, totals.whole.unpriced_runs) == (None, 2)


def test_days_are_those_of_the_persons_calendar(history: RunHistory, clock: FakeClock) -> None:
    """Each run counts to the local day on which it began."""
    begun = []
    for _ in range(3):
        begun.append(clock.wall())
        add(history, clock, answered(), spend=Spend(known_money=Decimal("0.5")))
        clock.advance(20 * 3600)
    totals = history.totals()
    days = [datetime.fromtimestamp(wall, UTC).astimezone().date() for wall in begun]
    assert {day: sums.runs for day, sums in totals.by_day.items()} == {day: days.count(day) for day in days}
    assert sum((sums.known_money for sums in totals.by_day.values()), Decimal(0)) == totals.whole.money
    assert (totals.first, totals.last) == (begun[0], begun[-1])


def test_what_was_saved_is_what_the_runs_told(history: RunHistory, clock: FakeClock) -> None:
    """Runs of before that was kept are counted as such; it goes with its run."""
    saving = Spend(
        cached=1, saved_prompt_tokens=10, saved_answer_tokens=20, known_saved_money=Decimal("0.25"), unpriced_saved=1
    )
    add(history, clock, answered(source=AnswerSource.CACHE), spend=saving)
    add(history, clock, answered(source=AnswerSource.CACHE), spend=saving)
    add(history, clock, answered(source=AnswerSource.CACHE))
    add(history, clock, answered(), spend=Spend())
    totals = history.totals()
    assert (totals.saved_tokens, totals.saved_money) == (60, Decimal("0.50"))
    assert (totals.unpriced_saved, totals.unknown_saved) == (2, 1)
    history.delete(1)
    assert history.totals().saved_tokens == 30


def test_a_file_of_before_savings_were_kept_is_read_and_added_to(
    history: RunHistory, clock: FakeClock, path: Path
) -> None:
    """Nothing is lost, and nothing is put aside as damaged."""
    add(history, clock, answered(source=AnswerSource.CACHE))
    assert history.totals().unknown_saved == 1
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'savings'").fetchall() == []
    connection.close()
    add(history, clock, answered(source=AnswerSource.CACHE), spend=Spend(cached=1, saved_prompt_tokens=7))
    assert history.totals().saved_tokens == 7
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_it_is_read_in_pieces(history: RunHistory, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures do not depend on where one piece ends."""
    for _ in range(3):
        add(history, clock, answered(), failed(), answered(source=AnswerSource.CACHE), spend=Spend(cached=1))
    whole = history.totals()
    for size in (1, 2, 3, 4):
        monkeypatch.setattr(run_totals, "_AT_ONCE", size)
        assert history.totals() == whole


def test_rows_that_are_none_of_ours_are_passed_over(history: RunHistory, clock: FakeClock, path: Path) -> None:
    """A run that cannot be read counts nowhere, nor do its questions and savings; nor does a time that is none."""
    for _ in range(3):
        add(history, clock, answered(), answered(source=AnswerSource.CACHE), spend=Spend(cached=1))
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE runs SET counts = 'x' WHERE id = 1")
        connection.execute("UPDATE items SET service_seconds = 'x' WHERE run = 2")
        connection.execute("UPDATE savings SET money = 'NaN' WHERE run = 2")
        connection.execute("UPDATE runs SET started_wall = 1e300 WHERE id = 3")
    connection.close()
    totals = history.totals()
    assert (totals.whole.runs, totals.cached, totals.service.tasks, totals.unknown_saved) == (2, 2, 1, 1)
    assert sum(sums.runs for sums in totals.by_day.values()) == 1

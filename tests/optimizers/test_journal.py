"""The journal: results by key, figures that equal them, sessions, jobs, failures of the disk."""

from __future__ import annotations

import contextlib
import math
import random
import sqlite3
import sys
import threading
import time
from _thread import LockType, allocate_lock, interrupt_main, start_new_thread
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.bulk import BatchSpec, ItemResult, RequestCost, text_key
from core.errors import StorageError, UsageError
from core.outcome import OutcomeKind, Usage
from optimizers.journal import Journal, Standing
from tests.fakes import FakeClock

SPEC = BatchSpec("/a.txt", "{}", '{"name": "情緒"}', "fake")
ANSWERED, FAILED, BLOCKED = OutcomeKind.ANSWERED, OutcomeKind.FAILED, OutcomeKind.BLOCKED


def answer(text: str, label: str = "正面") -> ItemResult:
    return ItemResult(text_key(text), ANSWERED, f'{{"result": "{label}"}}', attempts=1, seconds=0.5)


def failure(text: str, reason: str = "伺服器忙碌中", kind: OutcomeKind = FAILED) -> ItemResult:
    return ItemResult(text_key(text), kind, reason=reason, attempts=3)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path, SPEC) as journal:
        yield journal


def test_what_is_recorded_is_there_and_there_again_after_reopening(tmp_path: Path) -> None:
    """Results, figures and the state of the batch outlive the journal object."""
    clock = FakeClock()
    with Journal(tmp_path, SPEC, clock=clock) as journal:
        began = clock.wall()
        clock.advance(5)
        journal.record([answer("甲"), failure("乙")], RequestCost(2, Usage(10, 4, 1)))
        journal.set_expected(3)
        journal.set_finished(True)
    with Journal(tmp_path, SPEC, clock=clock) as journal:
        assert journal.get(text_key("甲")) == answer("甲")
        assert journal.get(text_key("乙")) == failure("乙")
        assert journal.get(text_key("丙")) is None
        assert list(journal.results()) == sorted([answer("甲"), failure("乙")], key=lambda result: result.key)
        assert journal.counts() == {ANSWERED: 1, FAILED: 1}
        assert journal.totals() == RequestCost(2, Usage(10, 4, 1))
        assert (journal.expected, journal.finished) == (3, True)
        assert (journal.started_at, journal.updated_at) == (began, began + 5)


def test_a_new_journal_knows_nothing(journal: Journal) -> None:
    """Before anything is recorded every figure is none."""
    assert (journal.session, journal.expected, journal.finished, journal.ignored) == (1, None, False, 0)
    assert (journal.counts(), journal.totals(), journal.failures()) == ({}, RequestCost(), {})
    assert journal.standing(text_key("甲")) is Standing.OPEN


def test_an_answer_is_never_replaced(journal: Journal) -> None:
    """Neither by a failure nor by a second answer, which is counted."""
    journal.record([answer("甲"), answer("甲", "負面")], RequestCost(1))
    journal.record([answer("甲", "負面"), failure("甲")], RequestCost(1))
    assert journal.get(text_key("甲")) == answer("甲")
    assert journal.counts() == {ANSWERED: 1}
    assert journal.ignored == 2
    assert journal.totals().requests == 2


def test_a_failure_is_replaced_by_what_came_later(journal: Journal) -> None:
    """By another failure and by an answer; the counts follow."""
    journal.record([failure("甲"), failure("乙")], RequestCost(2))
    journal.record([failure("甲", "內容被安全機制擋下", BLOCKED), answer("乙")], RequestCost(2))
    assert journal.counts() == {BLOCKED: 1, ANSWERED: 1}
    assert journal.failures() == {"內容被安全機制擋下": 1}


def test_what_was_never_asked_is_not_recorded(journal: Journal) -> None:
    """A cancelled text stays open."""
    journal.record([failure("甲", kind=kind) for kind in (OutcomeKind.CANCELLED, OutcomeKind.NOT_RUN)], RequestCost())
    assert (journal.counts(), journal.standing(text_key("甲"))) == ({}, Standing.OPEN)


def test_a_session_does_not_ask_what_it_has_tried_and_the_next_one_retries_what_failed(tmp_path: Path) -> None:
    """Also where the next session begins in the same journal."""
    keys = [text_key("甲"), text_key("乙")]
    with Journal(tmp_path, SPEC) as journal:
        journal.record([answer("甲"), failure("乙")], RequestCost(1))
        assert [journal.standing(key) for key in keys] == [Standing.SETTLED] * 2
        assert [journal.was_tried(key) for key in keys] == [True, True]
        journal.begin_session()
        assert journal.session == 2
        assert [journal.standing(key) for key in keys] == [Standing.ANSWERED, Standing.OPEN]
        journal.record([failure("乙"), failure("丙")], RequestCost(1))
    with Journal(tmp_path, SPEC) as journal:
        assert journal.session == 3
        assert [journal.standing(key) for key in keys] == [Standing.ANSWERED, Standing.OPEN]
        assert [journal.was_tried(key) for key in keys] == [False, False]
        assert [journal.is_answered(key) for key in keys] == [True, False]
        assert [journal.tried_in(session) for session in (1, 2, 3)] == [1, 2, 0]
        assert journal.counts() == {ANSWERED: 1, FAILED: 2}


def test_labels_are_counted_over_more_results_than_are_read_at_once(journal: Journal) -> None:
    """2,500 answers and a failure; a field that is not there counts as the empty label."""
    journal.record([answer(f"{n}", "正面" if n % 3 else "負面") for n in range(2500)], RequestCost(1))
    journal.record([failure("x")], RequestCost(1))
    assert journal.distribution("result") == {"負面": 834, "正面": 1666}
    assert journal.distribution("other") == {"": 2500}


@pytest.mark.parametrize(
    "wrong",
    [
        ItemResult(text_key("甲"), ANSWERED, "[1]"),
        ItemResult(text_key("甲"), ANSWERED, '{"a": NaN}'),
        ItemResult(text_key("甲"), ANSWERED, "[" * 100_000),
        ItemResult(text_key("甲"), FAILED, '{"a": 1}'),
        ItemResult(b"short", ANSWERED, "{}"),
        ItemResult(text_key("甲"), ANSWERED, "{}", seconds=math.nan),
        ItemResult(text_key("甲"), ANSWERED, "{}", attempts=-1),
    ],
)
def test_a_result_that_could_not_be_read_back_is_refused_whole(journal: Journal, wrong: ItemResult) -> None:
    """The caller's mistake: nothing of that request is written."""
    with pytest.raises(UsageError, match="不合要求"):
        journal.record([answer("乙"), wrong], RequestCost(1))
    assert (journal.counts(), journal.totals()) == ({}, RequestCost())


def test_what_a_file_cannot_hold_becomes_a_replacement_character(journal: Journal) -> None:
    """Half of a surrogate pair in a label or a reason costs neither the answer nor the run."""
    journal.record([answer("甲", "好\ud83d"), failure("乙", "壞\udc00")], RequestCost(1))
    assert journal.get(text_key("甲")) == answer("甲", "好\ufffd")
    assert journal.failures() == {"壞\ufffd": 1}


def test_texts_in_a_job_are_submitted_until_it_ends(tmp_path: Path) -> None:
    """Over a restart, too; an answered text is answered all the same."""
    keys = (text_key("甲"), text_key("乙"))
    with Journal(tmp_path, SPEC) as journal:
        journal.add_job("jobs/1", keys)
        journal.record([answer("乙")], RequestCost())
    with Journal(tmp_path, SPEC) as journal:
        assert journal.open_jobs() == {"jobs/1": keys}
        assert [journal.standing(key) for key in keys] == [Standing.SUBMITTED, Standing.ANSWERED]
        assert [journal.is_submitted(key) for key in (*keys, text_key("丙"))] == [True, True, False]
        assert journal.jobs_ended() == 0
        journal.close_job("jobs/1", "failed")
        assert (journal.open_jobs(), journal.jobs_ended()) == ({}, 1)
        assert journal.standing(keys[0]) is Standing.OPEN


def test_a_job_of_what_is_no_key_is_refused(journal: Journal) -> None:
    """One key too short would shift all that follow."""
    with pytest.raises(UsageError, match="16"):
        journal.add_job("jobs/1", [b"short"])
    assert journal.open_jobs() == {}


def test_a_full_disk_loses_nothing_and_the_same_write_succeeds_later(journal: Journal) -> None:
    """Nothing is half-written; the figures are those of what is on the disk."""
    journal.record([answer("甲")], RequestCost(1))
    many = [answer(f"{n}", "很長" * 200) for n in range(200)]
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    for _ in range(2):
        with pytest.raises(StorageError, match="磁碟已滿") as caught:
            journal.record(many, RequestCost(1))
        assert caught.value.full
        assert "記憶體" in caught.value.advice
        assert (journal.counts(), journal.totals()) == ({ANSWERED: 1}, RequestCost(1))
        assert list(journal.results()) == [answer("甲")]
    journal._connection.execute("PRAGMA max_page_count = 1000000")
    journal.record(many, RequestCost(1))
    assert journal.counts() == {ANSWERED: 201}
    assert journal._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_after_close_everything_is_a_storage_error(tmp_path: Path) -> None:
    """Also for a worker that comes late; closing again does nothing."""
    journal = Journal(tmp_path, SPEC)
    journal.record([answer("甲")], RequestCost(1))
    journal.close()
    with Journal(tmp_path, SPEC) as other:
        journal.close()
        with pytest.raises(StorageError):
            journal.record([answer("乙")], RequestCost(1))
        with pytest.raises(StorageError):
            journal.get(text_key("甲"))
        other.record([answer("乙")], RequestCost(1))
        assert [path.suffix for path in sorted(tmp_path.glob("*.pid"))] == [".pid"]


def test_a_journal_with_nothing_in_it_leaves_no_file(tmp_path: Path) -> None:
    """A look at a file that was then not run is nothing to go on with; a request that brought no result is."""
    with Journal(tmp_path, SPEC) as journal:
        journal.set_expected(10)
    assert list(tmp_path.glob("*.sqlite3*")) == []
    with Journal(tmp_path, SPEC) as journal:
        journal.record([], RequestCost(1))
    assert [path.name for path in tmp_path.glob("*.sqlite3*")] == [f"{SPEC.digest}.sqlite3"]


@pytest.mark.parametrize("wall", [0.0, 4e9, -1.0])
def test_a_clock_that_jumps_does_no_harm(tmp_path: Path, wall: float) -> None:
    """Times are for people; sessions are told apart by their number."""
    clock = FakeClock()
    with Journal(tmp_path, SPEC, clock=clock) as journal:
        journal.record([answer("甲"), failure("乙")], RequestCost(1))
    clock.wall_offset = wall - clock.now()
    with Journal(tmp_path, SPEC, clock=clock) as journal:
        assert journal.updated_at == wall
        assert journal.standing(text_key("甲")) is Standing.ANSWERED
        assert journal.standing(text_key("乙")) is Standing.OPEN


def edit(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        "kind = 'guessed'",
        "kind = x'ff'",
        "kind = 'failed'",
        "found = '[1]'",
        "found = 'no json'",
        "found = CAST(x'7bff7d' AS TEXT)",
        "found = x'7b7d'",
        "found = ''",
        "reason = x'00'",
        "attempts = 'many'",
        "attempts = -1",
        "seconds = 'long'",
        "seconds = -1.0",
        "seconds = 9e999",
        "session = 'first'",
        "key = x'00'",
        "key = 'text'",
    ],
)
def test_a_row_that_another_program_changed_counts_as_none(tmp_path: Path, change: str) -> None:
    """It is asked again and may then be anything; the rows beside it stand."""
    with Journal(tmp_path, SPEC) as journal:
        journal.record([answer("甲"), answer("乙")], RequestCost(1))
        key = text_key("甲")
    edit(journal.path, f"UPDATE results SET {change} WHERE key = x'{key.hex()}'")
    with Journal(tmp_path, SPEC) as journal:
        assert journal.get(key) is None
        assert journal.standing(key) is Standing.OPEN
        assert journal.counts() == {ANSWERED: 1}
        assert list(journal.results()) == [answer("乙")]
        journal.record([failure("甲")], RequestCost(1))
        assert journal.get(key) == failure("甲")
        assert journal.counts() == {ANSWERED: 1, FAILED: 1}


@pytest.mark.parametrize("value", ["'many'", "-5", "x'ff'", "'999999999999999999999'", "CAST(x'ff' AS TEXT)"])
def test_figures_that_another_program_changed_begin_anew(tmp_path: Path, value: str) -> None:
    """The results are counted anew; what only meta knew is none."""
    with Journal(tmp_path, SPEC) as journal:
        journal.record([answer("甲")], RequestCost(7, Usage(1, 1, 1)))
        journal.set_expected(4)
    edit(journal.path, f"UPDATE meta SET value = {value}")
    edit(journal.path, "INSERT INTO jobs VALUES ('odd', 'open', x'0102', 1.0)")
    with Journal(tmp_path, SPEC) as journal:
        assert (journal.counts(), journal.totals(), journal.expected) == ({ANSWERED: 1}, RequestCost(), 0)
        assert (journal.started_at, journal.open_jobs()) == (-5.0 if value == "-5" else journal.started_at, {"odd": ()})
        journal.record([answer("乙")], RequestCost(2))
        assert (journal.counts(), journal.totals()) == ({ANSWERED: 2}, RequestCost(2))


def test_workers_that_record_at_once_leave_figures_that_equal_the_results(tmp_path: Path) -> None:
    """Eight threads with overlapping texts, while the main thread looks: each text has one result and one count."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with Journal(tmp_path, SPEC) as journal:
            start = threading.Barrier(9)

            def work(worker: int) -> None:
                chance = random.Random(worker)
                start.wait()
                for _ in range(20):
                    texts = [f"{chance.randrange(60)}" for _ in range(5)]
                    journal.record([chance.choice((answer, failure))(text) for text in texts], RequestCost(1))

            workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
            for worker in workers:
                worker.start()
            start.wait()
            while any(worker.is_alive() for worker in workers):
                assert sum(journal.counts().values()) <= 60
                journal.get(text_key("7"))
            found = list(journal.results())
            assert len({result.key for result in found}) == len(found) == sum(journal.counts().values())
            assert sum(result.answered for result in found) == journal.counts()[ANSWERED]
            assert journal.totals().requests == 160
    finally:
        sys.setswitchinterval(interval)


def test_an_interrupt_at_any_moment_leaves_the_journal_usable(journal: Journal) -> None:
    """Ctrl-C while the main thread looks and records: no lock stays taken, no transaction open, no figure wrong."""
    chance = random.Random(5)
    key = text_key("甲")
    for number in range(150):
        ended = allocate_lock()
        ended.acquire()

        def interrupt(until: float, ended: LockType = ended) -> None:
            while time.perf_counter() < until:
                pass
            interrupt_main()
            ended.release()

        with contextlib.suppress(KeyboardInterrupt):
            # Bare: a Thread's start() waits on a condition, which the interrupt could break.
            start_new_thread(interrupt, (time.perf_counter() + chance.random() * 0.003,))
            while True:  # ended by the interrupt alone, so that it cannot come later
                journal.get(key)
                journal.record([answer(f"{number}")], RequestCost(1))
                journal.counts()
        ended.acquire()
        other = threading.Thread(target=journal.get, args=(key,))
        other.start()
        other.join(10)
        assert not other.is_alive()
        assert not journal._connection.in_transaction
    assert journal.counts() == {ANSWERED: len(list(journal.results()))}

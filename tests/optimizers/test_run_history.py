"""RunHistory: what is kept and found again, and what a bad disk, another process or a kill may cost."""

from __future__ import annotations

import base64
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.cost import Spend
from core.errors import UsageError
from core.history import ServiceTimes
from core.outcome import Answer, AnswerSource, CallFigures, Outcome, OutcomeKind, RunReport, Usage
from optimizers import run_history_file
from optimizers.run_history import RunHistory
from optimizers.run_history_rows import run_of
from tests.fakes import FakeClock
from tests.optimizers.history_writer import QUESTIONS

ROOT = Path(__file__).resolve().parents[2]
KINDS = (OutcomeKind.ANSWERED, OutcomeKind.FAILED, OutcomeKind.NOT_RUN)


def an_outcome(kind: OutcomeKind, text: str, at: float) -> Outcome[Answer]:
    if kind is OutcomeKind.ANSWERED:
        figures = CallFigures(1, 0.25, 1.5, Usage(10, 20, 5))
        return Outcome("t", "n", kind, at, at + 2, at + 0.25, Answer(text, "m-1"), figures=figures)
    taken = at + 1 if kind is OutcomeKind.FAILED else None
    return Outcome("t", "n", kind, at, at + 3, taken, reason=text, advice="再試")


def a_report(*answers: str, kind: OutcomeKind = OutcomeKind.ANSWERED, at: float = 1000.0) -> RunReport[Answer]:
    return RunReport(tuple(an_outcome(kind, answer, at) for answer in answers), at, at + 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.sqlite3"


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def history(path: Path, notes: list[str]) -> RunHistory:
    return RunHistory(path, clock=FakeClock(), on_note=notes.append)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def sql(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


# What is kept.


def test_a_run_comes_back_as_it_was(path: Path) -> None:
    """Figures, questions, answers, failures and the places in time are those of the report."""
    clock = FakeClock(1005.0)
    history = RunHistory(path, clock=clock)
    report = RunReport(tuple(an_outcome(kind, "文字\n二", 1000.0) for kind in KINDS), 1000.0, 1003.0)
    spend = Spend(calls=2, prompt_tokens=11, answer_tokens=22, thinking_tokens=6, known_money=Decimal("0.00012"))
    number = history.add("標題", ["一", "二", "三"], report, model="m-1", spend=spend)
    assert number == 1
    run = history.run(number)
    assert run is not None
    assert (run.id, run.title, run.model, run.started_wall) == (1, "標題", "m-1", clock.wall_offset + 1000.0)
    assert (run.wall_seconds, run.serial_seconds, run.longest_seconds) == (3.0, 3.75, 2.0)
    assert dict(run.counts) == dict.fromkeys(KINDS, 1)
    assert (run.questions, run.answered) == (3, 1)
    assert (run.prompt_tokens, run.output_tokens, run.money) == (11, 28, Decimal("0.00012"))
    assert run.service == ServiceTimes(1, 1.5, 1.5, 1.5)
    answered, failed, skipped = history.items(number)
    assert (answered.number, answered.question, answered.answer, answered.model) == (1, "一", "文字\n二", "m-1")
    assert (answered.queue_seconds, answered.started, answered.ended) == (0.25, 0.25, 2.0)
    assert (answered.limiter_seconds, answered.service_seconds, answered.attempts) == (0.25, 1.5, 1)
    assert answered.usage == Usage(10, 20, 5)
    assert (failed.reason, failed.advice, failed.answer, failed.started) == ("文字\n二", "再試", "", 1.0)
    assert (skipped.number, skipped.kind, skipped.started) == (3, OutcomeKind.NOT_RUN, None)


def test_the_source_and_the_cut_of_an_answer_are_kept(history: RunHistory) -> None:
    """From the cache and truncated stays from the cache and truncated."""
    answer = Answer("a", "m", truncated=True, source=AnswerSource.CACHE)
    outcome = Outcome("t", "n", OutcomeKind.ANSWERED, 1000.0, 1000.0, 1000.0, answer)
    assert history.add("", ["q"], RunReport((outcome,), 1000.0, 1000.0)) == 1
    (item,) = history.items(1)
    assert (item.source, item.truncated) == (AnswerSource.CACHE, True)


def test_without_a_spend_tokens_are_the_outcomes_own_and_money_is_unknown(history: RunHistory) -> None:
    """Nobody's price is invented."""
    history.add("t", ["a", "b"], a_report("1", "2"))
    (run,) = history.runs()
    assert (run.prompt_tokens, run.answer_tokens, run.thinking_tokens, run.money) == (20, 40, 10, None)
    history.add("t", ["a"], a_report("1"), spend=Spend(calls=1, unpriced_calls=1))
    assert history.runs(1)[0].money is None


def test_without_a_title_the_first_question_is_it(history: RunHistory) -> None:
    """Its first two hundred characters; blank questions are no title."""
    history.add("", [" ", "題" * 300], a_report("a", "b"))
    history.add("", [], a_report())
    assert [run.title for run in history.runs()] == ["", "題" * 200]


def test_many_questions_come_in_order_though_few_are_held(history: RunHistory) -> None:
    """The pages of the reading leave out nothing and repeat nothing."""
    history.add("other", ["x"], a_report("x"))
    history.add("t", [f"{n}" for n in range(250)], a_report(*"a" * 250))
    history.add("other", ["x"], a_report("x"))
    items = history.items(2)
    assert [item.question for item in items] == [f"{n}" for n in range(250)]


def test_questions_and_outcomes_must_belong_together(history: RunHistory) -> None:
    """More or fewer questions than outcomes are the caller's bug, and nothing is kept of it."""
    with pytest.raises(ValueError, match="zip"):
        history.add("t", ["a", "b"], a_report("1"))
    assert history.runs() == ()


def test_switched_off_everything_works_and_nothing_is_kept() -> None:
    """Without a path there is no file, no run, no complaint."""
    history = RunHistory(None)
    assert not history.enabled
    assert history.add("t", ["a"], a_report("1")) is None
    assert (history.runs(search="a"), history.run(1), list(history.items(1))) == ((), None, [])
    assert (history.delete(1), history.prune(keep_runs=0, older_than=0), history.clear()) == (False, 0, 0)


@pytest.mark.parametrize(("runs", "size"), [(0, 1), (1, 0)])
def test_a_bound_below_one_is_refused(runs: int, size: int) -> None:
    """A history that can keep nothing is a mistake."""
    with pytest.raises(UsageError):
        RunHistory(None, most_runs=runs, most_bytes=size)


def test_looking_makes_no_file(history: RunHistory, path: Path) -> None:
    """Only the first add makes one."""
    assert history.enabled
    assert (history.runs(), history.delete(1), history.clear(), list(history.items(1))) == ((), False, 0, [])
    assert not path.parent.exists()


def test_a_key_in_a_text_is_not_stored(path: Path) -> None:
    """redact sees every text: title, model, question, answer, reason, advice."""
    key = "canary-0123456789abcdef"
    history = RunHistory(path, clock=FakeClock(), redact=lambda text: text.replace(key, "***"))
    outcomes: tuple[Outcome[Answer], ...] = (
        Outcome("t", key, OutcomeKind.ANSWERED, 1000.0, 1000.0, 1000.0, Answer(key, key)),
        Outcome("t", key, OutcomeKind.FAILED, 1000.0, 1000.0, 1000.0, reason=key, advice=key, error=ValueError(key)),
    )
    history.add(f"{key}", [key, f"a {key} b"], RunReport(outcomes, 1000.0, 1001.0), model=key)
    assert [item.question for item in history.items(1)] == ["***", "a *** b"]
    stored = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert key.encode() not in stored
    assert base64.b64encode(key.encode()) not in stored


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_file_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    """Folders 0700 and the file 0600 under any umask; one that was open to others is closed."""
    path = tmp_path / "a" / "b" / "history.sqlite3"
    before = os.umask(umask)
    try:
        RunHistory(path).add("t", ["a"], a_report("1"))
    finally:
        os.umask(before)
    assert [mode(each) for each in (path.parents[1], path.parent, path)] == [0o700, 0o700, 0o600]
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    path.chmod(0o666)
    RunHistory(path).add("t", ["a"], a_report("1"))
    assert mode(path) == 0o600


# What is found.


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("天", [3, 1]), ("天地", [3, 1]), ("地", [3, 2, 1]), ("100%", [2]), ("%", [2]), ("_", [3]), ("\\", [3]),
        ("ABC", [2]), ("標題", [3]), ("none", []), ("", [3, 2, 1]), ("地" * 2000, []), ("\0", [2]), ("\ud800", [3]),
    ],
)  # fmt: skip
def test_search_finds_exact_text_of_any_length(history: RunHistory, search: str, found: list[int]) -> None:
    """One or two Chinese characters are enough, and nothing in the text is a pattern."""
    history.add("a", ["天地"], a_report("1"))
    history.add("b", ["大地", "x"], a_report("100%", "abc\0"))
    history.add("標題", ["a_b\\c \ud800"], a_report("天地"))
    assert [run.id for run in history.runs(search=search)] == found


def test_pages_are_of_the_matches_and_search_looks_at_all(history: RunHistory) -> None:
    """limit and offset count matches only, however far back they are."""
    for number in range(1, 51):
        history.add(f"{'甲' if number % 2 else '乙'}", ["q"], a_report("a"))
    assert [run.id for run in history.runs(3, 1)] == [49, 48, 47]
    assert [run.id for run in history.runs(3, 21, search="甲")] == [7, 5, 3]
    assert [run.id for run in history.runs(30, 24, search="甲")] == [1]
    assert history.runs(10**30, 10**30, search="甲") == history.runs(-1) == ()


def test_numbers_beyond_everything_are_just_not_there(history: RunHistory) -> None:
    """A person may type any number."""
    history.add("t", ["a"], a_report("1"))
    for number in (10**40, -1, 0, 2):
        assert (history.run(number), list(history.items(number)), history.delete(number)) == (None, [], False)


# What goes.


def test_deleted_means_gone_from_the_file(history: RunHistory, path: Path) -> None:
    """The text is no longer in any byte of it, the room is given back, the number is not used again."""
    history.add("keep", ["a"], a_report("1"))
    before = path.stat().st_size
    history.add("t", ["秘密" * 50_000], a_report("secret" * 50_000))
    assert history.delete(2)
    assert not history.delete(2)
    assert "秘密".encode() not in path.read_bytes()
    assert path.stat().st_size == before
    assert history.add("t", ["b"], a_report("2")) == 3
    assert history.clear() == 2
    assert history.add("t", ["b"], a_report("2")) == 4


def test_prune_by_number_and_by_age(path: Path) -> None:
    """The newest stay; what began too long ago goes."""
    clock = FakeClock()
    history = RunHistory(path, clock=clock)
    for _ in range(5):
        history.add("t", ["a"], a_report("1", at=clock.now()))
        clock.advance(10.0)
    assert history.prune() == 0
    assert history.prune(keep_runs=4) == 1
    assert history.prune(older_than=25.0) == 2
    assert [run.id for run in history.runs()] == [5, 4]
    assert list(history.items(1)) == []


def test_the_oldest_make_room(path: Path) -> None:
    """Never more than most_runs, or most_bytes of text, but the newest run stays whatever its size."""
    history = RunHistory(path, clock=FakeClock(), most_runs=3, most_bytes=4000)
    for _ in range(5):
        history.add("t", ["a"], a_report("1"))
    assert [run.id for run in history.runs()] == [5, 4, 3]
    history.add("t", ["a"], a_report("字" * 1200))
    assert [run.id for run in history.runs()] == [6]
    history.add("t", ["a"], a_report("字" * 12_000))
    assert [run.id for run in history.runs()] == [7]


# What may go wrong with the file.


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_is_put_aside_and_told_once(
    history: RunHistory, path: Path, notes: list[str], content: bytes
) -> None:
    """Nothing of it is deleted, and the run at hand is kept in a new file."""
    path.parent.mkdir()
    path.write_bytes(content)
    assert history.add("t", ["a"], a_report("1")) == 1
    (aside,) = path.parent.glob("*.corrupt-*")
    assert aside.name == "history.sqlite3.corrupt-20231114T223000Z"
    assert aside.read_bytes() == content
    assert notes == [f"⚠️ 執行紀錄已損壞, 改名為 {aside.name}; 從頭開始一份新的"]
    path.write_bytes(content)
    assert history.runs() == ()
    assert len(list(path.parent.glob("*.corrupt-*"))) == len(notes) == 2
    assert not path.exists()


def test_a_folder_in_its_place_and_an_empty_file(tmp_path: Path, notes: list[str]) -> None:
    """The one is put aside like a damaged file, the other is filled."""
    path = tmp_path / "history.sqlite3"
    path.mkdir()
    history = RunHistory(path, on_note=notes.append)
    assert history.add("t", ["a"], a_report("1")) == 1
    assert len(notes) == 1
    empty = tmp_path / "empty.sqlite3"
    empty.touch()
    history = RunHistory(empty, on_note=notes.append)
    assert history.runs() == ()
    assert history.clear() == 0
    assert history.add("t", ["a"], a_report("1")) == 1
    assert len(notes) == 1


def test_every_kind_of_damage_ends_in_a_working_history(tmp_path: Path, notes: list[str]) -> None:
    """Cut at every page and with a flipped byte in each: no exception, and runs are kept afterwards."""
    path = tmp_path / "history.sqlite3"
    history = RunHistory(path, clock=FakeClock(), on_note=notes.append)
    for _ in range(3):
        history.add("t", ["問" * 1000] * 3, a_report(*["答" * 1000] * 3))
    whole = path.read_bytes()
    pages = range(0, len(whole), 4096)
    flipped = [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in (page + 5 for page in pages)]
    for content in (*(whole[:page] for page in pages), *flipped):
        path.write_bytes(content)
        for run in history.runs(search="答"):
            list(history.items(run.id))
        number = history.add("t", ["a"], a_report("1"))
        assert number is not None
        assert history.run(number) is not None
    assert len(notes) == len(list(tmp_path.glob("*.corrupt-*"))) > 1


def test_a_damaged_file_that_cannot_be_renamed(
    history: RunHistory, path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays as it is, and the person hears why nothing is kept."""
    path.parent.mkdir()
    path.write_bytes(b"garbage" * 1000)

    def refuse(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "rename", refuse)
    assert history.add("t", ["a"], a_report("1")) is None
    assert notes == ["⚠️ 執行紀錄的檔案已損壞, 而且無法改名, 請把它移到別處; 這次沒有寫入執行紀錄, 其他功能照常"]
    assert path.read_bytes() == b"garbage" * 1000


def test_a_new_file_that_another_process_put_there_is_left_alone(
    history: RunHistory, path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two processes that meet the same damage, one renames the file and both go on in the new one."""
    path.parent.mkdir()
    path.write_bytes(b"garbage" * 1000)
    other = RunHistory(path, clock=FakeClock())
    put_aside = run_history_file.HistoryFile._put_aside

    def after_the_other(self: run_history_file.HistoryFile, identity: tuple[int, int] | None) -> None:
        monkeypatch.setattr(run_history_file.HistoryFile, "_put_aside", put_aside)
        assert other.add("other", ["a"], a_report("1")) == 1
        put_aside(self, identity)

    monkeypatch.setattr(run_history_file.HistoryFile, "_put_aside", after_the_other)
    assert history.add("t", ["a"], a_report("1")) == 2
    assert [run.title for run in history.runs()] == ["t", "other"]
    assert notes == []


def test_a_locked_file_costs_this_run_alone(history: RunHistory, path: Path, notes: list[str]) -> None:
    """Told once until something is written again; then the next lock is told again."""
    history.add("t", ["a"], a_report("1"))
    for times in (1, 2):
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN EXCLUSIVE")
        assert history.add("t", ["a"], a_report("1")) is None
        assert history.add("t", ["a"], a_report("1")) is None
        assert len(notes) == 2 * times - 1
        assert history.runs() == ()
        blocker.close()
        assert notes[-2:] == [
            "⚠️ 執行紀錄正被另一個程式使用, 請稍後再試; 這次沒有寫入執行紀錄, 其他功能照常",
            "⚠️ 執行紀錄正被另一個程式使用, 請稍後再試; 這次讀不到執行紀錄",
        ]
        assert history.add("t", ["a"], a_report("1")) == 1 + times


def test_a_full_disk_keeps_what_was_there(
    history: RunHistory, path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own error of a full disk: one note, the old runs are whole, later ones are kept again."""
    history.add("t", ["a"], a_report("1"))
    connect = sqlite3.connect

    def limited(*args: Any, **more: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **more)
        connection.execute("PRAGMA max_page_count = 12")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", limited)
        for _ in range(2):
            assert history.add("t", ["a"], a_report("x" * 200_000)) is None
    assert notes == ["⚠️ 磁碟已滿, 請清出空間; 這次沒有寫入執行紀錄, 其他功能照常"]
    assert [item.answer for item in history.items(1)] == ["1"]
    assert history.add("t", ["a"], a_report("x" * 200_000)) == 2


def test_a_place_that_cannot_be_written(tmp_path: Path, notes: list[str]) -> None:
    """One note, no exception."""
    (tmp_path / "file").touch()
    history = RunHistory(tmp_path / "file" / "history.sqlite3", on_note=notes.append)
    for _ in range(2):
        assert history.add("t", ["a"], a_report("1")) is None
    assert notes == ["⚠️ 執行紀錄的檔案無法使用, 請檢查磁碟與資料夾的權限; 這次沒有寫入執行紀錄, 其他功能照常"]


def test_a_file_that_is_gone_in_the_moment_it_is_opened(
    history: RunHistory, path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else SQLite says about the medium is told, not raised."""
    monkeypatch.setattr(run_history_file, "_make_private", lambda _: None)
    assert history.add("t", ["a"], a_report("1")) is None
    assert notes[0].startswith("⚠️ 執行紀錄的檔案無法使用")


def test_a_newer_versions_file_is_left_alone(history: RunHistory, path: Path, notes: list[str]) -> None:
    """It is not damaged: it stays where it is, unread and unchanged."""
    history.add("t", ["a"], a_report("1"))
    sql(path, f"PRAGMA user_version = {run_history_file.VERSION + 1}")
    before = path.read_bytes()
    assert history.runs() == ()
    assert history.add("t", ["a"], a_report("1")) is None
    assert path.read_bytes() == before
    assert [note.split(",")[0] for note in notes] == ["⚠️ 執行紀錄是較新版本的程式寫的"] * 2


def test_a_mistake_of_ours_is_not_taken_for_damage(path: Path, history: RunHistory, notes: list[str]) -> None:
    """What Python's module refuses is raised, and the file stays."""
    history.add("t", ["a"], a_report("1"))
    file = run_history_file.HistoryFile(path, on_note=notes.append)
    with pytest.raises(sqlite3.ProgrammingError):
        file.read(lambda connection: connection.execute("SELECT ?", ()), None)
    assert path.exists()
    assert notes == []


BAD_RUNS = [
    ("counts", "[]"), ("counts", '{"odd": 1}'), ("counts", '{"failed": -1}'), ("counts", "{"), ("counts", "[" * 9000),
    ("counts", '{"failed": true}'), ("money", "much"), ("money", "NaN"), ("money", "-1"), ("money", "1E+99"),
    ("title", b"\xff"), ("wall_seconds", "long"), ("wall_seconds", 9e999), ("prompt_tokens", 1.5), ("service_p95", "x"),
]  # fmt: skip
BAD_ITEMS = [
    ("kind", "odd"),
    ("source", "odd"),
    ("question", b"\xff"),
    ("attempts", -1),
    ("started", "x"),
    ("ended", 9e999),
]


@pytest.mark.parametrize(("column", "value"), BAD_RUNS)
def test_a_run_changed_by_another_program_is_passed_over(
    history: RunHistory, path: Path, column: str, value: object
) -> None:
    """A row that this program would not have written is no run; the others are."""
    for _ in range(2):
        history.add("t", ["a"], a_report("1"))
    sql(path, f"UPDATE runs SET {column} = ? WHERE id = 1", value)
    assert [run.id for run in history.runs()] == [2]
    assert history.run(1) is None


@pytest.mark.parametrize(("column", "value"), BAD_ITEMS)
def test_an_item_changed_by_another_program_is_passed_over(
    history: RunHistory, path: Path, column: str, value: object
) -> None:
    """The same for a question."""
    history.add("t", ["a", "b"], a_report("1", "2"))
    sql(path, f"UPDATE items SET {column} = ? WHERE number = 1", value)
    assert [item.number for item in history.items(1)] == [2]


def test_bytes_that_are_no_text_are_shown_as_such(history: RunHistory, path: Path) -> None:
    """A flipped byte in a text costs that character alone."""
    history.add("t", ["abc"], a_report("1"))
    sql(path, "UPDATE items SET question = CAST(X'61FF63' AS TEXT)")
    assert [item.question for item in history.items(1)] == ["a\ufffdc"]
    assert run_of(()) is None


# Several at once.


def test_threads_wait_for_each_other(path: Path, history: RunHistory, notes: list[str]) -> None:
    """Within one process no run is lost to a lock, even to one held for longer than 250 ms."""
    history.add("t", ["a"], a_report("1"))
    numbers: list[int | None] = []
    held, added = threading.Event(), threading.Event()

    def add() -> None:
        held.wait()
        numbers.append(history.add("t", ["a"], a_report("1")))
        added.set()

    def hold(_: sqlite3.Connection) -> bool:
        held.set()
        return added.wait(0.4)  # an add that did not wait would have given up by then

    thread = threading.Thread(target=add)
    thread.start()
    assert history._file is not None
    assert history._file.write(hold, True) is False
    thread.join()
    assert numbers == [2]
    assert notes == []


def test_a_write_has_the_file_before_it_looks(path: Path, history: RunHistory) -> None:
    """No other process can write in between, and another's lock is waited for 250 ms."""
    history.add("t", ["a"], a_report("1"))
    file = run_history_file.HistoryFile(path)

    def try_from_elsewhere(connection: sqlite3.Connection) -> object:
        other = sqlite3.connect(path, isolation_level=None, timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
        return connection.execute("PRAGMA busy_timeout").fetchone()

    assert file.write(try_from_elsewhere, None) == (250,)


Writer = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    """Starts processes that wait for a line and then add runs to the file."""
    started = []

    def start(count: int, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.optimizers.history_writer", str(path), str(count), *more]
        process = subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def assert_whole(history: RunHistory, numbers: list[int]) -> None:
    for number in numbers:
        assert [item.answer for item in history.items(number)] == ["回答" * 2000] * QUESTIONS


def test_two_processes_lose_nothing_that_they_reported(path: Path, writer: Writer, notes: list[str]) -> None:
    """Every number that was given out is a whole run, in whatever order they came; nobody raises."""
    processes = [writer(15) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=50) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    lines = [line for out, _ in said for line in out.split()]
    assert len(lines) == 30
    reported = [int(line) for line in lines if line != "None"]
    history = RunHistory(path, on_note=notes.append)
    assert sorted(run.id for run in history.runs(100)) == sorted(reported)
    assert_whole(history, reported)
    assert notes == []


def test_a_kill_in_mid_write_leaves_the_file_as_it_was(path: Path, writer: Writer, notes: list[str]) -> None:
    """Half a run is in the file when its process dies: the next one to open it finds none of that."""
    history = RunHistory(path, on_note=notes.append)
    history.add("t", ["a"], a_report("1"))
    process = writer(1, "die")
    process.communicate("go\n", timeout=50)
    assert process.returncode == -signal.SIGKILL
    assert path.with_name(f"{path.name}-journal").stat().st_size > 0
    assert [run.id for run in history.runs()] == [1]
    assert history.add("t", ["a"], a_report("1")) == 2
    assert notes == []


def test_a_kill_at_any_time_loses_nothing_that_was_reported(path: Path, writer: Writer, notes: list[str]) -> None:
    """What the process had said is there, whole."""
    process = writer(1000)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    reported = [int(process.stdout.readline()) for _ in range(5)]
    process.kill()
    process.wait()
    history = RunHistory(path, on_note=notes.append)
    assert {run.id for run in history.runs(1000)} >= set(reported)
    assert_whole(history, [run.id for run in history.runs(1000)])
    assert notes == []


# Against a list.

TEXTS = st.text("aA天地%_\\ \0\ud800é", max_size=4)


def cleaned(text: str) -> str:
    return text.replace("\0", "␀").replace("\ud800", "\\ud800")


def lowered(text: str) -> str:
    return text.replace("A", "a")


class HistoryAgainstAList(RuleBasedStateMachine):
    """Whatever is done in whatever order, the history is what a list of runs would be."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.notes: list[str] = []
        self.history = RunHistory(
            Path(self.folder.name) / "h.sqlite3", clock=self.clock, on_note=self.notes.append, most_runs=5
        )
        self.runs: list[tuple[int, float, str, list[tuple[str, str]]]] = []
        self.given = 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @rule(title=TEXTS, pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
    def add(self, title: str, pairs: list[tuple[str, str]]) -> None:
        questions = [question for question, _ in pairs]
        report = a_report(*(answer for _, answer in pairs), at=self.clock.now())
        self.given += 1
        assert self.history.add(title, questions, report) == self.given
        shown = title or next((question for question in questions if question.strip()), "")
        texts = [(cleaned(question), cleaned(answer)) for question, answer in pairs]
        self.runs = [(self.given, self.clock.wall(), cleaned(shown), texts), *self.runs][:5]
        self.clock.advance(1.0)

    @rule(number=st.integers(0, 12))
    def delete(self, number: int) -> None:
        kept = [run for run in self.runs if run[0] != number]
        assert self.history.delete(number) is (len(kept) < len(self.runs))
        self.runs = kept

    @rule(keep=st.none() | st.integers(0, 5), age=st.none() | st.floats(0.5, 6.0))
    def prune(self, keep: int | None, age: float | None) -> None:
        kept = self.runs[:keep]
        if age is not None:
            kept = [run for run in kept if run[1] >= self.clock.wall() - age]
        assert self.history.prune(keep_runs=keep, older_than=age) == len(self.runs) - len(kept)
        self.runs = kept

    @rule()
    def clear(self) -> None:
        assert self.history.clear() == len(self.runs)
        self.runs = []

    @rule(search=TEXTS, limit=st.integers(0, 4), offset=st.integers(0, 4))
    def search(self, search: str, limit: int, offset: int) -> None:
        needle = lowered(cleaned(search))
        found = [
            run[0]
            for run in self.runs
            if any(needle in lowered(text) for text in (run[2], *(text for pair in run[3] for text in pair)))
        ]
        assert [run.id for run in self.history.runs(limit, offset, search=search)] == found[offset : offset + limit]

    @invariant()
    def same(self) -> None:
        stored = [
            (run.id, run.started_wall, run.title, [(item.question, item.answer) for item in self.history.items(run.id)])
            for run in self.history.runs()
        ]
        assert stored == self.runs
        assert self.notes == []


TestAgainstAList = HistoryAgainstAList.TestCase
TestAgainstAList.settings = settings(max_examples=15, stateful_step_count=20, derandomize=True, deadline=None)

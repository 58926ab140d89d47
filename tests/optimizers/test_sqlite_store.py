"""The cache on disk: the same behaviour as the one in memory, and what only a file can do or suffer."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from core.errors import UsageError
from core.outcome import Answer, Usage
from core.ports import Prompt
from core.scope import Scope
from optimizers.cache_manager import CacheManager
from optimizers.cache_reports import Pinning, StoreTally
from optimizers.cache_values import Snapshot
from optimizers.cached_model import CachedModel
from optimizers.sqlite_cache_rows import _sealed
from optimizers.sqlite_store import SQLiteStore
from tests.fakes import FakeClock, FunctionModel
from tests.optimizers import test_cache_pins, test_cache_stores

ANSWER = Answer("回答 📊", "gemini-2.5-flash", Usage(1, 2, 3), truncated=True)
ASKED = Snapshot.of(ANSWER, Prompt("問題", "指示", "{}"))
ROOT = Path(__file__).parents[2]


class DiskCacheMachine(test_cache_stores.CacheMachine):
    """The dict that is the memory store's model, against the store on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        store = SQLiteStore(
            Path(self.folder) / "cache.sqlite3",
            max_entries=test_cache_stores.MAX_ENTRIES,
            max_bytes=test_cache_stores.MAX_BYTES,
            clock=self.clock,
            on_note=pytest.fail,
        )
        self.cache = CacheManager(3, store=store)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


class DiskPinMachine(test_cache_pins.PinMachine):
    """The two dicts that are the model of pinning, against the store on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.store = SQLiteStore(  # type: ignore[assignment]  # the machine uses nothing but the protocol
            Path(self.folder) / "cache.sqlite3",
            max_entries=test_cache_pins.MAX_ENTRIES,
            max_bytes=test_cache_pins.MAX_BYTES,
            clock=self.clock,
            on_note=pytest.fail,
        )

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


_FEW = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
DiskCacheMachine.TestCase.settings = _FEW
DiskPinMachine.TestCase.settings = settings(_FEW, max_examples=80)
TestDiskCacheAgainstADict = DiskCacheMachine.TestCase
TestDiskPinsAgainstTwoDicts = DiskPinMachine.TestCase


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "answers.sqlite3"


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(path: Path, notes: list[str], clock: FakeClock) -> Iterator[Callable[[], SQLiteStore]]:
    made = list[SQLiteStore]()

    def opened() -> SQLiteStore:
        made.append(SQLiteStore(path, clock=clock, on_note=notes.append, is_secret=lambda text: "AIza-canary" in text))
        return made[-1]

    yield opened
    for store in made:
        store.close()


Make = Callable[[], SQLiteStore]


@pytest.fixture
def busy(path: Path) -> Iterator[Callable[[str], sqlite3.Connection]]:
    """Has another process hold the file: with "IMMEDIATE" it can still be read, with "EXCLUSIVE" not."""
    others: list[sqlite3.Connection] = []

    def held(how: str) -> sqlite3.Connection:
        others.append(sqlite3.connect(path, isolation_level=None))
        others[-1].execute(f"BEGIN {how}")
        return others[-1]

    yield held
    for other in others:
        other.close()


Busy = Callable[[str], sqlite3.Connection]


def count_attempts(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One item for each time that the store turns to its file."""
    opened, attempts = store._file._open, list[None]()

    def counted() -> sqlite3.Connection:
        attempts.append(None)
        return opened()

    monkeypatch.setattr(store._file, "_open", counted)
    return attempts


def test_an_answer_outlives_the_store_that_took_it(make: Make) -> None:
    """Another process finds the answer as it was given, with its question, hits and age."""
    first = make()
    first.put("k", ASKED, 60)
    assert first.get("k") == ASKED
    first.close()
    second = make()
    (entry,) = second.entries()
    assert (entry.key, entry.hits, entry.question) == ("k", 1, "問題")
    found = second.get("k")
    assert found == ASKED
    assert found is not None
    assert found.question == ASKED.question


def test_the_file_is_the_persons_alone(make: Make, path: Path) -> None:
    """Nobody else may read what was asked, whatever the umask."""
    before = os.umask(0)
    try:
        make().put("k", ASKED, 60)
    finally:
        os.umask(before)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes[path.name] == 0o600
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("value", ["", None, 0, 1.5, True, ["a", {"b": None}], "\ud800", "x" * 100_000])
def test_plain_values_come_back_as_they_were(make: Make, value: object) -> None:
    """JSON gives them back with their types; what a caller changes is not what is kept."""
    store = make()
    store.put("k", Snapshot.of(value), 60)
    found = store.get("k")
    assert found is not None
    assert found.take() == value
    assert type(found.take()) is type(value)


@pytest.mark.parametrize("value", [(1, 2), {1: "a"}, b"x", float("nan"), [{"a": {1}}], 1j])
def test_what_json_would_change_is_not_stored(make: Make, value: object) -> None:
    """A tuple would come back as a list: it goes without, and what stood there before is gone."""
    store = make()
    store.put("k", Snapshot.of("old"), 60)
    store.put("k", Snapshot.of(value), 60)
    assert store.get("k") is None


def test_nothing_that_holds_the_key_is_written(make: Make, path: Path) -> None:
    """Neither in the answer nor in the question."""
    store = make()
    store.put("a", Snapshot.of(Answer("it is AIza-canary", "m")), 60)
    store.put("b", Snapshot.of(ANSWER, Prompt("is AIza-canary my key?")), 60)
    store.put("c", ASKED, 60)
    assert [entry.key for entry in store.entries()] == ["c"]
    store.close()
    assert b"AIza-canary" not in path.read_bytes()


def test_what_is_cleared_is_gone_from_the_file(make: Make, path: Path) -> None:
    """Not just unlisted."""
    store = make()
    store.put("k", ASKED, 60)
    store.clear()
    store.close()
    assert "回答".encode() not in path.read_bytes()
    assert make().tally() == StoreTally(stores=1, removed=1)


def test_two_processes_share_the_file(make: Make) -> None:
    """What one stores the other finds, and the bounds and counts are those of both."""
    first, second = make(), make()
    first.put("a", ASKED, 60)
    second.put("b", ASKED, 60)
    assert second.get("a") == first.get("b") == ASKED
    assert first.tally().stores == 2
    assert second.remove("a")
    assert first.get("a") is None


@pytest.mark.parametrize("damage", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4000])
def test_a_damaged_file_begins_anew(make: Make, path: Path, notes: list[str], damage: bytes) -> None:
    """A cache holds nothing that could not be asked again; the person is told once."""
    path.parent.mkdir()
    path.write_bytes(damage)
    store = make()
    assert store.get("k") is None
    store.put("k", ASKED, 60)
    assert store.get("k") == ASKED
    assert len(notes) == 1
    assert "損壞" in notes[0]


def test_a_row_that_cannot_be_read_is_absent(make: Make, path: Path, notes: list[str]) -> None:
    """Each row has its checksum: one that was changed is asked again, the others stay."""
    store = make()
    for key in ("a", "b", "c"):
        store.put(key, ASKED, 60)
    with sqlite3.connect(path) as sql:
        sql.execute("UPDATE entries SET value = replace(value, '回答', '假的') WHERE key = 'a'")
        sql.execute("UPDATE entries SET question = 'x' WHERE key = 'b'")
    sql.close()
    assert store.get("a") is None
    assert store.get("b") is None
    assert store.get("c") == ASKED
    assert [entry.question for entry in store.entries()] == ["問題", "", "問題"]
    assert notes == []


def test_tables_of_another_version_are_replaced(make: Make, path: Path) -> None:
    """A cache is not worth carrying over."""
    path.parent.mkdir()
    with sqlite3.connect(path) as sql:
        sql.execute("CREATE TABLE entries (something TEXT)")
        sql.execute("PRAGMA user_version = 99")
    sql.close()
    store = make()
    store.put("k", ASKED, 60)
    assert store.get("k") == ASKED


def test_a_file_in_use_costs_nobody_an_answer(make: Make, busy: Busy, notes: list[str], clock: FakeClock) -> None:
    """Locked by another: nothing is stored, the person is told once, and all goes on when it is free."""
    store = make()
    store.put("a", ASKED, 60)
    other = busy("EXCLUSIVE")
    store.put("b", ASKED, 60)
    assert store.get("a") is None
    assert store.entries() == []
    assert store.failures() == 3
    assert len(notes) == 1
    other.execute("ROLLBACK")
    clock.advance(5)
    assert store.get("a") == ASKED
    assert store.get("b") is None
    store.put("b", ASKED, 60)
    assert store.get("b") == ASKED


def test_a_busy_file_is_waited_for_once_in_five_seconds(
    make: Make, busy: Busy, notes: list[str], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first that cannot write has waited for all: the others go without at once, and lookups go on."""
    store = make()
    store.put("a", ASKED, 60)
    busy("IMMEDIATE")
    attempts = count_attempts(store, monkeypatch)
    for number in range(20):
        store.put(f"{number}", ASKED, 60)
    assert len(attempts) == 1
    assert [store.get("a") for _ in range(20)] == [ASKED] * 20
    assert len(attempts) == 21
    clock.advance(4.9)
    assert store.remove("a") is False
    assert len(attempts) == 21
    clock.advance(0.2)
    store.put("b", ASKED, 60)
    assert len(attempts) == 22
    assert store.failures() == 22
    assert len(notes) == 1


def test_a_file_that_cannot_be_read_is_not_waited_for_again(
    make: Make, busy: Busy, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds it so keeps writers out as well."""
    store = make()
    store.put("a", ASKED, 60)
    other = busy("EXCLUSIVE")
    attempts = count_attempts(store, monkeypatch)
    assert [store.get("a") for _ in range(20)] == [None] * 20
    store.put("b", ASKED, 60)
    assert len(attempts) == 1
    other.execute("ROLLBACK")
    clock.advance(5)
    assert store.get("a") == ASKED


def test_clearing_says_whether_it_did(make: Make, busy: Busy, clock: FakeClock) -> None:
    """A file that another holds keeps its entries, and the caller knows."""
    store = make()
    store.put("a", ASKED, 60)
    other = busy("IMMEDIATE")
    assert CacheManager(store=store).clear_all() is False
    assert store.peek("a") == ASKED
    other.execute("ROLLBACK")
    clock.advance(5)
    assert CacheManager(store=store).clear_all() is True
    assert store.entries() == []


def test_notes_are_told_without_the_lock_and_their_failure_is_nobodys(path: Path) -> None:
    """Whoever is told may use the store; what it raises turns no answer into a failure."""
    locked: list[bool] = []

    def note(text: str) -> None:
        locked.append(store._lock.locked())
        raise RuntimeError("nobody listens")

    path.parent.mkdir()
    path.mkdir()
    store = SQLiteStore(path, on_note=note)
    store.put("a", ASKED, 60)
    assert store.get("a") is None
    assert locked == [False]


def test_hits_outlive_a_write_that_was_taken_back(make: Make, busy: Busy, clock: FakeClock) -> None:
    """They are written with the next one that succeeds, once."""
    store = make()
    store.put("a", ASKED, 60)
    store.get("a")
    (pages,) = store._file._open().execute("PRAGMA page_count").fetchone()
    store._file._open().execute(f"PRAGMA max_page_count = {pages}")
    store.put("b", Snapshot.of(Answer("x" * 100_000, "m")), 60)
    assert store.failures() == 1
    assert [(entry.key, entry.hits) for entry in store.entries()] == [("a", 1)]
    assert [entry.hits for entry in store.entries()] == [1]


def test_a_system_without_nofollow_has_the_cache_all_the_same(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every one knows that flag."""
    monkeypatch.delattr(os, "O_NOFOLLOW")
    store = make()
    store.put("a", ASKED, 60)
    assert store.get("a") == ASKED


@pytest.mark.parametrize("body", [{"a": 1}, {}, [], 7, None, ["answer"], [["answer"]]])
def test_a_sound_row_of_another_shape_is_absent(make: Make, path: Path, body: object) -> None:
    """Its checksum is right, but it is nothing that was written here."""
    store = make()
    store.put("a", ASKED, 60)
    with sqlite3.connect(path) as sql:
        sql.execute("UPDATE entries SET value = ?", (_sealed(body),))
    sql.close()
    assert store.get("a") is None
    assert store.failures() == 0


def test_a_file_taken_away_is_made_anew(make: Make, path: Path) -> None:
    """Somebody deletes the folder in mid-run: the next answer is stored in a new one."""
    store = make()
    store.put("a", ASKED, 60)
    shutil.rmtree(path.parent)
    assert store.get("a") is None
    store.put("a", ASKED, 60)
    assert store.get("a") == ASKED
    assert path.exists()


@pytest.mark.parametrize("obstacle", ["directory", "symlink", "parent"])
def test_what_is_no_file_of_ours_is_left_alone(make: Make, path: Path, notes: list[str], obstacle: str) -> None:
    """A directory, a link to elsewhere or a file in place of the folder: told once, nothing written, nothing lost."""
    if obstacle == "parent":
        path.parent.write_text("a file")
    else:
        path.parent.mkdir()
        if obstacle == "directory":
            path.mkdir()
        else:
            (path.parent / "elsewhere").write_text("precious")
            path.symlink_to(path.parent / "elsewhere")
    store = make()
    store.put("a", ASKED, 60)
    assert store.get("a") is None
    assert (store.remove("a"), store.pin("a", True), store.tally()) == (False, Pinning.ABSENT, StoreTally())
    assert len(notes) == 1
    if obstacle == "symlink":
        assert (path.parent / "elsewhere").read_text() == "precious"


def test_a_damaged_file_that_cannot_be_deleted_is_done_without(
    make: Make, path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then there is no cache, and one sentence."""
    path.parent.mkdir()
    path.write_bytes(b"not a database at all" * 100)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuse)
    store = make()
    store.put("a", ASKED, 60)
    assert store.get("a") is None
    assert len(notes) == 1
    assert "不能使用" in notes[0]


def test_a_full_disk_costs_the_one_value_that_does_not_fit(make: Make, notes: list[str]) -> None:
    """The transaction is taken back whole: what was there is there, the counts add up, the person is told."""
    store = make()
    store.put("a", ASKED, 60)
    (pages,) = store._file._open().execute("PRAGMA page_count").fetchone()
    store._file._open().execute(f"PRAGMA max_page_count = {pages}")
    store.put("b", Snapshot.of(Answer("x" * 100_000, "m")), 60)
    assert "不能使用" in notes[0]
    assert store.get("a") == ASKED
    assert store.get("b") is None
    assert store.tally() == StoreTally(stores=1, entries=1, bytes=ASKED.size + 1)


def test_two_processes_that_begin_the_file_at_once_begin_it_once(make: Make, path: Path) -> None:
    """Whoever comes second into the transaction finds the tables made and leaves what is in them."""
    first, second = make(), make()
    first.put("a", ASKED, 60)
    with sqlite3.connect(path) as sql:  # as the second saw it before it got its turn
        sql.execute("PRAGMA user_version = 0")
    sql.close()

    def finish(statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":
            connection.set_trace_callback(None)
            connection.execute("PRAGMA user_version = 1")

    connection = sqlite3.connect(path, isolation_level=None)
    connection.set_trace_callback(finish)
    second._file._prepare(connection)
    connection.close()
    assert second.get("a") == ASKED


def test_many_threads_lose_nothing(make: Make) -> None:
    """Eight threads through one store: every answer is there, and the counts add up."""
    store = make()
    start = threading.Barrier(8)

    def work(name: int) -> None:
        start.wait()
        for number in range(20):
            store.put(f"{name}-{number}", ASKED, 60)
            assert store.get(f"{name}-{number}") == ASKED

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally = store.tally()
    assert (tally.stores, tally.entries) == (160, 160)
    assert sum(entry.hits for entry in store.entries()) == 160


def test_a_killed_process_loses_nothing_it_has_stored(path: Path, make: Make) -> None:
    """kill -9 at any moment: what put() has returned for is there, and the file is sound."""
    program = """
        import sys
        from pathlib import Path
        from core.outcome import Answer
        from optimizers.cache_values import Snapshot
        from optimizers.sqlite_store import SQLiteStore
        store = SQLiteStore(Path(sys.argv[1]), on_note=print)
        for number in range(100_000):
            store.put(str(number), Snapshot.of(Answer("x" * 500, "m")), 10**9)
            print(number, flush=True)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    told = [child.stdout.readline() for _ in range(200)]
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().splitlines()
    child.wait()
    child.stdout.close()
    numbers = [int(line) for line in [*told, *rest] if line.strip()]
    store = make()
    assert all(store.get(str(number)) is not None for number in numbers)
    assert store.tally().entries in (len(numbers), len(numbers) + 1)


def test_a_model_behind_it_is_asked_once_across_processes(make: Make) -> None:
    """The point of it all: the next start of the program asks nothing that is known."""
    prompt = Prompt("1 + 1 = ?")
    model = FunctionModel(lambda prompt, scope: "2")
    for _ in range(2):
        store = make()
        cached = CachedModel(model, CacheManager(store=store))
        assert cached.generate(prompt, Scope()).text == "2"
        store.close()
    assert model.calls == 1


@pytest.mark.parametrize(("max_entries", "max_bytes"), [(0, 1), (1, 0)])
def test_a_store_without_room_is_refused(path: Path, max_entries: int, max_bytes: int) -> None:
    """A bound below 1 is a mistake."""
    with pytest.raises(UsageError, match="max_entries"):
        SQLiteStore(path, max_entries=max_entries, max_bytes=max_bytes)

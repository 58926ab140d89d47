"""The journals as files: modes, the lock, damage, newer versions, listing, removing."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import pytest

from core.bulk import BatchSpec, ItemResult, RequestCost, text_key
from core.errors import JournalBusyError, StorageError
from core.outcome import OutcomeKind
from optimizers import journal_files, journal_schema
from optimizers.journal import Journal
from optimizers.journal_files import JournalLock, list_journals, prune_journals, remove_journal
from tests.fakes import FakeClock

SPEC = BatchSpec("/a.txt", "{}", '{"name": "情緒"}', "fake")
ANSWERED = OutcomeKind.ANSWERED
TEXTS = [f"文字 {number}" for number in range(400)]


def answers(texts: list[str]) -> list[ItemResult]:
    return [ItemResult(text_key(text), ANSWERED, '{"result": "正面"}', attempts=1) for text in texts]


def filled(folder: Path, texts: list[str] = TEXTS, spec: BatchSpec = SPEC) -> Path:
    with Journal(folder, spec) as journal:
        journal.record(answers(texts), RequestCost(1))
        journal.set_expected(1000)
    return journal.path


def edit(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_folders_and_files_are_their_owners_alone(tmp_path: Path) -> None:
    """At creation and under umask 000, also the folders above and the files that come and go."""
    with Journal(tmp_path / "state" / "bulk", SPEC) as journal:
        journal.record(answers(TEXTS), RequestCost(1))
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert journal.path in modes
    assert set(modes.values()) == {0o600, 0o700}
    assert all(mode == (0o700 if path.is_dir() else 0o600) for path, mode in modes.items())


@pytest.mark.usefixtures("no_umask")
def test_files_have_their_mode_from_their_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is made wider and narrowed afterwards."""
    narrowed: list[object] = []
    monkeypatch.setattr(os, "chmod", lambda *args, **more: narrowed.append(args))
    filled(tmp_path / "bulk")
    assert narrowed == []


def test_the_same_process_cannot_have_a_journal_twice(tmp_path: Path) -> None:
    """The second one is told who has it; it is free once it was closed, by whatever thread."""
    journal = Journal(tmp_path, SPEC)
    with pytest.raises(JournalBusyError) as caught:
        Journal(tmp_path, SPEC)
    assert caught.value.pid == os.getpid()
    closer = threading.Thread(target=journal.close)
    closer.start()
    closer.join()
    Journal(tmp_path, SPEC).close()


def test_two_batches_do_not_hinder_each_other(tmp_path: Path) -> None:
    """One lock for each journal."""
    with Journal(tmp_path, SPEC), Journal(tmp_path, BatchSpec("/b.txt", "{}", "{}", "fake")):
        pass


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mere file in a lock's place would stay behind a killed process."""

    def soft(self: filelock.BaseFileLock) -> None:
        self.__class__ = filelock.SoftFileLock
        self._acquire()

    monkeypatch.setattr(filelock.FileLock, "_acquire", soft)
    with pytest.raises(StorageError, match="無法使用"):
        Journal(tmp_path, SPEC)


def damaged_head(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:18] + b"\x09" + path.read_bytes()[19:])


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "zero length": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"not a database " * 1000),
    "short garbage": lambda path: path.write_bytes(b"x"),
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a few bytes": lambda path: os.truncate(path, 50),
    "a wrong mode byte": damaged_head,
    "a directory": directory,
    "no tables": lambda path: edit(path, "DROP TABLE results"),
    "other columns": lambda path: edit(path, "ALTER TABLE meta RENAME COLUMN value TO content"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_journal_is_put_aside_and_a_new_one_begins(tmp_path: Path, kind: str) -> None:
    """With one notice; what was there is kept under another name; the listing calls it damaged."""
    path = filled(tmp_path)
    DAMAGE[kind](path)
    before = None if path.is_dir() else path.read_bytes()
    (info,) = list_journals(tmp_path)
    assert (info.damaged, info.digest, info.spec, info.can_go_on) == (True, SPEC.digest, None, False)
    notes: list[str] = []
    with Journal(tmp_path, SPEC, clock=FakeClock(), on_note=notes.append) as journal:
        assert journal.counts() == {}
        journal.record(answers(TEXTS[:1]), RequestCost(1))
    (aside,) = tmp_path.glob("*.corrupt-*")
    assert aside.name == f"{path.name}.corrupt-20231114T223000Z"
    assert notes == [f"⚠️ 批次紀錄 {path.name} 已損壞, 改名為 {aside.name}; 從頭開始一份新的"]
    assert before is None or aside.read_bytes() == before
    with Journal(tmp_path, SPEC, on_note=notes.append) as journal:
        assert (journal.counts(), len(notes)) == ({ANSWERED: 1}, 1)


def test_a_version_that_never_was_is_damage(tmp_path: Path) -> None:
    """Tables without a version are not ours to add tables to."""
    edit(filled(tmp_path), "PRAGMA user_version = 0")
    notes: list[str] = []
    Journal(tmp_path, SPEC, on_note=notes.append).close()
    assert len(notes) == len(list(tmp_path.glob("*.corrupt-*"))) == 1


def test_damage_twice_in_a_second_keeps_both(tmp_path: Path) -> None:
    """The second gets a name of its own, and what lies beside a damaged file goes with it."""
    clock = FakeClock()
    for words in (b"one", b"two"):
        path = tmp_path / f"{SPEC.digest}.sqlite3"
        path.write_bytes(words)
        Path(f"{path}-journal").write_bytes(words)
        Journal(tmp_path, SPEC, clock=clock).close()
    assert sorted(path.read_bytes() for path in tmp_path.glob("*.corrupt-*")) == [b"one", b"one", b"two", b"two"]


def test_damage_anywhere_costs_no_more_than_the_journal(tmp_path: Path) -> None:
    """A page of noise, or one flipped byte in each page: it opens with results as they were, or is put aside."""
    whole = filled(tmp_path / "whole").read_bytes()
    wanted = {result.key: result for result in answers(TEXTS)}
    noise = bytes(range(255, -1, -1)) * 16
    harms = [whole[:at] + noise + whole[at + 4096 :] for at in range(0, len(whole), 4096)]
    flipped = (*range(16, 60), *range(64, 100), *range(1500, len(whole), 4096))  # 60 to 63: the version
    harms += [whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :] for at in flipped]
    aside = 0
    for number, harm in enumerate(harms):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        path = folder / f"{SPEC.digest}.sqlite3"
        path.write_bytes(harm)
        notes: list[str] = []
        with Journal(folder, SPEC, on_note=notes.append) as journal:
            found = list(journal.results())
            assert len(found) == sum(journal.counts().values())
            assert sum(wanted.get(result.key) != result for result in found) <= 1
            journal.record(answers(["新的"]), RequestCost(1))
        aside += len(notes)
        assert len(notes) == len(list(folder.glob("*.corrupt-*")))
        shutil.rmtree(folder)
    assert aside >= len(whole) // 4096 - 1


def test_a_newer_versions_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    """The message says what to do; not a byte is changed, and the listing shows it as neither ours nor damaged."""
    path = filled(tmp_path)
    edit(path, f"PRAGMA user_version = {journal_schema.VERSION + 1}")
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(StorageError, match="較新版本") as caught:
            Journal(tmp_path, SPEC)
        assert "較新的版本開啟" in caught.value.advice
    (info,) = list_journals(tmp_path)
    assert (info.spec, info.damaged, info.busy) == (None, False, False)
    assert path.read_bytes() == before
    assert list(tmp_path.glob("*.corrupt-*")) == []


def test_side_files_of_a_journal_that_is_gone_do_not_touch_the_next(tmp_path: Path) -> None:
    """SQLite would roll an old rollback journal back into the new file."""
    path = tmp_path / f"{SPEC.digest}.sqlite3"
    for suffix in ("-journal", "-wal", "-shm"):
        Path(f"{path}{suffix}").write_bytes(b"old")
    filled(tmp_path)
    assert [each.name for each in tmp_path.glob("*.sqlite3*")] == [path.name]


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    """A file where the folder should be, and a folder that is not ours."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "bulk"):
        with pytest.raises(StorageError):
            Journal(folder, SPEC)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="takes on another user's rights for a moment")
def test_a_folder_without_rights_is_a_storage_error() -> None:
    """Whether it exists or is to be made; the message names the rights."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        os.seteuid(65534)
        try:
            for each in (folder, folder / "new"):
                with pytest.raises(StorageError, match="權限"):
                    Journal(each, SPEC)
        finally:
            os.seteuid(0)


def test_a_disk_that_fails_while_opening_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full, or failing: a StorageError, nothing put aside, and the journal opens once it can."""
    path = filled(tmp_path)
    connect = journal_schema.connect
    failing = sqlite3.OperationalError("disk I/O error")
    failing.sqlite_errorcode = sqlite3.SQLITE_IOERR
    for error in (failing, OSError(28, "no space"), PermissionError(13, "no")):

        def fail(path: Path, error: Exception = error) -> sqlite3.Connection:
            raise error

        monkeypatch.setattr("optimizers.journal.connect", fail)
        with pytest.raises(StorageError):
            Journal(tmp_path, SPEC)
        monkeypatch.setattr("optimizers.journal.connect", connect)
    assert list(tmp_path.glob("*.corrupt-*")) == []
    with Journal(tmp_path, SPEC) as journal:
        assert journal.path == path
        assert journal.counts() == {ANSWERED: len(TEXTS)}


def test_the_list_tells_how_far_each_batch_is(tmp_path: Path) -> None:
    """The latest first; a busy one with its pid and its figures so far; a folder that is not there has none."""
    assert list_journals(tmp_path / "nowhere") == ()
    clock = FakeClock()
    for number, name in enumerate(("a", "b", "c")):
        spec = BatchSpec(f"/{name}.txt", "{}", "{}", "fake")
        with Journal(tmp_path, spec, clock=clock) as journal:
            journal.record(answers(TEXTS[: number + 1]), RequestCost(1))
            journal.set_expected(3)
            journal.set_finished(name == "b")
        clock.advance(10)
    with Journal(tmp_path, spec, clock=clock) as journal:
        infos = list_journals(tmp_path)
        assert [info.spec and info.spec.source for info in infos] == ["/c.txt", "/b.txt", "/a.txt"]
        assert [info.answered for info in infos] == [3, 2, 1]
        assert [info.can_go_on for info in infos] == [False, False, True]
        assert [(info.busy, info.pid) for info in infos] == [(True, os.getpid()), (False, None), (False, None)]
        assert all(info.expected == 3 and info.size == info.path.stat().st_size for info in infos)
        journal.record(answers(TEXTS[:5]), RequestCost(1))
        assert list_journals(tmp_path)[0].answered == 5
    assert not any(info.busy for info in list_journals(tmp_path))


def test_the_list_counts_where_the_figure_was_not_kept(tmp_path: Path) -> None:
    """A journal of the first days is listed as it is, too, and has its figures from the next opening on."""
    edit(filled(tmp_path), "DELETE FROM meta WHERE name IN ('answered', 'failed', 'blocked', 'timed_out', 'ignored')")
    assert [info.answered for info in list_journals(tmp_path)] == [len(TEXTS)]
    with Journal(tmp_path, SPEC) as journal:
        assert journal.counts() == {ANSWERED: len(TEXTS)}
        journal.record(answers(["新的"]), RequestCost(1))
    assert [info.answered for info in list_journals(tmp_path)] == [len(TEXTS) + 1]


def test_a_busy_journal_is_not_removed_and_any_other_is(tmp_path: Path) -> None:
    """With what lies beside it; removing what is not there is no error."""
    digest = SPEC.digest
    with Journal(tmp_path, SPEC) as journal:
        journal.record(answers(TEXTS), RequestCost(1))
        with pytest.raises(JournalBusyError):
            remove_journal(tmp_path, digest)
    Path(f"{journal.path}-journal").touch()
    remove_journal(tmp_path, digest)
    assert list(tmp_path.glob("*.sqlite3*")) == []
    remove_journal(tmp_path, digest)
    journal.path.mkdir()
    with pytest.raises(StorageError):
        remove_journal(tmp_path, digest)


def test_only_finished_batches_that_are_old_are_pruned(tmp_path: Path) -> None:
    """Not unfinished ones, not busy ones, not ones dated in the future."""
    clock = FakeClock()
    specs = [BatchSpec(f"/{name}.txt", "{}", "{}", "fake") for name in ("old", "unfinished", "busy", "future", "new")]
    for spec in specs:
        if spec is specs[3]:
            clock.wall_offset += 1e6
        if spec is specs[4]:
            clock.wall_offset -= 1e6
            clock.advance(100)
        with Journal(tmp_path, spec, clock=clock) as journal:
            journal.record(answers(TEXTS[:1]), RequestCost(1))
            journal.set_finished(spec is not specs[1])
    with Journal(tmp_path, specs[2], clock=clock):
        assert prune_journals(tmp_path, older_than=50, clock=clock) == 1
    left = {info.spec for info in list_journals(tmp_path)}
    assert left == set(specs[1:])


def test_a_version_of_sqlite_whose_log_is_sound_keeps_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write-ahead log from 3.51.3 and in the mended 3.50.7 and 3.44.6; the rollback journal in all others."""
    modes: dict[tuple[int, int, int], str] = {}
    for version in ((3, 40, 1), (3, 44, 5), (3, 44, 6), (3, 50, 7), (3, 51, 2), (3, 51, 3), (4, 0, 0)):
        monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
        with Journal(tmp_path, SPEC) as journal:
            journal.record(answers(TEXTS[: len(modes) + 1]), RequestCost(1))
            ((modes[version],),) = journal._connection.execute("PRAGMA journal_mode").fetchall()
            assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
            assert journal.counts() == {ANSWERED: len(modes)}
            assert list_journals(tmp_path)[0].busy
            assert not list_journals(tmp_path)[0].damaged
    assert [version for version, mode in modes.items() if mode == "wal"] == [
        (3, 44, 6), (3, 50, 7), (3, 51, 3), (4, 0, 0),
    ]  # fmt: skip
    assert [path.name for path in tmp_path.glob("*.sqlite3*")] == [journal.path.name]


def test_what_cannot_be_written_beside_the_lock_is_only_the_pid(tmp_path: Path) -> None:
    """A pid that cannot be kept, or read, costs nothing but the message's detail."""
    (tmp_path / f"{SPEC.digest}.pid").mkdir()
    with Journal(tmp_path, SPEC), pytest.raises(JournalBusyError) as caught:
        Journal(tmp_path, SPEC)
    assert caught.value.pid is None
    assert "另一個程式正在" in caught.value.reason


def test_a_fresh_start_that_fails_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The damaged file has been put aside by then and stays; the lock is free again."""
    path = tmp_path / f"{SPEC.digest}.sqlite3"
    path.write_bytes(b"")

    def full(path: Path) -> None:
        raise OSError(28, "no space")

    with monkeypatch.context() as patch:
        patch.setattr("optimizers.journal.make_journal", full)
        with pytest.raises(StorageError) as caught:
            Journal(tmp_path, SPEC)
    assert caught.value.full
    assert len(list(tmp_path.glob("*.corrupt-*"))) == 1
    Journal(tmp_path, SPEC).close()


def test_what_cannot_be_renamed_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made in the place of a damaged file that stays there."""
    path = tmp_path / f"{SPEC.digest}.sqlite3"
    path.write_bytes(b"garbage")

    def refuse(*names: object) -> None:
        raise PermissionError(13, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(StorageError, match="權限"):
            Journal(tmp_path, SPEC)
    assert path.read_bytes() == b"garbage"


def test_the_list_waits_for_nothing_and_raises_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that vanishes is left out; one whose lock or bytes cannot be had, or that names no batch, says little."""
    (tmp_path / "gone.sqlite3").symlink_to(tmp_path / "nowhere")
    (tmp_path / "odd.sqlite3").write_bytes(filled(tmp_path).read_bytes())
    edit(tmp_path / "odd.sqlite3", "UPDATE meta SET value = '[1, 2, 3, 4]' WHERE name = 'spec'")
    edit(filled(tmp_path), "UPDATE meta SET value = '{' WHERE name = 'spec'")
    (tmp_path / "lock.sqlite3").write_bytes(b"")
    (tmp_path / "lock.lock").mkdir()

    def refuse(path: Path) -> bool:
        raise PermissionError(13, "no")

    names = ["lock", "odd", SPEC.digest]
    for _ in range(2):
        infos = list_journals(tmp_path)
        assert sorted(info.digest for info in infos) == sorted(names)
        assert {(info.spec, info.damaged, info.busy) for info in infos} == {(None, False, False)}
        monkeypatch.setattr(journal_files, "is_intact", refuse)


def test_a_busy_journal_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    """What is read while another writes may make no sense."""
    path = tmp_path / f"{SPEC.digest}.sqlite3"
    path.write_bytes(b"half of a page")
    lock = JournalLock(path)
    (info,) = list_journals(tmp_path)
    lock.release()
    assert (info.busy, info.pid, info.damaged) == (True, os.getpid(), False)
    assert list_journals(tmp_path)[0].damaged


def test_a_prune_leaves_what_it_cannot_delete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One taken between the look and the deletion, say."""
    with Journal(tmp_path, SPEC, clock=FakeClock()) as journal:
        journal.record(answers(TEXTS[:1]), RequestCost(1))
        journal.set_finished(True)

    def taken(folder: Path, digest: str) -> None:
        raise JournalBusyError(None)

    monkeypatch.setattr(journal_files, "remove_journal", taken)
    assert prune_journals(tmp_path, older_than=0) == 0
    assert journal.path.exists()


def test_counts_that_fail_while_opening_close_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What passes the first check and still cannot be counted is damage like any other."""
    filled(tmp_path)
    notes: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr("optimizers.journal.COUNT_BY_KIND", "SELECT * FROM nothing")
        with pytest.raises(StorageError):
            Journal(tmp_path, SPEC, on_note=notes.append)
    assert len(notes) == len(list(tmp_path.glob("*.corrupt-*"))) == 1

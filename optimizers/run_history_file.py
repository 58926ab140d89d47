"""The file of the history: SQLite for its owner alone, opened for one piece of work at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

from core.clock import SYSTEM_CLOCK, Clock
from core.language import marked, tr
from core.private_folder import make_private_folder
from optimizers.run_history_rows import SCHEMA
from optimizers.small_file import file_identity

__all__ = ["VERSION", "HistoryFile"]

T = TypeVar("T")

VERSION: Final = 1
_BUSY_SECONDS: Final = 0.25
_SUFFIXES: Final = ("", "-journal", "-wal", "-shm")
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})


class _Trouble(Enum):
    """What keeps the file from being used, as it is told to a person."""

    BUSY = marked("執行紀錄正被另一個程式使用, 請稍後再試")
    FULL = marked("磁碟已滿, 請清出空間")
    NEWER = marked("執行紀錄是較新版本的程式寫的, 請改用較新的版本")
    UNUSABLE = marked("執行紀錄的檔案無法使用, 請檢查磁碟與資料夾的權限")
    DAMAGED = marked("執行紀錄的檔案已損壞, 而且無法改名, 請把它移到別處")


class _Unusable(Exception):
    def __init__(self, trouble: _Trouble) -> None:
        super().__init__(trouble.name)
        self.trouble = trouble


class HistoryFile:
    """Runs pieces of work on the file, each in one transaction on a connection of its own.

    Nothing is open, and nothing is held, between two pieces; what write() has done is on the disk when it returns.
    The journal is the rollback journal: sound with several processes in every version of SQLite, and the file goes
    back to what it was if its process is killed half-way.

    No method raises for the medium. A damaged file is renamed to *.corrupt-<UTC>, on_note is told, and a new one
    begins. Locked by another process for more than 250 ms, full, not writable, of a newer version: the work is not
    done and on_note is told, once until a write succeeds again. The work itself may raise: nothing is changed then.

    Thread-safe; on_note is called by the thread that meets the trouble.
    """

    def __init__(
        self, path: Path, *, clock: Clock = SYSTEM_CLOCK, on_note: Callable[[str], object] = lambda _: None
    ) -> None:
        self._path = path
        self._clock = clock
        self._on_note = on_note
        # Guards the file against other threads of this process, so that they wait for each other instead of giving
        # up after 250 ms; held for one piece of work, which is SQL alone.
        self._working = threading.Lock()
        # Guards _told; held to look at it and change it.
        self._telling = threading.Lock()
        self._told: set[str] = set()

    def read(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """What the work finds; otherwise where there is no file yet (none is made), or where it cannot be read."""
        try:
            return self._attempt(lambda: self._read(work, otherwise))
        except _Unusable as failure:
            self._tell(tr("⚠️ {trouble}; 這次讀不到執行紀錄", trouble=tr(failure.trouble.value)))
        return otherwise

    def write(self, work: Callable[[sqlite3.Connection], T], otherwise: T, *, make: bool = True) -> T:
        """What the work returns, once its changes are on the disk; otherwise where they cannot be made.

        make: whether a file is made where there is none; without, there is nothing to do then.
        """
        try:
            result = self._attempt(lambda: self._write(work) if make or self._path.exists() else otherwise)
        except _Unusable as failure:
            trouble = tr(failure.trouble.value)
            self._tell(tr("⚠️ {trouble}; 這次沒有寫入執行紀錄, 其他功能照常", trouble=trouble))
            return otherwise
        with self._telling:
            self._told.clear()
        return result

    def _attempt(self, attempt: Callable[[], T]) -> T:
        """The attempt, and a second one on a new file if the first finds this one damaged. Raises _Unusable."""
        before = file_identity(self._path)
        try:
            return _translated(attempt)
        except _Unusable as failure:
            if failure.trouble is not _Trouble.DAMAGED:
                raise
        self._put_aside(before)
        return _translated(attempt)

    def _read(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        with self._working:
            if not self._path.exists():
                return otherwise
            with _connection(self._path) as connection:
                connection.execute("BEGIN")
                return work(connection) if _version(connection) else otherwise

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._working:
            _make_private(self._path)
            with _connection(self._path) as connection:
                if not self._path.stat().st_size:
                    connection.execute("PRAGMA auto_vacuum = FULL")  # what is deleted will give its room back
                connection.execute("BEGIN IMMEDIATE")
                if not _version(connection):
                    _create(connection)
                result = work(connection)
                connection.execute("COMMIT")
                return result

    def _put_aside(self, identity: tuple[int, int] | None) -> None:
        """Rename the damaged file, unless another process has done so and a new one stands in its place."""
        with self._working:
            if identity is None or file_identity(self._path) != identity:
                return
            aside = _free_name(self._path, self._clock.wall())
            try:
                for suffix in _SUFFIXES:
                    with contextlib.suppress(FileNotFoundError):
                        os.rename(f"{self._path}{suffix}", f"{aside}{suffix}")
            except OSError:
                raise _Unusable(_Trouble.DAMAGED) from None
        self._on_note(tr("⚠️ 執行紀錄已損壞, 改名為 {name}; 從頭開始一份新的", name=aside.name))

    def _tell(self, note: str) -> None:
        with self._telling:
            known = note in self._told
            self._told.add(note)
        if not known:
            self._on_note(note)


@contextlib.contextmanager
def _connection(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for one transaction; whatever has not been committed at the end is as if it had not been."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)
    try:
        connection.isolation_level = None
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # deleted questions are gone from the file, not just unlisted
        yield connection
    finally:
        connection.close()


def _version(connection: sqlite3.Connection) -> int:
    """The version of the tables; 0 in a file without any."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise _Unusable(_Trouble.NEWER)
    return int(version)


def _create(connection: sqlite3.Connection) -> None:
    for statement in SCHEMA:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _translated(attempt: Callable[[], T]) -> T:
    """The attempt, with what goes wrong with the medium as _Unusable; without the original, whose frames hold texts."""
    try:
        return attempt()
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:  # not the file's doing: the module refused what it was asked
            raise
        trouble = _trouble(code & 0xFF)  # the rest of it tells finer kinds apart
    except IsADirectoryError:
        trouble = _Trouble.DAMAGED
    except OSError:
        trouble = _Trouble.UNUSABLE
    raise _Unusable(trouble)


def _trouble(code: int) -> _Trouble:
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return _Trouble.BUSY
    if code == sqlite3.SQLITE_FULL:
        return _Trouble.FULL
    return _Trouble.DAMAGED if code in _DAMAGE else _Trouble.UNUSABLE


def _make_private(path: Path) -> None:
    """Make the file, and every folder missing above it, for their owner alone, whatever the umask."""
    make_private_folder(path.parent)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)  # SQLite's own files beside it get the same mode


def _free_name(path: Path, wall: float) -> Path:
    stamp = f"{path.name}.corrupt-{datetime.fromtimestamp(wall, UTC):%Y%m%dT%H%M%SZ}"
    aside, number = path.with_name(stamp), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{stamp}-{number}")
    return aside

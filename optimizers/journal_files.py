"""The journals of bulk runs as files: made for their owner alone, locked while in use, put aside when damaged."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import JournalBusyError, StorageError

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["JournalLock", "connect", "make_directory", "put_aside", "storage_error"]

VERSION: Final = 1
_CACHE_KIB: Final = 8192
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Versions in which a write-ahead log shared by processes could be corrupted in a rare race (sqlite.org/wal.html).
_FIXED_BACKPORTS: Final = frozenset({(3, 44, 6), (3, 50, 7)})
_FIXED: Final = (3, 51, 3)

SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE results (
    key BLOB PRIMARY KEY, kind TEXT NOT NULL, found TEXT NOT NULL, reason TEXT NOT NULL,
    attempts INTEGER NOT NULL, seconds REAL NOT NULL, session INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE jobs (
    name TEXT PRIMARY KEY, state TEXT NOT NULL, keys BLOB NOT NULL, submitted_at REAL NOT NULL
) WITHOUT ROWID;
"""


class JournalLock:
    """One process at a time has a journal. The lock is the system's own and ends with its process, however that ends.

    The pid is written beside it for the message to whoever comes second; it may be out of date and decides nothing.
    """

    def __init__(self, path: Path) -> None:
        import filelock  # 70 ms: not where the menu waits for it

        self._pid_path = path.with_suffix(".pid")
        self._lock: BaseFileLock = filelock.FileLock(path.with_suffix(".lock"), mode=0o600)
        try:
            self._lock.acquire(blocking=False)
        except filelock.Timeout:
            raise JournalBusyError(_read_pid(self._pid_path)) from None
        except OSError as error:
            raise storage_error(error, path) from None
        with contextlib.suppress(OSError):
            _write_private(self._pid_path, str(os.getpid()))

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self._pid_path.unlink()
        self._lock.release()


def make_directory(directory: Path) -> None:
    """Make the directory for its owner alone, whatever the umask. Raises StorageError."""
    try:
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o700)
    except OSError as error:
        raise storage_error(error, directory) from None


def connect(path: Path) -> sqlite3.Connection:
    """The journal at that path, made if it is not there. Raises sqlite3.DatabaseError where it is damaged.

    Every commit is on the disk when it returns (synchronous FULL).
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite's own files beside it get the same mode
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, cached_statements=32)
    try:
        connection.execute(f"PRAGMA journal_mode = {'WAL' if _wal_is_safe() else 'TRUNCATE'}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # it is ours alone: no lock to be had for every look
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version > VERSION:
            raise StorageError(f"{path.name} 是較新版本的程式寫的", advice="請用較新的版本開啟, 或把這個檔案移到別處")
        (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
    except BaseException:
        connection.close()
        raise
    return connection


def put_aside(path: Path, *, clock: Clock = SYSTEM_CLOCK, on_note: Callable[[str], object]) -> None:
    """Rename a damaged journal, with what belongs to it, and say so: nothing of a person's work is deleted."""
    aside = path.with_name(f"{path.name}.corrupt-{datetime.fromtimestamp(clock.wall(), UTC):%Y%m%dT%H%M%S}")
    try:
        os.replace(path, aside)
        for suffix in ("-journal", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{path}{suffix}", f"{aside}{suffix}")
    except OSError as error:
        raise storage_error(error, path) from None
    on_note(f"⚠️ 批次紀錄 {path.name} 已損壞, 改名為 {aside.name}; 從頭開始一份新的")


def storage_error(error: BaseException, path: Path) -> StorageError:
    """What to tell a person about a journal that cannot be used."""
    full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or (
        isinstance(error, OSError) and error.errno in _NO_ROOM
    )
    if full:
        advice = "請清出空間後再試; 還沒存下的結果仍在記憶體裡"
        return StorageError("磁碟已滿, 批次的結果存不下", advice=advice, full=True)
    if isinstance(error, PermissionError):
        return StorageError(f"沒有寫入 {path} 的權限", advice="請檢查資料夾的權限")
    return StorageError(f"批次紀錄 {path.name} 無法使用 ({type(error).__name__})", advice="請檢查磁碟與資料夾的權限")


def _wal_is_safe() -> bool:
    return sqlite3.sqlite_version_info >= _FIXED or sqlite3.sqlite_version_info in _FIXED_BACKPORTS


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii")[:20])
    except (OSError, ValueError):
        return None


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)

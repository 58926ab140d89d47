"""The file of the cache on disk: one connection, kept open; what goes wrong with it costs nobody an answer."""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from core.clock import Clock
from core.language import tr
from core.private_folder import make_private_folder
from optimizers.small_file import file_identity
from optimizers.sqlite_cache_rows import SCHEMA

__all__ = ["CacheFile"]

T = TypeVar("T")

_VERSION: Final = 1
_BUSY_SECONDS: Final = 0.25
_LEFT_ALONE_SECONDS: Final = 5.0
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class CacheFile:
    """Runs pieces of work on the file. Not thread-safe: the caller's lock guards it.

    A file that is damaged, or has the tables of another version, is deleted and begun anew: it holds nothing that
    could not be asked again. Where the file cannot be used (locked for more than 250 ms, full disk, no permission)
    the work is not done, which failures counts. A file that was locked is left alone for the next 5 s, so that of
    those who come one after the other the first alone waits for it. In vain for writing, it is still tried for reading.
    What a person should know is kept for take_notes(): a failure once, until a write succeeds. The journal is the
    rollback journal, sound with several processes in every version of SQLite, and writes do not wait for the disk: a
    killed process loses nothing, a power cut at most the cache.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._reads_off_until = self._writes_off_until = -math.inf
        self._notes: list[str] = []
        self._told = False
        self.failures = 0

    def read(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """What the work finds; otherwise where the file cannot be read."""
        return self._guarded(lambda: work(self._open()), otherwise, writing=False)

    def write(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """What the work returns, in one transaction; otherwise, and nothing changed, where it cannot be done."""
        return self._guarded(lambda: self._in_transaction(work), otherwise, writing=True)

    def take_notes(self) -> list[str]:
        """The sentences for a person since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def close(self) -> None:
        """Close the connection; the next piece of work opens another. Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _in_transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._open()
        with _transaction(connection):
            return work(connection)

    def _guarded(self, attempt: Callable[[], T], otherwise: T, *, writing: bool) -> T:
        if self._clock.now() < (self._writes_off_until if writing else self._reads_off_until):
            self.failures += 1
            return otherwise
        try:
            try:
                result = attempt()
            except sqlite3.DatabaseError as error:
                if _code(error) not in _DAMAGE or not self._delete():
                    raise
                result = attempt()
        except (sqlite3.DatabaseError, OSError) as error:
            self._fail(error, writing)
            return otherwise
        self._told = self._told and not writing
        return result

    def _fail(self, error: Exception, writing: bool) -> None:
        self.close()
        self.failures += 1
        if _code(error) in _BUSY:
            self._writes_off_until = self._clock.now() + _LEFT_ALONE_SECONDS
            if not writing:
                self._reads_off_until = self._writes_off_until
        if not self._told:
            self._told = True
            self._notes.append(tr("⚠️ 磁碟上的快取目前不能使用 (被佔用、磁碟已滿或沒有權限); 照常詢問, 只是不存"))

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            if self._identity == file_identity(self._path):
                return self._connection
            self.close()  # another process has begun the file anew
        make_private_folder(self._path.parent)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)  # not every system knows it
        os.close(os.open(self._path, flags, 0o600))
        self._path.chmod(0o600)
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        self._connection, self._identity = connection, file_identity(self._path)
        connection.text_factory = lambda data: data.decode("utf-8", "replace")  # a bad row must not stop the others
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA secure_delete = ON")  # what is cleared is gone from the file
        self._prepare(connection)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if _version(connection) == _VERSION:
            return
        with _transaction(connection):
            if _version(connection) == _VERSION:
                return  # another process has made them meanwhile
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                connection.execute(f'DROP TABLE "{name}"')
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_VERSION}")

    def _delete(self) -> bool:
        """Begin anew; False where even that cannot be done."""
        self.close()
        try:
            for suffix in ("", "-journal"):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        except OSError:
            return False
        self._notes.append(tr("⚠️ 磁碟上的快取已損壞, 已從頭開始一份新的; 只少了先前存下的回答"))
        return True


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the connection may be what failed
            connection.execute("ROLLBACK")
        raise


def _code(error: Exception) -> int:
    """SQLite's primary result code; 0 where the error is another's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)

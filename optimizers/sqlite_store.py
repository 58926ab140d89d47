"""A cache store on disk: answers that outlive the program, in SQLite for their owner alone."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import UsageError
from core.language import tr
from core.scope import call_shielded
from optimizers.cache_reports import EntryInfo, Pinning, StoreTally
from optimizers.cache_stores import MOST_PINNED
from optimizers.cache_values import Snapshot
from optimizers.sqlite_cache_file import CacheFile
from optimizers.sqlite_cache_rows import COUNTS, decoded, encoded, listed

__all__ = ["SQLiteStore"]

T = TypeVar("T")

_EXPIRED: Final = "pinned = 0 AND expires <= ?"
_OLDEST: Final = "key = (SELECT key FROM entries WHERE pinned = 0 ORDER BY used LIMIT 1)"


class SQLiteStore:
    """A CacheStore in a file, which several processes may share. Thread-safe.

    Bounds, order and counts are those of MemoryStore; the counts are the file's, over all its processes. Hits since
    the last write are kept in memory and written with the next one, so that a lookup only reads. Callers go one after
    the other: a lookup may wait for another's write, and each of the two, 250 ms at most, for a file that another
    process holds; then the file is left alone for 5 s, as CacheFile says.
    on_note is called without a lock, and what it raises is logged.
    Written are answers and plain JSON values; anything else is not stored, nor is a value or question of which
    is_secret says that it holds the key. The file survives the death of a process at any point. It may be lost with
    the machine's power: then it begins anew, as any damaged one does, and nothing but a cache is gone.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_entries: int = 100_000,
        max_bytes: int = 256 * 2**20,
        clock: Clock = SYSTEM_CLOCK,
        on_note: Callable[[str], object] = lambda _: None,
        is_secret: Callable[[str], bool] = lambda _: False,
    ) -> None:
        if max_entries < 1 or max_bytes < 1:
            raise UsageError(tr("快取的 max_entries 與 max_bytes 必須至少是 1"))
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._is_secret = is_secret
        self._on_note = on_note
        self._file = CacheFile(path, clock=clock)
        # Guards the connection and _touched; held by every public method while it works, which is SQL alone.
        self._lock = threading.Lock()
        self._touched: dict[str, int] = {}  # hits not yet written, in the order of the last one

    def get(self, key: str) -> Snapshot | None:
        with self._held():
            found = self._look(key)
            if found is not None:
                self._touched[key] = self._touched.pop(key, 0) + 1
            return found

    def put(self, key: str, snapshot: Snapshot, lifetime: float) -> None:
        value = encoded(snapshot)
        if value is None or self._is_secret("".join(filter(None, value))):
            self.remove(key)  # what was there is not what is true now
            return
        size = snapshot.size + len(key)

        def work(sql: sqlite3.Connection, now: float) -> None:
            pinned = self._drop(sql, "replaced", "key = ?", key, pinned=True)
            if size > self._max_bytes - _count(sql, "pinned_bytes"):
                _add(sql, too_large=1)
                return
            while _count(sql, "entries") >= self._max_entries or _count(sql, "bytes") + size > self._max_bytes:
                self._drop(sql, "evicted", _OLDEST)
            sql.execute(
                "INSERT INTO entries (key, value, question, size, created, expires, used, pinned)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (key, *value, size, now, now + lifetime, _next(sql), pinned),
            )
            _add(sql, stores=1, entries=1, bytes=size, pinned=pinned, pinned_bytes=size * pinned)

        with self._held():
            self._write(work, None)

    def remove(self, key: str) -> bool:
        def work(sql: sqlite3.Connection, now: float) -> bool:
            before = _count(sql, "entries")
            self._drop(sql, "removed", "key = ?", key, pinned=True)
            return _count(sql, "entries") < before

        with self._held():
            return self._write(work, False)

    def clear(self) -> bool:
        def work(sql: sqlite3.Connection, now: float) -> bool:
            removed = _count(sql, "entries")
            sql.execute("DELETE FROM entries")
            sql.execute("UPDATE counts SET entries = 0, bytes = 0, pinned = 0, pinned_bytes = 0")
            _add(sql, removed=removed)
            return True

        with self._held():
            return self._write(work, False)

    def peek(self, key: str) -> Snapshot | None:
        with self._held():
            return self._look(key)

    def pin(self, key: str, pinned: bool) -> Pinning:
        def work(sql: sqlite3.Connection, now: float) -> Pinning:
            row = sql.execute("SELECT size, pinned FROM entries WHERE key = ?", (key,)).fetchone()
            if row is None or bool(row[1]) == pinned:
                return Pinning.ABSENT if row is None else Pinning.DONE
            if pinned and not self._has_room_to_pin(sql, row[0]):
                return Pinning.FULL
            sql.execute("UPDATE entries SET pinned = ?, used = ? WHERE key = ?", (pinned, _next(sql), key))
            step = 1 if pinned else -1
            _add(sql, pinned=step, pinned_bytes=step * row[0])
            self._drop(sql, "expired", _EXPIRED, now)
            (left,) = sql.execute("SELECT COUNT(*) FROM entries WHERE key = ?", (key,)).fetchone()
            return Pinning.DONE if left else Pinning.EXPIRED

        with self._held():
            return self._write(work, Pinning.ABSENT)

    def entries(self) -> list[EntryInfo]:
        with self._held():
            return self._write(listed, [])

    def tally(self) -> StoreTally:
        def work(sql: sqlite3.Connection, now: float) -> StoreTally:
            return StoreTally(*sql.execute(f"SELECT {', '.join(COUNTS)} FROM counts").fetchone())

        with self._held():
            return self._write(work, StoreTally())

    def failures(self) -> int:
        with self._held():
            return self._file.failures

    def close(self) -> None:
        """Write down the hits and close the file. The store may be used again after."""
        with self._held():
            if self._touched:
                self._write(lambda sql, now: None, None)
            self._file.close()

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """The lock; what a person should know of the file is told once it is free."""
        with self._lock:
            yield
            notes = self._file.take_notes()
        for note in notes:
            call_shielded(functools.partial(self._on_note, note))

    def _look(self, key: str) -> Snapshot | None:
        now = self._clock.wall()

        def work(sql: sqlite3.Connection) -> Snapshot | None:
            row = sql.execute(
                "SELECT value, question, size - length(key) FROM entries"
                " WHERE key = ? AND (pinned = 1 OR expires > ?)",
                (key, now),
            ).fetchone()
            return None if row is None else decoded(*row)

        return self._file.read(work, None)

    def _write(self, work: Callable[[sqlite3.Connection, float], T], otherwise: T) -> T:
        """What the work returns, which is given the instant; before it, hits are written down and expired ones go."""
        now = self._clock.wall()

        def whole(sql: sqlite3.Connection) -> tuple[bool, T]:
            self._note_hits(sql)
            self._drop(sql, "expired", _EXPIRED, now)
            return True, work(sql, now)

        done, result = self._file.write(whole, (False, otherwise))
        if done:  # not before: a transaction that is taken back takes the hits with it
            self._touched.clear()
        return result

    def _note_hits(self, sql: sqlite3.Connection) -> None:
        for key, hits in self._touched.items():
            sql.execute(
                "UPDATE entries SET hits = hits + ?, used = iif(pinned, used, ?) WHERE key = ?", (hits, _next(sql), key)
            )

    def _drop(self, sql: sqlite3.Connection, why: str, where: str, *values: Any, pinned: bool = False) -> bool:
        """Drop those entries and count them; pinned: there may be pinned ones among them. True if there were."""
        kept = 0
        if pinned:
            (kept, held) = sql.execute(
                f"SELECT COUNT(*), COALESCE(SUM(size), 0) FROM entries WHERE pinned = 1 AND {where}", values
            ).fetchone()
            _add(sql, pinned=-kept, pinned_bytes=-held)
        sizes = [size for (size,) in sql.execute(f"DELETE FROM entries WHERE {where} RETURNING size", values)]
        if sizes:
            _add(sql, entries=-len(sizes), bytes=-sum(sizes), **{why: len(sizes)})
        return bool(kept)

    def _has_room_to_pin(self, sql: sqlite3.Connection, size: int) -> bool:
        most = min(MOST_PINNED, self._max_entries // 2)  # what is left keeps the cache a cache
        return _count(sql, "pinned") < most and _count(sql, "pinned_bytes") + size <= self._max_bytes // 2


def _count(sql: sqlite3.Connection, name: str) -> int:
    (count,) = sql.execute(f"SELECT {name} FROM counts").fetchone()
    return int(count)


def _add(sql: sqlite3.Connection, **changes: int) -> None:
    sql.execute(
        f"UPDATE counts SET {', '.join(f'{name} = {name} + ?' for name in changes)}", tuple(changes.values())
    )


def _next(sql: sqlite3.Connection) -> int:
    """A number above all given before: what has the least of them was used least recently."""
    (serial,) = sql.execute("UPDATE counts SET serial = serial + 1 RETURNING serial").fetchone()
    return int(serial)

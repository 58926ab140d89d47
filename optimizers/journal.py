"""The journal of a bulk run: what became of each text, on the disk as soon as it is known."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from core.bulk import BatchSpec, ItemResult, RequestCost
from core.clock import SYSTEM_CLOCK, Clock
from core.outcome import OutcomeKind, Usage
from optimizers.journal_files import JournalLock, connect, make_directory, put_aside, storage_error

__all__ = ["Journal", "Standing"]

_KEPT: Final = frozenset({OutcomeKind.ANSWERED, OutcomeKind.FAILED, OutcomeKind.BLOCKED, OutcomeKind.TIMED_OUT})
_COSTS: Final = ("requests", "prompt_tokens", "answer_tokens", "thinking_tokens")
_AT_ONCE: Final = 1000
_KEY_BYTES: Final = 16

_LOOK: Final = "SELECT kind, session FROM results WHERE key = ?"
_READ: Final = "SELECT key, kind, found, reason, attempts, seconds FROM results"
_WRITE: Final = "REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)"


class Standing(StrEnum):
    """Where a text stands. SETTLED: this session has its result, good or bad; OPEN: it is to be asked."""

    OPEN = "open"
    ANSWERED = "answered"
    SETTLED = "settled"
    SUBMITTED = "submitted"  # part of a batch job that has not ended


class Journal:
    """One bulk run's results by text key, over all its sessions; opening it begins a session.

    What record() has taken is on the disk when it returns: kill -9 loses nothing of it, and a power cut as little as
    the disk allows. An answer is never replaced; a failure is by what came of a later attempt.

    The file belongs to one process at a time (JournalBusyError). A damaged one is put aside, on_note is told, and a
    new one begins. StorageError where it cannot be written; the same record() may be tried again later.

    Thread-safe.
    """

    def __init__(
        self,
        directory: Path,
        spec: BatchSpec,
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_note: Callable[[str], object] = lambda _: None,
    ) -> None:
        make_directory(directory)
        self.path = directory / f"{spec.digest}.sqlite3"
        self.spec = spec
        self._clock = clock
        # Guards the connection and the counts; held for one statement or one transaction, also by readers.
        self._lock = threading.Lock()
        self._file_lock = JournalLock(self.path)
        try:
            self._connection = self._opened(on_note)
            self._counts = self._count()
            self._submitted = self._open_keys()
            self._cost = [int(self._meta(name, "0")) for name in _COSTS]
            self.begin_session()
        except sqlite3.Error as error:
            self._file_lock.release()
            raise storage_error(error, self.path) from None
        except BaseException:
            self._file_lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; it stays on the disk if there is anything in it. Idempotent."""
        with self._lock:
            empty = not (self._counts or self._submitted or any(self._cost))
            self._connection.close()
        if empty:
            self.path.unlink(missing_ok=True)
        self._file_lock.release()

    def begin_session(self) -> None:
        """From here on it is another session: what has failed so far is open again. Raises StorageError."""
        now = f"{self._clock.wall()}"
        with self._lock:
            self.session = int(self._meta("session", "0")) + 1
            with self._transaction():
                self._set_meta({"spec": _spec_text(self.spec), "session": str(self.session), "updated": now})
                self._connection.execute("INSERT OR IGNORE INTO meta VALUES ('started', ?)", (now,))

    def standing(self, key: bytes) -> Standing:
        """Where the text of that key stands."""
        with self._lock:
            row = self._connection.execute(_LOOK, (key,)).fetchone()
            submitted = key in self._submitted
        if row is not None and row[1] == self.session:
            return Standing.SETTLED
        if row is not None and row[0] == OutcomeKind.ANSWERED.value:
            return Standing.ANSWERED
        return Standing.SUBMITTED if submitted else Standing.OPEN

    def get(self, key: bytes) -> ItemResult | None:
        """The text's result; None if it has none, or one that this program cannot have written."""
        with self._lock:
            row = self._connection.execute(f"{_READ} WHERE key = ?", (key,)).fetchone()
        return None if row is None else _result(row)

    def results(self) -> Iterator[ItemResult]:
        """All results, in the order of their keys; not more than a thousand are held at once."""
        last = b""
        while True:
            with self._lock:
                query = f"{_READ} WHERE key > ? ORDER BY key LIMIT {_AT_ONCE}"
                rows = self._connection.execute(query, (last,)).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield from filter(None, map(_result, rows))

    def record(self, results: Sequence[ItemResult], cost: RequestCost) -> None:
        """Write down what a request came to, all of it or nothing. Raises StorageError."""
        usage = cost.usage
        spent = (cost.requests, usage.prompt_tokens, usage.answer_tokens, usage.thinking_tokens)
        with self._lock:
            counts, total = self._counts.copy(), [had + more for had, more in zip(self._cost, spent, strict=True)]
            with self._transaction():
                for result in results:
                    self._put(result, counts)
                self._set_meta({**dict(zip(_COSTS, map(str, total), strict=True)), "updated": f"{self._clock.wall()}"})
            self._counts, self._cost = counts, total

    def counts(self) -> Mapping[OutcomeKind, int]:
        """How many texts ended in each kind, as their results stand now."""
        with self._lock:
            return +self._counts

    def totals(self) -> RequestCost:
        """What all sessions cost together."""
        with self._lock:
            requests, *tokens = self._cost
        return RequestCost(requests, Usage(*tokens))

    @property
    def expected(self) -> int | None:
        """Distinct texts in the input, as last counted."""
        with self._lock:
            return int(found) if (found := self._meta("expected", "")) else None

    def set_expected(self, texts: int) -> None:
        with self._lock, self._transaction():
            self._set_meta({"expected": str(texts)})

    def set_finished(self, finished: bool) -> None:
        """Whether every text of the input has its answer."""
        with self._lock, self._transaction():
            self._set_meta({"finished": str(int(finished))})

    def distribution(self, field: str) -> Mapping[str, int]:
        """How often each value of the field was found."""
        counts: Counter[str] = Counter()
        for result in self.results():
            if result.answered:
                counts[str(json.loads(result.values).get(field, ""))] += 1
        return counts

    def failures(self) -> Mapping[str, int]:
        """How often each reason kept a text from its answer."""
        with self._lock:
            query = "SELECT reason, count(*) FROM results WHERE kind <> ? GROUP BY reason"
            return dict(self._connection.execute(query, (OutcomeKind.ANSWERED.value,)).fetchall())

    def add_job(self, name: str, keys: Sequence[bytes]) -> None:
        """A batch job has these texts."""
        with self._lock:
            with self._transaction():
                row = (name, "open", b"".join(keys), self._clock.wall())
                self._connection.execute("REPLACE INTO jobs VALUES (?, ?, ?, ?)", row)
            self._submitted.update(keys)

    def open_jobs(self) -> Mapping[str, tuple[bytes, ...]]:
        """The jobs that have not ended, with the keys of their texts."""
        with self._lock:
            rows = self._connection.execute("SELECT name, keys FROM jobs WHERE state = 'open'").fetchall()
        return {name: _split(keys) for name, keys in rows}

    def jobs_ended(self) -> int:
        """How many jobs of this batch have ended."""
        with self._lock:
            (count,) = self._connection.execute("SELECT count(*) FROM jobs WHERE state <> 'open'").fetchone()
        return int(count)

    def close_job(self, name: str, state: str) -> None:
        """The job has ended, and what it answered is recorded."""
        with self._lock:
            with self._transaction():
                self._connection.execute("UPDATE jobs SET state = ? WHERE name = ?", (state, name))
            self._submitted = self._open_keys()

    def _opened(self, on_note: Callable[[str], object]) -> sqlite3.Connection:
        try:
            return connect(self.path)
        except sqlite3.OperationalError as error:
            raise storage_error(error, self.path) from None
        except sqlite3.DatabaseError:
            put_aside(self.path, clock=self._clock, on_note=on_note)
        except OSError as error:
            if not self.path.is_dir():
                raise storage_error(error, self.path) from None
            put_aside(self.path, clock=self._clock, on_note=on_note)
        return connect(self.path)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of the block's changes on the disk, or none of them. Needs the lock."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # some failures have rolled back already
                    self._connection.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OSError) as error:
            failure = storage_error(error, self.path)
        else:
            return
        raise failure

    def _put(self, result: ItemResult, counts: Counter[OutcomeKind]) -> None:
        if result.kind not in _KEPT:
            return
        row = self._connection.execute(_LOOK, (result.key,)).fetchone()
        if row is not None:
            if row[0] == OutcomeKind.ANSWERED.value:
                return
            counts[OutcomeKind(row[0])] -= 1
        counts[result.kind] += 1
        values = (result.key, result.kind.value, result.values, result.reason, result.attempts, result.seconds)
        self._connection.execute(_WRITE, (*values, self.session))

    def _count(self) -> Counter[OutcomeKind]:
        rows = self._connection.execute("SELECT kind, count(*) FROM results GROUP BY kind").fetchall()
        known = {kind.value: kind for kind in OutcomeKind}
        return Counter({known[kind]: count for kind, count in rows if kind in known})

    def _open_keys(self) -> set[bytes]:
        rows = self._connection.execute("SELECT keys FROM jobs WHERE state = 'open'").fetchall()
        return {key for (keys,) in rows for key in _split(keys)}

    def _meta(self, name: str, default: str) -> str:
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return default if row is None else str(row[0])

    def _set_meta(self, values: Mapping[str, str]) -> None:
        self._connection.executemany("REPLACE INTO meta VALUES (?, ?)", values.items())


def _spec_text(spec: BatchSpec) -> str:
    return json.dumps([spec.source, spec.reader, spec.analysis, spec.model], ensure_ascii=False)


def _split(keys: bytes) -> tuple[bytes, ...]:
    return tuple(keys[start : start + _KEY_BYTES] for start in range(0, len(keys), _KEY_BYTES))


def _result(row: tuple[Any, ...]) -> ItemResult | None:
    """A row as a result; None for one that another program has changed into what ours would not write."""
    key, kind, found, reason, attempts, seconds = row
    try:
        result = ItemResult(bytes(key), OutcomeKind(kind), str(found), str(reason), int(attempts), float(seconds))
        valid = isinstance(json.loads(result.values), dict) if result.answered else not result.values
    except (TypeError, ValueError, RecursionError):
        return None
    return result if valid else None

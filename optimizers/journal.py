"""The journal of a bulk run: what became of each text, on the disk as soon as it is known."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from core.bulk import BatchSpec, ItemResult, RequestCost
from core.clock import SYSTEM_CLOCK, Clock
from core.outcome import OutcomeKind, Usage
from optimizers.journal_files import JournalLock, make_directory, put_aside, storage_error
from optimizers.journal_schema import (
    COUNT_BY_KIND,
    COUNTED,
    READ,
    connect,
    discard,
    figure,
    instant,
    is_damage,
    is_intact,
    join_keys,
    make_journal,
    read_row,
    row_of,
    spec_text,
    split_keys,
)

__all__ = ["Journal", "Standing"]

T = TypeVar("T")

_COSTS: Final = ("requests", "prompt_tokens", "answer_tokens", "thinking_tokens")
_FIGURES: Final = (*COUNTED, *_COSTS, "ignored")  # in meta, kept up in the transaction that changes them
_AT_ONCE: Final = 1000

_META: Final = "SELECT name, value FROM meta"
_OPEN_JOBS: Final = "SELECT name, keys FROM jobs WHERE state = 'open'"
_LOOK: Final = f"{READ} WHERE key = ?"
_NEXT: Final = f"{READ} WHERE key > ? ORDER BY key LIMIT {_AT_ONCE}"
_WRITE: Final = "REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)"
_ADD: Final = "UPDATE meta SET value = CAST(value AS INTEGER) + ? WHERE name = ?"
_EMPTY: Final = "SELECT NOT EXISTS (SELECT 1 FROM results) AND NOT EXISTS (SELECT 1 FROM jobs)"


class Standing(StrEnum):
    """Where a text stands. SETTLED: this session has its result, good or bad; OPEN: it is to be asked."""

    OPEN = "open"
    ANSWERED = "answered"
    SETTLED = "settled"
    SUBMITTED = "submitted"  # part of a batch job that has not ended


class Journal:
    """One bulk run's results by text key, over all its sessions; opening it begins a session.

    What record() has taken is on the disk when it returns: kill -9 loses nothing of it, and a power cut as little as
    the disk allows. An answer is never replaced; a failure is by what came of a later attempt. A row that this
    program cannot have written counts as none.

    The file belongs to one Journal at a time (JournalBusyError). A damaged one is put aside, on_note is told, and a
    new one begins; one of a newer version is left alone. Every method raises StorageError where the file cannot be
    used, also after close(); the same record() may be tried again later.

    Thread-safe. Times are Unix times as the clock was then, for people to read.
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
        # Guards the connection and what is below; held for one statement or one transaction, also by readers.
        self._lock = threading.Lock()
        self._closed = False
        self._file_lock = JournalLock(self.path)
        try:
            self._connection, counts = self._opened(on_note)
            self._submitted = self._open_keys()
            self.session = self._begin(counts)
        except BaseException:
            with contextlib.suppress(AttributeError):  # it may have failed before there was one
                self._connection.close()
            self._file_lock.release()
            raise

    @classmethod
    def open(
        cls,
        directory: Path,
        spec: BatchSpec,
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_note: Callable[[str], object] = lambda _: None,
    ) -> Self:
        """The journal of that batch in that directory; the same as calling the class."""
        return cls(directory, spec, clock=clock, on_note=on_note)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; it stays on the disk if there is anything in it. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                if self._shut():
                    with contextlib.suppress(OSError):
                        discard(self.path)
            finally:
                self._file_lock.release()

    def begin_session(self) -> None:
        """From here on it is another session: what has failed so far is open again."""
        self.session = self._begin({})

    @property
    def started_at(self) -> float:
        """When the first session began."""
        return instant(self._look_up("started"))

    @property
    def updated_at(self) -> float:
        """When a session last began or something was recorded."""
        return instant(self._look_up("updated"))

    def standing(self, key: bytes) -> Standing:
        """Where the text of that key stands."""
        found = self._find(key)
        if found is not None and found[1] == self.session:
            return Standing.SETTLED
        if found is not None and found[0].answered:
            return Standing.ANSWERED
        return Standing.SUBMITTED if self.is_submitted(key) else Standing.OPEN

    def get(self, key: bytes) -> ItemResult | None:
        """The text's result; None if it has none."""
        found = self._find(key)
        return None if found is None else found[0]

    def is_answered(self, key: bytes) -> bool:
        found = self._find(key)
        return found is not None and found[0].answered

    def was_tried(self, key: bytes) -> bool:
        """This session has its result, good or bad."""
        found = self._find(key)
        return found is not None and found[1] == self.session

    def is_submitted(self, key: bytes) -> bool:
        """It is part of a batch job that has not ended."""
        with self._lock:
            return key in self._submitted

    def tried_in(self, session: int) -> int:
        """How many texts have their result from that session."""
        return sum(each == session for _, each in self._rows())

    def results(self) -> Iterator[ItemResult]:
        """All results, in the order of their keys; not more than a thousand are held at once."""
        return (result for result, _ in self._rows())

    def record(self, results: Sequence[ItemResult], cost: RequestCost) -> None:
        """Write down what a request came to, all of it or nothing.

        What was never asked (cancelled, not run) is left out. An answer to what is answered already is ignored and
        counted, a failure just ignored. Raises UsageError for a result that could not be read back.
        """
        rows = [row_of(result, self.session) for result in results if result.kind.value in COUNTED]
        usage = cost.usage
        spent = (cost.requests, usage.prompt_tokens, usage.answer_tokens, usage.thinking_tokens)

        def write() -> None:
            more = Counter(dict(zip(_COSTS, spent, strict=True)))
            for row in rows:
                self._put(row, more)
            self._connection.executemany(_ADD, [(count, name) for name, count in more.items() if count])
            self._set_meta({"updated": f"{self._clock.wall()}"})

        self._transaction(write)

    def counts(self) -> Mapping[OutcomeKind, int]:
        """How many texts ended in each kind, as their results stand now."""
        numbers = self._figures(tuple(COUNTED))
        return +Counter(dict(zip(COUNTED.values(), numbers, strict=True)))

    def totals(self) -> RequestCost:
        """What all sessions cost together."""
        requests, *tokens = self._figures(_COSTS)
        return RequestCost(requests, Usage(*tokens))

    @property
    def ignored(self) -> int:
        """Answers to texts that had one, over all sessions."""
        return self._figures(("ignored",))[0]

    @property
    def expected(self) -> int | None:
        """Distinct texts in the input, as last counted."""
        found = self._look_up("expected")
        return None if found is None else figure(found)

    def set_expected(self, texts: int) -> None:
        self._transaction(lambda: self._set_meta({"expected": f"{texts}"}))

    @property
    def finished(self) -> bool:
        """Every text of the input has its answer, as last set."""
        return self._look_up("finished") == "1"

    def set_finished(self, finished: bool) -> None:
        self._transaction(lambda: self._set_meta({"finished": f"{int(finished)}"}))

    def distribution(self, field: str) -> Mapping[str, int]:
        """How often each value of the field was found."""
        counts: Counter[str] = Counter()
        for result in self.results():
            if result.answered:
                counts[str(json.loads(result.values).get(field, ""))] += 1
        return counts

    def failures(self) -> Mapping[str, int]:
        """How often each reason kept a text from its answer."""
        return Counter(result.reason for result in self.results() if not result.answered)

    def add_job(self, name: str, keys: Sequence[bytes]) -> None:
        """A batch job has these texts. Raises UsageError for what is no key."""
        row = (name, "open", join_keys(keys), self._clock.wall())
        self._change_jobs("REPLACE INTO jobs VALUES (?, ?, ?, ?)", row)

    def open_jobs(self) -> Mapping[str, tuple[bytes, ...]]:
        """The jobs that have not ended, with the keys of their texts."""
        return {name: split_keys(keys) for name, keys in self._read(_OPEN_JOBS)}

    def jobs_ended(self) -> int:
        """How many jobs of this batch have ended."""
        ((count,),) = self._read("SELECT count(*) FROM jobs WHERE state <> 'open'")
        return int(count)

    def close_job(self, name: str, state: str) -> None:
        """The job has ended, and what it answered is recorded."""
        self._change_jobs("UPDATE jobs SET state = ? WHERE name = ?", (state, name))

    def _opened(self, on_note: Callable[[str], object]) -> tuple[sqlite3.Connection, dict[str, int]]:
        """The connection and the numbers of results by kind, after what damage there was is out of the way."""
        try:
            if not os.path.lexists(self.path):
                make_journal(self.path)
            elif not is_intact(self.path):
                raise sqlite3.DatabaseError
            return _counted(self.path)
        except (sqlite3.Error, OSError) as error:
            failure = error
        if not (isinstance(failure, sqlite3.Error) and is_damage(failure)):
            raise storage_error(failure, self.path)
        put_aside(self.path, clock=self._clock, on_note=on_note)
        try:
            make_journal(self.path)
            return _counted(self.path)
        except (sqlite3.Error, OSError) as error:
            failure = error
        raise storage_error(failure, self.path)

    def _shut(self) -> bool:
        """Close the connection; True if there is nothing in the file. Needs the lock."""
        empty = False
        try:
            with contextlib.suppress(sqlite3.Error):
                spent = any(figure(self._meta().get(name)) for name in _COSTS)
                empty = bool(self._connection.execute(_EMPTY).fetchone()[0]) and not spent
                self._connection.execute("PRAGMA locking_mode = NORMAL")
                self._connection.execute("PRAGMA journal_mode = DELETE")  # leaves one file
        finally:
            self._connection.close()
        return empty

    def _begin(self, counts: Mapping[str, int]) -> int:
        """Begin a session, with these figures where they are given; returns its number."""
        now = f"{self._clock.wall()}"

        def write() -> int:
            meta = self._meta()
            figures = {name: f"{counts.get(name, figure(meta.get(name)))}" for name in _FIGURES}
            session = figure(meta.get("session")) + 1
            started = meta.get("started", now)
            self._set_meta({"session": f"{session}", "spec": spec_text(self.spec), "started": started, "updated": now})
            self._set_meta(figures)
            return session

        return self._transaction(write)

    def _change_jobs(self, statement: str, values: Sequence[object]) -> None:
        with self._lock:
            try:
                self._commit(lambda: self._connection.execute(statement, values))
            finally:
                self._submitted = self._open_keys()

    def _transaction(self, work: Callable[[], T]) -> T:
        with self._lock:
            return self._commit(work)

    def _commit(self, work: Callable[[], T]) -> T:
        """All of the work's changes on the disk, or none of them. Needs the lock.

        Not a context manager: a Ctrl-C inside contextlib's own code would leave the transaction open.
        """
        try:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                result = work()
                self._connection.execute("COMMIT")
                return result
            finally:
                if self._connection.in_transaction:  # some failures have rolled back already
                    self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            failure = storage_error(error, self.path)
        raise failure

    def _read(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                failure = storage_error(error, self.path)
        raise failure

    def _find(self, key: bytes) -> tuple[ItemResult, int] | None:
        """The text's result and its session."""
        rows = self._read(_LOOK, (key,))
        return read_row(rows[0]) if rows else None

    def _rows(self) -> Iterator[tuple[ItemResult, int]]:
        last = b""
        while rows := self._read(_NEXT, (last,)):
            last = rows[-1][0]
            yield from filter(None, map(read_row, rows))

    def _put(self, row: tuple[Any, ...], more: Counter[str]) -> None:
        """Write the row unless there is an answer, and note what that changes in the figures. Needs a transaction."""
        there = self._connection.execute(_LOOK, row[:1]).fetchone()
        found = None if there is None else read_row(there)
        kind = row[1]
        if found is not None and found[0].answered:
            more["ignored"] += kind == OutcomeKind.ANSWERED.value
            return
        if found is not None:
            more[found[0].kind.value] -= 1
        more[kind] += 1
        self._connection.execute(_WRITE, row)

    def _open_keys(self) -> set[bytes]:
        """Needs the lock."""
        rows = self._connection.execute(_OPEN_JOBS).fetchall()
        return {key for _, keys in rows for key in split_keys(keys)}

    def _look_up(self, name: str) -> str | None:
        rows = self._read("SELECT value FROM meta WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def _figures(self, names: Sequence[str]) -> list[int]:
        meta = dict(self._read(_META))
        return [figure(meta.get(name)) for name in names]

    def _meta(self) -> dict[str, Any]:
        """Needs the lock."""
        return dict(self._connection.execute(_META).fetchall())

    def _set_meta(self, values: Mapping[str, str]) -> None:
        """Needs a transaction."""
        self._connection.executemany("REPLACE INTO meta VALUES (?, ?)", values.items())


def _counted(path: Path) -> tuple[sqlite3.Connection, dict[str, int]]:
    connection = connect(path)
    try:
        found = connection.execute(COUNT_BY_KIND).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection, {**dict.fromkeys(COUNTED, 0), **{kind: count for kind, count in found if kind in COUNTED}}

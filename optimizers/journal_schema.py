"""What is inside a journal's file: its tables, how it is opened and checked, and rows as results."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from core.bulk import BatchSpec, ItemResult
from core.errors import StorageError, UsageError
from core.language import tr
from core.outcome import OutcomeKind

__all__ = [
    "COUNTED",
    "COUNT_BY_KIND",
    "READ",
    "SIDE_FILES",
    "VERSION",
    "check_tables",
    "connect",
    "discard",
    "figure",
    "instant",
    "is_damage",
    "is_intact",
    "join_keys",
    "make_journal",
    "read_row",
    "read_spec",
    "row_of",
    "spec_text",
    "split_keys",
]

VERSION: Final = 1
COUNTED: Final = {
    kind.value: kind for kind in (OutcomeKind.ANSWERED, OutcomeKind.FAILED, OutcomeKind.BLOCKED, OutcomeKind.TIMED_OUT)
}
SIDE_FILES: Final = ("-journal", "-wal", "-shm")
_CACHE_KIB: Final = 8192
_KEY_BYTES: Final = 16
_SHORT: Final = 200  # characters of an object that is likely to come again, as a label does
# Versions in which a write-ahead log shared by processes could be corrupted in a rare race (sqlite.org/wal.html).
_FIXED_BACKPORTS: Final = frozenset({(3, 44, 6), (3, 50, 7)})
_FIXED: Final = (3, 51, 3)
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT})

READ: Final = "SELECT key, kind, found, reason, attempts, seconds, session FROM results"
# The same conditions as read_row's, for a hundred thousand rows in a twentieth of a second.
COUNT_BY_KIND: Final = """
SELECT kind, count(*) FROM results WHERE typeof(key) = 'blob' AND length(key) = 16 AND typeof(reason) = 'text'
    AND typeof(attempts) = 'integer' AND attempts >= 0 AND typeof(seconds) = 'real' AND seconds >= 0
    AND seconds < 9e999 AND typeof(session) = 'integer' AND typeof(found) = 'text'
    AND CASE kind WHEN 'answered' THEN
        CASE WHEN length(found) <= 200 THEN is_short_object(CAST(found AS BLOB)) ELSE is_object(CAST(found AS BLOB)) END
    ELSE found = '' END
GROUP BY kind
"""
_SCHEMA: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE results (
    key BLOB PRIMARY KEY, kind TEXT NOT NULL, found TEXT NOT NULL, reason TEXT NOT NULL,
    attempts INTEGER NOT NULL, seconds REAL NOT NULL, session INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE jobs (
    name TEXT PRIMARY KEY, state TEXT NOT NULL, keys BLOB NOT NULL, submitted_at REAL NOT NULL
) WITHOUT ROWID;
"""
_TABLES_AS_EXPECTED: Final = (
    f"{READ} LIMIT 0",
    "SELECT name, value FROM meta LIMIT 0",
    "SELECT name, state, keys, submitted_at FROM jobs LIMIT 0",
)


def connect(path: Path) -> sqlite3.Connection:
    """The journal in that file, which exists; an empty one gets its tables.

    Every commit is on the disk when it returns (synchronous FULL). Without a write-ahead log the rollback journal is
    kept and its head overwritten: of the rollback modes that FULL makes safe from a power cut the fastest. Raises
    sqlite3.Error (see is_damage), StorageError for a newer version's file.
    """
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, cached_statements=32)
    try:
        connection.text_factory = _text
        connection.create_function("is_short_object", 1, _is_short_object, deterministic=True)
        connection.create_function("is_object", 1, _is_object, deterministic=True)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # it is ours alone: no lock to be had for every look
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:  # before anything that could change the file
            raise StorageError(
                tr("{file} 是較新版本的程式寫的", file=path.name), advice=tr("請用較新的版本開啟, 或把這個檔案移到別處")
            )
        connection.execute(f"PRAGMA journal_mode = {'WAL' if _wal_is_safe() else 'PERSIST'}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
        (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        check_tables(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def check_tables(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.Error where the tables are not ours."""
    for query in _TABLES_AS_EXPECTED:
        connection.execute(query)


def make_journal(path: Path) -> None:
    """Put an empty journal where there is none: whole or not at all, so that an empty file is always damage.

    Needs its lock. Raises OSError and sqlite3.Error.
    """
    new = path.with_suffix(".new")
    discard(new)
    discard(path)  # the side files of a journal that is gone would be rolled back into the new one
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))  # SQLite gives its side files the same mode
    connect(new).close()
    os.replace(new, path)
    discard(new)
    _sync_directory(path.parent)


def discard(path: Path) -> None:
    """Delete a journal's file and what belongs to it. Needs its lock. Raises OSError."""
    for suffix in ("", *SIDE_FILES):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def is_intact(path: Path) -> bool:
    """Whether the head is a database's. SQLite takes an empty file for a new one, a wrong mode byte for a write lock.

    Raises OSError.
    """
    if path.is_dir():
        return False
    with path.open("rb") as file:
        head = file.read(20)
    return head[:16] == b"SQLite format 3\0" and set(head[18:]) <= {1, 2}


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is not what this program wrote; otherwise it, or the disk, cannot be used at the moment."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in _DAMAGE


def read_row(row: tuple[Any, ...]) -> tuple[ItemResult, int] | None:
    """A row of READ as a result and the session it is from; None for one that this program cannot have written."""
    key, kind_text, found, reason, attempts, seconds, session = row
    kind = COUNTED.get(kind_text)
    if (
        kind is None or type(key) is not bytes or len(key) != _KEY_BYTES or type(reason) is not str
        or type(attempts) is not int or attempts < 0 or type(seconds) is not float or not 0 <= seconds < math.inf
        or type(session) is not int or type(found) is not str
    ):  # fmt: skip
        return None
    is_object = _is_short_object if len(found) <= _SHORT else _is_object
    if not is_object(found) if kind is OutcomeKind.ANSWERED else found:
        return None
    return ItemResult(key, kind, found, reason, attempts, seconds), session


def row_of(result: ItemResult, session: int) -> tuple[Any, ...]:
    """The row that keeps a result. Raises UsageError for one that could not be read back."""
    row = (
        result.key, result.kind.value, _writable(result.values), _writable(result.reason), result.attempts,
        float(result.seconds), session,
    )  # fmt: skip
    if read_row(row) is None:
        raise UsageError(tr("這個結果的內容不合要求, 不能寫進批次紀錄"))
    return row


def figure(text: object) -> int:
    """A count as meta keeps it; 0 for what is none."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 19 else 0


def instant(text: object) -> float:
    """A Unix time as meta keeps it; 0.0 for what is none."""
    try:
        seconds = float(text) if isinstance(text, str) else 0.0
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0


def spec_text(spec: BatchSpec) -> str:
    return json.dumps([spec.source, spec.reader, spec.analysis, spec.model], ensure_ascii=False)


def read_spec(text: object) -> BatchSpec | None:
    try:
        parts = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(parts, list) or len(parts) != 4 or not all(isinstance(part, str) for part in parts):
        return None
    return BatchSpec(*parts)


def join_keys(keys: Sequence[bytes]) -> bytes:
    """Raises UsageError for a key that is not 16 bytes: it would shift all that follow it."""
    if any(len(key) != _KEY_BYTES for key in keys):
        raise UsageError(tr("文字的鍵必須是 16 個位元組"))
    return b"".join(keys)


def split_keys(joined: object) -> tuple[bytes, ...]:
    """The keys of a job; none where another program has changed them."""
    if not isinstance(joined, bytes) or len(joined) % _KEY_BYTES:
        return ()
    return tuple(joined[start : start + _KEY_BYTES] for start in range(0, len(joined), _KEY_BYTES))


def _sync_directory(directory: Path) -> None:
    with contextlib.suppress(OSError):  # not every system can; SQLite does without there, too
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _wal_is_safe() -> bool:
    return sqlite3.sqlite_version_info >= _FIXED or sqlite3.sqlite_version_info in _FIXED_BACKPORTS


def _text(data: bytes) -> str | bytes:
    """Text that is not UTF-8 stays bytes, which no check takes for text; an exception would end the whole query."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _writable(text: str) -> str:
    """The text with U+FFFD for what UTF-8 cannot carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _is_object(data: bytes | str) -> bool:
    """Whether it is a JSON object as this program writes them."""
    try:
        text = data if isinstance(data, str) else data.decode()
        return isinstance(json.loads(text, parse_constant=_refuse), dict)
    except (ValueError, RecursionError):
        return False


_is_short_object = functools.lru_cache(1024)(_is_object)  # most are labels, and few


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")

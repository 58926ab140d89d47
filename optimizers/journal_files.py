"""The journals of bulk runs as files: for their owner alone, locked while in use, put aside when damaged, listed."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.bulk import BatchSpec
from core.clock import SYSTEM_CLOCK, Clock
from core.errors import JournalBusyError, StorageError
from core.language import tr
from core.private_folder import make_private_folder
from optimizers.journal_schema import (
    SIDE_FILES,
    VERSION,
    check_tables,
    discard,
    figure,
    instant,
    is_damage,
    is_intact,
    read_spec,
)

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = [
    "JournalInfo",
    "JournalLock",
    "list_journals",
    "make_directory",
    "prune_journals",
    "put_aside",
    "remove_journal",
    "storage_error",
]

_SUFFIX: Final = ".sqlite3"
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LOOKS_TAKE: Final = 0.2  # seconds: longer than whoever only looks at a lock has it


class JournalLock:
    """One journal, one holder. The lock is the system's own and ends with its process, however that ends.

    The pid beside it is for the message to whoever comes second; it may be out of date and decides nothing. Raises
    JournalBusyError, also for a second lock in the same process, and StorageError, also on a file system without
    locks: a mere file in their place would outlive its process. release() may come from any thread; idempotent.

    A look takes the lock for an instant and leaves the pid alone; real holders wait that long.
    """

    def __init__(self, path: Path, *, look: bool = False) -> None:
        import filelock  # 70 ms: not where the menu waits for it

        self._pid_path = path.with_suffix(".pid")
        self._lock: BaseFileLock = filelock.FileLock(path.with_suffix(".lock"), mode=0o600, thread_local=False)
        try:
            self._lock.acquire(timeout=0 if look else _LOOKS_TAKE, poll_interval=0.02)
        except filelock.Timeout:
            raise JournalBusyError(_read_pid(self._pid_path)) from None
        except (OSError, NotImplementedError) as error:
            raise storage_error(error, path) from None
        if type(self._lock) is not filelock.FileLock:  # it turns into a mere file where the system has no locks
            self._lock.release()
            raise storage_error(NotImplementedError(), path)
        self._has_pid = not look
        if self._has_pid:
            with contextlib.suppress(OSError):
                _write_private(self._pid_path, str(os.getpid()))

    def release(self) -> None:
        if self._has_pid:
            self._has_pid = False
            with contextlib.suppress(OSError):
                self._pid_path.unlink()
        self._lock.release()


@dataclass(frozen=True, slots=True)
class JournalInfo:
    """One journal as its file says.

    spec is None where the file does not tell: damaged, of a newer version, never begun, or busy at the wrong moment;
    the figures are 0 then. expected: distinct texts, None where nobody counted. updated: Unix time, as the clock then
    was. busy: somebody has it, pid says who where that is known. size: bytes.
    """

    path: Path
    spec: BatchSpec | None = None
    answered: int = 0
    expected: int | None = None
    finished: bool = False
    updated: float = 0.0
    damaged: bool = False
    busy: bool = False
    pid: int | None = None
    size: int = 0

    @property
    def digest(self) -> str:
        return self.path.name.removesuffix(_SUFFIX)

    @property
    def can_go_on(self) -> bool:
        """It can be read, nobody has it, and something is left to do."""
        readable = self.spec is not None and not self.busy
        return readable and not self.finished and (self.expected is None or self.answered < self.expected)


def make_directory(directory: Path) -> None:
    """Make the directory, and what is missing above it, for its owner alone. Raises StorageError."""
    try:
        make_private_folder(directory)
    except OSError as error:
        raise storage_error(error, directory) from None


def put_aside(path: Path, *, clock: Clock = SYSTEM_CLOCK, on_note: Callable[[str], object]) -> None:
    """Rename a damaged journal, with what belongs to it, and say so: nothing of a person's work is deleted.

    Needs its lock. Raises StorageError.
    """
    aside = _free_name(path, clock.wall())
    try:
        os.replace(path, aside)
        for suffix in SIDE_FILES:
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{path}{suffix}", f"{aside}{suffix}")
    except OSError as error:
        raise storage_error(error, path) from None
    on_note(tr("⚠️ 批次紀錄 {name} 已損壞, 改名為 {aside}; 從頭開始一份新的", name=path.name, aside=aside.name))


def storage_error(error: BaseException, path: Path) -> StorageError:
    """What to tell a person about a journal that cannot be used."""
    full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or (
        isinstance(error, OSError) and error.errno in _NO_ROOM
    )
    if full:
        advice = tr("請清出空間後再試; 還沒存下的結果仍在記憶體裡")
        return StorageError(tr("磁碟已滿, 批次的結果存不下"), advice=advice, full=True)
    if isinstance(error, PermissionError):
        return StorageError(tr("沒有寫入 {path} 的權限", path=path), advice=tr("請檢查資料夾的權限"))
    message = tr("批次紀錄 {name} 無法使用 ({error})", name=path.name, error=type(error).__name__)
    return StorageError(message, advice=tr("請檢查磁碟與資料夾的權限"))


def list_journals(directory: Path) -> tuple[JournalInfo, ...]:
    """Every journal there is, the latest first; none is waited for, and one that cannot be read is listed as such."""
    found = [_info(path) for path in directory.glob(f"*{_SUFFIX}")]
    return tuple(sorted(filter(None, found), key=lambda info: (-info.updated, info.path.name)))


def remove_journal(directory: Path, digest: str) -> None:
    """Delete a journal for good, also a damaged one. Raises JournalBusyError while somebody has it, StorageError."""
    path = directory / f"{digest}{_SUFFIX}"
    if not path.exists():
        return
    lock = JournalLock(path)
    try:
        discard(path)
    except OSError as error:
        raise storage_error(error, path) from None
    finally:
        lock.release()


def prune_journals(directory: Path, *, older_than: float, clock: Clock = SYSTEM_CLOCK) -> int:
    """Delete finished journals untouched for so many seconds; returns how many. Busy ones, and dates to come, stay."""
    removed = 0
    for info in list_journals(directory):
        if info.finished and not info.busy and clock.wall() - info.updated > older_than:
            with contextlib.suppress(StorageError):  # taken since, or not ours to delete: it stays
                remove_journal(directory, info.digest)
                removed += 1
    return removed


def _info(path: Path) -> JournalInfo | None:
    try:
        size = path.stat().st_size
    except OSError:
        return None  # removed since
    try:
        lock = JournalLock(path, look=True)
    except JournalBusyError as busy:
        return _read_info(JournalInfo(path, busy=True, pid=busy.pid, size=size))
    except StorageError:
        return JournalInfo(path, size=size)
    try:
        return _read_info(JournalInfo(path, size=size))
    finally:
        lock.release()


def _read_info(info: JournalInfo) -> JournalInfo:
    """The info with what the file says. A busy file is read as it lies there: its holder lets nobody in."""
    mode = "immutable=1" if info.busy else "mode=rw"  # rw: what a killed process left half-written is rolled back
    uri = f"{info.path.absolute().as_uri()}?{mode}"
    try:
        if not is_intact(info.path):
            raise sqlite3.DatabaseError
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                return info
            check_tables(connection)
            meta = dict(connection.execute("SELECT name, value FROM meta"))
            if "answered" not in meta:  # from before it was kept there
                (count,) = connection.execute("SELECT count(*) FROM results WHERE kind = 'answered'").fetchone()
                meta["answered"] = f"{count}"
    except OSError:
        return info
    except sqlite3.Error as error:
        return replace(info, damaged=not info.busy and is_damage(error))
    spec = read_spec(meta.get("spec"))
    if spec is None:
        return info
    return replace(
        info,
        spec=spec,
        answered=figure(meta.get("answered")),
        expected=figure(meta["expected"]) if "expected" in meta else None,
        finished=meta.get("finished") == "1",
        updated=instant(meta.get("updated")),
    )


def _free_name(path: Path, wall: float) -> Path:
    aside = path.with_name(f"{path.name}.corrupt-{datetime.fromtimestamp(wall, UTC):%Y%m%dT%H%M%SZ}")
    names = (aside if not number else aside.with_name(f"{aside.name}-{number}") for number in itertools.count())
    return next(name for name in names if not os.path.lexists(name))


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii")[:20])
    except (OSError, ValueError):
        return None


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)

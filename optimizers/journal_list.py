"""Which bulk runs there are on this machine, and how far each has come."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from core.bulk import BatchSpec
from core.outcome import OutcomeKind
from optimizers.journal_files import VERSION, JournalLock

__all__ = ["JournalInfo", "list_journals", "remove_journal"]


@dataclass(frozen=True, slots=True)
class JournalInfo:
    """One journal as its file says. updated: Unix time. expected: distinct texts, None where nobody counted."""

    path: Path
    spec: BatchSpec
    answered: int
    expected: int | None
    finished: bool
    updated: float

    @property
    def can_go_on(self) -> bool:
        """Something of it has been done, and something is left."""
        return not self.finished and (self.expected is None or self.answered < self.expected)


def list_journals(directory: Path) -> tuple[JournalInfo, ...]:
    """Every journal that can be read, the latest first. What cannot be read is left out and left alone."""
    found = (_info(path) for path in directory.glob("*.sqlite3"))
    return tuple(sorted(filter(None, found), key=lambda info: -info.updated))


def remove_journal(info: JournalInfo) -> None:
    """Delete a journal for good. Raises JournalBusyError while another process has it."""
    lock = JournalLock(info.path)
    try:
        info.path.unlink(missing_ok=True)
    finally:
        lock.release()


def _info(path: Path) -> JournalInfo | None:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            if connection.execute("PRAGMA user_version").fetchone() != (VERSION,):
                return None
            meta = dict(connection.execute("SELECT name, value FROM meta"))
            query = "SELECT count(*) FROM results WHERE kind = ?"
            (answered,) = connection.execute(query, (OutcomeKind.ANSWERED.value,)).fetchone()
        spec = BatchSpec(*json.loads(meta["spec"]))
        expected = int(meta["expected"]) if "expected" in meta else None
        finished = meta.get("finished") == "1"
        return JournalInfo(path, spec, answered, expected, finished, float(meta.get("updated", "0")))
    except (sqlite3.Error, OSError, ValueError, TypeError, KeyError):
        return None

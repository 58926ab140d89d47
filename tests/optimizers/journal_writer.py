"""A process with a journal of its own: python -m … FOLDER packs [POINT NUMBER] | race."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from core.bulk import BatchSpec, ItemResult, RequestCost, text_key
from core.errors import JournalBusyError
from core.outcome import OutcomeKind, Usage
from optimizers.journal import Journal

SPEC = BatchSpec("/texts.txt", "{}", '{"name": "sentiment"}', "fake")
PACK = 20
POINTS = ("before begin", "in transaction", "before commit", "after commit")


def pack(number: int) -> list[ItemResult]:
    """The results of that request, from 0."""
    texts = range(number * PACK, (number + 1) * PACK)
    return [ItemResult(text_key(f"{n}"), OutcomeKind.ANSWERED, f'{{"result": "{n}"}}', attempts=1) for n in texts]


class _Dying(sqlite3.Connection):
    """Dies at a point of the n-th transaction; writes into the file as early as SQLite can, so that it is torn."""

    point = ""
    left = 0
    writes = 0

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "BEGIN IMMEDIATE":
            type(self).left -= 1
            self._die("before begin")
            super().execute("PRAGMA cache_size = 1")
        if sql == "COMMIT":
            self._die("before commit")
        if "INTO results" in sql and self.left == 0:
            type(self).writes += 1
            if self.writes == PACK // 2:
                self._die("in transaction")
        result = super().execute(sql, *values)
        if sql == "COMMIT":
            self._die("after commit")
        return result

    def _die(self, point: str) -> None:
        if self.left == 0 and point == self.point:
            os.kill(os.getpid(), signal.SIGKILL)


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def packs(folder: Path, point: str = "", number: str = "0") -> None:
    """Record packs for ever, from where the journal stands, and name each one that is down."""
    connect = sqlite3.connect
    if point:
        _Dying.point = point
        sqlite3.connect = lambda *args, **more: connect(*args, **more, factory=_Dying)  # type: ignore[assignment]  # it has overloads
    journal = Journal(folder, SPEC)
    _Dying.left = int(number)
    done = journal.counts().get(OutcomeKind.ANSWERED, 0) // PACK
    while True:
        journal.record(pack(done), RequestCost(1, Usage(10, 2)))
        _say(f"{done}")
        done += 1


def race(folder: Path) -> None:
    """At each line try to have the journal and say how that went; at the next let it go."""
    import filelock  # noqa: F401 - so that the first round is a race, too

    _say("ready")
    while sys.stdin.readline():
        try:
            journal = Journal(folder, SPEC)
        except JournalBusyError as busy:
            _say(f"busy {busy.pid}")
            sys.stdin.readline()
        else:
            _say("won")
            sys.stdin.readline()
            journal.close()
        _say("free")


if __name__ == "__main__":
    {"packs": packs, "race": race}[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:])

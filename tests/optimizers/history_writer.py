"""A process that adds runs to a history and says which numbers it was given: python -m … FILE COUNT [die]."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from core.clock import SYSTEM_CLOCK
from core.outcome import Answer, Outcome, OutcomeKind, RunReport
from optimizers.run_history import RunHistory

QUESTIONS = 20


class _Dying(sqlite3.Connection):
    """Writes its changes into the file as early as SQLite does, and dies before they are committed."""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(sql, *values)

    def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
        self.execute("PRAGMA cache_size = 2")
        return super().executemany(sql, *values)


def report() -> RunReport[Answer]:
    now = SYSTEM_CLOCK.now()
    answer = Answer("回答" * 2000, "model")
    outcomes = (Outcome(f"{n}", "", OutcomeKind.ANSWERED, now, now, now, answer) for n in range(QUESTIONS))
    return RunReport(tuple(outcomes), now, now)


def main(path: str, count: str, die: str = "") -> None:
    if die:
        connect = sqlite3.connect
        sqlite3.connect = lambda *args, **more: connect(*args, **more, factory=_Dying)  # type: ignore[assignment]  # it has overloads
    history = RunHistory(Path(path))
    sys.stdin.readline()
    for _ in range(int(count)):
        number = history.add("run", ["?"] * QUESTIONS, report())
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

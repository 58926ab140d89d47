"""A process that runs one session of a bulk analysis: python -m … DIRECTORY COUNT POINT.

Its instant model appends each request's texts to a file before it answers. POINT is one of POINTS and a number ("before
commit:7": at the seventh time it is passed), or "never".
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.bulk import BatchSpec, TextItem
from core.parallel_executor import ParallelExecutor
from core.ports import Prompt
from core.scope import Scope
from optimizers.analyses import ANALYSES
from optimizers.bulk_runner import BulkRunner
from optimizers.journal import Journal
from optimizers.pack_size import PackSize
from tests.fakes import FunctionModel

POINTS = (
    "before reading", "before the request", "before the answer", "before begin", "in transaction", "before commit",
    "after commit", "after settling",
)  # fmt: skip
SPEC = BatchSpec("/texts.txt", "{}", "{}", "model")
WORKERS, PACK = 8, 10
REQUESTS = "requests.jsonl"
# So much more in the same transaction that SQLite has to write half of it into the file before the commit.
SPILL = """
WITH RECURSIVE rows(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM rows WHERE n < 500)
INSERT INTO results SELECT randomblob(16), 'failed', '', hex(randomblob(200)), 1, 0.0, 1 FROM rows
"""

_passed: Counter[str] = Counter()
_lock = threading.Lock()  # guards _passed; held for one count by any thread
_point, _number = "never", 0


def reach(point: str, connection: sqlite3.Connection | None = None) -> None:
    """Die if this is the point and the time."""
    with _lock:
        _passed[point] += 1
        if (point, _passed[point]) != (_point, _number):
            return
    if connection is not None and connection.in_transaction:
        sqlite3.Connection.execute(connection, "PRAGMA cache_size = 2")
        sqlite3.Connection.execute(connection, SPILL)
    os.kill(os.getpid(), signal.SIGKILL)


class Mortal(sqlite3.Connection):
    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        before = {"BEGIN IMMEDIATE": "before begin", "COMMIT": "before commit"}.get(sql)
        if before is not None:
            reach(before, self)
        cursor = super().execute(sql, *values)
        if sql.startswith("REPLACE INTO results"):
            reach("in transaction", self)
        if sql == "COMMIT":
            reach("after commit", self)
        return cursor


class Runner(BulkRunner):
    def _settle(self, *args: Any) -> None:
        super()._settle(*args)
        reach("after settling")


def label(text: str) -> str:
    return "正面" if int(text) % 2 else "負面"


def texts(count: int) -> Iterator[TextItem]:
    for number in range(1, count + 1):
        reach("before reading")
        yield TextItem(number, f"{number}", number)


def main(directory: str, count: str, point: str) -> None:
    global _point, _number
    _point, _, number = point.partition(":")
    _number = int(number or 0)
    log = os.open(Path(directory) / REQUESTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def answer(prompt: Prompt, scope: Scope) -> str:
        reach("before the request")
        data = json.loads(prompt.text)
        found = [{"id": "", "text": data["text"]}] if "text" in data else data["texts"]
        os.write(log, f"{json.dumps([each['text'] for each in found])}\n".encode())
        reach("before the answer")
        results = [{"id": each["id"], "result": label(each["text"])} for each in found]
        return json.dumps(results[0] if "text" in data else {"results": results})

    connect = sqlite3.connect
    sqlite3.connect = lambda *args, **more: connect(*args, **more, factory=Mortal)  # type: ignore[assignment]  # it has overloads
    with Journal(Path(directory), SPEC) as journal, ParallelExecutor(WORKERS, queue_capacity=1) as executor:
        runner = Runner(
            model=FunctionModel(answer), executor=executor, journal=journal, analysis=ANALYSES["sentiment"],
            pack_size=PackSize(fixed=PACK), expected=int(count),
        )  # fmt: skip
        sys.stdout.write("running\n")
        sys.stdout.flush()
        end = runner.run(texts(int(count)), scope=Scope())
        sys.stdout.write(f"{'complete' if end.complete else end}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

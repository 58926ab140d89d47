"""RunHistory: the runs of the menu and of `ask`, kept on the disk until their owner deletes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from core.clock import SYSTEM_CLOCK, Clock
from core.cost import Spend
from core.errors import UsageError
from core.history import HistoryTotals, StoredItem, StoredRun
from core.language import tr
from core.outcome import Answer, RunReport
from optimizers.run_history_file import HistoryFile
from optimizers.run_history_rows import (
    ITEM_COLUMNS,
    RUN_COLUMNS,
    SAVING_COLUMNS,
    SAVINGS,
    item_of,
    item_rows,
    run_of,
    run_row,
    saving_row,
)
from optimizers.run_totals import read_totals

__all__ = ["RunHistory"]

_AT_ONCE: Final = 100
_SEARCHED_AT_ONCE: Final = 20
_ROW_BYTES: Final = 200  # what a question's row takes beside its texts, about
_NEEDLE_CHARACTERS: Final = 1000  # SQLite refuses patterns over 50,000 bytes
_LARGEST: Final = 2**61  # SQLite's and Python's own bounds are just above twice this

_INSERT_RUN: Final = f"INSERT INTO runs ({', '.join(RUN_COLUMNS)}) VALUES ({', '.join('?' * len(RUN_COLUMNS))})"
_INSERT_ITEM: Final = (
    f"INSERT INTO items (run, {', '.join(ITEM_COLUMNS)}) VALUES (?, {', '.join('?' * len(ITEM_COLUMNS))})"
)
_INSERT_SAVING: Final = f"INSERT INTO savings (run, {', '.join(SAVING_COLUMNS)}) VALUES (?, ?, ?, ?)"
_WEIGH: Final = f"""UPDATE runs SET bytes = (
    SELECT coalesce(sum({_ROW_BYTES} + length(CAST(question AS BLOB)) + length(CAST(answer AS BLOB))), 0)
    FROM items WHERE run = runs.id) WHERE id = ?"""
_TRIM: Final = """DELETE FROM runs WHERE id IN (
    SELECT id FROM (SELECT id, row_number() OVER newest AS place, sum(bytes) OVER newest AS total
                    FROM runs WINDOW newest AS (ORDER BY id DESC))
    WHERE place > 1 AND (place > ? OR total > ?))"""
_RUNS: Final = f"SELECT id, {', '.join(RUN_COLUMNS)} FROM runs"
_IDS: Final = "SELECT id FROM runs WHERE id < ? ORDER BY id DESC LIMIT ?"
_SEARCH: Final = f"""{_RUNS} WHERE id BETWEEN :from AND :to AND (title LIKE :found ESCAPE '\\' OR EXISTS (
    SELECT 1 FROM items
    WHERE run = runs.id AND (question LIKE :found ESCAPE '\\' OR answer LIKE :found ESCAPE '\\')
)) ORDER BY id DESC"""
_ITEMS: Final = f"SELECT {', '.join(ITEM_COLUMNS)} FROM items WHERE run = ? AND number > ? ORDER BY number LIMIT ?"


class RunHistory:
    """Keeps finished runs, partial ones too, and finds them again. What add() has numbered is on the disk.

    Bounded: of more than most_runs runs, or more than most_bytes of text, the oldest go; the newest one stays
    whatever its size. path None: switched off, all methods work and keep nothing. The file appears at the first
    add(), readable by its owner alone. redact is applied to every text before it is stored (a key pasted by
    mistake). A NUL is kept as ␀, a lone surrogate as its escape: no other character is changed.

    No method raises because of the file, and several processes may use it at once: see HistoryFile for what is told
    through on_note instead. Rows that another program has made unreadable are passed over.

    Instants are Unix times. Thread-safe; on_note and redact are called without a lock held. Raises UsageError for a
    bound below 1.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        redact: Callable[[str], str] = lambda text: text,
        on_note: Callable[[str], object] = lambda _: None,
        most_runs: int = 1000,
        most_bytes: int = 200 * 2**20,
    ) -> None:
        if most_runs < 1 or most_bytes < 1:
            raise UsageError(tr("執行紀錄的 most_runs 與 most_bytes 必須至少是 1"))
        self._file = None if path is None else HistoryFile(path, clock=clock, on_note=on_note)
        self._clock = clock
        self._redact = redact
        self._bounds = (most_runs, most_bytes)

    @property
    def enabled(self) -> bool:
        return self._file is not None

    def add(
        self,
        title: str,
        questions: Sequence[str],
        report: RunReport[Answer],
        *,
        model: str = "",
        spend: Spend | None = None,
    ) -> int | None:
        """Keep a run, whole or not at all; its number, None where it was not kept.

        questions are those of the report's outcomes, in their order (ValueError if there are more or fewer). The
        report's instants must be of this history's clock. title "": the beginning of the first question. spend is
        what the run cost; without it the tokens are the outcomes' own and the money is unknown.
        """
        if self._file is None:
            return None
        started = self._clock.wall() - (self._clock.now() - report.started_at)
        title = title or next((question for question in questions if question.strip()), "")
        run = run_row(self._clean(title), self._clean(model), report, spend, started)
        items = list(item_rows(questions, report, self._clean))
        saving = saving_row(spend)

        def insert(connection: sqlite3.Connection) -> int | None:
            number = connection.execute(_INSERT_RUN, run).lastrowid
            connection.executemany(_INSERT_ITEM, ((number, *item) for item in items))
            if saving is not None:
                connection.execute(SAVINGS)
                connection.execute(_INSERT_SAVING, (number, *saving))
            connection.execute(_WEIGH, (number,))
            connection.execute(_TRIM, self._bounds)
            return number

        return self._file.write(insert, None)

    def runs(self, limit: int = 20, offset: int = 0, *, search: str = "") -> tuple[StoredRun, ...]:
        """At most limit runs, the newest first, offset of them left out.

        search: only those with the text in their title, a question or an answer, whatever the case of ASCII letters;
        its first thousand characters count.
        """
        rows: Iterator[tuple[Any, ...]]
        if search:
            rows = islice(self._matches(_pattern(search)), _bound(offset), _bound(offset) + _bound(limit))
        else:
            rows = iter(self._rows(f"{_RUNS} ORDER BY id DESC LIMIT ? OFFSET ?", (_bound(limit), _bound(offset))))
        return tuple(filter(None, map(run_of, rows)))

    def run(self, run_id: int) -> StoredRun | None:
        """The run of that number; None if there is none."""
        rows = self._rows(f"{_RUNS} WHERE id = ?", (_bound(run_id),))
        return run_of(rows[0]) if rows else None

    def items(self, run_id: int) -> Iterator[StoredItem]:
        """The run's questions in the order of its input; not more than a hundred are held at once.

        A run that is deleted meanwhile ends early.
        """
        last = 0
        while rows := self._rows(_ITEMS, (_bound(run_id), last, _AT_ONCE)):
            yield from filter(None, map(item_of, rows))
            last = rows[-1][0]

    def totals(self) -> HistoryTotals:
        """What all kept runs come to; no question and no answer is read for it."""
        return read_totals(self._rows)

    def delete(self, run_id: int) -> bool:
        """Delete one run for good; True if it was there."""
        return self._remove("id = ?", _bound(run_id)) > 0

    def prune(self, *, keep_runs: int | None = None, older_than: float | None = None) -> int:
        """Delete all but the newest keep_runs runs, and those begun more than older_than seconds ago; how many."""
        return sum(self._remove(where, value) for where, value in self._too_many(keep_runs, older_than))

    def prunable(self, *, keep_runs: int | None = None, older_than: float | None = None) -> int:
        """How many runs prune() would delete now."""
        conditions = self._too_many(keep_runs, older_than)
        if not conditions:
            return 0
        query = f"SELECT count(*) FROM runs WHERE {' OR '.join(where for where, _ in conditions)}"
        rows = self._rows(query, [value for _, value in conditions])
        return int(rows[0][0]) if rows else 0

    def clear(self) -> int:
        """Delete all runs; how many there were. Their numbers are not used again."""
        return self._remove("?", 1)

    def _matches(self, pattern: str) -> Iterator[tuple[Any, ...]]:
        """The rows of the runs with the pattern in them, the newest first.

        A few runs are looked at in one transaction: while a reader has the file, another process cannot add to it.
        """
        below = _LARGEST
        while ids := self._rows(_IDS, (below, _SEARCHED_AT_ONCE)):
            ((above,), (highest,)) = ids[-1], ids[0]
            yield from self._rows(_SEARCH, {"from": above, "to": highest, "found": pattern})
            below = above

    def _too_many(self, keep_runs: int | None, older_than: float | None) -> list[tuple[str, float]]:
        conditions: list[tuple[str, float]] = []
        if keep_runs is not None:
            conditions.append(("id NOT IN (SELECT id FROM runs ORDER BY id DESC LIMIT ?)", _bound(keep_runs)))
        if older_than is not None:
            conditions.append(("started_wall < ?", self._clock.wall() - older_than))
        return conditions

    def _remove(self, where: str, value: float) -> int:
        query = f"DELETE FROM runs WHERE {where}"
        if self._file is None:
            return 0
        return self._file.write(lambda connection: connection.execute(query, (value,)).rowcount, 0, make=False)

    def _rows(self, query: str, values: Sequence[float] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        if self._file is None:
            return []
        nothing: list[tuple[Any, ...]] = []
        return self._file.read(lambda connection: connection.execute(query, values).fetchall(), nothing)

    def _clean(self, text: str) -> str:
        text = self._redact(text).replace("\0", "␀")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return text.encode("utf-8", "backslashreplace").decode("utf-8")
        return text


def _bound(number: int) -> int:
    """The number, or the nearest one that SQLite can be given here; none is negative."""
    return min(max(number, 0), _LARGEST)


def _pattern(search: str) -> str:
    """LIKE's pattern for texts with exactly these characters somewhere in them."""
    needle = search[:_NEEDLE_CHARACTERS].replace("\0", "␀").encode("utf-8", "backslashreplace").decode("utf-8")
    for special in ("\\", "%", "_"):
        needle = needle.replace(special, f"\\{special}")
    return f"%{needle}%"

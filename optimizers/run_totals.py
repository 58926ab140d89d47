"""What all kept runs come to, read in small pieces, without a question or an answer."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias, TypeVar

from core.history import HistoryTotals, RunSums, ServiceTimes, StoredRun
from core.outcome import AnswerSource, OutcomeKind
from optimizers.run_history_rows import RUN_COLUMNS, SAVING_COLUMNS, run_of, saving_of

__all__ = ["read_totals"]

K = TypeVar("K")

_Rows: TypeAlias = Callable[[str, Sequence[float]], list[tuple[Any, ...]]]

_AT_ONCE: Final = 2000
_RUNS: Final = f"SELECT id, {', '.join(RUN_COLUMNS)} FROM runs WHERE id > ? ORDER BY id LIMIT ?"
_ITEMS: Final = """SELECT run, number, kind, source, attempts, service_seconds FROM items
    WHERE (run, number) > (?, ?) AND run <= ? ORDER BY run, number LIMIT ?"""
_HAS_SAVINGS: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'savings'"
_SAVINGS: Final = f"SELECT run, {', '.join(SAVING_COLUMNS)} FROM savings WHERE run > ? ORDER BY run LIMIT ?"


def read_totals(rows: _Rows) -> HistoryTotals:
    """The totals from what rows(query, values) finds.

    Several short transactions: while a reader has the file, another process cannot add to it. Runs that are added
    meanwhile are left out; of one that is deleted meanwhile, what has been read counts.
    """
    runs = _runs(rows)
    sources, seconds, savers = _items(rows, runs)
    tokens, money, unpriced, told = _savings(rows, runs)
    begun = [run.started_wall for run in runs.values()]
    return HistoryTotals(
        whole=sum(map(RunSums.of, runs.values()), RunSums()),
        counts=_counts(runs),
        by_model=_summed((run.model, run) for run in runs.values()),
        by_day=_summed((day, run) for run in runs.values() if (day := _day_of(run)) is not None),
        service=ServiceTimes.of(seconds),
        cached=sources[AnswerSource.CACHE.value],
        shared=sources[AnswerSource.SHARED.value],
        saved_tokens=tokens,
        saved_money=money,
        unpriced_saved=unpriced,
        unknown_saved=len(savers - told),
        first=min(begun, default=None),
        last=max(begun, default=None),
    )


def _runs(rows: _Rows) -> Mapping[int, StoredRun]:
    found, last = {}, 0
    while page := rows(_RUNS, (last, _AT_ONCE)):
        found.update({run.id: run for run in map(run_of, page) if run is not None})
        last = page[-1][0]
    return found


def _items(rows: _Rows, runs: Mapping[int, StoredRun]) -> tuple[Counter[str], array[float], set[int]]:
    """Answers by source, the service's seconds of each question that it was asked, and the runs that saved calls."""
    sources: Counter[str] = Counter()
    seconds: array[float] = array("d")
    savers: set[int] = set()
    place, newest = (0, 0), max(runs, default=0)
    while page := rows(_ITEMS, (*place, newest, _AT_ONCE)):
        for run, _, kind, source, attempts, service in page:
            if run not in runs:
                continue
            if kind == OutcomeKind.ANSWERED.value:
                sources[source] += 1
                if source != AnswerSource.MODEL.value:
                    savers.add(run)
            if type(attempts) is int and attempts > 0 and type(service) is float and math.isfinite(service):
                seconds.append(service)
        place = page[-1][:2]
    return sources, seconds, savers


def _savings(rows: _Rows, runs: Mapping[int, StoredRun]) -> tuple[int, Decimal, int, set[int]]:
    """Tokens, money and answers without a price that were saved, and the runs that told."""
    tokens, money, unpriced, told = 0, Decimal(0), 0, set[int]()
    last = 0
    while rows(_HAS_SAVINGS, ()) and (page := rows(_SAVINGS, (last, _AT_ONCE))):
        for found in map(saving_of, page):
            if found is not None and found[0] in runs:
                told.add(found[0])
                tokens, money, unpriced = tokens + found[1], money + found[2], unpriced + found[3]
        last = page[-1][0]
    return tokens, money, unpriced, told


def _counts(runs: Mapping[int, StoredRun]) -> Mapping[OutcomeKind, int]:
    counts: Counter[OutcomeKind] = Counter()
    for run in runs.values():
        counts.update(run.counts)
    return {kind: counts[kind] for kind in OutcomeKind if counts[kind]}


def _summed(parts: Iterable[tuple[K, StoredRun]]) -> Mapping[K, RunSums]:
    sums: dict[K, RunSums] = {}
    for name, run in parts:
        sums[name] = sums.get(name, RunSums()) + RunSums.of(run)
    return sums


def _day_of(run: StoredRun) -> date | None:
    try:
        return datetime.fromtimestamp(run.started_wall, UTC).astimezone().date()
    except (OverflowError, OSError, ValueError):  # a clock that was far off
        return None

"""The nouns of a report: spreads, tables and bars. All frozen."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Bar", "Result", "Row", "Spread", "Table", "spread"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Repetitions of one figure: the median, and the least and greatest beside it."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One contender: a figure per column, in the table's order. note stands in for them where there are none."""

    label: str
    figures: tuple[Spread, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns are (heading, format of a number); notes say what a reader must know to judge."""

    title: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """One promise: figure must be at most limit (exact: equal to it). figure is None where it was not measured."""

    promise: str
    limit: float
    figure: float | None
    unit: str = ""
    exact: bool = False

    @property
    def met(self) -> bool:
        if self.figure is None:
            return False
        return self.figure == self.limit if self.exact else self.figure <= self.limit


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark found. raw is JSON data with every repetition."""

    name: str
    tables: tuple[Table, ...]
    bars: tuple[Bar, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)


def spread(values: Iterable[float]) -> Spread:
    """The spread of at least one value."""
    known = sorted(values)
    return Spread(statistics.median(known), known[0], known[-1])

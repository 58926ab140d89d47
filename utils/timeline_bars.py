"""Stretches of time → bars of characters, one cell for each column of equal length. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from core.language import tr
from utils.run_items import RunItem
from utils.run_phases import Phase, Stretch, stretches_of
from utils.text_width import cell_width, fit

__all__ = ["Sheet", "axis", "bar", "course_bar", "marks_of", "seconds_text", "task_bar"]

_MARKS: Final = {Phase.QUEUE: "░", Phase.LIMITER: "▒", Phase.OTHER: "·", Phase.SERVICE: "█"}
_ASCII_MARKS: Final = {Phase.QUEUE: "-", Phase.LIMITER: "~", Phase.OTHER: ".", Phase.SERVICE: "#"}
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_ASCII_BLOCKS: Final = " _.:-=+*#"


@dataclass(frozen=True, slots=True)
class Sheet:
    """What bars are drawn on: so many columns (1 or more) for so many seconds (more than 0).

    ascii_only: for outputs that lack the characters, or draw them two cells wide.
    """

    span: float
    columns: int
    ascii_only: bool

    def place(self, instant: float) -> float:
        return min(instant / self.span, 1.0) * self.columns


def marks_of(*, ascii_only: bool) -> Mapping[Phase, str]:
    """The character of each phase."""
    return _ASCII_MARKS if ascii_only else _MARKS


def task_bar(item: RunItem, sheet: Sheet) -> str:
    """One task, which is seen even if it takes less than half a column."""
    stretches = stretches_of(item)
    drawn = bar(stretches, sheet)
    if drawn.strip():
        return drawn
    longest = max(stretches, key=lambda each: each.end - each.begin, default=Stretch(Phase.OTHER, item.ended, 0.0))
    column = min(int(sheet.place(max(longest.begin, 0.0))), sheet.columns - 1)
    return drawn[:column] + marks_of(ascii_only=sheet.ascii_only)[longest.phase] + drawn[column + 1 :]


def bar(stretches: Iterable[Stretch], sheet: Sheet) -> str:
    """In each column what takes most of it, nothing included."""
    shares: list[dict[Phase, float]] = [{} for _ in range(sheet.columns)]
    for stretch in stretches:
        begin, end = sheet.place(stretch.begin), sheet.place(stretch.end)
        for column in range(int(begin), math.ceil(end)):
            share = min(end, column + 1) - max(begin, column)
            shares[column][stretch.phase] = shares[column].get(stretch.phase, 0.0) + share
    marks = marks_of(ascii_only=sheet.ascii_only)
    cells = []
    for taken in shares:
        phase = max(taken, key=taken.__getitem__, default=None)
        cells.append(" " if phase is None or taken[phase] < 1 - sum(taken.values()) else marks[phase])
    return "".join(cells)


def course_bar(course: Sequence[tuple[float, int]], most: int, sheet: Sheet) -> str:
    """The highest of each column, as eighths of most; one of many is still the lowest block."""
    blocks, highest = _ASCII_BLOCKS if sheet.ascii_only else _BLOCKS, [0] * sheet.columns
    for (begin, count), (end, _) in pairwise(course):
        for column in range(int(sheet.place(begin)), math.ceil(sheet.place(end))):
            highest[column] = max(highest[column], count)
    full = len(blocks) - 1
    return "".join(blocks[max(round(count / most * full), 1) if count else 0] for count in highest)


def axis(span: float, columns: int) -> str:
    """The times at the beginning, in the middle and at the end, as far as there is room."""
    end, middle = tr("{seconds} 秒", seconds=seconds_text(span, span)), seconds_text(span / 2, span)
    if columns < cell_width(end) + 2:
        return fit(end, columns)
    line = "0" + " " * (columns - 1 - cell_width(end))
    place = columns // 2
    if place + len(middle) < len(line):
        line = line[:place] + middle + line[place + len(middle) :]
    return line + end


def seconds_text(seconds: float, most: float) -> str:
    """Seconds with as many places as suit figures up to most."""
    places = 3 if most < 1 else 2 if most < 100 else 1
    return f"{seconds:,.{places}f}"

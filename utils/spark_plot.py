"""A quantity over time as a small plot of block characters. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from core.errors import UsageError
from core.language import marked, tr
from utils.cost_text import duration_text
from utils.limiter_text import count_text
from utils.text_width import cell_width

__all__ = ["spark_plot"]

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_ASCII: Final = " _.:-=+*#"
_FULL: Final = len(_BLOCKS) - 1
_HIGHEST: Final = 4
_FEWEST_COLUMNS: Final = 8
_NOW: Final = marked("現在")


def spark_plot(
    points: Sequence[tuple[float, float]], *, now: float, width: int, height: int = 1, ascii_only: bool = False
) -> list[str]:
    """Rows of at most width cells, from the first point until now, and below them the times; [] without values.

    points are (monotonic instant, value of 0 or more). Each value holds until the next point; one that is not
    finite is a gap, and points after now count as of now. Values grow from a baseline of 0, which is the lowest
    block; the highest point fills all height rows (1 to 4). A column in which the value changes shows the one
    farthest from the middle of the range: short peaks and short dips are both seen. Where the width is too small
    for them, the labels go.

    ascii_only is for outputs that are not Unicode: some lack the blocks, others draw them two cells wide.

    Raises UsageError for another height.
    """
    if not 1 <= height <= _HIGHEST:
        raise UsageError(f"height must be between 1 and {_HIGHEST}")
    known = [value for _, value in points if math.isfinite(value)]
    if not known or width < 1:
        return []
    labels = _labels(max(known), height)
    margin = max(map(cell_width, labels)) + 1
    if width - margin < _FEWEST_COLUMNS:
        labels, margin = [], 0
    columns = width - margin
    course = sorted(points, key=lambda point: point[0])
    levels = [_level(value, max(known), height * _FULL) for value in _sampled(course, now, columns)]
    rows = _drawn(levels, height, _ASCII if ascii_only else _BLOCKS)
    if labels:
        edge = "|" if ascii_only else "│"
        rows = [f"{_right(label, margin - 1)}{edge}{row}" for label, row in zip(labels, rows, strict=True)]
    times = _times(now - course[0][0], columns)
    return [*rows, " " * margin + times] if times else rows


def _labels(top: float, height: int) -> list[str]:
    if height == 1:
        return [f"0-{count_text(top)}"]
    return [count_text(top), *[""] * (height - 2), "0"]


def _sampled(course: Sequence[tuple[float, float]], now: float, columns: int) -> list[float | None]:
    """One value for each column of equal length; None where there was none. course is in order."""
    start, finite = course[0][0], [value for _, value in course if math.isfinite(value)]
    middle = min(finite) / 2 + max(finite) / 2
    changes: list[list[tuple[float, float]]] = [[] for _ in range(columns)]
    for instant, value in course:
        place = (instant - start) * columns / (now - start) if now > start else 0.0
        changes[min(int(place), columns - 1)].append((place, value))
    shown: list[float | None] = []
    held = math.nan
    for column, changed in enumerate(changes):
        values = [value for _, value in changed]
        if not changed or changed[0][0] > column:
            values.append(held)
        seen = [value for value in values if math.isfinite(value)]
        shown.append(max(seen, key=lambda value: (abs(value - middle), value)) if seen else None)
        held = changed[-1][1] if changed else held
    return shown


def _level(value: float | None, top: float, full: int) -> int:
    """Eighths of a row; 0 for a gap alone."""
    if value is None:
        return 0
    return max(round(value / top * full), 1) if top > 0 else 1


def _drawn(levels: Sequence[int], height: int, blocks: str) -> list[str]:
    return [
        "".join(blocks[min(max(level - row * _FULL, 0), _FULL)] for level in levels)
        for row in reversed(range(height))
    ]  # fmt: skip


def _times(span: float, columns: int) -> str:
    """The row of times, as far as it has room."""
    now, begin = tr(_NOW), tr("{duration}前", duration=duration_text(span)) if span > 0 else ""
    gap = columns - cell_width(begin) - cell_width(now)
    if gap >= 1:
        return begin + " " * gap + now
    return _right(now, columns) if columns >= cell_width(now) else ""


def _right(text: str, columns: int) -> str:
    return " " * (columns - cell_width(text)) + text

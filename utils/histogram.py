"""How long things took, as a histogram in text: bins that suit the figures, exact counts, marked percentiles. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from core.language import tr
from utils.durations import Durations
from utils.text_width import cell_width, fit, wrap_line

__all__ = ["Histogram", "histogram_lines", "histogram_of"]

_FEWEST: Final = 3  # fewer are named one by one
_WIDE: Final = 50.0  # greatest ÷ least from which on equal bins would put nearly all into the first
_FINEST: Final = 1e-3
_MOST_LINEAR: Final = 8
_MOST_LOG: Final = 12
_NICE: Final = (1.0, 2.0, 5.0, 10.0)
_MOST_DECADES: Final = 11
_PERCENTS: Final = ((50, _FEWEST), (95, 20), (99, 100))  # from how many on each is not just the greatest
_BAR_COLUMNS: Final = 50
_INDENT: Final = "  "


@dataclass(frozen=True, slots=True)
class Histogram:
    """counts[i] values are at least bounds[i] and below bounds[i + 1]. Every value is in exactly one bin."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    logarithmic: bool


def histogram_of(values: Sequence[float]) -> Histogram:
    """The histogram of values of 0 or more, at least one.

    Bins are equal; where the values lie far apart they grow, and empty ones beside each other are one.
    """
    least, greatest = min(values), max(values)
    if greatest < _WIDE * max(least, _FINEST):
        bounds = _linear_bounds(least, greatest)
        return Histogram(tuple(bounds), tuple(_counted(values, bounds)), logarithmic=False)
    bounds, counts = _log_bins(values, (1.0, 2.0, 5.0))
    if len(counts) > _MOST_LOG:
        bounds, counts = _log_bins(values, (1.0,))
    return Histogram(tuple(bounds), tuple(counts), logarithmic=True)


def histogram_lines(title: str, seconds: Iterable[float], *, width: int = 80, ascii_only: bool = False) -> list[str]:
    """The durations in lines of at most width cells.

    One or two are named instead, none is said to be none. p95 is marked from 20 durations on and p99 from 100: with
    fewer they would be no more than the greatest, which is always told. Percentiles are nearest ranks. Negative
    durations (a clock that was set back) count as 0.
    """
    values = [max(value, 0.0) for value in seconds]
    if len(values) < _FEWEST:
        return wrap_line(_few_text(title, values), width)
    histogram, figures, count = histogram_of(values), _percentiles(values), len(values)
    if histogram.logarithmic:
        head = tr("{title} ({count:,} 個, 秒, 對數刻度)", title=title, count=count)
    else:
        head = tr("{title} ({count:,} 個, 秒)", title=title, count=count)
    told = ", ".join(f"p{percent} {value:,.3f}" for percent, value in figures)
    return [
        *wrap_line(head, width),
        *_rows(histogram, figures, width, ascii_only=ascii_only),
        *wrap_line(_INDENT + tr("{percentiles}, 最大 {most:,.3f} 秒", percentiles=told, most=max(values)), width),
    ]


def _few_text(title: str, values: Sequence[float]) -> str:
    if not values:
        return tr("{title}: 尚無資料", title=title)
    shown = ", ".join(f"{value:.3f}" for value in sorted(values))
    return tr("{title}: {values} 秒 ({count} 個, 太少, 看不出分布)", title=title, values=shown, count=len(values))


def _percentiles(values: Sequence[float]) -> list[tuple[int, float]]:
    durations = Durations(exact=len(values))
    for value in values:
        durations.add(value)
    return [(percent, durations.percentile(percent)) for percent, fewest in _PERCENTS if len(values) >= fewest]


def _rows(histogram: Histogram, figures: Iterable[tuple[int, float]], width: int, *, ascii_only: bool) -> list[str]:
    labels, marks = _labels(histogram), [""] * len(histogram.counts)
    for percent, value in figures:
        marks[bisect_right(histogram.bounds, value) - 1] += f" p{percent}"
    tails = [f" {count:,}{' <' + names if names else ''}" for count, names in zip(histogram.counts, marks, strict=True)]
    columns = min(width - len(_INDENT) - len(labels[0]) - 1 - max(map(len, tails)), _BAR_COLUMNS)
    scale, bar = max(columns, 0) / max(histogram.counts), "#" if ascii_only else "█"
    lines = [
        f"{_INDENT}{label}{'|' if ascii_only else '│'}{bar * _cells(count * scale)}{tail}"
        for label, count, tail in zip(labels, histogram.counts, tails, strict=True)
    ]
    return [line if cell_width(line) <= width else fit(line, width) for line in lines]


def _cells(length: float) -> int:
    """Some is never shown as none."""
    return max(round(length), 1) if length > 0 else 0


def _labels(histogram: Histogram) -> list[str]:
    bounds = histogram.bounds
    steps = bounds if histogram.logarithmic else [bounds[1] - bounds[0]] * len(bounds)
    texts = [_number(bound, step) for bound, step in zip(bounds, steps, strict=True)]
    wide = max(map(len, texts))
    return [f"{low:>{wide}} - {high:>{wide}}" for low, high in pairwise(texts)]


def _number(value: float, step: float) -> str:
    places = max(-math.floor(math.log10(step) + 1e-9), 0) if step > 0 else 0
    return f"{value:,.{places}f}"


def _linear_bounds(least: float, greatest: float) -> list[float]:
    """Multiples of a step of 1, 2 or 5 times a power of ten, from the one at or below least to one above greatest."""
    step = _nice(max((greatest - least) / _MOST_LINEAR, greatest * 1e-6, _FINEST))
    places = max(-math.floor(math.log10(step) + 1e-9), 0)
    first = max(math.floor(least / step) - 1, 0)  # one less than needed: a quotient may be rounded up
    bounds = [round(first * step, places)]
    while bounds[-1] <= greatest:
        bounds.append(round((first + len(bounds)) * step, places))
    return bounds[bisect_right(bounds, least) - 1 :]


def _log_bins(values: Sequence[float], factors: Sequence[float]) -> tuple[list[float], list[int]]:
    """Bounds at these multiples of powers of ten, before the first of them 0; and the counts."""
    least, greatest = min(values), max(values)
    highest = math.floor(math.log10(greatest))
    lowest = max(math.floor(math.log10(max(least, _FINEST))), highest - _MOST_DECADES)
    powers = range(lowest, highest + 3)  # one more than needed: a logarithm may be rounded down
    scale = [0.0, *(round(factor * 10.0**power, 3) for power in powers for factor in factors)]
    bounds = scale[bisect_right(scale, least) - 1 : bisect_right(scale, greatest) + 1]
    return _without_empty_neighbours(bounds, _counted(values, bounds))


def _counted(values: Iterable[float], bounds: Sequence[float]) -> list[int]:
    counts = [0] * (len(bounds) - 1)
    for value in values:
        counts[bisect_right(bounds, value) - 1] += 1
    return counts


def _without_empty_neighbours(bounds: Sequence[float], counts: Sequence[int]) -> tuple[list[float], list[int]]:
    kept_bounds, kept = [bounds[0]], list[int]()
    for end, count in zip(bounds[1:], counts, strict=True):
        if kept and not count and not kept[-1]:
            kept_bounds[-1] = end
        else:
            kept_bounds.append(end)
            kept.append(count)
    return kept_bounds, kept


def _nice(step: float) -> float:
    """The lowest of 1, 2 and 5 times a power of ten that is not below."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor for factor in _NICE if factor * power >= step * (1 - 1e-9)) * power

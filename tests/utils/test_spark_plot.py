"""A quantity over time in block characters."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from utils.spark_plot import spark_plot
from utils.text_width import cell_width

BLOCKS = " ▁▂▃▄▅▆▇█"
VALUES = st.floats(0, 1e9) | st.sampled_from([0.0, 1e-320, 1e308, math.inf, math.nan])
POINTS = st.lists(st.tuples(st.floats(-1e9, 1e9), VALUES), max_size=40)
COURSES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 50) | st.just(math.inf)), min_size=1, max_size=30)


def test_a_limit_that_doubles_and_halves() -> None:
    """Steps stay steps, the highest is full, half of it half, and both axes are labelled."""
    points = [(0.0, 30.0), (100.0, 60.0), (200.0, 30.0)]
    assert spark_plot(points, now=300.0, width=21, height=2) == [
        "60│      ██████      ",
        " 0│██████████████████",
        "   5 分前        現在",
    ]


def test_one_row_has_the_range_before_it() -> None:
    """The eight blocks from nothing to the top."""
    points = [(float(number), float(number + 1)) for number in range(8)]
    assert spark_plot(points, now=8.0, width=12) == ["0-8│▁▂▃▄▅▆▇█", "        現在"]
    assert spark_plot(points, now=8.0, width=12, ascii_only=True) == ["0-8|_.:-=+*#", "        現在"]


def test_what_is_not_known_is_a_gap_and_zero_is_not() -> None:
    """No limit known leaves the column empty; a limit of nothing is the lowest block."""
    points = [(0.0, math.inf), (2.0, 8.0), (4.0, 0.0), (6.0, math.nan)]
    assert spark_plot(points, now=8.0, width=12)[0] == "0-8│  ██▁▁  "


def test_a_short_peak_and_a_short_dip_are_both_seen() -> None:
    """Neither is averaged away by what is around it in its column."""
    points = [(0.0, 50.0), (20.0, 100.0), (20.1, 50.0), (60.0, 0.0), (60.1, 50.0)]
    (row, _) = spark_plot(points, now=80.0, width=14)
    assert row == "0-100│▄▄█▄▄▄▁▄"


@pytest.mark.parametrize("points", [[], [(1.0, math.inf)], [(1.0, math.nan), (2.0, -math.inf)]])
def test_without_values_there_is_no_plot(points: list[tuple[float, float]]) -> None:
    """Nothing known, nothing drawn."""
    assert spark_plot(points, now=5.0, width=60, height=4) == []


def test_labels_go_where_there_is_no_room() -> None:
    """A narrow plot is only a plot."""
    points = [(0.0, 1.0), (300.0, 2.0)]
    assert spark_plot(points, now=600.0, width=11) == ["▄▄▄▄▄██████", "       現在"]
    assert spark_plot(points, now=600.0, width=3) == ["▄██"]
    assert spark_plot(points, now=600.0, width=0) == []


def test_a_single_point_is_a_level_line() -> None:
    """Also where it is of this very moment, or, from a clock read a little later, of the next."""
    for instant in (0.0, 10.0, 10.5):
        assert spark_plot([(instant, 7.0)], now=10.0, width=12)[0] == "0-7│████████"
    assert spark_plot([(0.0, 0.0)], now=10.0, width=12)[0] == "0-0│▁▁▁▁▁▁▁▁"


@pytest.mark.parametrize("height", [0, 5])
def test_another_height_is_refused(height: int) -> None:
    """One to four rows."""
    with pytest.raises(UsageError):
        spark_plot([], now=0.0, width=20, height=height)


@given(POINTS, st.floats(-1e9, 1e9), st.integers(0, 100), st.integers(1, 4), st.booleans())
def test_never_wider_than_told_and_plain_where_asked(
    points: list[tuple[float, float]], now: float, width: int, height: int, ascii_only: bool
) -> None:
    """Any points, in any order, before or after now: as many rows as said, the times, and no cell too many."""
    rows = spark_plot(points, now=now, width=width, height=height, ascii_only=ascii_only)
    if not rows:
        assert width == 0 or not any(math.isfinite(value) for _, value in points)
        return
    assert len(rows) - height in (0, 1)
    assert all(cell_width(row) <= width for row in rows)
    drawn = "".join(rows[:height])
    assert not (set(BLOCKS[1:]) & set(drawn) if ascii_only else set("_#") & set(drawn))
    assert len({cell_width(row) for row in rows[:height]}) == 1


@given(COURSES, st.integers(0, 30), st.integers(20, 70), st.integers(1, 4))
def test_every_column_shows_what_was_in_force_in_it(
    course: list[tuple[int, float]], later: int, width: int, height: int
) -> None:
    """Against a model in exact fractions: the value farthest from the middle among those in force in the column."""
    course.sort(key=lambda point: point[0])
    finite = [value for _, value in course if math.isfinite(value)]
    if not finite:
        return
    now = course[-1][0] + later
    rows = spark_plot([(float(at), float(value)) for at, value in course], now=float(now), width=width, height=height)
    drawn = [row.partition("│")[2] for row in rows[:height]]
    levels = [sum(BLOCKS.index(cell) for cell in column) for column in zip(*drawn, strict=True)]
    top, middle = max(finite), (min(finite) + max(finite)) / 2
    for column, level in enumerate(levels):
        values = in_force(course, now, Fraction(column, len(levels)), Fraction(column + 1, len(levels)))
        expected = max(values, key=lambda value: (abs(value - middle), value), default=None)
        assert level == (0 if expected is None else max(round(expected / top * 8 * height) if top else 1, 1))
    assert max(levels) == (8 * height if top else 1)


def in_force(course: list[tuple[int, float]], now: int, begin: Fraction, end: Fraction) -> list[float]:
    """The finite values in force in [begin, end) of the time from the first point until now, and now itself."""
    start = course[0][0]
    opens, closes = start + (now - start) * begin, start + (now - start) * end
    values = [value for at, value in course if opens <= at < closes or (end == 1 and at == now)]
    if now == start and begin == 0:
        values = [value for _, value in course]
    if not any(at == opens for at, _ in course) or now == start:
        values += [value for at, value in course if at <= opens][-1:]
    return [value for value in values if math.isfinite(value)]

"""Facts side by side in rows."""

from __future__ import annotations

import pytest

from utils.fact_rows import fact_rows


@pytest.mark.parametrize(
    ("width", "rows"),
    [
        (80, ["一 · 二 · three"]),
        (15, ["一 · 二 · three"]),
        (14, ["一 · 二", "three"]),
        (5, ["一", "二", "three"]),
        (4, ["一", "二", "thr…"]),
    ],
)
def test_as_many_as_fit_stand_on_a_row(width: int, rows: list[str]) -> None:
    """No fact is split; one that is too wide by itself is cut."""
    assert fact_rows(["一", "二", "three"], width) == rows


def test_no_facts_make_no_rows() -> None:
    """An empty row would move everything else."""
    assert fact_rows([], 80) == []

"""LatencyQuantile against a sorted list."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from optimizers.latency_quantile import LatencyQuantile


@pytest.mark.parametrize("quantile", [0.0, 1.0, -0.5, math.nan])
def test_a_quantile_lies_between_nought_and_one(quantile: float) -> None:
    """Anything else is refused, the number named."""
    with pytest.raises(UsageError, match="quantile"):
        LatencyQuantile(quantile)


@pytest.mark.parametrize("min_samples", [0, 11])
def test_the_samples_needed_fit_into_the_window(min_samples: int) -> None:
    """At least one, at most as many as are kept."""
    with pytest.raises(UsageError, match="min_samples"):
        LatencyQuantile(0.5, min_samples=min_samples, window=10)


@given(
    st.lists(st.integers(0, 20).map(float), max_size=60),
    st.integers(1, 99),
    st.integers(1, 10),
    st.integers(10, 20),
)
def test_it_is_the_nearest_rank_of_the_latest(latencies: list[float], percent: int, least: int, window: int) -> None:
    """After every latency: None until there are enough, then the smallest that p % of the window do not exceed."""
    quantile = LatencyQuantile(percent / 100, min_samples=least, window=window)
    for count, latency in enumerate(latencies, start=1):
        quantile.add(latency)
        kept = sorted(latencies[:count][-window:])
        rank = max(-(-percent * len(kept) // 100), 1)
        assert quantile.value == (kept[rank - 1] if count >= least else None)

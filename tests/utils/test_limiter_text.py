"""The limiter's figures as rows and words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.limits import BreakerState, LimiterStatistics, Limits
from tests.utils.limiter_figures import figures
from utils.limiter_text import count_text, limiter_rows, rate_text, refused_text
from utils.text_width import cell_width

BUSY = figures(
    in_flight=8, waiting=42, learned_concurrency=12, learned_per_minute=58.3, requests_last_minute=57,
    tokens_last_minute=12_345,
)  # fmt: skip


def with_limits(**limits: int) -> LimiterStatistics:
    return figures(in_flight=8, requests_last_minute=12, tokens_last_minute=12_345, limits=Limits(**limits))


def test_a_learned_limit_on_one_row() -> None:
    """Calls in flight against those allowed, the rate against the learned one, and who waits."""
    assert limiter_rows(BUSY, 1000.0, 60) == ["呼叫中 8/12 · 請求 57/min (學到的 ~58) · 等候 42"]


def test_configured_limits_are_shown_as_such() -> None:
    """Tokens have their part only where they are limited."""
    assert limiter_rows(with_limits(requests_per_minute=60), 0.0, 80) == ["呼叫中 8 · 請求 12/min (上限 60)"]
    assert limiter_rows(with_limits(tokens_per_minute=250_000), 0.0, 80) == [
        "呼叫中 8 · 請求 12/min · tokens 1.2萬/min (上限 25萬)"
    ]


def test_what_holds_everything_up_comes_first_and_rows_are_broken_between_parts() -> None:
    """At 60 columns all of it is there, the countdown rounded up."""
    held = figures(
        gate_until=1011.2, breaker=BreakerState.OPEN, in_flight=8, learned_concurrency=12, waiting=42,
        requests_last_minute=58, tokens_last_minute=12_345,
        limits=Limits(requests_per_minute=60, tokens_per_minute=250_000),
    )  # fmt: skip
    assert limiter_rows(held, 1000.0, 60) == [
        "⏳ 限流, 12 s 後繼續 · 🔌 服務中斷, 試探中 · 呼叫中 8/12",
        "請求 58/min (上限 60) · 等候 42",
        "tokens 1.2萬/min (上限 25萬)",
    ]


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({}, []),
        ({"calls": 5, "learned_per_minute": 60.0, "tokens_last_minute": 5}, []),
        ({"requests_last_minute": 1}, ["呼叫中 0 · 請求 1/min"]),
        ({"waiting": 1}, ["呼叫中 0 · 請求 0/min · 等候 1"]),
        ({"gate_until": 1000.0}, []),
        ({"gate_until": 1000.1}, ["⏳ 限流, 1 s 後繼續 · 呼叫中 0 · 請求 0/min"]),
        ({"breaker": BreakerState.PROBING}, ["🔌 服務中斷, 試探中 · 呼叫中 0 · 請求 0/min"]),
    ],
)
def test_nothing_is_said_while_nothing_goes_on(changes: dict[str, object], rows: list[str]) -> None:
    """A run answered by the cache alone has no row for the limiter; a gate whose time has come is open."""
    assert limiter_rows(figures(**changes), 1000.0, 80) == rows


@given(
    width=st.integers(1, 200),
    in_flight=st.integers(0, 10**6),
    waiting=st.integers(0, 10**6),
    learned=st.none() | st.floats(0, 1e9),
    limits=st.builds(
        Limits,
        requests_per_minute=st.none() | st.integers(1, 10**9),
        tokens_per_minute=st.none() | st.integers(1, 10**9),
    ),
    gate_until=st.none() | st.floats(0, 1e5),
    breaker=st.sampled_from(BreakerState),
)
def test_no_row_is_wider_than_told(width: int, **changes: object) -> None:
    """Whatever the figures and the width."""
    changes["learned_per_minute"] = changes.pop("learned")
    rows = limiter_rows(figures(requests_last_minute=5, **changes), 10.0, width)
    assert all(1 <= cell_width(row) <= width for row in rows)


@pytest.mark.parametrize(
    ("configured", "learned", "text"),
    [
        (None, None, ""),
        (60, None, "上限 60"),
        (None, 58.3, "學到的 ~58"),
        (60, 40.4, "上限 60, 學到的 ~40"),
        (60, 60.0, "上限 60"),
    ],
)
def test_the_rate_in_force(configured: int | None, learned: float | None, text: str) -> None:
    """A learned rate above the configured limit is not in force, so it is not told."""
    assert rate_text(figures(limits=Limits(requests_per_minute=configured), learned_per_minute=learned)) == text


def test_refused_calls_have_their_share() -> None:
    """Of no calls there is no share."""
    assert refused_text(figures(calls=1800, refused=1200)) == "1,200 (66.7%)"
    assert refused_text(figures()) == "0"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"), (0.44, "0.4"), (7.5, "7.5"), (9.96, "10"), (12.4, "12"), (58, "58"), (9999, "9,999"),
        (9999.6, "1萬"), (12_345, "1.2萬"), (125_000, "12.5萬"), (250_000, "25萬"), (1_234_567, "123萬"),
        (99_994_999, "9,999萬"), (99_999_999, "1億"), (250_000_000, "2.5億"),
    ],
)  # fmt: skip
def test_counts_in_few_characters(count: float, text: str) -> None:
    """Decimals where they matter, and no unit of which there are ten thousand."""
    assert count_text(count) == text


@given(st.floats(1, 1e12))
def test_a_short_count_is_within_six_percent(count: float) -> None:
    """Rounding for the screen does not change what the figure says."""
    text = count_text(count)
    number = float(text.rstrip("萬億").replace(",", "")) * {"萬": 1e4, "億": 1e8}.get(text[-1], 1.0)
    assert number == pytest.approx(count, rel=0.06)


@pytest.mark.parametrize(
    ("count", "text"), [(7.5, "7.5"), (9_999, "9,999"), (12_345, "12.3K"), (1.2e6, "1.2M"), (3e9, "3B")]
)
def test_counts_are_short_in_english_too(count: float, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands and millions, from where Chinese has its own unit."""
    monkeypatch.setattr("utils.limiter_text.language", lambda: "en")
    assert count_text(count) == text

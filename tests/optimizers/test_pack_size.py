"""How many texts go into a request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from optimizers.pack_size import MOST, START, PackSize

# An event: how many texts the pack had, and how many of them were missing; None for an answer of no use.
EVENTS = st.lists(
    st.integers(1, MOST).flatmap(lambda texts: st.tuples(st.just(texts), st.none() | st.integers(0, texts)))
)


def tell(size: PackSize, texts: int, missing: int | None) -> None:
    if missing is None:
        size.unusable(texts)
    else:
        size.answered(texts, missing=missing)


def requests(texts: int, size: PackSize) -> int:
    """How many requests a model needs that answers everything."""
    count = 0
    while texts > 0:
        count, pack = count + 1, min(size.size, texts)
        texts -= pack
        size.answered(pack, missing=0)
    return count


def test_complete_answers_make_it_grow_to_the_most() -> None:
    """One text for each, and no further than the bound."""
    size = PackSize()
    seen = []
    for _ in range(40):
        seen.append(size.size)
        size.answered(size.size, missing=0)
    assert seen == [*range(START, MOST), *[MOST] * 15]


@pytest.mark.parametrize(("texts", "most"), [(10_000, 500), (100_000, 6_000)])
def test_many_texts_take_few_requests(texts: int, most: int) -> None:
    """The bars for a model that answers everything."""
    assert requests(texts, PackSize()) <= most


@pytest.mark.parametrize(
    ("missing", "left"), [(0, 26), (1, 25), (2, 25), (3, 22), (5, 20), (12, 13), (13, 12), (20, 12), (25, 12)]
)
def test_it_shrinks_in_proportion(missing: int, left: int) -> None:
    """One or two of twenty-five missing teach nothing, more take their share, and half is the most at once."""
    size = PackSize()
    size.answered(25, missing=missing)
    assert size.size == left


def test_a_useless_answer_halves_it() -> None:
    """Down to one text, and no further."""
    size = PackSize()
    seen = []
    for _ in range(7):
        seen.append(size.size)
        size.unusable(size.size)
    assert seen == [25, 12, 6, 3, 1, 1, 1]


def test_it_recovers() -> None:
    """From one text it grows again as the answers come back complete."""
    size = PackSize(start=1)
    for _ in range(60):
        size.answered(size.size, missing=0)
    assert size.size == MOST


def test_many_in_flight_are_one_lesson() -> None:
    """Of fifty packs that were out when the model began to lose track, the first shrinks the size and no other."""
    size = PackSize()
    for _ in range(50):
        size.unusable(25)
    assert size.size == 12
    for _ in range(50):
        size.answered(25, missing=10)
    assert size.size == 12


@pytest.mark.parametrize(("texts", "missing"), [(12, 0), (12, 12), (1, 1), (1, 0), (12, None), (1, None)])
def test_leftovers_teach_nothing(texts: int, missing: int | None) -> None:
    """What is asked again in a small pack says little about large ones."""
    size = PackSize()
    tell(size, texts, missing)
    assert size.size == START


@given(EVENTS, st.integers(1, MOST), st.integers(1, MOST))
def test_it_moves_in_small_steps_within_its_bounds(
    events: list[tuple[int, int | None]], start: int, most: int
) -> None:
    """Whatever happens: between 1 and most, up by at most one, down by at most half, never down on a complete one."""
    size = PackSize(start=start, most=most)
    for texts, missing in events:
        before = size.size
        tell(size, texts, missing)
        assert 1 <= size.size <= most
        assert (before - 1) // 2 <= size.size <= before + 1
        if missing == 0:
            assert size.size >= before
        elif missing is None or missing > 0.1 * texts:
            assert size.size <= before
        else:
            assert size.size == before


@given(EVENTS, st.integers(1, 1000))
def test_a_fixed_size_stays(events: list[tuple[int, int | None]], fixed: int) -> None:
    """What the person has chosen no answer changes; 1 is packing switched off."""
    size = PackSize(fixed=fixed)
    for event in events:
        tell(size, *event)
        assert size.size == fixed


def test_less_than_one_text_is_refused() -> None:
    """Neither to start with, nor at most, nor fixed."""
    for wrong in ({"start": 0}, {"most": 0}, {"fixed": 0}):
        with pytest.raises(UsageError, match="至少要有 1 則"):
            PackSize(**wrong)

"""Keys: equal things share one, everything else has its own, accidents are refused."""

from __future__ import annotations

import datetime
import decimal
import enum
import hashlib
import pathlib
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import UsageError
from core.ports import Prompt
from optimizers.cache_keys import KEY_SCHEMA, address, cache_key


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.Enum):
    RED = 1


@dataclass
class Pair:
    left: object
    right: object


class Heir(Pair):
    """Not a dataclass of its own: what it adds is unknown."""


class Zone(datetime.tzinfo):
    def utcoffset(self, moment: datetime.datetime | None) -> datetime.timedelta:
        return datetime.timedelta()

    dst = utcoffset

    def tzname(self, moment: datetime.datetime | None) -> str:
        return "Z"


UTC = datetime.UTC
DIFFERENT = [
    None, True, False, 0, 1, -1, 255, 1.0, 0.0, -0.0, "1", "", "None", "true", b"1", bytearray(b"1"), b"", 1j, range(1),
    range(2), (), (1,), [1], [], {}, {1: 2}, {"1": 2}, {2: 1}, {1}, set(), ((1,),), (1, 2), (2, 1), ("int", 1), [[1]],
    ["list", 1], ["dict"], ["int", "1"], Colour.RED, Colour.BLUE, Size.RED, Pair(1, 2), Pair(2, 1), Pair(1, "2"),
    datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, tzinfo=UTC), datetime.timedelta(1), decimal.Decimal("1"),
    decimal.Decimal("1.0"), uuid.UUID(int=1), pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("a"), float("inf"),
    float("nan"), 10**5000, 10**5000 + 1, "\ud800", "é", "e\u0301",
]  # fmt: skip


def test_values_that_differ_in_type_or_content_have_different_keys() -> None:
    """1, 1.0, True and "1", a list and a tuple, two enums' members of one name: each has a key of its own."""
    keys = [cache_key("k", "n", value) for value in DIFFERENT]
    assert len(set(keys)) == len(DIFFERENT)


def test_the_parts_cannot_run_into_each_other() -> None:
    """Kind, name and parts are kept apart, whatever text they hold."""
    calls = [
        ("a", "b"),
        ("a", "b", ""),
        ("ab", ""),
        ("a", "", "b"),
        ("a", 'b","'),
        ("a", "b", "c", "d"),
        ("a", "b", "cd"),
    ]
    assert len({cache_key(*call) for call in calls}) == len(calls)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({3, 1, 2}, {2, 3, 1}),
        ({1}, frozenset({1})),
        (Pair(1, [2]), Pair(1, [2])),
        (float("nan"), float("nan")),
        (Prompt("a"), Prompt("a", "")),
    ],
)
def test_equal_content_has_one_key(one: object, other: object) -> None:
    """Order of insertion and identity do not count."""
    assert cache_key("k", "n", one) == cache_key("k", "n", other)


def test_the_key_is_the_hash_of_a_known_text() -> None:
    """The canonical form is the same in every process and version of Python, so stores may outlive a program."""
    text = f'[{KEY_SCHEMA},"chat","gemini {{\\"t\\":0.5}}",["\\u7b54",["int","1"],null]]'
    assert cache_key("chat", 'gemini {"t":0.5}', "答", 1, None) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "value",
    [
        object(),
        lambda: 1,
        Pair,
        Heir(1, 2),
        [object()],
        {"a": {"b": object()}},
        iter(()),
        datetime.time(1, tzinfo=Zone()),
    ],
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    """A key made from an address would be somebody else's tomorrow (D9)."""
    with pytest.raises(UsageError, match="不能當作快取鍵"):
        cache_key("k", "n", value)


def test_a_refusal_names_the_type_and_no_content() -> None:
    """The message is for the programmer and holds nothing that a user typed."""

    class Query(str):
        __slots__ = ()

    with pytest.raises(UsageError, match="Query") as caught:
        cache_key("k", "n", Query("我的祕密"))
    assert "祕密" not in str(caught.value)


def test_a_value_that_contains_itself_is_refused_plainly() -> None:
    """Endless nesting is a clear error, without the recursion's traceback."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UsageError, match="巢狀太深") as caught:
        cache_key("k", "n", endless)
    assert caught.value.__context__ is None


def test_an_address_hides_text_and_keeps_digests() -> None:
    """Listings show where a value is kept, and that place can be given back as a key."""
    place = address("機器學習的基本概念")
    assert len(place) == 64
    assert address(place) == place
    assert address("a" * 63) != "a" * 63
    assert address(place + "\n") != place + "\n"
    with pytest.raises(UsageError, match="int"):
        address(1)  # type: ignore[arg-type]  # what an untyped caller may do


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(
    plain,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other work shares the machine
@given(values, values)
def test_two_keys_are_equal_only_for_equal_values(one: object, other: object) -> None:
    """No two different plain values share a key; repr tells 1 from True and 0.0 from -0.0."""

    def shown(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ",".join(sorted(f"{key!r}:{shown(item)}" for key, item in value.items())) + "}"
        if isinstance(value, list | tuple):
            return type(value).__name__ + "[" + ",".join(shown(item) for item in value) + "]"
        return repr(value)

    assert (cache_key("k", "n", one) == cache_key("k", "n", other)) == (shown(one) == shown(other))

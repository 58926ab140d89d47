"""Snapshots: what cannot change is passed on as it is, what can is copied, and its size is told truthfully."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from core.errors import UsageError
from core.outcome import Answer, AnswerSource, Usage
from optimizers.cache_values import Found, FoundBy, Snapshot, size_of


@dataclass(frozen=True)
class Holder:
    parts: Any


@dataclass
class Open:
    parts: list[int] = field(default_factory=list)


class Stubborn:
    def __deepcopy__(self, memo: object) -> object:
        raise RuntimeError("我的祕密")


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1.5, 1j, "文", b"b", (), (1, ("a", None)), frozenset({1}), AnswerSource.CACHE, Holder((1, "a")),
     Answer("文", "m", Usage(1, 2))],
)  # fmt: skip
def test_what_cannot_change_is_handed_out_as_it_is(value: object) -> None:
    """A hit on text, numbers or an Answer copies nothing."""
    snapshot = Snapshot.of(value)
    assert snapshot.immutable
    assert snapshot.take() is value


@pytest.mark.parametrize("value", [[1], {"a": [1]}, {1}, bytearray(b"a"), (1, [2]), Holder([1]), Open([1])])
def test_what_can_change_is_copied_in_and_out(value: Any) -> None:
    """Neither the giver nor any taker shares a mutable object with the cache (D10)."""
    snapshot = Snapshot.of(value)
    first, second = snapshot.take(), snapshot.take()
    assert first == second == value
    assert len({id(value), id(first), id(second), id(snapshot.value)}) == 4


@pytest.mark.parametrize("value", [threading.Lock(), [threading.Lock()], Stubborn()])
def test_what_can_neither_be_trusted_nor_copied_is_refused(value: object) -> None:
    """A value that would be shared between callers is no value for a cache; the message holds no content."""
    with pytest.raises(UsageError, match="無法複製") as caught:
        Snapshot.of(value)
    assert caught.value.__context__ is None
    assert "祕密" not in str(caught.value)


def test_the_size_of_text_is_its_utf8_length() -> None:
    """A byte bound means what a person expects of text, lone surrogates included."""
    assert [size_of(text) for text in ("", "abc", "é", "文字", "😀", "\ud800")] == [0, 3, 2, 6, 4, 3]
    assert size_of(b"12345") == size_of(bytearray(b"12345")) == 5


def test_the_size_of_a_container_covers_all_it_holds_once() -> None:
    """Parts count, a part held twice counts once, and a cycle ends."""
    text = "文" * 1000
    assert size_of([text]) == sys.getsizeof([text]) + 3000
    assert size_of([text, text]) == sys.getsizeof([text, text]) + 3000
    assert size_of({"k": (text,)}) == sys.getsizeof({"k": 1}) + 1 + sys.getsizeof((text,)) + 3000
    endless: list[Any] = []
    endless.append(endless)
    assert size_of(endless) == sys.getsizeof(endless)


def test_the_size_of_an_object_covers_its_attributes_but_not_its_class() -> None:
    """An Answer costs its text and little more; classes, functions and enums belong to the program."""
    assert 3000 < size_of(Answer("文" * 1000, "m")) < 4000
    assert 3000 < size_of(Holder("文" * 1000)) < 4000
    assert size_of(Answer) == size_of(len) == size_of(sys) == 0
    assert size_of(AnswerSource.CACHE) < 200


def test_no_repr_shows_content() -> None:
    """Whatever is logged of a cache's values holds no answer (D12)."""
    assert "祕密" not in repr(Snapshot.of("祕密"))
    assert "祕密" not in repr(Found("祕密", FoundBy.HIT))

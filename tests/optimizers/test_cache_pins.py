"""Pinned entries of the memory store: against two dicts as its model, then one by one."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.ports import Prompt
from optimizers.cache_reports import Pinning
from optimizers.cache_stores import MOST_PINNED, MemoryStore
from optimizers.cache_values import PREVIEW_CHARACTERS, WHOLE_CHARACTERS, Snapshot
from tests.fakes import FakeClock

MAX_ENTRIES = 5
MAX_BYTES = 100
KEYS = st.sampled_from("abcdefg")


@dataclass
class ModelEntry:
    text: str
    stored_at: float
    expires_at: float
    hits: int = 0

    @property
    def size(self) -> int:
        return 1 + len(self.text)


class PinMachine(RuleBasedStateMachine):
    """Whatever is done to a store is done to a dict of pinned and one of other entries as well."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = MemoryStore(max_entries=MAX_ENTRIES, max_bytes=MAX_BYTES, clock=self.clock)
        self.others: OrderedDict[str, ModelEntry] = OrderedDict()
        self.pinned: dict[str, ModelEntry] = {}
        self.counts = dict.fromkeys(["stores", "replaced", "expired", "evicted", "removed", "too_large"], 0)

    @rule(key=KEYS, length=st.sampled_from([0, 10, 24, 49, 60, 99, 150]), ttl=st.sampled_from([1, 2, 5]))
    def put(self, key: str, length: int, ttl: float) -> None:
        self.store.put(key, Snapshot.of("x" * length), ttl)
        was_pinned = key in self.pinned
        self.counts["replaced"] += self.take(key) is not None
        entry = ModelEntry("x" * length, self.clock.now(), self.clock.now() + ttl)
        if entry.size + sum(other.size for other in self.pinned.values()) > MAX_BYTES:
            self.counts["too_large"] += 1
            return
        while len(self.all()) >= MAX_ENTRIES or self.bytes() + entry.size > MAX_BYTES:
            self.others.popitem(last=False)
            self.counts["evicted"] += 1
        (self.pinned if was_pinned else self.others)[key] = entry
        self.counts["stores"] += 1

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        snapshot = self.store.get(key)
        entry = self.all().get(key)
        assert (None if snapshot is None else snapshot.value) == (None if entry is None else entry.text)
        if entry is not None:
            entry.hits += 1
        if key in self.others:
            self.others.move_to_end(key)

    @rule(key=KEYS)
    def peek(self, key: str) -> None:
        snapshot = self.store.peek(key)
        entry = self.all().get(key)
        assert (None if snapshot is None else snapshot.value) == (None if entry is None else entry.text)

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        there = self.take(key) is not None
        assert self.store.remove(key) is there
        self.counts["removed"] += there

    @rule()
    def clear(self) -> None:
        self.store.clear()
        self.counts["removed"] += len(self.all())
        self.others.clear()
        self.pinned.clear()

    @rule(key=KEYS)
    def pin(self, key: str) -> None:
        told = self.store.pin(key, True)
        if key not in self.others:
            assert told is (Pinning.DONE if key in self.pinned else Pinning.ABSENT)
            return
        pinned_bytes = sum(entry.size for entry in self.pinned.values())
        if len(self.pinned) >= MAX_ENTRIES // 2 or pinned_bytes + self.others[key].size > MAX_BYTES // 2:
            assert told is Pinning.FULL
            return
        assert told is Pinning.DONE
        self.pinned[key] = self.others.pop(key)

    @rule(key=KEYS)
    def unpin(self, key: str) -> None:
        told = self.store.pin(key, False)
        if key not in self.pinned:
            assert told is (Pinning.DONE if key in self.others else Pinning.ABSENT)
            return
        self.others[key] = self.pinned.pop(key)
        assert told is (Pinning.EXPIRED if self.expire() else Pinning.DONE)

    @rule(seconds=st.sampled_from([0.5, 1, 3]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.expire()

    @invariant()
    def tells_the_same(self) -> None:
        now = self.clock.now()
        listed = [(e.key, e.age, e.remaining, e.hits, e.bytes, e.pinned) for e in self.store.entries()]
        others = [
            (key, now - entry.stored_at, entry.expires_at - now, entry.hits, entry.size, False)
            for key, entry in self.others.items()
        ]
        pinned = [
            (key, now - entry.stored_at, math.inf, entry.hits, entry.size, True) for key, entry in self.pinned.items()
        ]
        assert listed == others + pinned

    @invariant()
    def adds_up(self) -> None:
        told = self.store.tally()
        assert told.stores == told.entries + told.replaced + told.expired + told.evicted + told.removed
        assert {name: getattr(told, name) for name in self.counts} == self.counts
        assert (told.entries, told.bytes) == (len(self.all()), self.bytes())
        assert told.entries <= MAX_ENTRIES
        assert told.bytes <= MAX_BYTES

    def all(self) -> dict[str, ModelEntry]:
        return {**self.others, **self.pinned}

    def bytes(self) -> int:
        return sum(entry.size for entry in self.all().values())

    def take(self, key: str) -> ModelEntry | None:
        return self.others.pop(key, None) or self.pinned.pop(key, None)

    def expire(self) -> int:
        dead = [key for key, entry in self.others.items() if entry.expires_at <= self.clock.now()]
        for key in dead:
            del self.others[key]
        self.counts["expired"] += len(dead)
        return len(dead)


PinMachine.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestPinsAgainstTwoDicts = PinMachine.TestCase


def filled(count: int, *, max_entries: int = 10_000) -> tuple[MemoryStore, FakeClock]:
    clock = FakeClock()
    store = MemoryStore(max_entries=max_entries, max_bytes=10**7, clock=clock)
    for number in range(count):
        store.put(f"{number}", Snapshot.of("x"), 10)
    return store, clock


def test_a_pinned_entry_outlives_its_time_and_every_eviction() -> None:
    """It is handed out after its expiry, and however many others came after it."""
    store, clock = filled(1, max_entries=3)
    assert store.pin("0", True) is Pinning.DONE
    clock.advance(1000)
    for number in range(1, 20):
        store.put(f"{number}", Snapshot.of("x"), 10)
    assert store.get("0") == Snapshot.of("x")
    assert [entry.key for entry in store.entries()] == ["18", "19", "0"]


@pytest.mark.parametrize(("advance", "told"), [(9, Pinning.DONE), (10, Pinning.EXPIRED)])
def test_unpinned_it_has_the_life_it_was_stored_with(advance: float, told: Pinning) -> None:
    """The pin suspends the expiry and does not move it."""
    store, clock = filled(1)
    store.pin("0", True)
    clock.advance(advance)
    assert store.pin("0", False) is told
    clock.advance(1)
    assert store.get("0") is None
    assert store.tally().expired == 1


def test_a_thousand_pins_are_the_most() -> None:
    """One more is refused; unpinning makes room."""
    store, _ = filled(MOST_PINNED + 1)
    told = [store.pin(f"{number}", True) for number in range(MOST_PINNED + 1)]
    assert told == [Pinning.DONE] * MOST_PINNED + [Pinning.FULL]
    store.pin("0", False)
    assert store.pin(f"{MOST_PINNED}", True) is Pinning.DONE


def test_half_a_small_store_stays_a_cache() -> None:
    """Pins take no more than half of the entries; a store of one entry takes none."""
    store, _ = filled(4, max_entries=4)
    assert [store.pin(f"{number}", True) for number in range(3)] == [Pinning.DONE, Pinning.DONE, Pinning.FULL]
    single, _ = filled(1, max_entries=1)
    assert single.pin("0", True) is Pinning.FULL


def test_pinning_again_and_again_leaves_no_reminders_behind() -> None:
    """The expiry heap stays as small as the entries."""
    store, _ = filled(1)
    for _ in range(1000):
        store.pin("0", True)
        store.pin("0", False)
    assert len(store._expiries) < 100


def test_the_question_is_listed_with_its_entry_and_counts_in_its_size() -> None:
    """Its beginning in the list, itself with the value where it is short; its text in no repr."""
    store, _ = filled(0)
    prompts = [Prompt("祕密" * 150, "要簡短"), Prompt("密" * (WHOLE_CHARACTERS + 1))]
    for number, prompt in enumerate(prompts):
        store.put(f"{number}", Snapshot.of("x", prompt), 10)
    short, long = store.entries()
    assert short.question == ("祕密" * 150)[:PREVIEW_CHARACTERS]
    assert long.question == "密" * PREVIEW_CHARACTERS
    kept = [store.peek("0"), store.peek("1")]
    assert [item.question.prompt for item in kept if item and item.question] == [prompts[0], None]
    assert short.bytes > 3 * 300 > 0 < long.bytes < 3 * WHOLE_CHARACTERS
    assert "密" not in repr([store.entries(), kept])


def test_an_unpinned_entry_is_swept_though_its_first_reminder_has_gone() -> None:
    """The heap may have been cleaned up while it was pinned."""
    store, clock = filled(1)
    store.pin("0", True)
    for _ in range(200):
        store.put("other", Snapshot.of("x"), 5)
        store.remove("other")
    store.pin("0", False)
    clock.advance(10)
    assert (store.tally().entries, store.tally().expired) == (0, 1)


def test_what_clearing_removed_takes_no_room_from_later_pins() -> None:
    """Nor from later values."""
    store = MemoryStore(max_entries=10, max_bytes=100, clock=FakeClock())
    for _ in range(5):
        store.put("a", Snapshot.of("x" * 49), 10)
        assert store.pin("a", True) is Pinning.DONE
        store.clear()
    store.put("b", Snapshot.of("x" * 99), 10)
    assert store.tally().too_large == 0

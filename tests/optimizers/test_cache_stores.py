"""The memory store against a dict as its model, under a clock that moves when told."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.errors import UsageError
from core.outcome import MISSING
from optimizers.cache_keys import address
from optimizers.cache_manager import CacheManager
from optimizers.cache_reports import StoreTally
from optimizers.cache_stores import MemoryStore
from optimizers.cache_values import FoundBy, Snapshot
from tests.fakes import FakeClock

MAX_ENTRIES = 4
MAX_BYTES = 4 * 64 + 40
KEYS = st.sampled_from(["a", "b", "c", "d", "e", "f"])
TEXTS = ["", "x", "文字", "x" * 30, "x" * 120, "x" * (MAX_BYTES - 64), "x" * 500]
TTLS = st.sampled_from([None, 0, 1, 2, 5, 0.5])


@dataclass
class ModelEntry:
    value: object
    size: int
    expires_at: float
    stored_at: float
    hits: int = 0


class CacheMachine(RuleBasedStateMachine):
    """Whatever is done to a CacheManager is done to an ordered dict as well; both must tell the same."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.cache = CacheManager(3, max_entries=MAX_ENTRIES, max_bytes=MAX_BYTES, clock=self.clock)
        self.model: OrderedDict[str, ModelEntry] = OrderedDict()
        self.counts = dict.fromkeys(["stores", "replaced", "expired", "evicted", "removed", "too_large"], 0)
        self.hits = self.misses = 0

    @rule(
        key=KEYS,
        text=st.sampled_from(["", "x", "文字", "x" * 30, "x" * 120, "x" * (MAX_BYTES - 64), "x" * 500]),
        ttl=TTLS,
    )
    def set(self, key: str, text: str, ttl: float | None) -> None:
        self.cache.set(key, text, ttl)
        self.model_set(key, text, ttl)

    @rule(key=KEYS)
    def set_none(self, key: str) -> None:
        self.cache.set(key, None)
        self.model_set(key, None, None)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        assert self.cache.get(key, MISSING) == self.model_get(key)

    @rule(key=KEYS, ttl=TTLS)
    def get_or_compute(self, key: str, ttl: float | None) -> None:
        expected = self.model_get(key)
        found = self.cache.get_or_compute(key, lambda: "computed", ttl=ttl)
        if expected is MISSING:
            assert (found.value, found.by) == ("computed", FoundBy.COMPUTED)
            if ttl != 0:
                self.model_set(key, "computed", ttl)
        else:
            assert (found.value, found.by) == (expected, FoundBy.HIT)

    @rule(key=KEYS)
    def invalidate(self, key: str) -> None:
        self.cache.invalidate(key)
        self.counts["removed"] += self.model.pop(key, None) is not None

    @rule()
    def clear_all(self) -> None:
        self.cache.clear_all()
        self.counts["removed"] += len(self.model)
        self.model.clear()

    @rule(seconds=st.sampled_from([0.25, 0.5, 1, 3]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for key in [key for key, entry in self.model.items() if entry.expires_at <= self.clock.now()]:
            del self.model[key]
            self.counts["expired"] += 1

    @invariant()
    def tells_the_same(self) -> None:
        now = self.clock.now()
        listed = [(entry.key, entry.age, entry.remaining, entry.hits, entry.bytes) for entry in self.cache.entries()]
        assert listed == [
            (address(key), now - entry.stored_at, entry.expires_at - now, entry.hits, entry.size)
            for key, entry in self.model.items()
        ]
        told = self.cache.statistics()
        size = sum(entry.size for entry in self.model.values())
        assert told.store == StoreTally(**self.counts, entries=len(self.model), bytes=size)
        assert (told.hits, told.misses, told.shared) == (self.hits, self.misses, 0)

    @invariant()
    def adds_up(self) -> None:
        told = self.cache.statistics()
        store = told.store
        assert store.stores == store.entries + store.replaced + store.expired + store.evicted + store.removed
        assert told.lookups == told.hits + told.misses + told.shared
        assert 0 <= told.hit_rate <= 1
        assert store.entries <= MAX_ENTRIES
        assert store.bytes <= MAX_BYTES

    def model_get(self, key: str) -> object:
        entry = self.model.get(key)
        if entry is None:
            self.misses += 1
            return MISSING
        self.hits += 1
        entry.hits += 1
        self.model.move_to_end(key)
        return entry.value

    def model_set(self, key: str, value: object, ttl: float | None) -> None:
        old = self.model.pop(key, None) is not None
        if ttl == 0:
            self.counts["removed"] += old
            return
        self.counts["replaced"] += old
        size = 64 + Snapshot.of(value).size
        if size > MAX_BYTES:
            self.counts["too_large"] += 1
            return
        while len(self.model) >= MAX_ENTRIES or sum(entry.size for entry in self.model.values()) + size > MAX_BYTES:
            self.model.popitem(last=False)
            self.counts["evicted"] += 1
        now = self.clock.now()
        self.model[key] = ModelEntry(value, size, now + (3 if ttl is None else ttl), now)
        self.counts["stores"] += 1


CacheMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestCacheAgainstADict = CacheMachine.TestCase


def make(max_entries: int = 1000) -> tuple[MemoryStore, FakeClock]:
    clock = FakeClock()
    return MemoryStore(max_entries=max_entries, max_bytes=10**6, clock=clock), clock


def test_expired_entries_leave_without_being_asked_for() -> None:
    """Work on other keys sweeps what has expired, a bounded number at a time (D6)."""
    store, clock = make()
    for number in range(40):
        store.put(f"{number}", Snapshot.of("x"), 1)
    clock.advance(1)
    sizes = []
    for _ in range(4):
        store.get("other")
        sizes.append(len(store._entries))
    assert sizes == [24, 8, 0, 0]
    assert store.tally() == StoreTally(stores=40, expired=40)


def test_expired_entries_go_before_living_ones() -> None:
    """Room is made at the dead first, however recently they were used."""
    store, clock = make(max_entries=2)
    store.put("old but living", Snapshot.of("x"), 10)
    store.put("dead", Snapshot.of("x"), 1)
    clock.advance(1)
    store.put("new", Snapshot.of("x"), 10)
    assert [entry.key for entry in store.entries()] == ["old but living", "new"]


def test_an_entry_expires_at_its_instant() -> None:
    """Living until just before, gone at the instant itself, whichever method looks."""
    store, clock = make()
    store.put("a", Snapshot.of("x"), 1)
    clock.advance(0.999)
    assert store.get("a") is not None
    clock.advance(0.001)
    assert store.get("a") is None
    assert store.remove("a") is False


def test_a_dead_entry_behind_many_others_is_not_handed_out() -> None:
    """However much is waiting to be swept, the entry asked for is looked at first."""
    store, clock = make()
    for number in range(40):
        store.put(f"{number}", Snapshot.of("x"), 1)
    clock.advance(1)
    assert store.get("39") is None
    assert len(store._entries) == 40 - 1 - 16


def test_the_expiry_heap_does_not_outgrow_the_entries() -> None:
    """Storing one key a thousand times leaves no thousand reminders behind (D6)."""
    store, clock = make()
    for _ in range(1000):
        store.put("a", Snapshot.of("x"), 1000)
        store.put("b", Snapshot.of("x"), 1000)
        store.remove("b")
    assert len(store._expiries) < 100
    clock.advance(1000)
    assert store.tally().entries == 0


def test_a_renewed_entry_does_not_die_of_its_first_life() -> None:
    """The reminder of a replaced entry is ignored."""
    store, clock = make()
    store.put("a", Snapshot.of("old"), 1)
    store.put("a", Snapshot.of("new"), 10)
    clock.advance(5)
    assert store.get("a") == Snapshot.of("new")


@pytest.mark.parametrize(("max_entries", "max_bytes"), [(0, 1), (1, 0), (-3, 10)])
def test_a_store_without_room_is_refused(max_entries: int, max_bytes: int) -> None:
    """A bound below 1 is a mistake, not an unbounded cache."""
    with pytest.raises(UsageError, match="max_entries"):
        MemoryStore(max_entries=max_entries, max_bytes=max_bytes)

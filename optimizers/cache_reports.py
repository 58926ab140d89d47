"""What a cache tells about itself: plain values, taken at one instant, with no content of any entry in their repr."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypedDict

__all__ = ["CacheStatistics", "CacheStats", "EntryInfo", "Pinning", "StoreTally"]


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """One living entry as a list shows it: its hashed key, seconds since it was stored and until it expires.

    remaining is math.inf while the entry is pinned. question is the beginning of what was asked, "" where that is
    not known.
    """

    key: str
    age: float
    remaining: float
    hits: int
    bytes: int
    pinned: bool = False
    question: str = field(default="", repr=False)


class Pinning(StrEnum):
    """What came of pinning or unpinning an entry."""

    DONE = "done"
    ABSENT = "absent"  # there is no living entry
    FULL = "full"  # as much is pinned as may be
    EXPIRED = "expired"  # unpinned, and its time was over: it is gone


@dataclass(frozen=True, slots=True)
class StoreTally:
    """What became of the entries, at one instant: stores = entries + replaced + expired + evicted + removed.

    removed counts invalidated and cleared ones. too_large counts values above the store's whole size, less what is
    pinned; they are not stored at all.
    """

    stores: int = 0
    replaced: int = 0
    expired: int = 0
    evicted: int = 0
    removed: int = 0
    too_large: int = 0
    entries: int = 0
    bytes: int = 0


class CacheStats(TypedDict):
    """The reference's view of CacheStatistics, and more. hit_rate is 0..1."""

    cache_size: int
    cache_bytes: int
    hit_count: int
    miss_count: int
    hit_rate: float
    shared: int
    lookups: int
    stores: int
    expired: int
    evicted: int


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Counts over the cache's life; each lookup that has found its way is exactly one hit, miss or share.

    hits were answered from the cache, without any call. misses found nothing and computed, or ended before they could
    (get() on an absent key, a follower whose scope ended). shared got the outcome, a value or an error, of a
    computation that another caller had under way. A lookup still waiting is not counted yet.
    """

    hits: int
    misses: int
    shared: int
    store: StoreTally

    @property
    def lookups(self) -> int:
        return self.hits + self.misses + self.shared

    @property
    def hit_rate(self) -> float:
        """Hits ÷ lookups, 0..1; 0.0 before the first lookup."""
        return self.hits / self.lookups if self.lookups else 0.0

    def as_dict(self) -> CacheStats:
        return CacheStats(
            cache_size=self.store.entries,
            cache_bytes=self.store.bytes,
            hit_count=self.hits,
            miss_count=self.misses,
            hit_rate=self.hit_rate,
            shared=self.shared,
            lookups=self.lookups,
            stores=self.store.stores,
            expired=self.store.expired,
            evicted=self.store.evicted,
        )

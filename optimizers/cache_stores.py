"""Where cached values are kept: the protocol of a store, and the store in memory."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import UsageError
from core.language import tr
from optimizers.cache_reports import EntryInfo, Pinning, StoreTally
from optimizers.cache_values import Snapshot

__all__ = ["MOST_PINNED", "CacheStore", "MemoryStore"]

MOST_PINNED: Final = 1_000

_SWEEP_LIMIT: Final = 16  # expired entries dropped by one operation at most: more than one operation can add
_SLACK: Final = 64  # heap items of entries long gone that are not worth a clean-up


class CacheStore(Protocol):
    """Keeps snapshots for a while. Thread-safe; bounded; the store has its own time.

    Keys are SHA-256 hex digits. Lifetimes are seconds from now: a store in memory counts them on the monotonic
    clock, one on disk on the wall clock. A store on disk writes JSON and treats a row it cannot read as absent.
    An expired entry is never handed out and never kept for good. A medium that fails costs no caller its answer: what
    cannot be read is absent, what cannot be written is dropped, and no method raises for it.
    """

    def get(self, key: str) -> Snapshot | None:
        """The living entry, which thereby becomes the most recently used one; None if there is none."""

    def put(self, key: str, snapshot: Snapshot, lifetime: float) -> None:
        """Store it for lifetime > 0 seconds in place of what was there, making room at the least recently used."""

    def remove(self, key: str) -> bool:
        """Drop the entry; True if there was a living one."""

    def clear(self) -> bool:
        """Drop all entries; False where the medium refuses, which keeps them."""

    def peek(self, key: str) -> Snapshot | None:
        """The living entry, whose use is not noted; None if there is none."""

    def pin(self, key: str, pinned: bool) -> Pinning:
        """Pin or unpin an entry. Pinned, it neither expires nor makes room; it goes by remove() and clear() alone.

        A value stored in its place is pinned as well. Unpinned, it has the instant of expiry that it had before: if
        that is over, it expires at once. No more than MOST_PINNED entries, nor than half of the store, are pinned.
        """

    def entries(self) -> list[EntryInfo]:
        """The living entries, least recently used first; the pinned ones come last."""

    def tally(self) -> StoreTally:
        """The counts, with expired entries already dropped."""

    def failures(self) -> int:
        """How often so far the medium refused: then an empty result means nothing, and a change was not made."""

    def close(self) -> None:
        """Write down what is not yet, and part from the medium. Idempotent; the store may be used again after."""


@dataclass(slots=True)
class _Entry:
    snapshot: Snapshot
    size: int
    created_at: float
    expires_at: float
    serial: int
    hits: int = 0


@dataclass(slots=True)
class _Counts:
    """The running counts behind a StoreTally; guarded by the store's lock."""

    stores: int = 0
    replaced: int = 0
    expired: int = 0
    evicted: int = 0
    removed: int = 0
    too_large: int = 0


class MemoryStore:
    """A CacheStore in memory: least recently used entries go first, expired ones before any living one, pinned never.

    Bounded by max_entries and by max_bytes, the sum of size_of(value) and key lengths. Each operation drops at most
    16 expired entries (entries() and tally() all of them) and costs O(log n) amortised; never does it start a
    thread. Raises UsageError for a bound below 1.
    """

    def __init__(self, *, max_entries: int, max_bytes: int, clock: Clock = SYSTEM_CLOCK) -> None:
        if max_entries < 1 or max_bytes < 1:
            raise UsageError(tr("快取的 max_entries 與 max_bytes 必須至少是 1"))
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        # Guards everything below; held by every public method for its whole length, which calls only the clock.
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._pinned: dict[str, _Entry] = {}  # apart from _entries: no key is in both
        self._pinned_bytes = 0  # a part of _bytes
        self._expiries: list[tuple[float, int, str]] = []  # a heap; items whose entry is gone are skipped
        self._serials = itertools.count()
        self._bytes = 0
        self._counts = _Counts()

    def get(self, key: str) -> Snapshot | None:
        with self._lock:
            self._expire(key, self._clock.now())
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            elif (entry := self._pinned.get(key)) is None:
                return None
            entry.hits += 1
            return entry.snapshot

    def put(self, key: str, snapshot: Snapshot, lifetime: float) -> None:
        size = snapshot.size + len(key)
        with self._lock:
            now = self._clock.now()
            self._expire(key, now)
            pinned = key in self._pinned
            self._counts.replaced += self._drop(key)
            if size > self._max_bytes - self._pinned_bytes:
                self._counts.too_large += 1
                return
            while self._count() >= self._max_entries or self._bytes + size > self._max_bytes:
                self._counts.evicted += self._drop(next(iter(self._entries)))
            self._insert(key, _Entry(snapshot, size, now, now + lifetime, next(self._serials)), pinned=pinned)

    def remove(self, key: str) -> bool:
        with self._lock:
            self._expire(key, self._clock.now())
            removed = self._drop(key)
            self._counts.removed += removed
            return removed

    def clear(self) -> bool:
        with self._lock:
            self._sweep(self._clock.now(), len(self._entries))
            self._counts.removed += self._count()
            self._entries.clear()
            self._pinned.clear()
            self._pinned_bytes = 0
            self._expiries.clear()
            self._bytes = 0
        return True

    def peek(self, key: str) -> Snapshot | None:
        with self._lock:
            self._expire(key, self._clock.now())
            entry = self._entries.get(key) or self._pinned.get(key)
            return None if entry is None else entry.snapshot

    def pin(self, key: str, pinned: bool) -> Pinning:
        with self._lock:
            now = self._clock.now()
            self._expire(key, now)
            if key not in (self._entries if pinned else self._pinned):
                return Pinning.DONE if key in self._entries or key in self._pinned else Pinning.ABSENT
            return self._pin(key) if pinned else self._unpin(key, now)

    def entries(self) -> list[EntryInfo]:
        with self._lock:
            now = self._clock.now()
            self._sweep(now, len(self._entries))
            listed = [_listed(key, entry, now, pinned=False) for key, entry in self._entries.items()]
            return listed + [_listed(key, entry, now, pinned=True) for key, entry in self._pinned.items()]

    def tally(self) -> StoreTally:
        with self._lock:
            self._sweep(self._clock.now(), len(self._entries))
            return StoreTally(**dataclasses.asdict(self._counts), entries=self._count(), bytes=self._bytes)

    def failures(self) -> int:
        return 0

    def close(self) -> None:
        """There is nothing to part from."""

    def _count(self) -> int:
        return len(self._entries) + len(self._pinned)

    def _pin(self, key: str) -> Pinning:
        entry = self._entries[key]
        most = min(MOST_PINNED, self._max_entries // 2)  # what is left keeps the cache a cache
        if len(self._pinned) >= most or self._pinned_bytes + entry.size > self._max_bytes // 2:
            return Pinning.FULL
        self._pinned[key] = self._entries.pop(key)
        self._pinned_bytes += entry.size
        return Pinning.DONE

    def _unpin(self, key: str, now: float) -> Pinning:
        entry = self._pinned.pop(key)
        self._pinned_bytes -= entry.size
        self._entries[key] = entry
        self._remind(key, entry)
        self._expire(key, now)
        return Pinning.DONE if key in self._entries else Pinning.EXPIRED

    def _insert(self, key: str, entry: _Entry, *, pinned: bool) -> None:
        self._bytes += entry.size
        self._counts.stores += 1
        if pinned:
            self._pinned[key] = entry
            self._pinned_bytes += entry.size
        else:
            self._entries[key] = entry
            self._remind(key, entry)

    def _remind(self, key: str, entry: _Entry) -> None:
        heapq.heappush(self._expiries, (entry.expires_at, entry.serial, key))
        if len(self._expiries) > 2 * len(self._entries) + _SLACK:
            self._expiries = [(kept.expires_at, kept.serial, name) for name, kept in self._entries.items()]
            heapq.heapify(self._expiries)

    def _drop(self, key: str) -> bool:
        entry = self._entries.pop(key, None)
        if entry is None:
            entry = self._pinned.pop(key, None)
            if entry is None:
                return False
            self._pinned_bytes -= entry.size
        self._bytes -= entry.size
        return True

    def _expire(self, key: str, now: float) -> None:
        """Drop this entry if it has expired, and a few others that have."""
        entry = self._entries.get(key)
        if entry is not None and entry.expires_at <= now:
            self._counts.expired += self._drop(key)
        self._sweep(now, _SWEEP_LIMIT)

    def _sweep(self, now: float, limit: int) -> None:
        while limit and self._expiries and self._expiries[0][0] <= now:
            _, serial, key = heapq.heappop(self._expiries)
            entry = self._entries.get(key)
            if entry is not None and entry.serial == serial:
                self._counts.expired += self._drop(key)
                limit -= 1


def _listed(key: str, entry: _Entry, now: float, *, pinned: bool) -> EntryInfo:
    question = entry.snapshot.question
    preview = "" if question is None else question.preview
    remaining = math.inf if pinned else entry.expires_at - now
    return EntryInfo(key, now - entry.created_at, remaining, entry.hits, entry.size, pinned, preview)

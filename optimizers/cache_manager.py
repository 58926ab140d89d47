"""CacheManager: remembers answers for a while, and lets one caller compute what many ask at the same time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, ParamSpec, TypeVar

from core.clock import SYSTEM_CLOCK, Clock
from core.ports import Prompt
from core.scope import Scope
from optimizers.cache_calls import remembered
from optimizers.cache_keys import address, full_name
from optimizers.cache_reports import CacheStatistics, CacheStats, EntryInfo
from optimizers.cache_stores import CacheStore, MemoryStore
from optimizers.cache_values import Found, FoundBy, Snapshot, checked_ttl
from optimizers.single_flight import Flight, Role, SingleFlight

__all__ = ["CacheManager"]

R = TypeVar("R")
P = ParamSpec("P")


class _Request(NamedTuple):
    """One lookup's terms: where its value is kept, for how many seconds (0: not), what may be kept, what was asked."""

    address: str
    lifetime: float
    accept: Callable[[Any], bool]
    prompt: Prompt | None = None


class CacheManager:
    """A bounded cache with single-flight. Thread-safe; no lock is held while a value is computed or copied.

    ttl everywhere: seconds; None is the cache's default, 0 means do not store, below 0 (or not finite) is a
    UsageError, which is a ValueError. None and "" are values like others. Callers cannot change a cached value (see
    Snapshot). Errors are never stored, nor what was computed from before a clear_all() or invalidate() of its key.
    Keys are text; a key that is no digest is hashed first. A query is kept only where a caller gives it as prompt, so
    that a person can recognise the entry; no repr and no message shows it.
    """

    def __init__(
        self,
        default_ttl: float = 300,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 2**20,
        clock: Clock = SYSTEM_CLOCK,
        store: CacheStore | None = None,
    ) -> None:
        """max_entries, max_bytes and clock are for the memory store that is made where no other is given."""
        self.default_ttl = checked_ttl(default_ttl)
        self._store: CacheStore = (
            MemoryStore(max_entries=max_entries, max_bytes=max_bytes, clock=clock) if store is None else store
        )
        self._flights: SingleFlight[Snapshot] = SingleFlight()
        # Guards the order of writes: held by whoever stores, invalidates or clears, so that a computation begun
        # before a clear cannot store after it. Reading the store goes without.
        self._writing = threading.Lock()
        # Guards the three counts and the names; held only for an addition or a look.
        self._counting = threading.Lock()
        self._hits = self._misses = self._shared = 0
        self._names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or default where it is absent or expired; pass MISSING to tell a stored None from absence."""
        snapshot = self._store.get(address(key))
        if snapshot is None:
            self._count(misses=1)
            return default
        self._count(hits=1)
        return snapshot.take()

    def set(self, key: str, value: Any, ttl: float | None = None, *, prompt: Prompt | None = None) -> None:
        """Store the value; with ttl 0 what was stored under the key goes away instead. UsageError: see Snapshot."""
        place, lifetime = address(key), self._lifetime(ttl)
        snapshot = Snapshot.of(value, prompt)
        with self._writing:
            if lifetime > 0:
                self._store.put(place, snapshot, lifetime)
            else:
                self._store.remove(place)

    def invalidate(self, key: str) -> bool:
        """Forget the key, and what is being computed for it; True if a living value went."""
        place = address(key)
        with self._writing:
            self._flights.forget(place)
            return self._store.remove(place)

    def clear_all(self) -> bool:
        """Forget everything, and what is being computed; False where the store could not. The counts go on."""
        with self._writing:
            self._flights.forget_all()
            return self._store.clear()

    @property
    def store(self) -> CacheStore:
        """For looking at single entries and pinning them; write by set() and invalidate() alone."""
        return self._store

    def close(self) -> None:
        """Part from the store's medium; see CacheStore.close()."""
        self._store.close()

    def entries(self) -> list[EntryInfo]:
        """The living entries, as the store lists them; an entry's key may be given to invalidate()."""
        return self._store.entries()

    def statistics(self) -> CacheStatistics:
        """The lookups at one instant, and the store's counts at one instant just before."""
        tally = self._store.tally()
        with self._counting:
            return CacheStatistics(self._hits, self._misses, self._shared, tally)

    def get_stats(self) -> CacheStats:
        return self.statistics().as_dict()

    def get_or_compute(
        self,
        key: str,
        compute: Callable[[], R],
        *,
        ttl: float | None = None,
        scope: Scope | None = None,
        accept: Callable[[Any], bool] = lambda _: True,
        prompt: Prompt | None = None,
    ) -> Found[R]:
        """The cached value, or that of a computation under way, or the caller's own, which is then stored.

        Of concurrent callers one computes; what it raises, the others raise as well (fresh copies), unless it ended
        by its own scope or was killed: then one of the others computes. scope bounds the wait for another's
        computation; its end raises ScopeError. A caller inside its own computation of the same key computes
        without cache or single-flight. accept tells which values may be stored, and handed out from the store.
        """
        request = _Request(address(key), self._lifetime(ttl), accept, prompt)
        found: Found[R] | None = self._recall(request)
        while found is None:
            flight, role = self._enter(request, scope, blocking=True)
            if role is Role.FOLLOWER:
                with self._counted_if_left():
                    flight.wait(scope)
                found = self._share(flight)
            elif role is Role.NESTED:
                found = Found(compute(), FoundBy.COMPUTED)
            else:
                with self._flights.lead(flight, scope) as lead:
                    found = self._recall_as_leader(request) or Found(compute(), FoundBy.COMPUTED)
                    lead.land(self._keep(request, flight, found))
        return found

    async def get_or_await(
        self,
        key: str,
        compute: Callable[[], Awaitable[R]],
        *,
        ttl: float | None = None,
        accept: Callable[[Any], bool] = lambda _: True,
    ) -> Found[R]:
        """get_or_compute for coroutines: waiting leaves the event loop free and ends by the task's cancellation."""
        request = _Request(address(key), self._lifetime(ttl), accept)
        found: Found[R] | None = self._recall(request)
        while found is None:
            flight, role = self._enter(request, None, blocking=False)
            if role is Role.FOLLOWER:
                with self._counted_if_left():
                    await flight.wait_async()
                found = self._share(flight)
            elif role is Role.NESTED:
                found = Found(await compute(), FoundBy.COMPUTED)
            else:
                with self._flights.lead(flight) as lead:
                    found = self._recall_as_leader(request) or Found(await compute(), FoundBy.COMPUTED)
                    lead.land(self._keep(request, flight, found))
        return found

    def cached(self, ttl: float | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Cache a function, method or coroutine function by its full name and arguments (see CallKeys).

        Concurrent equal calls are one call. A call whose arguments have no key is refused with UsageError.
        """
        self._lifetime(ttl)

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            name = full_name(function)
            with self._counting:
                unique = name not in self._names
                self._names.add(name)
            return remembered(function, self, ttl, unique_name=unique)

        return decorate

    def _lifetime(self, ttl: float | None) -> float:
        return self.default_ttl if ttl is None else checked_ttl(ttl)

    def _recall(self, request: _Request) -> Found[Any] | None:
        snapshot = self._store.get(request.address)
        if snapshot is None:
            return None
        value = snapshot.take()
        if not request.accept(value):
            return None
        self._count(hits=1)
        return Found(value, FoundBy.HIT)

    def _recall_as_leader(self, request: _Request) -> Found[Any] | None:
        """Look once more: between this caller's look and its lead another may have finished and left."""
        found = self._recall(request)
        if found is None:
            self._count(misses=1)
        return found

    def _enter(self, request: _Request, scope: Scope | None, *, blocking: bool) -> tuple[Flight[Snapshot], Role]:
        with self._counted_if_left():
            if scope is not None:
                scope.check()
        flight, role = self._flights.join(request.address, blocking=blocking)
        if role is Role.NESTED:
            self._count(misses=1)
        return flight, role

    def _share(self, flight: Flight[Snapshot]) -> Found[Any] | None:
        if flight.abandoned:
            return None
        self._count(shared=1)
        return Found(flight.result().take(), FoundBy.SHARED)

    def _keep(self, request: _Request, flight: Flight[Snapshot], found: Found[Any]) -> Snapshot:
        snapshot = Snapshot.of(found.value, request.prompt)
        if found.by is FoundBy.COMPUTED and request.lifetime > 0 and request.accept(snapshot.value):
            with self._writing:
                if not flight.forgotten:
                    self._store.put(request.address, snapshot, request.lifetime)
        return snapshot

    @contextlib.contextmanager
    def _counted_if_left(self) -> Iterator[None]:
        """A lookup that ends in here ends without a value: a miss."""
        try:
            yield
        except BaseException:
            self._count(misses=1)
            raise

    def _count(self, *, hits: int = 0, misses: int = 0, shared: int = 0) -> None:
        with self._counting:
            self._hits += hits
            self._misses += misses
            self._shared += shared

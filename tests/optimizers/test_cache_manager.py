"""CacheManager: the reference's API, without the reference's defects D6 to D12."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import random
import sys
import threading
import timeit
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.errors import UsageError
from core.outcome import MISSING, Answer
from optimizers.cache_keys import address, cache_key
from optimizers.cache_manager import CacheManager
from optimizers.cache_reports import CacheStatistics, StoreTally
from optimizers.cache_stores import MemoryStore
from optimizers.cache_values import Found, FoundBy
from tests.fakes import FakeClock

PATIENCE = 20.0


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads give way after a microsecond, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_the_references_api_works_as_written_there() -> None:
    """Positional ttl, get, set, invalidate, clear_all and the four figures."""
    cache = CacheManager(300)
    assert cache.get("a") is None
    cache.set("a", "answer", 60)
    cache.set("b", "other")
    assert (cache.get("a"), cache.get("b")) == ("answer", "other")
    cache.invalidate("a")
    cache.invalidate("never there")
    assert cache.get("a") is None
    stats = cache.get_stats()
    assert (stats["cache_size"], stats["hit_count"], stats["miss_count"], stats["hit_rate"]) == (1, 2, 2, 0.5)
    cache.clear_all()
    assert cache.get_stats()["cache_size"] == 0
    assert next(iter(inspect.signature(CacheManager).parameters)) == "default_ttl"
    assert CacheManager().default_ttl == 300


def test_an_unused_cache_has_all_figures() -> None:
    """The same shape when empty, and no division by zero."""
    assert CacheManager().get_stats() == {
        "cache_size": 0, "cache_bytes": 0, "hit_count": 0, "miss_count": 0, "hit_rate": 0.0, "shared": 0,
        "lookups": 0, "stores": 0, "expired": 0, "evicted": 0,
    }  # fmt: skip


@pytest.mark.usefixtures("frequent_switches")
def test_eight_threads_hammering_lose_nothing() -> None:
    """No error, no bound broken, every value belongs to its key, every lookup counted once (D6)."""
    clock = FakeClock()
    cache = CacheManager(5, max_entries=20, max_bytes=4000, clock=clock)
    barrier = threading.Barrier(8)

    def hammer(seed: int) -> int:
        chance, lookups = random.Random(seed), 0
        barrier.wait(PATIENCE)
        for _ in range(1500):
            key = f"k{chance.randrange(40)}"
            match chance.randrange(10):
                case 0 | 1 | 2:
                    assert cache.get(key) in (None, [key])
                    lookups += 1
                case 3 | 4:
                    cache.set(key, [key], chance.choice([None, 0, 1, 10]))
                case 5 | 6 | 7:
                    assert cache.get_or_compute(key, lambda key=key: [key]).value == [key]  # type: ignore[misc]  # mypy cannot infer defaults of a lambda
                    lookups += 1
                case 8:
                    cache.invalidate(key)
                    clock.advance(0.01)
                case _:
                    told = cache.get_stats()
                    assert told["cache_size"] <= 20
                    assert told["cache_bytes"] <= 4000
                    if chance.random() < 0.02:
                        cache.clear_all()
        return lookups

    with ThreadPoolExecutor(8) as pool:
        lookups = sum(pool.map(hammer, range(8)))
    told = cache.statistics()
    assert told.lookups == lookups
    assert told.store.stores == (
        told.store.entries + told.store.replaced + told.store.expired + told.store.evicted + told.store.removed
    )
    cache.clear_all()
    assert cache.statistics().store.bytes == 0


def test_the_least_recently_used_entry_makes_room() -> None:
    """Bounded by number (D6)."""
    cache = CacheManager(max_entries=2)
    cache.set("a", 1)
    cache.set("b", 2)
    assert cache.get("a") == 1
    cache.set("c", 3)
    assert [cache.get("a"), cache.get("b"), cache.get("c")] == [1, None, 3]
    assert cache.get_stats()["evicted"] == 1


def test_the_bytes_are_bounded_too_and_a_giant_displaces_nobody() -> None:
    """Large answers make room by size; one that can never fit is not stored (D6)."""
    cache = CacheManager(max_bytes=1000)
    for key in "abc":
        cache.set(key, "文" * 100)
    assert [cache.get(key) is not None for key in "abc"] == [False, True, True]
    cache.set("giant", "x" * 1001)
    assert [cache.get(key) is not None for key in "bc"] == [True, True]
    assert cache.statistics().store == StoreTally(stores=3, evicted=1, too_large=1, entries=2, bytes=2 * (300 + 64))


def test_identical_calls_in_flight_are_one_call() -> None:
    """Followers get the leader's value and are counted as shared, not as hits (D7)."""
    cache, calls, everyone = CacheManager(), list[int](), threading.Barrier(5)
    inside = threading.Event()

    @cache.cached()
    def slow(x: int) -> list[int]:
        calls.append(x)
        assert inside.wait(PATIENCE)
        return [x]

    def ask() -> list[int]:
        everyone.wait(PATIENCE)
        return slow(7)

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(ask) for _ in range(4)]
        everyone.wait(PATIENCE)
        inside.set()
        values = [future.result(PATIENCE) for future in futures]
    assert values == [[7]] * 4
    assert calls == [7]
    assert len({id(value) for value in values}) == 4
    told = cache.statistics()
    assert (told.misses, told.hits + told.shared) == (1, 3)


def test_ttl_none_is_the_default_and_zero_does_not_store() -> None:
    """0 is not taken for unset (D8)."""
    clock = FakeClock()
    cache = CacheManager(10, clock=clock)
    cache.set("default", 1)
    cache.set("zero", 1, ttl=0)
    cache.set("replaced", 1)
    cache.set("replaced", 2, ttl=0)
    cache.set("short", 1, ttl=0.5)
    assert [entry.key for entry in cache.entries()] == [address("default"), address("short")]
    clock.advance(0.5)
    assert (cache.get("short"), cache.get("default"), cache.get("zero"), cache.get("replaced")) == (None, 1, None, None)
    clock.advance(9.5)
    assert cache.get("default") is None
    assert cache.get_stats()["expired"] == 2


def test_a_cache_that_is_off_stores_nothing_by_default() -> None:
    """A default of 0 means 0, and a ttl given still counts."""
    cache, calls = CacheManager(0), list[int]()

    @cache.cached()
    def count() -> int:
        calls.append(1)
        return len(calls)

    assert [count(), count()] == [1, 2]
    cache.set("a", 1)
    cache.set("b", 2, ttl=60)
    assert (cache.get("a"), cache.get("b")) == (None, 2)


@pytest.mark.parametrize("ttl", [-1, -0.001, math.nan, math.inf, -math.inf, "300"])
def test_a_ttl_that_makes_no_sense_is_a_value_error(ttl: Any) -> None:
    """Everywhere a ttl is taken, with nothing stored or called (D8)."""
    cache = CacheManager()
    takers: list[Callable[[], object]] = [
        lambda: CacheManager(ttl),
        lambda: cache.set("a", 1, ttl),
        lambda: cache.cached(ttl=ttl),
        lambda: cache.get_or_compute("a", lambda: pytest.fail("called"), ttl=ttl),
    ]
    for take in takers:
        with pytest.raises(ValueError, match="ttl 必須是 0 以上的秒數"):
            take()
    assert cache.statistics() == CacheStatistics(0, 0, 0, StoreTally())


@pytest.mark.parametrize("value", [None, "", 0, False, [], {}])
def test_values_that_look_like_nothing_are_cached(value: object) -> None:
    """Computed once, then hits; get() can tell a stored None from absence (D8)."""
    cache, calls = CacheManager(), list[int]()

    @cache.cached()
    def compute(x: int) -> object:
        calls.append(x)
        return value

    assert [compute(1), compute(1), compute(1)] == [value] * 3
    assert calls == [1]
    assert (cache.statistics().hits, cache.statistics().misses) == (2, 1)
    cache.set("k", value)
    assert cache.get("k", MISSING) == value
    assert cache.get("absent", MISSING) is MISSING


def test_functions_arguments_and_models_do_not_share_keys() -> None:
    """Another function of the name, 1 and "1", another model: other answers (D9)."""
    cache = CacheManager()

    def make(tag: str) -> Callable[[object], tuple[str, object]]:
        def answer(x: object) -> tuple[str, object]:
            return (tag, x)

        return cache.cached()(answer)

    one, other = make("one"), make("other")
    assert [one(1), other(1), one("1"), one(True), one(1.0)] == [
        ("one", 1), ("other", 1), ("one", "1"), ("one", True), ("one", 1.0),
    ]  # fmt: skip
    assert cache.statistics().hits == 0
    assert cache_key("chat", "gemini-2.5-flash", "q") != cache_key("chat", "gemini-2.5-pro", "q")


def test_nobody_can_change_what_is_cached() -> None:
    """Not through what was stored, not through what was handed out (D10)."""
    cache = CacheManager()
    given = {"answers": ["a"]}
    cache.set("k", given)
    given["answers"].append("changed by the giver")
    cache.get("k")["answers"].append("changed by a taker")
    assert cache.get("k") == {"answers": ["a"]}
    computed = cache.get_or_compute("l", lambda: ["a"]).value
    computed.append("changed by the leader")
    assert cache.get("l") == ["a"]


def test_a_jump_of_the_wall_clock_changes_nothing() -> None:
    """Expiry is counted on the monotonic clock (D11)."""
    clock = FakeClock()
    cache = CacheManager(10, clock=clock)
    cache.set("k", 1)
    for jump in (86_400, -2 * 86_400):
        clock.wall_offset += jump
        assert cache.get("k") == 1
    (entry,) = cache.entries()
    assert (entry.age, entry.remaining) == (0, 10)
    clock.wall_offset -= 1000
    clock.advance(10)
    assert cache.get("k") is None


def test_no_query_text_shows_anywhere(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """Not on the screen, in logs, listings, reprs or errors (D12)."""
    caplog.set_level(logging.DEBUG)
    cache = CacheManager(max_entries=2)
    secret = "我的祕密問題"

    @cache.cached()
    def answer(query: str, extra: object = None) -> str:
        return f"關於{query}"

    assert answer(secret) == answer(secret)
    for key in (secret, "b", "c", secret):
        cache.set(key, f"關於{secret}")
    cache.get(secret)
    found = cache.get_or_compute(secret, lambda: secret)
    cache.invalidate(secret)
    with pytest.raises(UsageError) as caught:
        answer(secret, object())
    cache.set(secret, [secret])
    shown = [cache, cache.entries(), cache.statistics(), cache.get_stats(), found, caught.value, vars(cache)]
    cache.clear_all()
    assert "祕密" not in repr(shown)
    assert "祕密" not in caplog.text
    assert capfd.readouterr() == ("", "")


def test_entries_tell_age_remaining_time_hits_and_size() -> None:
    """A listing for a person; a listed key can be invalidated."""
    clock = FakeClock()
    cache = CacheManager(10, clock=clock)
    cache.set("a", "文")
    clock.advance(4)
    cache.set("b", "xy", 100)
    cache.get("a")
    cache.get("a")
    b, a = cache.entries()
    assert (a.key, a.age, a.remaining, a.hits, a.bytes) == (address("a"), 4, 6, 2, 3 + 64)
    assert (b.key, b.age, b.remaining, b.hits, b.bytes) == (address("b"), 0, 100, 0, 2 + 64)
    cache.invalidate(a.key)
    assert [entry.key for entry in cache.entries()] == [b.key]


@pytest.mark.parametrize("forget", [CacheManager.clear_all, lambda cache: cache.invalidate("k")])
def test_what_was_begun_before_a_clear_is_not_stored_after_it(forget: Callable[[CacheManager], None]) -> None:
    """The caller still gets its value; the cache stays as empty as it was asked to be."""
    cache = CacheManager()

    def compute() -> str:
        forget(cache)
        assert cache.get_or_compute("k", lambda: "newer").by is FoundBy.COMPUTED
        return "older"

    assert cache.get_or_compute("k", compute) == Found("older", FoundBy.COMPUTED)
    assert cache.get("k") == "newer"


def test_accept_decides_what_is_stored_and_what_is_handed_out() -> None:
    """A value of another kind in the store is a miss, and is replaced by a good one."""
    cache = CacheManager()

    def good(value: object) -> bool:
        return value == "good"

    assert cache.get_or_compute("k", lambda: "bad", accept=good) == Found("bad", FoundBy.COMPUTED)
    assert cache.statistics().store.stores == 0
    cache.set("k", "bad")
    assert cache.get_or_compute("k", lambda: "good", accept=good) == Found("good", FoundBy.COMPUTED)
    assert cache.get_or_compute("k", lambda: "other", accept=good) == Found("good", FoundBy.HIT)
    told = cache.statistics()
    assert (told.hits, told.misses) == (1, 2)


def test_a_value_stored_between_look_and_lead_is_a_hit() -> None:
    """A caller that was just too late to follow looks once more before it calls."""

    class LateStore(MemoryStore):
        looks = 0

        def get(self, key: str) -> Any:
            self.looks += 1
            return None if self.looks == 1 else super().get(key)

    cache = CacheManager(store=LateStore(max_entries=10, max_bytes=1000))
    cache.set("k", "there")
    assert cache.get_or_compute("k", lambda: pytest.fail("called")) == Found("there", FoundBy.HIT)
    told = cache.statistics()
    assert (told.hits, told.misses, told.store.stores) == (1, 0, 1)


def test_a_value_that_cannot_be_copied_is_refused() -> None:
    """Callers would share it; the message names its type."""
    cache = CacheManager()
    with pytest.raises(UsageError, match="lock"):
        cache.set("k", threading.Lock())
    with pytest.raises(UsageError, match="lock"):
        cache.get_or_compute("k", threading.Lock)
    assert cache.get_or_compute("k", lambda: 1).by is FoundBy.COMPUTED


def test_a_key_must_be_text() -> None:
    """Anything else goes through cache_key, which keeps types apart."""
    with pytest.raises(UsageError, match="tuple"):
        CacheManager().get(("a", 1))  # type: ignore[arg-type]  # what an untyped caller may do


def test_coroutines_are_cached_by_their_value() -> None:
    """The value is stored, not the coroutine; concurrent callers are one call and leave the loop free."""
    cache, calls = CacheManager(), list[int]()

    @cache.cached(ttl=60)
    async def slow(x: int) -> None:
        calls.append(x)
        await asyncio.sleep(0)

    async def run() -> list[None]:
        ticks = asyncio.create_task(asyncio.sleep(0))
        results = await asyncio.gather(*(slow(1) for _ in range(10)), slow(2))
        assert ticks.done()
        await slow(1)
        return results

    assert asyncio.run(run()) == [None] * 11
    assert calls == [1, 2]
    told = cache.statistics()
    assert (told.hits, told.misses, told.shared) == (1, 2, 9)
    asyncio.run(slow(x=1))
    assert calls == [1, 2]


def test_coroutines_share_an_error_and_store_none() -> None:
    """Each caller gets an exception of its own."""
    cache, calls = CacheManager(), list[int]()

    @cache.cached()
    async def fails(x: int) -> None:
        calls.append(x)
        await asyncio.sleep(0)
        raise ValueError("no")

    async def run() -> list[BaseException | None]:
        return await asyncio.gather(*(fails(1) for _ in range(5)), return_exceptions=True)

    for _ in range(2):
        errors = asyncio.run(run())
        assert Counter(type(error) for error in errors) == {ValueError: 5}
        assert len({id(error) for error in errors}) == 5
    assert calls == [1, 1]


def test_one_cached_coroutine_serves_several_event_loops() -> None:
    """Loops in different threads follow each other's calls."""
    cache, calls, inside, go = CacheManager(), list[int](), threading.Event(), threading.Event()

    @cache.cached()
    async def slow() -> str:
        calls.append(1)
        inside.set()
        while not go.is_set():
            await asyncio.sleep(0.001)
        return "value"

    async def follow() -> str:
        task = asyncio.create_task(slow())
        await asyncio.sleep(0)
        go.set()
        return await task

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(lambda: asyncio.run(slow()))
        assert inside.wait(PATIENCE)
        follower = pool.submit(lambda: asyncio.run(follow()))
        assert leader.result(PATIENCE) == follower.result(PATIENCE) == "value"
    assert calls == [1]
    assert cache.statistics().shared == 1


def test_a_hit_costs_a_few_microseconds() -> None:
    """The bar is 10 µs on a quiet machine; ten times that is a mistake in the code, not in the weather."""
    cache = CacheManager()
    key = cache_key("chat", "m", "q")
    cache.set(key, Answer("文" * 1000, "m"))
    best = min(timeit.repeat(lambda: cache.get_or_compute(key, lambda: None), number=1000, repeat=5)) / 1000
    assert best < 100e-6

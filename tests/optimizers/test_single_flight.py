"""Single-flight under every end a leader can come to, on real threads and on an event loop."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from core.errors import (
    DeadlineExceededError,
    ErrorKind,
    ModelError,
    OperationCancelledError,
    ParallelProcessingError,
    ScopeError,
)
from core.outcome import MISSING
from core.scope import Scope
from optimizers.cache_keys import address
from optimizers.cache_manager import CacheManager
from optimizers.cache_values import Found, FoundBy
from optimizers.single_flight import Role, SingleFlight, _leading
from tests.fakes import FakeClock

PATIENCE = 20.0
SCHEDULES = 10_000
ENDS = ["value", "value", "error", "bug", "cancelled", "deadline", "late error", "killed"]
ABANDONED = {"cancelled", "deadline", "late error", "killed"}


class Killed(BaseException):
    """What ends a thread without being an error of its work, as KeyboardInterrupt does."""


class Gate(FakeClock):
    """A clock that stands still and knows how many threads wait on which condition."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()
        self.waiting: Counter[threading.Condition] = Counter()
        self.passed: set[threading.Condition] = set()

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        with self.changed:
            self.waiting[condition] += 1
            self.changed.notify_all()
        try:
            assert condition.wait(PATIENCE), "a follower was never woken"
        finally:
            with self.changed:
                self.waiting[condition] -= 1

    def until_followed_by(self, followers: int) -> None:
        """Return once that many threads wait for the newest flight."""
        with self.changed:
            if followers:
                assert self.changed.wait_for(lambda: bool(self._full(followers)), PATIENCE), "a follower never came"
            self.passed |= self._full(followers)

    def _full(self, followers: int) -> set[threading.Condition]:
        return {condition for condition, count in self.waiting.items() if count == followers} - self.passed


class Round:
    """Some callers ask one key at once. The k-th computation waits for all callers left, then ends as scripted."""

    def __init__(self, ends: list[str], calls_off: bool) -> None:
        self.ends = ends
        self.calls_off = calls_off  # a follower is cancelled while the first leader computes
        self.gate = Gate()
        self.cache = CacheManager(clock=self.gate)
        self.scopes = [Scope(clock=self.gate) for _ in ends]
        self.gone = [threading.Event() for _ in ends]
        self.left = set(range(len(ends)))
        self.calls = 0

    def caller(self, number: int) -> Found[str]:
        scope = self.scopes[number]
        try:
            return self.cache.get_or_compute("key", lambda: self.compute(number, scope), scope=scope)
        finally:
            self.gone[number].set()

    def compute(self, number: int, scope: Scope) -> str:
        end = self.ends[self.calls]
        self.calls += 1
        self.gate.until_followed_by(len(self.left) - 1)
        if self.calls_off and self.calls == 1 and len(self.left) > 1:
            follower = min(self.left - {number})
            self.scopes[follower].cancel()
            assert self.gone[follower].wait(PATIENCE), "a cancelled follower went on waiting"
            self.left.discard(follower)
        if end in ABANDONED:
            self.left.discard(number)
        return self.end(end, scope)

    def end(self, end: str, scope: Scope) -> str:
        if end == "error":
            raise ModelError(ErrorKind.BLOCKED, "detail")
        if end == "bug":
            raise KeyError("bug")
        if end == "killed":
            raise Killed
        if end in ("cancelled", "late error"):
            scope.cancel()
        if end == "deadline":
            scope.deadline = scope.now()
        if end == "late error":
            raise ModelError(ErrorKind.TIMEOUT)
        scope.check()
        return "value"


def play(pool: ThreadPoolExecutor, ends: list[str], calls_off: bool) -> None:
    """Play a round and check it against what its script allows: the same whatever the threads' order was."""
    played = Round(ends, calls_off)
    futures = [pool.submit(played.caller, number) for number in range(len(ends))]
    results = Counter(how_ended(future) for future in futures)

    asked = len(ends) - (calls_off and len(ends) > 1)
    abandoned = next((k for k, end in enumerate(ends[:asked]) if end not in ABANDONED), asked)
    expected = Counter({"cancelled": 1} if asked < len(ends) else {})
    for end in ends[:abandoned]:
        expected[end] += 1
    if abandoned < asked:
        last = ends[abandoned]
        expected["computed" if last == "value" else last] += 1
        expected["shared" if last == "value" else last] += asked - abandoned - 1
    assert results == +expected, (ends, calls_off)
    assert played.calls == min(abandoned + 1, asked)
    told = played.cache.statistics()
    shared = max(asked - abandoned - 1, 0)
    assert (told.hits, told.misses, told.shared) == (0, len(ends) - shared, shared)
    assert told.store.entries == (abandoned < asked and ends[abandoned] == "value")
    assert not played.cache._flights._flights
    assert not any(scope._callbacks for scope in played.scopes)


def how_ended(future: Future[Found[str]]) -> str:
    error = future.exception(PATIENCE)
    if error is None:
        found = future.result()
        assert found.value == "value"
        return found.by.value
    names = {ModelError: "error", KeyError: "bug", Killed: "killed", OperationCancelledError: "cancelled"}
    if isinstance(error, ModelError) and error.kind is ErrorKind.TIMEOUT:
        return "late error"
    return names.get(type(error), "deadline")


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads give way after a microsecond, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("frequent_switches")
def test_ten_thousand_schedules_end_with_one_call_where_one_is_due() -> None:
    """Leaders answer, fail, are cancelled, time out or are killed; no follower is stuck or asks needlessly (D7)."""
    chance = random.Random(20240607)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(SCHEDULES):
            ends = chance.choices(ENDS, k=chance.randint(1, 4))
            play(pool, ends, calls_off=chance.random() < 0.2)


@pytest.mark.usefixtures("frequent_switches")
def test_equal_questions_at_any_distance_are_one_call() -> None:
    """However the callers fall: before, during or after the leader's call, a value is computed once."""
    with ThreadPoolExecutor(4) as pool:
        for _ in range(500):
            cache, calls = CacheManager(), list[int]()
            barrier = threading.Barrier(4)

            found = list(pool.map(ask_together, [barrier] * 4, [cache] * 4, [calls] * 4))
            assert [each.value for each in found] == [1] * 4
            assert calls == [1]
            assert Counter(each.by for each in found)[FoundBy.COMPUTED] == 1


def ask_together(barrier: threading.Barrier, cache: CacheManager, calls: list[int]) -> Found[int]:
    def compute() -> int:
        calls.append(1)
        return 1

    barrier.wait(PATIENCE)
    return cache.get_or_compute("k", compute)


def lead_and_follow(error: Exception) -> list[BaseException]:
    """What a leader that raises and its two followers get."""
    gate = Gate()
    cache = CacheManager(clock=gate)

    def compute() -> None:
        gate.until_followed_by(2)
        raise error

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(cache.get_or_compute, "k", compute, scope=Scope(clock=gate)) for _ in range(3)]
        errors = [future.exception(PATIENCE) for future in futures]
    return [each for each in errors if each is not None]


class Awkward(Exception):
    """Cannot be rebuilt from its args, as many exceptions cannot."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class Unique(Exception):
    """Refuses to be made a second time in any way."""

    made = 0

    def __new__(cls) -> Unique:
        cls.made += 1
        if cls.made > 1:
            raise RuntimeError("only one")
        return super().__new__(cls)


class Singular(Exception):
    """Claims that the copy is the original."""

    def __copy__(self) -> Singular:
        return self


def test_followers_get_an_error_of_their_own() -> None:
    """Same kind, same content, another object: tracebacks of several threads do not mix (D7)."""
    given = ModelError(ErrorKind.QUOTA_MINUTE, "detail", retry_after=39.5, resets_at=7.0)
    given.__cause__ = ValueError("why")
    errors = lead_and_follow(given)
    assert len({id(error) for error in errors}) == 3
    for error in errors:
        assert isinstance(error, ModelError)
        assert (error.kind, error.detail, error.retry_after, error.resets_at) == (given.kind, "detail", 39.5, 7.0)
        assert error.__cause__ is given.__cause__
        assert error.__context__ is None


@pytest.mark.parametrize("given", [Awkward(code=7), Singular("once"), OSError(2, "no such file"), KeyError("k")])
def test_errors_that_are_awkward_to_copy_are_copied_all_the_same(given: Exception) -> None:
    """Class, text and attributes arrive whatever the class's constructor wants."""
    errors = lead_and_follow(given)
    assert len({id(error) for error in errors}) == 3
    assert [(type(error), str(error), vars(error)) for error in errors] == [(type(given), str(given), vars(given))] * 3


def test_an_error_that_cannot_be_copied_is_shared_as_it_is() -> None:
    """A mixed traceback is the lesser evil beside a follower without its outcome."""
    given = Unique()
    assert [error is given for error in lead_and_follow(given)] == [True] * 3


def test_an_error_is_not_stored() -> None:
    """The next caller asks again."""
    cache = CacheManager()
    with pytest.raises(ZeroDivisionError):
        cache.get_or_compute("k", lambda: 1 // 0)
    assert cache.get_or_compute("k", lambda: 2) == Found(2, FoundBy.COMPUTED)


def test_the_leaders_frames_are_not_kept_by_its_followers_error() -> None:
    """What the leader had in hand (a client, a key) is not reachable from an error that others hold."""
    cache = CacheManager()

    class Hand: ...

    def compute() -> None:
        hand = Hand()
        raise ValueError(id(hand))

    with pytest.raises(ValueError, match=r"\d"):
        cache.get_or_compute("k", compute)
    gc.collect()
    assert not any(isinstance(thing, Hand) for thing in gc.get_objects())


def test_a_flight_keeps_no_traceback_and_its_leader_no_flight() -> None:
    """What a follower still holds pins no frame of the leader; a long-lived thread collects no flights."""
    flights: SingleFlight[str] = SingleFlight()
    flight, _ = flights.join("k")
    with pytest.raises(ValueError, match="no"), flights.lead(flight):
        raise ValueError("no")
    assert _leading.get() == ()
    assert flight._error is not None
    assert flight._error.__traceback__ is None


def test_a_follower_waits_no_longer_than_its_own_deadline() -> None:
    """The leader goes on; the follower reports its own timeout, and is a miss in the counts."""
    clock, entered, release = FakeClock(), threading.Event(), threading.Event()
    cache = CacheManager(clock=clock)

    def compute() -> str:
        entered.set()
        assert release.wait(PATIENCE)
        return "late"

    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(cache.get_or_compute, "k", compute)
        assert entered.wait(PATIENCE)
        follower = pool.submit(cache.get_or_compute, "k", compute, scope=Scope(clock=clock, deadline=clock.now() + 2))
        clock.block_until(1, timed=True)
        clock.advance(2)
        assert isinstance(follower.exception(PATIENCE), DeadlineExceededError)
        release.set()
        assert leader.result(PATIENCE) == Found("late", FoundBy.COMPUTED)
    told = cache.statistics()
    assert (told.hits, told.misses, told.shared) == (0, 2, 0)


def test_a_caller_whose_scope_has_ended_leads_nothing_but_may_have_a_hit() -> None:
    """No call is begun for somebody who cannot wait for it; what is in the cache costs nothing."""
    cache, scope = CacheManager(), Scope()
    scope.cancel()
    with pytest.raises(ScopeError):
        cache.get_or_compute("k", lambda: pytest.fail("called"), scope=scope)
    cache.set("k", 1)
    assert cache.get_or_compute("k", lambda: 2, scope=scope) == Found(1, FoundBy.HIT)
    assert (cache.statistics().hits, cache.statistics().misses) == (1, 1)


def test_a_caller_inside_its_own_computation_computes_directly() -> None:
    """Waiting would be for itself: the inner call runs uncached, the outer one's value is stored."""
    cache = CacheManager()

    def outer() -> str:
        inner = cache.get_or_compute("k", lambda: "inner", scope=Scope())
        assert inner == Found("inner", FoundBy.COMPUTED)
        assert cache.get("k") is None
        return "outer"

    assert cache.get_or_compute("k", outer).value == "outer"
    assert cache.get("k") == "outer"
    assert cache.statistics().misses == 3


def test_nested_computations_of_other_keys_are_computed_and_stored_each() -> None:
    """A recursive function under the cache computes every argument once."""
    cache, calls = CacheManager(), list[int]()

    @cache.cached()
    def fibonacci(n: int) -> int:
        calls.append(n)
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert fibonacci(30) == 832040
    assert sorted(calls) == list(range(31))


def test_to_thread_inside_a_computation_is_seen_through() -> None:
    """The same question asked from a helper thread of the leader does not wait for the leader."""
    cache = CacheManager()

    async def outer() -> str:
        inner = await asyncio.to_thread(cache.get_or_compute, "k", lambda: "inner")
        return f"outer {inner.value}"

    async def run() -> Found[str]:
        return await cache.get_or_await("k", outer)

    assert bounded(run()).value == "outer inner"


def test_a_blocking_caller_does_not_wait_for_a_coroutine_of_its_own_thread() -> None:
    """It would block the very loop that has to finish the coroutine."""
    cache = CacheManager()

    async def run() -> tuple[Found[str], Found[str]]:
        gate = asyncio.Event()

        async def slow() -> str:
            await gate.wait()
            return "slow"

        leader = asyncio.create_task(cache.get_or_await("k", slow))
        await asyncio.sleep(0)
        direct = cache.get_or_compute("k", lambda: "direct")
        gate.set()
        return direct, await leader

    assert bounded(run()) == (Found("direct", FoundBy.COMPUTED), Found("slow", FoundBy.COMPUTED))


def test_a_forgotten_flight_is_joined_by_nobody_new() -> None:
    """Who asks after the forgetting gets a new flight; the old leader's leaving does not take it down."""
    flights: SingleFlight[str] = SingleFlight()
    old, role = flights.join("k")
    assert role is Role.LEADER
    flights.forget("k")
    new, role = flights.join("k")
    assert role is Role.LEADER
    assert (old.forgotten, new.forgotten) == (True, False)
    flights.leave(old)
    assert flights.join("k", blocking=False) == (new, Role.FOLLOWER)
    flights.forget("absent")
    flights.forget_all()
    assert new.forgotten
    assert not flights._flights


def test_a_flight_left_without_a_value_frees_its_followers() -> None:
    """A leader that lands nothing has abandoned the flight; its result is nobody's."""
    flights: SingleFlight[str] = SingleFlight()
    flight, _ = flights.join("k")
    with flights.lead(flight):
        pass
    flight.wait(None)
    assert flight.abandoned
    with pytest.raises(RuntimeError):
        flight.result()
    flight.end(MISSING, None)


def bounded(work: Coroutine[Any, Any, Any]) -> Any:
    """asyncio.run with an end, so that a deadlocked loop is a failure and not a hang."""

    async def run() -> Any:
        async with asyncio.timeout(PATIENCE):
            return await work

    return asyncio.run(run())


class AsyncRound:
    """Coroutines ask one key, each after some turns of the loop; computations take turns, then end as scripted."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.cache = CacheManager()
        self.calls = self.computing = self.most = 0
        self.values = self.calls_off = 0

    async def caller(self) -> Found[int]:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        return await self.cache.get_or_await("key", self.compute)

    async def compute(self) -> int:
        self.calls += 1
        self.computing += 1
        self.most = max(self.most, self.computing)
        try:
            for _ in range(self.chance.randrange(4)):
                await asyncio.sleep(0)
            if self.chance.random() < 0.2:
                raise ModelError(ErrorKind.EMPTY)
            if self.chance.random() < 0.1:
                self.calls_off += 1
                raise OperationCancelledError("已取消")
            self.values += 1
            return 1
        finally:
            self.computing -= 1

    async def play(self) -> None:
        tasks = [asyncio.create_task(self.caller()) for _ in range(self.chance.randint(1, 5))]
        for task in tasks:
            if self.chance.random() < 0.3:
                await asyncio.sleep(0)
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        allowed = (Found, ParallelProcessingError, asyncio.CancelledError)
        assert all(isinstance(result, allowed) for result in results), results
        by = Counter(result.by for result in results if isinstance(result, Found))
        assert self.most <= 1, "two computed at once"
        assert self.values <= 1, "a stored value was computed again"
        assert by[FoundBy.COMPUTED] == self.values
        called_off = sum(isinstance(result, OperationCancelledError) for result in results)
        assert called_off <= self.calls_off, "a follower got the end of its leader's scope"
        assert (self.cache.get(address("key")) == 1) == (self.values == 1)
        told = self.cache.statistics()
        assert told.lookups <= len(tasks) + 1
        assert told.misses - (self.values == 0) >= self.calls
        assert not self.cache._flights._flights


def test_thousands_of_schedules_on_an_event_loop() -> None:
    """Coroutines that lead, follow and are cancelled at any turn: never two calls at once, never a deadlock (D7)."""

    async def run() -> None:
        chance = random.Random(7)
        for _ in range(3000):
            await AsyncRound(chance).play()

    bounded(run())


def test_a_cancelled_leading_coroutine_frees_its_followers() -> None:
    """A follower computes itself; nobody else is cancelled."""
    cache = CacheManager()

    async def run() -> None:
        calls = 0

        async def compute() -> int:
            nonlocal calls
            calls += 1
            await asyncio.sleep(3600 if calls == 1 else 0)
            return calls

        tasks = [asyncio.create_task(cache.get_or_await("k", compute)) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, asyncio.CancelledError)
        assert others == [Found(2, FoundBy.COMPUTED), Found(2, FoundBy.SHARED)]

    bounded(run())


def test_threads_and_coroutines_share_one_flight() -> None:
    """A coroutine follows a thread's computation without holding up its loop."""
    cache, entered, release = CacheManager(), threading.Event(), threading.Event()

    def compute() -> str:
        entered.set()
        assert release.wait(PATIENCE)
        return "from a thread"

    async def never() -> str:
        raise AssertionError("called")

    async def run() -> Found[str]:
        follower = asyncio.create_task(cache.get_or_await("k", never))
        await asyncio.sleep(0)
        assert not follower.done()
        release.set()  # only a free loop comes to this line
        return await follower

    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(cache.get_or_compute, "k", compute)
        assert entered.wait(PATIENCE)
        assert bounded(run()) == Found("from a thread", FoundBy.SHARED)
        assert leader.result(PATIENCE).by is FoundBy.COMPUTED


def test_a_child_task_of_the_leader_computes_directly() -> None:
    """gather() inside a computation may ask the same question again without waiting for its parent."""
    cache = CacheManager()

    async def inner() -> str:
        return "inner"

    async def outer() -> str:
        (found,) = await asyncio.gather(cache.get_or_await("k", inner))
        return f"outer {found.value}"

    assert bounded(cache.get_or_await("k", outer)).value == "outer inner"
    assert cache.get("k") == "outer inner"


def test_a_follower_whose_loop_is_gone_does_not_hurt_the_leader() -> None:
    """Waking a closed loop is nobody's error."""
    flights: SingleFlight[str] = SingleFlight()
    flight, _ = flights.join("k")
    loop = asyncio.new_event_loop()
    follower = flight.wait_async()
    task = loop.create_task(follower)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    with flights.lead(flight) as lead:
        lead.land("value")
    assert flight.result() == "value"
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # the pending task is what the test is about
    follower.close()


def test_a_coroutine_that_comes_as_the_flight_ends_does_not_wait() -> None:
    """Between joining and waiting the leader may have finished; waking twice does no harm."""
    flights: SingleFlight[str] = SingleFlight()
    flight, _ = flights.join("k")

    async def run() -> None:
        waiting = asyncio.create_task(flight.wait_async())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        with flights.lead(flight) as lead:
            lead.land("value")
        await flight.wait_async()

    bounded(run())
    assert flight.result() == "value"


def test_a_coroutine_cancelled_as_the_flight_ends_disturbs_nobody() -> None:
    """The wake that is on its way finds a follower that has left."""
    flights: SingleFlight[str] = SingleFlight()
    flight, _ = flights.join("k")
    complaints: list[object] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        waiting = asyncio.create_task(flight.wait_async())
        await asyncio.sleep(0)
        with flights.lead(flight) as lead:
            lead.land("value")
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()

    bounded(run())
    assert complaints == []


def test_a_leading_coroutine_that_is_thrown_away_frees_its_followers() -> None:
    """A coroutine closed half-way, in whatever context, ends its flight."""
    cache = CacheManager()

    class Pause:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def compute() -> str:
        await Pause()
        return "never"

    leader = cache.get_or_await("k", compute)
    leader.send(None)
    assert cache._flights._flights
    thread = threading.Thread(target=leader.close)  # another thread: another context
    thread.start()
    thread.join(PATIENCE)
    assert not cache._flights._flights
    assert cache.get_or_compute("k", lambda: "next").by is FoundBy.COMPUTED


def test_the_wait_is_on_conditions_and_not_on_polls() -> None:
    """A follower without a scope sleeps until it is woken."""
    flights: SingleFlight[str] = SingleFlight()
    flight, _ = flights.join("k")
    with ThreadPoolExecutor(1) as pool:
        cpu = time.thread_time()
        follower = pool.submit(flight.wait, None)
        with flights.lead(flight) as lead:
            lead.land("value")
        follower.result(PATIENCE)
        assert time.thread_time() - cpu < 1

"""The line before the service: 10,000 seeded schedules on threads that take turns, and the odd cases one by one."""

from __future__ import annotations

import itertools
import math
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.clock import Clock
from core.errors import DeadlineExceededError, ErrorKind, ModelError, OperationCancelledError, UsageError
from core.limits import BreakerState, LimiterStatistics, Limits
from core.scope import Scope
from optimizers.admission import Permit
from optimizers.limits import CallEnd, CallResult, Wait, WaitReason
from optimizers.rate_limiter import RateLimiter
from tests.fakes import FakeClock

SCHEDULES = 10_000
ANSWERED = CallResult(CallEnd.ANSWERED, tokens=5)


class Baton(Clock):
    """A clock under which one thread runs at a time: who waits hands the turn back, and gets it when it is due.

    A waiter is due once its condition was notified or its instant has come, so a wake-up that is never sent shows
    as a waiter that is never due.
    """

    def __init__(self) -> None:
        self.time = 50.0
        self.turn_back = _closed()
        self.waiters: dict[threading.Condition, _Waiter] = {}

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time + 1_700_000_000.0

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        waiter = _Waiter(math.inf if timeout is None else self.time + timeout)
        self.waiters[condition] = waiter
        condition.notify = waiter.notify  # type: ignore[method-assign]  # a lost notice is what this is to show
        condition.release()
        self.turn_back.release()
        waiter.turn.acquire()
        condition.acquire()

    def settle(self) -> None:
        """Give everyone who is due a turn, until nobody is."""
        while due := [c for c, w in self.waiters.items() if w.notified or w.wake_at <= self.time]:
            waiter = self.waiters.pop(due[0])
            waiter.turn.release()
            self.turn_back.acquire()

    def next_wake(self) -> float:
        return min((waiter.wake_at for waiter in self.waiters.values()), default=math.inf)


def _closed() -> threading.Lock:
    """A lock to hand a turn over with: acquired by who waits for it, released by who gives it."""
    lock = threading.Lock()
    lock.acquire()
    return lock


class _Waiter:
    def __init__(self, wake_at: float) -> None:
        self.wake_at = wake_at
        self.notified = False
        self.turn = _closed()

    def notify(self, n: int = 1) -> None:
        self.notified = True


class Crew:
    """Threads that live through all schedules; each runs one job at a time and then hands the turn back."""

    def __init__(self, size: int) -> None:
        self._jobs: list[tuple[Callable[[], None], threading.Lock] | None] = [None] * size
        self._wake = [_closed() for _ in range(size)]
        self.free = list(range(size))
        for index in range(size):
            threading.Thread(target=self._live, args=(index,), daemon=True).start()

    def start(self, job: Callable[[], None], turn_back: threading.Lock) -> None:
        index = self.free.pop()
        self._jobs[index] = (job, turn_back)
        self._wake[index].release()

    def _live(self, index: int) -> None:
        while True:
            self._wake[index].acquire()
            job = self._jobs[index]
            if job is None:
                return
            job[0]()
            self.free.append(index)
            job[1].release()

    def leave(self) -> None:
        for index, wake in enumerate(self._wake):
            self._jobs[index] = None
            wake.release()


class Schedule:
    """One seeded history of arrivals, ends, refusals, failures, cancellations and time that passes."""

    def __init__(self, seed: int, crew: Crew) -> None:
        self.dice = random.Random(seed)
        self.clock = Baton()
        self.crew = crew
        self.limiter = RateLimiter(clock=self.clock, limits=self._limits())
        self.out: list[Permit] = []
        self.waiting: dict[int, Scope] = {}
        self.numbers = itertools.count()
        self.granted: list[int] = []
        self.ends: dict[int, str] = {}
        self.gate = -math.inf
        self.early = 0

    def _limits(self) -> Limits:
        return self.dice.choice([Limits(), Limits(), Limits(30, 200), Limits(600, burst=2)])

    def run(self) -> None:
        steps = [self.arrive] * 5 + [self.end] * 2 + [self.cancel, self.pass_time]
        for _ in range(self.dice.randint(4, 18)):
            self.dice.choice(steps)()
            self.check()
        self.drain()

    def arrive(self) -> None:
        if not self.crew.free:
            return
        number = next(self.numbers)
        self.clock.time += self.dice.choice([0.0, 0.0, 0.0, 0.3])  # whoever is due by now has not had a turn yet
        scope = Scope(clock=self.clock, deadline=self.clock.time + self.dice.choice([2.0, math.inf, math.inf]))
        self.waiting[number] = scope
        self.crew.start(lambda: self._acquire(number, scope), self.clock.turn_back)
        self.clock.turn_back.acquire()
        self.clock.settle()

    def _acquire(self, number: int, scope: Scope) -> None:
        try:
            permit = self.limiter.acquire(scope, tokens=5)
        except Exception as error:  # noqa: BLE001 - which one it was is checked below
            self.ends[number] = type(error).__name__
        else:
            self.ends[number] = "granted"
            self.granted.append(number)
            self.out.append(permit)
            self.early += self.clock.time < self.gate
        del self.waiting[number]

    def end(self) -> None:
        if not self.out:
            return
        end = self.dice.choice([CallEnd.ANSWERED, CallEnd.ANSWERED, CallEnd.REFUSED, CallEnd.OVERLOADED, *CallEnd])
        if end is CallEnd.DAY_OVER:
            end = CallEnd.REFUSED
        retry_after = self.dice.choice([None, 0.3, 5.0]) if end is CallEnd.REFUSED else None
        permit = self.out.pop(self.dice.randrange(len(self.out)))
        self.limiter.finish(permit, CallResult(end, tokens=5, retry_after=retry_after))
        self.gate = max(self.gate, self.clock.time + (retry_after or 0.0))
        self.clock.settle()

    def cancel(self) -> None:
        if self.waiting:
            number, scope = self.dice.choice(list(self.waiting.items()))
            scope.cancel()
            self.clock.settle()
            assert self.ends[number] == "OperationCancelledError"

    def pass_time(self) -> None:
        self.clock.time += self.dice.choice([0.01, 0.1, 0.3, 3.0])
        self.clock.settle()

    def check(self) -> None:
        """Nobody who may go waits; the line counts right; who came first went first."""
        figures = self.limiter.statistics()
        assert (figures.waiting, figures.in_flight) == (len(self.waiting), len(self.out))
        assert self.granted == sorted(self.granted)
        assert self.early == 0
        if self.waiting:
            may_go = self.limiter._admission.wait(self.clock.time, 5).until <= self.clock.time
            # An instant reckoned in another order may differ by a rounding: then its waiter is about to wake.
            assert not may_go or self.clock.next_wake() < self.clock.time + 1e-6
            assert self.clock.next_wake() > self.clock.time
            assert self.clock.next_wake() < self.clock.time + 61

    def drain(self) -> None:
        """Let the service answer from now on: everyone left comes through, in bounded time."""
        began = self.clock.time
        while self.waiting:
            while self.out:
                self.limiter.finish(self.out.pop(), ANSWERED)
            self.clock.settle()
            if self.waiting and not self.out:
                self.clock.time = max(self.clock.next_wake(), self.clock.time)
                self.clock.settle()
            assert self.clock.time < began + 600
        while self.out:
            self.limiter.finish(self.out.pop(), ANSWERED)
        figures = self.limiter.statistics()
        assert (figures.waiting, figures.in_flight) == (0, 0)
        assert len(self.ends) == next(self.numbers)
        assert set(self.ends.values()) <= {"granted", "OperationCancelledError", "DeadlineExceededError"}


@pytest.fixture
def crew() -> Iterator[Crew]:
    crew = Crew(6)
    yield crew
    crew.leave()


def test_in_ten_thousand_schedules_nobody_is_forgotten_overtaken_or_let_through_a_closed_gate(crew: Crew) -> None:
    """Acquire, cancel, finish, refuse, fail and wait in any order: each waiter ends, in its turn, with its own end."""
    for seed in range(SCHEDULES):
        schedule = Schedule(seed, crew)
        try:
            schedule.run()
        except AssertionError as error:
            raise AssertionError(f"schedule {seed}") from error


def finish(limiter: RateLimiter, clock: FakeClock, end: CallEnd, retry_after: float | None = None) -> None:
    limiter.finish(limiter.acquire(Scope(clock=clock)), CallResult(end, retry_after=retry_after))


def test_limits_can_be_set_while_callers_wait() -> None:
    """A waiting caller goes as soon as the limit that held it is lifted; what was set can be read."""
    clock = FakeClock()
    limiter = RateLimiter(clock=clock, limits=Limits(requests_per_minute=1))
    finish(limiter, clock, CallEnd.ANSWERED)
    got: list[Permit] = []
    told: list[tuple[float, float]] = []
    thread = threading.Thread(
        target=lambda: got.append(limiter.acquire(Scope(clock=clock), on_wait=lambda *wait: told.append(wait))),
        daemon=True,
    )
    thread.start()
    clock.block_until(1)
    [(until, delay)] = told
    assert until == pytest.approx(1060.25)
    assert delay == pytest.approx(60.25)
    limiter.set_limits(Limits(requests_per_minute=600))
    thread.join(20)
    assert len(got) == 1
    assert limiter.limits == Limits(requests_per_minute=600)


def waiting(limiter: RateLimiter, scope: Scope) -> tuple[threading.Thread, list[object]]:
    """A thread that waits for a permit, and what came of it."""
    got: list[object] = []

    def acquire() -> None:
        try:
            got.append(limiter.acquire(scope))
        except DeadlineExceededError as error:
            got.append(error)

    thread = threading.Thread(target=acquire, daemon=True)
    thread.start()
    return thread, got


def outage(clock: FakeClock) -> RateLimiter:
    """A limiter that has just seen the tenth failure in a row, and whose callers are patient for half a second."""
    limiter = RateLimiter(clock=clock, outage_patience=0.5)
    for _ in range(10):
        permit = limiter.acquire(Scope(clock=clock))
        limiter.finish(permit, CallResult(CallEnd.OVERLOADED))
        clock.advance(1.0)
    clock.advance(-1.0)
    return limiter


def settle(clock: FakeClock, waiters: int) -> None:
    """Return once that many threads wait for an instant that is still to come."""
    with clock._lock:
        assert clock._lock.wait_for(
            lambda: sum(wake_at > clock.now() for wake_at, _ in clock._waiters.values()) >= waiters, 20
        )


def test_a_long_outage_ends_the_patience_and_the_callers_own_time_runs_on() -> None:
    """With 0.3 s left of its own, a caller waits through the 0.5 s of patience and then for its 0.3 s."""
    clock = FakeClock()
    limiter = outage(clock)
    thread, got = waiting(limiter, Scope(clock=clock, deadline=clock.now() + 0.3))
    settle(clock, 1)
    clock.advance(0.5)
    settle(clock, 1)
    clock.advance(0.29)
    settle(clock, 1)
    assert got == []
    clock.advance(0.02)
    thread.join(20)
    assert isinstance(got[0], DeadlineExceededError)
    assert limiter.statistics().waiting == 0


def test_a_service_that_is_back_gives_the_patience_back() -> None:
    """The probe is answered: who still waits is let in, and its own time has stood still since."""
    clock = FakeClock()
    limiter = outage(clock)
    first, probe = waiting(limiter, Scope(clock=clock, deadline=clock.now() + 3))
    settle(clock, 1)
    scope = Scope(clock=clock, deadline=clock.now() + 3)
    second, got = waiting(limiter, scope)
    settle(clock, 2)
    clock.advance(1.0)
    first.join(20)
    settle(clock, 1)
    clock.advance(1.0)
    [permit] = probe
    assert isinstance(permit, Permit)
    limiter.finish(permit, ANSWERED)
    second.join(20)
    assert isinstance(got[0], Permit)
    assert scope.remaining() == pytest.approx(2.0)


def test_forgetting_opens_the_gate_and_the_day_and_calls_in_flight_end_as_usual() -> None:
    """After reset all is as at first, but for what is configured and what is still out."""
    clock = FakeClock()
    limiter = RateLimiter(clock=clock, limits=Limits(requests_per_minute=6000))
    out = [limiter.acquire(Scope(clock=clock)) for _ in range(3)]
    finish(limiter, clock, CallEnd.REFUSED, 30.0)
    before = limiter.statistics()
    assert before.gate_until == clock.now() + 30
    limiter.finish(out.pop(), CallResult(CallEnd.DAY_OVER))
    assert limiter.statistics().day_resets_at is not None
    limiter.forget()
    after = limiter.statistics()
    assert (after.gate_until, after.learned_per_minute, after.day_resets_at, after.in_flight) == (None, None, None, 2)
    finish(limiter, clock, CallEnd.ANSWERED)
    limiter.finish(out.pop(), ANSWERED)
    limiter.finish(out.pop(), CallResult(CallEnd.REFUSED, retry_after=2.0))
    assert limiter.statistics().gate_until == clock.now() + 2.0


def test_forgetting_without_limits_starts_as_modestly_as_at_first() -> None:
    """Five at once, as on the first day."""
    clock = FakeClock()
    limiter = RateLimiter(clock=clock)
    for _ in range(20):
        finish(limiter, clock, CallEnd.ANSWERED)
        clock.advance(1.0)
    limiter.forget()
    for _ in range(5):
        limiter.acquire(Scope(clock=clock))
    scope = Scope(clock=clock, deadline=clock.now())
    with pytest.raises(TimeoutError):
        limiter.acquire(scope)


def test_an_ended_scope_is_not_let_into_a_line() -> None:
    """A cancelled caller behind a closed gate raises at once and leaves nothing behind."""
    clock = FakeClock()
    limiter = RateLimiter(clock=clock)
    finish(limiter, clock, CallEnd.REFUSED, 30.0)
    scope = Scope(clock=clock)
    scope.cancel()
    with pytest.raises(OperationCancelledError):
        limiter.acquire(scope)
    assert limiter.statistics().waiting == 0


def test_statistics_tell_what_was_learned_and_the_history_of_the_pace() -> None:
    """Rate per minute, calls, refusals, today's count and a plot that stays small."""
    clock = FakeClock()
    limiter = RateLimiter(clock=clock)
    assert limiter.statistics() == LimiterStatistics(
        0, 0, None, None, 0, 0, 0, Limits(), 0, 0, None, BreakerState.CLOSED, None, ()
    )
    finish(limiter, clock, CallEnd.REFUSED, 1.0)
    clock.advance(1.0)
    for _ in range(2):
        finish(limiter, clock, CallEnd.ANSWERED)
        clock.advance(0.25)
    finish(limiter, clock, CallEnd.REFUSED, 0.5)
    figures = limiter.statistics()
    assert figures.learned_per_minute == pytest.approx(120.0)
    assert (figures.calls, figures.refused, figures.requests_last_minute, figures.requests_today) == (4, 2, 4, 2)
    for _ in range(1000):
        clock.advance(1.0)
        finish(limiter, clock, CallEnd.ANSWERED)
    history = limiter.statistics().history
    assert 100 < len(history) <= 240
    assert history == tuple(sorted(history))
    assert history[0][0] == 1000.0
    assert history[-1][0] > clock.now() - 20


def test_a_slow_pace_is_told_once_a_minute_and_a_later_gate_at_once() -> None:
    """A line that moves every six seconds is no news each time; a gate that closes for longer is."""
    clock = FakeClock()
    limiter = RateLimiter(clock=clock)
    told = [
        limiter._must_tell(wait, clock.now())
        for wait in (
            limiter_wait(clock, 6.0, WaitReason.PACE),
            limiter_wait(clock, 7.0, WaitReason.PACE),
            limiter_wait(clock, 5.0, WaitReason.GATE),
            limiter_wait(clock, 39.0, WaitReason.GATE),
            limiter_wait(clock, 39.1, WaitReason.GATE),
            limiter_wait(clock, 60.0, WaitReason.BREAKER),
            limiter_wait(clock, math.inf, WaitReason.GATE),
            limiter_wait(clock, 0.4, WaitReason.LIMIT),
        )
    ]
    assert told == [True, False, False, True, False, False, False, False]


def limiter_wait(clock: FakeClock, seconds: float, reason: WaitReason) -> Wait:
    return Wait(clock.now() + seconds, reason)


def test_the_days_count_is_written_while_calls_go_on(tmp_path: Path) -> None:
    """A second after the last write, the end of a call brings the file up to date."""
    clock, path = FakeClock(), tmp_path / "day.json"
    limiter = RateLimiter(clock=clock, day_file=path, limits=Limits(requests_per_day=100))
    finish(limiter, clock, CallEnd.ANSWERED)
    assert not path.exists()
    clock.advance(1.0)
    finish(limiter, clock, CallEnd.ANSWERED)
    assert RateLimiter(clock=clock, day_file=path).statistics().requests_today == 2


def test_the_days_limit_counts_calls_and_not_refusals() -> None:
    """A refused call gives its place in the day back."""
    clock = FakeClock()
    limiter = RateLimiter(clock=clock, limits=Limits(requests_per_day=1))
    finish(limiter, clock, CallEnd.REFUSED, 1.0)
    clock.advance(1.0)
    finish(limiter, clock, CallEnd.ANSWERED)
    with pytest.raises(ModelError) as caught:
        limiter.acquire(Scope(clock=clock))
    assert caught.value.kind is ErrorKind.QUOTA_DAY
    assert caught.value.retry_after == pytest.approx((caught.value.resets_at or 0.0) - clock.wall())


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "requests_per_day", "burst"])
def test_limits_below_one_are_refused_with_their_name(name: str) -> None:
    """A limit of nothing would be a line that never moves."""
    with pytest.raises(UsageError, match=name):
        Limits(**{name: 0})


@pytest.mark.parametrize(
    ("limits", "most"),
    [(Limits(5), 5), (Limits(60), 10), (Limits(1200), 20), (Limits(1200, burst=3), 3), (Limits(), 0)],
)
def test_the_burst_is_ten_or_a_seconds_worth_and_no_more_than_a_minutes(limits: Limits, most: int) -> None:
    """What may start at once where nothing else is said."""
    assert limits.most_at_once == most

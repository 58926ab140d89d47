"""One line for all workers and all runs of the process, before one service."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import ErrorKind, ModelError
from core.limits import BreakerState, LimiterStatistics, Limits
from core.scope import Scope
from optimizers.admission import Admission, Permit
from optimizers.day_quota import DayQuota
from optimizers.limit_history import LimitHistory
from optimizers.limits import CallEnd, CallResult, Wait, WaitReason

__all__ = ["RateLimiter"]

_WORTH_TELLING: Final = 0.5  # seconds
_TELL_PACE_EVERY: Final = 60.0
_NO_LIMITS: Final = Limits()


class RateLimiter:
    """Says when the next call may start. One instance per model, shared by every worker and every run.

    acquire() waits in a line, first come first served, until a call may start, and returns a permit; finish()
    takes the permit back with what became of the call, exactly once, in whatever thread. The wait is bounded by
    the scope, whose own deadline stands still meanwhile (Scope.paused): a batch must not die of politeness. Only
    where the service has been down for outage_patience seconds does the deadline run on, so that a run ends
    that nobody will serve. Whose scope ends leaves the line and raises its cause.

    Where the quota of the day is used up, acquire() raises ModelError QUOTA_DAY at once, and so does everyone who
    waits. Nothing else is ever failed here: not by a gate, not by the breaker.

    Unknown limits are learned (LearnedRate, StartWindow), known ones obeyed (Limits), a service that is down is
    left alone (Breaker). All scopes must share the limiter's clock. day_file keeps the day's count over restarts;
    call close() at the end.

    Thread-safe.
    """

    def __init__(
        self,
        *,
        limits: Limits = _NO_LIMITS,
        clock: Clock = SYSTEM_CLOCK,
        day_file: Path | None = None,
        outage_patience: float = 120.0,
    ) -> None:
        self._clock = clock
        self._outage_patience = outage_patience
        # Guards all fields; held by each method while it decides and by nobody during a call, a wait or a write.
        # Entered as the bare lock: Condition.__enter__ is Python code, and a Ctrl-C in it would keep the lock.
        self._lock = threading.Lock()
        self._admission = Admission(limits, clock.now())
        self._day = DayQuota(day_file, clock.wall(), limit=limits.requests_per_day)
        self._history = LimitHistory()
        self._line: deque[_Place] = deque()
        self._told_until = -math.inf
        self._told_at = -math.inf

    @property
    def limits(self) -> Limits:
        return self._admission.limits

    def set_limits(self, limits: Limits) -> None:
        """Obey other limits from now on, also for those who wait; what was learned stays."""
        with self._lock:
            self._admission.set_limits(limits, self._clock.now())
            self._day.limit = limits.requests_per_day
            self._wake_all()

    def forget(self) -> None:
        """Unlearn everything, closed gates and an ended day included; configured limits stay."""
        with self._lock:
            self._admission.forget()
            self._day.reopen()
            self._told_until = -math.inf
            self._wake_all()

    def acquire(
        self,
        scope: Scope,
        tokens: int = 0,
        *,
        on_wait: Callable[[float, float], object] | None = None,
        on_line: Callable[[], object] | None = None,
    ) -> Permit:
        """Wait for the permit to start a call of about that many prompt tokens.

        on_wait(until, delay) is called, without any lock, before a wait for quota of more than half a second:
        once for each episode, by one of those who wait. on_line() is called by each caller that has to wait at all.
        """
        with self._lock:
            if not self._line and (permit := self._try_start(tokens)) is not None:
                return permit
            place = _Place(self._lock, tokens)
            self._line.append(place)
        try:
            if on_line is not None:
                on_line()
            return self._await(place, scope, on_wait)
        finally:
            self._leave(place)

    def finish(self, permit: Permit, result: CallResult) -> None:
        """The permitted call has ended."""
        with self._lock:
            now, wall = self._clock.now(), self._clock.wall()
            down_since = self._admission.down_since()
            self._admission.finish(permit, now, result, wanted=bool(self._line))
            if self._admission.down_since() != down_since:
                self._wake_all()  # how long they may wait has changed
            self._history.record(now, self._per_minute())
            if result.end in (CallEnd.REFUSED, CallEnd.DAY_OVER):
                self._day.count(wall, -1)
            if result.end is CallEnd.DAY_OVER:
                self._day.end_day(wall, result.resets_at)
                self._wake_all()
            self._wake_head()
            text = self._day.to_save(wall)
        if text is not None:
            self._day.write(text)

    def statistics(self) -> LimiterStatistics:
        with self._lock:
            now, wall = self._clock.now(), self._clock.wall()
            admission = self._admission
            rate = admission.learned_rate()
            requests, tokens = admission.last_minute(now)
            return LimiterStatistics(
                in_flight=admission.in_flight,
                waiting=len(self._line),
                learned_concurrency=admission.concurrency(),
                learned_per_minute=None if rate is None else 60 * rate,
                requests_last_minute=requests,
                tokens_last_minute=tokens,
                requests_today=self._day.calls(wall),
                limits=admission.limits,
                calls=admission.calls,
                refused=admission.refused,
                gate_until=admission.gate_until(now),
                breaker=admission.breaker_state(),
                day_resets_at=self._day.over_until(wall),
                history=self._history.points(),
            )

    @property
    def unrestrained(self) -> bool:
        """True where nothing holds calls back: no limit known or learned, nobody waiting, the service well."""
        with self._lock:
            admission = self._admission
            return (
                not self._line
                and admission.limits == _NO_LIMITS
                and admission.learned_rate() is None
                and admission.breaker_state() is BreakerState.CLOSED
            )

    def close(self) -> None:
        """Write the day's count. The limiter stays usable."""
        with self._lock:
            text = self._day.to_save(self._clock.wall(), at_once=True)
        if text is not None:
            self._day.write(text)

    def _try_start(self, tokens: int) -> Permit | None:
        """Start the call at the head of the line if it may; needs the lock. Raises where the day is over."""
        now, wall = self._clock.now(), self._clock.wall()
        resets_at = self._day.over_until(wall)
        if resets_at is not None:
            raise ModelError(ErrorKind.QUOTA_DAY, retry_after=resets_at - wall, resets_at=resets_at)
        if self._admission.wait(now, tokens).until > now:
            return None
        self._day.count(wall)
        return self._admission.start(now, tokens)

    def _await(self, place: _Place, scope: Scope, on_wait: Callable[[float, float], object] | None) -> Permit:
        permit: Permit | None = None
        while permit is None:
            patient = self._clock.now() < self._patient_until()
            with scope.paused() if patient else contextlib.nullcontext():
                permit = self._await_change(place, scope, on_wait, patient=patient)
        return permit

    def _await_change(
        self, place: _Place, scope: Scope, on_wait: Callable[[float, float], object] | None, *, patient: bool
    ) -> Permit | None:
        """Wait for the permit; None as soon as patience has ended or come back."""
        take_back = scope.on_cancel(place.wake)
        try:
            while True:
                with self._lock:
                    scope.check()
                    head = self._line[0] is place
                    permit = self._try_start(place.tokens) if head else None
                    now, patient_until = self._clock.now(), self._patient_until()
                    if permit is not None or (now < patient_until) is not patient:
                        return permit
                    wait = self._admission.wait(now, place.tokens) if head else _IN_LINE
                    telling = on_wait if on_wait is not None and self._must_tell(wait, now) else None
                    if telling is None:
                        left = min(wait.until, scope.deadline, patient_until if patient else math.inf) - now
                        self._clock.wait(place.condition, None if math.isinf(left) else left)
                        continue
                telling(wait.until, wait.until - now)
        finally:
            take_back()

    def _patient_until(self) -> float:
        return self._admission.down_since() + self._outage_patience

    def _leave(self, place: _Place) -> None:
        with self._lock:
            self._line.remove(place)
            self._wake_head()

    def _must_tell(self, wait: Wait, now: float) -> bool:
        """Whether this wait is news: a later gate is, a slow pace once a minute. Needs the lock."""
        if wait.reason not in _QUOTA or not _WORTH_TELLING < wait.until - now < math.inf:
            return False
        if wait.reason is WaitReason.PACE and now < self._told_at + _TELL_PACE_EVERY:
            return False
        if wait.until <= self._told_until + _WORTH_TELLING:
            return False
        self._told_until, self._told_at = wait.until, now
        return True

    def _wake_head(self) -> None:
        if self._line:
            self._line[0].condition.notify()

    def _wake_all(self) -> None:
        for place in self._line:
            place.condition.notify()

    def _per_minute(self) -> float:
        configured = self._admission.limits.requests_per_minute
        return min(60 * self._admission.pace(), math.inf if configured is None else configured)


_IN_LINE: Final = Wait(math.inf, WaitReason.NOTHING)
_QUOTA: Final = frozenset({WaitReason.GATE, WaitReason.LIMIT, WaitReason.PACE})


class _Place:
    """A place in the line, with a condition of its own so that only the one whose turn it is wakes up."""

    __slots__ = ("condition", "tokens")

    def __init__(self, lock: threading.Lock, tokens: int) -> None:
        self.condition = threading.Condition(lock)
        self.tokens = tokens

    def wake(self) -> None:
        with self.condition:
            self.condition.notify()

"""Whether the next call may start now: everything that is known, learned or feared about the service, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from core.limits import BreakerState, Limits
from optimizers.breaker import Breaker
from optimizers.learned_limit import LearnedRate
from optimizers.limits import CallEnd, CallResult, Wait, WaitReason
from optimizers.start_window import StartWindow
from optimizers.token_bucket import SlidingWindow, TokenBucket

__all__ = ["Admission", "Permit"]

_OVERTAKING: Final = 0.03  # seconds by which a call may overtake the first of its burst on the way to the server
_CATCH_UP: Final = 0.02  # seconds by which a late wake-up may be made up for
_GRANTED: Final = frozenset({CallEnd.ANSWERED, CallEnd.REJECTED, CallEnd.OVERLOADED})  # as far as quota goes
_LET_IN: Final = frozenset({CallEnd.ANSWERED, CallEnd.REJECTED})  # as far as load goes
_NOTHING: Final = Wait(-math.inf, WaitReason.NOTHING)


@dataclass(frozen=True, slots=True)
class Permit:
    """A call that was let through; handed back with its result. pace: calls a second at that time."""

    number: int
    sent_at: float
    tokens: int
    pace: float
    probe: bool


class Admission:
    """Decides about one call at a time, the one at the head of the line.

    Ask wait() until its instant has come, then start(), and finish() when the call has ended, each permit once.
    What wait() said holds until the next start() or finish(). Arithmetic only: instants are arguments and never
    go back. Not thread-safe.
    """

    __slots__ = (
        "_breaker", "_bucket", "_held", "_learned", "_limits", "_next_at", "_requests", "_tokens", "_window",
        "_young", "calls", "in_flight", "refused",
    )  # fmt: skip

    def __init__(self, limits: Limits, now: float) -> None:
        self.calls = 0
        self.refused = 0
        self.in_flight = 0
        self._learned = LearnedRate()
        self._breaker = Breaker()
        self._window = StartWindow()
        self._requests = SlidingWindow()
        self._tokens = SlidingWindow()
        self._young: dict[int, Permit] = {}  # on probation, by number and so by age
        self._next_at = -math.inf  # where the even pace puts the next start
        self._held = _NOTHING  # what held back the head of the line since the last start
        self._bucket: TokenBucket | None = None
        self.set_limits(limits, now)

    def set_limits(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._bucket = None
        if limits.requests_per_minute is not None:
            rate = limits.requests_per_minute / 60
            burst = max(limits.most_at_once - rate * _OVERTAKING, 1.0)
            self._bucket = TokenBucket(rate=rate, burst=burst, now=now)
            self._window.widen(limits.most_at_once)

    def forget(self) -> None:
        """Unlearn everything; calls in flight are still to be finished."""
        self._learned = LearnedRate(self._learned.numbers)
        self._breaker = Breaker()
        self._window = StartWindow()
        self._next_at = -math.inf
        if self._limits.requests_per_minute is not None:
            self._window.widen(self._limits.most_at_once)

    @property
    def limits(self) -> Limits:
        return self._limits

    def wait(self, now: float, tokens: int) -> Wait:
        """The earliest instant at which a call of that many tokens may start; not after now: it may start."""
        self._end_probations(now)
        probe_at = self._breaker.ready_at(now)
        if probe_at > now:
            held = Wait(probe_at, WaitReason.BREAKER)
        elif self._learned.gate_until > now:
            held = Wait(self._learned.gate_until, WaitReason.GATE)
        elif (known_at := self._learned.probe_ends_at(self._window.probation)) > now:
            held = Wait(known_at, WaitReason.GATE)
        elif not self._window.has_room(len(self._young)):
            held = Wait(self._oldest_young() + self._window.probation, WaitReason.LOAD)
        elif self._next_at > now:
            held = Wait(self._next_at, WaitReason.PACE)
        elif (free_at := self._limit_ready_at(now, tokens)) > now:
            held = Wait(free_at, WaitReason.LIMIT)
        else:
            return Wait(now, WaitReason.NOTHING)
        self._held = held
        return held

    def start(self, now: float, tokens: int) -> Permit:
        held, self._held = self._held, _NOTHING
        number = self._learned.started(now, bound=held.reason in (WaitReason.PACE, WaitReason.GATE))
        pace = self.pace()
        if pace < math.inf:
            self._next_at = self._even_start(now, held, pace) + 1 / pace
        self.calls += 1
        self.in_flight += 1
        self._requests.add(now, 1)
        self._tokens.add(now, tokens)
        if self._bucket is not None:
            self._bucket.take(now)
        permit = Permit(number, now, tokens, pace, self._breaker.started(now))
        self._young[number] = permit
        return permit

    def _even_start(self, now: float, held: Wait, pace: float) -> float:
        """Where this start belongs in the even row; the next one comes 1 / pace after it."""
        burst = 0.0 if self._learned.known else self._window.burst()
        if burst >= 1:
            return max(self._next_at, now - burst / pace)
        on_time = now if held is _NOTHING else min(held.until, now)  # it may have come free before
        return max(on_time, now - _CATCH_UP)

    def finish(self, permit: Permit, now: float, result: CallResult, *, wanted: bool) -> None:
        """A call has ended; wanted: somebody waits in the line."""
        young = len(self._young)
        was_let_in = self._young.pop(permit.number, None) is None
        self.in_flight -= 1
        self._settle_tokens(permit, result)
        if result.end is CallEnd.REFUSED:
            self.refused += 1
            self._learned.refused(permit.number, permit.sent_at, now, result.retry_after, permit.pace)
        else:
            self._learned.ended(permit.number, granted=result.end in _GRANTED)
        if result.end is CallEnd.ANSWERED:
            self._window.answered(now - permit.sent_at)
        if result.end in _LET_IN and not was_let_in:
            self._window.let_in(young, wanted=wanted)
        self._judge_service(permit, now, result.end, was_let_in=was_let_in)

    def pace(self) -> float:
        """Calls a second that may start now, as far as learned; math.inf before anything was."""
        return min(self._learned.pace(), self._window.pace())

    def learned_rate(self) -> float | None:
        return self._learned.rate if self._learned.known else None

    def concurrency(self) -> int | None:
        """Calls in flight that the pace amounts to; None before the first answer, and while there is no pace."""
        latency, pace = self._window.latency, self.pace()
        return None if latency is None or math.isinf(pace) else max(1, round(pace * latency))

    def gate_until(self, now: float) -> float | None:
        return self._learned.gate_until if self._learned.gate_until > now else None

    def breaker_state(self) -> BreakerState:
        return self._breaker.state

    def down_since(self) -> float:
        """When the breaker opened; math.inf while it is closed."""
        return self._breaker.down_since

    def last_minute(self, now: float) -> tuple[int, int]:
        """Requests started and tokens spent in the last minute."""
        return self._requests.total(now), self._tokens.total(now)

    def _limit_ready_at(self, now: float, tokens: int) -> float:
        ready = now
        if self._bucket is not None and self._limits.requests_per_minute is not None:
            within_minute = self._requests.ready_at(now, 1, self._limits.requests_per_minute)
            ready = max(self._bucket.ready_at(now), within_minute)
        if self._limits.tokens_per_minute is not None:
            ready = max(ready, self._tokens.ready_at(now, tokens, self._limits.tokens_per_minute))
        return ready

    def _settle_tokens(self, permit: Permit, result: CallResult) -> None:
        refused = result.end in (CallEnd.REFUSED, CallEnd.DAY_OVER)
        spent = 0 if refused else permit.tokens if result.tokens is None else result.tokens
        if spent != permit.tokens:
            self._tokens.add(permit.sent_at, spent - permit.tokens)

    def _judge_service(self, permit: Permit, now: float, end: CallEnd, *, was_let_in: bool) -> None:
        if end is CallEnd.OVERLOADED:
            self._window.failed(was_let_in=was_let_in)
            self._breaker.failed(now, probe=permit.probe)
        elif end is CallEnd.UNKNOWN:
            self._breaker.learned_nothing(now, probe=permit.probe)
        elif self._breaker.worked(probe=permit.probe):
            self._window.restart()

    def _end_probations(self, now: float) -> None:
        while self._young and self._oldest_young() + self._window.probation <= now:
            young = len(self._young)
            del self._young[next(iter(self._young))]
            self._window.let_in(young, wanted=True)

    def _oldest_young(self) -> float:
        return next(iter(self._young.values())).sent_at

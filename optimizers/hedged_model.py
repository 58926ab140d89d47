"""A second attempt for the few calls that are out for much longer than usual."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.clock import Clock
from core.errors import ParallelProcessingError, UsageError
from core.language import tr
from core.outcome import Answer
from core.ports import ChatModel, Prompt
from core.scope import Scope
from optimizers.hedged_call import HedgedCall, SecondAttempt
from optimizers.latency_quantile import LatencyQuantile

__all__ = ["HedgeStatistics", "HedgedModel"]

_log = logging.getLogger(__name__)

_SHORTEST_DELAY: Final = 0.005  # seconds; what answers within this is no network, and no thread is as fast
_SHORTEST_LOOK: Final = 0.001
_LINGER: Final = 1.0  # seconds without a call after which the watching thread leaves
_MOST_SAVED: Final = 10.0  # second attempts that a quiet time can save up for a bad one
_MOST_AT_ONCE: Final = 32  # threads; attempts that never end use them up, and hedging ends instead of leaking
_ROUNDING: Final = 1e-6  # instants and budgets are sums of floats


@dataclass(frozen=True, slots=True)
class HedgeStatistics:
    """Calls so far, second attempts sent for them, and how many of those answered first.

    delay: seconds after which a call is now given a second attempt; None while too few latencies are known.
    """

    calls: int = 0
    sent: int = 0
    won: int = 0
    delay: float | None = None


class HedgedModel:
    """A ChatModel that asks the next one a second time when the first attempt is out for unusually long.

    "Hedged requests" of Dean and Barroso, "The Tail at Scale", Communications of the ACM 56(2), 2013: a second
    attempt after the 95th percentile of the expected latency cuts the tail for about 5 % more calls.

    - A second attempt starts after the learned `quantile` of the last 1,000 first attempts' latencies; time in
      the limiter (trace.limiter_seconds) counts neither as latency nor as being out. There is at most one per
      call, and none before min_samples latencies are known, while may_hedge() is False, or beyond the budget:
      never more than budget_fraction of the calls begun, of which a quiet time saves up ten at most. Where
      these hold it back it is sent as soon as they allow it, the call that is out for longest first.
    - The first answer wins and the other attempt's scope is cancelled at once. If one attempt fails, the other
      is waited for; if both fail, the first one's error is raised. The end of the caller's scope ends both.
    - The first attempt runs in the caller's thread. So if the second answers, the caller has to wait until the
      first obeys its cancellation, as the contract of ChatModel demands. A second attempt that does not obey
      keeps nobody waiting, at the interpreter's exit neither.
    - Both attempts' figures arrive in scope.trace: the first one's as they come, the second's when the call
      ends. A second attempt that was called off counts with its seconds until then and without tokens.

    Belongs outside whatever must count or limit every attempt, inside the retrying wrapper. Thread-safe; all
    scopes must share one clock. may_hedge is called from a thread of this object and must not block; raising
    means no. Threads: one that watches, from the first call after the learning until a second or two without,
    and one per second attempt while it runs. After close() calls go on without hedging.
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        quantile: float,
        budget_fraction: float = 0.05,
        may_hedge: Callable[[], bool] = lambda: True,
        min_samples: int = 50,
    ) -> None:
        if not 0 < budget_fraction <= 1:
            raise UsageError(tr("budget_fraction 必須大於 0 且不超過 1, 收到 {value!r}", value=budget_fraction))
        self._model = model
        self._fraction = budget_fraction
        self._may_hedge = may_hedge
        self._latencies = LatencyQuantile(quantile, min_samples=min_samples)
        # Guards every field below, _latencies and the calls' `second`; held by callers and by our threads for
        # bookkeeping, never while a model, may_hedge or a cancellation runs.
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)  # the watcher sleeps here
        self._watched: dict[HedgedCall, None] = {}  # in flight without a second attempt, in the order of their start
        self._seconds: set[SecondAttempt] = set()
        self._watching = False
        self._closed = False
        self._last_start = -math.inf
        self._budget = 0.0
        self._calls = self._sent = self._won = 0

    @property
    def identity(self) -> str:
        return self._model.identity

    @property
    def statistics(self) -> HedgeStatistics:
        with self._lock:
            return HedgeStatistics(self._calls, self._sent, self._won, self._delay)

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        call = HedgedCall(prompt, scope)
        answered = False
        try:
            self._begin(call)
            answer = self._model.generate(prompt, call.first)
            answered = True
            return answer
        except Exception:
            rescue = self._await_second(call)
            if rescue is None:
                raise
            return rescue
        finally:
            self._end(call, answered)

    def close(self) -> None:
        """Call off the second attempts under way and let the threads go. Idempotent."""
        with self._lock:
            self._closed = True
            self._watched.clear()
            seconds = list(self._seconds)
            self._wake.notify_all()
        for second in seconds:
            second.scope.cancel()

    # The caller's side.

    @property
    def _delay(self) -> float | None:
        learned = self._latencies.value
        return None if learned is None else max(learned, _SHORTEST_DELAY)

    def _begin(self, call: HedgedCall) -> None:
        with self._lock:
            self._calls += 1
            self._budget = min(self._budget + self._fraction, _MOST_SAVED)
            if self._closed:
                return
            # No notice to the watcher: it sleeps no longer than the delay, so it is up before this call is due.
            self._watched[call] = None
            self._last_start = call.started
            unwatched = not self._watching and self._latencies.value is not None
        if unwatched:
            _start_thread("hedge-watch", self._watch, call.scope.clock)

    def _await_second(self, call: HedgedCall) -> Answer | None:
        """The second attempt's answer after the first failed; None if there is none, or it fails as well."""
        with self._lock:
            self._watched.pop(call, None)
            second = call.second
        if second is None:
            return None
        with second.ended:
            call.scope.wait_for(second.ended, lambda: second.done)
        if second.answer is None:
            call.scope.check()  # both may have failed because the caller's scope ended
        return second.answer

    def _end(self, call: HedgedCall, answered: bool) -> None:
        with self._lock:
            self._watched.pop(call, None)
            second = call.second
            beaten = second is not None and second.answer is not None and not answered
            if beaten:
                self._won += 1
            if answered or (beaten and call.first.cancelled):
                self._latencies.add(call.seconds_out())
        call.first.close()
        if second is not None:
            second.scope.cancel()
            second.scope.close()
            second.add_to(call.scope)

    # The watching thread.

    def _watch(self, clock: Clock) -> None:
        with self._lock:
            if self._watching:  # two callers each started one
                return
            self._watching = True
        pause = 0.0
        while self._sleep(clock, pause):
            due, pause = self._look(clock.now())
            if due and not self._send(due):
                pause = min(pause, self._look_interval(8))

    def _sleep(self, clock: Clock, seconds: float) -> bool:
        """Sleep that long; False where there is no more reason to watch."""
        with self._lock:
            if seconds and not self._closed:
                clock.wait(self._wake, seconds)
            idle = not self._watched and clock.now() - self._last_start >= _LINGER
            self._watching = not (idle or self._closed)
            return self._watching

    def _look(self, now: float) -> tuple[list[HedgedCall], float]:
        """The calls that are due, longest out first, and the seconds until there may be more."""
        due: list[HedgedCall] = []
        with self._lock:
            delay = self._delay or _SHORTEST_DELAY
            next_look = delay if self._watched else min(delay, _LINGER)
            for call in self._watched:
                left = call.started + delay - now
                if left > _ROUNDING:
                    next_look = min(next_look, left)
                    break
                left += call.limiter_seconds()
                if left > _ROUNDING:
                    next_look = min(next_look, left)
                else:
                    due.append(call)
        # One look for all that come due within a short while: a busy program would look all the time.
        return due, max(next_look, self._look_interval(64))

    def _look_interval(self, parts: int) -> float:
        return max((self._delay or 0.0) / parts, _SHORTEST_LOOK)

    def _send(self, due: list[HedgedCall]) -> bool:
        """Give each a second attempt; False if not all may have one now."""
        return self._allowed() and all(self._hedge(call) for call in due)

    def _allowed(self) -> bool:
        try:
            return self._may_hedge()
        except Exception:  # noqa: BLE001 - foreign code, and this thread serves all calls; logged whole
            _log.exception("may_hedge raised")
            return False

    def _hedge(self, call: HedgedCall) -> bool:
        """Start the second attempt, or find it no longer needed; False if it must wait."""
        with self._lock:
            if call not in self._watched:
                return True
            if self._budget < 1 - _ROUNDING or len(self._seconds) >= _MOST_AT_ONCE:
                return False
            del self._watched[call]
            second = call.second = SecondAttempt(call.scope)
            self._seconds.add(second)
            self._budget -= 1
            self._sent += 1
        if not _start_thread("hedge-attempt", self._attempt, call, second):
            self._finish(second, None)
            with self._lock:
                self._sent -= 1
        return True

    # The thread of one second attempt.

    def _attempt(self, call: HedgedCall, second: SecondAttempt) -> None:
        answer: Answer | None = None
        try:
            answer = self._model.generate(call.prompt, second.scope)
        except ParallelProcessingError:
            pass  # the first attempt's end decides what the caller is told
        except BaseException:  # noqa: BLE001 - a bug, and nobody above this frame to see it; logged whole
            _log.exception("a second attempt raised")
        self._finish(second, answer)
        if answer is not None:
            call.first.cancel()

    def _finish(self, second: SecondAttempt, answer: Answer | None) -> None:
        with self._lock:
            self._seconds.discard(second)
        with second.ended:
            second.answer = answer
            second.done = True
            second.ended.notify_all()


def _start_thread(name: str, target: Callable[..., None], *arguments: object) -> bool:
    """Start a daemon thread; False where the machine gives no more, or the interpreter is about to end."""
    try:
        threading.Thread(target=target, args=arguments, name=name, daemon=True).start()
    except RuntimeError:
        return False
    return True

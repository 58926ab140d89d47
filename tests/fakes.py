"""Stand-ins that tests pass in: a clock that only moves when told, and models that do as scripted."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable

from core.outcome import Answer, Usage
from core.ports import Prompt
from core.scope import Scope

__all__ = ["FakeClock", "FunctionModel"]

_PATIENCE = 20.0  # real seconds after which a test that waits for something that never comes fails


class FakeClock:
    """A Clock whose time stands still until advance(). Knows which threads wait on it."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self.wall_offset = 1_700_000_000.0
        self._lock = threading.Condition()
        self._waiters: dict[int, tuple[float, threading.Condition]] = {}
        self._tokens = itertools.count()

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now + self.wall_offset

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        token = next(self._tokens)
        with self._lock:
            wake_at = math.inf if timeout is None else self._now + timeout
            if wake_at <= self._now:
                return
            self._waiters[token] = (wake_at, condition)
            self._lock.notify_all()
        try:
            if not condition.wait(_PATIENCE):
                raise AssertionError("a thread waited on the fake clock and nothing ever woke it")
        finally:
            with self._lock:
                self._waiters.pop(token, None)

    def block_until(self, waiters: int, *, timed: bool = False) -> None:
        """Return once at least that many threads wait (timed: for an instant, not just for a notice)."""
        with self._lock:
            if not self._lock.wait_for(lambda: self._count(timed) >= waiters, _PATIENCE):
                raise AssertionError(f"only {self._count(timed)} of {waiters} threads came to wait")

    def advance(self, seconds: float) -> None:
        """Move time and wake every thread whose instant has come."""
        with self._lock:
            self._now += seconds
            due = [condition for wake_at, condition in self._waiters.values() if wake_at <= self._now]
        for condition in due:
            with condition:
                condition.notify_all()

    def next_wake(self) -> float:
        """The earliest instant a thread waits for; math.inf if none does."""
        with self._lock:
            return min((wake_at for wake_at, _ in self._waiters.values()), default=math.inf)

    def _count(self, timed: bool) -> int:
        return sum(not timed or wake_at < math.inf for wake_at, _ in self._waiters.values())


class FunctionModel:
    """A ChatModel made of a function (prompt, scope) -> text or Answer; counts its calls, keeps the high-water mark."""

    def __init__(self, function: Callable[[Prompt, Scope], str | Answer], *, identity: str = "fake") -> None:
        self._function = function
        self.identity = identity
        self._lock = threading.Lock()
        self.prompts: list[Prompt] = []
        self.in_flight = 0
        self.most_in_flight = 0

    @property
    def calls(self) -> int:
        return len(self.prompts)

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        with self._lock:
            self.prompts.append(prompt)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            answer = self._function(prompt, scope)
        finally:
            with self._lock:
                self.in_flight -= 1
        return answer if isinstance(answer, Answer) else Answer(answer, self.identity, Usage(1, 1))

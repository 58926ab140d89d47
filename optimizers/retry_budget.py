"""How much retrying a struggling server is asked to bear."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from core.errors import UsageError

__all__ = ["RetryBudget"]

_SLICES: Final = 10


class RetryBudget:
    """Counts calls, answers and retries over a sliding window and says whether one more retry is affordable.

    In every window: retries <= floor + per_call x first attempts + per_answer x answers.

    The usual budget is the first two terms alone (Google SRE book, "Handling Overload": 10 % per client;
    Finagle's RetryBudget: a percentage plus a minimum, over 10 s). Such a budget cannot be kept by a client
    that wants every question answered while 30 % of the calls fail by chance: that takes 0.3 / 0.7 = 0.43
    retries per answer whatever the order, so delaying retries only moves the debt. The two situations differ
    in one thing, and the third term is that thing: a server that answers is one that can bear retries (gRPC's
    retry throttling, proposal A6, refills from successes for the same reason).

    - Chance failures: 0.10 + 0.40 = 0.50 retries per question, enough for 1 failed call in 3, and the
      amplification stays at or below 1.5 calls per answer.
    - Outage: there are no answers, the term is zero, and what is left is the 10 % and the floor.
    - Start: the floor lets a run of three questions retry before it has a history.

    A refusal here is a "not yet": the caller waits and asks again while its deadline allows. Answers return
    the budget, and so does time, since retries leave the window; so nobody who keeps asking waits for ever.

    window is in seconds, kept in tenths, so it is at most one tenth shorter than named. Thread-safe; instants
    are arguments and must come from one monotonic clock.
    """

    __slots__ = ("_floor", "_lock", "_per_answer", "_per_call", "_slices", "_width")

    def __init__(self, *, per_call: float, per_answer: float, floor: int, window: float) -> None:
        if not (0 <= per_call < 1 and 0 <= per_answer < 1 and floor >= 1 and window > 0):
            raise UsageError("per_call and per_answer must be in [0, 1), floor at least 1, window above 0")
        self._per_call = per_call
        self._per_answer = per_answer
        self._floor = floor
        self._width = window / _SLICES
        # Guards _slices; held by each method for its own length, nothing is called under it.
        self._lock = threading.Lock()
        self._slices: deque[_Slice] = deque()

    def called(self, now: float) -> None:
        """A question's first attempt starts."""
        with self._lock:
            self._current(now).calls += 1

    def answered(self, now: float) -> None:
        """An attempt brought an answer."""
        with self._lock:
            self._current(now).answers += 1

    def take(self, now: float) -> bool:
        """Charge one retry and return True, or change nothing and return False."""
        with self._lock:
            current = self._current(now)
            allowed = self._floor + sum(
                self._per_call * part.calls + self._per_answer * part.answers - part.retries for part in self._slices
            )
            if allowed < 1:
                return False
            current.retries += 1
            return True

    def _current(self, now: float) -> _Slice:
        index = int(now // self._width)
        while self._slices and self._slices[0].index <= index - _SLICES:
            self._slices.popleft()
        # A thread may bring an instant read just before another's: it counts in the newest slice.
        if not self._slices or self._slices[-1].index < index:
            self._slices.append(_Slice(index))
        return self._slices[-1]


class _Slice:
    __slots__ = ("answers", "calls", "index", "retries")

    def __init__(self, index: int) -> None:
        self.index = index
        self.calls = 0
        self.answers = 0
        self.retries = 0

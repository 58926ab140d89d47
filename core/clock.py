"""Time as a collaborator: the Clock protocol and the real clock behind it."""

from __future__ import annotations

import threading
import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """What tells the time and what a thread waits on. Thread-safe."""

    def now(self) -> float:
        """The monotonic instant, in seconds; only differences between two of them mean anything."""

    def wall(self) -> float:
        """Seconds since the Unix epoch; may jump, so never used for durations."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        """Wait on a condition that the caller holds, for at most timeout seconds (None: until notified).

        May return early, as any condition wait may: the caller checks its predicate again.
        """


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        # The platform refuses waits longer than TIMEOUT_MAX (centuries); inf is a legal timeout here.
        bounded = None if timeout is None or timeout > threading.TIMEOUT_MAX else max(timeout, 0.0)
        condition.wait(bounded)


SYSTEM_CLOCK = SystemClock()

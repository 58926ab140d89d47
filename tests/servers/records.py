"""What the loopback server saw: each request, and how many were in flight at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Records", "SeenRequest"]


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request as the server understood it. instant is monotonic; connection names the client's socket.

    method is "generate" or "get_model"; config is the generation config as JSON data (camelCase names).
    """

    method: str
    transport: str
    model: str
    text: str = ""
    system_instruction: str = ""
    api_key: str = field(default="", repr=False)
    connection: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    instant: float = field(default_factory=time.monotonic)


class Records:
    """Counts that tests read from any thread while the server writes them from its own."""

    def __init__(self) -> None:
        # Guards every field below; held for a few assignments by the server, for a copy or a wait by tests.
        self._changed = threading.Condition()
        self._requests: list[SeenRequest] = []
        self._in_flight = 0
        self._most_in_flight = 0
        self._per_connection: Counter[str] = Counter()
        self._most_per_connection = 0
        self._calls = 0

    @property
    def requests(self) -> list[SeenRequest]:
        with self._changed:
            return list(self._requests)

    @property
    def calls(self) -> int:
        """Generate calls so far, answered or not."""
        with self._changed:
            return self._calls

    @property
    def in_flight(self) -> int:
        with self._changed:
            return self._in_flight

    @property
    def most_in_flight(self) -> int:
        with self._changed:
            return self._most_in_flight

    @property
    def most_per_connection(self) -> int:
        with self._changed:
            return self._most_per_connection

    @property
    def connections(self) -> set[str]:
        """The connections over which requests came."""
        with self._changed:
            return set(self._per_connection)

    def wait_for_calls(self, count: int, patience: float = 20.0) -> None:
        """Return once that many generate calls have arrived; AssertionError if they never do."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._calls >= count, patience):
                raise AssertionError(f"only {self._calls} of {count} calls arrived")

    def wait_until_idle(self, patience: float = 20.0) -> None:
        """Return once nothing is in flight; AssertionError if something stays."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._in_flight == 0, patience):
                raise AssertionError(f"{self._in_flight} calls are still in flight")

    def enter(self, request: SeenRequest) -> None:
        with self._changed:
            self._requests.append(request)
            self._calls += request.method == "generate"
            self._in_flight += 1
            self._most_in_flight = max(self._most_in_flight, self._in_flight)
            self._per_connection[request.connection] += 1
            self._most_per_connection = max(self._most_per_connection, self._per_connection[request.connection])
            self._changed.notify_all()

    def leave(self, request: SeenRequest) -> None:
        with self._changed:
            self._in_flight -= 1
            self._per_connection[request.connection] -= 1
            self._changed.notify_all()

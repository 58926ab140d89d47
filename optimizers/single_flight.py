"""Single-flight: of all who ask the same thing at the same time one leads and calls, the others wait for the outcome.

- The leader has a value: every follower gets it.
- The leader raises: every follower gets a fresh copy of the error.
- The leader's scope ended, or it was killed: its followers join again, and one of them leads.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Callable
from contextvars import ContextVar, Token
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from core.errors import ScopeError
from core.outcome import MISSING, Missing
from core.scope import Scope

if TYPE_CHECKING:
    import asyncio

__all__ = ["Flight", "Leadership", "Role", "SingleFlight"]

T = TypeVar("T")

_leading: ContextVar[tuple[Flight[Any], ...]] = ContextVar("leading", default=())


class Role(Enum):
    """What a caller has to do about a flight it joined."""

    LEADER = "leader"  # compute, inside SingleFlight.lead()
    FOLLOWER = "follower"  # wait
    NESTED = "nested"  # compute without a flight: the leader is waiting for this very caller


class Flight(Generic[T]):
    """One computation under way; ends once, with a value, an error, or abandoned by its leader. Thread-safe.

    forgotten is True once the flight was told that what it computes is out of date.
    """

    __slots__ = ("_condition", "_ended", "_error", "_lock", "_value", "_wakers", "forgotten", "key", "thread")

    def __init__(self, key: str) -> None:
        self.key = key
        self.thread = threading.get_ident()
        self.forgotten = False
        # Guards the four below; held by the leader while it ends the flight and by followers around their wait.
        # Entered as the bare lock: Condition.__enter__ is Python code, and a Ctrl-C in it would keep the lock.
        self._lock = threading.Lock()
        self._condition = threading.Condition(self._lock)  # followers wait here for the end
        self._ended = False
        self._value: T | Missing = MISSING
        self._error: Exception | None = None
        self._wakers: dict[object, Callable[[], object]] = {}

    def wait(self, scope: Scope | None) -> None:
        """Return when the flight has ended; raises ScopeError if the caller's own scope ends first."""
        with self._lock:
            if scope is not None:
                scope.wait_for(self._condition, lambda: self._ended)
            while not self._ended:
                self._condition.wait()

    async def wait_async(self) -> None:
        """The same for a coroutine: leaves its event loop free, and ends by the task's cancellation."""
        import asyncio  # loaded already by whoever runs a coroutine; the menu need not wait for it

        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        token = object()
        with self._lock:
            if self._ended:
                return
            self._wakers[token] = lambda: loop.call_soon_threadsafe(_settle, woken)
        try:
            await woken
        finally:
            with self._lock:
                self._wakers.pop(token, None)

    @property
    def abandoned(self) -> bool:
        """True where the flight ended without an outcome: whoever waited joins again."""
        return self._ended and self._value is MISSING and self._error is None

    def result(self) -> T:
        """The value of a flight that has one, or its error, a fresh copy for every caller."""
        if self._error is not None:
            raise _fresh(self._error)
        if self._value is MISSING:
            raise RuntimeError("the flight has no outcome")
        return self._value

    def end(self, value: T | Missing, error: Exception | None) -> None:
        with self._lock:
            self._ended, self._value, self._error = True, value, error
            wakers = list(self._wakers.values())
            self._condition.notify_all()
        for wake in wakers:
            with contextlib.suppress(RuntimeError):  # the follower's event loop has closed: nobody is waiting
                wake()


class SingleFlight(Generic[T]):
    """The flights under way, at most one joinable per key. Thread-safe; keeps nothing of ended flights.

    A caller that asks, while it computes a key, for that same key is told to compute by itself: waiting would be for
    itself. This is seen through calls, tasks and asyncio.to_thread, not through a thread pool; give waits a scope
    there.
    """

    def __init__(self) -> None:
        # Guards the table and every flight's forgotten mark; held only by the methods here, for dictionary work.
        self._lock = threading.Lock()
        self._flights: dict[str, Flight[T]] = {}

    def join(self, key: str, *, blocking: bool = True) -> tuple[Flight[T], Role]:
        """The key's flight and the caller's role in it; blocking is False for coroutines, whose waits block nobody."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                flight = self._flights[key] = Flight(key)
                return flight, Role.LEADER
        own_thread = blocking and flight.thread == threading.get_ident()
        return flight, Role.NESTED if own_thread or flight in _leading.get() else Role.FOLLOWER

    def lead(self, flight: Flight[T], scope: Scope | None = None) -> Leadership[T]:
        """The context in which the leader computes, under its scope."""
        return Leadership(self, flight, scope)

    def forget(self, key: str) -> None:
        """Mark the key's flight as out of date: those in it stay, new callers start another."""
        with self._lock:
            flight = self._flights.pop(key, None)
            if flight is not None:
                flight.forgotten = True

    def forget_all(self) -> None:
        with self._lock:
            for flight in self._flights.values():
                flight.forgotten = True
            self._flights.clear()

    def leave(self, flight: Flight[T]) -> None:
        """Take the flight from the table, so that nobody joins it any more."""
        with self._lock:
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]


class Leadership(Generic[T]):
    """The leader's context: whichever way it is left, the flight ends and no follower waits for nothing.

    Left after land(value): followers get the value. Left by an Exception: they get copies of it. Left by a ScopeError,
    by any error once the leader's own scope has ended, by a KeyboardInterrupt, a task's cancellation or the like:
    they are freed to lead themselves, since that end was the leader's, not the question's.
    """

    __slots__ = ("_flight", "_flights", "_scope", "_token", "_value")

    def __init__(self, flights: SingleFlight[T], flight: Flight[T], scope: Scope | None) -> None:
        self._flights = flights
        self._flight = flight
        self._scope = scope
        self._value: T | Missing = MISSING
        self._token: Token[tuple[Flight[Any], ...]]  # set on entering

    def land(self, value: T) -> None:
        """Set the value that followers get when the context is left."""
        self._value = value

    def __enter__(self) -> Self:
        self._token = _leading.set((*_leading.get(), self._flight))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ValueError):  # a coroutine closed by the collector leaves in another context
            _leading.reset(self._token)
        self._flights.leave(self._flight)
        if error is None:
            self._flight.end(self._value, None)
        elif isinstance(error, Exception) and not self._is_leaders_own(error):
            self._flight.end(MISSING, _fresh(error))  # a copy: the original's traceback would keep the leader's frames
        else:
            self._flight.end(MISSING, None)

    def _is_leaders_own(self, error: Exception) -> bool:
        return isinstance(error, ScopeError) or (self._scope is not None and self._scope.ended)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fresh(error: Exception) -> Exception:
    """An equal exception without a traceback: one object raised in many threads would mix their tracebacks."""
    for rebuild in (copy.copy, _bare_copy):
        with contextlib.suppress(Exception):  # a class may refuse to be rebuilt from its args, or at all
            clone = rebuild(error)
            if type(clone) is type(error) and clone is not error:
                clone.__cause__, clone.__suppress_context__ = error.__cause__, error.__suppress_context__
                return clone
    return error


def _bare_copy(error: Exception) -> Exception:
    clone = type(error).__new__(type(error), *error.args)
    vars(clone).update(vars(error))
    return clone

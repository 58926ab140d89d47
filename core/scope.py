"""Scope: how long work may take and whether it was called off, handed down from caller to callee."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import DeadlineExceededError, OperationCancelledError, ScopeError
from core.events import Event, Observer
from core.language import tr
from core.outcome import CallFigures, Usage

__all__ = ["CallTrace", "Scope", "call_shielded"]

_log = logging.getLogger(__name__)


class CallTrace:
    """Running figures of one task's model calls.

    Written by the one thread that has the task; others only take `figures()`, a copy that may miss the write
    in progress.
    """

    __slots__ = ("attempts", "limiter_seconds", "service_seconds", "usage")

    def __init__(self) -> None:
        self.attempts = 0
        self.limiter_seconds = 0.0
        self.service_seconds = 0.0
        self.usage = Usage()

    def figures(self) -> CallFigures:
        return CallFigures(self.attempts, self.limiter_seconds, self.service_seconds, self.usage)


class Scope:
    """A deadline, a cancellation and a clock in one object, as Go's context or trio's CancelScope.

    Thread-safe. A child ends no later than its parent, in time and by cancellation: from the instant at which the
    parent has ended, also before its own hooks are called. Ending a child does not touch the parent. Once ended, a
    scope stays ended, with the first cause. Use a child as a context manager, so that a long-lived parent does not
    collect finished children.

    deadline is a monotonic instant of the clock (math.inf: none). trace collects the figures of the calls made
    under this scope; observer receives the events emitted under it.
    """

    __slots__ = (
        "_callbacks", "_cause", "_condition", "_left", "_lock", "_parent",
        "clock", "deadline", "observer", "task_id", "trace",
    )  # fmt: skip

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        deadline: float = math.inf,
        observer: Observer | None = None,
        task_id: str = "",
    ) -> None:
        self.clock = clock
        self.deadline = deadline
        self.observer = observer
        self.task_id = task_id
        self.trace = CallTrace()
        self._parent: Scope | None = None
        self._cause: ScopeError | None = None
        self._left: float | None = None  # in a pause: seconds that remained when it began
        # Guards _cause, _callbacks and, for pauses, deadline with _left; held by whoever changes them, never while a
        # callback runs. Entered bare: Condition.__enter__ is Python code, and a Ctrl-C in it would keep the lock.
        self._lock = threading.Lock()
        self._condition = threading.Condition(self._lock)  # sleepers wait here for the cancellation
        self._callbacks: dict[object, Callable[[], object]] = {}

    def child(self, *, timeout: float | None = None, task_id: str | None = None) -> Scope:
        """A scope inside this one, ending after timeout seconds at the latest. Has a trace of its own."""
        task_id = self.task_id if task_id is None else task_id
        scope = Scope(clock=self.clock, deadline=self.deadline, observer=self.observer, task_id=task_id)
        if timeout is not None:
            scope.tighten(timeout)
        scope._parent = self
        self._register(scope, lambda: scope.cancel(self._cause))
        return scope

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Part from the parent; the scope's own state stays as it is."""
        parent, self._parent = self._parent, None
        if parent is not None:
            parent._unregister(self)

    @property
    def cause(self) -> ScopeError | None:
        """Why the scope ended: a cancellation, or the deadline having passed; None while it is alive."""
        if self._cause is None and self.clock.now() >= self.deadline:
            return DeadlineExceededError(tr("期限已到"))
        return self._cancellation()

    @property
    def ended(self) -> bool:
        return self.cause is not None

    @property
    def cancelled(self) -> bool:
        """Ended by cancel(), whatever the clock says."""
        return self._cancellation() is not None

    def now(self) -> float:
        return self.clock.now()

    def remaining(self) -> float:
        """Seconds until the deadline, never below 0.0; 0.0 if cancelled; math.inf without a deadline."""
        return 0.0 if self.cancelled else max(self.deadline - self.clock.now(), 0.0)

    def tighten(self, timeout: float) -> None:
        """Bring the deadline forward to timeout seconds from now; never puts it off.

        Meant for the scope's maker, before it is handed on: children made and waits begun earlier keep theirs.
        """
        self.deadline = min(self.deadline, self.clock.now() + timeout)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The scope's own deadline stands still: for waits, as one for quota, that are not to count against it.

        Inside, deadline is the parent's (math.inf without one). Afterwards as much remains as before, but nothing
        beyond the parent's deadline. Cancellation works as ever; a pause inside a pause changes nothing. For the
        one thread that has the scope. Children keep the deadline they were made with: those made before are not
        paused, those made inside must not outlive the pause. Raises the cause in a scope that has ended already.
        """
        self.check()
        if self._left is not None:
            yield
            return
        with self._lock:
            self._left = self.remaining()
            self.deadline = self._outer_deadline()
        try:
            yield
        finally:
            with self._lock:  # the deadline so far is among them for whoever tightened the scope in the pause
                self.deadline = min(self.clock.now() + self._left, self.deadline, self._outer_deadline())
                self._left = None

    def earliest_end(self) -> float:
        """The deadline, or in a pause the instant before which it cannot come even if the pause ended now."""
        with self._lock:
            return self.deadline if self._left is None else min(self.clock.now() + self._left, self.deadline)

    def check(self) -> None:
        """Raise the cause (one of the ScopeErrors) if the scope has ended."""
        cause = self.cause
        if cause is not None:
            # A fresh exception each time: one object raised in many threads would mix their tracebacks.
            raise type(cause)(*cause.args)

    def cancel(self, cause: ScopeError | None = None) -> None:
        """End the scope and wake whoever waits in it. Idempotent: the first cause, also a passed deadline, stays."""
        with self._lock:
            if self._cause is not None:
                return
            self._cause = self.cause or cause or OperationCancelledError(tr("已取消"))
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
            self._condition.notify_all()
        for callback in callbacks:
            call_shielded(callback)

    def on_cancel(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back once when the scope is cancelled (at once if it already is); returns the way to take it back.

        Passing the deadline alone calls nothing: whoever waits bounds the wait by remaining(). The callback
        runs in the cancelling thread and must not block.
        """
        token = object()
        self._register(token, callback)
        return lambda: self._unregister(token)

    def sleep(self, seconds: float) -> None:
        """Wait for that many seconds; ends early with the cause if the scope ends first."""
        wake = self.clock.now() + seconds
        with self._lock:
            while not self.cancelled:
                left = min(wake, self.deadline) - self.clock.now()
                if left <= 0:
                    break
                self.clock.wait(self._condition, left)
        self.check()

    def wait_for(self, condition: threading.Condition, predicate: Callable[[], bool]) -> None:
        """Wait until the predicate holds, on a condition that the caller holds; raises the cause if this scope ends.

        Whoever makes the predicate true notifies the condition. The condition's lock is free during the wait.
        """
        if predicate():
            return

        def wake() -> None:
            with condition:
                condition.notify_all()

        token = object()
        self._try_register(token, wake)  # refused only by an ended scope, which the first check below reports
        try:
            while not predicate():
                self.check()
                left = self.deadline - self.clock.now()
                self.clock.wait(condition, None if math.isinf(left) else left)
        finally:
            self._unregister(token)

    def emit(self, event: Event) -> None:
        """Tell the observer, if there is one. What it raises is logged and goes no further."""
        if self.observer is not None:
            observer = self.observer
            call_shielded(lambda: observer(event))

    def _cancellation(self) -> ScopeError | None:
        """The cause given to cancel(), here or further up.

        Looked up, since being told takes its time: the last of a thousand children is told a thousand callbacks after
        the first, and must not begin anything meanwhile.
        """
        scope: Scope | None = self
        while scope is not None:
            if scope._cause is not None:
                return scope._cause
            scope = scope._parent
        return None

    def _outer_deadline(self) -> float:
        parent = self._parent
        return math.inf if parent is None else parent.deadline

    def _try_register(self, token: object, callback: Callable[[], object]) -> bool:
        with self._lock:
            if self._cause is not None:
                return False
            self._callbacks[token] = callback
            return True

    def _register(self, token: object, callback: Callable[[], object]) -> None:
        if not self._try_register(token, callback):
            call_shielded(callback)

    def _unregister(self, token: object) -> None:
        with self._lock:
            self._callbacks.pop(token, None)


def call_shielded(callback: Callable[[], object]) -> None:
    """Call what is not ours: its failure must not reach the run it watches."""
    try:
        callback()
    except Exception:  # noqa: BLE001 - observers and cancel hooks are foreign code; logged whole
        _log.exception("an observer or cancel hook raised")

"""The place of the model in use: filled in the background, waited for by whoever needs it, exchanged as a whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from core.clock import Clock
from core.errors import ModelError, ParallelProcessingError

if TYPE_CHECKING:
    from workflows.loading import Loaded

__all__ = ["ModelSlot"]


class ModelSlot:
    """Holds what first() makes, until it is exchanged. Thread-safe, but for exchange(): not during a run.

    start() makes and checks it in a background thread; whoever needs it earlier waits for that thread, so that a
    Ctrl-C ends the waiting and never an import half-way. problem is what the check found wrong.
    """

    def __init__(self, first: Callable[[], Loaded], *, clock: Clock) -> None:
        self.problem: ParallelProcessingError | None = None
        self._first = first
        self._clock = clock
        # Guards _started; held to look at it and set it.
        self._lock = threading.Lock()
        self._started = False
        self._loaded: Future[Loaded] = Future()
        self._checked = threading.Event()

    def start(self) -> None:
        """Make and check it in the background. Idempotent."""
        with self._lock:
            started, self._started = self._started, True
        if not started:
            threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()

    def loaded(self) -> Loaded:
        """What there is; waits for it. Raises what went wrong in making it."""
        self.start()
        return self._loaded.result()

    def peek(self) -> Loaded | None:
        """What there is; None where it is not made yet, or could not be. Never waits."""
        return self._loaded.result() if self._loaded.done() and self._loaded.exception() is None else None

    def exchange(self, make: Callable[[], Loaded]) -> None:
        """Make and check another one and close the one there was, which may be one that could not be made.

        Raises ModelError, and keeps the one there is, where the service refuses the other one.
        """
        self.start()
        self._loaded.exception()  # waits for the one there is
        self._checked.wait()  # nor is it closed under its own check, which is bounded
        found = make()
        try:
            found.verify(self._clock)
        except BaseException as error:
            # An answer that did not come is no refusal: the questions themselves will tell.
            if not (isinstance(error, ModelError) and not error.stops_run):
                found.parts.close()
                raise
        before, self._loaded = self.peek(), Future()
        self._loaded.set_result(found)
        self.problem = None
        if before is not None:
            before.parts.close()

    def close(self) -> None:
        """Part from the connections of the one there is."""
        loaded = self.peek()
        if loaded is not None:
            loaded.parts.close()

    def _warm_up(self) -> None:
        try:
            loaded = self._first()
        except BaseException as error:  # noqa: BLE001 - a background thread's failure belongs to whoever waits for it
            self._loaded.set_exception(error)
            self._checked.set()
            return
        self._loaded.set_result(loaded)
        try:
            loaded.verify(self._clock)
        except ParallelProcessingError as error:
            if self.peek() is loaded:  # of one that was exchanged meanwhile it is nobody's problem any more
                self.problem = error
        finally:
            self._checked.set()

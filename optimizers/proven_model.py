"""One call finds out whether the key is any good, before the others make the same mistake."""

from __future__ import annotations

import threading
from typing import Final

from core.clock import Clock
from core.errors import DeadlineExceededError, ErrorKind, ModelError, NotRunError, UsageError
from core.language import tr
from core.outcome import Answer
from core.ports import ChatModel, Prompt
from core.scope import Scope

__all__ = ["ProvenModel"]

# The request may never have reached whoever checks keys.
_PROVES_NOTHING: Final = frozenset(
    {ErrorKind.UNAVAILABLE, ErrorKind.RESET, ErrorKind.TIMEOUT, ErrorKind.BAD_RESPONSE},
)


class ProvenModel:
    """A ChatModel that lets calls through one at a time until one of them has proven that calls can work.

    Unproven: one caller leads, the others wait, each bounded by its own scope.
    - The leader gets an answer, or a refusal that only a valid key can get (a block, a spent minute quota, a
      server error): the gate is open for good and costs one attribute read.
    - It gets a ModelError that stops the run: those who wait at that moment raise NotRunError with that error
      as cause, without calling. The next caller leads anew.
    - It proves nothing (no connection, cancelled, timed out, died): one of the waiting leads next.

    A key is refused within one round trip; whoever is out for longer is being answered, or hangs. So the gate
    holds callers back for at most `patience` seconds since the first leader started, and then they all call:
    a hanging first call, or a network that is down, costs the others that much and no more.

    Once open, a ModelError that stops the run (quota of the day, a revoked key) closes the gate again.

    Belongs inside the retrying wrapper, so that a leader is one attempt and not a series with its pauses.
    Thread-safe. All scopes must share one clock.
    """

    def __init__(self, model: ChatModel, *, patience: float = 1.0) -> None:
        if not patience >= 0:
            raise UsageError("patience must be 0 seconds or more")
        self._model = model
        self._patience = patience
        # Guards _open, _round and the rounds' fields; held to read and change them, never during a call.
        # _open is also read without it: a stale value costs one call more or one wait, as if a moment earlier.
        self._condition = threading.Condition(threading.Lock())
        self._open = False
        self._round = _Round()

    @property
    def identity(self) -> str:
        return self._model.identity

    @property
    def proven(self) -> bool:
        return self._open

    def prove(self) -> None:
        """Open the gate: somebody else, such as a check at start-up, knows that calls can work."""
        with self._condition:
            self._open_gate()

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        if not self._open:
            return self._generate_unproven(prompt, scope)
        try:
            return self._model.generate(prompt, scope)
        except ModelError as error:
            if error.stops_run:
                with self._condition:
                    self._refuse(error)
            raise

    def _generate_unproven(self, prompt: Prompt, scope: Scope) -> Answer:
        current, leads = self._enter(scope)
        proves, refusal = False, None
        try:
            answer = self._model.generate(prompt, scope)
            proves = True
            return answer
        except ModelError as error:
            refusal = error if error.stops_run else None
            proves = refusal is None and error.kind not in _PROVES_NOTHING
            raise
        finally:
            self._leave(current, leads, proves, refusal)

    def _enter(self, scope: Scope) -> tuple[_Round, bool]:
        """Wait for the right to call; the flag says whether the caller leads."""
        with self._condition:
            current = self._round
        while True:
            left = self._patience_left(current, scope.clock)
            with self._condition:
                if current.refusal is not None:
                    break
                if self._open or left <= 0:
                    return current, False
                if not current.leading:
                    current.leading = True
                    current.started_at = scope.now() if current.started_at is None else current.started_at
                    return current, True
            self._await_verdict(current, scope, left)
        raise NotRunError(tr("沒有送出: {reason}", reason=current.refusal.reason), cause=current.refusal)

    def _patience_left(self, current: _Round, clock: Clock) -> float:
        started = current.started_at
        return self._patience if started is None else started + self._patience - clock.now()

    def _await_verdict(self, current: _Round, scope: Scope, seconds: float) -> None:
        """Wait until there is something to decide, patience is over, or the scope ends (which raises)."""
        with scope.child(timeout=seconds) as bounded:
            try:
                with self._condition:
                    bounded.wait_for(self._condition, lambda: self._open or current.settled)
                return
            except DeadlineExceededError:
                pass
        scope.check()

    def _leave(self, current: _Round, leads: bool, proves: bool, refusal: ModelError | None) -> None:
        with self._condition:
            if leads:
                current.leading = False
            if refusal is not None:
                self._refuse(refusal)
            elif proves and current is self._round:  # a call from before the last refusal says nothing about now
                self._open_gate()
            self._condition.notify_all()

    def _open_gate(self) -> None:
        self._open = True
        self._condition.notify_all()

    def _refuse(self, error: ModelError) -> None:
        self._open = False
        self._round.refusal = error
        self._round = _Round()
        self._condition.notify_all()


class _Round:
    """The time from one closing of the gate to the next verdict. Those who wait keep the round they came in."""

    __slots__ = ("leading", "refusal", "started_at")

    def __init__(self) -> None:
        self.leading = False
        self.started_at: float | None = None
        self.refusal: ModelError | None = None

    @property
    def settled(self) -> bool:
        return self.refusal is not None or not self.leading

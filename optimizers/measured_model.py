"""What each attempt cost, written down whether it succeeded or not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from core.events import CallStarted
from core.outcome import Answer, Usage
from core.ports import ChatModel, Prompt
from core.scope import Scope

__all__ = ["CallRecord", "MeasuredModel"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One attempt: of which model, for which task, when (monotonic seconds), how long, and how it ended.

    answer is None if it failed, and error is None if it did not.
    """

    identity: str
    task_id: str
    started_at: float
    seconds: float
    answer: Answer | None
    error: BaseException | None

    @property
    def ok(self) -> bool:
        return self.answer is not None

    @property
    def usage(self) -> Usage:
        """Tokens of this attempt; zero for a failed one, since errors carry none."""
        return Usage() if self.answer is None else self.answer.usage


class MeasuredModel:
    """A ChatModel that adds every attempt on the next one to scope.trace: attempts, service_seconds, usage.

    Stands next to the provider, inside whatever waits or retries, so that service_seconds is the server's time
    alone. Tells the scope's observer of every attempt (CallStarted). Thread-safe. on_call receives a CallRecord after
    each attempt, in the thread that made it; what it raises is logged and goes no further.
    """

    def __init__(self, model: ChatModel, *, on_call: Callable[[CallRecord], object] | None = None) -> None:
        self._model = model
        self._on_call = on_call

    @property
    def identity(self) -> str:
        return self._model.identity

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        trace, started = scope.trace, scope.now()
        trace.attempts += 1  # before the call, so that a snapshot counts the attempt in flight
        if scope.observer is not None:
            scope.emit(CallStarted(scope.task_id, trace.attempts, started))
        answer: Answer | None = None
        failure: BaseException | None = None
        try:
            answer = self._model.generate(prompt, scope)
            return answer
        except BaseException as error:
            failure = error
            raise
        finally:
            seconds = scope.now() - started
            trace.service_seconds += seconds
            if answer is not None:
                trace.usage += answer.usage
            if self._on_call is not None:
                record = CallRecord(self.identity, scope.task_id, started, seconds, answer, failure)
                _report(self._on_call, record)
                del record
            del failure  # a frame that holds its own exception is a cycle only the collector frees


def _report(on_call: Callable[[CallRecord], object], record: CallRecord) -> None:
    try:
        on_call(record)
    except Exception:  # noqa: BLE001 - a foreign callback must not harm the call it watches; logged whole
        _log.exception("an on_call callback raised")

"""A model that is asked no faster than it wants to be."""

from __future__ import annotations

from typing import Final

from core.errors import ErrorKind, ModelError
from core.events import LimiterWaiting, QuotaWaiting
from core.outcome import Answer
from core.ports import ChatModel, Prompt
from core.scope import Scope
from optimizers.admission import Permit
from optimizers.estimate import estimate_tokens
from optimizers.limits import CallEnd, CallResult
from optimizers.rate_limiter import RateLimiter

__all__ = ["LimitedModel"]

# Kinds that are not here are answers of a working service to this one question.
_ENDS: Final = {
    ErrorKind.QUOTA_MINUTE: CallEnd.REFUSED,
    ErrorKind.QUOTA_DAY: CallEnd.DAY_OVER,
    ErrorKind.OVERLOADED: CallEnd.OVERLOADED,
    ErrorKind.SERVER_ERROR: CallEnd.OVERLOADED,
    ErrorKind.UNAVAILABLE: CallEnd.OVERLOADED,
    ErrorKind.RESET: CallEnd.UNKNOWN,
    ErrorKind.TIMEOUT: CallEnd.UNKNOWN,
    ErrorKind.BAD_RESPONSE: CallEnd.UNKNOWN,
    ErrorKind.BUDGET_SPENT: CallEnd.UNKNOWN,
}
_UNKNOWN: Final = CallResult(CallEnd.UNKNOWN)


class LimitedModel:
    """A ChatModel that asks the next one when the limiter permits, and tells the limiter what became of it.

    Stands between the retrying wrapper and the rest: a refused call is raised as it is, and the next attempt waits
    here with the others. The wait does not count against the question's own timeout, only against what its scope
    is part of (see RateLimiter for the one exception); it is charged to scope.trace.limiter_seconds and, where it
    is long, announced by QuotaWaiting.

    The prompt's tokens are estimated (estimate_tokens, over text, instruction and schema) until the answer brings
    the service's own count.

    Raises ModelError QUOTA_DAY without asking where the quota of the day is used up. Thread-safe.
    """

    def __init__(self, model: ChatModel, limiter: RateLimiter) -> None:
        self._model = model
        self._limiter = limiter

    @property
    def identity(self) -> str:
        return self._model.identity

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        permit = self._acquire(prompt, scope)
        result = _UNKNOWN
        try:
            answer = self._model.generate(prompt, scope)
            result = CallResult(CallEnd.ANSWERED, tokens=answer.usage.prompt_tokens or None)
            return answer
        except ModelError as error:
            end = _ENDS.get(error.kind, CallEnd.REJECTED)
            result = CallResult(end, retry_after=error.retry_after, resets_at=error.resets_at)
            raise
        finally:
            self._limiter.finish(permit, result)

    def _acquire(self, prompt: Prompt, scope: Scope) -> Permit:
        def tell(until: float, delay: float) -> None:
            scope.emit(QuotaWaiting(scope.task_id, until, delay))

        def line_up() -> None:
            scope.emit(LimiterWaiting(scope.task_id, scope.now()))

        began = scope.now()
        try:
            return self._limiter.acquire(scope, _tokens(prompt), on_wait=tell, on_line=line_up)
        finally:
            scope.trace.limiter_seconds += scope.now() - began


def _tokens(prompt: Prompt) -> int:
    return sum(estimate_tokens(text) for text in (prompt.text, prompt.system_instruction, prompt.schema) if text)

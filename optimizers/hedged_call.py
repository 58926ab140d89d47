"""One hedged question: its first attempt and the second, with what each has cost."""

from __future__ import annotations

import threading

from core.outcome import Answer, Usage
from core.ports import Prompt
from core.scope import Scope

__all__ = ["HedgedCall", "SecondAttempt"]


class HedgedCall:
    """One question: its first attempt, and the second once there is one."""

    __slots__ = ("_limited_before", "first", "prompt", "scope", "second", "started")

    def __init__(self, prompt: Prompt, scope: Scope) -> None:
        self.prompt = prompt
        self.scope = scope
        self.first = scope.child()
        # The first attempt runs in the caller's thread, so it may write where the caller does, and a snapshot
        # of the task counts the attempt in flight.
        self.first.trace = scope.trace
        self.started = scope.now()
        self.second: SecondAttempt | None = None
        self._limited_before = scope.trace.limiter_seconds

    def limiter_seconds(self) -> float:
        return self.scope.trace.limiter_seconds - self._limited_before

    def seconds_out(self) -> float:
        return self.scope.now() - self.started - self.limiter_seconds()


class SecondAttempt:
    """A second attempt: its scope, with a trace of its own, and what came of it."""

    __slots__ = ("answer", "done", "ended", "scope", "started")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope.child()
        self.started = scope.now()
        # Guards answer and done; held by the attempt's thread to set both, by the caller around its wait.
        self.ended = threading.Condition(threading.Lock())
        self.done = False
        self.answer: Answer | None = None

    def add_to(self, scope: Scope) -> None:
        """Add the figures so far to another scope's; an attempt still out ends now as far as they go."""
        done, figures, trace = self.done, self.scope.trace.figures(), scope.trace
        service = figures.service_seconds
        if figures.attempts and not done:
            service = max(service, scope.now() - self.started - figures.limiter_seconds)
        trace.attempts += figures.attempts
        trace.limiter_seconds += figures.limiter_seconds
        trace.service_seconds += service
        trace.usage = Usage(
            trace.usage.prompt_tokens + figures.usage.prompt_tokens,
            trace.usage.answer_tokens + figures.usage.answer_tokens,
            trace.usage.thinking_tokens + figures.usage.thinking_tokens,
        )

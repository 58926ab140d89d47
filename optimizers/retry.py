"""Asking again where that can help, when the server wants it, and not more than it can bear."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import random as _random
from typing import TYPE_CHECKING, Final

from core.errors import ErrorKind, ModelError, UsageError
from core.events import RetryScheduled
from core.outcome import Answer
from core.ports import ChatModel, Prompt
from core.scope import Scope
from optimizers.retry_budget import RetryBudget

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["RetryPolicy", "RetryingModel"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how fast to ask again. Seconds.

    most_attempts bounds the calls of one question; waits for quota do not count, nor do they cost budget. The
    budget protects the server and the deadline the person, so the bound may be generous and the cap low. On
    virtual time (30 workers, calls of 0.2 s, deadline 15 s), 30 % of the calls failing by chance, so many of
    36,000 questions were lost:

        5 attempts, cap 4 s: 102    8 attempts, cap 4 s: 5    12 attempts, cap 4 s: 3    12 attempts, cap 2 s: 0

    With cap 4 s and many attempts it is the back-off that passes the deadline. Zero here is a rate below about
    1 in 10,000, no promise: chance can fail any number of times in a row.

    The n-th wait is drawn evenly from 0 to min(cap, base x 2^(n-1)): full jitter (AWS Architecture Blog,
    "Exponential Backoff and Jitter"), which spreads a crowd best for the fewest calls. budget_*: see
    RetryBudget. The window of 10 s is longer than the longest back-off, so that a call and its retry meet in
    one window, and shorter than a question's 15 s, so that a budget spent in an outage is whole again within
    the life of a question that waits for it.
    """

    most_attempts: int = 12
    base_seconds: float = 0.5
    cap_seconds: float = 2.0
    budget_fraction: float = 0.10
    budget_per_answer: float = 0.40
    budget_floor: int = 10
    budget_window: float = 10.0

    def __post_init__(self) -> None:
        if self.most_attempts < 1:
            raise UsageError("most_attempts must be at least 1")
        if not 0 < self.base_seconds <= self.cap_seconds < math.inf:
            raise UsageError("0 < base_seconds <= cap_seconds is needed")

    def backoff(self, failures: int, random: float) -> float:
        """The wait after that many failed attempts (from 1), for a random number in [0, 1)."""
        doublings = min(failures - 1, 64)  # beyond, the cap has long been reached and floats overflow
        return random * min(self.cap_seconds, self.base_seconds * 2.0**doublings)

    def attempts_for(self, error: ModelError) -> int:
        """How many attempts a question that fails this way is worth in all."""
        return min(self.most_attempts, error.most_attempts or self.most_attempts)


_DEFAULT_POLICY: Final = RetryPolicy()


class RetryingModel:
    """A ChatModel that asks the next one again after a ModelError that is retryable.

    One instance per served model, shared by all threads: they share the retry budget. After a QUOTA_MINUTE it
    asks again at once: the model behind it is a LimitedModel, where that attempt waits with all others until the
    service takes calls again. Errors whose own most_attempts is set (empty, recitation, an unreadable response)
    say nothing about load and cost no budget: their bound is their own.

    No wait here passes the scope's deadline: where one would, the last ModelError is raised at once. Errors that
    stop a run, and all that is not a ModelError, pass through. Emits RetryScheduled (attempt: the one that failed).

    random returns numbers in [0, 1) and must be thread-safe, as random.random and random.Random().random are.
    """

    def __init__(
        self, model: ChatModel, *, policy: RetryPolicy = _DEFAULT_POLICY, random: Callable[[], float] = _random
    ) -> None:
        import tenacity  # 30 ms: not at import, where the menu waits for it, nor in the first call

        self._tenacity = tenacity
        self._model = model
        self._policy = policy
        self._random = random
        self._budget = RetryBudget(
            per_call=policy.budget_fraction,
            per_answer=policy.budget_per_answer,
            floor=policy.budget_floor,
            window=policy.budget_window,
        )

    @property
    def identity(self) -> str:
        return self._model.identity

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        call = _Call(self._model, prompt, scope, self._policy, self._random, self._budget)
        call.start()
        try:
            return call.attempt()
        except ModelError as error:
            if not call.wants_retry(error):
                raise
            first = error
        # The first attempt stays outside: a Retrying costs as much as the whole rest of the way of a call.
        retrying = self._tenacity.Retrying(
            retry=self._tenacity.retry_if_exception(call.wants_retry),
            wait=call.wait,
            stop=call.stop,
            sleep=call.sleep,
            reraise=True,
        )
        replay = functools.partial(_fail, first)
        attempts: Iterator[Callable[[], Answer]] = itertools.chain([replay], itertools.repeat(call.attempt))
        return retrying(lambda: next(attempts)())


def _fail(error: ModelError) -> Answer:
    raise error


class _Call:
    """One question on its way through tenacity, whose order is: attempt, wants_retry, wait, stop, sleep.

    What sleep raises leaves tenacity as it is, so the decisions to give up while waiting are made there.
    """

    def __init__(
        self,
        model: ChatModel,
        prompt: Prompt,
        scope: Scope,
        policy: RetryPolicy,
        random: Callable[[], float],
        budget: RetryBudget,
    ) -> None:
        self._model = model
        self._prompt = prompt
        self._scope = scope
        self._policy = policy
        self._random = random
        self._budget = budget
        self._error: ModelError
        self._failures = 0

    def start(self) -> None:
        self._scope.check()
        self._budget.called(self._scope.now())

    def attempt(self) -> Answer:
        answer = self._model.generate(self._prompt, self._scope)
        self._budget.answered(self._scope.now())
        return answer

    def wants_retry(self, error: BaseException) -> bool:
        if not (isinstance(error, ModelError) and error.retryable):
            return False
        self._error = error
        return True

    def wait(self, _: RetryCallState) -> float:
        if self._quota_refused:
            return 0.0  # the limiter does the waiting, for this call as for the others
        self._failures += 1
        return max(self._error.retry_after or 0.0, 0.0) + self._policy.backoff(self._failures, self._random())

    def stop(self, state: RetryCallState) -> bool:
        if self._quota_refused:
            return False
        return self._failures >= self._policy.attempts_for(self._error) or self._too_long(state.upcoming_sleep)

    def sleep(self, seconds: float) -> None:
        if not self._quota_refused:
            self._await_budget(seconds)
            scope = self._scope
            scope.emit(RetryScheduled(scope.task_id, self._failures, self._error.kind, seconds))
            scope.sleep(seconds)
        self._scope.check()

    @property
    def _quota_refused(self) -> bool:
        return self._error.kind is ErrorKind.QUOTA_MINUTE

    def _too_long(self, seconds: float) -> bool:
        return self._scope.now() + seconds >= self._scope.deadline

    def _await_budget(self, backoff: float) -> None:
        if self._error.most_attempts is not None:
            return
        while not self._budget.take(self._scope.now()):
            pace = self._policy.base_seconds * (0.5 + 0.5 * self._random())
            if self._too_long(pace + backoff):
                raise self._error
            self._scope.sleep(pace)

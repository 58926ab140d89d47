"""Batch jobs: many requests handed over at once, answered within hours at half the price; and how to wait for one."""

from __future__ import annotations

import hashlib
import json
import random as random_source
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Protocol

from core.errors import DeadlineExceededError, ErrorKind, ModelError
from core.language import tr
from core.outcome import Answer
from core.ports import Prompt
from core.scope import Scope, call_shielded

__all__ = ["BatchAnswers", "BatchJob", "BatchService", "BatchState", "batch_label", "submit_once", "watch"]


class BatchState(StrEnum):
    """Where a job stands. STALLED is never the service's word: watch() says it of a job it gave up on."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class BatchJob:
    """A job at one instant. done: requests with an answer; failed: with an error of their own; total: all of them.

    created_at: Unix time, 0.0 where unknown. note: why a job ended without answers, a sentence for the person.
    answers_at: the service's name for the file of answers, "" until there is one.
    """

    name: str
    state: BatchState
    done: int = 0
    failed: int = 0
    total: int = 0
    created_at: float = 0.0
    note: str = ""
    answers_at: str = ""

    @property
    def ended(self) -> bool:
        return self.state not in (BatchState.PENDING, BatchState.RUNNING)

    @property
    def useful(self) -> bool:
        """Has answers or may still come to have some."""
        return not self.ended or self.state is BatchState.SUCCEEDED


class BatchAnswers(Iterator[tuple[str, Answer | ModelError]], Protocol):
    """One pair for every id that was asked for, in any order; to be closed. For one thread.

    An id without an answer of its own, or with several, comes with a BAD_RESPONSE. Answers to ids that nobody
    asked for are left out: foreign counts them. doubled and missing count ids.
    """

    foreign: int
    doubled: int
    missing: int

    def close(self) -> None:
        """Let go of what the answers are read from. Idempotent; reading to the end does it as well."""


class BatchService(Protocol):
    """A provider's batch API. Thread-safe; every call ends with its scope.

    All raise ModelError where the service refuses or cannot be reached, and ScopeError where the scope ended.
    """

    def submit(self, requests: Iterable[tuple[str, Prompt]], *, display_name: str, scope: Scope) -> BatchJob:
        """Hand over (id, prompt) pairs, read once; UsageError for none, for an id given twice, for too much at once.

        After an error the job may exist all the same: look with find() before submitting again.
        """

    def job(self, name: str, scope: Scope) -> BatchJob:
        """How the job stands. One that the service no longer has is EXPIRED."""

    def find(self, display_name: str, scope: Scope) -> BatchJob | None:
        """The job submitted under that name; of several one that succeeded, else one under way, else the newest."""

    def answers(self, job: BatchJob, ids: Collection[str], scope: Scope) -> BatchAnswers:
        """The answers of a job that succeeded to those ids, fetched whole before this returns.

        UsageError for a job that has none to give, StorageError where there is no room to keep them.
        """

    def cancel(self, name: str, scope: Scope) -> None:
        """Ask the service to stop the job; nothing happens to one that has ended or is gone."""

    def close(self) -> None:
        """End the calls in flight; later ones fail. Idempotent."""


def batch_label(digest: str, ids: Iterable[str], *, attempt: int = 1) -> str:
    """The display name of a job: the same for the same batch, the same ids in any order and the same attempt."""
    parts = json.dumps(sorted(ids)).encode()
    return f"bulk-{digest[:32]}-{hashlib.blake2b(parts, digest_size=12).hexdigest()}-{attempt}"


def submit_once(
    service: BatchService, requests: Iterable[tuple[str, Prompt]], *, display_name: str, scope: Scope
) -> BatchJob:
    """The job of that name if there is a useful one, else a new one: nothing is paid twice after a crash."""
    known = service.find(display_name, scope)
    if known is not None and known.useful:
        return known
    return service.submit(requests, display_name=display_name, scope=scope)


_LONGEST_WAIT: Final = 300.0
_GROWTH: Final = 1.5
_JITTER: Final = 0.2  # watchers that started together drift apart
_ONE_LOOK: Final = 60.0  # seconds after which a poll without a reply counts as failed
_PASSING: Final = frozenset(
    {
        ErrorKind.QUOTA_MINUTE, ErrorKind.QUOTA_DAY, ErrorKind.OVERLOADED, ErrorKind.SERVER_ERROR,
        ErrorKind.UNAVAILABLE, ErrorKind.RESET, ErrorKind.TIMEOUT, ErrorKind.BAD_RESPONSE,
    }
)  # fmt: skip


def watch(
    service: BatchService,
    name: str,
    *,
    scope: Scope,
    give_up_after: float,
    on_state: Callable[[BatchJob], object],
    poll: float = 30.0,
    random: Callable[[], float] = random_source.random,
) -> BatchJob:
    """Wait until the job has ended and return it; on_state sees it at first and whenever it changed.

    Polls after poll seconds, then less and less often, at least every 300. A job in which nothing moves for
    give_up_after seconds comes back STALLED; it is not cancelled. A poll that fails for a passing reason is
    repeated for ever, so a bound on the whole wait is the scope's. Raises ModelError for lasting ones, ScopeError.
    """
    last: BatchJob | None = None
    moved_at = scope.now()
    delay = poll
    while True:
        job, told = _look(service, name, scope)
        if job is not None:
            if job != last:
                last, moved_at = job, scope.now()
                _tell(on_state, job)
            if job.ended:
                return job
            if scope.now() - moved_at >= give_up_after:
                return _stalled(job, give_up_after, on_state)
        wait = max(delay * (1 + _JITTER * (2 * random() - 1)), told)
        give_up_in = moved_at + give_up_after - scope.now()
        scope.sleep(min(wait, give_up_in) if job is not None else wait)
        delay = min(delay * _GROWTH, max(_LONGEST_WAIT, poll))


def _look(service: BatchService, name: str, scope: Scope) -> tuple[BatchJob | None, float]:
    """The job, or None with the seconds that the service asked to be left alone for."""
    try:
        with scope.child(timeout=_ONE_LOOK) as once:
            return service.job(name, once), 0.0
    except ModelError as error:
        if error.kind not in _PASSING:
            raise
        return None, error.retry_after or 0.0
    except DeadlineExceededError:
        scope.check()
        return None, 0.0


def _stalled(job: BatchJob, seconds: float, on_state: Callable[[BatchJob], object]) -> BatchJob:
    note = tr(
        "批次工作 {hours:.3g} 小時沒有進展, 不再等它; 可以取消後重新送出, 或改用一般方式執行", hours=seconds / 3600
    )
    stalled = replace(job, state=BatchState.STALLED, note=note)
    _tell(on_state, stalled)
    return stalled


def _tell(on_state: Callable[[BatchJob], object], job: BatchJob) -> None:
    call_shielded(lambda: on_state(job))

"""The error tree: what a person reads, and what each kind means for a retry and for the run."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from core import errors
from core.errors import (
    DeadlineExceededError,
    DuplicateTaskError,
    ErrorKind,
    ModelError,
    NotRunError,
    OperationCancelledError,
    ParallelProcessingError,
    ScopeError,
    UsageError,
)

STOPS_RUN = {
    ErrorKind.BAD_KEY,
    ErrorKind.PERMISSION,
    ErrorKind.NOT_FOUND,
    ErrorKind.QUOTA_DAY,
    ErrorKind.REDIRECTED,
    ErrorKind.BUDGET_SPENT,
}
RETRYABLE = {
    ErrorKind.QUOTA_MINUTE,
    ErrorKind.OVERLOADED,
    ErrorKind.SERVER_ERROR,
    ErrorKind.UNAVAILABLE,
    ErrorKind.RESET,
    ErrorKind.RECITATION,
    ErrorKind.EMPTY,
    ErrorKind.BAD_LABEL,
    ErrorKind.BAD_RESPONSE,
}
TWICE_AT_MOST = {ErrorKind.RECITATION, ErrorKind.EMPTY, ErrorKind.BAD_RESPONSE, ErrorKind.BAD_LABEL}


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_says_what_was_wrong_and_what_to_do(kind: ErrorKind) -> None:
    """No kind lacks a reason or an advice."""
    error = ModelError(kind)
    assert error.reason
    assert error.advice
    assert str(error) == error.reason


@pytest.mark.parametrize("kind", ErrorKind)
def test_what_each_kind_means_for_retries_and_the_run(kind: ErrorKind) -> None:
    """The kinds that stop the run, can be retried, or are worth two attempts at most, are exactly these."""
    error = ModelError(kind)
    assert error.stops_run == (kind in STOPS_RUN)
    assert error.retryable == (kind in RETRYABLE)
    assert error.most_attempts == (2 if kind in TWICE_AT_MOST else None)
    assert not (error.stops_run and error.retryable)


def test_the_detail_follows_the_reason() -> None:
    """What the server added stands in brackets behind our own words."""
    error = ModelError(ErrorKind.OVERLOADED, "HTTP 503", retry_after=1.5, resets_at=7.0)
    assert error.reason == "伺服器忙碌中 (HTTP 503)"
    assert (error.retry_after, error.resets_at) == (1.5, 7.0)


def test_not_run_names_the_error_that_stopped_the_run() -> None:
    """The advice is that of the cause; without a cause there is none."""
    cause = ModelError(ErrorKind.BAD_KEY)
    stopped = NotRunError("其餘未執行", cause)
    assert (str(stopped), stopped.reason, stopped.advice) == ("其餘未執行", "其餘未執行", cause.advice)
    assert NotRunError("未執行").advice == ""
    again = type(stopped)(*stopped.args)
    assert (again.reason, again.cause) == (stopped.reason, cause)


def test_everything_public_is_in_the_tree() -> None:
    """Every public error derives from the one class that is shown to people, and has an advice."""
    for name in errors.__all__:
        item = getattr(errors, name)
        if isinstance(item, type) and issubclass(item, Exception):
            assert issubclass(item, ParallelProcessingError), name
    assert ParallelProcessingError("x").advice == ""


def test_standard_names_catch_ours() -> None:
    """ValueError catches wrong arguments, TimeoutError a passed deadline."""
    assert issubclass(UsageError, ValueError)
    assert issubclass(DuplicateTaskError, UsageError)
    assert issubclass(DeadlineExceededError, TimeoutError)
    for kind in (DeadlineExceededError, OperationCancelledError, NotRunError):
        assert issubclass(kind, ScopeError)


def test_a_quota_says_when_it_returns_by_the_persons_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the service's reset is known, the advice names it in local time."""
    monkeypatch.setenv("TZ", "Asia/Taipei")
    time.tzset()
    try:
        error = ModelError(ErrorKind.QUOTA_DAY, resets_at=datetime(2026, 7, 2, 7, tzinfo=UTC).timestamp())
        assert error.advice.startswith("配額將於 07/02 15:00 重置 (本地時間)")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "太平洋時間午夜" in ModelError(ErrorKind.QUOTA_DAY).advice

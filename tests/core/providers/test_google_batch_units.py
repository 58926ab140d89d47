"""What the batch API may say, as plain data: states, counts, places of the answers, errors."""

from __future__ import annotations

from typing import Any

import pytest

from core.batch_port import BatchJob, BatchState
from core.errors import ErrorKind
from core.providers._gemini_failures import Redactor
from core.providers._genai_batch_wire import error_of, read_job
from core.settings import Secret

REDACT = Redactor(Secret("CanaryKey-0123456789-abcdefghijkl"))


def job_of(metadata: dict[str, Any] | None = None, **more: Any) -> BatchJob:
    job = read_job({"name": "batches/x", "metadata": metadata, **more}, REDACT)
    assert job is not None
    return job


@pytest.mark.parametrize("prefix", ["BATCH_STATE_", "JOB_STATE_"])
@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("UNSPECIFIED", BatchState.PENDING),
        ("QUEUED", BatchState.PENDING),
        ("PENDING", BatchState.PENDING),
        ("RUNNING", BatchState.RUNNING),
        ("CANCELLING", BatchState.RUNNING),
        ("A_WORD_OF_TOMORROW", BatchState.RUNNING),
        ("SUCCEEDED", BatchState.SUCCEEDED),
        ("PARTIALLY_SUCCEEDED", BatchState.SUCCEEDED),
        ("FAILED", BatchState.FAILED),
        ("CANCELLED", BatchState.CANCELLED),
        ("EXPIRED", BatchState.EXPIRED),
    ],
)
def test_states(prefix: str, word: str, state: BatchState) -> None:
    """Each of the service's words, with either of its prefixes, is one of our states."""
    assert job_of({"state": prefix + word}).state is state


@pytest.mark.parametrize(
    ("metadata", "more", "state"),
    [
        (None, {}, BatchState.PENDING),
        (None, {"done": True}, BatchState.SUCCEEDED),
        (None, {"done": True, "error": {"code": 13}}, BatchState.FAILED),
        ({"state": "BATCH_STATE_RUNNING"}, {"done": True, "response": {}}, BatchState.SUCCEEDED),
        ({"state": "BATCH_STATE_EXPIRED"}, {"done": True, "error": {"code": 4}}, BatchState.EXPIRED),
        ([], {"done": "true"}, BatchState.PENDING),
    ],
)
def test_end_of_the_operation_counts_where_the_state_lags(
    metadata: Any, more: dict[str, Any], state: BatchState
) -> None:
    """An operation that is done is no longer under way, whatever its metadata says."""
    job = job_of(metadata, **more)
    assert job.state is state
    assert bool(job.note) is (state in (BatchState.FAILED, BatchState.EXPIRED))


@pytest.mark.parametrize(
    ("stats", "counts"),
    [
        ({"requestCount": "7", "successfulRequestCount": "4", "failedRequestCount": "2"}, (4, 2, 7)),
        ({"successfulRequestCount": 4, "failedRequestCount": "2"}, (4, 2, 6)),
        ({"requestCount": "-7", "successfulRequestCount": "x", "failedRequestCount": "9" * 40}, (0, 0, 0)),
        (["requestCount"], (0, 0, 0)),
    ],
)
def test_counts(stats: Any, counts: tuple[int, int, int]) -> None:
    """Counts come as text or numbers; nonsense is none."""
    job = job_of({"batchStats": stats, "createTime": "yesterday"})
    assert (job.done, job.failed, job.total) == counts
    assert job.created_at == 0.0


@pytest.mark.parametrize(
    ("metadata", "more", "place"),
    [
        ({"output": {"responsesFile": "files/batch-1"}}, {}, "files/batch-1"),
        ({}, {"response": {"responsesFile": "files/b"}}, "files/b"),
        ({}, {"response": {"output": {"responsesFile": "files/b"}}}, "files/b"),
        ({"output": {"responsesFile": "files/../models/m"}}, {}, ""),
        ({"output": {"responsesFile": 7}}, {"response": "x"}, ""),
    ],
)
def test_place_of_the_answers(metadata: dict[str, Any], more: dict[str, Any], place: str) -> None:
    """The file of answers is found in each place where the service writes it, and only a plain name is one."""
    assert job_of({"state": "BATCH_STATE_SUCCEEDED", **metadata}, **more).answers_at == place
    assert job_of({"state": "BATCH_STATE_RUNNING", **metadata}, **more).answers_at == ""


@pytest.mark.parametrize("name", [None, 7, "", "batches/", "models/m", "batches/a/../b", "batches/ä"])
def test_what_is_no_job(name: Any) -> None:
    """An operation without a job's name is none."""
    assert read_job({"name": name, "metadata": {"state": "BATCH_STATE_RUNNING"}}, REDACT) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ({"code": 3, "message": "x"}, ErrorKind.BAD_REQUEST),
        ({"code": "14"}, ErrorKind.OVERLOADED),
        ({"code": 400}, ErrorKind.BAD_REQUEST),
        ({"code": 429}, ErrorKind.QUOTA_MINUTE),
        ({"code": 3, "status": "UNAVAILABLE"}, ErrorKind.OVERLOADED),
        ({"code": 99, "message": None}, ErrorKind.SERVER_ERROR),
        ({"code": 400, "message": "API key not valid. Please pass a valid API key."}, ErrorKind.BAD_KEY),
    ],
)
def test_errors_of_single_requests(status: dict[str, Any], kind: ErrorKind) -> None:
    """A status is read by its name, RPC's code or HTTP's, and anything else is the server's fault."""
    assert error_of(status, REDACT, 0.0).kind is kind

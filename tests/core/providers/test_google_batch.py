"""The batch service against a loopback Gemini, real sockets and the real SDK."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pytest_mock import MockerFixture

from core.batch_port import BatchJob, BatchState, batch_label, submit_once, watch
from core.errors import (
    DeadlineExceededError,
    ErrorKind,
    ModelError,
    OperationCancelledError,
    SettingsError,
    StorageError,
    UsageError,
)
from core.outcome import Answer, Usage
from core.ports import Prompt
from core.providers._gemini_request import GenerationParameters
from core.providers.google_batch import GoogleBatchService
from core.scope import Scope
from core.settings import Secret, Settings
from tests.fakes import FakeClock
from tests.servers import LoopbackGemini
from tests.servers import replies as say
from tests.servers.batch_side import BatchPlan
from tests.servers.checks import CANARY, find_canary, nothing_left_over

HAS_SDK = importlib.util.find_spec("google") is not None and importlib.util.find_spec("google.genai") is not None
pytestmark = pytest.mark.skipif(not HAS_SDK, reason="google-genai is not installed")

THREE = [("a", Prompt("甲")), ("b", Prompt("乙", "指令")), ("c", Prompt("丙"))]
IDS = frozenset({"a", "b", "c"})
NOW = BatchPlan(polls=0)


@pytest.fixture(scope="module")
def running_server() -> Iterator[LoopbackGemini]:
    with LoopbackGemini() as server:
        yield server


@pytest.fixture
def server(running_server: LoopbackGemini) -> Iterator[LoopbackGemini]:
    """A Gemini without jobs, whose next jobs succeed at the first poll."""
    running_server.batches.plan(NOW)
    yield running_server
    running_server.set_script(None)
    running_server.batches.forget()


def make_service(server: LoopbackGemini, **options: Any) -> GoogleBatchService:
    settings = Settings(api_key=Secret(CANARY), sdk="google-genai", endpoint=server.rest_endpoint)
    return GoogleBatchService(settings, **options)


@pytest.fixture
def service(server: LoopbackGemini) -> Iterator[GoogleBatchService]:
    with contextlib.closing(make_service(server)) as service:
        yield service


def scope(seconds: float = 20.0) -> Scope:
    return Scope().child(timeout=seconds)


def failure(call: Callable[[], object]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        call()
    return caught.value


def finished(service: GoogleBatchService, requests: list[tuple[str, Prompt]] = THREE) -> BatchJob:
    """A job that has run to its end."""
    return service.job(service.submit(requests, display_name="x", scope=scope()).name, scope())


def answered(service: GoogleBatchService, job: BatchJob) -> dict[str, Answer | ModelError]:
    with contextlib.closing(service.answers(job, IDS, scope())) as answers:
        pairs = list(answers)
    assert len(pairs) == len(IDS)
    return dict(pairs)


class TestWayOfAJob:
    def test_from_requests_to_answers(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """A job is submitted, moves, succeeds, and its answers come with their tokens under their own ids."""
        server.batches.plan(BatchPlan(polls=3))
        job = service.submit(iter(THREE), display_name="bulk-1", scope=scope())
        assert job == BatchJob("batches/job-0", BatchState.PENDING, total=3, created_at=job.created_at)
        assert abs(job.created_at - 1767323040.123456) < 0.001
        states = [service.job(job.name, scope()) for _ in range(4)]
        assert [(seen.state, seen.done, seen.total) for seen in states] == [
            (BatchState.RUNNING, 0, 3),
            (BatchState.RUNNING, 1, 3),
            (BatchState.RUNNING, 2, 3),
            (BatchState.SUCCEEDED, 3, 3),
        ]
        assert answered(service, states[-1]) == {
            key: Answer(f"echo:{prompt.text}", "gemini-2.5-flash", Usage(3, 5)) for key, prompt in THREE
        }

    def test_a_request_in_a_job_is_the_request_of_a_single_call(self, server: LoopbackGemini) -> None:
        """Text, instruction, parameters and schema stand in the file as the service reads them."""
        schema = {"type": "object", "properties": {"label": {"type": "string", "enum": ["正面", "負面"]}}}
        parameters = GenerationParameters(temperature=0.5, top_p=0.9, top_k=4, max_output_tokens=99)
        with contextlib.closing(make_service(server, parameters=parameters)) as service:
            prompt = Prompt("資料\u2028", "指令", json.dumps(schema))
            job = service.submit([("k", prompt)], display_name="x", scope=scope())
        assert server.batches.requests(job.name) == {
            "k": {
                "contents": [{"role": "user", "parts": [{"text": "資料\u2028"}]}],
                "systemInstruction": {"parts": [{"text": "指令"}]},
                "generationConfig": {
                    "temperature": 0.5,
                    "topP": 0.9,
                    "topK": 4,
                    "maxOutputTokens": 99,
                    "responseMimeType": "application/json",
                    "responseSchema": {
                        "type": "OBJECT",
                        "properties": {"label": {"type": "STRING", "enum": ["正面", "負面"]}},
                    },
                },
            }
        }

    def test_plain_request_says_nothing_more(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """Without parameters there is no configuration in the file."""
        job = service.submit(THREE, display_name="x", scope=scope())
        assert server.batches.requests(job.name)["a"] == {"contents": [{"role": "user", "parts": [{"text": "甲"}]}]}

    def test_key_travels_in_the_header_and_texts_to_the_endpoint_only(
        self, server: LoopbackGemini, service: GoogleBatchService
    ) -> None:
        """An upload goes to the endpoint whatever host the reply names, and no request shows the key elsewhere."""
        before = len(server.requests)
        answered(service, finished(service))
        seen = server.requests[before:]
        assert [request.method for request in seen] == [
            "batch start", "batch upload", "batch create", "batch get", "batch download",
        ]  # fmt: skip
        for request in seen:
            assert CANARY not in json.dumps({**request.headers, "x-goog-api-key": ""})

    def test_file_larger_than_a_chunk(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """Requests of 9 MB go up in two chunks, and answers of as much come down whole."""
        requests = [(str(number), Prompt(f"{number} " + "字" * 300_000)) for number in range(10)]
        before = len(server.requests)
        job = service.job(service.submit(requests, display_name="x", scope=scope(40)).name, scope())
        assert [request.method for request in server.requests[before:]].count("batch upload") == 2
        with contextlib.closing(service.answers(job, [key for key, _ in requests], scope(40))) as answers:
            texts = {key: answer.text for key, answer in answers if isinstance(answer, Answer)}
        assert texts == {key: f"echo:{prompt.text}" for key, prompt in requests}

    def test_found_by_the_whole_name(
        self, server: LoopbackGemini, service: GoogleBatchService
    ) -> None:
        """find() knows jobs by their whole name, through all pages, and None where there is none."""
        for number in range(103):
            server.batches.plan(BatchPlan(polls=None))
            service.submit(THREE[:1], display_name=f"bulk-{number}", scope=scope())
        found = service.find("bulk-102", scope())
        assert found is not None
        assert found.name == "batches/job-102"
        assert service.find("bulk", scope()) is None

    def test_of_several_jobs_the_most_useful(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """Of jobs with one name the one that succeeded is found, else one under way, else the newest."""
        ends = [BatchPlan(0, "FAILED"), BatchPlan(0, "EXPIRED"), BatchPlan(None), BatchPlan(0), BatchPlan(None)]
        found: list[BatchJob] = []
        for plan in ends:
            server.batches.plan(plan)
            service.job(service.submit(THREE, display_name="same", scope=scope()).name, scope())
            job = service.find("same", scope())
            assert job is not None
            found.append(job)
        assert [job.name[-1] for job in found] == ["0", "1", "2", "3", "3"]
        assert [job.useful for job in found] == [False, False, True, True, True]


class TestSubmittingOnce:
    def test_reply_that_was_lost(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """A job whose creation was never heard of is found by its name, and nothing is submitted twice."""
        label = batch_label("d" * 32, IDS)
        server.batches.fail("create", say.Cut(mid_body=False), after=True)
        error = failure(lambda: submit_once(service, THREE, display_name=label, scope=scope()))
        assert error.kind is ErrorKind.RESET
        job = submit_once(service, THREE, display_name=label, scope=scope())
        again = submit_once(service, THREE, display_name=label, scope=scope())
        assert server.batches.names == [job.name] == [again.name]

    def test_job_that_failed_is_submitted_anew(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """A job that came to nothing does not stand in the way of the next."""
        server.batches.plan(BatchPlan(0, "FAILED"))
        first = submit_once(service, THREE, display_name="x", scope=scope())
        assert service.job(first.name, scope()).state is BatchState.FAILED
        assert submit_once(service, THREE, display_name="x", scope=scope()).name != first.name

    @pytest.mark.parametrize("operation", ["start", "upload", "create"])
    def test_refusal_at_each_step(
        self, operation: str, server: LoopbackGemini, service: GoogleBatchService
    ) -> None:
        """A submission that the service refuses at some step is an error of its kind, asked once, and no job."""
        before = len(server.requests)
        server.batches.fail(operation, say.quota(7.5))
        error = failure(lambda: service.submit(THREE, display_name="x", scope=scope()))
        assert (error.kind, error.retry_after) == (ErrorKind.QUOTA_MINUTE, 7.5)
        assert server.batches.names == []
        assert [request.method for request in server.requests[before:]].count(f"batch {operation}") == 1
        assert find_canary(error) == []

    @pytest.mark.parametrize(
        ("requests", "reason"),
        [([], "沒有任何請求"), ([*THREE, ("a", Prompt("丁"))], "'a'"), ([("", Prompt("丁"))], "空白或重複")],
    )
    def test_requests_that_cannot_be_told_apart(
        self, requests: list[tuple[str, Prompt]], reason: str, server: LoopbackGemini, service: GoogleBatchService
    ) -> None:
        """No request, an id that comes twice, and an empty one are refused before anything is sent."""
        before = len(server.requests)
        with pytest.raises(UsageError, match=reason):
            service.submit(requests, display_name="x", scope=scope())
        assert len(server.requests) == before

    def test_requests_that_cannot_be_sent(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """Half a surrogate pair, a schema that is none and a file beyond the limit are refused with their reason."""
        error = failure(lambda: service.submit([("k\ud800", Prompt("\ud800"))], display_name="x", scope=scope()))
        assert error.kind is ErrorKind.BAD_REQUEST
        assert error.reason.isprintable()
        for schema in ("{", "7", '{"properties": {"a": 1}}'):
            with pytest.raises(UsageError, match="JSON schema"):
                service.submit([("k", Prompt("x", schema=schema))], display_name="x", scope=scope())
        with (
            contextlib.closing(make_service(server, largest_file=100)) as small,
            pytest.raises(UsageError, match="超過 100 位元組"),
        ):
            small.submit(THREE, display_name="x", scope=scope())


class TestAnswers:
    def test_missing_doubled_and_foreign_ids(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """An id without one answer of its own gets an error, one that nobody asked for is counted and left out."""
        extra = (b"not json\n", b"\n", b"[" * 50_000 + b"\n", b'{"response": {}}\n', b'{"key": 7}')
        plan = BatchPlan(0, missing=frozenset("a"), doubled=frozenset("b"), foreign=("z", "y"), extra=extra)
        server.batches.plan(plan)
        answers = service.answers(finished(service), IDS, scope())
        assert (answers.missing, answers.doubled, answers.foreign) == (1, 1, 6)
        pairs = list(answers)
        found = dict(pairs)
        assert len(pairs) == len(IDS)
        assert found.keys() == IDS
        assert found["c"] == Answer("echo:丙", "gemini-2.5-flash", Usage(3, 5))
        for key, reason in (("a", "沒有回答"), ("b", "不只一個")):
            error = found[key]
            assert isinstance(error, ModelError)
            assert error.kind is ErrorKind.BAD_RESPONSE
            assert reason in error.detail

    def test_errors_of_single_requests(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """A request that failed alone has its own error, by RPC's code, HTTP's or none, and free of the key."""
        details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}]
        errors: dict[str, dict[str, Any]] = {
            "a": {"code": 8, "message": f"too much for {CANARY}", "details": details},
            "b": {"code": 503, "message": "busy"},
            "c": {"message": "?"},
        }
        server.batches.plan(BatchPlan(0, errors=errors))
        job = finished(service)
        found = answered(service, job)
        kinds = {key: error.kind for key, error in found.items() if isinstance(error, ModelError)}
        assert kinds == {"a": ErrorKind.QUOTA_MINUTE, "b": ErrorKind.OVERLOADED, "c": ErrorKind.SERVER_ERROR}
        assert isinstance(found["a"], ModelError)
        assert (found["a"].retry_after, found["a"].detail) == (1.5, "too much for ***")
        assert (job.done, job.failed, job.total) == (0, 3, 3)

    def test_answers_that_are_none(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """Blocked and empty answers are told apart as in single calls, and half a line is an error of its id."""
        replies: dict[str, say.Reply] = {"甲": say.blocked_prompt(), "乙": say.Hang(), "丙": say.overloaded()}
        server.set_script(lambda seen: replies[seen.text])
        server.batches.plan(BatchPlan(0, missing=frozenset("b"), extra=(b'{"key": "b"}',)))
        found = answered(service, finished(service))
        kinds = {key: error.kind for key, error in found.items() if isinstance(error, ModelError)}
        assert kinds == {"a": ErrorKind.BLOCKED, "b": ErrorKind.BAD_RESPONSE, "c": ErrorKind.OVERLOADED}

    @pytest.mark.parametrize(
        ("reply", "kind"),
        [
            (say.overloaded(), ErrorKind.OVERLOADED),
            (say.Cut(), ErrorKind.RESET),
            (say.captive_portal(), ErrorKind.BAD_RESPONSE),
            (say.Failure(404, "NOT_FOUND", "gone"), ErrorKind.BAD_RESPONSE),
            (say.Redirect("http://127.0.0.1:9/x"), ErrorKind.REDIRECTED),
        ],
    )
    def test_download_that_fails_leaves_the_job_as_it_was(
        self, reply: say.Reply, kind: ErrorKind, server: LoopbackGemini, service: GoogleBatchService
    ) -> None:
        """A download ends in its kind of error, and the next one has all the answers."""
        job = finished(service)
        server.batches.fail("download", reply)
        error = failure(lambda: service.answers(job, IDS, scope()))
        assert error.kind is kind
        assert find_canary(error) == []
        assert answered(service, job)["a"] == Answer("echo:甲", "gemini-2.5-flash", Usage(3, 5))

    def test_answers_beyond_the_limit(self, server: LoopbackGemini) -> None:
        """A file of answers larger than a job may be is refused, not written on and on."""
        with contextlib.closing(make_service(server, largest_file=2_000)) as service:
            job = finished(service)
            server.batches.fail("download", say.Huge(8))
            assert failure(lambda: service.answers(job, IDS, scope())).kind is ErrorKind.TOO_LARGE

    @pytest.mark.parametrize("plan", [BatchPlan(None), BatchPlan(0, "FAILED"), BatchPlan(0, "EXPIRED")])
    def test_job_without_answers(self, plan: BatchPlan, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """A job that has not succeeded has no answers to ask for."""
        server.batches.plan(plan)
        job = finished(service)
        with pytest.raises(UsageError, match=job.state):
            service.answers(job, IDS, scope())
        assert not job.answers_at

    def test_success_without_a_file(self, service: GoogleBatchService) -> None:
        """A job that succeeded and names no file is a bad response."""
        job = BatchJob("batches/x", BatchState.SUCCEEDED)
        assert failure(lambda: service.answers(job, IDS, scope())).kind is ErrorKind.BAD_RESPONSE

    def test_closed_before_the_end(self, service: GoogleBatchService) -> None:
        """Answers that are not read to their end are let go of by close(), twice as well."""
        answers = service.answers(finished(service), IDS, scope())
        next(answers)
        answers.close()
        answers.close()
        assert list(answers) == []


class TestStates:
    @pytest.mark.parametrize(
        ("end", "state", "note"),
        [
            ("FAILED", BatchState.FAILED, "批次工作失敗: bad *** file"),
            ("EXPIRED", BatchState.EXPIRED, "48 小時"),
            ("CANCELLED", BatchState.CANCELLED, "已取消"),
        ],
    )
    def test_ends_without_answers(
        self, end: str, state: BatchState, note: str, server: LoopbackGemini, service: GoogleBatchService
    ) -> None:
        """A job that ended without answers says why, without the key."""
        server.batches.plan(BatchPlan(0, end, message=f"bad {CANARY} file"))
        job = finished(service)
        assert job.state is state
        assert note in job.note
        assert CANARY not in repr(job)

    def test_unknown_job_is_expired(self, service: GoogleBatchService) -> None:
        """A job that the service no longer has is one to submit again."""
        job = service.job("batches/nobody", scope())
        assert (job.state, "重新送出" in job.note) == (BatchState.EXPIRED, True)

    @pytest.mark.parametrize("name", ["", "batches/", "batches/a/b", "files/a", "batches/a?x=1", "batches/../files/a"])
    def test_name_that_is_none(self, name: str, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """What is no job's name is refused before it becomes a part of an address."""
        before = len(server.requests)
        for call in (service.job, service.cancel):
            with pytest.raises(UsageError, match="batches/"):
                call(name, scope())
        assert len(server.requests) == before

    def test_cancel(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """A job is cancelled; cancelling it again, or one that is gone, is no error."""
        server.batches.plan(BatchPlan(None))
        name = service.submit(THREE, display_name="x", scope=scope()).name
        service.cancel(name, scope())
        assert service.job(name, scope()).state is BatchState.CANCELLED
        service.cancel(name, scope())
        service.cancel("batches/nobody", scope())

    def test_cancel_that_is_refused(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """A job that still runs after cancel() failed leaves the error."""
        server.batches.plan(BatchPlan(None))
        name = service.submit(THREE, display_name="x", scope=scope()).name
        server.batches.fail("cancel", say.overloaded())
        assert failure(lambda: service.cancel(name, scope())).kind is ErrorKind.OVERLOADED

    @pytest.mark.parametrize(
        ("reply", "kind"),
        [
            (say.bad_key(), ErrorKind.BAD_KEY),
            (say.quota(3), ErrorKind.QUOTA_MINUTE),
            (say.overloaded(), ErrorKind.OVERLOADED),
            (say.captive_portal(), ErrorKind.BAD_RESPONSE),
            (say.garbage_json(), ErrorKind.BAD_RESPONSE),
            (say.Raw(b"[]"), ErrorKind.BAD_RESPONSE),
            (say.Raw(b"[" * 100_000), ErrorKind.BAD_RESPONSE),
            (say.Raw(b'{"name": "elsewhere/x"}'), ErrorKind.BAD_RESPONSE),
            (say.Raw(b""), ErrorKind.BAD_RESPONSE),
            (say.Raw(CANARY.encode()), ErrorKind.BAD_RESPONSE),
            (say.Huge(9), ErrorKind.TOO_LARGE),
            (say.Cut(), ErrorKind.RESET),
            (say.Redirect("http://127.0.0.1:9/x"), ErrorKind.REDIRECTED),
        ],
    )
    def test_poll_that_fails(
        self, reply: say.Reply, kind: ErrorKind, server: LoopbackGemini, service: GoogleBatchService
    ) -> None:
        """Each refusal and broken network has its kind, in one request, with nothing of the SDK or the key on it."""
        before = len(server.requests)
        server.batches.fail("get", reply)
        error = failure(lambda: service.job("batches/x", scope()))
        assert error.kind is kind
        assert len(server.requests) == before + 1
        assert error.__context__ is None
        assert error.__cause__ is None
        assert find_canary(error) == []

    @pytest.mark.parametrize("operations", [None, 7, [7, {}, {"metadata": {"displayName": "x"}}]])
    def test_list_of_another_shape(
        self, operations: object, server: LoopbackGemini, service: GoogleBatchService
    ) -> None:
        """A list that no Gemini sends holds no job, and a page that follows itself is read once."""
        page = json.dumps({"operations": operations, "nextPageToken": "p"}).encode()
        server.batches.fail("list", say.Raw(page), say.Raw(page))
        assert service.find("x", scope()) is None


class TestScopes:
    @pytest.mark.parametrize("operation", ["start", "upload", "create", "get", "list", "cancel", "download"])
    def test_every_call_ends_with_its_scope(
        self, operation: str, server: LoopbackGemini, service: GoogleBatchService
    ) -> None:
        """A server that says nothing is left at the deadline, whatever was asked of it."""
        job = finished(service)
        calls: dict[str, Callable[[Scope], object]] = {
            "get": lambda inside: service.job(job.name, inside),
            "list": lambda inside: service.find("x", inside),
            "cancel": lambda inside: service.cancel(job.name, inside),
            "download": lambda inside: service.answers(job, IDS, inside),
        }
        for step in ("start", "upload", "create"):
            calls[step] = lambda inside: service.submit(THREE, display_name="y", scope=inside)
        server.batches.fail(operation, say.Hang())
        with pytest.raises(DeadlineExceededError):
            calls[operation](scope(0.3))

    def test_cancelled_from_another_thread(self, server: LoopbackGemini, service: GoogleBatchService) -> None:
        """A call in flight ends when its scope is cancelled, and an ended scope lets none begin."""
        outer = Scope()
        server.batches.fail("get", say.Hang())
        before = len(server.requests)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(service.job, "batches/x", outer)
            while len(server.requests) == before:
                threading.Event().wait(0.01)
            outer.cancel()
            assert isinstance(waiting.exception(20), OperationCancelledError)
        with pytest.raises(OperationCancelledError):
            service.submit(THREE, display_name="x", scope=outer)
        with pytest.raises(OperationCancelledError):
            service.job("batches/x", outer)

    def test_closed_service(self, server: LoopbackGemini) -> None:
        """close() ends thread and sockets; later calls are refused; a second close() does nothing."""
        finished(make := make_service(server))
        make.close()
        with nothing_left_over():
            service = make_service(server)
            answered(service, finished(service))
            service.close()
            service.close()
        assert failure(lambda: service.job("batches/x", scope())).kind is ErrorKind.UNAVAILABLE
        make_service(server).close()


class TestDisk:
    def test_no_room_for_requests_or_answers(
        self, server: LoopbackGemini, service: GoogleBatchService, mocker: MockerFixture
    ) -> None:
        """A full disk is an error of storage at each place where it shows."""
        job = finished(service)

        class FullFile(tempfile.SpooledTemporaryFile[bytes]):
            def write(self, _: object) -> int:
                raise OSError(28, "No space left on device")

            def seek(self, *_: int) -> int:
                raise OSError(28, "No space left on device")

            def close(self) -> None:
                super().close()
                raise OSError(28, "No space left on device")

        mocker.patch.object(tempfile, "TemporaryFile", FullFile)
        calls: list[Callable[[], object]] = [
            lambda: service.submit(THREE, display_name="x", scope=scope()),
            lambda: service.answers(job, IDS, scope()),
        ]
        for call in calls:
            with pytest.raises(StorageError, match="No space left") as caught:
                call()
            assert caught.value.full
        mocker.patch.object(FullFile, "write", tempfile.SpooledTemporaryFile.write)
        with pytest.raises(StorageError, match="No space left"):
            service.submit(THREE, display_name="x", scope=scope())
        mocker.patch.object(tempfile, "TemporaryFile", side_effect=OSError(13, "Permission denied"))
        with pytest.raises(StorageError, match="開不了暫存檔"):
            service.submit(THREE, display_name="x", scope=scope())


class TestConstruction:
    def test_without_a_key(self) -> None:
        """Without a key there is no service."""
        with pytest.raises(SettingsError, match="GEMINI_API_KEY"):
            GoogleBatchService(Settings())

    @pytest.mark.parametrize("missing", [{"return_value": None}, {"side_effect": ModuleNotFoundError}])
    def test_without_the_sdk(self, missing: dict[str, Any], mocker: MockerFixture) -> None:
        """Without the SDK the error names the way to get it."""
        mocker.patch.object(importlib.util, "find_spec", **missing)
        with pytest.raises(SettingsError, match=r"requirements-genai\.txt"):
            GoogleBatchService(Settings(api_key=Secret(CANARY)))

    def test_google_itself_is_the_default(self, mocker: MockerFixture) -> None:
        """Without an endpoint in the settings uploads are held to Google's own host."""
        service = GoogleBatchService(Settings(api_key=Secret(CANARY)))
        assert service._origin == "https://generativelanguage.googleapis.com"
        service.close()


class TestWatching:
    def test_through_a_troubled_network_to_the_answers(
        self, server: LoopbackGemini, service: GoogleBatchService
    ) -> None:
        """Polls that fail in passing do not end the watch: the job is seen through to its success."""
        server.batches.plan(BatchPlan(polls=2))
        name = service.submit(THREE, display_name="x", scope=scope()).name
        server.batches.fail("get", say.overloaded(), say.Cut(), say.quota(), say.captive_portal())
        clock, seen, done = FakeClock(), list[BatchJob](), threading.Event()

        def follow() -> BatchJob:
            try:
                return watch(
                    service, name, scope=Scope(clock=clock), give_up_after=7200, on_state=seen.append,
                    random=random.Random(1).random,
                )  # fmt: skip
            finally:
                done.set()

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(follow)
            # Only sleeps are passed over: while a poll is out nothing waits for an instant nearer than its limit.
            while not done.wait(0.02):
                if clock.next_wake() - clock.now() != 60.0:
                    clock.advance(max(min(clock.next_wake() - clock.now(), 1000.0), 0.0))
            job = watching.result(20)
        assert job.state is BatchState.SUCCEEDED
        assert [state.state for state in seen] == [BatchState.RUNNING, BatchState.RUNNING, BatchState.SUCCEEDED]
        assert answered(service, job).keys() == IDS

"""The batch endpoints of the loopback Gemini: files up and down, jobs that take as long and go as wrong as told."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.servers import _wire
from tests.servers.records import SeenRequest
from tests.servers.replies import Body, Echo, Failure, Raw, Reply, echo

__all__ = ["OPERATIONS", "BatchPlan", "BatchSide"]

OPERATIONS: Final = ("start", "upload", "create", "list", "get", "cancel", "download")
_JSON: Final = "application/json; charset=UTF-8"
_ENDED: Final = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What becomes of the next jobs: after so many polls they end in that state; polls None: nothing ever moves.

    Of the answers, those to `missing` are left out, those to `doubled` come twice, `foreign` are to requests that
    nobody made, `errors` are to be errors instead, and `extra` are lines as they are. They come in reverse order.
    """

    polls: int | None = 1
    end: str = "SUCCEEDED"
    missing: frozenset[str] = frozenset()
    doubled: frozenset[str] = frozenset()
    foreign: tuple[str, ...] = ()
    errors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extra: tuple[bytes, ...] = ()
    message: str = "the batch could not be processed"


@dataclass(slots=True)
class _Job:
    name: str
    display_name: str
    model: str
    plan: BatchPlan
    requests: dict[str, Mapping[str, Any]]
    polled: int = 0
    state: str = "PENDING"
    answers: str = ""


class BatchSide:
    """Keeps files and jobs. Requests are answered by the same script as single calls, when their job succeeds.

    plan may be replaced at any time; fail() queues replies to one operation in place of its own.
    """

    def __init__(self, decide: Callable[[SeenRequest], tuple[float, Reply]]) -> None:
        self._decide = decide
        # Guards every field below; held by the server while it serves one request, by tests for a look or a change.
        self._lock = threading.Lock()
        self._plan = BatchPlan()
        self._files: dict[str, bytearray] = {}
        self._jobs: dict[str, _Job] = {}
        self._faults: defaultdict[str, deque[tuple[Reply, bool]]] = defaultdict(deque)

    @property
    def names(self) -> list[str]:
        """The jobs that were created, oldest first."""
        with self._lock:
            return list(self._jobs)

    def requests(self, name: str) -> dict[str, Mapping[str, Any]]:
        """The requests of a job by their keys, as they were in the file."""
        with self._lock:
            return dict(self._jobs[name].requests)

    def plan(self, plan: BatchPlan) -> None:
        with self._lock:
            self._plan = plan

    def fail(self, operation: str, *replies: Reply, after: bool = False) -> None:
        """Answer the next calls of that operation so instead; with after, once their work has been done."""
        assert operation in OPERATIONS
        with self._lock:
            self._faults[operation].extend((reply, after) for reply in replies)

    def forget(self) -> None:
        """Be as new: no jobs, no files, no faults."""
        with self._lock:
            self._plan = BatchPlan()
            self._files.clear()
            self._jobs.clear()
            self._faults.clear()

    def understand(self, verb: str, target: str, known: Mapping[str, Any]) -> SeenRequest | None:
        """The operation behind a request, as method "batch <operation>"; None for what is none."""
        path = urlsplit(target).path
        resource, _, action = path.removeprefix("/v1beta/").partition(":")
        operation = {
            ("POST", path == "/upload/v1beta/files" and "upload_id" not in target): "start",
            ("POST", path == "/upload/v1beta/files" and "upload_id" in target): "upload",
            ("POST", action == "batchGenerateContent"): "create",
            ("GET", resource == "batches"): "list",
            ("GET", resource.startswith("batches/")): "get",
            ("POST", resource.startswith("batches/") and action == "cancel"): "cancel",
            ("GET", resource.startswith("files/") and action == "download"): "download",
        }.get((verb, True))
        return None if operation is None else SeenRequest(method=f"batch {operation}", **{**known, "model": resource})

    def serve(self, seen: SeenRequest, target: str, body: bytes) -> tuple[Reply, Mapping[str, str]]:
        """The reply, and the headers that go with it."""
        operation = seen.method.removeprefix("batch ")
        with self._lock:
            fault, after = self._faults[operation].popleft() if self._faults[operation] else (None, False)
            if fault is not None and not after:
                return fault, {}
            served = self._serve(operation, seen, target, body)
            return served if fault is None else (fault, {})

    def _serve(self, operation: str, seen: SeenRequest, target: str, body: bytes) -> tuple[Reply, Mapping[str, str]]:
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        match operation:
            case "start":
                name = f"files/in{len(self._files)}"
                self._files[name] = bytearray()
                # Another host on purpose: whoever goes there has been led astray.
                url = f"http://127.0.0.1:9/upload/v1beta/files?upload_id={name.removeprefix('files/')}"
                return _json({}), {"X-Goog-Upload-URL": url, "X-Goog-Upload-Status": "active"}
            case "upload":
                return self._upload(f"files/{query['upload_id']}", seen.headers, body)
            case "create":
                return self._create(seen.model, json.loads(body)), {}
            case "list":
                return self._list(int(query.get("pageSize", "50")), int(query.get("pageToken", "0"))), {}
            case "download":
                data = self._files.get(seen.model)
                return (_missing() if data is None else Raw(bytes(data), "application/octet-stream")), {}
        job = self._jobs.get(seen.model)
        if job is None:
            return _missing(), {}
        return (self._poll(job) if operation == "get" else self._cancel(job)), {}

    def _upload(self, name: str, headers: Mapping[str, str], body: bytes) -> tuple[Reply, Mapping[str, str]]:
        data = self._files[name]
        if int(headers["x-goog-upload-offset"]) != len(data):
            return Failure(400, "INVALID_ARGUMENT", "the offset is another one"), {}
        data += body
        final = "finalize" in headers["x-goog-upload-command"]
        described = {"file": {"name": name, "sizeBytes": str(len(data)), "state": "ACTIVE"}} if final else {}
        return _json(described), {"X-Goog-Upload-Status": "final" if final else "active"}

    def _create(self, model: str, data: Mapping[str, Any]) -> Reply:
        batch = data["batch"]
        uploaded = self._files.get(batch["inputConfig"].get("fileName", ""))
        if uploaded is None:
            return Failure(400, "INVALID_ARGUMENT", "requests come in a file")
        lines = [json.loads(line) for line in uploaded.splitlines()]
        name = f"batches/job-{len(self._jobs)}"
        requests = {line["key"]: line["request"] for line in lines}
        job = self._jobs[name] = _Job(name, batch["displayName"], model, self._plan, requests)
        return _json(self._operation(job))

    def _list(self, size: int, start: int) -> Reply:
        jobs = list(self._jobs.values())
        page: dict[str, Any] = {"operations": [self._operation(job) for job in jobs[start : start + size]]}
        if start + size < len(jobs):
            page["nextPageToken"] = str(start + size)
        return _json(page)

    def _poll(self, job: _Job) -> Reply:
        if job.state not in _ENDED and job.plan.polls is not None:
            job.polled += 1
            job.state = "RUNNING" if job.polled <= job.plan.polls else job.plan.end
            if job.state == "SUCCEEDED":
                job.answers = f"files/batch-{job.name.removeprefix('batches/')}"
                self._files[job.answers] = bytearray(b"".join(self._answers(job)))
        return _json(self._operation(job))

    def _cancel(self, job: _Job) -> Reply:
        if job.state in _ENDED:
            return Failure(400, "FAILED_PRECONDITION", "the job has ended")
        job.state = "CANCELLED"
        return _json({})

    def _operation(self, job: _Job) -> dict[str, Any]:
        total = len(job.requests)
        ended = job.state in _ENDED
        failed = len(job.plan.errors) if job.state == "SUCCEEDED" else 0
        done = total - failed if job.state == "SUCCEEDED" else total * max(job.polled - 1, 0) // (job.plan.polls or 1)
        stats = {"requestCount": total, "successfulRequestCount": done, "failedRequestCount": failed}
        metadata: dict[str, Any] = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "model": job.model,
            "displayName": job.display_name,
            "createTime": f"2026-01-02T03:04:{int(job.name.rpartition('-')[2]) % 60:02}.123456789Z",
            "batchStats": {name: str(count) for name, count in stats.items()},  # as 64-bit numbers are written
            "state": f"BATCH_STATE_{job.state}",
            "name": job.name,
        }
        operation: dict[str, Any] = {"name": job.name, "metadata": metadata, **({"done": True} if ended else {})}
        if job.answers:
            operation["response"] = metadata["output"] = {"responsesFile": job.answers}
        elif ended:
            operation["error"] = {"code": 13, "message": job.plan.message}
        return operation

    def _answers(self, job: _Job) -> Iterable[bytes]:
        for key in (*job.plan.foreign, *reversed(job.requests)):
            if key not in job.plan.missing:
                line = _line({"key": key, **self._answer(job, key)})
                yield line
                if key in job.plan.doubled:
                    yield line
        yield from job.plan.extra

    def _answer(self, job: _Job, key: str) -> Mapping[str, Any]:
        if key in job.plan.errors:
            return {"error": job.plan.errors[key]}
        request = job.requests.get(key, {"contents": [{"parts": [{"text": "nobody asked"}]}]})
        seen = _wire.seen_generate(request, transport="batch", model=job.model)
        _, reply = self._decide(seen)
        match reply:
            case Echo():
                return {"response": echo(seen.text).data}
            case Body(data):
                return {"response": data}
            case Failure():
                return {"error": {"code": reply.http, "message": reply.message, "details": list(reply.details)}}
            case _:
                return {"error": {"code": 13, "message": "no answer came"}}


def _json(data: Mapping[str, Any]) -> Raw:
    return Raw(_line(data), _JSON)


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode() + b"\n"


def _missing() -> Failure:
    return Failure(404, "NOT_FOUND", "Requested entity was not found.")

"""What the batch API speaks: a request as a line of JSON, a job as a long-running operation, an error as a status."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from core.batch_port import BatchJob, BatchState
from core.errors import ErrorKind, ModelError, UsageError
from core.language import marked, tr
from core.ports import Prompt
from core.providers._gemini_failures import Redactor, service_error_from_http
from core.providers._gemini_request import to_openapi

__all__ = ["EXPIRED_NOTE", "error_of", "is_job_name", "mapping", "read_job", "request_line"]

EXPIRED_NOTE: Final = marked("批次工作沒有在 48 小時內完成, 已過期; 請重新送出, 或改用一般方式執行")
_JOB_NAME: Final = re.compile(r"batches/[\w-]{1,200}", re.ASCII)
_FILE_NAME: Final = re.compile(r"files/[\w-]{1,200}", re.ASCII)
_WIRE_NAMES: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_output_tokens": "maxOutputTokens",
}
# Some readers of lines end one at these as well; JSON may spell them out.
_LINE_ENDS: Final = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_STATES: Final = {
    "QUEUED": BatchState.PENDING,
    "PENDING": BatchState.PENDING,
    "UNSPECIFIED": BatchState.PENDING,
    "SUCCEEDED": BatchState.SUCCEEDED,
    "PARTIALLY_SUCCEEDED": BatchState.SUCCEEDED,
    "FAILED": BatchState.FAILED,
    "CANCELLED": BatchState.CANCELLED,
    "EXPIRED": BatchState.EXPIRED,
}
_RPC_CODES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


def request_line(key: str, prompt: Prompt, parameters: Mapping[str, float | int]) -> bytes:
    """One line of the file of requests; ModelError for text that cannot be sent, UsageError for a bad schema."""
    request: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": prompt.text}]}]}
    if prompt.system_instruction:
        request["systemInstruction"] = {"parts": [{"text": prompt.system_instruction}]}
    config: dict[str, Any] = {_WIRE_NAMES[name]: value for name, value in parameters.items()}
    if prompt.schema:
        # Not responseJsonSchema: the batch endpoint takes it and then answers in broken shapes.
        config |= {"responseMimeType": "application/json", "responseSchema": _schema(prompt.schema)}
    if config:
        request["generationConfig"] = config
    line = json.dumps({"key": key, "request": request}, ensure_ascii=False).translate(_LINE_ENDS)
    try:
        return line.encode() + b"\n"
    except UnicodeEncodeError:
        pass
    raise ModelError(ErrorKind.BAD_REQUEST, tr("問題含有無法編碼的字元: {key!a}", key=key))


def is_job_name(name: object) -> bool:
    return isinstance(name, str) and _JOB_NAME.fullmatch(name) is not None


def read_job(data: Mapping[str, Any], redact: Redactor) -> BatchJob | None:
    """The job in an operation; None where it is none."""
    name = data.get("name")
    if not isinstance(name, str) or not is_job_name(name):
        return None
    metadata = mapping(data.get("metadata"))
    stats = mapping(metadata.get("batchStats"))
    state = _state(data, metadata)
    done, failed = _count(stats.get("successfulRequestCount")), _count(stats.get("failedRequestCount"))
    return BatchJob(
        name,
        state,
        done=done,
        failed=failed,
        total=max(_count(stats.get("requestCount")), done + failed),
        created_at=_instant(metadata.get("createTime")),
        note=_note(state, mapping(data.get("error")), redact),
        answers_at=_answers_at(data, metadata) if state is BatchState.SUCCEEDED else "",
    )


def error_of(status: Mapping[str, Any], redact: Redactor, wall: float) -> ModelError:
    """The error in a google.rpc.Status, whose code is RPC's own or, from some front ends, HTTP's."""
    code = _count(status.get("code"))
    name = status.get("status") or (_RPC_CODES[code] if code < len(_RPC_CODES) else "")
    body = json.dumps({"error": {**status, "status": name}}).encode()
    error = service_error_from_http(code if code >= 100 else 500, body)
    assert error is not None, "there is an error object in it"
    return error.to_model_error(redact, wall)


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _schema(text: str) -> dict[str, Any]:
    problem = ""
    try:
        return to_openapi(json.loads(text))
    except (ValueError, TypeError, AttributeError) as error:
        problem = str(error)
    raise UsageError(tr("回答格式 (JSON schema) 無法使用, 請改用簡單的型別: {error}", error=problem))


def _state(data: Mapping[str, Any], metadata: Mapping[str, Any]) -> BatchState:
    named = str(metadata.get("state", "")).rpartition("STATE_")[2]
    state = _STATES.get(named, BatchState.RUNNING if named else BatchState.PENDING)
    if data.get("done") is True and state in (BatchState.PENDING, BatchState.RUNNING):
        # The operation has ended and its metadata lags behind, or has a word that we do not know.
        return BatchState.FAILED if mapping(data.get("error")) else BatchState.SUCCEEDED
    return state


def _note(state: BatchState, error: Mapping[str, Any], redact: Redactor) -> str:
    if state is BatchState.EXPIRED:
        return tr(EXPIRED_NOTE)
    if state is BatchState.FAILED:
        said = redact.detail(str(error.get("message") or ""))
        return tr("批次工作失敗: {reason}", reason=said) if said else tr("批次工作失敗: 伺服器沒有說明原因")
    return tr("批次工作已取消") if state is BatchState.CANCELLED else ""


def _answers_at(data: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    response = mapping(data.get("response"))
    for place in (mapping(metadata.get("output")), response, mapping(response.get("output"))):
        name = place.get("responsesFile")
        if isinstance(name, str) and _FILE_NAME.fullmatch(name):
            return name
    return ""


def _count(value: object) -> int:
    """A count; the service writes 64-bit numbers as text."""
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


def _instant(value: object) -> float:
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return 0.0

"""From an error of the service or the network to a ModelError, whichever way it came."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from core.errors import ErrorKind, ModelError
from core.language import tr
from core.pacific import next_pacific_midnight
from core.settings import Secret

__all__ = ["Redactor", "ServiceError", "bad_response", "service_error_from_http"]

_LONGEST_DETAIL: Final = 200
_HOUR: Final = 3600.0
_BY_STATUS: Final = {
    "INVALID_ARGUMENT": ErrorKind.BAD_REQUEST,
    "OUT_OF_RANGE": ErrorKind.BAD_REQUEST,
    "ALREADY_EXISTS": ErrorKind.BAD_REQUEST,
    "UNIMPLEMENTED": ErrorKind.BAD_REQUEST,
    "FAILED_PRECONDITION": ErrorKind.PERMISSION,  # billing not set up, or a country that is not served
    "UNAUTHENTICATED": ErrorKind.BAD_KEY,
    "PERMISSION_DENIED": ErrorKind.PERMISSION,
    "NOT_FOUND": ErrorKind.NOT_FOUND,
    "INTERNAL": ErrorKind.SERVER_ERROR,
    "UNKNOWN": ErrorKind.SERVER_ERROR,
    "DATA_LOSS": ErrorKind.SERVER_ERROR,
    "UNAVAILABLE": ErrorKind.OVERLOADED,
    "ABORTED": ErrorKind.OVERLOADED,
    "DEADLINE_EXCEEDED": ErrorKind.TIMEOUT,
    "CANCELLED": ErrorKind.RESET,
}
_BY_HTTP: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Redactor:
    """Takes the key out of text that came from outside. The service does not repeat keys; proxies might."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def __call__(self, text: str) -> str:
        for form in _forms(self._secret.reveal()):
            text = text.replace(form, "***")
        return text

    def detail(self, text: str) -> str:
        """Text fit to stand in an error: no key, one line, at most 200 characters."""
        line = " ".join(self(text).split())
        return line if len(line) <= _LONGEST_DETAIL else line[: _LONGEST_DETAIL - 1] + "…"


def _forms(key: str) -> Iterable[str]:
    yield key
    yield quote(key, safe="")
    yield base64.b64encode(key.encode()).decode()
    if len(key) > 20:
        yield key[:12]  # enough of it to tell whose key it is


@dataclass(frozen=True, slots=True)
class ServiceError:
    """An error as the service described it: status by google.rpc's name, and the details that tell more."""

    status: str
    message: str
    retry_after: float | None = None
    quota_ids: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @classmethod
    def from_details(cls, status: str, message: str, details: Iterable[Mapping[str, Any]]) -> ServiceError:
        """details are google.rpc messages as JSON data, each with its @type."""
        found = {str(detail.get("@type", "")).rpartition(".")[2]: detail for detail in details}
        violations = _objects(found.get("QuotaFailure", {}).get("violations"))
        return cls(
            status,
            message,
            retry_after=_seconds(found.get("RetryInfo", {}).get("retryDelay")),
            quota_ids=tuple(str(violation.get("quotaId", "")) for violation in violations),
            reasons=(str(found.get("ErrorInfo", {}).get("reason", "")),),
        )

    def to_model_error(self, redact: Redactor, wall: float) -> ModelError:
        """wall is the Unix time at which the error came."""
        detail = redact.detail(self.message)
        if "API_KEY_INVALID" in self.reasons or "API key not valid" in self.message:
            return ModelError(ErrorKind.BAD_KEY, detail)
        if self.status != "RESOURCE_EXHAUSTED":
            kind = _BY_STATUS.get(self.status, ErrorKind.SERVER_ERROR)
            return ModelError(kind, detail, retry_after=self.retry_after)
        if self._quota_is_gone():
            return ModelError(
                ErrorKind.QUOTA_DAY, detail, retry_after=self.retry_after, resets_at=next_pacific_midnight(wall)
            )
        return ModelError(ErrorKind.QUOTA_MINUTE, detail, retry_after=self.retry_after)

    def _quota_is_gone(self) -> bool:
        """True where waiting a minute cannot help: a daily quota, a quota of none, a delay of hours."""
        daily = any("PerDay" in quota_id for quota_id in self.quota_ids)
        none_at_all = re.search(r"\blimit: 0(?![\d.])", self.message) is not None
        return daily or none_at_all or (self.retry_after or 0.0) >= _HOUR


def service_error_from_http(status: int, body: bytes) -> ServiceError | None:
    """Read Google's JSON error; None where the body is something else and the status is not a server's fault."""
    error = _json_error(body)
    if error is not None:
        status_name = str(error.get("status") or _status_name(status))
        return ServiceError.from_details(status_name, str(error.get("message", "")), _objects(error.get("details")))
    if status == 429 or (status >= 500 and status != 511):  # 511: the network wants a login
        return ServiceError(_status_name(status), f"HTTP {status}")
    return None


def bad_response(redact: Redactor, status: int, content_type: str, body: bytes) -> ModelError:
    """The answer to a question that came from no Gemini: a login page, a proxy's note, half a message."""
    shown = redact.detail(body[: 4 * _LONGEST_DETAIL].decode("utf-8", "replace"))
    said = tr("需要登入網路? {page}", page=shown) if "html" in content_type else shown
    return ModelError(ErrorKind.BAD_RESPONSE, f"HTTP {status} {redact.detail(content_type)}: {said}".strip())


def _json_error(body: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(data, list) and data:  # some front ends wrap the error in a list
        data = data[0]
    error = data.get("error") if isinstance(data, dict) else None
    return error if isinstance(error, dict) else None


def _objects(data: object) -> list[dict[str, Any]]:
    """The JSON objects in a list; nothing of what a proxy may have put in its place."""
    return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []


def _status_name(status: int) -> str:
    return _BY_HTTP.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")


def _seconds(duration: object) -> float | None:
    """The seconds in a protobuf Duration's JSON form, such as 39.5s."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)s", str(duration))
    return float(match[1]) if match else None

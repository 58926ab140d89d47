"""What the loopback server can answer, as plain values: answers, refusals, and broken networks.

A reply is one of the dataclasses below; the functions make the ones that tests name often. Wrappers (Slow)
hold another reply.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

__all__ = [
    "EMPTY_SHAPES",
    "Body",
    "Cut",
    "Drip",
    "Echo",
    "Failure",
    "Hang",
    "Held",
    "Huge",
    "Raw",
    "Redirect",
    "Reply",
    "Slow",
    "answer",
    "bad_key",
    "bad_request",
    "blocked_prompt",
    "captive_portal",
    "echo",
    "finished",
    "garbage_json",
    "leaked_key",
    "max_tokens",
    "no_model",
    "overloaded",
    "quota",
    "server_error",
]

_TYPES: Final = "type.googleapis.com/google.rpc."
UNKNOWN_FINISH_NUMBER: Final = 777  # what gRPC sends for a finish reason that the SDK has no name for


@dataclass(frozen=True, slots=True)
class Body:
    """A GenerateContentResponse as JSON data, sent with HTTP 200 or status OK. {} is an empty message."""

    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Echo:
    """echo:<the request's text>, what the server says by default; the cheapest reply, for benchmarks."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as Google sends it: HTTP status, gRPC code by name, message, google.rpc details as JSON."""

    http: int
    grpc: str
    message: str
    details: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that no Gemini would send; over gRPC they stand in for the message."""

    data: bytes
    content_type: str = "application/json; charset=UTF-8"
    status: int = 200


@dataclass(frozen=True, slots=True)
class Slow:
    """The same reply, that many seconds later (in place of the server's latency)."""

    seconds: float
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """The echo, once the test sets the gate: for tests that need many calls in flight for certain."""

    gate: threading.Event

    async def opened(self) -> None:
        while not self.gate.is_set():
            await asyncio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer until the server closes."""


@dataclass(frozen=True, slots=True)
class Drip:
    """The echo, byte by byte, headers included; over gRPC, whose messages are whole, the same as Hang."""

    interval: float = 0.05
    text: str = "drip " * 200
    headers_at_once: bool = False


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends: in mid-body, or unanswered; by FIN, or by RST where reset is True.

    Over gRPC the whole connection is shut down in every case.
    """

    mid_body: bool = True
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """HTTP 301, 302, 307 or 308 to another address; REST only."""

    url: str
    status: int = 302


@dataclass(frozen=True, slots=True)
class Huge:
    """An answer of that many mebibytes of text, streamed out rather than built over REST."""

    mebibytes: int
    announce_length: bool = False


Reply: TypeAlias = Body | Echo | Failure | Raw | Slow | Held | Hang | Drip | Cut | Redirect | Huge


ECHO_PREFIX: Final = "echo:"


def answer(
    text: str, *, finish: str | int = "STOP", prompt_tokens: int = 3, tokens: int = 5, thinking: int = 0
) -> Body:
    return Body(
        {
            "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": finish}],
            "usageMetadata": {
                "promptTokenCount": prompt_tokens,
                "candidatesTokenCount": tokens,
                "thoughtsTokenCount": thinking,
                "totalTokenCount": prompt_tokens + tokens + thinking,
            },
        }
    )


def echo(text: str) -> Body:
    return answer(ECHO_PREFIX + text)


def finished(reason: str | int, text: str = "", message: str = "") -> Body:
    """A candidate that ended for that reason (a name, or a number as newer servers send it)."""
    candidate: dict[str, Any] = {"finishReason": reason}
    if text:
        candidate["content"] = {"parts": [{"text": text}]}
    if message:
        candidate["finishMessage"] = message
    return Body({"candidates": [candidate]})


def max_tokens(text: str = "") -> Body:
    return finished("MAX_TOKENS", text)


def blocked_prompt(reason: str | int = "SAFETY") -> Body:
    return Body({"promptFeedback": {"blockReason": reason}})


def quota(
    seconds: float | None = 39.0, *, per: str = "Minute", limit_zero: bool = False, details: bool = True
) -> Failure:
    """A 429: RetryInfo of fractional seconds and the QuotaFailure of a per-Minute or per-Day quota."""
    limit = 0 if limit_zero else 10
    message = (
        "You exceeded your current quota, please check your plan and billing details. * Quota exceeded for "
        f"metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: {limit}"
    )
    if not details:
        return Failure(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")
    violation = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
        "quotaId": f"GenerateRequestsPer{per}PerProjectPerModel-FreeTier",
        "quotaDimensions": {"model": "gemini-2.5-flash", "location": "global"},
        "quotaValue": str(limit),
    }
    found: list[Mapping[str, Any]] = [{"@type": _TYPES + "QuotaFailure", "violations": [violation]}]
    if seconds is not None:
        found.append({"@type": _TYPES + "RetryInfo", "retryDelay": f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"})
    return Failure(429, "RESOURCE_EXHAUSTED", message, tuple(found))


def server_error() -> Failure:
    return Failure(500, "INTERNAL", "An internal error has occurred. Please retry.")


def overloaded() -> Failure:
    return Failure(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")


def bad_request(message: str = "Request contains an invalid argument.") -> Failure:
    return Failure(400, "INVALID_ARGUMENT", message)


def bad_key() -> Failure:
    return _key_failure(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", "API_KEY_INVALID")


def leaked_key() -> Failure:
    return Failure(403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key.")


def no_model(model: str = "models/nope") -> Failure:
    return Failure(404, "NOT_FOUND", f"{model} is not found for API version v1beta, or is not supported.")


def captive_portal() -> Raw:
    return Raw(b"<!DOCTYPE html><html><body>Please log in</body></html>", "text/html; charset=utf-8")


def garbage_json() -> Raw:
    return Raw(b'{"candidates": [{"content": {"parts": [{"te')


def _key_failure(http: int, grpc: str, message: str, reason: str) -> Failure:
    info = {
        "@type": _TYPES + "ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }
    return Failure(http, grpc, message, (info,))


def _candidate(**fields: Any) -> Body:
    return Body({"candidates": [{"finishReason": "STOP", **fields}]})


EMPTY_SHAPES: Final[Mapping[str, Body | Raw]] = {
    "no candidates": Body({"usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}}),
    "empty list": Body({"candidates": []}),
    "null content": _candidate(content=None),
    "stop without parts": _candidate(content={"role": "model"}),
    "empty text": _candidate(content={"role": "model", "parts": [{"text": ""}]}),
    "empty body": Raw(b""),
    "empty object": Body({}),
}

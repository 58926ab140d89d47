"""The google-genai client and the HTTP beneath it, with the guards that the SDK does not have.

The HTTP clients are ours: no redirect is followed, a body has a largest size, connecting has a time limit, a
loopback endpoint is never reached through a proxy, and what is no plain 200 is kept whole for the translation.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from core.errors import ErrorKind, ModelError
from core.providers._gemini_failures import Redactor, bad_response, service_error_from_http
from core.providers._network_words import chain_text, network_error, too_large
from core.settings import Secret, Settings

__all__ = ["GOOGLE_URL", "LARGEST_BODY", "GenaiClient", "open_client", "to_model_error"]

LARGEST_BODY: Final = 8 << 20
_CONNECT_SECONDS: Final = 5.0
_MOST_IDLE_CONNECTIONS: Final = 256
GOOGLE_URL: Final = "https://generativelanguage.googleapis.com"


class _UnusableResponseError(Exception):
    """An HTTP response that the SDK need not see. body is b"" for a redirect."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body


class _BodyTooLargeError(Exception):
    """The body outgrew LARGEST_BODY; the rest was never read."""


@dataclass(frozen=True, slots=True)
class GenaiClient:
    """The SDK's client, its module of types, and the HTTP clients that are ours to close."""

    sdk: Any
    types: Any
    http: Any
    http_sync: Any

    async def close(self) -> None:
        await self.http.aclose()
        self.http_sync.close()


def open_client(settings: Settings, secret: Secret) -> GenaiClient:
    """Import the SDK and make a client of it; opens no socket. Raises ImportError where it is not installed."""
    # The SDK and what lies under it log warnings about its environment, which without a handler go to stderr.
    logging.getLogger("google_genai").addHandler(logging.NullHandler())
    import httpx2
    from google import genai
    from google.genai import types
    from google.genai.client import DebugConfig

    direct = settings.endpoint is not None and settings.endpoint.plaintext
    options: dict[str, Any] = {"follow_redirects": False, "trust_env": not direct, "verify": _tls(direct)}
    http = httpx2.AsyncClient(
        timeout=None,
        headers={"Accept-Encoding": "identity"},  # the size of what is read is then the size of what is kept
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=_MOST_IDLE_CONNECTIONS),
        event_hooks={"request": [_limit_connecting], "response": [_read_guarded]},
        **options,
    )
    http_sync = httpx2.Client(**options)  # never used: given, so that the SDK makes none of its own
    sdk = genai.Client(
        vertexai=False,
        api_key=secret.reveal(),
        debug_config=DebugConfig(client_mode="", replays_directory="", replay_id=""),
        http_options=types.HttpOptions(
            # All said here, because what is not said the SDK takes from the environment.
            base_url=GOOGLE_URL if settings.endpoint is None else settings.endpoint.url,
            api_version="v1beta",
            httpx_client=http_sync,
            httpx_async_client=http,
        ),
    )
    return GenaiClient(sdk, types, http, http_sync)


def to_model_error(error: Exception, redact: Redactor, wall: float) -> ModelError:
    """What the caller is told about a failure of the SDK, the network or the service at Unix time wall."""
    if isinstance(error, _BodyTooLargeError):
        return too_large(LARGEST_BODY)
    if isinstance(error, _UnusableResponseError):
        return _from_response(error, redact, wall)
    return network_error(_network_kind(error), redact(chain_text(error)))


def _from_response(error: _UnusableResponseError, redact: Redactor, wall: float) -> ModelError:
    if 300 <= error.status < 400:
        return ModelError(ErrorKind.REDIRECTED, f"HTTP {error.status}: {_target(redact, error.headers)}")
    content_type = error.headers.get("content-type", "")
    if error.status >= 400:
        service_error = service_error_from_http(error.status, error.body)
        if service_error is not None:
            return service_error.to_model_error(redact, wall)
    return bad_response(redact, error.status, content_type, error.body)


def _network_kind(error: Exception) -> ErrorKind:
    import httpx2

    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.ProxyError):
        return ErrorKind.UNAVAILABLE
    if isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError):
        return ErrorKind.RESET
    return ErrorKind.BAD_RESPONSE


def _target(redact: Redactor, headers: Mapping[str, str]) -> str:
    """Whereto, without path, query or account: those may hold anything."""
    try:
        return urlsplit(redact.detail(headers.get("location", ""))).hostname or "?"
    except ValueError:
        return "?"


def _tls(direct: bool) -> Any:
    """One TLS context for both clients; none at all for plaintext, since making one takes its time."""
    import httpx2

    return False if direct else httpx2.create_ssl_context()


async def _limit_connecting(request: Any) -> None:
    """Before each request: the SDK passes no timeout, which would also mean none for connecting."""
    request.extensions["timeout"] = {"connect": _CONNECT_SECONDS, "read": None, "write": None, "pool": None}


async def _read_guarded(response: Any) -> None:
    """Before the SDK sees a response: read it up to the limit; raises for whatever is no plain 200."""
    if 300 <= response.status_code < 400:
        raise _UnusableResponseError(response.status_code, dict(response.headers), b"")
    body = await _bounded_body(response)
    packed = response.headers.get("content-encoding", "identity") != "identity"
    if response.status_code != 200 or packed or "html" in response.headers.get("content-type", ""):
        raise _UnusableResponseError(response.status_code, dict(response.headers), body)


async def _bounded_body(response: Any) -> bytes:
    import httpx2

    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > LARGEST_BODY:
        raise _BodyTooLargeError
    stream = response.stream
    body = bytearray()
    async for chunk in stream:
        body += chunk
        if len(body) > LARGEST_BODY:
            raise _BodyTooLargeError
    await stream.aclose()
    response.stream = httpx2.ByteStream(bytes(body))
    return bytes(body)

"""The gRPC transport: calls as handles that end at our deadline or when they are cancelled."""

from __future__ import annotations

import contextlib
import math
import re
import threading
from typing import Any, Final

from core.errors import ErrorKind, ModelError
from core.language import tr
from core.providers._gemini_channels import LARGEST_MESSAGE, Channel, ChannelPool, open_channel
from core.providers._gemini_failures import Redactor, ServiceError
from core.providers._gemini_sdk import Sdk
from core.providers._network_words import network_error, too_large
from core.scope import Scope
from core.settings import Endpoint, Secret

__all__ = ["GrpcTransport"]

_SERVICE: Final = "/google.ai.generativelanguage.v1beta."
_GENERATE: Final = _SERVICE + "GenerativeService/GenerateContent"
_GET_MODEL: Final = _SERVICE + "ModelService/GetModel"
# The service has been seen to refuse an announced deadline under 10 s with a 400. We end the call ourselves at
# the real one; the announced one lies later, so that the two never race.
_SHORTEST_ANNOUNCED: Final = 10.0
_SLACK: Final = 1.0

# gRPC gives its own troubles the same codes as the service's refusals; only the words tell them apart.
_AMBIGUOUS: Final = frozenset({"UNAVAILABLE", "INTERNAL", "UNKNOWN", "CANCELLED"})
# gRPC remembers a failed look-up, and asks again later and later: such a channel is replaced by a fresh one.
_NO_ADDRESS: Final = re.compile(
    "DNS resolution|Name resolution|errors resolving|lookup failed|[Ee]mpty address list|no addresses"
)
_NO_CONNECTION: Final = re.compile(
    f"{_NO_ADDRESS.pattern}|failed to connect|[Hh]andshake|"
    "connections to all backends|ipv[46]:.*(refused|unreachable|timed out)|[Tt]imeout occurred"
)
# gRPC goes on handing calls to a connection for a moment after it broke: such a channel is replaced as well.
_LOST_CONNECTION: Final = re.compile(
    "Socket closed|Connection (reset|closed|aborted)|Broken pipe|GOAWAY|recvmsg|sendmsg|End of TCP|"
    "ping timeout|keepalive"
)
_BROKEN_CONNECTION: Final = re.compile(
    f"{_LOST_CONNECTION.pattern}|Cancelling all calls|RST_STREAM|Stream removed|[Ee]ndpoint|[Tt]ransport|http2_error"
)
_NOT_GRPC: Final = re.compile(r"http1\.x|Received http2 header with status|invalid.*content-type", re.IGNORECASE)


class GrpcTransport:
    """Asks over a pool of channels. Thread-safe. close() ends what is in flight."""

    def __init__(self, sdk: Sdk, endpoint: Endpoint, secret: Secret, redact: Redactor, model: str) -> None:
        self._sdk = sdk
        self._secret = secret
        self._redact = redact
        self._host = endpoint.host
        self._routing = (
            ("x-goog-request-params", f"model=models/{model}"),
            ("x-goog-api-client", sdk.client_header),
        )
        self._pool = ChannelPool(lambda: open_channel(sdk.grpc, endpoint))

    def generate(self, request: Any, scope: Scope) -> tuple[Any, bytes]:
        """The response message; the second part, the JSON it came from, is empty over gRPC."""
        response = self._parse(self._exchange(_GENERATE, request, scope))
        if response is None:
            raise ModelError(ErrorKind.BAD_RESPONSE, tr("收到的不是 Gemini 的訊息"))
        return response, b""

    def get_model(self, request: Any, scope: Scope) -> None:
        """Ask for the model's description; returning means that key, model and network are in order."""
        self._exchange(_GET_MODEL, request, scope)

    def close(self) -> None:
        self._pool.close()

    def _exchange(self, method: str, request: Any, scope: Scope) -> bytes:
        scope.check()
        channel = self._pool.acquire(scope)
        call = self._start(channel, method, request.SerializeToString(), scope)
        if call.code() is self._sdk.grpc.StatusCode.OK:
            return bytes(call.result())
        failure = self._failure(call, scope)
        if _spoils_channel(call.code().name, call.details() or ""):
            self._pool.retire(channel)
        del call  # its repr holds the service's words unredacted, and this frame travels with the error
        scope.check()
        raise failure

    def _start(self, channel: Channel, method: str, data: bytes, scope: Scope) -> Any:
        """Start the call and wait until it has ended, or the scope has."""
        wait = _Wait(self._pool, channel)
        left = scope.deadline - scope.now()
        announced = None if math.isinf(left) else max(_SHORTEST_ANNOUNCED, left + _SLACK)
        call: Any = None
        try:
            call = channel.call(method).future(
                data, timeout=announced, metadata=(("x-goog-api-key", self._secret.reveal()), *self._routing)
            )
        except ValueError:  # gRPC's way to say that the channel was closed meanwhile
            pass
        finally:
            if call is None:
                self._pool.release(channel)
        if call is None:
            raise ModelError(ErrorKind.UNAVAILABLE, tr("連線已關閉"))
        call.add_done_callback(wait.done)
        try:
            wait.until_done(scope)
        except BaseException:
            call.cancel()
            raise
        return call

    def _parse(self, data: bytes) -> Any:
        """The message in the bytes, or None. A method of its own: the bytes stay out of the error's frames."""
        with contextlib.suppress(self._sdk.decode_error):
            return self._sdk.response.FromString(data)
        return None

    def _failure(self, call: Any, scope: Scope) -> ModelError:
        message = call.details() or ""
        own = _own_trouble(call.code().name, message)
        if own is ErrorKind.TOO_LARGE:
            return too_large(LARGEST_MESSAGE)
        if own is not None:
            return network_error(own, self._redact(message), self._host)
        return self._described(call, message).to_model_error(self._redact, scope.clock.wall())

    def _described(self, call: Any, message: str) -> ServiceError:
        try:
            details = self._sdk.api_exceptions.from_grpc_error(call).details
        except (ValueError, self._sdk.decode_error):  # garbled, or contradicting the status, which then counts alone
            details = []
        return ServiceError.from_details(call.code().name, message, [self._as_data(detail) for detail in details])

    def _as_data(self, detail: Any) -> dict[str, Any]:
        name = detail.DESCRIPTOR.full_name
        if name == "google.protobuf.Any":  # of a type that this SDK does not know
            return {}
        return {"@type": name, **self._sdk.json_format.MessageToDict(detail)}


class _Wait:
    """Waits for one call to end; gives its place on the channel back when it really has."""

    __slots__ = ("_channel", "_ended", "_is_done", "_pool")

    def __init__(self, pool: ChannelPool, channel: Channel) -> None:
        self._pool = pool
        self._channel = channel
        # Guards _is_done; held by the waiting thread for its check, by gRPC's thread to set it.
        self._ended = threading.Condition(threading.Lock())
        self._is_done = False

    def done(self, _: object) -> None:
        self._pool.release(self._channel)
        with self._ended:
            self._is_done = True
            self._ended.notify()

    def until_done(self, scope: Scope) -> None:
        with self._ended:
            scope.wait_for(self._ended, lambda: self._is_done)


def _own_trouble(code: str, message: str) -> ErrorKind | None:
    """The kind of an error that gRPC made itself; None where the service sent it."""
    if code == "RESOURCE_EXHAUSTED":
        return ErrorKind.TOO_LARGE if "larger than max" in message else None
    if _NOT_GRPC.search(message):
        return ErrorKind.BAD_RESPONSE
    if code not in _AMBIGUOUS:
        return None
    if _NO_CONNECTION.search(message):
        return ErrorKind.UNAVAILABLE
    if code == "CANCELLED" or _BROKEN_CONNECTION.search(message):
        return ErrorKind.RESET
    return None


def _spoils_channel(code: str, message: str) -> bool:
    """True where the next call on the channel would fail the same way, for a while."""
    match _own_trouble(code, message):
        case ErrorKind.UNAVAILABLE:
            return _NO_ADDRESS.search(message) is not None
        case ErrorKind.RESET:
            return _LOST_CONNECTION.search(message) is not None
    return False

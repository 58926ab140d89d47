"""The real provider's parts, each alone: the pool of channels, redaction, errors of gRPC's own, sockets."""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import DeadlineExceededError, ErrorKind, ModelError, OperationCancelledError
from core.ports import Prompt
from core.providers import _gemini_grpc, _gemini_sockets
from core.providers._gemini_channels import ChannelPool
from core.providers._gemini_failures import Redactor, ServiceError, service_error_from_http
from core.providers._gemini_grpc import GrpcTransport
from core.providers._gemini_sdk import load_sdk
from core.providers.gemini import GeminiModel
from core.scope import Scope
from core.settings import Endpoint, Secret, Settings
from tests.fakes import FakeClock
from tests.servers import LoopbackGemini
from tests.servers import replies as r
from tests.servers.checks import CANARY, find_canary


class FakeChannel:
    def __init__(self) -> None:
        self.closed = 0

    def unary_unary(self, method: str) -> str:
        return method

    def close(self) -> None:
        self.closed += 1


def pool_of(most_calls: int, most_channels: int) -> tuple[ChannelPool, list[FakeChannel]]:
    opened: list[FakeChannel] = []

    def opener() -> FakeChannel:
        opened.append(FakeChannel())
        return opened[-1]

    return ChannelPool(opener, most_calls=most_calls, most_channels=most_channels), opened


def test_the_pool_opens_a_channel_only_when_all_are_full() -> None:
    """Calls go to the least busy channel; a new one is opened at the limit, and room is used again."""
    pool, opened = pool_of(2, 3)
    first, second, third = (pool.acquire(Scope()) for _ in range(3))
    assert (first is second, second is third, len(opened), pool.channels) == (True, False, 2, 2)
    assert pool.acquire(Scope()) is third
    pool.release(first)
    assert pool.acquire(Scope()) is first
    assert first.call("/a/b") is first.call("/a/b")


def test_a_full_pool_waits_for_room() -> None:
    """With every channel full a call waits until one ends, and then takes its place."""
    clock = FakeClock()
    pool, opened = pool_of(1, 1)
    held = pool.acquire(Scope())
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(pool.acquire, Scope(clock=clock))
        clock.block_until(1)
        pool.release(held)
        assert waiting.result(timeout=10) is held
    assert (len(opened), held.in_flight) == (1, 1)


@pytest.mark.parametrize(("end", "error"), [("cancel", OperationCancelledError), ("deadline", DeadlineExceededError)])
def test_waiting_for_room_ends_with_the_scope(end: str, error: type[Exception]) -> None:
    """A call that waits for a channel keeps its deadline and its cancellation, and takes no place."""
    clock = FakeClock()
    pool, _ = pool_of(1, 1)
    held = pool.acquire(Scope())
    scope = Scope(clock=clock, deadline=clock.now() + 5)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(pool.acquire, scope)
        clock.block_until(1)
        if end == "cancel":
            scope.cancel()
        else:
            clock.advance(5)
        assert isinstance(waiting.exception(timeout=10), error)
    assert held.in_flight == 1


def test_closing_a_pool_frees_who_waits() -> None:
    """close() closes every channel once and ends the wait of those without one."""
    clock = FakeClock()
    pool, opened = pool_of(1, 1)
    pool.acquire(Scope())
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(pool.acquire, Scope(clock=clock))
        clock.block_until(1)
        pool.close()
        error = waiting.exception(timeout=10)
    pool.close()
    assert isinstance(error, ModelError)
    assert error.kind is ErrorKind.UNAVAILABLE
    assert [channel.closed for channel in opened] == [1]


def test_the_limit_holds_under_many_threads() -> None:
    """However many threads take and give back at once, no channel ever has more than its limit."""
    pool, opened = pool_of(3, 4)
    seen: list[int] = []

    def use(_: int) -> None:
        channel = pool.acquire(Scope())
        seen.append(channel.in_flight)
        pool.release(channel)

    with ThreadPoolExecutor(24) as threads:
        list(threads.map(use, range(2000)))
    assert max(seen) <= 3
    assert len(opened) <= 4


def test_a_retired_channel_is_closed_when_its_calls_have_ended() -> None:
    """A retired channel takes no more calls; it is closed by the next call after its last one, or by close()."""
    pool, opened = pool_of(5, 1)
    held, again = pool.acquire(Scope()), pool.acquire(Scope())
    assert held is again
    pool.retire(held)
    pool.retire(held)
    pool.release(held)
    fresh = pool.acquire(Scope())
    assert (fresh is held, pool.channels, opened[0].closed) == (False, 1, 0)
    pool.release(again)
    pool.release(pool.acquire(Scope()))
    assert [channel.closed for channel in opened] == [1, 0]
    pool.retire(fresh)
    pool.close()
    assert [channel.closed for channel in opened] == [1, 1]


def test_a_channel_that_found_no_address_is_replaced() -> None:
    """gRPC asks ever more rarely for a name that once failed; a fresh channel asks at once."""
    settings = Settings(api_key=Secret(CANARY), endpoint=Endpoint("no-such-host.invalid", 443, False))
    model = GeminiModel(settings)
    opened = []
    for _ in range(2):
        with pytest.raises(ModelError) as caught:
            model.generate(Prompt("q"), Scope())
        assert caught.value.kind is ErrorKind.UNAVAILABLE
        assert model._parts is not None
        transport = model._parts.transport
        assert isinstance(transport, GrpcTransport)
        opened.append(transport._pool.channels)
    model.close()
    assert opened == [0, 0]


def test_a_channel_whose_connection_broke_is_replaced() -> None:
    """gRPC would hand the next call to the broken connection for a moment; a fresh channel makes a new one."""
    with LoopbackGemini(script=[None, r.Cut(), None]) as server:
        model = GeminiModel(Settings(api_key=Secret(CANARY), endpoint=server.grpc_endpoint))
        opened = []
        for _ in range(3):
            with contextlib.suppress(ModelError):
                model.generate(Prompt("q"), Scope())
            assert model._parts is not None
            transport = model._parts.transport
            assert isinstance(transport, GrpcTransport)
            opened.append(transport._pool.channels)
        model.close()
        assert (opened, server.calls) == ([1, 0, 1], 3)


@pytest.mark.parametrize("announced", [(3.0, 10.0), (30.0, 31.0), (math.inf, None)])
def test_the_announced_deadline_is_never_short(announced: tuple[float, float | None]) -> None:
    """The service is told at least 10 s, a little more than is left, or nothing where there is no deadline."""
    left, expected = announced
    told: list[Any] = []

    def start(_: bytes, *, timeout: float | None, metadata: Any) -> Any:
        told.append(timeout)
        raise ValueError("Cannot invoke RPC on closed channel!")

    transport = GrpcTransport(load_sdk(), Endpoint("h", 1, True), Secret("k"), Redactor(Secret("k")), "m")
    pool = ChannelPool(lambda: SimpleNamespace(unary_unary=lambda _: SimpleNamespace(future=start), close=lambda: None))
    transport._pool = pool
    clock = FakeClock()
    with pytest.raises(ModelError) as caught:
        transport.generate(load_sdk().request(), Scope(clock=clock, deadline=clock.now() + left))
    assert (caught.value.kind, told) == (ErrorKind.UNAVAILABLE, [expected])
    assert pool.acquire(Scope()).in_flight == 1


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("UNAVAILABLE", "The model is overloaded. Please try again later.", None),
        ("INTERNAL", "An internal error has occurred.", None),
        ("RESOURCE_EXHAUSTED", "Quota exceeded", None),
        ("INVALID_ARGUMENT", "Socket closed", None),
        ("PERMISSION_DENIED", "Requests to this endpoint are blocked.", None),
        ("RESOURCE_EXHAUSTED", "CLIENT: Received message larger than max (10 vs. 8)", ErrorKind.TOO_LARGE),
        ("UNAVAILABLE", "failed to connect to all addresses; last error: ...", ErrorKind.UNAVAILABLE),
        ("UNAVAILABLE", "DNS resolution failed for x: C-ares status is not ARES_SUCCESS", ErrorKind.UNAVAILABLE),
        ("UNAVAILABLE", "Socket closed", ErrorKind.RESET),
        ("UNAVAILABLE", "recvmsg:Connection reset by peer", ErrorKind.RESET),
        ("INTERNAL", "Received RST_STREAM with error code 2", ErrorKind.RESET),
        ("CANCELLED", "Channel closed!", ErrorKind.RESET),
        ("UNAVAILABLE", "Trying to connect an http1.x server", ErrorKind.BAD_RESPONSE),
        ("PERMISSION_DENIED", "Received http2 header with status: 403", ErrorKind.BAD_RESPONSE),
    ],
)
def test_grpcs_own_troubles_are_told_from_the_services(code: str, message: str, kind: ErrorKind | None) -> None:
    """The same code can come from the network or from the service; the words decide."""
    assert _gemini_grpc._own_trouble(code, message) is kind


@pytest.mark.parametrize(
    ("code", "message", "spoilt"),
    [
        ("UNAVAILABLE", "Stream removed (Socket closed)", True),
        ("UNAVAILABLE", "Stream removed (sendmsg: Broken pipe (32))", True),
        ("UNAVAILABLE", "GOAWAY received", True),
        ("UNAVAILABLE", "DNS resolution failed for x", True),
        ("UNAVAILABLE", "failed to connect to all addresses; last error: Connection refused", False),
        ("INTERNAL", "Received RST_STREAM with error code 2", False),
        ("CANCELLED", "", False),
        ("UNAVAILABLE", "The model is overloaded. Please try again later.", False),
        ("RESOURCE_EXHAUSTED", "Stream removed (CLIENT: Received message larger than max (10 vs. 8))", False),
    ],
)
def test_only_a_channel_that_would_fail_again_is_replaced(code: str, message: str, spoilt: bool) -> None:
    """A lost connection and a failed look-up spoil the channel; the end of one call, or no server, do not."""
    assert _gemini_grpc._spoils_channel(code, message) is spoilt


@pytest.mark.parametrize("trailer", [b"\x08\x05", b"\xff"], ids=["contradicting", "garbled"])
def test_details_that_cannot_be_used_are_ignored(trailer: bytes) -> None:
    """A trailer that contradicts the call's status or is garbled does no more harm than a missing one."""
    sdk = load_sdk()
    call = SimpleNamespace(
        code=lambda: sdk.grpc.StatusCode.UNAVAILABLE,
        details=lambda: "busy",
        trailing_metadata=lambda: (("grpc-status-details-bin", trailer),),
    )
    transport = GrpcTransport(sdk, Endpoint("h", 1, True), Secret(CANARY), Redactor(Secret(CANARY)), "m")
    error = transport._failure(call, Scope())
    assert (error.kind, error.detail) == (ErrorKind.OVERLOADED, "busy")


def test_the_key_is_redacted_in_every_form() -> None:
    """The key itself, percent-encoded, in base64, or its telling beginning: none of them gets through."""
    key = "AIza+Sy/abcdefghijklmnop"
    redact = Redactor(Secret(key))
    for form in (key, "AIza%2BSy%2Fabcdefghijklmnop", "QUl6YStTeS9hYmNkZWZnaGlqa2xtbm9w", key[:12]):
        assert redact(f"<{form}>") == "<***>"
    assert Redactor(Secret("short"))("short and shor") == "*** and shor"
    assert redact.detail("a\n  b\t" + "x" * 300) == "a b " + "x" * 195 + "…"


def test_daily_quotas_return_at_pacific_midnight() -> None:
    """The reset is the next midnight in Los Angeles."""
    error = ServiceError("RESOURCE_EXHAUSTED", "x", quota_ids=("RequestsPerDay",))
    redact = Redactor(Secret("k" * 30))
    noon = datetime(2026, 7, 1, 20, tzinfo=UTC).timestamp()
    assert error.to_model_error(redact, noon).resets_at == datetime(2026, 7, 2, 7, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"code": 429, "details": 5}}',
        b'{"error": {"code": 429, "details": [7, {"@type": "x.QuotaFailure", "violations": [7]}]}}',
        b'{"error": {"code": 429, "details": [{"@type": "x.QuotaFailure", "violations": 7}]}}',
        b"[" * 100_000,
    ],
)
def test_an_error_of_another_shape_is_no_reason_to_fall_over(body: bytes) -> None:
    """A 429 whose details are not Google's is still a quota."""
    error = service_error_from_http(429, body)
    assert error is not None
    assert error.to_model_error(Redactor(Secret("k" * 30)), 0.0).kind is ErrorKind.QUOTA_MINUTE


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("limit: 0, model: x", ErrorKind.QUOTA_DAY),
        ("limit: 0", ErrorKind.QUOTA_DAY),
        ("limit: 05", ErrorKind.QUOTA_MINUTE),
        ("limit: 0.5", ErrorKind.QUOTA_MINUTE),
        ("limit: 10", ErrorKind.QUOTA_MINUTE),
    ],
)
def test_a_limit_of_zero_is_no_quota_at_all(message: str, kind: ErrorKind) -> None:
    """Waiting a minute helps only where the limit is more than nothing."""
    assert ServiceError("RESOURCE_EXHAUSTED", message).to_model_error(Redactor(Secret("k" * 30)), 0.0).kind is kind


def test_a_name_that_never_resolves_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver may take minutes; a call waits four seconds of it and no longer."""
    release = threading.Event()

    def never(*_: Any, **__: Any) -> list[Any]:
        release.wait(30)
        return []

    monkeypatch.setattr("socket.getaddrinfo", never)
    clock = FakeClock()
    call = _gemini_sockets.HttpCall(Scope(clock=clock, deadline=clock.now() + 100))

    def connect() -> None:
        with call.running():
            _gemini_sockets.connect("slow.test", 443)

    with ThreadPoolExecutor(1) as thread:
        connecting = thread.submit(connect)
        clock.block_until(1, timed=True)
        clock.advance(4)
        assert isinstance(connecting.exception(timeout=10), TimeoutError)
        release.set()
    assert call.failure is not None
    assert (call.failure.kind, call.failure.detail) == (ErrorKind.UNAVAILABLE, "slow.test: 連線逾時")


def test_a_name_without_addresses_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty list of addresses is said as a host that cannot be found."""
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [])
    call = _gemini_sockets.HttpCall(Scope())
    with call.running(), pytest.raises(OSError, match="no addresses"):
        _gemini_sockets.connect("empty.test", 443)
    assert call.failure is not None


def test_a_socket_is_guarded_only_within_a_call() -> None:
    """A guarded socket without a call is a bug and says so; with an ended call it does not wait."""
    with pytest.raises(RuntimeError):
        _gemini_sockets.current_call()
    scope = Scope()
    call = _gemini_sockets.HttpCall(scope)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with call.running():
            call.guard(ours)
            assert ours.gettimeout() is None
            scope.cancel()
            with pytest.raises(ConnectionAbortedError):
                call.guard(ours)
            assert ours.recv(1) == b""
        late = _gemini_sockets.HttpCall(Scope(deadline=0.0))
        with late.running(), pytest.raises(TimeoutError):
            late.guard(theirs)
        call.abort()  # long after its end: touches no socket
        with pytest.raises(ConnectionError):
            theirs.sendall(b"x")


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_the_key_is_in_no_log_and_on_no_screen(
    transport: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """With every logger at DEBUG and every kind of fault, the key is written nowhere, and stderr stays empty."""
    caplog.set_level(logging.DEBUG)
    for name in ("google", "grpc", "urllib3", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).addHandler(caplog.handler)
    faults: list[r.Reply | None] = [
        *(r.bad_key(), r.leaked_key(), r.quota(1.5), r.overloaded(), r.Cut(), r.Cut(mid_body=False, reset=True)),
        *(r.Raw(CANARY.encode(), "text/html"), r.bad_request(CANARY), r.Hang(), r.Huge(9), r.blocked_prompt()),
    ]
    try:
        with LoopbackGemini(script=faults) as server:
            settings = Settings(api_key=Secret(CANARY), transport=transport, endpoint=server.endpoint(transport))
            model = GeminiModel(settings)
            for _ in faults:
                with Scope().child(timeout=1.0) as scope, pytest.raises((ModelError, DeadlineExceededError)) as caught:
                    model.generate(Prompt("q"), scope)
                assert find_canary(caught.value) == []
            model.close()
    finally:
        for name in ("google", "grpc", "urllib3", "asyncio"):
            logging.getLogger(name).setLevel(logging.NOTSET)
            logging.getLogger(name).removeHandler(caplog.handler)
    written = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert CANARY[:12] not in written
    assert tuple(capfd.readouterr()) == ("", "")

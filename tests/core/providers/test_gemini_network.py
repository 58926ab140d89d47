"""The real provider on a bad network: deadlines, cancellation, broken and missing connections, many calls."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from core.errors import DeadlineExceededError, ErrorKind, ModelError, OperationCancelledError, ScopeError
from core.ports import Prompt
from core.providers.gemini import GeminiModel
from core.scope import Scope
from core.settings import Endpoint, Secret, Settings
from tests.servers import LoopbackGemini, SeenRequest
from tests.servers import replies as r
from tests.servers.checks import CANARY, find_canary, nothing_left_over

TRANSPORTS = ("grpc", "rest")
LATE = 0.25  # seconds after its deadline by which a call has ended


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextlib.contextmanager
def model_at(endpoint: Endpoint, transport: str) -> Iterator[GeminiModel]:
    model = GeminiModel(Settings(api_key=Secret(CANARY), transport=transport, endpoint=endpoint))
    model.preload()
    try:
        yield model
    finally:
        model.close()


def ask(model: GeminiModel, scope: Scope, text: str = "hi", timeout: float | None = None) -> str:
    with scope.child(timeout=timeout) as inner:
        return model.generate(Prompt(text), inner).text


def failure(model: GeminiModel, timeout: float = 10.0) -> ModelError:
    with pytest.raises(ModelError) as caught:
        ask(model, Scope(), timeout=timeout)
    assert find_canary(caught.value) == []
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    return caught.value


@contextlib.contextmanager
def mute_server(*, accept: bool) -> Iterator[Endpoint]:
    """A port that never says a word: it accepts connections, or (its backlog full) not even that."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=16 if accept else 0))
        port = listener.getsockname()[1]
        if not accept:
            for _ in range(4):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
        yield Endpoint("127.0.0.1", port, True)


@contextlib.contextmanager
def one_answer(said: bytes, *, times: int = 1) -> Iterator[Endpoint]:
    """A port that says those bytes to whatever it is asked, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:

        def serve() -> None:
            for _ in range(times):
                with contextlib.suppress(ConnectionError), listener.accept()[0] as connection:
                    connection.recv(65536)
                    connection.sendall(said)

        thread.submit(serve)
        try:
            yield Endpoint("127.0.0.1", listener.getsockname()[1], True)
        finally:
            listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "reply", [r.Hang(), r.Drip(), r.Drip(headers_at_once=True), r.Slow(5.0)], ids=["hang", "drip", "drip body", "slow"]
)
def test_a_call_ends_at_its_deadline(transport: str, reply: r.Reply) -> None:
    """However the server stalls, the call ends when its time is up, and at the server too."""
    with (
        nothing_left_over(),
        LoopbackGemini(script=reply) as server,
        model_at(server.endpoint(transport), transport) as m,
    ):
        started = time.monotonic()
        with pytest.raises(DeadlineExceededError) as caught:
            ask(m, Scope(), timeout=0.6)
        took = time.monotonic() - started
        server.records.wait_until_idle()
    assert 0.5 <= took <= 0.6 + LATE
    assert find_canary(caught.value) == []


@pytest.mark.parametrize("reply", [r.Hang(), r.Drip()], ids=["hang", "drip"])
def test_a_call_ends_when_cancelled_from_another_thread(transport: str, reply: r.Reply) -> None:
    """Cancelling the scope ends the call at once, here and at the server."""
    with LoopbackGemini(script=reply) as server, model_at(server.endpoint(transport), transport) as model:
        scope = Scope()
        with ThreadPoolExecutor(1) as thread:
            call = thread.submit(ask, model, scope, timeout=30.0)
            server.records.wait_for_calls(1)
            cancelled_at = time.monotonic()
            scope.cancel()
            error = call.exception(timeout=10)
        assert isinstance(error, OperationCancelledError)
        assert time.monotonic() - cancelled_at < 1.0
        assert find_canary(error) == []
        server.records.wait_until_idle()


def test_an_ended_scope_asks_nothing(transport: str) -> None:
    """Neither a passed deadline nor a cancelled scope reaches the server."""
    with LoopbackGemini() as server, model_at(server.endpoint(transport), transport) as model:
        cancelled = Scope()
        cancelled.cancel()
        for scope in (cancelled, Scope(deadline=0.0)):
            with pytest.raises(ScopeError):
                ask(model, scope)
            with pytest.raises(ScopeError):
                model.verify(scope)
        assert server.requests == []


def test_one_stalled_call_does_not_hold_up_others(transport: str) -> None:
    """While one call hangs, the others on the same model are answered."""

    def script(seen: SeenRequest) -> r.Reply | None:
        return r.Hang() if seen.text == "hang" else None

    with LoopbackGemini(script=script) as server, model_at(server.endpoint(transport), transport) as model:
        scope = Scope()
        with ThreadPoolExecutor(1) as thread:
            hanging = thread.submit(ask, model, scope, "hang")
            server.records.wait_for_calls(1)
            assert [ask(model, scope, f"q{i}") for i in range(5)] == [f"echo:q{i}" for i in range(5)]
            scope.cancel()
            assert isinstance(hanging.exception(timeout=10), OperationCancelledError)


@pytest.mark.parametrize(
    "reply",
    [r.Cut(), r.Cut(mid_body=False), r.Cut(reset=True), r.Cut(mid_body=False, reset=True)],
    ids=["cut", "closed unanswered", "rst in mid-body", "rst unanswered"],
)
def test_a_broken_connection_is_a_reset(transport: str, reply: r.Cut) -> None:
    """However the connection ends early, it is one kind of error, and the next call is answered."""
    with LoopbackGemini(script=[reply]) as server, model_at(server.endpoint(transport), transport) as model:
        assert failure(model).kind is ErrorKind.RESET
        assert ask(model, Scope(), timeout=10) == "echo:hi"
        assert server.calls == 2


def test_a_refused_connection_is_unavailable_until_the_server_is_back(transport: str) -> None:
    """No server is said within 5 s; once it listens again, calls are answered within a second or two."""
    with LoopbackGemini() as server, model_at(server.endpoint(transport), transport) as model:
        assert ask(model, Scope()) == "echo:hi"
        server.refuse()
        started = time.monotonic()
        for _ in range(20):
            assert failure(model).kind in (ErrorKind.UNAVAILABLE, ErrorKind.RESET)
        assert failure(model).kind is ErrorKind.UNAVAILABLE
        assert time.monotonic() - started < 5
        server.listen_again()
        give_up = time.monotonic() + 5
        while time.monotonic() < give_up:
            with contextlib.suppress(ModelError):
                assert ask(model, Scope()) == "echo:hi"
                return
            threading.Event().wait(0.1)
        pytest.fail("the model never came back")


@pytest.mark.parametrize("accept", [True, False], ids=["accepts and is silent", "accepts nothing"])
def test_a_port_that_never_answers_is_reported_within_5_seconds(transport: str, accept: bool) -> None:
    """A connection that cannot be made is not waited for until the deadline."""
    if accept and transport == "rest":
        pytest.skip("an HTTP server that accepts and is silent is a slow answer: its end is the deadline")
    with mute_server(accept=accept) as endpoint, model_at(endpoint, transport) as model:
        started = time.monotonic()
        assert failure(model, timeout=30).kind is ErrorKind.UNAVAILABLE
        assert time.monotonic() - started < 5.0


def test_an_unknown_host_is_unavailable(transport: str) -> None:
    """A name that does not resolve is said within 5 s."""
    endpoint = Endpoint("no-such-host.invalid", 443, False)
    with nothing_left_over(), model_at(endpoint, transport) as model:
        started = time.monotonic()
        assert failure(model).kind is ErrorKind.UNAVAILABLE
        assert time.monotonic() - started < 5.0


def test_tls_is_spoken_unless_plaintext_is_meant(transport: str) -> None:
    """To an endpoint that is not marked plaintext the key is never sent in clear: the handshake fails first."""
    with LoopbackGemini() as server:
        endpoint = Endpoint("127.0.0.1", server.endpoint(transport).port, False)
        with model_at(endpoint, transport) as model:
            assert failure(model).kind is ErrorKind.UNAVAILABLE
        assert server.requests == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, signed by itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "loopback.pem"
    no_password = serialization.NoEncryption()
    encoded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)
    path.write_bytes(encoded + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_rest_over_tls_keeps_every_promise(
    monkeypatch: pytest.MonkeyPatch, certificate: Path, tls: ssl.SSLContext
) -> None:
    """Over TLS too there are answers, deadlines against a drip, and cancellation from another thread."""
    monkeypatch.setattr("core.providers._gemini_rest.DEFAULT_CA_BUNDLE_PATH", str(certificate))
    script = [None, r.Drip(), r.Hang(), None]
    with LoopbackGemini(tls=tls, script=script) as server, model_at(server.rest_endpoint, "rest") as model:
        assert ask(model, Scope(), "x" * 100_000, 10.0) == "echo:" + "x" * 100_000
        started = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            ask(model, Scope(), timeout=0.6)
        assert time.monotonic() - started <= 0.6 + LATE
        scope = Scope()
        with ThreadPoolExecutor(1) as thread:
            call = thread.submit(ask, model, scope)
            server.records.wait_for_calls(3)
            scope.cancel()
            assert isinstance(call.exception(timeout=5), OperationCancelledError)
        assert ask(model, Scope(), timeout=10) == "echo:hi"


def test_a_certificate_that_nobody_vouches_for_is_refused(tls: ssl.SSLContext) -> None:
    """An endpoint whose certificate is not trusted gets neither key nor question."""
    with LoopbackGemini(tls=tls) as server, model_at(server.rest_endpoint, "rest") as model:
        error = failure(model)
        assert error.kind is ErrorKind.UNAVAILABLE
        assert error.detail == "127.0.0.1: 伺服器的憑證不受信任"
        assert server.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_refused(status: int) -> None:
    """A redirect to another origin is an error that names it; the other origin sees nothing."""
    with LoopbackGemini() as other:
        reply = r.Redirect(other.rest_endpoint.url + "/v1beta/models/m:generateContent", status)
        with LoopbackGemini(script=reply) as server, model_at(server.rest_endpoint, "rest") as model:
            error = failure(model)
        assert error.kind is ErrorKind.REDIRECTED
        assert error.detail.startswith(f"HTTP {status} → {other.rest_endpoint.url}")
        assert other.requests == []


def test_a_login_page_is_a_bad_response() -> None:
    """HTML with HTTP 200 is said to be that, with its beginning."""
    with LoopbackGemini(script=r.captive_portal()) as server, model_at(server.rest_endpoint, "rest") as model:
        error = failure(model)
    assert error.kind is ErrorKind.BAD_RESPONSE
    assert error.detail.startswith("HTTP 200 text/html; charset=utf-8: 需要登入網路? <!DOCTYPE html>")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (r.garbage_json(), ErrorKind.BAD_RESPONSE),
        (r.Raw(b'{"candidates": 3}'), ErrorKind.BAD_RESPONSE),
        (r.Raw(b"[1]"), ErrorKind.BAD_RESPONSE),
        (r.Raw(b"\xff" * 5000, "text/plain"), ErrorKind.BAD_RESPONSE),
        (r.Raw(b"<html>blocked by policy", "text/html", 403), ErrorKind.BAD_RESPONSE),
        (r.Raw(b"log in", "text/plain", 511), ErrorKind.BAD_RESPONSE),
        (r.Raw(b"<html>bad gateway", "text/html", 502), ErrorKind.OVERLOADED),
        (r.Raw(b"[]", status=500), ErrorKind.SERVER_ERROR),
        (r.Raw(b"", status=429), ErrorKind.QUOTA_MINUTE),
        (r.Raw(b'[{"error": {"code": 404, "message": "no"}}]', status=404), ErrorKind.NOT_FOUND),
        (r.Raw(b"HTTP/1.1 " * 200, status=299), ErrorKind.BAD_RESPONSE),
    ],
)
def test_bodies_that_are_not_geminis(reply: r.Raw, kind: ErrorKind) -> None:
    """What a proxy or a broken server says instead is told apart; at most 200 characters of it are shown."""
    with LoopbackGemini(script=reply) as server, model_at(server.rest_endpoint, "rest") as model:
        error = failure(model)
    assert error.kind is kind
    assert len(error.detail) < 300


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"not http at all\r\n\r\n", ErrorKind.BAD_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope", ErrorKind.BAD_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{", ErrorKind.RESET),
    ],
)
def test_servers_that_do_not_speak_http(said: bytes, kind: ErrorKind) -> None:
    """Bytes that are no HTTP are a bad response; HTTP that ends early is a reset."""
    with one_answer(said) as endpoint, model_at(endpoint, "rest") as model:
        assert failure(model).kind is kind


def test_grpc_bytes_that_are_no_message() -> None:
    """A gRPC answer that is not the promised message is a bad response, and nothing is written to the log."""
    with LoopbackGemini(script=r.Raw(b"\xff\xff\xff")) as server, model_at(server.grpc_endpoint, "grpc") as model:
        assert failure(model).kind is ErrorKind.BAD_RESPONSE


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"<html>log in</html>" * 9, b""]
)
def test_grpc_against_something_else(said: bytes) -> None:
    """A gRPC call that meets a web server or a login page is said within 5 s not to reach the service."""
    with one_answer(said, times=20) as endpoint, model_at(endpoint, "grpc") as model:
        started = time.monotonic()
        assert failure(model).kind in (ErrorKind.UNAVAILABLE, ErrorKind.BAD_RESPONSE)
        assert time.monotonic() - started < 5.0


@pytest.mark.parametrize("announce", [True, False])
def test_an_oversized_answer_is_refused_at_the_limit(transport: str, announce: bool) -> None:
    """Over 8 MB the answer is given up, unread."""
    with (
        LoopbackGemini(script=r.Huge(10, announce)) as server,
        model_at(server.endpoint(transport), transport) as model,
    ):
        assert failure(model, timeout=30).kind is ErrorKind.TOO_LARGE


def test_a_large_answer_within_the_limit_arrives_whole(transport: str) -> None:
    """7 MB of answer are 7 MB of text."""
    with LoopbackGemini(script=r.Huge(7)) as server, model_at(server.endpoint(transport), transport) as model:
        assert len(ask(model, Scope(), timeout=30)) == 7 << 20


def test_two_hundred_in_flight_share_connections_sparingly(transport: str) -> None:
    """With 200 calls waiting at once no connection carries 100, each answer is its question's, nothing is left."""
    gate = threading.Event()
    with nothing_left_over(), LoopbackGemini(script=r.Held(gate)) as server:
        with model_at(server.endpoint(transport), transport) as model, ThreadPoolExecutor(200) as threads:
            texts = [f"q{i}" for i in range(200)]
            asked = [threads.submit(ask, model, Scope(), text, 50.0) for text in texts]
            server.records.wait_for_calls(200)
            gate.set()
            answers = [call.result() for call in asked]
        assert answers == [f"echo:{text}" for text in texts]
        assert server.records.most_in_flight == 200
        assert server.records.most_per_connection < 100


def test_connections_are_used_again(transport: str) -> None:
    """Ten calls one after another take one connection."""
    with LoopbackGemini() as server, model_at(server.endpoint(transport), transport) as model:
        for _ in range(10):
            ask(model, Scope())
        assert len(server.records.connections) == 1


def test_close_ends_grpc_calls_in_flight() -> None:
    """A call that is in flight when the model is closed ends at once."""
    with nothing_left_over(), LoopbackGemini(script=r.Hang()) as server, ThreadPoolExecutor(1) as thread:
        with model_at(server.grpc_endpoint, "grpc") as model:
            call = thread.submit(ask, model, Scope())
            server.records.wait_for_calls(1)
        error = call.exception(timeout=10)
    assert isinstance(error, ModelError)
    assert error.kind in (ErrorKind.RESET, ErrorKind.UNAVAILABLE)


@pytest.mark.parametrize("plain", [True, False])
def test_proxies_are_for_the_outside_only(monkeypatch: pytest.MonkeyPatch, transport: str, plain: bool) -> None:
    """The environment's proxy stands between us and the world, not between us and this machine."""
    with LoopbackGemini() as proxy, LoopbackGemini() as server:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.rest_endpoint.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        if plain:
            with model_at(server.endpoint(transport), transport) as model:
                assert ask(model, Scope(), timeout=10) == "echo:hi"
        else:
            with model_at(Endpoint("generativelanguage.test", 443, False), transport) as model:
                assert failure(model).kind in (ErrorKind.UNAVAILABLE, ErrorKind.RESET, ErrorKind.BAD_RESPONSE)
        assert proxy.requests == []

"""The loopback Gemini itself: a test server that lies would make every test above it worthless."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from core.providers._gemini_sdk import load_sdk
from tests.servers import LoopbackGemini
from tests.servers import replies as r
from tests.servers.checks import nothing_left_over


def ask(server: LoopbackGemini, text: str = "hi", **extra: Any) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_endpoint.port, timeout=10)
    try:
        body = {"contents": [{"parts": [{"text": text}]}], **extra}
        connection.request("POST", "/v1beta/models/m:generateContent", json.dumps(body), {"x-goog-api-key": "some-key"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_echoes_and_records_what_was_asked() -> None:
    """Each request is answered with its own text and recorded with its parts."""
    config = {"responseMimeType": "application/json"}
    with LoopbackGemini() as server:
        status, body = ask(server, "你好", systemInstruction={"parts": [{"text": "be brief"}]}, generationConfig=config)
        (seen,) = server.requests
    assert status == 200
    assert json.loads(body)["candidates"][0]["content"]["parts"][0]["text"] == "echo:你好"
    assert (seen.model, seen.text, seen.system_instruction) == ("models/m", "你好", "be brief")
    assert (seen.api_key, seen.config, seen.transport) == ("some-key", config, "rest")


def test_a_queue_of_replies_is_used_up_in_order() -> None:
    """An iterable script gives one reply per call and then the default."""
    with LoopbackGemini(script=[r.overloaded(), None, r.server_error()]) as server:
        assert [ask(server)[0] for _ in range(4)] == [503, 200, 500, 200]
        assert server.calls == 4


def test_counts_calls_in_flight() -> None:
    """The high-water mark is exact when all calls wait at once."""
    gate = threading.Event()
    with LoopbackGemini(script=r.Held(gate)) as server, ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(ask, server) for _ in range(8)]
        server.records.wait_for_calls(8)
        gate.set()
        assert [call.result()[0] for call in asked] == [200] * 8
        server.records.wait_until_idle()
        assert server.records.most_in_flight == 8
        assert len(server.records.connections) == 8


def test_refuses_and_listens_again_on_the_same_port() -> None:
    """After refuse() nobody is answered; after listen_again() everybody is."""
    with LoopbackGemini() as server:
        port = server.rest_endpoint.port
        server.refuse()
        with pytest.raises(ConnectionRefusedError):
            ask(server)
        server.listen_again()
        assert ask(server)[0] == 200
        assert server.rest_endpoint.port == port


def test_unknown_paths_are_not_found() -> None:
    """Whatever is no Gemini call gets a 404."""
    with LoopbackGemini() as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.rest_endpoint.port, timeout=10)
        connection.request("GET", "/elsewhere")
        assert connection.getresponse().status == 404
        connection.close()


def test_leaves_nothing_behind_with_calls_hanging() -> None:
    """Closing ends hanging calls, the thread and every socket."""
    with nothing_left_over(), ThreadPoolExecutor(4) as threads:
        with LoopbackGemini(script=r.Hang()) as server:
            waiting = [threads.submit(ask, server) for _ in range(4)]
            server.records.wait_for_calls(4)
        assert all(isinstance(call.exception(), http.client.RemoteDisconnected | ConnectionError) for call in waiting)


def test_cutting_grpc_connections_uses_up_no_descriptors() -> None:
    """The socket to cut is looked for among all descriptors of the process, and no copy of any of them stays."""
    path = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent"
    grpc = load_sdk().grpc
    with LoopbackGemini(script=r.Cut()) as server:

        def cut() -> int:
            with (
                grpc.insecure_channel(server.grpc_endpoint.authority) as channel,
                pytest.raises(grpc.RpcError, match="UNAVAILABLE"),
            ):
                channel.unary_unary(path)(b"", timeout=10)
            return psutil.Process().num_fds()

        first, *_, last = (cut() for _ in range(8))
    assert last < first + 20, "each cut doubled them"


def test_speaks_to_the_successor_sdk_too() -> None:
    """google-genai's HTTP client gets its answer from the same server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what that SDK says at import is not this test's business
        genai = pytest.importorskip("google.genai")
    with LoopbackGemini() as server:
        client = genai.Client(api_key="k", http_options={"base_url": server.rest_endpoint.url})
        response = client.models.generate_content(model="gemini-2.5-flash", contents="hi")
        client.close()
        assert response.text == "echo:hi"
        assert server.requests[0].api_key == "k"


def test_runs_as_a_process_that_ends_with_its_stdin() -> None:
    """The process prints its ports as JSON and exits with 0 when stdin closes."""
    command = [sys.executable, "-m", "tests.servers", "--latency", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ports = json.loads(process.stdout.readline())
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == ""
    assert ports["grpc_port"] > 0 < ports["rest_port"]

"""LoopbackGemini: a Gemini on 127.0.0.1, over gRPC and REST, in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeAlias

from core.settings import Endpoint
from tests.servers.batch_side import BatchSide
from tests.servers.grpc_side import GrpcSide
from tests.servers.records import Records
from tests.servers.records import SeenRequest as SeenRequest
from tests.servers.replies import Body, Cut, Drip, Echo, Failure, Hang, Held, Huge, Raw, Redirect, Reply, Slow
from tests.servers.rest_side import RestSide

__all__ = ["LoopbackGemini", "Script"]

Script: TypeAlias = Callable[[SeenRequest], Reply | None] | Reply | Iterable[Reply | None] | None
_REPLIES = (Body, Echo, Failure, Raw, Slow, Held, Hang, Drip, Cut, Redirect, Huge)
_PATIENCE = 20.0


class LoopbackGemini:
    """Answers every generate call as its script says; by default with echo:<text> after latency seconds.

    script is a function of the request, one reply for all, or an iterable used up one reply per call and then
    the default; None means the default. model_script does the same for the model's description. Scripts may be
    replaced at any time. With tls, REST is spoken over TLS; gRPC never is. A context manager: on leaving it, its
    thread, loop and sockets are gone.
    """

    def __init__(
        self,
        *,
        latency: float = 0.0,
        script: Script = None,
        model_script: Script = None,
        streams: int = 100,
        grpc_port: int = 0,
        rest_port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.latency = latency
        self._tls = tls is not None
        self.records = Records()
        # Guards the two scripts; held by the server while it takes a reply, by tests while they replace one.
        # Scripts run under it: they are the test's own and must not call back into the server.
        self._lock = threading.Lock()
        self._scripts = {"generate": _Script(script), "get_model": _Script(model_script)}
        self._ports = (grpc_port, rest_port)
        self._grpc = GrpcSide(self.records, self._decide, streams=streams)
        self._rest = RestSide(self.records, self._decide, tls=tls)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._main, args=(ready,), name="loopback-gemini", daemon=True)
        self._thread.start()
        if not ready.wait(_PATIENCE) or self._failure is not None:
            raise RuntimeError("the loopback server did not start") from self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            raise RuntimeError("the loopback server did not stop")

    @property
    def grpc_endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self._grpc.port, True)

    @property
    def rest_endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self._rest.port, not self._tls)

    def endpoint(self, transport: str) -> Endpoint:
        return self.grpc_endpoint if transport == "grpc" else self.rest_endpoint

    @property
    def batches(self) -> BatchSide:
        return self._rest.batches

    @property
    def requests(self) -> list[SeenRequest]:
        return self.records.requests

    @property
    def calls(self) -> int:
        return self.records.calls

    def set_script(self, script: Script) -> None:
        with self._lock:
            self._scripts["generate"] = _Script(script)

    def set_model_script(self, script: Script) -> None:
        with self._lock:
            self._scripts["get_model"] = _Script(script)

    def refuse(self) -> None:
        """Stop listening and drop every connection: whoever calls now is refused."""
        self._run(self._stop())

    def listen_again(self) -> None:
        """Listen on the same ports as before."""
        self._run(self._start(self._grpc.port, self._rest.port))

    def _decide(self, seen: SeenRequest) -> tuple[float, Reply]:
        with self._lock:
            reply = self._scripts[seen.method].next_reply(seen)
        delay = self.latency
        if isinstance(reply, Slow):
            delay, reply = reply.seconds, reply.reply
        return delay, Echo() if reply is None else reply

    def _main(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:  # noqa: BLE001 - kept for __enter__, which raises it in the test's thread
            self._failure = error
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        await self._start(*self._ports)
        ready.set()
        await self._closing.wait()
        await self._stop()

    async def _start(self, grpc_port: int, rest_port: int) -> None:
        await self._grpc.start(grpc_port)
        await self._rest.start(rest_port)

    async def _stop(self) -> None:
        await self._grpc.stop()
        await self._rest.stop()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)


class _Script:
    """One shape for the three that a test may write."""

    def __init__(self, script: Script) -> None:
        self._function: Callable[[SeenRequest], Reply | None]
        if script is None or isinstance(script, _REPLIES):
            self._function = lambda _: script
        elif callable(script):
            self._function = script
        else:
            queue: Iterator[Reply | None] = iter(script)
            self._function = lambda _: next(queue, None)

    def next_reply(self, seen: SeenRequest) -> Reply | None:
        return self._function(seen)

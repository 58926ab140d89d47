"""The gRPC face of the loopback Gemini: one event loop, no thread per call."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any, Final

from tests.servers import _wire
from tests.servers.records import Records, SeenRequest
from tests.servers.replies import ECHO_PREFIX, Body, Cut, Drip, Echo, Failure, Hang, Held, Huge, Raw, Redirect, Reply

__all__ = ["GrpcSide"]

_SERVICE: Final = "google.ai.generativelanguage.v1beta."
Decide = Callable[[SeenRequest], tuple[float, Reply]]


class GrpcSide:
    """Serves GenerateContent and GetModel on 127.0.0.1. Used only from the loop that started it."""

    def __init__(self, records: Records, decide: Decide, *, streams: int) -> None:
        self._records = records
        self._decide = decide
        self._streams = streams
        self._server: Any = None
        self._huge: dict[int, bytes] = {}  # by size: made once, since many calls may get it at the same time
        self.port = 0

    async def start(self, port: int) -> None:
        wire = _wire.messages()
        import grpc
        from grpc import aio

        self._grpc = grpc
        self._wire = wire
        server = aio.server(
            options=[
                ("grpc.max_concurrent_streams", self._streams),
                ("grpc.so_reuseport", 0),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", -1),
            ]
        )
        server.add_generic_rpc_handlers(
            (
                self._handler("GenerativeService", "GenerateContent", self._generate),
                self._handler("ModelService", "GetModel", self._get_model),
            )
        )
        self.port = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    def _handler(self, service: str, method: str, behaviour: Callable[[bytes, Any], Any]) -> Any:
        # No deserialiser and no serialiser: what is sent may be no message at all.
        handler = self._grpc.unary_unary_rpc_method_handler(behaviour)
        return self._grpc.method_handlers_generic_handler(_SERVICE + service, {method: handler})

    async def _generate(self, data: bytes, context: Any) -> bytes:
        request = self._wire.Request.FromString(data)
        seen = SeenRequest(
            method="generate",
            model=request.model,
            text="".join(part.text for content in request.contents for part in content.parts),
            system_instruction="".join(part.text for part in request.system_instruction.parts),
            config=self._config(request),
            **self._known(context),
        )
        return await self._serve(seen, context)

    async def _get_model(self, data: bytes, context: Any) -> bytes:
        request = self._wire.GetModel.FromString(data)
        return await self._serve(SeenRequest(method="get_model", model=request.name, **self._known(context)), context)

    def _config(self, request: Any) -> Any:
        return self._wire.json.MessageToDict(request.generation_config) if request.HasField("generation_config") else {}

    def _known(self, context: Any) -> dict[str, Any]:
        headers = dict(context.invocation_metadata())
        return {
            "transport": "grpc",
            "api_key": headers.get("x-goog-api-key", ""),
            "connection": context.peer(),
            "headers": headers,
        }

    async def _serve(self, seen: SeenRequest, context: Any) -> bytes:
        self._records.enter(seen)
        try:
            delay, reply = self._decide(seen)
            if delay > 0:
                await asyncio.sleep(delay)
            return await self._reply(seen, reply, context)
        finally:
            self._records.leave(seen)

    async def _reply(self, seen: SeenRequest, reply: Reply, context: Any) -> bytes:
        match reply:
            case Body(data) if seen.method == "generate":
                return _wire.encode_body(data)
            case Echo() if seen.method == "generate":
                return _wire.encode_text(ECHO_PREFIX + seen.text)
            case Body() | Echo():
                return _wire.encode_model(seen.model)
            case Held():
                await reply.opened()
                return _wire.encode_text(ECHO_PREFIX + seen.text)
            case Raw(data):
                return data
            case Huge(mebibytes):
                if mebibytes not in self._huge:
                    self._huge[mebibytes] = _wire.encode_text("x" * (mebibytes << 20))
                return self._huge[mebibytes]
            case Failure():
                await self._fail(reply, context)
            case Cut():
                _shut_connection(seen.connection, self.port)
            case Redirect():
                await context.abort(self._grpc.StatusCode.UNIMPLEMENTED, "gRPC knows no redirects")
            case Hang() | Drip():
                pass
            case _:
                raise TypeError(f"not a reply: {reply!r}")
        await asyncio.Event().wait()  # ended by the client, the connection, or stop()
        raise AssertionError("unreachable")

    async def _fail(self, failure: Failure, context: Any) -> None:
        code = self._grpc.StatusCode[failure.grpc]
        status = _wire.encode_status(failure, code.value[0])
        trailing = (("grpc-status-details-bin", status),) if failure.details else ()
        await context.abort(code, failure.message, trailing)


def _shut_connection(peer: str, port: int) -> None:
    """End the TCP connection of that client; gRPC has no call for it, so the socket is looked up by its ends.

    By gRPC's own descriptor and no copy of it: gRPC closes its own at once, and a copy would keep the connection
    open and its events coming.
    """
    client_port = int(peer.rpartition(":")[2])
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # no socket, or closed in the meantime
            found = socket.socket(fileno=int(name))
            try:
                if _port(found.getsockname()) == port and _port(found.getpeername()) == client_port:
                    found.shutdown(socket.SHUT_RDWR)
            finally:
                found.detach()


def _port(address: Any) -> int:
    return int(address[1]) if isinstance(address, tuple) else -1

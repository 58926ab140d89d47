"""The REST face of the loopback Gemini: HTTP/1.1 by hand, so that faults down to the byte are possible."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.servers import _wire
from tests.servers.batch_side import BatchSide
from tests.servers.records import Records, SeenRequest
from tests.servers.replies import Body, Cut, Drip, Echo, Failure, Hang, Held, Huge, Raw, Redirect, Reply, answer, echo

__all__ = ["RestSide"]

Decide = Callable[[SeenRequest], tuple[float, Reply]]
_JSON = "application/json; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class _HttpRequest:
    verb: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class RestSide:
    """Serves questions, models' descriptions and batches on 127.0.0.1. Used only from the loop that started it."""

    def __init__(self, records: Records, decide: Decide, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._records = records
        self._decide = decide
        self.batches = BatchSide(decide)
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.port = 0

    async def start(self, port: int) -> None:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", port, limit=1 << 20, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        tasks = list(self._open)
        for writer in self._open.values():
            writer.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            # Cancellation is how stop() ends a connection; the rest is a client that went away.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            del self._open[task]
            writer.transport.abort() if writer.is_closing() else writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; True if the connection stays open for another."""
        request = await _read_request(reader)
        if request is None:
            return False
        seen = self._understand(request, writer)
        if seen is None:
            return await _send(writer, 404, _JSON, b"{}")
        self._records.enter(seen)
        try:
            if seen.method.startswith("batch "):
                return await self._reply_to_batch(seen, request, reader, writer)
            delay, reply = self._decide(seen)
            if await _gone(reader, delay):
                return False
            return await self._reply(seen, reply, reader, writer)
        finally:
            self._records.leave(seen)

    def _understand(self, request: _HttpRequest, writer: asyncio.StreamWriter) -> SeenRequest | None:
        path = unquote(urlsplit(request.target).path)
        resource, _, action = path.removeprefix("/v1beta/").partition(":")
        host, port = writer.get_extra_info("peername")[:2]
        known: dict[str, Any] = {
            "transport": "rest",
            "model": resource,
            "api_key": request.headers.get("x-goog-api-key", ""),
            "connection": f"{host}:{port}",
            "headers": request.headers,
        }
        if request.verb == "POST" and action == "generateContent":
            return _wire.seen_generate(json.loads(request.body), **known)
        if request.verb == "GET" and resource.startswith("models/") and not action:
            return SeenRequest(method="get_model", **known)
        return self.batches.understand(request.verb, request.target, known)

    async def _reply_to_batch(
        self, seen: SeenRequest, request: _HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        reply, headers = self.batches.serve(seen, request.target, request.body)
        if isinstance(reply, Raw):
            return await _send(writer, reply.status, reply.content_type, reply.data, headers)
        return await self._reply(seen, reply, reader, writer)

    async def _reply(
        self, seen: SeenRequest, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        match reply:
            case Body() | Echo() if seen.method == "get_model":
                return await _send(writer, 200, _JSON, _dump(_wire.model_data(seen.model)))
            case Body(data):
                return await _send(writer, 200, _JSON, _dump(data))
            case Echo():
                return await _send(writer, 200, _JSON, _dump(echo(seen.text).data))
            case Held():
                await reply.opened()
                return await self._reply(seen, Echo(), reader, writer)
            case Raw(raw, content_type, status):
                return await _send(writer, status, content_type, raw)
            case Failure():
                return await _send(writer, reply.http, _JSON, _dump(_failure_data(reply)))
            case Redirect(url, status):
                return await _send(writer, status, "text/html", b"moved", {"Location": url})
            case Huge():
                return await _send_huge(writer, reply)
            case Drip():
                return await _send_drip(writer, reply)
            case Cut():
                return await _cut(writer, reply, seen)
            case Hang():
                await _gone(reader, None)
                return False
            case _:
                raise TypeError(f"not a reply: {reply!r}")


async def _read_request(reader: asyncio.StreamReader) -> _HttpRequest | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    verb, _, rest = first.partition(" ")
    if verb not in ("GET", "POST"):
        return None
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return _HttpRequest(verb, rest.rpartition(" ")[0], headers, body)


async def _gone(reader: asyncio.StreamReader, seconds: float | None) -> bool:
    """Wait (None: for ever); True as soon as the client has closed the connection."""
    if seconds is not None and seconds <= 0:
        return False
    try:
        # The client sends nothing while it waits for its answer, so the only thing to read is its end.
        return not await asyncio.wait_for(reader.read(1), seconds)
    except TimeoutError:
        return False


async def _send(
    writer: asyncio.StreamWriter, status: int, content_type: str, body: bytes, extra: Mapping[str, str] | None = None
) -> bool:
    writer.write(_head(status, content_type, len(body), extra) + body)
    await writer.drain()
    return True


def _head(status: int, content_type: str, length: int | None, extra: Mapping[str, str] | None = None) -> bytes:
    size = {"Connection": "close"} if length is None else {"Content-Length": str(length)}
    fields = {"Content-Type": content_type, **size, **(extra or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode("latin-1")


async def _send_huge(writer: asyncio.StreamWriter, reply: Huge) -> bool:
    before, after = _dump(answer("@").data).split(b"@")
    size = len(before) + (reply.mebibytes << 20) + len(after)
    writer.write(_head(200, _JSON, size if reply.announce_length else None) + before)
    block = b"x" * (1 << 18)
    for _ in range(reply.mebibytes << 2):
        writer.write(block)
        await writer.drain()
    writer.write(after)
    await writer.drain()
    return False


async def _send_drip(writer: asyncio.StreamWriter, reply: Drip) -> bool:
    body = _dump(echo(reply.text).data)
    head = _head(200, _JSON, len(body))
    if reply.headers_at_once:
        writer.write(head)
        head = b""
    for byte in head + body:
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(reply.interval)
    return True


async def _cut(writer: asyncio.StreamWriter, reply: Cut, seen: SeenRequest) -> bool:
    if reply.mid_body:
        body = _dump(echo(seen.text).data)
        writer.write(_head(200, _JSON, len(body)) + body[: len(body) // 2])
        await writer.drain()
    if reply.reset:
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() sends RST
        writer.transport.abort()
    return False


def _failure_data(failure: Failure) -> dict[str, Any]:
    error = {"code": failure.http, "message": failure.message, "status": failure.grpc}
    if failure.details:
        error["details"] = list(failure.details)
    return {"error": error}


def _dump(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode()

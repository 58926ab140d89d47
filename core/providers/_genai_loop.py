"""An event loop in a thread of its own, on which threads run coroutines under a Scope."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from core.errors import PoolClosedError
from core.language import marked, tr
from core.scope import Scope

__all__ = ["LoopThread"]

_CLOSED = marked("模型已關閉, 請重新啟動程式")

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for other threads. Thread-safe; the thread starts with the first coroutine.

    on_stop is awaited on the loop when close() is called, after everything still running was cancelled.
    """

    def __init__(self, name: str, *, on_stop: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._on_stop = on_stop
        # Guards the three fields below; held to start, submit or mark as closed, while no coroutine runs.
        self._lock = threading.Lock()
        self._closed = False
        self._loop: _Loop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], Coroutine[Any, Any, T]], scope: Scope) -> T:
        """Run the coroutine and return its result; at the scope's end it is cancelled and the cause raised.

        Raises PoolClosedError after close(), and where close() ended it.
        """
        scope.check()
        condition = threading.Condition()
        future = self._submit(work)
        future.add_done_callback(lambda _: _notify(condition))
        try:
            with condition:
                scope.wait_for(condition, future.done)
        except BaseException:
            future.cancel()
            raise
        if future.cancelled():
            raise PoolClosedError(tr(_CLOSED))
        return future.result()

    def close(self) -> None:
        """Cancel what runs, let go of what is open, end the thread. Idempotent; returns when all is done."""
        with self._lock:
            first, self._closed = not self._closed, True
            loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        if first:
            loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def _submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        with self._lock:
            if self._closed:
                raise PoolClosedError(tr(_CLOSED))
            if self._loop is None:
                self._loop = _Loop()
                self._thread = threading.Thread(target=self._serve, args=(self._loop,), name=self._name, daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work(), self._loop)

    def _serve(self, loop: _Loop) -> None:
        try:
            loop.run_forever()
            loop.run_until_complete(self._wind_up())
        finally:
            loop.close()

    async def _wind_up(self) -> None:
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._on_stop()
        await asyncio.get_running_loop().shutdown_asyncgens()


class _Loop(asyncio.SelectorEventLoop):
    """Looks up addresses in daemon threads.

    The loop's own way is an executor whose threads the interpreter waits for at exit: without a network a
    look-up takes tens of seconds, and so would leaving the program.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[tuple[Any, ...], asyncio.Future[Any]] = {}

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        """As the base class; callers who ask for the same at once share one look-up."""
        query = (host, port, family, type, proto, flags)
        if query not in self._lookups:
            self._lookups[query] = future = self.create_future()
            future.add_done_callback(lambda done: self._forget(query, done))
            threading.Thread(target=self._look_up, args=(query, future), name="look-up", daemon=True).start()
        return await asyncio.shield(self._lookups[query])

    def _forget(self, query: tuple[Any, ...], done: asyncio.Future[Any]) -> None:
        del self._lookups[query]
        done.exception()  # seen, even where every caller has gone

    def _look_up(self, query: tuple[Any, ...], future: asyncio.Future[Any]) -> None:
        found: Any = None
        error: Exception | None = None
        try:
            found = socket.getaddrinfo(*query)
        except Exception as caught:  # noqa: BLE001 - handed whole to the callers who wait for it
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime: nobody waits any more
            self.call_soon_threadsafe(_settle, future, found, error)


def _settle(future: asyncio.Future[Any], found: Any, error: Exception | None) -> None:
    if error is None:
        future.set_result(found)
    else:
        future.set_exception(error)


def _notify(condition: threading.Condition) -> None:
    with condition:
        condition.notify_all()

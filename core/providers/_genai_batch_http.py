"""Calls of the batch API through google-genai: its requests, our reading of the replies.

The SDK's types drop what a person waits for (the counts, the error of a failed job) and refuse whole jobs over
one detail they do not know. So the SDK gets an empty object to read, and the reply itself comes back as JSON.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from core.errors import ErrorKind, ModelError, PoolClosedError, SettingsError
from core.language import tr
from core.providers._gemini_failures import Redactor, bad_response
from core.providers._genai_http import GenaiClient, open_client, to_model_error
from core.providers._genai_loop import LoopThread
from core.scope import Scope
from core.settings import Settings

__all__ = ["BatchLink", "downloaded"]

# One of them is set by the task that makes a call and read by the hooks that run within the same task.
_TAKEN: ContextVar[list[bytes] | None] = ContextVar("batch reply", default=None)
_STREAMED: ContextVar[bool] = ContextVar("batch download", default=False)
_NOTHING: Final = b"{}"

T = TypeVar("T")


class BatchLink:
    """The SDK's client on a loop of its own, opened by the first call. Thread-safe.

    Raises SettingsError at construction where the SDK or the key is missing; call() raises ModelError, ScopeError.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.api_key is None:
            raise SettingsError(tr("沒有 API 金鑰, 請設定 GEMINI_API_KEY"))
        if not _is_installed():
            raise SettingsError(tr("批次工作需要另外安裝的套件, 請執行 pip install -r requirements-genai.txt"))
        self._settings = settings
        self._secret = settings.api_key
        self.redact = Redactor(settings.api_key)
        self._loop = LoopThread("google-batch", on_stop=self._close_client)
        # Guards _client; held by the first caller while the SDK is imported and the client made.
        self._lock = threading.Lock()
        self._client: GenaiClient | None = None

    def call(self, scope: Scope, ask: Callable[[GenaiClient], Awaitable[Any]]) -> Any:
        """What ask returns, run on the loop; at the scope's end it is cancelled."""
        scope.check()
        client = self._open()
        wall = scope.clock.wall

        async def guarded() -> Any:
            try:
                return await ask(client)
            except Exception as error:  # noqa: BLE001 - whatever the SDK raises becomes one of the kinds
                failure = to_model_error(error, self.redact, wall())
            return failure

        # Failures come back as values and are raised here: no SDK frame hangs on them.
        result: Any = ModelError(ErrorKind.UNAVAILABLE, tr("連線已關閉"))
        with contextlib.suppress(PoolClosedError):
            result = self._loop.run(guarded, scope)
        if isinstance(result, ModelError):
            raise result
        return result

    def reply(
        self,
        scope: Scope,
        ask: Callable[[GenaiClient], Awaitable[object]],
        read: Callable[[Mapping[str, Any]], T | None],
    ) -> T:
        """What read makes of the JSON that the service replied to the one SDK call that ask makes."""
        result: T = self.call(scope, lambda client: self.read_reply(lambda: ask(client), read))
        return result

    async def read_reply(
        self, ask: Callable[[], Awaitable[object]], read: Callable[[Mapping[str, Any]], T | None]
    ) -> T | ModelError:
        """The same, on the loop; a ModelError where the reply is no JSON object or read makes None of it.

        It is made here because a proxy's reply may hold anything, and must hang on no exception's frame.
        """
        body = await _reply_of(ask)
        data = _parsed(body)
        result = None if data is None else read(data)
        return bad_response(self.redact, 200, "", body) if result is None else result

    def close(self) -> None:
        """End the calls in flight, every connection and the thread. Idempotent."""
        self._loop.close()

    def _open(self) -> GenaiClient:
        with self._lock:
            if self._client is None:
                self._client = open_client(self._settings, self._secret)
                _hook_into(self._client.http)
            return self._client

    async def _close_client(self) -> None:
        assert self._client is not None, "the loop runs only what has a client"
        await self._client.close()


async def _reply_of(ask: Callable[[], Awaitable[object]]) -> bytes:
    """The body of the reply to the SDK call that ask makes."""
    taken: list[bytes] = []
    token = _TAKEN.set(taken)
    try:
        await ask()
    finally:
        _TAKEN.reset(token)
    return b"".join(taken)


async def downloaded(ask: Callable[[], Awaitable[object]]) -> None:
    """Make the SDK call with its body passed on as it comes, not gathered first."""
    token = _STREAMED.set(True)
    try:
        await ask()
    finally:
        _STREAMED.reset(token)


def _parsed(body: bytes) -> Mapping[str, Any] | None:
    try:
        data = json.loads(body or _NOTHING)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _hook_into(http: Any) -> None:
    """Put our reading behind the guards that the client has, which a good download bypasses."""
    guards = http.event_hooks["response"]

    async def read(response: Any) -> None:
        if _STREAMED.get() and _is_file(response):
            return
        for guard in guards:
            await guard(response)
        taken = _TAKEN.get()
        if taken is not None:
            await _take(response, taken)

    http.event_hooks = {**http.event_hooks, "response": [read]}


async def _take(response: Any, taken: list[bytes]) -> None:
    import httpx2

    taken[:] = [chunk async for chunk in response.stream]
    response.stream = httpx2.ByteStream(_NOTHING)


def _is_file(response: Any) -> bool:
    packed = response.headers.get("content-encoding", "identity") != "identity"
    return response.status_code == 200 and not packed and "html" not in response.headers.get("content-type", "")


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("google.genai") is not None
    except ModuleNotFoundError:  # not even the namespace is there
        return False

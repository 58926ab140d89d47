"""Gemini through google-genai, the successor SDK; selected by GEMINI_SDK=google-genai."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from core.errors import ErrorKind, ModelError, PoolClosedError, SettingsError, UsageError
from core.language import tr
from core.outcome import Answer
from core.ports import Prompt
from core.providers._gemini_failures import Redactor, bad_response
from core.providers._gemini_request import GenerationParameters, identity_of
from core.providers._genai_http import GenaiClient, open_client, to_model_error
from core.providers._genai_loop import LoopThread
from core.providers._genai_response import to_answer
from core.scope import Scope
from core.settings import Settings

__all__ = ["GoogleGenaiModel"]


class GoogleGenaiModel:
    """A ChatModel over google-genai. Thread-safe; hundreds of calls may be in flight.

    The SDK's async client runs on one background thread, and each caller waits for its call in its own scope:
    deadline and cancellation hold whatever the server does, and end the call. Nothing is retried here.

    Making one loads and opens nothing: the SDK is imported by preload() or the first call, thread and connections
    start with the first call and end with close(), after which every call fails. Raises SettingsError at
    construction where the SDK or the key is missing; from calls ModelError, ScopeError, and UsageError for a
    schema that is no JSON.
    """

    def __init__(self, settings: Settings, *, parameters: GenerationParameters | None = None) -> None:
        if settings.api_key is None:
            raise SettingsError(tr("沒有 API 金鑰, 請設定 GEMINI_API_KEY"))
        if not _is_installed():
            raise SettingsError(
                tr("GEMINI_SDK=google-genai 需要另外安裝的套件, 請執行 pip install -r requirements-genai.txt")
            )
        self._settings = settings
        self._model = settings.model
        self._parameters = (parameters or GenerationParameters()).given()
        self._identity = identity_of(settings.model, self._parameters, settings.endpoint)
        self._secret = settings.api_key
        self._redact = Redactor(settings.api_key)
        self._loop = LoopThread("google-genai", on_stop=self._close_client)
        # Guards _client; held by the first caller while the SDK is imported and the client made.
        self._lock = threading.Lock()
        self._client: GenaiClient | None = None

    @property
    def identity(self) -> str:
        """Canonical JSON of provider, model, parameters, and the endpoint where it is not Google's own."""
        return self._identity

    def preload(self) -> None:
        """Import the SDK now (half a second), so that the first question does not wait for it."""
        self._open()

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        scope.check()
        client = self._open()
        config = _config(client.types, prompt, self._parameters)
        result: Answer | ModelError = self._call(scope, lambda: self._ask(client, prompt.text, config))
        if isinstance(result, ModelError):
            raise result
        return result

    def verify(self, scope: Scope) -> None:
        """Ask for the model's description, which costs no tokens; raises ModelError as a question would."""
        scope.check()
        client = self._open()
        result: ModelError | None = self._call(scope, lambda: self._describe(client))
        if result is not None:
            raise result

    def close(self) -> None:
        """End the calls in flight, every connection and the thread. Idempotent."""
        self._loop.close()

    def _call(self, scope: Scope, ask: Callable[[], Awaitable[Any]]) -> Any:
        wall = scope.clock.wall

        async def guarded() -> Any:
            try:
                return await ask()
            except Exception as error:  # noqa: BLE001 - whatever the SDK raises becomes one of the kinds
                failure = to_model_error(error, self._redact, wall())
            return failure

        # Failures come back as values and are raised by the caller: no SDK frame hangs on them.
        try:
            return self._loop.run(guarded, scope)
        except PoolClosedError:
            pass
        return ModelError(ErrorKind.UNAVAILABLE, tr("連線已關閉"))

    async def _ask(self, client: GenaiClient, text: str, config: Any) -> Answer | ModelError:
        response = await client.sdk.aio.models.generate_content(model=self._model, contents=text, config=config)
        raw = response.sdk_http_response
        answer = to_answer(raw.body or "", self._model)
        if answer is None:
            content_type = (raw.headers or {}).get("content-type", "")
            return bad_response(self._redact, 200, content_type, raw.body.encode())
        return answer

    async def _describe(self, client: GenaiClient) -> None:
        await client.sdk.aio.models.get(model=self._model)

    def _open(self) -> GenaiClient:
        with self._lock:
            if self._client is None:
                self._client = open_client(self._settings, self._secret)
            return self._client

    async def _close_client(self) -> None:
        assert self._client is not None, "the loop runs only what has a client"
        await self._client.close()


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec("google.genai") is not None
    except ModuleNotFoundError:  # not even the namespace is there
        return False


def _config(types: Any, prompt: Prompt, parameters: Mapping[str, float | int]) -> Any:
    """The SDK's configuration of one call; ModelError for text that cannot be sent, UsageError for a bad schema."""
    if not _encodable(prompt.text + prompt.system_instruction):
        raise ModelError(ErrorKind.BAD_REQUEST, tr("問題含有無法編碼的字元"))
    return types.GenerateContentConfig(
        system_instruction=prompt.system_instruction or None,
        response_mime_type="application/json" if prompt.schema else None,
        response_json_schema=_schema(prompt.schema) if prompt.schema else None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,
        should_return_http_response=True,
        **parameters,
    )


def _schema(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(tr("回答格式 (JSON schema) 無法使用, 請改用正確的 JSON: {error}", error=error)) from error


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

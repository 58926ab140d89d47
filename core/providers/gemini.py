"""The real model: Google's Gemini through the google-generativeai SDK."""

from __future__ import annotations

import threading
from typing import Any, Final, Protocol

from core.errors import ErrorKind, ModelError, SettingsError
from core.language import tr
from core.outcome import Answer
from core.ports import Prompt
from core.providers._gemini_failures import Redactor
from core.providers._gemini_request import GenerationParameters, RequestBuilder, identity_of
from core.providers._gemini_sdk import Sdk, load_sdk
from core.providers._gemini_translate import to_answer
from core.scope import Scope
from core.settings import Endpoint, Settings

__all__ = ["GeminiModel", "GenerationParameters"]

_GOOGLE: Final = Endpoint("generativelanguage.googleapis.com", 443, False)


class GeminiModel:
    """A ChatModel that asks Gemini, over gRPC or REST as the settings say. Thread-safe.

    Making one loads and opens nothing: the SDK is loaded by preload() or the first call, connections are opened
    as they are needed and closed by close(), after which every call fails. Calls end at the scope's deadline and
    on its cancellation. Nothing is retried here. Raises SettingsError at construction where there is no key;
    from calls ModelError, ScopeError, and UsageError for a schema that cannot be expressed.
    """

    def __init__(self, settings: Settings, *, parameters: GenerationParameters | None = None) -> None:
        if settings.api_key is None:
            raise SettingsError(tr("沒有 API 金鑰, 請設定 GEMINI_API_KEY"))
        self._secret = settings.api_key
        self._model = settings.model
        self._transport_name = settings.transport
        self._endpoint = settings.endpoint or _GOOGLE
        self._parameters = parameters or GenerationParameters()
        self._identity = identity_of(settings.model, self._parameters.given(), settings.endpoint)
        self._redact = Redactor(self._secret)
        # Guards _parts and _closed; held by each call to look, and by the
        # first while it loads the SDK and makes the transport: the others need them too.
        self._lock = threading.Lock()
        self._parts: _Parts | None = None
        self._closed = False

    @property
    def identity(self) -> str:
        """Canonical JSON of provider, model, parameters, and the endpoint where it is not Google's own."""
        return self._identity

    def preload(self) -> None:
        """Load the SDK now (half a second), so that the first question does not wait for it."""
        self._ready()

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        scope.check()
        parts = self._ready()
        # Nothing the server said stays in a variable here: this frame travels with the error.
        answer = to_answer(parts.sdk, self._model, *parts.transport.generate(parts.builder.build(prompt), scope))
        if isinstance(answer, ModelError):
            raise answer
        return answer

    def verify(self, scope: Scope) -> None:
        """Ask for the model's description, which costs no tokens.

        Raises ModelError as a question would: bad_key, permission, not_found, unavailable, ...
        """
        scope.check()
        parts = self._ready()
        parts.transport.get_model(parts.sdk.model_request(name=f"models/{self._model}"), scope)

    def close(self) -> None:
        """End the calls in flight and close every connection. Idempotent."""
        with self._lock:
            self._closed = True
            parts, self._parts = self._parts, None
        if parts is not None:
            parts.transport.close()

    def _ready(self) -> _Parts:
        with self._lock:
            if self._parts is None:
                if self._closed:
                    raise ModelError(ErrorKind.UNAVAILABLE, tr("連線已關閉"))
                sdk = load_sdk()
                builder = RequestBuilder(sdk, self._model, self._parameters)
                self._parts = _Parts(sdk, builder, self._make_transport(sdk))
            return self._parts

    def _make_transport(self, sdk: Sdk) -> _Transport:
        if self._transport_name == "rest":
            from core.providers._gemini_rest import RestTransport  # requests is loaded only where it is used

            return RestTransport(sdk, self._endpoint, self._secret, self._redact)
        from core.providers._gemini_grpc import GrpcTransport

        return GrpcTransport(sdk, self._endpoint, self._secret, self._redact, self._model)


class _Transport(Protocol):
    """How messages reach the service. generate() returns the response and, over REST, the JSON it came from."""

    def generate(self, request: Any, scope: Scope) -> tuple[Any, bytes]: ...

    def get_model(self, request: Any, scope: Scope) -> None: ...

    def close(self) -> None: ...


class _Parts:
    """What a model has once the SDK is loaded."""

    __slots__ = ("builder", "sdk", "transport")

    def __init__(self, sdk: Sdk, builder: RequestBuilder, transport: _Transport) -> None:
        self.sdk = sdk
        self.builder = builder
        self.transport = transport

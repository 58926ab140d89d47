"""The REST transport: the SDK's own, over sockets and an HTTP adapter that keep our promises."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from core.errors import DeadlineExceededError, ErrorKind, ModelError
from core.language import tr
from core.providers._gemini_failures import Redactor, bad_response, service_error_from_http
from core.providers._gemini_sdk import Sdk
from core.providers._gemini_sockets import GuardedSSLSocket, HttpCall, connect, current_call
from core.providers._network_words import chain_text, network_error, too_large
from core.scope import Scope
from core.settings import Endpoint, Secret

__all__ = ["RestTransport"]

_LARGEST_BODY: Final = 8 << 20  # bytes of one answer, after decompression
_BLOCK: Final = 1 << 16
_MOST_CONNECTIONS: Final = 1000  # MAX_WORKERS at its upper bound; a connection is opened only when all are in use
# A socket's timeout may end a moment before the scope's clock says so; within it the deadline is what ended it.
_CLOCK_GRAIN: Final = 0.05


class RestTransport:
    """Asks over HTTP. Thread-safe. close() ends the idle connections; calls in flight end at their own deadline."""

    def __init__(self, sdk: Sdk, endpoint: Endpoint, secret: Secret, redact: Redactor) -> None:
        # Loaded here, after the SDK: this module itself can be imported without a word and without google.
        from google.ai.generativelanguage_v1beta.services import generative_service, model_service
        from google.auth.credentials import AnonymousCredentials

        self._sdk = sdk
        self._redact = redact
        self._host = endpoint.host
        self._adapter = _Adapter(secret, redact)
        common: dict[str, Any] = {
            "host": endpoint.authority,
            "credentials": AnonymousCredentials(),
            "url_scheme": "http" if endpoint.plaintext else "https",
        }
        self._generative = generative_service.transports.GenerativeServiceRestTransport(**common)
        self._models = model_service.transports.ModelServiceRestTransport(**common)
        for session in self._sessions():
            session.mount("http://", self._adapter)
            session.mount("https://", self._adapter)
            session.trust_env = not endpoint.plaintext  # a loopback server is not reached through a proxy

    def generate(self, request: Any, scope: Scope) -> tuple[Any, bytes]:
        """The response message, and the JSON that it was read from."""
        wrapped = self._sdk.genai.protos.GenerateContentRequest.wrap(request)
        call = HttpCall(scope)
        response = self._exchange(call, lambda: self._generative.generate_content(wrapped))
        return type(response).pb(response), call.body

    def get_model(self, request: Any, scope: Scope) -> None:
        """Ask for the model's description; returning means that key, model and network are in order."""
        wrapped = self._sdk.genai.protos.GetModelRequest.wrap(request)
        self._exchange(HttpCall(scope), lambda: self._models.get_model(wrapped))

    def close(self) -> None:
        for session in self._sessions():
            session.close()

    def _sessions(self) -> list[requests.Session]:
        # The SDK has no public way to its session; without it there is no deadline over a whole call.
        return [self._generative._session, self._models._session]

    def _exchange(self, call: HttpCall, send: Callable[[], Any]) -> Any:
        """Run the SDK's method as that call; what it raises leaves here translated, without its traceback."""
        response, failure = None, None
        with call.running():
            try:
                response = send()
            except Exception as error:  # noqa: BLE001 - requests, urllib3, ssl, http, google and json each raise their own
                failure = self._translate(call, error)
        if failure is not None:
            call.scope.check()
            raise failure
        return response

    def _translate(self, call: HttpCall, error: Exception) -> Exception:
        if call.failure is not None:
            return call.failure
        if call.status:  # a whole response was read; whatever the SDK made of it, the response tells more
            return self._refused(call)
        if call.scope.remaining() <= _CLOCK_GRAIN:
            return DeadlineExceededError(tr("期限已到"))
        return network_error(_broken(error), self._redact(chain_text(error)), self._host)

    def _refused(self, call: HttpCall) -> ModelError:
        """The body came whole: an error of the service's, or no message of its at all."""
        if call.status == 200 and not call.body.strip():
            return ModelError(ErrorKind.EMPTY, tr("回應是空的"))
        described = service_error_from_http(call.status, call.body) if call.status != 200 else None
        if described is None:
            return bad_response(self._redact, call.status, call.content_type, call.body)
        return described.to_model_error(self._redact, call.scope.clock.wall())


class _Adapter(HTTPAdapter):
    """Adds the key, refuses redirects, and reads each body whole, to its limit and its call's deadline."""

    def __init__(self, secret: Secret, redact: Redactor) -> None:
        self._secret = secret
        self._redact = redact
        super().__init__(pool_connections=4, pool_maxsize=_MOST_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
        context.sslsocket_class = GuardedSSLSocket
        self._context = context
        super().init_poolmanager(*args, ssl_context=context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = dict(_POOLS)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **proxy_kwargs)
        manager.pool_classes_by_scheme = dict(_POOLS)
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        # The context has its authorities; loading them again for each connection would cost more than the call.
        if verify is not True:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]  # untyped in its stubs

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        call = current_call()
        # Set here and not in the SDK's metadata, which its debug log would show.
        request.headers["x-goog-api-key"] = self._secret.reveal()
        options.update(stream=True, timeout=None)  # the sockets keep the time
        response = super().send(request, **options)
        call.content_type = response.headers.get("content-type", "")
        if response.is_redirect or 300 <= response.status_code < 400:
            response.close()
            call.fail(ModelError(ErrorKind.REDIRECTED, self._target(response)))
            raise requests.TooManyRedirects("redirects are refused")
        call.body = self._read(call, response)
        vars(response).update(_content=call.body, _content_consumed=True)  # what requests keeps of a body it has read
        call.status = response.status_code
        return response

    def _target(self, response: requests.Response) -> str:
        return self._redact.detail(f"HTTP {response.status_code} → {response.headers.get('location', '')}")

    def _read(self, call: HttpCall, response: requests.Response) -> bytes:
        body = bytearray()
        for block in response.iter_content(_BLOCK):
            body += block
            if len(body) > _LARGEST_BODY:
                response.close()
                call.fail(too_large(_LARGEST_BODY))
                raise requests.exceptions.ContentDecodingError("the body is too large")
        return bytes(body)


class _Connection(HTTPConnection):
    def _new_conn(self) -> Any:
        return connect(self._dns_host, self.port)


class _TlsConnection(HTTPSConnection):
    def _new_conn(self) -> Any:
        return connect(self._dns_host, self.port or 443)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS: Final = {"http": _Pool, "https": _TlsPool}


def _broken(error: Exception) -> ErrorKind:
    """What kind of end a connection came to before its response was whole."""
    root = _root(error)
    if isinstance(root, ssl.SSLError) or isinstance(error, requests.exceptions.ProxyError):
        return ErrorKind.UNAVAILABLE
    if isinstance(root, OSError | http.client.IncompleteRead):
        return ErrorKind.RESET
    return ErrorKind.BAD_RESPONSE  # what was read is not HTTP, or not what its headers say


def _root(error: BaseException) -> BaseException:
    """The error at the bottom: what requests and urllib3 wrapped in their own."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error

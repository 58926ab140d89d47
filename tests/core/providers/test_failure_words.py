"""What a person reads of a failure: our words in the language of the screen, whichever library met it."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pytest

from core.errors import ErrorKind, ModelError
from core.language import use_language
from core.ports import ChatModel, Prompt
from core.providers._network_words import chain_text, network_error
from core.providers.gemini import GeminiModel
from core.providers.google_genai import GoogleGenaiModel
from core.scope import Scope
from core.settings import Endpoint, Secret, Settings
from tests.core.providers.test_gemini_network import one_answer
from tests.messages import CHINESE
from tests.servers import LoopbackGemini
from tests.servers import replies as r
from tests.servers.checks import CANARY

WAYS: Final = ("grpc", "rest", "google-genai")
# Words of the service's own, of a page or an address, and names: shown as they are, in whatever language.
GIVEN: Final[Mapping[str, r.Reply]] = {
    "bad key": r.bad_key(),
    "leaked key": r.leaked_key(),
    "bad request": r.bad_request(),
    "no model": r.no_model(),
    "overloaded": r.overloaded(),
    "server error": r.server_error(),
    "quota of a minute": r.quota(),
    "quota of a day": r.quota(per="Day"),
    "blocked": r.blocked_prompt(),
    "blocked anew": r.blocked_prompt("BRAND_NEW"),
    "safety": r.finished("SAFETY"),
    "recitation": r.finished("RECITATION"),
    "language": r.finished("LANGUAGE"),
    "finished anew": r.finished("BRAND_NEW"),
    "out of tokens": r.max_tokens(),
    "redirect": r.Redirect("http://127.0.0.1:9/login"),
    "portal": r.captive_portal(),
    "garbage": r.garbage_json(),
    **{f"empty: {name}": reply for name, reply in r.EMPTY_SHAPES.items()},
}
BROKEN: Final[Mapping[str, r.Reply]] = {
    "too large": r.Huge(9),
    "cut": r.Cut(),
    "unanswered": r.Cut(mid_body=False),
    "reset": r.Cut(reset=True),
    "reset unanswered": r.Cut(mid_body=False, reset=True),
}


@pytest.fixture(params=["zh_TW", "en"])
def screen(request: pytest.FixtureRequest) -> Iterator[str]:
    """The language of the screen, put back afterwards."""
    use_language(request.param)
    yield str(request.param)
    use_language("zh_TW")


@contextlib.contextmanager
def model_at(endpoint: Endpoint, way: str) -> Iterator[ChatModel]:
    if way == "google-genai":
        model: GeminiModel | GoogleGenaiModel = GoogleGenaiModel(Settings(api_key=Secret(CANARY), endpoint=endpoint))
    else:
        model = GeminiModel(Settings(api_key=Secret(CANARY), transport=way, endpoint=endpoint))
    with contextlib.closing(model):
        yield model


def failure(model: ChatModel) -> ModelError:
    with Scope().child(timeout=20.0) as scope, pytest.raises(ModelError) as caught:
        model.generate(Prompt("hi"), scope)
    return caught.value


def in_our_words(detail: str, screen: str) -> bool:
    """Nothing, or a host and words of our own."""
    words = re.sub(r"^[\w.-]+: ", "", detail)
    return not words or bool(CHINESE.search(words)) == (screen == "zh_TW")


@pytest.mark.parametrize("way", WAYS)
def test_the_language_of_the_screen_alone(way: str, screen: str) -> None:
    """Reason and advice of every failure of a server's are Chinese on a Chinese screen, and have none on another."""
    with LoopbackGemini() as server, model_at(server.endpoint(way), way) as model:
        for name, reply in {**GIVEN, **BROKEN}.items():
            server.set_script(reply)
            error = failure(model)
            assert all(bool(CHINESE.search(text)) == (screen == "zh_TW") for text in (error.reason, error.advice)), name
            assert name not in BROKEN or in_our_words(error.detail, screen), (name, error.detail)
        server.refuse()
        refused = failure(model)
    assert refused.kind in (ErrorKind.UNAVAILABLE, ErrorKind.RESET)
    assert in_our_words(refused.detail, screen), refused.detail


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_is_too_large_is_told_alike(way: str) -> None:
    """However the answer came, the person reads how large one may be and what to do."""
    with LoopbackGemini(script=r.Huge(9)) as server, model_at(server.endpoint(way), way) as model:
        error = failure(model)
    assert (error.reason, error.advice) == ("回答超過大小上限 (超過 8 MB)", "請縮小問題的範圍")


def closed_port() -> Endpoint:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return Endpoint("127.0.0.1", listener.getsockname()[1], True)


def no_host() -> Endpoint:
    return Endpoint("no-such-host.invalid", 443, False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("endpoint", "words"), [(closed_port, "對方拒絕連線"), (no_host, "找不到主機")])
def test_a_server_out_of_reach_is_told_alike(way: str, endpoint: Callable[[], Endpoint], words: str) -> None:
    """Whichever library met it, a refused connection and an unknown host have the same words."""
    with model_at(endpoint(), way) as model:
        error = failure(model)
    assert error.kind is ErrorKind.UNAVAILABLE
    assert error.detail.rpartition(": ")[2] == words


@pytest.mark.parametrize("way", WAYS)
def test_a_server_without_tls_is_told_alike(way: str) -> None:
    """Where the other side does not speak TLS, that is what is said."""
    with (
        one_answer(b"HTTP/1.1 400 Bad Request\r\n\r\n", times=9) as plain,
        model_at(Endpoint(plain.host, plain.port, False), way) as model,
    ):
        error = failure(model)
    assert error.kind is ErrorKind.UNAVAILABLE
    assert error.detail.rpartition(": ")[2] == "無法建立安全連線 (TLS)"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired", "伺服器的憑證已過期"),
        (
            "certificate verify failed: Hostname mismatch, certificate is not valid for 'x'",
            "伺服器的憑證不是這台主機的",
        ),
        ("CERTIFICATE_VERIFY_FAILED: self signed certificate", "伺服器的憑證不受信任"),
        ("ProxyError: 407 Proxy Authentication Required", "代理伺服器沒有讓連線通過"),
        ("OSError: Tunnel connection failed: 403 Forbidden", "代理伺服器沒有讓連線通過"),
        ("[Errno -3] Temporary failure in name resolution", "找不到主機"),
        ("DNS resolution failed for x:443: C-ares status is not ARES_SUCCESS", "找不到主機"),
        ("[Errno 101] Network is unreachable", "網路到不了那裡"),
        ("connect: No route to host (113)", "網路到不了那裡"),
        ("WRONG_VERSION_NUMBER: Invalid certificate verification context: OK", "無法建立安全連線 (TLS)"),
        ("connection attempt timed out before receiving SETTINGS frame", "連線逾時"),
        ("something new", ""),
    ],
)
def test_the_words_of_the_libraries(raw: str, words: str) -> None:
    """The same trouble has the same words, said with the host where one is known; what is unknown has none."""
    assert network_error(ErrorKind.UNAVAILABLE, raw).detail == words
    assert network_error(ErrorKind.UNAVAILABLE, raw, "h").detail == (f"h: {words}" if words else "")


def test_a_broken_connection_needs_no_more_words() -> None:
    """What the kind says already is not said again; of what is no answer, the status that came with it is."""
    assert network_error(ErrorKind.RESET, "recvmsg: Connection reset by peer", "h").detail == ""
    assert (
        network_error(ErrorKind.BAD_RESPONSE, "Trying to connect an http1.x server").detail
        == "收到的不是 Gemini 的訊息"
    )
    not_grpc = network_error(ErrorKind.BAD_RESPONSE, "Received http2 header with status: 403")
    assert not_grpc.detail == "HTTP 403: 收到的不是 Gemini 的訊息"


def test_the_libraries_words_are_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever looks for a cause finds the whole text, with nothing in it that a terminal would obey."""
    with caplog.at_level(logging.INFO, "core.providers"):
        network_error(ErrorKind.RESET, "Stream removed (\x1b[2J)")
    assert caplog.messages == ["reset: 'Stream removed (\\x1b[2J)'"]


def test_a_chain_of_errors_is_told_by_its_innermost() -> None:
    """What the outer ones say holds addresses, in which any word may stand; their names tell where it was."""
    outer = ValueError("https://proxy.test")
    outer.__cause__ = OSError("https://proxy.test")
    outer.__cause__.__context__ = TimeoutError("innermost")
    assert chain_text(outer) == "ValueError < OSError < TimeoutError: innermost"

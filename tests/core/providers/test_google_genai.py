"""The google-genai provider against a loopback Gemini, real sockets and the real SDK."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.util
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from core.errors import (
    DeadlineExceededError,
    ErrorKind,
    ModelError,
    OperationCancelledError,
    ScopeError,
    SettingsError,
    UsageError,
)
from core.outcome import Answer, Usage
from core.ports import ChatModel, Prompt
from core.providers import _genai_http
from core.providers._gemini_failures import Redactor
from core.providers._gemini_request import GenerationParameters
from core.providers._genai_http import to_model_error
from core.providers.google_genai import GoogleGenaiModel
from core.scope import Scope
from core.settings import Endpoint, Secret, Settings
from optimizers.own_analyses import custom_analysis, parse_fields
from optimizers.packing import pack_prompt
from tests.fakes import FakeClock
from tests.servers import LoopbackGemini
from tests.servers import replies as say

KEY = "CanaryKey-0123456789-abcdefghijkl"
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def running_server() -> Iterator[LoopbackGemini]:
    with LoopbackGemini() as server:
        yield server


@pytest.fixture
def server(running_server: LoopbackGemini) -> Iterator[LoopbackGemini]:
    """A Gemini that echoes, until the test gives it another script."""
    yield running_server
    running_server.set_script(None)
    running_server.set_model_script(None)
    running_server.latency = 0.0


def make_model(endpoint: Endpoint | None, **parameters: float | int) -> GoogleGenaiModel:
    settings = Settings(api_key=Secret(KEY), sdk="google-genai", endpoint=endpoint)
    return GoogleGenaiModel(settings, parameters=GenerationParameters(**parameters))  # type: ignore[arg-type]  # whole numbers are given for the whole ones


@pytest.fixture
def model(server: LoopbackGemini) -> Iterator[GoogleGenaiModel]:
    model = make_model(server.rest_endpoint)
    yield model
    model.close()


def scope(seconds: float = 20.0) -> Scope:
    return Scope().child(timeout=seconds)


def failure(call: Callable[[], object]) -> ModelError:
    """The ModelError that the call ends in."""
    with pytest.raises(ModelError) as caught:
        call()
    return caught.value


def ask_in_vain(model: GoogleGenaiModel, text: str = "問題") -> ModelError:
    return failure(lambda: model.generate(Prompt(text), scope()))


class TestAnswers:
    def test_question_and_answer(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """A question arrives as it was asked, with the key in its header only, and its answer comes back."""
        answer = model.generate(Prompt("什麼是 REST API? 🙂"), scope())
        seen = server.requests[-1]
        assert answer == Answer("echo:什麼是 REST API? 🙂", "gemini-2.5-flash", Usage(3, 5, 0))
        assert (seen.model, seen.text, seen.api_key) == ("models/gemini-2.5-flash", "什麼是 REST API? 🙂", KEY)
        assert seen.system_instruction == ""
        assert seen.config == {}
        assert KEY not in json.dumps({**seen.headers, "x-goog-api-key": ""})
        assert "x-server-timeout" not in seen.headers
        assert isinstance(model, ChatModel)

    def test_the_schema_of_a_pack_arrives_whole(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """A list of objects with an id, labels and plain types is passed on as it is."""
        analysis = custom_analysis("看", parse_fields("產品, 價格:number, 星:integer, 推薦:boolean, type:好|差"))
        prompt = pack_prompt(analysis, ["甲", "乙"]).prompt
        model.generate(prompt, scope())
        seen = server.requests[-1]
        assert seen.config["responseJsonSchema"] == json.loads(prompt.schema)
        assert (seen.text, seen.system_instruction) == (prompt.text, prompt.system_instruction)

    def test_instruction_schema_and_parameters_are_passed_apart(self, server: LoopbackGemini) -> None:
        """The instruction is no part of the text; schema and parameters are the generation config."""
        schema = {"type": "string", "enum": ["正面", "中性", "負面"]}
        model = make_model(server.rest_endpoint, temperature=0.5, top_p=0.9, top_k=4, max_output_tokens=99)
        with contextlib.closing(model):
            model.generate(Prompt("資料", "指令", json.dumps(schema)), scope())
        seen = server.requests[-1]
        assert (seen.text, seen.system_instruction) == ("資料", "指令")
        assert seen.config == {
            "responseMimeType": "application/json",
            "responseJsonSchema": schema,
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 4,
            "maxOutputTokens": 99,
        }

    def test_parts_are_joined_and_thoughts_left_out(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """Of several parts the texts are joined, the thinking is counted and not shown."""
        parts = [{"text": "hm", "thought": True}, {"text": "一"}, {"inlineData": {}}, {"text": 5}, {"text": "二"}]
        server.set_script(
            say.Body(
                {
                    "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
                    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": -1, "thoughtsTokenCount": 40},
                }
            )
        )
        answer = model.generate(Prompt("x"), scope())
        assert (answer.text, answer.usage) == ("一二", Usage(7, 0, 40))

    @pytest.mark.parametrize("finish", ["MAX_TOKENS", "CONTINUATION"])
    def test_truncated_answer_is_an_answer_marked_so(
        self, finish: str, server: LoopbackGemini, model: GoogleGenaiModel
    ) -> None:
        """Text that the limit cut off is kept and marked, and the SDK asks for no continuation by itself."""
        before = server.calls
        server.set_script(say.finished(finish, "半句"))
        answer = model.generate(Prompt("x"), scope())
        assert (answer.text, answer.truncated) == ("半句", True)
        assert server.calls == before + 1

    def test_largest_answer_below_the_cap_is_whole(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """Seven mebibytes arrive uncut."""
        server.set_script(say.Huge(7))
        assert len(model.generate(Prompt("x"), scope()).text) == 7 << 20

    def test_identity_tells_what_changes_answers(self) -> None:
        """Model, parameters and another endpoint are in the identity, the key is not."""
        plain, warm = make_model(None), make_model(None, temperature=1)
        elsewhere = make_model(Endpoint("127.0.0.1", 1, True))
        assert len({plain.identity, warm.identity, elsewhere.identity}) == 3
        assert plain.identity == make_model(None).identity
        assert json.loads(plain.identity)["model"] == "gemini-2.5-flash"
        assert KEY not in plain.identity + warm.identity + elsewhere.identity

    def test_verify_costs_no_question(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """verify() asks for the model's description and is content with one."""
        calls = server.calls
        model.verify(scope())
        assert server.calls == calls
        assert (server.requests[-1].method, server.requests[-1].model) == ("get_model", "models/gemini-2.5-flash")

    def test_200_calls_in_flight(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """Two hundred callers are all in flight at once; cancelled together, they are answered in a second round."""
        calls, together = server.calls, Scope()
        server.set_script(say.Hang())
        with ThreadPoolExecutor(200) as pool:
            waiting = [pool.submit(model.generate, Prompt(str(number)), together.child()) for number in range(200)]
            server.records.wait_for_calls(calls + 200)
            assert server.records.in_flight == 200
            together.cancel()
            assert all(isinstance(future.exception(20), OperationCancelledError) for future in waiting)
            server.records.wait_until_idle()
            server.set_script(None)
            answers = list(pool.map(lambda text: model.generate(Prompt(text), scope(40)).text, map(str, range(200))))
        assert answers == [f"echo:{number}" for number in range(200)]


class TestRefusals:
    @pytest.mark.parametrize(
        ("reply", "kind"),
        [
            (say.bad_key(), ErrorKind.BAD_KEY),
            (say.leaked_key(), ErrorKind.PERMISSION),
            (say.no_model(), ErrorKind.NOT_FOUND),
            (say.bad_request(), ErrorKind.BAD_REQUEST),
            (say.server_error(), ErrorKind.SERVER_ERROR),
            (say.overloaded(), ErrorKind.OVERLOADED),
            (say.quota(), ErrorKind.QUOTA_MINUTE),
            (say.quota(details=False), ErrorKind.QUOTA_MINUTE),
            (say.quota(per="Day"), ErrorKind.QUOTA_DAY),
            (say.quota(limit_zero=True), ErrorKind.QUOTA_DAY),
            (say.quota(7200.0), ErrorKind.QUOTA_DAY),
            (say.captive_portal(), ErrorKind.BAD_RESPONSE),
            (say.garbage_json(), ErrorKind.BAD_RESPONSE),
            (say.Raw(b"\xff\xfe\x00"), ErrorKind.BAD_RESPONSE),
            (say.Raw(b'"text"'), ErrorKind.BAD_RESPONSE),
            (say.Raw(b"[1]"), ErrorKind.BAD_RESPONSE),
            (say.Raw(b"[" * 100_000), ErrorKind.BAD_RESPONSE),
            (say.Raw(b"<html>", "text/html", 403), ErrorKind.BAD_RESPONSE),
            (say.Raw(b"<html>", "text/html", 503), ErrorKind.OVERLOADED),
            (say.Raw(b"{}", status=201), ErrorKind.BAD_RESPONSE),
            (say.Raw(b"", "", 204), ErrorKind.BAD_RESPONSE),
            (say.Huge(9), ErrorKind.TOO_LARGE),
            (say.Huge(9, announce_length=True), ErrorKind.TOO_LARGE),
            (say.Raw(b"x" * (9 << 20), status=500), ErrorKind.TOO_LARGE),
            (say.Cut(), ErrorKind.RESET),
            (say.Cut(mid_body=False), ErrorKind.RESET),
            (say.Cut(reset=True), ErrorKind.RESET),
            (say.Cut(mid_body=False, reset=True), ErrorKind.RESET),
            (say.max_tokens(), ErrorKind.MAX_TOKENS),
            (say.finished("MAX_TOKENS", " \n"), ErrorKind.MAX_TOKENS),
        ],
    )
    def test_failure_becomes_its_kind_in_one_call(
        self, reply: say.Reply, kind: ErrorKind, server: LoopbackGemini, model: GoogleGenaiModel
    ) -> None:
        """Each refusal and each broken network has its kind, is asked once, and leaves nothing of the SDK behind."""
        calls = server.calls
        server.set_script(reply)
        error = ask_in_vain(model)
        assert error.kind is kind
        assert len(error.detail) <= 320
        assert server.calls == calls + 1
        assert error.__cause__ is None
        assert error.__context__ is None

    @pytest.mark.parametrize(
        "body",
        [
            b'{"error": {"details": 5}}',
            b'{"error": {"details": [{"@type": "x.QuotaFailure", "violations": [7]}]}}',
            b"[" * 99_999,
        ],
    )
    def test_error_of_another_shape(self, body: bytes, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """An error object that no Gemini sends is still translated, with nothing of the SDK hanging on it."""
        server.set_script(say.Raw(body, status=400))
        error = ask_in_vain(model)
        assert error.kind in (ErrorKind.BAD_RESPONSE, ErrorKind.BAD_REQUEST)
        assert error.__context__ is None

    def test_delay_of_the_server_is_kept_to_the_fraction(
        self, server: LoopbackGemini, model: GoogleGenaiModel
    ) -> None:
        """RetryInfo's fractional seconds reach the caller."""
        server.set_script(say.quota(39.25))
        assert ask_in_vain(model).retry_after == 39.25

    def test_daily_quota_says_when_it_returns(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """The quota of the day returns within a day of the scope's wall clock."""
        server.set_script(say.quota(per="Day"))
        clock = FakeClock()
        error = failure(lambda: model.generate(Prompt("x"), Scope(clock=clock)))
        assert error.resets_at is not None
        assert 0 < error.resets_at - clock.wall() <= 86_400

    @pytest.mark.parametrize("shape", say.EMPTY_SHAPES)
    def test_empty_shapes(self, shape: str, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """Every shape of nothing is an empty answer, not an error of parsing."""
        server.set_script(say.EMPTY_SHAPES[shape])
        assert ask_in_vain(model).kind is ErrorKind.EMPTY

    @pytest.mark.parametrize(
        "body",
        [
            "null", "[]", " \n", '{"candidates": null}', '{"candidates": {}}', '{"candidates": [null]}',
            '{"candidates": [{"content": {"parts": null}}]}', '{"candidates": [{"content": {"parts": [7]}}]}',
            '{"promptFeedback": {}}', '{"promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED"}}',
            '{"candidates": [{"content": [], "finishReason": 0}]}', '{"usageMetadata": [1], "promptFeedback": "x"}',
        ],
    )  # fmt: skip
    def test_odd_bodies_are_empty_answers(self, body: str, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """Valid JSON of a shape that holds no answer is an empty answer."""
        server.set_script(say.Raw(body.encode()))
        assert ask_in_vain(model).kind is ErrorKind.EMPTY

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("method", ["generate", "verify"])
    def test_redirect_is_refused_and_the_other_origin_hears_nothing(
        self, status: int, method: str, server: LoopbackGemini, model: GoogleGenaiModel
    ) -> None:
        """No request, key or question reaches the address that a redirect names."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            other.setblocking(False)
            reply = say.Redirect(f"http://127.0.0.1:{other.getsockname()[1]}/v1beta/x?q=secret", status)
            server.set_script(reply)
            server.set_model_script(reply)
            generate = method == "generate"
            error = failure(lambda: model.generate(Prompt("x"), scope()) if generate else model.verify(scope()))
            with pytest.raises(BlockingIOError):
                other.accept()
        assert error.kind is ErrorKind.REDIRECTED
        assert error.detail == f"HTTP {status}: 127.0.0.1"

    @pytest.mark.parametrize("location", ["", "/here", "http://[", "http://u:p@evil.example/"])
    def test_redirect_to_anything(self, location: str, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """A redirect to nowhere, to a path or to nonsense is refused alike."""
        server.set_script(say.Redirect(location))
        error = ask_in_vain(model)
        assert error.kind is ErrorKind.REDIRECTED
        assert "u:p" not in error.detail

    def test_refused_connection_and_recovery(self, model: GoogleGenaiModel) -> None:
        """A server that is down is unavailable, and answers again when it is back."""
        with LoopbackGemini() as server, contextlib.closing(make_model(server.rest_endpoint)) as model:
            model.generate(Prompt("x"), scope())
            server.refuse()
            assert failure(lambda: model.verify(scope())).kind in (ErrorKind.UNAVAILABLE, ErrorKind.RESET)
            assert ask_in_vain(model).kind is ErrorKind.UNAVAILABLE
            server.listen_again()
            assert model.generate(Prompt("y"), scope()).text == "echo:y"

    @pytest.mark.parametrize(
        ("reply", "kind"),
        [
            (say.bad_key(), ErrorKind.BAD_KEY),
            (say.no_model(), ErrorKind.NOT_FOUND),
            (say.captive_portal(), ErrorKind.BAD_RESPONSE),
            (say.garbage_json(), ErrorKind.BAD_RESPONSE),
        ],
    )
    def test_verify_fails_as_a_question_would(
        self, reply: say.Reply, kind: ErrorKind, server: LoopbackGemini, model: GoogleGenaiModel
    ) -> None:
        """What is wrong with key, model or network is found without a question."""
        server.set_model_script(reply)
        assert failure(lambda: model.verify(scope())).kind is kind

    def test_unsendable_text(self, model: GoogleGenaiModel) -> None:
        """Lone surrogates in text or instruction are a bad request of ours, never sent."""
        assert ask_in_vain(model, "\ud800").kind is ErrorKind.BAD_REQUEST
        assert failure(lambda: model.generate(Prompt("x", "\udfff"), scope())).kind is ErrorKind.BAD_REQUEST

    def test_schema_that_is_no_json(self, model: GoogleGenaiModel) -> None:
        """A schema that cannot be read is the caller's error."""
        with pytest.raises(UsageError, match="schema"):
            model.generate(Prompt("x", schema="{"), scope())

    def test_compressed_body_is_not_unpacked(self) -> None:
        """A body that is packed although we asked for none might grow without bound, so it is no answer."""
        import httpx2

        response = httpx2.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx2.ByteStream(b"x"))
        with pytest.raises(_genai_http._UnusableResponseError) as caught:
            asyncio.run(_genai_http._read_guarded(response))
        assert to_model_error(caught.value, Redactor(Secret(KEY)), 0.0).kind is ErrorKind.BAD_RESPONSE


class TestFinishReasons:
    def members(self, name: str) -> list[str]:
        from google.genai import types

        return [member.value for member in getattr(types, name)]

    def test_every_member_is_mapped(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """No finish reason of the SDK falls through to the one for unknown names."""
        kinds: dict[str, ErrorKind] = {}
        for name in self.members("FinishReason"):
            server.set_script(say.finished(name))
            error = ask_in_vain(model)
            kinds[name] = error.kind
            assert (error.kind, error.detail) != (ErrorKind.UNKNOWN_FINISH, name), "has no entry of its own"
        assert kinds.pop("STOP") is ErrorKind.EMPTY
        assert kinds.pop("FINISH_REASON_UNSPECIFIED") is ErrorKind.EMPTY
        assert kinds.pop("SAFETY") is ErrorKind.BLOCKED
        assert kinds.pop("RECITATION") is ErrorKind.RECITATION
        assert kinds.pop("PUP_LIMITED_DISABLED") is ErrorKind.PERMISSION
        assert kinds.pop("OTHER") is ErrorKind.UNKNOWN_FINISH

    def test_every_block_reason_is_blocked(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """A blocked question says so and why, whatever the reason."""
        for name in set(self.members("BlockedReason")) - {"BLOCKED_REASON_UNSPECIFIED"}:
            server.set_script(say.blocked_prompt(name))
            error = ask_in_vain(model)
            assert error.kind is ErrorKind.BLOCKED
            assert error.detail.endswith(f" {name}")
            assert error.detail != f"問題被擋下: {name}"

    @pytest.mark.parametrize("reason", ["BRAND_NEW", 777])
    @pytest.mark.parametrize("text", ["", "some text"])
    def test_unknown_reason_is_shown_by_name(
        self, reason: str | int, text: str, server: LoopbackGemini, model: GoogleGenaiModel
    ) -> None:
        """A reason that this SDK does not know is an error with the server's own word for it."""
        server.set_script(say.finished(reason, text))
        error = ask_in_vain(model)
        assert (error.kind, error.detail) == (ErrorKind.UNKNOWN_FINISH, str(reason))

    def test_unknown_block_reason(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """A block reason that nobody knows still means blocked."""
        server.set_script(say.blocked_prompt("BRAND_NEW"))
        error = ask_in_vain(model)
        assert (error.kind, error.detail) == (ErrorKind.BLOCKED, "問題被擋下: BRAND_NEW")

    def test_text_without_a_reason_is_no_answer(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """Text of which the server does not say that it is finished is not taken for an answer."""
        server.set_script(say.Body({"candidates": [{"content": {"parts": [{"text": "x"}]}}]}))
        assert ask_in_vain(model).kind is ErrorKind.UNKNOWN_FINISH

    def test_reason_is_never_longer_than_a_name(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """A flood in place of a reason is cut."""
        server.set_script(say.finished("X" * 10_000))
        assert ask_in_vain(model).detail == "X" * 64


class TestScope:
    @pytest.mark.parametrize(
        "reply", [say.Hang(), say.Drip(), say.Drip(headers_at_once=True), say.Slow(30.0, say.echo("late"))]
    )
    def test_deadline_holds_and_ends_the_call(
        self, reply: say.Reply, server: LoopbackGemini, model: GoogleGenaiModel
    ) -> None:
        """A silent, dripping or slow server costs the caller its deadline and no more; the call itself ends too."""
        model.generate(Prompt("warm up"), scope())
        server.set_script(reply)
        with pytest.raises(DeadlineExceededError):
            model.generate(Prompt("x"), scope(0.3))
        server.records.wait_until_idle(5.0)

    def test_deadline_is_an_instant_of_the_scopes_clock(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """Nothing but the scope's own clock ends the call."""
        clock = FakeClock()
        server.set_script(say.Hang())
        ended = in_thread(lambda: model.generate(Prompt("x"), Scope(clock=clock, deadline=1015.0)))
        clock.block_until(1, timed=True)
        assert clock.next_wake() == 1015.0
        clock.advance(15.0)
        assert isinstance(ended(), DeadlineExceededError)
        server.records.wait_until_idle(5.0)

    def test_cancellation_from_another_thread(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """A cancelled scope ends its call at once, and other calls go on."""
        server.set_script(lambda seen: say.Hang() if seen.text == "hang" else None)
        calls, asked = server.calls, Scope()
        ended = in_thread(lambda: model.generate(Prompt("hang"), asked))
        server.records.wait_for_calls(calls + 1)
        assert model.generate(Prompt("other"), scope()).text == "echo:other"
        asked.cancel()
        assert isinstance(ended(), OperationCancelledError)
        server.records.wait_until_idle(5.0)

    def test_ended_scope_asks_nothing(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """Under a scope that has ended nothing is sent."""
        requests, over = len(server.requests), Scope()
        over.cancel()
        for call in (lambda: model.generate(Prompt("x"), over), lambda: model.verify(over)):
            with pytest.raises(ScopeError):
                call()
        assert len(server.requests) == requests

    def test_connecting_has_a_limit_of_its_own(self, mocker: MockerFixture) -> None:
        """A host that swallows packets is unavailable after the connect limit, long before the deadline."""
        mocker.patch.object(_genai_http, "_CONNECT_SECONDS", 0.2)
        with silent_listener() as port, contextlib.closing(make_model(Endpoint("127.0.0.1", port, True))) as model:
            assert ask_in_vain(model).kind is ErrorKind.UNAVAILABLE


class TestClose:
    def test_leaves_no_thread_and_no_socket(self, server: LoopbackGemini) -> None:
        """After close() threads and file descriptors are as before, also with calls in flight, which fail."""
        make_model(server.rest_endpoint).preload()
        threads, files = set(threading.enumerate()), open_files()
        model = make_model(server.rest_endpoint)
        model.generate(Prompt("x"), scope())
        server.set_script(say.Hang())
        calls = server.calls
        ended = in_thread(lambda: model.generate(Prompt("x"), scope()))
        server.records.wait_for_calls(calls + 1)
        model.close()
        error = ended()
        assert isinstance(error, ModelError)
        assert error.kind is ErrorKind.UNAVAILABLE
        assert set(threading.enumerate()) <= threads
        server.records.wait_until_idle(5.0)
        assert wait_until(lambda: open_files() <= files)

    def test_closed_model_answers_no_more(self, server: LoopbackGemini, model: GoogleGenaiModel) -> None:
        """close() is final and may be called twice, by two threads as well."""
        model.generate(Prompt("x"), scope())
        threads = [threading.Thread(target=model.close) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        model.close()
        assert ask_in_vain(model).detail == "連線已關閉"
        assert failure(lambda: model.verify(scope())).kind is ErrorKind.UNAVAILABLE

    def test_unused_model_has_nothing_to_close(self) -> None:
        """A model that was never asked started no thread."""
        before = threading.active_count()
        model = make_model(None)
        assert threading.active_count() == before
        model.close()
        assert ask_in_vain(model).kind is ErrorKind.UNAVAILABLE


class TestConstruction:
    def test_key_is_required(self) -> None:
        """Without a key there is no model, and the message names the variable."""
        with pytest.raises(SettingsError, match="GEMINI_API_KEY"):
            GoogleGenaiModel(Settings())

    @pytest.mark.parametrize("missing", [{"return_value": None}, {"side_effect": ModuleNotFoundError}])
    def test_missing_sdk_is_named_with_its_remedy(self, missing: dict[str, Any], mocker: MockerFixture) -> None:
        """Where the optional SDK is not installed the message says how to install it."""
        mocker.patch.object(importlib.util, "find_spec", **missing)
        with pytest.raises(SettingsError, match=r"pip install -r requirements-genai\.txt"):
            make_model(None)

    def test_environment_changes_nothing(self, server: LoopbackGemini, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variables that the SDK and its HTTP client read lead neither key nor question elsewhere."""
        for name, value in {
            "GOOGLE_API_KEY": "another-key",
            "GEMINI_API_KEY": "a-third-key",
            "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9",
            "GOOGLE_GENAI_USE_VERTEXAI": "true",
            "GOOGLE_GENAI_USE_ENTERPRISE": "false",
            "GOOGLE_CLOUD_PROJECT": "project",
            "GOOGLE_GENAI_API_VERSION": "v9",
            "GOOGLE_GENAI_CLIENT_MODE": "replay",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "ALL_PROXY": "http://127.0.0.1:9",
        }.items():
            monkeypatch.setenv(name, value)
        with contextlib.closing(make_model(server.rest_endpoint)) as model:
            assert model.generate(Prompt("x"), scope()).text == "echo:x"
        assert server.requests[-1].api_key == KEY

    def test_proxy_is_used_where_the_connection_is_encrypted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A real endpoint is reached through the environment's proxy, which sees the host and no key."""
        with socket.create_server(("127.0.0.1", 0)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
            monkeypatch.setenv("NO_PROXY", "")
            heard = in_thread(lambda: refuse_tunnel(proxy))
            with contextlib.closing(make_model(Endpoint("gemini.invalid", 443, False))) as model:
                assert ask_in_vain(model).kind is ErrorKind.UNAVAILABLE
        request = heard()
        assert isinstance(request, bytes)
        assert request.startswith(b"CONNECT gemini.invalid:443 ")
        assert KEY.encode() not in request


class TestSecrecy:
    ENCODED = base64.b64encode(KEY.encode()).decode()

    @pytest.mark.parametrize(
        "reply",
        [
            say.bad_request(f"no: {KEY} {KEY[:14]} {ENCODED}"),
            say.Raw(f"<html>{KEY}".encode(), "text/html"),
            say.Raw(b"{}", f"text/html; {KEY}", 418),
            say.Redirect(f"http://{KEY}/"),
            say.Hang(),
        ],
    )
    def test_key_is_in_no_error_and_no_log(
        self, reply: say.Reply, server: LoopbackGemini, model: GoogleGenaiModel, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A server that repeats the key in any form puts it neither into messages nor into tracebacks' locals."""
        caplog.set_level(logging.DEBUG)
        server.set_script(reply)
        with pytest.raises((ModelError, ScopeError)) as caught:
            model.generate(Prompt("問題本文"), scope(0.3))
        error = caught.value
        frames = error.__traceback__.tb_next if error.__traceback__ else None  # without this test's own
        report = traceback.TracebackException(type(error), error, frames, capture_locals=True)
        shown = f"{error} {error!r} {error.args} {''.join(report.format())}"
        assert all(ROOT in Path(frame.filename).parents for frame in report.stack)
        assert not any("site-packages" in frame.filename for frame in report.stack)
        # At DEBUG httpcore logs the headers that a server sent; what we sent is in no log.
        logged = "".join(record.getMessage() for record in caplog.records if "_headers" not in record.getMessage())
        for secret in (KEY, KEY[:12], self.ENCODED):
            assert secret.lower() not in shown.lower()
            assert secret not in logged
        assert "問題本文" not in caplog.text

    def test_headers_that_we_send_are_in_no_log(
        self, server: LoopbackGemini, model: GoogleGenaiModel, caplog: pytest.LogCaptureFixture
    ) -> None:
        """At the most talkative level of logging the key is not there."""
        caplog.set_level(logging.DEBUG)
        model.generate(Prompt("問題本文"), scope())
        assert caplog.records
        assert KEY[:12] not in caplog.text
        assert "問題本文" not in caplog.text

    def test_nothing_reaches_the_screen(self, server: LoopbackGemini) -> None:
        """A program that asks, fails and leaves without close() prints what it wants to and ends at once."""
        code = (
            "from core.providers.google_genai import GoogleGenaiModel\n"
            "from core.settings import Endpoint, Secret, Settings\n"
            "from core.ports import Prompt\nfrom core.scope import Scope\n"
            f"endpoint = Endpoint('127.0.0.1', {server.rest_endpoint.port}, True)\n"
            f"model = GoogleGenaiModel(Settings(api_key=Secret('{KEY}'), endpoint=endpoint))\n"
            "print(model.generate(Prompt('x'), Scope()).text)\n"
            "try:\n    model.generate(Prompt('bad'), Scope())\nexcept Exception as error:\n    print(error.kind)\n"
        )
        server.set_script(lambda seen: say.finished("BRAND_NEW") if seen.text == "bad" else None)
        environment = {**os.environ, "GOOGLE_API_KEY": "a", "GEMINI_API_KEY": "b", "PYTHONWARNINGS": "always"}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "echo:x\nunknown_finish\n", "")


def in_thread(work: Callable[[], object]) -> Callable[[], object]:
    """Start the work in a thread; the function returned waits for it and gives its result or what it raised."""
    ended: list[object] = []

    def run() -> None:
        try:
            ended.append(work())
        except (ModelError, ScopeError) as error:
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> object:
        thread.join(20)
        assert ended
        return ended[0]

    return result


def refuse_tunnel(listener: socket.socket) -> bytes:
    """A proxy that hears one request and closes the connection."""
    connection, _ = listener.accept()
    with connection:
        heard = connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    return heard


@contextlib.contextmanager
def silent_listener() -> Iterator[int]:
    """A port whose backlog is full, so that further connections stay unanswered."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def wait_until(condition: Callable[[], bool], patience: float = 5.0) -> bool:
    """Poll what no event announces: the other side's sockets."""
    pause = threading.Event()
    for _ in range(int(patience / 0.02)):
        if condition():
            return True
        pause.wait(0.02)
    return False

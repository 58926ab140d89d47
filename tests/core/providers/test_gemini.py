"""The real provider against the loopback Gemini: what each answer and each refusal becomes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from core.errors import ErrorKind, ModelError, SettingsError, UsageError
from core.outcome import Answer, Usage
from core.ports import ChatModel, Prompt
from core.providers._gemini_sdk import load_sdk
from core.providers.gemini import GeminiModel, GenerationParameters
from core.scope import Scope
from core.settings import Endpoint, Secret, Settings
from optimizers.own_analyses import custom_analysis, parse_fields
from optimizers.packing import pack_prompt
from tests.servers import LoopbackGemini
from tests.servers import replies as r
from tests.servers.checks import CANARY, find_canary

TRANSPORTS = ("grpc", "rest")


class Bench:
    """A server and a model on it."""

    def __init__(self, server: LoopbackGemini, transport: str) -> None:
        self.server = server
        self.transport = transport
        self.model = GeminiModel(settings_for(server.endpoint(transport), transport))

    def ask(self, text: str = "hi", timeout: float = 10.0, **prompt: Any) -> Answer:
        with Scope().child(timeout=timeout) as scope:
            return self.model.generate(Prompt(text, **prompt), scope)

    def fails(self, reply: r.Reply) -> ModelError:
        self.server.set_script(reply)
        with pytest.raises(ModelError) as caught:
            self.ask()
        assert find_canary(caught.value) == []
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        return caught.value


def settings_for(endpoint: Endpoint, transport: str) -> Settings:
    return Settings(api_key=Secret(CANARY), transport=transport, endpoint=endpoint)


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackGemini]:
    with LoopbackGemini() as server:
        yield server


@pytest.fixture(params=TRANSPORTS)
def bench(server: LoopbackGemini, request: pytest.FixtureRequest) -> Iterator[Bench]:
    server.set_script(None)
    server.set_model_script(None)
    made = Bench(server, request.param)
    yield made
    made.model.close()


def test_asks_with_text_instruction_key_and_model(bench: Bench) -> None:
    """The request carries the prompt's parts where they belong, and the answer its tokens."""
    answer = bench.ask("你好", system_instruction="be brief")
    seen = bench.server.requests[-1]
    assert answer == Answer("echo:你好", "gemini-2.5-flash", Usage(3, 5, 0))
    assert (seen.model, seen.text, seen.system_instruction) == ("models/gemini-2.5-flash", "你好", "be brief")
    assert seen.api_key == CANARY
    assert isinstance(bench.model, ChatModel)


def test_no_instruction_is_sent_where_there_is_none(bench: Bench) -> None:
    """An empty instruction and an empty schema leave no trace in the request."""
    bench.ask()
    seen = bench.server.requests[-1]
    assert (seen.system_instruction, dict(seen.config)) == ("", {})


def test_a_schema_becomes_a_response_schema(bench: Bench) -> None:
    """A JSON schema is sent in the service's dialect, with the JSON answer type."""
    schema = {
        "$schema": "x",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "labels": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "maxItems": 3},
            "type": {"type": ["integer", "null"], "description": "d"},
            "any": {"description": "of any type"},
        },
        "required": ["labels"],
    }
    bench.ask(schema=json.dumps(schema))
    config = bench.server.requests[-1].config
    assert config["responseMimeType"] == "application/json"
    sent = config["responseSchema"]
    assert sent["required"] == ["labels"]
    assert sent["properties"]["labels"]["maxItems"] == "3"
    assert sent["properties"]["labels"]["items"]["enum"] == ["a", "b"]
    assert sent["properties"]["type"]["nullable"] is True
    assert sent["properties"]["any"] == {"description": "of any type"}
    assert "additionalProperties" not in sent


def test_the_schema_of_a_pack_arrives_whole(bench: Bench) -> None:
    """A list of objects with an id, labels and plain types: every part of it is there at the other end."""
    analysis = custom_analysis("看", parse_fields("產品, 價格:number, 星:integer, 推薦:boolean, type:好|差"))
    schema = pack_prompt(analysis, ["甲", "乙"]).prompt.schema
    bench.ask(schema=schema)
    sent = _by_name(bench.server.requests[-1].config["responseSchema"])
    entry = {
        "type": "OBJECT",
        "required": ["id", "產品", "價格", "星", "推薦", "type"],
        "properties": {
            "id": {"type": "STRING"},
            "產品": {"type": "STRING"},
            "價格": {"type": "NUMBER"},
            "星": {"type": "INTEGER"},
            "推薦": {"type": "BOOLEAN"},
            "type": {"type": "STRING", "enum": ["好", "差"]},
        },
    }
    results = {"type": "ARRAY", "items": entry}
    assert sent == {"type": "OBJECT", "properties": {"results": results}, "required": ["results"]}


def _by_name(schema: Any) -> Any:
    """The schema with its types by name: over REST the SDK sends them as numbers."""
    names = ("", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT")
    if not isinstance(schema, dict):
        return schema
    return {
        name: names[value] if name == "type" and isinstance(value, int) else _by_name(value)
        for name, value in schema.items()
    }


@pytest.mark.parametrize(
    "schema", ["{", "[]", '{"type": "object", "patternProperties": {}}', '{"type": ["string", "integer"]}', "3"]
)
def test_a_schema_that_cannot_be_sent_is_refused(bench: Bench, schema: str) -> None:
    """No constraint is dropped in silence: what the SDK cannot express is a UsageError, and nothing is sent."""
    before = bench.server.calls
    with pytest.raises(UsageError):
        bench.ask(schema=schema)
    assert bench.server.calls == before


def test_parameters_are_sent_and_named_in_the_identity(server: LoopbackGemini) -> None:
    """Two models that may answer differently have different identities."""
    server.set_script(None)
    settings = settings_for(server.grpc_endpoint, "grpc")
    model = GeminiModel(settings, parameters=GenerationParameters(temperature=0.5, max_output_tokens=64))
    model.generate(Prompt("hi"), Scope())
    model.close()
    config = server.requests[-1].config
    assert (config["temperature"], config["maxOutputTokens"]) == (0.5, 64)
    assert model.identity != GeminiModel(settings).identity
    assert json.loads(model.identity)["model"] == "gemini-2.5-flash"
    assert CANARY not in model.identity
    assert "endpoint" not in json.loads(GeminiModel(Settings(api_key=Secret("k"))).identity)


def test_text_that_cannot_be_encoded_is_refused(bench: Bench) -> None:
    """A lone surrogate is a bad request of ours; nothing is sent."""
    before = bench.server.calls
    with pytest.raises(ModelError) as caught:
        bench.ask("\ud800")
    assert (caught.value.kind, bench.server.calls) == (ErrorKind.BAD_REQUEST, before)


def test_escapes_in_an_answer_arrive_as_they_are(bench: Bench) -> None:
    """The provider changes no character: making text harmless is the console's work."""
    text = "\x1b[2J\x1b]52;c;x\x07\u202e 👩‍👩‍👧 \u2028 end"
    bench.server.set_script(r.answer(text))
    assert bench.ask().text == text


def test_thinking_tokens_are_what_the_total_has_beyond(bench: Bench) -> None:
    """Usage is kept, thinking included; a total that is too small never makes it negative."""
    bench.server.set_script(r.answer("x", prompt_tokens=7, tokens=2, thinking=30))
    assert bench.ask().usage == Usage(7, 2, 30)
    bench.server.set_script(r.answer("x", prompt_tokens=7, tokens=2, thinking=-5))
    assert bench.ask().usage == Usage(7, 2, 0)


@pytest.mark.parametrize("shape", r.EMPTY_SHAPES)
def test_every_empty_shape_is_empty(bench: Bench, shape: str) -> None:
    """Seven ways to answer nothing are one kind of error, never an answer."""
    assert bench.fails(r.EMPTY_SHAPES[shape]).kind is ErrorKind.EMPTY


def test_output_limit_with_and_without_text(bench: Bench) -> None:
    """A cut answer is an answer marked truncated; a limit eaten by thinking is an error."""
    bench.server.set_script(r.max_tokens("half an ans"))
    answer = bench.ask()
    assert (answer.text, answer.truncated) == ("half an ans", True)
    assert bench.fails(r.max_tokens()).kind is ErrorKind.MAX_TOKENS


EXPECTED_FINISH = {
    "FINISH_REASON_UNSPECIFIED": ErrorKind.UNKNOWN_FINISH,
    "SAFETY": ErrorKind.BLOCKED,
    "RECITATION": ErrorKind.RECITATION,
    "LANGUAGE": ErrorKind.BAD_REQUEST,
    "OTHER": ErrorKind.UNKNOWN_FINISH,
    "BLOCKLIST": ErrorKind.BLOCKED,
    "PROHIBITED_CONTENT": ErrorKind.BLOCKED,
    "SPII": ErrorKind.BLOCKED,
    "MALFORMED_FUNCTION_CALL": ErrorKind.UNKNOWN_FINISH,
    "IMAGE_SAFETY": ErrorKind.BLOCKED,
}


def test_every_finish_reason_of_the_sdk_is_mapped(bench: Bench) -> None:
    """No member of the SDK's enum is left to chance, with text or without."""
    for number, name in load_sdk().finish_names.items():
        if name in ("STOP", "MAX_TOKENS"):
            continue
        error = bench.fails(r.finished(number, "partial"))
        assert (name, error.kind) == (name, EXPECTED_FINISH[name])
        assert name in error.detail


def test_every_block_reason_of_the_sdk_is_mapped(bench: Bench) -> None:
    """A blocked prompt says in words why."""
    for number, name in load_sdk().block_names.items():
        error = bench.fails(r.blocked_prompt(number))
        expected = ErrorKind.BLOCKED if number else ErrorKind.EMPTY
        assert (name, error.kind) == (name, expected)
        assert number == 0 or name in error.detail


@pytest.mark.parametrize("reason", [99, "BRAND_NEW_REASON"])
def test_unknown_reasons_are_shown_as_the_server_gave_them(bench: Bench, reason: int | str) -> None:
    """A reason newer than the SDK is an error with its number or name, not a crash and not an answer."""
    error = bench.fails(r.finished(reason, "text"))
    shown = str(reason if bench.transport == "rest" or isinstance(reason, int) else r.UNKNOWN_FINISH_NUMBER)
    assert (error.kind, error.detail) == (ErrorKind.UNKNOWN_FINISH, shown)
    if bench.transport == "rest" or isinstance(reason, int):
        blocked = bench.fails(r.blocked_prompt(reason))
        assert blocked.kind is ErrorKind.BLOCKED
        assert str(reason) in blocked.detail


@pytest.mark.parametrize(
    ("reply", "kind", "delay"),
    [
        (r.quota(39.5), ErrorKind.QUOTA_MINUTE, 39.5),
        (r.quota(None), ErrorKind.QUOTA_MINUTE, None),
        (r.quota(details=False), ErrorKind.QUOTA_MINUTE, None),
        (r.quota(12.25, per="Day"), ErrorKind.QUOTA_DAY, 12.25),
        (r.quota(5.0, limit_zero=True), ErrorKind.QUOTA_DAY, 5.0),
        (r.quota(7200.0), ErrorKind.QUOTA_DAY, 7200.0),
        (r.server_error(), ErrorKind.SERVER_ERROR, None),
        (r.overloaded(), ErrorKind.OVERLOADED, None),
        (r.bad_key(), ErrorKind.BAD_KEY, None),
        (r.leaked_key(), ErrorKind.PERMISSION, None),
        (r.no_model(), ErrorKind.NOT_FOUND, None),
        (r.bad_request(), ErrorKind.BAD_REQUEST, None),
        (r.Failure(401, "UNAUTHENTICATED", "who?"), ErrorKind.BAD_KEY, None),
        (r.Failure(400, "FAILED_PRECONDITION", "User location is not supported"), ErrorKind.PERMISSION, None),
        (r.Failure(504, "DEADLINE_EXCEEDED", "Deadline expired before operation"), ErrorKind.TIMEOUT, None),
        (r.Failure(499, "CANCELLED", "The operation was cancelled."), ErrorKind.RESET, None),
    ],
)
def test_refusals_are_told_apart(bench: Bench, reply: r.Failure, kind: ErrorKind, delay: float | None) -> None:
    """Each refusal has its kind, the server's delay, the server's words, and is asked exactly once."""
    before = bench.server.calls
    error = bench.fails(reply)
    assert (error.kind, error.retry_after) == (kind, delay)
    assert error.detail[:20] in reply.message
    assert bench.server.calls == before + 1
    assert (error.resets_at is not None) == (kind is ErrorKind.QUOTA_DAY)


def test_details_of_unknown_types_do_no_harm(bench: Bench) -> None:
    """A detail that the SDK has no class for is passed over, not stumbled upon."""
    details = ({"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"},)
    assert bench.fails(r.Failure(503, "UNAVAILABLE", "busy", details)).kind is ErrorKind.OVERLOADED


def test_the_key_is_taken_out_of_the_servers_words(bench: Bench) -> None:
    """A message that repeats the key arrives without it."""
    error = bench.fails(r.bad_request(f"key {CANARY} and {CANARY[:12]} are bad"))
    assert error.detail == "key *** and *** are bad"


@pytest.mark.parametrize("path", ["ok", "bad_key", "not_found"])
def test_verify_asks_for_the_models_description(bench: Bench, path: str) -> None:
    """verify() returns in silence where all is well and raises like a question where it is not."""
    asked = bench.server.calls
    if path == "ok":
        bench.model.verify(Scope())
        assert bench.server.requests[-1].model == "models/gemini-2.5-flash"
        assert bench.server.requests[-1].api_key == CANARY
    else:
        bench.server.set_model_script(r.bad_key() if path == "bad_key" else r.no_model())
        with pytest.raises(ModelError) as caught:
            bench.model.verify(Scope())
        assert caught.value.kind == path
        assert find_canary(caught.value) == []
    assert bench.server.calls == asked


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_closed_model_fails_plainly(server: LoopbackGemini, transport: str) -> None:
    """After close() a call is refused with a sentence, whether or not there were calls before."""
    fresh, used = Bench(server, transport), Bench(server, transport)
    server.set_script(None)
    used.ask()
    for bench in (fresh, used):
        bench.model.close()
        bench.model.close()
        with pytest.raises(ModelError) as caught:
            bench.ask()
        assert caught.value.kind is ErrorKind.UNAVAILABLE


def test_no_key_is_a_settings_error() -> None:
    """Without a key there is no model."""
    with pytest.raises(SettingsError):
        GeminiModel(Settings())


def test_importing_and_making_a_model_loads_nothing() -> None:
    """The SDK is loaded by preload() or the first call, in silence, and not before."""
    code = (
        "import sys; import core.providers.gemini as g; from core.settings import *\n"
        "import core.providers._gemini_grpc, core.providers._gemini_rest\n"
        "m = g.GeminiModel(Settings(api_key=Secret('k')))\n"
        "assert not {'grpc', 'google.generativeai', 'google.api_core'} & set(sys.modules)\n"
        "m.preload(); m.close()\n"
        "assert 'google.generativeai' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

"""From SDK messages to plain data and back; the one place of the server that knows google's classes."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from tests.servers.records import SeenRequest
from tests.servers.replies import UNKNOWN_FINISH_NUMBER, Failure

__all__ = ["encode_body", "encode_model", "encode_status", "encode_text", "messages", "model_data", "seen_generate"]

_MODEL = {"inputTokenLimit": 1048576, "outputTokenLimit": 65536, "supportedGenerationMethods": ["generateContent"]}


@functools.cache
def messages() -> Any:
    """The SDK's own message classes, loaded on first use."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # gRPC's C core reports every closed connection on stderr
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the SDK announces its own end and Python's at import
        from google.ai.generativelanguage_v1beta import types
        from google.protobuf import json_format
        from google.rpc import error_details_pb2, status_pb2
    return SimpleNamespace(
        Request=types.GenerateContentRequest.pb(),
        Response=types.GenerateContentResponse.pb(),
        GetModel=types.GetModelRequest.pb(),
        Model=types.Model.pb(),
        json=json_format,
        status=status_pb2,
        details=error_details_pb2,
    )


def seen_generate(data: Mapping[str, Any], **known: Any) -> SeenRequest:
    """Read a GenerateContentRequest given as JSON data with camelCase names."""
    return SeenRequest(
        method="generate",
        text=_text(data.get("contents", [])),
        system_instruction=_text([data.get("systemInstruction", {})]),
        config=data.get("generationConfig", {}),
        **known,
    )


def _text(contents: list[Mapping[str, Any]]) -> str:
    return "".join(part.get("text", "") for content in contents for part in content.get("parts", []))


def encode_body(data: Mapping[str, Any]) -> bytes:
    """A GenerateContentResponse as protobuf; an enum name the SDK lacks becomes a number it lacks."""
    wire = messages()
    prepared = {**data, "candidates": [_known_finish(candidate) for candidate in data.get("candidates", [])]}
    message = wire.json.ParseDict(prepared, wire.Response(), ignore_unknown_fields=True)
    return bytes(message.SerializeToString())


def encode_text(text: str) -> bytes:
    """An answer of that text, built without a detour through JSON: benchmarks pay for every microsecond here."""
    message = messages().Response()
    candidate = message.candidates.add(finish_reason=1)
    candidate.content.parts.add(text=text)
    counted = message.usage_metadata
    counted.prompt_token_count, counted.candidates_token_count, counted.total_token_count = 3, 5, 8
    return bytes(message.SerializeToString())


def _known_finish(candidate: Mapping[str, Any]) -> Mapping[str, Any]:
    reason = candidate.get("finishReason")
    names = messages().Response.DESCRIPTOR.fields_by_name["candidates"].message_type.enum_types_by_name["FinishReason"]
    if isinstance(reason, str) and reason not in names.values_by_name:
        return {**candidate, "finishReason": UNKNOWN_FINISH_NUMBER}
    return candidate


def encode_model(name: str) -> bytes:
    wire = messages()
    return bytes(wire.json.ParseDict({"name": name, **_MODEL}, wire.Model()).SerializeToString())


def model_data(name: str) -> dict[str, Any]:
    return {"name": name, "version": "001", "displayName": name, **_MODEL}


def encode_status(failure: Failure, number: int) -> bytes:
    """The google.rpc.Status that travels beside a gRPC error."""
    wire = messages()
    status = wire.status.Status(code=number, message=failure.message)
    wire.json.ParseDict({"details": list(failure.details)}, status)
    return bytes(status.SerializeToString())

"""From a Prompt to the SDK's request message."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from core.errors import ErrorKind, ModelError, UsageError
from core.language import tr
from core.ports import Prompt
from core.providers._gemini_sdk import Sdk
from core.settings import Endpoint

__all__ = ["GenerationParameters", "RequestBuilder", "identity_of", "to_openapi"]

# JSON schema words that only annotate: leaving them out changes no answer.
_ANNOTATIONS: Final = frozenset({"$schema", "$id", "title", "default", "examples", "additionalProperties"})
_NESTED: Final = frozenset({"items"})


@dataclass(frozen=True, slots=True)
class GenerationParameters:
    """What shapes an answer besides the prompt; None leaves the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None

    def given(self) -> dict[str, float | int]:
        """The parameters that were set, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class RequestBuilder:
    """Makes request messages for one model and one set of parameters. Thread-safe: it keeps only constants."""

    def __init__(self, sdk: Sdk, model: str, parameters: GenerationParameters) -> None:
        self._sdk = sdk
        self._model = f"models/{model}"
        self._parameters = parameters.given()

    def build(self, prompt: Prompt) -> Any:
        """The request message.

        Raises ModelError for text that cannot be sent, UsageError for a schema that the SDK cannot express.
        """
        request, refused = None, False
        try:
            request = self._message(prompt)
        except UnicodeEncodeError:
            refused = True
        if refused:
            raise ModelError(ErrorKind.BAD_REQUEST, tr("問題含有無法編碼的字元"))
        return request

    def _message(self, prompt: Prompt) -> Any:
        request = self._sdk.request(model=self._model)
        request.contents.add(role="user").parts.add(text=prompt.text)
        if prompt.system_instruction:
            request.system_instruction.parts.add(text=prompt.system_instruction)
        if self._parameters:
            for name, value in self._parameters.items():
                setattr(request.generation_config, name, value)
        if prompt.schema:
            request.generation_config.response_mime_type = "application/json"
            request.generation_config.response_schema.CopyFrom(self._schema(prompt.schema))
        return request

    def _schema(self, text: str) -> Any:
        """The SDK's Schema of a JSON schema; what it cannot express is refused, not dropped in silence."""
        try:
            return self._sdk.json_format.ParseDict(to_openapi(json.loads(text)), self._sdk.schema())
        except (ValueError, TypeError, AttributeError, self._sdk.json_format.ParseError) as error:
            raise UsageError(tr("回答格式 (JSON schema) 無法使用, 請改用簡單的型別: {error}", error=error)) from error


def identity_of(model: str, parameters: Mapping[str, Any], endpoint: Endpoint | None) -> str:
    """Canonical JSON of provider, model, parameters, and the endpoint where it is not Google's own."""
    known: dict[str, Any] = {"provider": "gemini", "model": model, "parameters": dict(parameters)}
    if endpoint is not None:
        known["endpoint"] = endpoint.authority
    return json.dumps(known, sort_keys=True, separators=(",", ":"))


def to_openapi(schema: Mapping[str, Any]) -> dict[str, Any]:
    """JSON schema in the dialect of the service: type names in capitals, null as `nullable`."""
    converted = {
        name: to_openapi(value) if name in _NESTED else value
        for name, value in schema.items()
        if name not in _ANNOTATIONS and name not in ("type", "properties")
    }
    if "properties" in schema:
        converted["properties"] = {name: to_openapi(value) for name, value in schema["properties"].items()}
    kinds = schema.get("type")
    if isinstance(kinds, list):
        converted["nullable"] = "null" in kinds
        (kinds,) = (kind for kind in kinds if kind != "null")
    if kinds is not None:
        converted["type"] = kinds.upper()
    return converted

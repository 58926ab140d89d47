"""SchemaModel: an answer that does not obey the prompt's schema is an error of its own, never a guess."""

from __future__ import annotations

import json
from typing import Any

from core.errors import ErrorKind, ModelError
from core.outcome import Answer
from core.ports import ChatModel, Prompt
from core.scope import Scope

__all__ = ["SchemaModel"]


class SchemaModel:
    """A ChatModel that checks each answer against prompt.schema; prompts without one pass through.

    Understands what this program's schemas use: an object with required string properties, each with an
    optional enum. Raises ModelError(BAD_LABEL) for anything else. Stateless, thread-safe.
    """

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    @property
    def identity(self) -> str:
        return self._model.identity

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        answer = self._model.generate(prompt, scope)
        if prompt.schema and (fault := _fault(answer.text, json.loads(prompt.schema))):
            raise ModelError(ErrorKind.BAD_LABEL, fault)
        return answer


def _fault(text: str, schema: dict[str, Any]) -> str:
    """What is wrong with the text, "" if nothing is. Shows at most 40 characters of a wrong value."""
    try:
        value = json.loads(text)
    except ValueError:
        return "不是 JSON"
    if not isinstance(value, dict):
        return "不是 JSON 物件"
    for name in schema["required"]:
        field = value.get(name)
        if not isinstance(field, str) or not field.strip():
            return f"缺少文字欄位 {name}"
        allowed = schema["properties"][name].get("enum")
        if allowed is not None and field not in allowed:
            return f"{field[:40]!r} 不在 {'、'.join(allowed)} 之中"
    return ""

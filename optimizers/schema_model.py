"""SchemaModel: an answer that does not obey the prompt's schema is an error of its own, never a guess."""

from __future__ import annotations

import json
from typing import Any

from core.errors import ErrorKind, ModelError
from core.outcome import Answer
from core.ports import ChatModel, Prompt
from core.scope import Scope
from optimizers.json_check import object_fault, read_object

__all__ = ["SchemaModel"]


class SchemaModel:
    """A ChatModel that checks each answer against prompt.schema; prompts without one pass through.

    Of a list in the answer only that it is one is checked here: whoever asked for several results judges them one by
    one, so that a bad one does not cost the others. Raises ModelError(BAD_LABEL). Stateless, thread-safe.
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
    value = read_object(text)
    return value if isinstance(value, str) else object_fault(value, schema)

"""The protocols at the edges of the core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from core.outcome import Answer
from core.scope import Scope

__all__ = ["ChatModel", "Prompt"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked: the text, and apart from it the instruction that the text cannot change.

    schema, where given, is a JSON schema (as canonical JSON text) that the answer must obey.
    """

    text: str
    system_instruction: str = ""
    schema: str = ""


@runtime_checkable
class ChatModel(Protocol):
    """One method; everything that makes calls fewer, cheaper or safer is a wrapper around the next ChatModel."""

    @property
    def identity(self) -> str:
        """Model name and parameters as one canonical string: two models with equal identity answer alike."""

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        """Ask once. Thread-safe; returns or raises at the scope's deadline and soon after its cancellation.

        Raises ModelError where there is no usable answer, ScopeError where the scope ended.
        """

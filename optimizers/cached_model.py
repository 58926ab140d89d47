"""CachedModel: a ChatModel that asks the next one only what is neither known nor being asked already."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from core.outcome import Answer, AnswerSource
from core.ports import ChatModel, Prompt
from core.scope import Scope, call_shielded
from optimizers.cache_keys import cache_key
from optimizers.cache_manager import CacheManager
from optimizers.cache_values import FoundBy

__all__ = ["CachedModel", "chat_key", "is_usable"]

_SOURCES: Final = {FoundBy.HIT: AnswerSource.CACHE, FoundBy.SHARED: AnswerSource.SHARED}


class CachedModel:
    """Answers from the cache where it can (source CACHE), from a call under way (SHARED), else from the model.

    The key covers the model's identity and the whole prompt: instruction, schema and text. Only usable, non-empty
    answers are stored, truncated ones with their mark. The figures of a call stay with the scope that made it: a hit
    or a share leaves scope.trace as it was. With ttl 0 nothing is stored, and equal prompts in flight are still one
    call. Thread-safe. Raises what the model raises; a follower ScopeError at the end of its own scope.
    on_answer is told of every answer handed out, whatever its source; what it raises is logged and goes no further.
    """

    def __init__(
        self,
        model: ChatModel,
        cache: CacheManager,
        *,
        ttl: float | None = None,
        on_answer: Callable[[Answer], object] | None = None,
    ) -> None:
        self._model = model
        self._cache = cache
        self._ttl = ttl
        self._on_answer = on_answer

    @property
    def identity(self) -> str:
        return self._model.identity

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        found = self._cache.get_or_compute(
            chat_key(self._model.identity, prompt),
            lambda: self._model.generate(prompt, scope),
            ttl=self._ttl,
            scope=scope,
            accept=is_usable,
            prompt=prompt,
        )
        source = _SOURCES.get(found.by)
        answer = found.value if source is None else replace(found.value, source=source)
        if self._on_answer is not None:
            call_shielded(functools.partial(self._on_answer, answer))
        return answer


def chat_key(identity: str, prompt: Prompt) -> str:
    """Where the answer of the model with that identity to the prompt is kept."""
    return cache_key("chat", identity, prompt.system_instruction, prompt.schema, prompt.text)


def is_usable(value: object) -> bool:
    """True for what may be stored and handed out: an answer with text in it."""
    return isinstance(value, Answer) and value.text != "" and not value.text.isspace()

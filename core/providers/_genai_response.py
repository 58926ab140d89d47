"""From the JSON of a GenerateContentResponse to an Answer or a ModelError.

The SDK can hand over the response as it came. Reading it here rather than through the SDK's types keeps finish
reasons that the SDK has no name for, costs no validation of fields nobody reads, and lets nothing of the
SDK's warnings reach the screen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.errors import ErrorKind, ModelError
from core.language import tr
from core.outcome import Answer, Usage
from core.providers._gemini_reasons import CUT_SHORT, UNSPECIFIED_FINISH, blocked_prompt, without_answer

__all__ = ["to_answer"]


def to_answer(body: str, model: str) -> Answer | ModelError | None:
    """The answer, or the reason why there is none; None where this is not what Gemini sends."""
    try:
        data = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        return None
    if data is None or data == []:
        data = {}
    if not isinstance(data, dict):
        return None
    candidate = _first(data.get("candidates"))
    return _without_candidates(data) if candidate is None else _read(candidate, _usage(data), model)


def _read(candidate: Mapping[str, Any], usage: Usage, model: str) -> Answer | ModelError:
    text = _text(candidate)
    reason = _name(candidate.get("finishReason"), UNSPECIFIED_FINISH)
    cut = reason in CUT_SHORT
    if text.strip() and (cut or reason == "STOP"):
        return Answer(text, model, usage, truncated=cut)
    return without_answer(reason, text)


def _without_candidates(data: Mapping[str, Any]) -> ModelError:
    reason = _name(_mapping(data.get("promptFeedback")).get("blockReason"), "")
    if reason in ("", "BLOCKED_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"):
        return ModelError(ErrorKind.EMPTY, tr("回應中沒有任何回答"))
    return blocked_prompt(reason)


def _text(candidate: Mapping[str, Any]) -> str:
    """What the model says, without what it thought on the way."""
    parts = _mapping(candidate.get("content")).get("parts")
    parts = [_mapping(part) for part in parts] if isinstance(parts, list) else []
    texts = [part.get("text") for part in parts if not part.get("thought")]
    return "".join(text for text in texts if isinstance(text, str))


def _usage(data: Mapping[str, Any]) -> Usage:
    counted = _mapping(data.get("usageMetadata"))
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    prompt, answer, thinking = (_count(counted.get(name)) for name in names)
    return Usage(prompt, answer, thinking)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _name(reason: Any, absent: str) -> str:
    """The reason's name, or its number; never longer than a name, since it goes to the screen."""
    return str(reason)[:64] if isinstance(reason, str | int) and reason else absent


def _first(candidates: Any) -> Mapping[str, Any] | None:
    return _mapping(candidates[0]) if isinstance(candidates, list) and candidates else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

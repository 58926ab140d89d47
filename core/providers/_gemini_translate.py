"""From the SDK's responses to an Answer or a ModelError: finish reasons, block reasons, tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.errors import ErrorKind, ModelError
from core.language import tr
from core.outcome import Answer, Usage
from core.providers._gemini_reasons import CUT_SHORT, blocked_prompt, without_answer
from core.providers._gemini_sdk import Sdk

__all__ = ["to_answer"]


def to_answer(sdk: Sdk, model: str, response: Any, raw: bytes = b"") -> Answer | ModelError:
    """The answer in a GenerateContentResponse, or the error to raise where it holds none.

    raw is the JSON that response was read from, if it was: a reason that the SDK has no name for is only there.
    """
    if not response.candidates:
        return _without_candidates(sdk, response, raw)
    candidate = response.candidates[0]
    text = "".join(part.text for part in candidate.content.parts)
    if candidate.finish_reason == 1 and text.strip():  # STOP, the usual case, looked up by nothing
        return Answer(text, model, _usage(response))
    reason = _name(sdk.finish_names, candidate.finish_reason, _raw_reason(raw, "candidates", "finishReason"))
    if reason in CUT_SHORT and text.strip():
        return Answer(text, model, _usage(response), truncated=True)
    return without_answer(reason, text)


def _without_candidates(sdk: Sdk, response: Any, raw: bytes) -> ModelError:
    given = _raw_reason(raw, "promptFeedback", "blockReason")
    reason = _name(sdk.block_names, response.prompt_feedback.block_reason, given)
    if reason == "BLOCK_REASON_UNSPECIFIED":
        return ModelError(ErrorKind.EMPTY, tr("回應中沒有任何回答"))
    return blocked_prompt(reason)


def _name(names: Mapping[int, str], number: int, given: str) -> str:
    """The reason's name; what the SDK does not know goes by the server's own name, or else by number."""
    if number == 0 and given:
        return given
    return names.get(number, str(number))


def _raw_reason(raw: bytes, holder: str, field: str) -> str:
    """The reason as the JSON spells it, where it is text; numbers survive in the message itself."""
    if not raw:
        return ""
    held = json.loads(raw).get(holder)
    first = held[0] if isinstance(held, list) else held
    reason = first.get(field) if isinstance(first, dict) else None
    # Never longer than a name: this is text of the server's that goes to the screen.
    return reason[:64] if isinstance(reason, str) else ""


def _usage(response: Any) -> Usage:
    """Thinking tokens are what the total has beyond prompt and answer: the SDK has no field for them."""
    counted = response.usage_metadata
    prompt, answer = counted.prompt_token_count, counted.candidates_token_count
    return Usage(prompt, answer, max(counted.total_token_count - prompt - answer, 0))

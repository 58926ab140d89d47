"""From the JSON of a GenerateContentResponse to an Answer or a ModelError.

The SDK can hand over the response as it came. Reading it here rather than through the SDK's types keeps finish
reasons that the SDK has no name for, costs no validation of fields nobody reads, and lets nothing of the
SDK's warnings reach the screen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from core.errors import ErrorKind, ModelError
from core.outcome import Answer, Usage

__all__ = ["to_answer"]

_BLOCKED: Final = {
    "SAFETY": "安全性",
    "BLOCKLIST": "含有禁用詞",
    "PROHIBITED_CONTENT": "禁止的內容",
    "SPII": "個人敏感資料",
    "IMAGE_SAFETY": "圖片安全性",
    "IMAGE_PROHIBITED_CONTENT": "圖片含禁止的內容",
    "MODEL_ARMOR": "Model Armor 規則",
    "ESCALATION": "升級審查規則",
    "JAILBREAK": "疑似越獄",
    "OTHER": "其他原因",
}
_FINISHED: Final = {
    "OTHER": (ErrorKind.UNKNOWN_FINISH, "其他原因"),
    "RECITATION": (ErrorKind.RECITATION, ""),
    "IMAGE_RECITATION": (ErrorKind.RECITATION, ""),
    "LANGUAGE": (ErrorKind.BAD_REQUEST, "不支援的語言"),
    "PUP_LIMITED_DISABLED": (ErrorKind.PERMISSION, "帳號因違反使用政策受限或停用"),
    "MALFORMED_FUNCTION_CALL": (ErrorKind.UNKNOWN_FINISH, "函式呼叫格式錯誤"),
    "UNEXPECTED_TOOL_CALL": (ErrorKind.UNKNOWN_FINISH, "非預期的工具呼叫"),
    "TOO_MANY_TOOL_CALLS": (ErrorKind.UNKNOWN_FINISH, "工具呼叫過多"),
    "MISSING_THOUGHT_SIGNATURE": (ErrorKind.UNKNOWN_FINISH, "缺少思考簽章"),
    "MALFORMED_RESPONSE": (ErrorKind.BAD_RESPONSE, "模型的回應格式錯誤"),
    "NO_IMAGE": (ErrorKind.EMPTY, "沒有產生圖片"),
    "IMAGE_OTHER": (ErrorKind.UNKNOWN_FINISH, "圖片產生中止"),
}
_CUT_SHORT: Final = ("MAX_TOKENS", "CONTINUATION")
_UNSPECIFIED: Final = "FINISH_REASON_UNSPECIFIED"


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
    reason = _name(candidate.get("finishReason"), _UNSPECIFIED)
    cut = reason in _CUT_SHORT
    if text.strip() and (cut or reason == "STOP"):
        return Answer(text, model, usage, truncated=cut)
    if cut:
        return ModelError(ErrorKind.MAX_TOKENS)
    if reason == "STOP" or (reason == _UNSPECIFIED and not text.strip()):
        return ModelError(ErrorKind.EMPTY, f"結束原因 {reason}")
    if reason in _FINISHED:
        kind, words = _FINISHED[reason]
        return ModelError(kind, f"{words} {reason}".strip())
    if reason in _BLOCKED:
        return ModelError(ErrorKind.BLOCKED, f"{_BLOCKED[reason]} {reason}")
    return ModelError(ErrorKind.UNKNOWN_FINISH, reason)


def _without_candidates(data: Mapping[str, Any]) -> ModelError:
    reason = _name(_mapping(data.get("promptFeedback")).get("blockReason"), "")
    if reason in ("", "BLOCKED_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED"):
        return ModelError(ErrorKind.EMPTY, "回應中沒有任何回答")
    words = f"{_BLOCKED[reason]} {reason}" if reason in _BLOCKED else reason
    return ModelError(ErrorKind.BLOCKED, f"問題被擋下: {words}")


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

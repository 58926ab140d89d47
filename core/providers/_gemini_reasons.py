"""Why an answer ended or a question was refused, in the service's names: what each of them means to us.

A name that is not here is shown as it is: the service adds names before anybody's SDK knows them.
"""

from __future__ import annotations

from typing import Final

from core.errors import ErrorKind, ModelError

__all__ = ["CUT_SHORT", "UNSPECIFIED_FINISH", "blocked_prompt", "without_answer"]

CUT_SHORT: Final = ("MAX_TOKENS", "CONTINUATION")
UNSPECIFIED_FINISH: Final = "FINISH_REASON_UNSPECIFIED"
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


def blocked_prompt(reason: str) -> ModelError:
    """The question itself was refused."""
    return ModelError(ErrorKind.BLOCKED, f"問題被擋下: {_in_words(reason)}")


def without_answer(reason: str, text: str) -> ModelError:
    """The error of a candidate that is no usable answer; text is what it held all the same."""
    if reason in CUT_SHORT:
        return ModelError(ErrorKind.MAX_TOKENS)
    if reason == "STOP" or (reason == UNSPECIFIED_FINISH and not text.strip()):
        return ModelError(ErrorKind.EMPTY, f"結束原因 {reason}")
    if reason in _FINISHED:
        kind, words = _FINISHED[reason]
        return ModelError(kind, f"{words} {reason}".strip())
    if reason in _BLOCKED:
        return ModelError(ErrorKind.BLOCKED, _in_words(reason))
    return ModelError(ErrorKind.UNKNOWN_FINISH, reason)


def _in_words(reason: str) -> str:
    return f"{_BLOCKED[reason]} {reason}" if reason in _BLOCKED else reason

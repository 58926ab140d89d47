"""Why an answer ended or a question was refused, in the service's names: what each of them means to us.

A name that is not here is shown as it is: the service adds names before anybody's SDK knows them.
"""

from __future__ import annotations

from typing import Final

from core.errors import ErrorKind, ModelError
from core.language import marked, tr

__all__ = ["CUT_SHORT", "UNSPECIFIED_FINISH", "blocked_prompt", "without_answer"]

CUT_SHORT: Final = ("MAX_TOKENS", "CONTINUATION")
UNSPECIFIED_FINISH: Final = "FINISH_REASON_UNSPECIFIED"
_BLOCKED: Final = {
    "SAFETY": marked("安全性"),
    "BLOCKLIST": marked("含有禁用詞"),
    "PROHIBITED_CONTENT": marked("禁止的內容"),
    "SPII": marked("個人敏感資料"),
    "IMAGE_SAFETY": marked("圖片安全性"),
    "IMAGE_PROHIBITED_CONTENT": marked("圖片含禁止的內容"),
    "MODEL_ARMOR": marked("Model Armor 規則"),
    "ESCALATION": marked("升級審查規則"),
    "JAILBREAK": marked("疑似越獄"),
    "OTHER": marked("其他原因"),
}
_FINISHED: Final = {
    "OTHER": (ErrorKind.UNKNOWN_FINISH, marked("其他原因")),
    "RECITATION": (ErrorKind.RECITATION, ""),
    "IMAGE_RECITATION": (ErrorKind.RECITATION, ""),
    "LANGUAGE": (ErrorKind.BAD_REQUEST, marked("不支援的語言")),
    "PUP_LIMITED_DISABLED": (ErrorKind.PERMISSION, marked("帳號因違反使用政策受限或停用")),
    "MALFORMED_FUNCTION_CALL": (ErrorKind.UNKNOWN_FINISH, marked("函式呼叫格式錯誤")),
    "UNEXPECTED_TOOL_CALL": (ErrorKind.UNKNOWN_FINISH, marked("非預期的工具呼叫")),
    "TOO_MANY_TOOL_CALLS": (ErrorKind.UNKNOWN_FINISH, marked("工具呼叫過多")),
    "MISSING_THOUGHT_SIGNATURE": (ErrorKind.UNKNOWN_FINISH, marked("缺少思考簽章")),
    "MALFORMED_RESPONSE": (ErrorKind.BAD_RESPONSE, marked("模型的回應格式錯誤")),
    "NO_IMAGE": (ErrorKind.EMPTY, marked("沒有產生圖片")),
    "IMAGE_OTHER": (ErrorKind.UNKNOWN_FINISH, marked("圖片產生中止")),
}


def blocked_prompt(reason: str) -> ModelError:
    """The question itself was refused."""
    return ModelError(ErrorKind.BLOCKED, tr("問題被擋下: {reason}", reason=_in_words(reason)))


def without_answer(reason: str, text: str) -> ModelError:
    """The error of a candidate that is no usable answer; text is what it held all the same."""
    if reason in CUT_SHORT:
        return ModelError(ErrorKind.MAX_TOKENS)
    if reason == "STOP" or (reason == UNSPECIFIED_FINISH and not text.strip()):
        return ModelError(ErrorKind.EMPTY, tr("結束原因 {reason}", reason=reason))
    if reason in _FINISHED:
        kind, words = _FINISHED[reason]
        return ModelError(kind, f"{tr(words)} {reason}" if words else reason)
    if reason in _BLOCKED:
        return ModelError(ErrorKind.BLOCKED, _in_words(reason))
    return ModelError(ErrorKind.UNKNOWN_FINISH, reason)


def _in_words(reason: str) -> str:
    return f"{tr(_BLOCKED[reason])} {reason}" if reason in _BLOCKED else reason

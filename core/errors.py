"""The error tree. Every class here is shown to a person, so every message names what to do.

    ParallelProcessingError
    ├── UsageError (also ValueError)          the caller asked for something that cannot be
    │   └── DuplicateTaskError
    ├── SettingsError                         a setting is wrong
    ├── PoolClosedError                       the pool takes no more tasks
    ├── StorageError                          what was to be kept could not be written or read
    │   └── JournalBusyError                  another process runs the same batch
    ├── ScopeError                            the work was told to end
    │   ├── DeadlineExceededError (TimeoutError too)
    │   ├── OperationCancelledError
    │   └── NotRunError                       never asked, because the whole run was stopped
    └── ModelError                            the model gave no usable answer: one of ErrorKind

Anything else that surfaces is a bug of the task's own function: it is kept whole in the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from core.language import marked, tr

__all__ = [
    "DeadlineExceededError",
    "DuplicateTaskError",
    "ErrorKind",
    "JournalBusyError",
    "ModelError",
    "NotRunError",
    "OperationCancelledError",
    "ParallelProcessingError",
    "PoolClosedError",
    "ScopeError",
    "SettingsError",
    "StorageError",
    "UsageError",
]


class ParallelProcessingError(Exception):
    """Base of all errors that a person is meant to read."""

    @property
    def reason(self) -> str:
        """What was wrong, in the language of the screen."""
        return str(self)

    @property
    def advice(self) -> str:
        """What to do about it, in the language of the screen; may be empty."""
        return ""


class UsageError(ParallelProcessingError, ValueError):
    """The arguments cannot be worked with; the message names the right ones."""


class DuplicateTaskError(UsageError):
    """Two tasks of one run share an id, so one result would hide the other."""


class SettingsError(ParallelProcessingError):
    """A setting has a value that cannot be used; the message names the setting, never a secret's value."""


class PoolClosedError(ParallelProcessingError):
    """A task was submitted to a pool that has been shut down."""


class StorageError(ParallelProcessingError):
    """A file that keeps a person's work could not be written or read; the message says which and what to do."""

    def __init__(self, message: str, *, advice: str = "", full: bool = False) -> None:
        super().__init__(message)
        self._advice = advice
        self.full = full  # the disk, or what may be used of it, is full: the same write may succeed later

    @property
    def advice(self) -> str:
        return self._advice


class JournalBusyError(StorageError):
    """Another process runs the same batch; pid names it where it is known."""

    def __init__(self, pid: int | None) -> None:
        unnamed = pid is None
        who = tr("另一個程式正在跑這批文字") if unnamed else tr("另一個程式 (pid {pid}) 正在跑這批文字", pid=pid)
        super().__init__(who, advice=tr("請等它結束, 或先停掉它, 再重新執行"))
        self.pid = pid


class ScopeError(ParallelProcessingError):
    """The scope in which the work ran has ended."""


class DeadlineExceededError(ScopeError, TimeoutError):
    """The scope's deadline passed before the work was done."""


class OperationCancelledError(ScopeError):
    """Somebody cancelled the scope."""


class NotRunError(ScopeError):
    """The task was never asked: something that concerns the whole run stopped it first.

    cause is the error that stopped the run, or None where no error did.
    """

    def __init__(self, message: str, cause: ParallelProcessingError | None = None) -> None:
        super().__init__(message, cause)
        self.cause = cause

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def advice(self) -> str:
        return self.cause.advice if self.cause is not None else ""


class ErrorKind(StrEnum):
    """Why the model gave no usable answer. A closed set: every provider translates into it."""

    BAD_KEY = "bad_key"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    QUOTA_MINUTE = "quota_minute"
    QUOTA_DAY = "quota_day"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    UNAVAILABLE = "unavailable"
    RESET = "reset"
    TIMEOUT = "timeout"
    BLOCKED = "blocked"
    RECITATION = "recitation"
    EMPTY = "empty"
    MAX_TOKENS = "max_tokens"
    BAD_RESPONSE = "bad_response"
    BAD_LABEL = "bad_label"
    TOO_LARGE = "too_large"
    REDIRECTED = "redirected"
    UNKNOWN_FINISH = "unknown_finish"
    BUDGET_SPENT = "budget_spent"


@dataclass(frozen=True, slots=True)
class _KindTraits:
    """reason and advice are messages, shown with tr()."""

    reason: str
    advice: str
    retryable: bool = False
    stops_run: bool = False
    most_attempts: int | None = None


_TRAITS: dict[ErrorKind, _KindTraits] = {
    ErrorKind.BAD_KEY: _KindTraits(
        marked("API 金鑰無效"),
        marked("請檢查 GEMINI_API_KEY 是否完整正確 (沒有空白或換行), 再重新啟動"),
        stops_run=True,
    ),
    ErrorKind.PERMISSION: _KindTraits(
        marked("這把金鑰沒有使用權限"), marked("請到 Google AI Studio 確認金鑰未被停用且可使用此模型"), stops_run=True
    ),
    ErrorKind.NOT_FOUND: _KindTraits(marked("找不到這個模型"), marked("請檢查 GEMINI_MODEL 的名稱"), stops_run=True),
    ErrorKind.BAD_REQUEST: _KindTraits(marked("伺服器不接受這個請求"), marked("請檢查問題內容或模型參數")),
    ErrorKind.QUOTA_MINUTE: _KindTraits(
        marked("已達每分鐘配額"), marked("請稍後再試, 或減少同時進行的數量"), retryable=True
    ),
    ErrorKind.QUOTA_DAY: _KindTraits(
        marked("今日配額用完"), marked("配額於太平洋時間午夜重置; 請明天再試或改用其他模型"), stops_run=True
    ),
    ErrorKind.OVERLOADED: _KindTraits(marked("伺服器忙碌中"), marked("請稍後再試"), retryable=True),
    ErrorKind.SERVER_ERROR: _KindTraits(marked("伺服器發生錯誤"), marked("請稍後再試"), retryable=True),
    ErrorKind.UNAVAILABLE: _KindTraits(
        marked("連線不到伺服器"), marked("請檢查網路連線、代理伺服器與防火牆"), retryable=True
    ),
    ErrorKind.RESET: _KindTraits(marked("連線中途斷開"), marked("請檢查網路後再試"), retryable=True),
    ErrorKind.TIMEOUT: _KindTraits(marked("逾時, 模型沒有在期限內回答"), marked("請稍後再試, 或縮短問題")),
    ErrorKind.BLOCKED: _KindTraits(marked("內容被安全機制擋下"), marked("請改寫問題")),
    ErrorKind.RECITATION: _KindTraits(
        marked("回答因過於接近既有著作而被擋下"), marked("請換個問法"), retryable=True, most_attempts=2
    ),
    ErrorKind.EMPTY: _KindTraits(marked("模型沒有回答"), marked("請換個問法再試"), retryable=True, most_attempts=2),
    ErrorKind.MAX_TOKENS: _KindTraits(marked("思考用完了輸出額度, 沒有留下回答"), marked("請提高輸出上限或簡化問題")),
    ErrorKind.BAD_RESPONSE: _KindTraits(
        marked("回應無法解析"), marked("網路可能需要登入, 或被代理伺服器改寫"), retryable=True, most_attempts=2
    ),
    ErrorKind.BAD_LABEL: _KindTraits(
        marked("模型的回答不合要求的格式"), marked("請再試一次, 或改用其他分析類型"), retryable=True, most_attempts=2
    ),
    ErrorKind.TOO_LARGE: _KindTraits(marked("回答超過大小上限"), marked("請縮小問題的範圍")),
    ErrorKind.REDIRECTED: _KindTraits(
        marked("伺服器要求轉往其他網址, 已拒絕"), marked("請檢查 GEMINI_API_ENDPOINT 與網路設定"), stops_run=True
    ),
    ErrorKind.UNKNOWN_FINISH: _KindTraits(marked("模型以未知的原因結束"), marked("請稍後再試或換個問法")),
    ErrorKind.BUDGET_SPENT: _KindTraits(
        marked("已達這次執行的花費上限"), marked("已有的回答都保留; 請提高上限後再執行其餘的"), stops_run=True
    ),
}


class ModelError(ParallelProcessingError):
    """The model gave no usable answer.

    kind says why; detail is what the server added, already free of secrets; retry_after is the server's own
    delay in seconds where it sent one; resets_at is a Unix time where the server's quota is known to return.
    """

    def __init__(
        self,
        kind: ErrorKind,
        detail: str = "",
        *,
        retry_after: float | None = None,
        resets_at: float | None = None,
    ) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after
        self.resets_at = resets_at

    def __str__(self) -> str:
        return self.reason

    @property
    def reason(self) -> str:
        reason = tr(_TRAITS[self.kind].reason)
        return f"{reason} ({self.detail})" if self.detail else reason

    @property
    def advice(self) -> str:
        if self.resets_at is not None:
            local = datetime.fromtimestamp(self.resets_at, UTC).astimezone()
            return tr("配額將於 {when:%m/%d %H:%M} 重置 (本地時間); 請到時再試或改用其他模型", when=local)
        return tr(_TRAITS[self.kind].advice)

    @property
    def retryable(self) -> bool:
        """True where asking again can help."""
        return _TRAITS[self.kind].retryable

    @property
    def stops_run(self) -> bool:
        """True where every further call of the run would fail the same way."""
        return _TRAITS[self.kind].stops_run

    @property
    def most_attempts(self) -> int | None:
        """How many attempts this kind is worth in all; None where the policy alone decides."""
        return _TRAITS[self.kind].most_attempts

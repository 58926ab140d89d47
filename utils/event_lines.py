"""One event of a run → the line that tells of it."""

from __future__ import annotations

import math
from typing import Any, Final

from core.errors import ModelError
from core.events import (
    BatchFinished,
    BatchStarted,
    Event,
    QuotaWaiting,
    RetryScheduled,
    RunFinished,
    RunStarted,
    TaskFinished,
)
from core.language import marked, tr, tr_n
from core.outcome import Outcome, OutcomeKind
from utils.text_width import fit, one_line, preview

__all__ = ["KIND_TITLES", "SYMBOLS", "event_line", "outcome_line", "reason_text"]

SYMBOLS: Final = {
    OutcomeKind.ANSWERED: "✅",
    OutcomeKind.FAILED: "❌",
    OutcomeKind.BLOCKED: "🚫",
    OutcomeKind.TIMED_OUT: "⏰",
    OutcomeKind.CANCELLED: "⏹️",
    OutcomeKind.NOT_RUN: "⏭️",
}
# Looked up with tr() where it is shown.
KIND_TITLES: Final = {
    OutcomeKind.ANSWERED: marked("成功"),
    OutcomeKind.FAILED: marked("失敗"),
    OutcomeKind.BLOCKED: marked("被擋下"),
    OutcomeKind.TIMED_OUT: marked("逾時"),
    OutcomeKind.CANCELLED: marked("取消"),
    OutcomeKind.NOT_RUN: marked("未執行"),
}
_FAILED: Final = (marked("❌ 任務失敗: {name}"), marked("❌ 任務失敗: {name} - {reason}"))
_ANSWERED: Final = marked("✅ 任務完成: {name} ({seconds:.2f} 秒)")
_TIMED_OUT: Final = marked("⏰ 任務逾時: {name} ({seconds:.2f} 秒)")
# Without and with a reason.
_LINES: Final = {
    OutcomeKind.ANSWERED: (_ANSWERED, _ANSWERED),
    OutcomeKind.FAILED: _FAILED,
    OutcomeKind.BLOCKED: _FAILED,
    OutcomeKind.TIMED_OUT: (_TIMED_OUT, _TIMED_OUT),
    OutcomeKind.CANCELLED: (marked("⏹️ 任務取消: {name}"), marked("⏹️ 任務取消: {name} - {reason}")),
    OutcomeKind.NOT_RUN: (marked("⏭️ 任務未執行: {name}"), marked("⏭️ 任務未執行: {name} - {reason}")),
}
_NAME_COLUMNS: Final = 50
_REASON_CHARACTERS: Final = 200


def event_line(event: Event, *, name: str = "") -> str | None:
    """The line for an event; None where there is nothing to say of it. name is the task's, where known."""
    match event:
        case RunStarted(total=None):
            return tr("🚀 開始並行執行任務...")
        case RunStarted(total=int(total)):
            return tr_n("🚀 開始並行執行 {count:,} 個任務...", total)
        case TaskFinished(outcome=outcome):
            return outcome_line(outcome)
        case RunFinished(report=report):
            return tr("⏱️ 並行執行完成,耗時: {seconds:.2f} 秒", seconds=report.wall_seconds)
        case RetryScheduled():
            return _retry_line(event, name)
        case QuotaWaiting(delay=delay):
            return tr("⏳ 限流, {seconds} s 後繼續", seconds=math.ceil(delay))
        case BatchStarted(number=number, total=None):
            return tr("🔄 處理批次 {number:,}...", number=number)
        case BatchStarted(number=number, total=total):
            return tr("🔄 處理批次 {number:,}/{total:,}...", number=number, total=total)
        case BatchFinished(number=number, seconds=seconds):
            return tr("✅ 批次 {number:,} 完成 (耗時: {seconds:.2f}秒)", number=number, seconds=seconds)
        case _:
            return None


def _retry_line(event: RetryScheduled, name: str) -> str:
    reason = ModelError(event.kind).reason
    if not name:
        return tr(
            "🔁 重試: 第 {attempt} 次失敗 - {reason}, {delay:.1f} s 後再試",
            attempt=event.attempt, reason=reason, delay=event.delay,
        )  # fmt: skip
    return tr(
        "🔁 重試 {name}: 第 {attempt} 次失敗 - {reason}, {delay:.1f} s 後再試",
        name=fit(name, _NAME_COLUMNS), attempt=event.attempt, reason=reason, delay=event.delay,
    )  # fmt: skip


def outcome_line(outcome: Outcome[Any]) -> str:
    """How one task ended, on one line."""
    reason = reason_text(outcome)
    message = _LINES[outcome.kind][bool(reason)]
    return tr(message, name=fit(outcome.name, _NAME_COLUMNS), seconds=outcome.run_seconds, reason=reason)


def reason_text(outcome: Outcome[Any]) -> str:
    """Why there is no answer, on one line of bounded length: servers and functions may say anything."""
    return preview(one_line(outcome.reason), _REASON_CHARACTERS)

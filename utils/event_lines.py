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
KIND_TITLES: Final = {
    OutcomeKind.ANSWERED: "成功",
    OutcomeKind.FAILED: "失敗",
    OutcomeKind.BLOCKED: "被擋下",
    OutcomeKind.TIMED_OUT: "逾時",
    OutcomeKind.CANCELLED: "取消",
    OutcomeKind.NOT_RUN: "未執行",
}
_HEADS: Final = {
    OutcomeKind.ANSWERED: "✅ 任務完成",
    OutcomeKind.FAILED: "❌ 任務失敗",
    OutcomeKind.BLOCKED: "❌ 任務失敗",
    OutcomeKind.TIMED_OUT: "⏰ 任務逾時",
    OutcomeKind.CANCELLED: "⏹️ 任務取消",
    OutcomeKind.NOT_RUN: "⏭️ 任務未執行",
}
_NAME_COLUMNS: Final = 50
_REASON_CHARACTERS: Final = 200


def event_line(event: Event, *, name: str = "") -> str | None:
    """The line for an event; None where there is nothing to say of it. name is the task's, where known."""
    match event:
        case RunStarted(total=None):
            return "🚀 開始並行執行任務..."
        case RunStarted(total=total):
            return f"🚀 開始並行執行 {total:,} 個任務..."
        case TaskFinished(outcome=outcome):
            return outcome_line(outcome)
        case RunFinished(report=report):
            return f"⏱️ 並行執行完成,耗時: {report.wall_seconds:.2f} 秒"
        case RetryScheduled(attempt=attempt, kind=kind, delay=delay):
            whose = f" {fit(name, _NAME_COLUMNS)}" if name else ""
            return f"🔁 重試{whose}: 第 {attempt} 次失敗 - {ModelError(kind).reason}, {delay:.1f} s 後再試"
        case QuotaWaiting(delay=delay):
            return f"⏳ 限流, {math.ceil(delay)} s 後繼續"
        case BatchStarted(number=number, total=total):
            return f"🔄 處理批次 {number:,}{'' if total is None else f'/{total:,}'}..."
        case BatchFinished(number=number, seconds=seconds):
            return f"✅ 批次 {number:,} 完成 (耗時: {seconds:.2f}秒)"
        case _:
            return None


def outcome_line(outcome: Outcome[Any]) -> str:
    """How one task ended, on one line."""
    line = f"{_HEADS[outcome.kind]}: {fit(outcome.name, _NAME_COLUMNS)}"
    if outcome.kind in (OutcomeKind.ANSWERED, OutcomeKind.TIMED_OUT):
        return f"{line} ({outcome.run_seconds:.2f} 秒)"
    reason = reason_text(outcome)
    return f"{line} - {reason}" if reason else line


def reason_text(outcome: Outcome[Any]) -> str:
    """Why there is no answer, on one line of bounded length: servers and functions may say anything."""
    return preview(one_line(outcome.reason), _REASON_CHARACTERS)

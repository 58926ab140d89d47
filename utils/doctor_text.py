"""The doctor's checks → text. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from core.doctor import Check, CheckState
from core.language import marked, tr, tr_n

__all__ = ["check_line", "check_row", "summary_line"]

_SIGNS: Final[Mapping[CheckState, str]] = {
    CheckState.OK: "✅",
    CheckState.WARNING: "⚠️",
    CheckState.ERROR: "❌",
    CheckState.SKIPPED: "⏭️",
}
_LABELS: Final[Mapping[str, str]] = {
    "python": "Python",
    "packages": marked("套件"),
    "settings": marked("設定"),
    "settings_file": marked("設定檔"),
    "key": marked("金鑰"),
    "sdk": "SDK",
    "network": marked("網路"),
    "service": marked("金鑰與模型"),
    "state": marked("狀態資料夾"),
    "config": marked("設定資料夾"),
    "cache": marked("快取資料夾"),
    "data": marked("資料資料夾"),
    "disk": marked("磁碟"),
    "clock": marked("時鐘"),
    "encoding": marked("輸出編碼"),
    "language": marked("語言"),
    "screen": marked("畫面"),
    "streams": marked("輸入輸出"),
}


def check_line(check: Check) -> str:
    """One line: how it is, and what to do."""
    label = _LABELS.get(check.name)
    text = f"{_SIGNS[check.state]} {check.name if label is None else tr(label)}: {check.text}"
    line = f"{text} → {check.advice}" if check.advice else text
    return " ".join(line.splitlines())


def check_row(check: Check) -> Mapping[str, str]:
    """The same for a program."""
    return {"check": check.name, "state": check.state.value, "text": check.text, "advice": check.advice}


def summary_line(checks: Sequence[Check]) -> str:
    errors, warnings = (
        sum(check.state is state for check in checks) for state in (CheckState.ERROR, CheckState.WARNING)
    )
    if errors and warnings:
        return tr("❌ 有 {errors} 項需要處理, 另有 {warnings} 項提醒", errors=errors, warnings=warnings)
    if errors:
        return tr_n("❌ 有 {count} 項需要處理", errors)
    return tr_n("✅ 可以使用, 有 {count} 項提醒", warnings) if warnings else tr("✅ 全部正常")

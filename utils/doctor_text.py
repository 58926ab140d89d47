"""The doctor's checks → text. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from core.doctor import Check, CheckState

__all__ = ["check_line", "check_row", "summary_line"]

_SIGNS: Final[Mapping[CheckState, str]] = {
    CheckState.OK: "✅",
    CheckState.WARNING: "⚠️",
    CheckState.ERROR: "❌",
    CheckState.SKIPPED: "⏭️",
}
_LABELS: Final[Mapping[str, str]] = {
    "python": "Python",
    "packages": "套件",
    "settings": "設定",
    "key": "金鑰",
    "sdk": "SDK",
    "network": "網路",
    "service": "金鑰與模型",
    "state": "狀態資料夾",
    "config": "設定資料夾",
    "cache": "快取資料夾",
    "data": "資料資料夾",
    "disk": "磁碟",
    "clock": "時鐘",
    "encoding": "輸出編碼",
    "screen": "畫面",
    "streams": "輸入輸出",
}


def check_line(check: Check) -> str:
    """One line: how it is, and what to do."""
    text = f"{_SIGNS[check.state]} {_LABELS.get(check.name, check.name)}: {check.text}"
    line = f"{text} → {check.advice}" if check.advice else text
    return " ".join(line.splitlines())


def check_row(check: Check) -> Mapping[str, str]:
    """The same for a program."""
    return {"check": check.name, "state": check.state.value, "text": check.text, "advice": check.advice}


def summary_line(checks: Sequence[Check]) -> str:
    errors, warnings = (
        sum(check.state is state for check in checks) for state in (CheckState.ERROR, CheckState.WARNING)
    )
    if errors:
        return f"❌ 有 {errors} 項需要處理" + (f", 另有 {warnings} 項提醒" if warnings else "")
    return f"✅ 可以使用, 有 {warnings} 項提醒" if warnings else "✅ 全部正常"

"""Errors → what a person reads of them."""

from __future__ import annotations

from core.errors import ParallelProcessingError
from core.language import tr

__all__ = ["failure_text"]


def failure_text(error: Exception) -> str:
    """What was wrong and what to do about it; of a bug no more than its kind, since its text may hold anything."""
    if isinstance(error, ParallelProcessingError):
        return f"❌ {error.reason}" + (f"\n💡 {error.advice}" if error.advice else "")
    if isinstance(error, ImportError) and error.name:
        return tr("❌ 載入不了套件 {name}, 請執行 pip install -r requirements.txt 後重新啟動", name=error.name)
    return tr("❌ 程式發生未預期的錯誤 ({kind}); 加上 --debug 重新啟動可看到細節", kind=type(error).__name__)

"""The built-in query sets, as data."""

from __future__ import annotations

from typing import Final

__all__ = ["QUERY_SETS"]

QUERY_SETS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("多領域查詢", ("Python 的主要特性是什麼?", "機器學習的基本概念", "什麼是 REST API?")),
    ("資料分析", ("如何進行數據清洗?", "常見的統計方法有哪些?", "資料視覺化的最佳實踐")),
    ("程式設計", ("什麼是設計模式?", "如何優化程式效能?", "單元測試的重要性")),
)

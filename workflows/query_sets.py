"""The built-in query sets, as data: their questions, too, are asked in the language of the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.language import marked, tr

__all__ = ["QUERY_SETS", "query_sets"]

QUERY_SETS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        marked("多領域查詢"),
        (marked("Python 的主要特性是什麼?"), marked("機器學習的基本概念"), marked("什麼是 REST API?")),
    ),
    (
        marked("資料分析"),
        (marked("如何進行數據清洗?"), marked("常見的統計方法有哪些?"), marked("資料視覺化的最佳實踐")),
    ),
    (
        marked("程式設計"),
        (marked("什麼是設計模式?"), marked("如何優化程式效能?"), marked("單元測試的重要性")),
    ),
)


def query_sets() -> Sequence[tuple[str, Sequence[str]]]:
    """QUERY_SETS in the language in use: each set's name and its questions."""
    return [(tr(name), [tr(question) for question in questions]) for name, questions in QUERY_SETS]

"""Data → text for the screen. Pure; every function returns whole lines without a final line end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from core.outcome import ExecutorStatistics
from utils.event_lines import event_line, outcome_line
from utils.report_text import aggregate_text, answer_text, batch_table, framed
from utils.text_width import fit

__all__ = [
    "aggregate_text", "answer_text", "banner_text", "batch_table", "cache_text", "event_line", "executor_text",
    "framed", "menu_text", "outcome_line", "query_sets_text", "rule",
]  # fmt: skip

_BANNER: Final = ("⚡ 並行處理與效能優化系統", "🚀 支援多任務並行、快取機制、批次處理")


def rule(width: int = 60) -> str:
    return "=" * min(width, 60)


def banner_text(notices: Iterable[str] = (), *, width: int = 80) -> str:
    """The title, what the person should know at once (one line each), and a rule."""
    return "\n".join([*_BANNER, *notices, rule(width)])


def menu_text(entries: Iterable[tuple[str, str]]) -> str:
    """The menu from its table of (key, label)."""
    return "\n".join(["選擇操作:", *(f"{key}. {label}" for key, label in entries)])


def query_sets_text(query_sets: Sequence[tuple[str, Sequence[str]]], *, width: int = 80) -> str:
    """The built-in query sets, numbered from 1, with their questions."""
    lines = []
    for number, (name, queries) in enumerate(query_sets, 1):
        lines.append(f"{number}. {name} ({len(queries)} 個問題)")
        lines += [f"   - {fit(query, width - 5)}" for query in queries]
    return "\n".join(lines)


def cache_text(stats: Mapping[str, Any]) -> str:
    """Menu 3, from CacheManager.get_stats(): the reference's four figures, then ours where they are given."""
    lines = [
        "💾 快取統計資訊:",
        f"  快取大小: {stats['cache_size']:,}",
        f"  命中次數: {stats['hit_count']:,}",
        f"  未命中次數: {stats['miss_count']:,}",
        f"  命中率: {stats['hit_rate']:.1%}",
    ]
    more = (("shared", "共用同一次呼叫"), ("stores", "存入次數"), ("expired", "過期移除"), ("evicted", "滿額淘汰"))
    return "\n".join(lines + [f"  {label}: {stats[key]:,}" for key, label in more if key in stats])


def executor_text(stats: ExecutorStatistics) -> str:
    """The second half of menu 4. 失敗任務 counts every task that ended without an answer; the line below splits it."""
    split = [
        ("錯誤", stats.failed),
        ("被擋下", stats.blocked),
        ("逾時", stats.timed_out),
        ("取消", stats.cancelled),
        ("未執行", stats.not_run),
    ]
    lines = [
        "⚡ 並行執行統計:",
        f"  總任務數: {stats.submitted:,}",
        f"  成功任務: {stats.answered:,}",
        f"  失敗任務: {stats.unanswered:,}",
        f"  成功率: {stats.success_rate:.1%}",
        f"  平均執行時間: {stats.mean_task_seconds:.3f} 秒",
    ]
    if stats.unanswered:
        lines.insert(4, "    其中 " + ", ".join(f"{label} {count:,}" for label, count in split if count))
    if stats.queued or stats.running:
        lines.append(f"  進行中: {stats.running:,}, 排隊中: {stats.queued:,}")
    return "\n".join(lines)

"""Data → text for the screen. Pure; every function returns whole lines without a final line end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from core.language import marked, tr, tr_n
from core.outcome import ExecutorStatistics
from utils.event_lines import event_line, outcome_line
from utils.report_text import aggregate_text, answer_text, batch_table, framed
from utils.text_width import fit

__all__ = [
    "aggregate_text", "answer_text", "banner_text", "batch_table", "cache_text", "event_line", "executor_text",
    "framed", "menu_text", "outcome_line", "query_sets_text", "rule",
]  # fmt: skip

_BANNER: Final = (marked("⚡ 並行處理與效能優化系統"), marked("🚀 支援多任務並行、快取機制、批次處理"))
_MORE_FIGURES: Final = {
    "shared": marked("  共用同一次呼叫: {count:,}"),
    "stores": marked("  存入次數: {count:,}"),
    "expired": marked("  過期移除: {count:,}"),
    "evicted": marked("  滿額淘汰: {count:,}"),
}


def rule(width: int = 60) -> str:
    return "=" * min(width, 60)


def banner_text(notices: Iterable[str] = (), *, width: int = 80) -> str:
    """The title, what the person should know at once (one line each), and a rule."""
    return "\n".join([*map(tr, _BANNER), *notices, rule(width)])


def menu_text(entries: Iterable[tuple[str, str]]) -> str:
    """The menu from its table of (key, label)."""
    return "\n".join([tr("選擇操作:"), *(f"{key}. {tr(label)}" for key, label in entries)])


def query_sets_text(query_sets: Sequence[tuple[str, Sequence[str]]], *, width: int = 80) -> str:
    """The built-in query sets, numbered from 1, with their questions."""
    lines = []
    for number, (name, queries) in enumerate(query_sets, 1):
        lines.append(tr_n("{number}. {name} ({count} 個問題)", len(queries), number=number, name=name))
        lines += [f"   - {fit(query, width - 5)}" for query in queries]
    return "\n".join(lines)


def cache_text(stats: Mapping[str, Any]) -> str:
    """Menu 3, from CacheManager.get_stats(): the reference's four figures, then ours where they are given."""
    lines = [
        tr("💾 快取統計資訊:"),
        tr("  快取大小: {count:,}", count=stats["cache_size"]),
        tr("  命中次數: {count:,}", count=stats["hit_count"]),
        tr("  未命中次數: {count:,}", count=stats["miss_count"]),
        tr("  命中率: {rate:.1%}", rate=stats["hit_rate"]),
    ]
    lines += [tr(message, count=stats[key]) for key, message in _MORE_FIGURES.items() if key in stats]
    return "\n".join(lines)


def executor_text(stats: ExecutorStatistics) -> str:
    """The second half of menu 4. 失敗任務 counts every task that ended without an answer; the line below splits it."""
    split = [
        (marked("錯誤"), stats.failed),
        (marked("被擋下"), stats.blocked),
        (marked("逾時"), stats.timed_out),
        (marked("取消"), stats.cancelled),
        (marked("未執行"), stats.not_run),
    ]
    lines = [
        tr("⚡ 並行執行統計:"),
        tr("  總任務數: {count:,}", count=stats.submitted),
        tr("  成功任務: {count:,}", count=stats.answered),
        tr("  失敗任務: {count:,}", count=stats.unanswered),
        tr("  成功率: {rate:.1%}", rate=stats.success_rate),
        tr("  平均執行時間: {seconds:.3f} 秒", seconds=stats.mean_task_seconds),
    ]
    if stats.unanswered:
        causes = ", ".join(f"{tr(label)} {count:,}" for label, count in split if count)
        lines.insert(4, tr("    其中 {causes}", causes=causes))
    if stats.queued or stats.running:
        lines.append(tr("  進行中: {running:,}, 排隊中: {queued:,}", running=stats.running, queued=stats.queued))
    return "\n".join(lines)

"""What was measured of functions → the performance report. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from core.language import tr

__all__ = ["FunctionStatistics", "performance_text"]


class FunctionStatistics(TypedDict, total=False):
    """What is known of one function; empty where nothing was measured. Seconds, and bytes for memory.

    call_count = ok_count + failed_count; times are of all calls, failed ones too. cpu_seconds (added up) and
    peak_memory (highest) are None where no call was measured with resources; both are the whole process's.
    """

    function: str
    call_count: int
    total_time: float
    avg_time: float
    min_time: float
    max_time: float
    median_time: float
    ok_count: int
    failed_count: int
    p50: float
    p95: float
    p99: float
    cpu_seconds: float | None
    peak_memory: int | None


def performance_text(statistics: Iterable[FunctionStatistics]) -> str:
    """A paragraph for each function, the names as they are."""
    paragraphs = [_paragraph(one) for one in statistics]
    if not paragraphs:
        return tr("📊 效能報告: 尚無資料")
    return "\n\n".join([tr("📊 效能報告"), *paragraphs])


def _paragraph(one: FunctionStatistics) -> str:
    lines = [
        tr("函式: {name}", name=one["function"]),
        tr(
            "  呼叫次數: {calls} (成功 {succeeded}, 失敗 {failed})",
            calls=one["call_count"], succeeded=one["ok_count"], failed=one["failed_count"],
        ),
        tr("  總時間: {seconds:.3f} 秒", seconds=one["total_time"]),
        tr("  平均時間: {seconds:.3f} 秒", seconds=one["avg_time"]),
        tr("  最小時間: {seconds:.3f} 秒", seconds=one["min_time"]),
        tr("  最大時間: {seconds:.3f} 秒", seconds=one["max_time"]),
        tr("  中位數: {seconds:.3f} 秒", seconds=one["median_time"]),
        tr("  p50 / p95 / p99: {p50:.3f} / {p95:.3f} / {p99:.3f} 秒", p50=one["p50"], p95=one["p95"], p99=one["p99"]),
    ]  # fmt: skip
    cpu, peak = one["cpu_seconds"], one["peak_memory"]
    if cpu is not None and peak is not None:
        lines += [tr("  CPU 秒: {seconds:.3f}", seconds=cpu), tr("  記憶體峰值: {peak:.1f} MiB", peak=peak / 2**20)]
    return "\n".join(lines)

"""What was measured of functions → the performance report. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

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
        return "📊 效能報告: 尚無資料"
    return "\n\n".join(["📊 效能報告", *paragraphs])


def _paragraph(one: FunctionStatistics) -> str:
    lines = [
        f"函式: {one['function']}",
        f"  呼叫次數: {one['call_count']} (成功 {one['ok_count']}, 失敗 {one['failed_count']})",
        f"  總時間: {one['total_time']:.3f} 秒",
        f"  平均時間: {one['avg_time']:.3f} 秒",
        f"  最小時間: {one['min_time']:.3f} 秒",
        f"  最大時間: {one['max_time']:.3f} 秒",
        f"  中位數: {one['median_time']:.3f} 秒",
        f"  p50 / p95 / p99: {one['p50']:.3f} / {one['p95']:.3f} / {one['p99']:.3f} 秒",
    ]
    cpu, peak = one["cpu_seconds"], one["peak_memory"]
    if cpu is not None and peak is not None:
        lines += [f"  CPU 秒: {cpu:.3f}", f"  記憶體峰值: {peak / 2**20:.1f} MiB"]
    return "\n".join(lines)

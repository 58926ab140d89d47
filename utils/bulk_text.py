"""Bulk runs → text: how one stands, and how it ended. Pure; whole lines without a final line end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from core.bulk import BulkEnd, BulkProgress
from core.language import tr, tr_n
from utils.cost_text import duration_text
from utils.neutralise import neutralise
from utils.text_width import cell_width, fit, one_line, pad

__all__ = [
    "agreement_text",
    "distribution_text",
    "end_text",
    "failures_text",
    "preview_text",
    "progress_line",
    "result_rows_text",
]

_BAR_CELLS: Final = 30
_MOST_LABELS: Final = 20
_MOST_REASONS: Final = 10
_LABEL_CELLS: Final = 24


def preview_text(first: Sequence[str], counts: Sequence[str], *, width: int = 80) -> str:
    """What a look at the input found: its first texts, and how many there are of what, as counts says it."""
    lines = [tr("🔎 輸入預覽:")]
    lines += ["  " + fit(f"{number}. {neutralise(one_line(text))}", width - 2) for number, text in enumerate(first, 1)]
    lines.append("  " + ", ".join(counts))
    return "\n".join(lines)


def agreement_text(
    compared: int, agreed: int, low: float, high: float, left_out: int, *, comparable: bool = True
) -> str:
    """What a sample asked both ways says about packing."""
    if not comparable:
        return tr("🔬 抽查: 結果都是自由文字, 逐字比較沒有意義; 請自行看過預覽")
    if not compared:
        return tr("🔬 抽查: 沒有可比較的結果")
    line = tr_n(
        "🔬 抽查 {count:,} 則: 合併詢問與單獨詢問有 {agreed:,} 則相同 "
        "({share:.1%}; 95% 信賴區間 {low:.1%} 到 {high:.1%})",
        compared, agreed=agreed, share=agreed / compared, low=low, high=high,
    )  # fmt: skip
    return f"{line}; {tr_n('另有 {count:,} 則沒有兩種結果', left_out)}" if left_out else line


def progress_line(progress: BulkProgress, *, money: str = "") -> str:
    """The counts of a run on one line, the most telling first, so that a narrow screen cuts off the least."""
    total = "" if progress.expected is None else f"/{progress.expected:,}"
    parts = [f"{progress.settled:,}{total}"]
    if progress.share is not None:
        parts[0] += f" ({progress.share:.0%})"
    if progress.eta:
        parts.append(tr("剩約 {duration}", duration=duration_text(progress.eta)))
    parts.append(tr("{rate:,.1f} 則/s", rate=progress.per_second))
    parts += [f"✅ {progress.answered:,}", f"❌ {progress.failed:,}"]
    if progress.done_before:
        parts.append(tr("先前完成 {count:,}", count=progress.done_before))
    parts.append(tr("請求 {requests:,} (每次 {pack} 則)", requests=progress.requests, pack=progress.pack_size))
    parts.append(f"{progress.usage.total_tokens:,} tokens{', ' + money if money else ''}")
    return " · ".join(parts)


def end_text(end: BulkEnd) -> str:
    """How a session ended: what was done, what is left, and what to do about it."""
    progress = end.progress
    lines = [_headline(end)]
    lines.append(
        tr(
            "  這次: 回答 {answered:,} 則, 失敗 {failed:,} 則, 請求 {requests:,} 次, {tokens:,} tokens, {duration}",
            answered=progress.answered, failed=progress.failed, requests=progress.requests,
            tokens=progress.usage.total_tokens, duration=duration_text(progress.seconds),
        )
    )  # fmt: skip
    done, twins = progress.done_before, progress.twins
    if done or twins:
        lines.append(tr("  先前已完成 {done:,} 則, 重複的文字 {twins:,} 則 (只問一次)", done=done, twins=twins))
    if end.unsaved:
        lines.append(tr_n("  ⚠️ {count:,} 則回答還沒有存下, 只在記憶體裡", end.unsaved))
    if end.stopped:
        lines.append(tr("  原因: {reason}", reason=neutralise(one_line(end.stopped))))
    if end.advice:
        lines.append(f"💡 {neutralise(one_line(end.advice))}")
    return "\n".join(lines)


def _headline(end: BulkEnd) -> str:
    progress = end.progress
    left = None if progress.expected is None else max(progress.expected - progress.settled, 0)
    if end.stopped:
        return tr("🛑 批次停下來了") if left is None else tr_n("🛑 批次停下來了, 還有 {count:,} 則沒有問", left)
    if end.cancelled:
        if left is None:
            return tr("⏸️ 批次已暫停; 已有的結果都保留, 再執行同一個檔案就會接著做")
        return tr_n("⏸️ 批次已暫停, 還有 {count:,} 則沒有問; 已有的結果都保留, 再執行同一個檔案就會接著做", left)
    if progress.failed:
        return tr_n("⚠️ 批次完成, 有 {count:,} 則沒有結果; 再執行一次會只重問這些", progress.failed)
    return tr("🎉 批次完成, 每一則都有結果")


def distribution_text(counts: Mapping[str, int], *, title: str, width: int = 80) -> str:
    """How often each label was given, as bars; the most frequent first."""
    total = sum(counts.values())
    if not total:
        return tr("{title}: 還沒有結果", title=title)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [(fit(neutralise(one_line(label)), _LABEL_CELLS), count) for label, count in ordered[:_MOST_LABELS]]
    column = max(cell_width(label) for label, _ in shown)
    lines = [f"{title}:"]
    for label, count in shown:
        bar = "█" * max(1, math.floor(_bar_cells(width, column) * count / total))
        lines.append(f"  {pad(label, column)} {count:>8,} {count / total:>6.1%} {bar}")
    if len(ordered) > _MOST_LABELS:
        rest = sum(count for _, count in ordered[_MOST_LABELS:])
        lines.append(tr("  … 另有 {labels:,} 種, 共 {texts:,} 則", labels=len(ordered) - _MOST_LABELS, texts=rest))
    return "\n".join(lines)


def result_rows_text(rows: Sequence[tuple[str, str, str]], *, total: int, width: int = 80) -> str:
    """The first texts with what was found in each, or why nothing was; and how many more there are."""
    lines = [tr("📋 結果:")]
    found = [fit(neutralise(one_line(value or f"❌ {reason}")), _LABEL_CELLS) for _, value, reason in rows]
    column = max(map(cell_width, found), default=0)
    for number, (result, (text, _, _)) in enumerate(zip(found, rows, strict=True), 1):
        left = f"{number:>5}  {pad(result, column)}  "
        lines.append(left + fit(neutralise(one_line(text)), max(width - cell_width(left), 10)))
    if total > len(rows):
        lines.append(tr("  … 另有 {count:,} 則, 匯出後可看全部", count=total - len(rows)))
    return "\n".join(lines)


def failures_text(reasons: Mapping[str, int]) -> str:
    """Why texts have no result, the most frequent reason first; empty where all have one."""
    if not reasons:
        return ""
    ordered: Sequence[tuple[str, int]] = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    lines = [tr_n("❌ 沒有結果的 {count:,} 則:", sum(reasons.values()))]
    lines += [f"  {count:>8,}  {fit(neutralise(one_line(reason)), 100)}" for reason, count in ordered[:_MOST_REASONS]]
    if len(ordered) > _MOST_REASONS:
        lines.append(tr_n("  … 另有 {count:,} 種原因", len(ordered) - _MOST_REASONS))
    return "\n".join(lines)


def _bar_cells(width: int, column: int) -> int:
    return max(1, min(_BAR_CELLS, width - column - 20))

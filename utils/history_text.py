"""Kept runs → text: the list of them, one of them, two side by side. Pure; whole lines without a final line end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Final

from core.history import StoredItem, StoredRun
from core.language import marked, tr, tr_n
from core.outcome import AnswerSource, OutcomeKind
from utils.cost_text import money_text
from utils.event_lines import KIND_TITLES, SYMBOLS
from utils.text_width import cell_width, fit, pad

__all__ = ["compare_text", "history_table", "run_summary_text"]

_SOURCES: Final = {AnswerSource.CACHE: marked(" [快取]"), AnswerSource.SHARED: marked(" [共用]")}
_EMPTY: Final = marked("🗂️ 沒有符合的執行紀錄")
_HEAD: Final = ("#", marked("時間"), marked("標題"), marked("成功"), marked("秒"))
_WIDE: Final = 80
_GAP: Final = "  "
_LEAST_TITLE: Final = 8
_LEAST_LINE: Final = 20
_NONE: Final = "-"
_RULE: Final = 60
_INDENT: Final = "   "
_FRAME: Final = f"{_INDENT}│ "  # nothing in an answer can pass for a line of ours
_MOST_PERCENT: Final = 10  # as a factor; beyond it a percentage says nothing

_Number = float | Decimal | None
_Show = Callable[[float | Decimal], str]


def history_table(runs: Sequence[StoredRun], width: int = 80) -> str:
    """The runs in the order given: number, local time of the start, title, outcomes, seconds.

    From 80 columns on the outcomes tell every kind, and the time its year.
    """
    if not runs:
        return tr(_EMPTY)
    wide = width >= _WIDE
    rows = [tuple(map(tr, _HEAD)), *(_run_cells(run, wide=wide) for run in runs)]
    number, when, _, outcome, seconds = (max(map(cell_width, column)) for column in zip(*rows, strict=True))
    outcome = min(outcome, max(width // 3, 4))
    title = max(width - number - when - outcome - seconds - 4 * len(_GAP), _LEAST_TITLE)
    lines = [
        _GAP.join(
            (
                _right(row[0], number),
                pad(row[1], when),
                _left(row[2], title),
                _left(row[3], outcome),
                _right(row[4], seconds),
            )
        )
        for row in rows
    ]
    return "\n".join([lines[0], "-" * min(width, cell_width(lines[0])), *lines[1:]])


def run_summary_text(run: StoredRun, items: Iterable[StoredItem] = (), width: int = 80, *, most: int = 40) -> str:
    """One run: its figures, then the first most of its questions, each with the beginning of what came of it."""
    width = max(width, _LEAST_LINE)
    lines = [fit(line, width) for line in _figure_lines(run)]
    shown = list(islice(items, most))
    for item in shown:
        lines += _item_lines(item, width)
    if shown and len(shown) < run.questions:
        lines.append(tr_n("… 另有 {count:,} 個問題沒有列出", run.questions - len(shown)))
    return "\n".join(lines)


def compare_text(run_a: StoredRun, run_b: StoredRun, width: int = 80) -> str:
    """The figures of two runs side by side; the last column is the second less the first, and in percent of it.

    Where a screen is too narrow for that the percentages are left out, and then the whole column: no figure is cut
    as long as two of them fit.
    """
    rows = [_row(tr(label), show, of(run_a), of(run_b)) for label, show, of in _FIGURES]
    head = ("", f"#{run_a.id}", f"#{run_b.id}")
    table = [(*head, tr("差異")), *((*each, change + percent) for *each, change, percent in rows)]
    if _table_width(table) > width:
        table = [(*head, tr("差異")), *((*each, change) for *each, change, _ in rows)]
    if _table_width(table) > width:
        table = [head, *(row[:3] for row in rows)]
    heads = [fit(f"#{run.id} {_when(run)} {run.title}", max(width, _LEAST_LINE)) for run in (run_a, run_b)]
    return "\n".join([tr("📊 兩次執行的比較"), *heads, "-" * min(width, _RULE), *_figure_table(table, width)])


def _table_width(rows: Sequence[Sequence[str]]) -> int:
    return sum(max(map(cell_width, column)) + len(_GAP) for column in zip(*rows, strict=True)) - len(_GAP)


def _figure_table(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    first, *columns = (max(map(cell_width, column)) for column in zip(*rows, strict=True))
    if _table_width(rows) > width:
        most = max((width - first) // len(columns) - len(_GAP), _LEAST_TITLE)
        columns = [min(column, most) for column in columns]
    return [_GAP.join((pad(row[0], first), *map(_right, row[1:], columns))).rstrip() for row in rows]


def _figure_lines(run: StoredRun) -> list[str]:
    service = run.service
    lines = [
        tr("🗂️ 執行紀錄 #{id}: {title}", id=run.id, title=run.title),
        tr("🕒 {when}, 模型 {model}", when=_when(run), model=run.model or tr("未知")),
        _answered_line(run),
        tr("⏱️ 總時間: {wall:,.2f} 秒; 依序需 {serial:,.2f} 秒", wall=run.wall_seconds, serial=run.serial_seconds),
    ]
    if run.speed_up > 0:
        lines.append(tr("⚡ 加速: {times:.2f} 倍 (上限 {limit:.2f} 倍)", times=run.speed_up, limit=run.speed_up_limit))
    if service.tasks:
        lines.append(
            tr(
                "📶 服務時間: 平均 {mean:.2f}, p50 {p50:.2f}, p95 {p95:.2f} 秒",
                mean=service.mean, p50=service.p50, p95=service.p95,
            )
        )  # fmt: skip
    lines.append(
        tr(
            "💰 tokens: 輸入 {prompt:,}, 輸出 {output:,}; 費用 {money}",
            prompt=run.prompt_tokens, output=run.output_tokens, money=money_text(run.money),
        )
    )  # fmt: skip
    return lines


def _answered_line(run: StoredRun) -> str:
    if run.answered == run.questions:
        return tr("✅ 成功: {answered:,}/{questions:,}", answered=run.answered, questions=run.questions)
    return tr(
        "✅ 成功: {answered:,}/{questions:,} ({others})",
        answered=run.answered, questions=run.questions, others=_other_kinds(run),
    )  # fmt: skip


def _run_cells(run: StoredRun, *, wide: bool) -> tuple[str, str, str, str, str]:
    others = f" ({_other_kinds(run)})" if wide and run.answered < run.questions else ""
    answered = f"{run.answered:,}/{run.questions:,}{others}"
    return f"{run.id}", _when(run, year=wide), run.title, answered, f"{run.wall_seconds:,.1f}"


def _item_lines(item: StoredItem, width: int) -> list[str]:
    lines = [_beginning(f"{item.number}. {item.question}", width)]
    if item.kind is not OutcomeKind.ANSWERED:
        reason = item.reason or tr(KIND_TITLES[item.kind])
        return [*lines, _INDENT + _beginning(f"{SYMBOLS[item.kind]} {reason}", width - cell_width(_INDENT))]
    source = _SOURCES.get(item.source)
    mark = ("" if source is None else tr(source)) + (tr(" ⚠️ 被截斷") if item.truncated else "")
    return [*lines, _FRAME + _beginning(item.answer, width - cell_width(_FRAME + mark)) + mark]


def _beginning(text: str, columns: int) -> str:
    """The beginning of a text that may be very long, on one line."""
    return fit(text[: 4 * max(columns, 1)], columns)


def _other_kinds(run: StoredRun) -> str:
    """How often each kind but success occurred."""
    kinds = [kind for kind in KIND_TITLES if kind is not OutcomeKind.ANSWERED and run.counts.get(kind)]
    return ", ".join(f"{tr(KIND_TITLES[kind])} {run.counts[kind]:,}" for kind in kinds)


def _when(run: StoredRun, *, year: bool = True) -> str:
    """The local time of the start."""
    try:
        local = datetime.fromtimestamp(run.started_wall, UTC).astimezone()
    except (OverflowError, OSError, ValueError):  # a clock that was far off, or a file that somebody changed
        return _NONE
    return f"{local:%Y-%m-%d %H:%M}" if year else f"{local:%m-%d %H:%M}"


def _seconds(value: float | Decimal) -> str:
    return f"{value:,.2f}"


def _whole(value: float | Decimal) -> str:
    return f"{value:,.0f}"


def _dollars(value: float | Decimal) -> str:
    return f"-{money_text(-Decimal(value))}" if value < 0 else money_text(Decimal(value))


_FIGURES: Final[tuple[tuple[str, _Show, Callable[[StoredRun], _Number]], ...]] = (
    (marked("問題數"), _whole, lambda run: run.questions),
    (marked("成功"), _whole, lambda run: run.answered),
    (marked("未成功"), _whole, lambda run: run.questions - run.answered),
    (marked("總時間 (秒)"), _seconds, lambda run: run.wall_seconds),
    (marked("依序時間 (秒)"), _seconds, lambda run: run.serial_seconds),
    (marked("加速 (倍)"), _seconds, lambda run: run.speed_up),
    (marked("服務平均 (秒)"), _seconds, lambda run: run.service.mean if run.service.tasks else None),
    (marked("服務 p50 (秒)"), _seconds, lambda run: run.service.p50 if run.service.tasks else None),
    (marked("服務 p95 (秒)"), _seconds, lambda run: run.service.p95 if run.service.tasks else None),
    (marked("輸入 tokens"), _whole, lambda run: run.prompt_tokens),
    (marked("輸出 tokens"), _whole, lambda run: run.output_tokens),
    (marked("費用"), _dollars, lambda run: run.money),
)


def _row(label: str, show: _Show, before: _Number, after: _Number) -> tuple[str, str, str, str, str]:
    """The label, both figures, their difference, and that in percent."""
    left, right = (show(value) if value is not None and math.isfinite(value) else _NONE for value in (before, after))
    if before is None or after is None or _NONE in (left, right):
        return label, left, right, _NONE, ""
    change = Decimal(after) - Decimal(before)
    if show(change) == show(Decimal(0)):
        return label, left, right, "=", ""
    part = change / Decimal(before) if before else Decimal("inf")
    percent = f" ({part:+.0%})" if abs(part) < _MOST_PERCENT else ""
    return label, left, right, f"{'+' if change > 0 else ''}{show(change)}", percent


def _left(text: str, columns: int) -> str:
    return pad(fit(text, columns), columns)


def _right(text: str, columns: int) -> str:
    text = fit(text, columns)
    return " " * max(columns - cell_width(text), 0) + text

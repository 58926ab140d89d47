"""What all kept runs come to → text. Pure; whole lines without a final line end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final

from core.history import HistoryTotals, RunSums
from core.language import marked, tr, tr_n
from core.outcome import OutcomeKind
from utils.cost_text import money_text
from utils.event_lines import KIND_TITLES
from utils.text_width import cell_width, fit, pad

__all__ = ["stats_text"]

_GAP: Final = "  "
_LEAST_NAME: Final = 8
_NARROWEST: Final = 20
_HEAD: Final = (marked("執行"), marked("題數"), marked("tokens"), marked("費用"))


def stats_text(totals: HistoryTotals, days: Mapping[date, RunSums], width: int = 80) -> str:
    """The totals, then each model, then each of the days, the latest first. From 60 columns on every line fits."""
    width = max(width, _NARROWEST)
    if not totals.whole.runs:
        return fit(tr("📊 還沒有執行紀錄"), width)
    title = tr("📊 統計 ({first} 到 {last})", first=_day(totals.first), last=_day(totals.last))
    facts = _facts(totals)
    label = max(cell_width(name) for name, _ in facts)
    lines = [fit(title, width), "-" * min(width, 60)]
    lines += [f"{pad(name, label)}{_GAP}{fit(text, max(width - label - len(_GAP), 1))}" for name, text in facts]
    models = sorted(totals.by_model.items(), key=lambda each: -each[1].questions)
    lines += _table(tr("模型"), [(name or tr("未知"), sums) for name, sums in models], width)
    if days:
        lines += _table(tr("日期"), [(f"{day}", sums) for day, sums in sorted(days.items(), reverse=True)], width)
    return "\n".join(lines)


def _facts(totals: HistoryTotals) -> list[tuple[str, str]]:
    whole, service = totals.whole, totals.service
    facts = [
        (tr("執行"), tr_n("{count:,} 次", whole.runs)),
        (tr("題數"), f"{whole.questions:,}"),
        *((tr(KIND_TITLES[kind]), _share(totals.counts[kind], whole.questions)) for kind in _kinds(totals)),
        (tr("快取命中"), f"{totals.cached:,}"),
        (tr("共用"), f"{totals.shared:,}"),
        ("tokens", tr("輸入 {prompt:,}, 輸出 {output:,}", prompt=whole.prompt_tokens, output=whole.output_tokens)),
        (tr("費用"), _money(whole)),
    ]
    if service.tasks:
        times = tr("p50 {p50:.2f}, p95 {p95:.2f} 秒 ({tasks:,} 題)", p50=service.p50, p95=service.p95,
                   tasks=service.tasks)  # fmt: skip
        facts.append((tr("服務時間"), times))
    calls = totals.cached + totals.shared
    if calls:
        least = "≥ " if totals.unknown_saved else ""
        tokens = tr_n("{count:,} 次呼叫, {tokens} tokens", calls, tokens=f"{least}{totals.saved_tokens:,}")
        facts += [(tr("快取省下"), tokens), (tr("省下費用"), _saved_money(totals))]
    return facts


def _kinds(totals: HistoryTotals) -> list[OutcomeKind]:
    return [kind for kind in KIND_TITLES if kind is OutcomeKind.ANSWERED or totals.counts.get(kind)]


def _share(count: int, whole: int) -> str:
    return f"{count:,} ({count / whole:.1%})" if whole else f"{count:,}"


def _money(sums: RunSums) -> str:
    if sums.money is not None or not sums.known_money:
        return money_text(sums.money)
    known = money_text(sums.known_money)
    return tr_n("至少 {money} ({count:,} 次執行沒有價格)", sums.unpriced_runs, money=known)


def _saved_money(totals: HistoryTotals) -> str:
    if not (totals.unpriced_saved or totals.unknown_saved):
        return money_text(totals.saved_money)
    return tr("至少 {money}", money=money_text(totals.saved_money)) if totals.saved_money else money_text(None)


def _table(title: str, rows: Sequence[tuple[str, RunSums]], width: int) -> list[str]:
    """A blank line, the head, and a line for each: names to the left, figures to the right."""
    cells = [(title, *map(tr, _HEAD)), *((name, *_figures(sums)) for name, sums in rows)]
    _, *columns = (max(map(cell_width, column)) for column in zip(*cells, strict=True))
    room = max(width - sum(columns) - len(_GAP) * len(columns), _LEAST_NAME)
    name = min(max(cell_width(row[0]) for row in cells), room)
    lines = []
    for row in cells:
        figures = [" " * (column - cell_width(text)) + text for text, column in zip(row[1:], columns, strict=True)]
        lines.append(_GAP.join((pad(fit(row[0], name), name), *figures)))
    return ["", *lines]


def _figures(sums: RunSums) -> tuple[str, str, str, str]:
    money = "-" if sums.money is None and not sums.known_money else money_text(sums.known_money)
    more = "+" if sums.money is None and sums.known_money else ""
    return f"{sums.runs:,}", f"{sums.questions:,}", f"{sums.tokens:,}", money + more


def _day(wall: float | None) -> str:
    try:
        return f"{datetime.fromtimestamp(wall or 0.0, UTC).astimezone():%Y-%m-%d}"
    except (OverflowError, OSError, ValueError):  # a clock that was far off
        return "-"

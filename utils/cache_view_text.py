"""Entries of the cache → text: the list, one of them, what they saved. Pure; whole lines without a final line end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

from core.cost import Spend
from core.language import marked, tr, tr_n
from core.outcome import Answer
from core.ports import Prompt
from utils.cost_text import money_text
from utils.report_text import framed
from utils.text_width import cell_width, fit, one_line, pad, preview

__all__ = ["KEY_SHOWN", "ListedEntry", "cache_saved_text", "cache_table", "entry_text", "size_text"]

KEY_SHOWN: Final = 8

_WIDE: Final = 60
_GAP: Final = "  "
_LEAST_QUESTION: Final = 4
_INSTRUCTION_CHARACTERS: Final = 200
_PINNED: Final = marked("釘選")
_HEAD: Final = ("#", marked("已存"), marked("剩餘"), marked("命中"), marked("大小"), marked("問題"))
_NARROW_COLUMNS: Final = (0, 2, 5)
_SPANS: Final = (
    (60, 1, marked("{count:,} 秒")),
    (3600, 60, marked("{count:,} 分")),
    (48 * 3600, 3600, marked("{count:,} 小時")),
    (math.inf, 24 * 3600, marked("{count:,} 天")),
)


class ListedEntry(Protocol):
    """What a line tells of an entry: seconds, bytes, and the beginning of its question ("": not known)."""

    @property
    def key(self) -> str: ...
    @property
    def age(self) -> float: ...
    @property
    def remaining(self) -> float: ...
    @property
    def hits(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def pinned(self) -> bool: ...
    @property
    def question(self) -> str: ...


def cache_table(
    entries: Sequence[ListedEntry],
    *,
    first: int = 1,
    total: int,
    order: str | None = None,
    width: int = 80,
    by_key: bool = False,
) -> str:
    """One page of the entries, numbered from first, under a line that tells which of how many they are.

    order says how they are sorted; None: the newest first. Below 60 columns only number, remaining time and question
    are shown. by_key: the beginning of the entry's key, by which a command finds it, in place of the number.
    """
    columns = range(len(_HEAD)) if width >= _WIDE else _NARROW_COLUMNS
    names = [entry.key[:KEY_SHOWN] if by_key else f"{number}" for number, entry in enumerate(entries, first)]
    head = (tr("鍵") if by_key else _HEAD[0], *map(tr, _HEAD[1:]))
    cells = [head, *(_cells(name, entry) for name, entry in zip(names, entries, strict=True))]
    rows = [[row[column] for column in columns] for row in cells]
    widths = [min(max(map(cell_width, column)), max(width // 3, 4)) for column in zip(*rows, strict=True)][:-1]
    room = max(width - sum(widths) - len(_GAP) * len(widths), _LEAST_QUESTION)
    lines = [
        _GAP.join([_right(row[0], widths[0]), *map(_left, row[1:-1], widths[1:]), fit(row[-1], room)]) for row in rows
    ]
    title = tr(
        "🗂️ 快取內容: 第 {first:,} 到 {last:,} 筆, 共 {total:,} 筆 ({order})",
        first=first, last=first + len(entries) - 1, total=total, order=order or tr("最新的在前"),
    )  # fmt: skip
    return "\n".join([fit(title, width), lines[0], "-" * min(width, 60), *lines[1:]])


def entry_text(number: int | str, entry: ListedEntry, value: object, prompt: Prompt | None) -> str:
    """One entry whole: its question, its framed value, and its figures. prompt None: it is not kept whole.

    number: what the person knows the entry by.
    """
    name = number if isinstance(number, str) else f"{number:,}"
    question = _question(entry) if prompt is None else one_line(prompt.text)
    lines = [tr("📝 快取 {name}: {question}", name=name, question=question)]
    if prompt is not None and prompt.system_instruction:
        instruction = preview(one_line(prompt.system_instruction), _INSTRUCTION_CHARACTERS)
        lines.append(tr("   指示: {instruction}", instruction=instruction))
    facts = [
        tr("已存 {span}", span=_span(entry.age)),
        _remaining_fact(entry),
        tr_n("命中 {count:,} 次", entry.hits),
    ]
    if isinstance(value, Answer):
        facts = [tr("模型 {model}", model=one_line(value.model)), f"{value.usage.total_tokens:,} tokens", *facts]
        lines.append(framed(value.text))
    else:
        lines.append(framed(value if isinstance(value, str) else tr("({type} 型別的值)", type=type(value).__name__)))
    lines.append(f"└ {', '.join([*facts, size_text(entry.bytes)])}")
    if isinstance(value, Answer) and value.truncated:
        lines.append(tr("⚠️ 回答到達輸出上限, 在此被截斷"))
    return "\n".join(lines)


def cache_saved_text(spend: Spend) -> str:
    """What the cache and shared calls saved since the start."""
    if not spend.saved_calls:
        return tr("💰 啟動以來還沒有省下呼叫")
    money = money_text(spend.saved_money)
    if spend.saved_money is None and spend.known_saved_money:
        known = money_text(spend.known_saved_money)
        money = tr_n("至少 {money} ({count:,} 次沒有價格資料)", spend.unpriced_saved, money=known)
    return tr_n(
        "💰 啟動以來省下: {count:,} 次呼叫 (快取 {cached:,}, 共用 {shared:,}), {tokens:,} tokens, 費用 {money}",
        spend.saved_calls, cached=spend.cached, shared=spend.shared, tokens=spend.saved_tokens, money=money,
    )  # fmt: skip


def size_text(size: int) -> str:
    """Bytes in the largest unit that leaves at least one."""
    if size < 1024:
        return f"{size:,} B"
    return f"{size / 1024:,.1f} KiB" if size < 2**20 else f"{size / 2**20:,.1f} MiB"


def _cells(name: str, entry: ListedEntry) -> tuple[str, ...]:
    remaining = tr(_PINNED) if entry.pinned else _span(entry.remaining)
    sizes = f"{entry.hits:,}", size_text(entry.bytes)
    return name, _span(entry.age), remaining, *sizes, _question(entry)


def _span(seconds: float) -> str:
    """A length of time in its one unit that says most: rounded up to seconds, then down to the unit."""
    whole = math.ceil(seconds)
    unit, message = next((unit, message) for below, unit, message in _SPANS if whole < below)
    return tr(message, count=whole // unit)


def _question(entry: ListedEntry) -> str:
    return one_line(entry.question) or tr("(沒有記下問題) {key}", key=entry.key[:KEY_SHOWN])


def _remaining_fact(entry: ListedEntry) -> str:
    return tr("已釘選, 不會過期") if entry.pinned else tr("剩餘 {span}", span=_span(entry.remaining))


def _left(text: str, columns: int) -> str:
    return pad(fit(text, columns), columns)


def _right(text: str, columns: int) -> str:
    text = fit(text, columns)
    return " " * (columns - cell_width(text)) + text

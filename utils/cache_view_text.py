"""Entries of the cache → text: the list, one of them, what they saved. Pure; whole lines without a final line end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

from core.cost import Spend
from core.outcome import Answer
from core.ports import Prompt
from utils.cost_text import money_text
from utils.report_text import framed
from utils.text_width import cell_width, fit, one_line, pad, preview

__all__ = ["ListedEntry", "cache_saved_text", "cache_table", "entry_text", "size_text"]

_WIDE: Final = 60
_GAP: Final = "  "
_LEAST_QUESTION: Final = 4
_INSTRUCTION_CHARACTERS: Final = 200
_PINNED: Final = "釘選"
_HEAD: Final = ("#", "已存", "剩餘", "命中", "大小", "問題")
_NARROW_COLUMNS: Final = (0, 2, 5)
_SPANS: Final = ((60, 1, "秒"), (3600, 60, "分"), (48 * 3600, 3600, "小時"), (math.inf, 24 * 3600, "天"))


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
    entries: Sequence[ListedEntry], *, first: int = 1, total: int, order: str = "最新的在前", width: int = 80
) -> str:
    """One page of the entries, numbered from first, under a line that tells which of how many they are.

    Below 60 columns only number, remaining time and question are shown.
    """
    columns = range(len(_HEAD)) if width >= _WIDE else _NARROW_COLUMNS
    cells = [_HEAD, *(_cells(number, entry) for number, entry in enumerate(entries, first))]
    rows = [[row[column] for column in columns] for row in cells]
    widths = [min(max(map(cell_width, column)), max(width // 3, 4)) for column in zip(*rows, strict=True)][:-1]
    room = max(width - sum(widths) - len(_GAP) * len(widths), _LEAST_QUESTION)
    lines = [
        _GAP.join([_right(row[0], widths[0]), *map(_left, row[1:-1], widths[1:]), fit(row[-1], room)]) for row in rows
    ]
    title = f"🗂️ 快取內容: 第 {first:,} 到 {first + len(entries) - 1:,} 筆, 共 {total:,} 筆 ({order})"
    return "\n".join([fit(title, width), lines[0], "-" * min(width, 60), *lines[1:]])


def entry_text(number: int, entry: ListedEntry, value: object, prompt: Prompt | None) -> str:
    """One entry whole: its question, its framed value, and its figures. prompt None: it is not kept whole."""
    question = _question(entry) if prompt is None else one_line(prompt.text)
    lines = [f"📝 快取 {number:,}: {question}"]
    if prompt is not None and prompt.system_instruction:
        lines.append(f"   指示: {preview(one_line(prompt.system_instruction), _INSTRUCTION_CHARACTERS)}")
    facts = [f"已存 {_span(entry.age)}", _remaining_fact(entry), f"命中 {entry.hits:,} 次"]
    if isinstance(value, Answer):
        facts = [f"模型 {one_line(value.model)}", f"{value.usage.total_tokens:,} tokens", *facts]
        lines.append(framed(value.text))
    else:
        lines.append(framed(value if isinstance(value, str) else f"({type(value).__name__} 型別的值)"))
    lines.append(f"└ {', '.join([*facts, size_text(entry.bytes)])}")
    if isinstance(value, Answer) and value.truncated:
        lines.append("⚠️ 回答到達輸出上限, 在此被截斷")
    return "\n".join(lines)


def cache_saved_text(spend: Spend) -> str:
    """What the cache and shared calls saved since the start."""
    if not spend.saved_calls:
        return "💰 啟動以來還沒有省下呼叫"
    money = money_text(spend.saved_money)
    if spend.saved_money is None and spend.known_saved_money:
        money = f"至少 {money_text(spend.known_saved_money)} ({spend.unpriced_saved:,} 次沒有價格資料)"
    return (
        f"💰 啟動以來省下: {spend.saved_calls:,} 次呼叫 (快取 {spend.cached:,}, 共用 {spend.shared:,}), "
        f"{spend.saved_tokens:,} tokens, 費用 {money}"
    )


def size_text(size: int) -> str:
    """Bytes in the largest unit that leaves at least one."""
    if size < 1024:
        return f"{size:,} B"
    return f"{size / 1024:,.1f} KiB" if size < 2**20 else f"{size / 2**20:,.1f} MiB"


def _cells(number: int, entry: ListedEntry) -> tuple[str, ...]:
    remaining = _PINNED if entry.pinned else _span(entry.remaining)
    sizes = f"{entry.hits:,}", size_text(entry.bytes)
    return f"{number}", _span(entry.age), remaining, *sizes, _question(entry)


def _span(seconds: float) -> str:
    """A length of time in its one unit that says most: rounded up to seconds, then down to the unit."""
    whole = math.ceil(seconds)
    unit, name = next((unit, name) for below, unit, name in _SPANS if whole < below)
    return f"{whole // unit:,} {name}"


def _question(entry: ListedEntry) -> str:
    return one_line(entry.question) or f"(沒有記下問題) {entry.key[:8]}"


def _remaining_fact(entry: ListedEntry) -> str:
    return "已釘選, 不會過期" if entry.pinned else f"剩餘 {_span(entry.remaining)}"


def _left(text: str, columns: int) -> str:
    return pad(fit(text, columns), columns)


def _right(text: str, columns: int) -> str:
    text = fit(text, columns)
    return " " * (columns - cell_width(text)) + text

"""A run of questions as JSON, JSON lines, CSV and Markdown. Each writer returns how many items there were."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, TextIO

from core.outcome import AnswerSource, OutcomeKind
from utils.event_lines import KIND_TITLES
from utils.export_rows import shortened
from utils.export_tables import defused
from utils.neutralise import json_line, neutralise
from utils.run_items import RunHead, RunItem
from utils.text_width import one_line

__all__ = [
    "SOURCE_TITLES", "head_figures", "head_object", "item_facts", "item_object", "write_run_csv", "write_run_json",
    "write_run_jsonl", "write_run_markdown",
]  # fmt: skip

SOURCE_TITLES: Final = {AnswerSource.MODEL: "模型", AnswerSource.CACHE: "快取", AnswerSource.SHARED: "相同的問題"}
_COLUMNS: Final = (
    "編號", "問題", "結果", "回答", "原因", "模型", "來源", "截斷", "送出 (秒)", "開始 (秒)", "結束 (秒)",
    "限流等待 (秒)", "服務時間 (秒)", "嘗試次數", "輸入 tokens", "回答 tokens", "思考 tokens",
)  # fmt: skip
_SHOWN_CHARACTERS: Final = 200
_FENCE: Final = re.compile("`+")
_LEAST_FENCE: Final = 3
# What Markdown, or what it may be turned into, gives a meaning to within a line: marks, HTML, tables, addresses.
_MARKS: Final = re.compile(r"[\\`*_\[\]<>#!|~$&@^=]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def head_object(head: RunHead) -> dict[str, object]:
    """The head as JSON has it."""
    return {
        "title": head.title,
        "model": head.model,
        "created": head.created,
        "wall_seconds": head.wall_seconds,
        "serial_seconds": head.serial_seconds,
        "longest_seconds": head.longest_seconds,
        "counts": {kind.value: count for kind, count in head.counts.items()},
        "prompt_tokens": head.tokens.prompt_tokens,
        "answer_tokens": head.tokens.answer_tokens,
        "thinking_tokens": head.tokens.thinking_tokens,
        "money": head.money,
    }


def item_object(item: RunItem) -> dict[str, object]:
    """The item as JSON has it: the keys of RunItem, the tokens one by one."""
    return {
        "number": item.number,
        "question": item.question,
        "kind": item.kind.value,
        "answer": item.answer,
        "reason": item.reason,
        "model": item.model,
        "source": None if item.source is None else item.source.value,
        "truncated": item.truncated,
        "submitted": item.submitted,
        "started": item.started,
        "ended": item.ended,
        "limiter_seconds": item.limiter_seconds,
        "service_seconds": item.service_seconds,
        "attempts": item.attempts,
        "prompt_tokens": item.tokens.prompt_tokens,
        "answer_tokens": item.tokens.answer_tokens,
        "thinking_tokens": item.tokens.thinking_tokens,
    }


def head_figures(head: RunHead) -> list[tuple[str, str]]:
    """The head as (label, text), for people; the texts are on one line each, and neutralised."""
    counts = [f"{title} {head.counts[kind]:,}" for kind, title in KIND_TITLES.items() if head.counts.get(kind)]
    tokens = head.tokens
    pairs = [
        ("模型", head.model),
        ("時間", f"{datetime.fromtimestamp(head.created, UTC).astimezone():%Y-%m-%d %H:%M (UTC%z)}"),
        ("問題", f"{sum(head.counts.values()):,} 個"),
        ("結果", ", ".join(counts)),
        ("花費時間", f"{head.wall_seconds:,.2f} 秒"),
        ("依序需要", f"{head.serial_seconds:,.2f} 秒"),
        ("加速", f"{head.speed_up:.2f} 倍 (上限 {head.speed_up_limit:.2f} 倍)" if head.speed_up else ""),
        ("輸入 tokens", f"{tokens.prompt_tokens:,}"),
        ("輸出 tokens", f"{tokens.answer_tokens + tokens.thinking_tokens:,}"),
        ("費用", head.money),
    ]
    return [(label, one_line(text)) for label, text in pairs if text]


def item_facts(item: RunItem) -> str:
    """What is known of an item besides its texts, on one line, neutralised."""
    source = "" if item.source in (None, AnswerSource.MODEL) else f"來自{SOURCE_TITLES[item.source]}"
    facts = [
        KIND_TITLES[item.kind],
        one_line(item.model),
        source,
        f"{item.run_seconds:,.2f} 秒",
        f"嘗試 {item.attempts:,} 次" if item.attempts else "",
        f"{item.tokens.total_tokens:,} tokens" if item.tokens.total_tokens else "",
        "到達輸出上限, 在此被截斷" if item.truncated else "",
    ]
    return ", ".join(fact for fact in facts if fact)


def write_run_json(file: TextIO, head: RunHead, items: Iterable[RunItem]) -> int:
    """One document, {"run": …, "items": […]}, an item a line; nothing lost."""
    file.write(f'{{"run": {json_line(head_object(head))},\n"items": [')
    count = 0
    for count, item in enumerate(items, 1):
        file.write(f"{',' if count > 1 else ''}\n{json_line(item_object(item))}")
    file.write("\n]}\n")
    return count


def write_run_jsonl(file: TextIO, head: RunHead, items: Iterable[RunItem]) -> int:
    """An item a line, nothing of it lost."""
    count = 0
    for item in items:
        count += 1
        file.write(f"{json_line(item_object(item))}\n")
    return count


def write_run_csv(file: TextIO, head: RunHead, items: Iterable[RunItem]) -> int:
    """A table for spreadsheets. Texts are quoted and defused, numbers stay numbers; nothing of an item is lost."""
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(_COLUMNS)
    count = 0
    for item in items:
        count += 1
        writer.writerow(_cells(item))
    return count


def write_run_markdown(file: TextIO, head: RunHead, items: Iterable[RunItem]) -> int:
    """The figures as a list, then each question with its whole answer.

    Questions and answers stand in fenced blocks: a fence longer than any in the text, so that nothing in it is a
    heading of ours, loads a picture, or is HTML.
    """
    file.write(f"# {_escaped(head.title)}\n\n")
    file.writelines(f"- {label}: {_escaped(text)}\n" for label, text in head_figures(head))
    count = 0
    for item in items:
        count += 1
        file.write(f"\n## {item.number}. {_escaped(item.question)}\n\n")
        if "\n" in item.question.strip() or len(item.question) > _SHOWN_CHARACTERS:
            file.write(f"問題全文:\n\n{_fenced(item.question)}\n\n")
        text = _fenced(item.answer) if item.kind is OutcomeKind.ANSWERED else f"原因: {_escaped(item.reason) or '不明'}"
        file.write(f"{text}\n\n{_escaped(item_facts(item))}\n")
    return count


def _cells(item: RunItem) -> Sequence[str | int | float]:
    return (
        item.number,
        defused(item.question),
        KIND_TITLES[item.kind],
        defused(item.answer),
        defused(item.reason),
        defused(item.model),
        "" if item.source is None else SOURCE_TITLES[item.source],
        "是" if item.truncated else "",
        item.submitted,
        "" if item.started is None else item.started,
        item.ended,
        item.limiter_seconds,
        item.service_seconds,
        item.attempts,
        item.tokens.prompt_tokens,
        item.tokens.answer_tokens,
        item.tokens.thinking_tokens,
    )


def _escaped(text: str) -> str:
    return _MARKS.sub(lambda mark: f"\\{mark[0]}", shortened(text, _SHOWN_CHARACTERS))


def _fenced(text: str) -> str:
    text = neutralise(text)
    longest = max((len(run[0]) for run in _FENCE.finditer(text)), default=0)
    fence = "`" * max(longest + 1, _LEAST_FENCE)
    return f"{fence}text\n{text}\n{fence}"

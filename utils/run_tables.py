"""A run of questions as JSON, JSON lines, CSV and Markdown. Each writer returns how many items there were."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, TextIO

from core.language import marked, tr, tr_n
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

SOURCE_TITLES: Final = {
    AnswerSource.MODEL: marked("模型"),
    AnswerSource.CACHE: marked("快取"),
    AnswerSource.SHARED: marked("相同的問題"),
}
_COLUMNS: Final = (
    marked("編號"), marked("問題"), marked("結果"), marked("回答"), marked("原因"), marked("模型"), marked("來源"),
    marked("截斷"), marked("送出 (秒)"), marked("開始 (秒)"), marked("結束 (秒)"), marked("限流等待 (秒)"),
    marked("服務時間 (秒)"), marked("嘗試次數"), marked("輸入 tokens"), marked("回答 tokens"), marked("思考 tokens"),
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
    counts = [f"{tr(title)} {head.counts[kind]:,}" for kind, title in KIND_TITLES.items() if head.counts.get(kind)]
    questions = sum(head.counts.values())
    tokens, factors = head.tokens, {"factor": head.speed_up, "limit": head.speed_up_limit}
    pairs = [
        (tr("模型"), head.model),
        (tr("時間"), f"{datetime.fromtimestamp(head.created, UTC).astimezone():%Y-%m-%d %H:%M (UTC%z)}"),
        (tr("問題數"), tr("{questions:,} 個", questions=questions)),
        (tr("結果"), ", ".join(counts)),
        (tr("花費時間"), tr("{seconds:,.2f} 秒", seconds=head.wall_seconds)),
        (tr("依序需要"), tr("{seconds:,.2f} 秒", seconds=head.serial_seconds)),
        (tr("加速"), tr("{factor:.2f} 倍 (上限 {limit:.2f} 倍)", **factors) if head.speed_up else ""),
        (tr("輸入 tokens"), f"{tokens.prompt_tokens:,}"),
        (tr("輸出 tokens"), f"{tokens.answer_tokens + tokens.thinking_tokens:,}"),
        (tr("費用"), head.money),
    ]
    return [(label, one_line(text)) for label, text in pairs if text]


def item_facts(item: RunItem) -> str:
    """What is known of an item besides its texts, on one line, neutralised."""
    facts = [
        tr(KIND_TITLES[item.kind]),
        one_line(item.model),
        tr("來自快取") if item.source is AnswerSource.CACHE else "",
        tr("來自相同的問題") if item.source is AnswerSource.SHARED else "",
        tr("{seconds:,.2f} 秒", seconds=item.run_seconds),
        tr_n("嘗試 {count:,} 次", item.attempts) if item.attempts else "",
        f"{item.tokens.total_tokens:,} tokens" if item.tokens.total_tokens else "",
        tr("到達輸出上限, 在此被截斷") if item.truncated else "",
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
    writer.writerow(map(tr, _COLUMNS))
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
            file.write(f"{tr('問題全文:')}\n\n{_fenced(item.question)}\n\n")
        file.write(f"{_said(item)}\n\n{_escaped(item_facts(item))}\n")
    return count


def _said(item: RunItem) -> str:
    if item.kind is OutcomeKind.ANSWERED:
        return _fenced(item.answer)
    return tr("原因: {reason}", reason=_escaped(item.reason) or tr("不明"))


def _cells(item: RunItem) -> Sequence[str | int | float]:
    return (
        item.number,
        defused(item.question),
        tr(KIND_TITLES[item.kind]),
        defused(item.answer),
        defused(item.reason),
        defused(item.model),
        "" if item.source is None else tr(SOURCE_TITLES[item.source]),
        tr("是") if item.truncated else "",
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

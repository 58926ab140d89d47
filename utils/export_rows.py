"""The nouns of exports: the rows, what stands above them, and how their values read. All frozen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from core.language import tr
from core.outcome import OutcomeKind
from utils.cost_text import duration_text
from utils.event_lines import KIND_TITLES
from utils.text_width import one_line, preview

__all__ = ["ExportField", "ExportHead", "ExportRow", "figures", "shortened", "value_text"]


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One text of the input with what became of it.

    number and line as in TextItem; values: the analysis's fields, {} unless kind is ANSWERED; reason: "" if it is;
    seconds: the server's time for the request the text was part of, 0.0 where there was none.
    """

    number: int
    line: int
    text: str
    kind: OutcomeKind
    values: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""
    attempts: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ExportField:
    """One field of the analysis: its name in values, its title for people.

    labels: its values are out of few, so that counting them says something.
    """

    name: str
    title: str
    labels: bool = False


@dataclass(frozen=True, slots=True)
class ExportHead:
    """What stands above the rows. created: wall-clock seconds; seconds: how long the run took; money: as text.

    counts, by kind, are those of the whole input; a figure that nobody knows is None or "".
    """

    title: str
    source: str
    model: str
    analysis: str
    fields: tuple[ExportField, ...]
    created: float
    counts: Mapping[OutcomeKind, int] = field(default_factory=dict)
    requests: int | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    money: str = ""
    seconds: float | None = None


def figures(head: ExportHead) -> list[tuple[str, str]]:
    """The head as (label, text), for people; the texts are on one line each, and neutralised."""
    counts = [f"{tr(title)} {head.counts[kind]:,}" for kind, title in KIND_TITLES.items() if head.counts.get(kind)]
    numbers = (
        (tr("請求次數"), head.requests),
        (tr("輸入 tokens"), head.prompt_tokens),
        (tr("輸出 tokens"), head.answer_tokens),
    )
    texts = sum(head.counts.values())
    pairs = [
        (tr("來源"), head.source),
        (tr("分析"), head.analysis),
        (tr("模型"), head.model),
        (tr("匯出時間"), f"{datetime.fromtimestamp(head.created, UTC).astimezone():%Y-%m-%d %H:%M (UTC%z)}"),
        (tr("則數"), tr("{texts:,} 則", texts=texts) if head.counts else ""),
        (tr("結果"), ", ".join(counts)),
        *((label, "" if number is None else f"{number:,}") for label, number in numbers),
        (tr("費用"), head.money),
        (tr("花費時間"), "" if head.seconds is None else duration_text(head.seconds)),
    ]
    return [(label, one_line(text)) for label, text in pairs if text]


def value_text(value: object) -> str:
    """A field's value as a person reads it: lists with 、 between their items, other structures as JSON."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return tr("是") if value else tr("否")
        case float():
            return f"{value:.6g}"
        case list() | tuple() if all(isinstance(item, str) for item in value):
            return tr("、").join(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def shortened(text: str, most: int) -> str:
    """The text neutralised on one line; of a longer one the beginning, and how long it is."""
    if len(text) <= most:
        return one_line(text)
    beginning = preview(one_line(text[: most * 2]), most)
    return tr("{beginning} (全文 {characters:,} 字)", beginning=beginning, characters=len(text))

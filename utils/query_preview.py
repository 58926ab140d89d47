"""A query set before it runs → what the person is shown of it. Pure; whole lines without a final line end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.cost import RunEstimate
from core.language import marked, tr, tr_n
from utils.cost_text import estimate_text
from utils.query_draft import QueryDraft
from utils.query_text import QueryText, Shape
from utils.text_width import cell_width, fit

__all__ = ["QueryFigures", "count_text", "next_shape", "preview_prompt", "preview_text"]

_SHOWN: Final = 5
_READ_AS: Final = {
    Shape.LINES: marked("每行一題"),
    Shape.ITEMS: marked("每個編號一題"),
    Shape.PARAGRAPHS: marked("每段一題"),
}
_READ_AS_NEXT: Final = {
    Shape.LINES: marked("s 改為每行一題"),
    Shape.ITEMS: marked("s 改為每個編號一題"),
    Shape.PARAGRAPHS: marked("s 改為每段一題"),
}


@dataclass(frozen=True, slots=True)
class QueryFigures:
    """What running the questions is expected to take, and how many of them are in the cache (None: not known)."""

    estimate: RunEstimate
    cached: int | None = None


def preview_text(
    reading: QueryText, figures: QueryFigures | None = None, *, width: int, unique: bool = False, left_out: int = 0
) -> str:
    """The count, how the text was read, the first questions on one line each, and what the run will take.

    unique: twins have been taken out. left_out: questions beyond the most that one run takes.
    """
    lines = [f"📋 {count_text(reading)}", f"  {' · '.join(_facts(reading, figures, unique=unique))}"]
    if left_out:
        lines.append(tr_n("  ⚠️ 超過一次的上限, 後面的 {count:,} 個沒有採用", left_out))
    lines += _first_questions(reading.queries, width)
    if figures is not None:
        lines.append(estimate_text(figures.estimate))
    return "\n".join(lines)


def count_text(reading: QueryText) -> str:
    """How many questions there are."""
    return tr_n("{count:,} 個問題", len(reading.queries))


def preview_prompt(draft: QueryDraft, reading: QueryText) -> str:
    """What the person may press, as far as it would change something."""
    choices = [tr("Enter 執行"), tr("e 編輯")]
    if len(reading.shapes) > 1:
        choices.append(tr(_READ_AS_NEXT[next_shape(reading)]))
    if reading.numbered:
        choices.append(tr("n 去掉編號") if draft.keep_marks else tr("n 保留編號"))
    if draft.unique or reading.twins:
        choices.append(tr("d 保留重複") if draft.unique else tr("d 去掉重複"))
    return f"{', '.join([*choices, tr('q 取消')])}: "


def next_shape(reading: QueryText) -> Shape:
    """The reading to try after the present one."""
    at = reading.shapes.index(reading.shape)
    return reading.shapes[(at + 1) % len(reading.shapes)]


def _facts(reading: QueryText, figures: QueryFigures | None, *, unique: bool) -> list[str]:
    facts = [tr(_READ_AS[reading.shape])]
    if reading.numbered:
        facts.append(tr("編號已去掉") if reading.stripped else tr("編號保留"))
    if reading.blank:
        facts.append(tr_n("空白行 {count:,}", reading.blank))
    if unique:
        facts.append(tr("重複的已去掉"))
    elif reading.twins:
        facts.append(tr_n("重複 {count:,} 個", reading.twins))
    if figures is not None and figures.cached is not None:
        facts.append(tr_n("已在快取 {count:,} 個", figures.cached))
    return facts


def _first_questions(queries: Sequence[str], width: int) -> list[str]:
    shown = queries[:_SHOWN]
    lines = []
    for number, query in enumerate(shown, 1):
        head = f"│ {number}. "
        # Only what can be seen is measured: a question may be a million characters long.
        beginning = query[: width * 4] + ("…" if len(query) > width * 4 else "")
        lines.append(head + fit(beginning, max(width - cell_width(head), 1)))
    if len(queries) > len(shown):
        lines.append(f"│ {tr_n('… 還有 {count:,} 個', len(queries) - len(shown))}")
    return lines

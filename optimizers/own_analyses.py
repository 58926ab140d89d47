"""Analyses that a person makes: a category with labels of their own, or an instruction with fields of their own."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from core.errors import UsageError
from core.language import marked, tr
from optimizers.analyses import ANALYSES, FIELD_TYPES, Analysis, Field

__all__ = ["analysis_from_spec", "closed_category", "custom_analysis", "parse_fields", "parse_labels"]

MOST_LABELS: Final = 200
MOST_FIELDS: Final = 20
_MOST_CHARACTERS: Final = 100
_NAME: Final = re.compile(r"[^\W\d]\w{0,39}")
_BETWEEN: Final = re.compile(r"[,，、;；\n]")
# Control and bidi characters, what has no width (but for the joiners of emoji), halves of surrogate pairs: two labels
# that look alike must be one, and what cannot be encoded cannot be asked.
_FORBIDDEN: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ud800-\udfff\ufeff]"
)
_UNSENDABLE: Final = re.compile(r"[\x00\ud800-\udfff]")


def closed_category(labels: Sequence[str]) -> Analysis:
    """A category out of these labels and no others. Raises UsageError for labels that cannot be."""
    named = _checked(labels)
    instruction = f"把文字歸入最合適的一類, 只能是下列其中之一: {'、'.join(named)}。"
    return Analysis("category", marked("分類"), instruction, (Field("result", labels=named),))


def custom_analysis(instruction: str, fields: Sequence[Field] = ()) -> Analysis:
    """What the instruction asks, found out in these fields, or in one text field named result.

    Raises UsageError for an empty instruction, and for too many fields or two of one name.
    """
    if not instruction.strip():
        raise UsageError(tr("自訂分析需要一段指示, 例如: 判斷這則評論提到哪個產品"))
    if _UNSENDABLE.search(instruction):
        raise UsageError(tr("自訂分析的指示含有無法編碼的字元, 請重新輸入"))
    names = [field.name for field in fields]
    if len(set(names)) < len(names) or len(names) > MOST_FIELDS:
        listed = ", ".join(names[:MOST_FIELDS])
        raise UsageError(tr("欄位名稱不能重複, 最多 {most} 個: {names}", most=MOST_FIELDS, names=listed))
    return Analysis("custom", marked("自訂分析"), instruction.strip(), tuple(fields) or (Field("result"),))


def analysis_from_spec(spec: str) -> Analysis:
    """The analysis of that spec, under its own name where it is one of the built-in ones or a closed category.

    Raises UsageError for a spec that none of the makers here would have written.
    """
    found = next((each for each in (*ANALYSES.values(), *_made(spec)) if each.spec == spec), None)
    if found is None:
        raise UsageError(tr("這個批次的分析設定無法讀取, 請重新開始"))
    return found


def _made(spec: str) -> Iterator[Analysis]:
    """What the makers make of the parts of a spec, the more special first; nothing of one that cannot be read."""
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        read = json.loads(spec)
        fields = [Field(str(name), kind, tuple(map(str, labels))) for name, kind, labels in read["fields"]]
        if len(fields) == 1 and fields[0].labels:
            with contextlib.suppress(UsageError):
                yield closed_category(fields[0].labels)
        yield custom_analysis(read["instruction"], fields)


def parse_labels(text: str) -> tuple[str, ...]:
    """Labels as a person types them, with commas or 、 between."""
    return _checked([part for part in _BETWEEN.split(text) if part.strip()])


def parse_fields(text: str) -> tuple[Field, ...]:
    """Fields as a person types them: "product, price:number, mood:good|bad". Raises UsageError naming the wrong part.

    After the name comes a type (string, if left out) or labels with | between.
    """
    return tuple(_field(part.strip()) for part in _BETWEEN.split(text) if part.strip())


def _field(part: str) -> Field:
    name, _, rest = (piece.strip() for piece in part.replace("：", ":").partition(":"))
    rest = rest.replace("｜", "|")
    if not _NAME.fullmatch(name) or name == "id":
        raise UsageError(
            tr("欄位 {field!r} 的名稱不對, 請用文字、數字與底線, 不用數字開頭, 也不用 id", field=part[:40])
        )
    if "|" in rest:
        return Field(name, labels=_checked(rest.split("|")))
    if rest and rest not in FIELD_TYPES:
        types = ", ".join(FIELD_TYPES)
        raise UsageError(
            tr("欄位 {field!r} 的型別不對, 可用 {types}, 或以 | 分開的標籤", field=part[:40], types=types)
        )
    return Field(name, rest or "string")


def _checked(labels: Sequence[str]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(label.strip() for label in labels if label.strip()))
    wrong = [label for label in named if len(label) > _MOST_CHARACTERS or _FORBIDDEN.search(label)]
    if wrong:
        shown = _FORBIDDEN.sub("�", wrong[0])[:40]
        raise UsageError(tr("標籤太長或含有控制字元: {label!r}", label=shown))
    if not 2 <= len(named) <= MOST_LABELS:
        raise UsageError(
            tr("標籤需要 2 到 {most} 個不同的, 收到 {count} 個; 以逗號分開", most=MOST_LABELS, count=len(named))
        )
    return named

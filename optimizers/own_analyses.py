"""Analyses that a person makes: a category with labels of their own, or an instruction with fields of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from core.errors import UsageError
from optimizers.analyses import ANALYSES, FIELD_TYPES, Analysis, Field

__all__ = ["analysis_from_spec", "closed_category", "custom_analysis", "parse_fields", "parse_labels"]

MOST_LABELS: Final = 200
MOST_FIELDS: Final = 20
_MOST_CHARACTERS: Final = 100
_NAME: Final = re.compile(r"[^\W\d]\w{0,39}")
_BETWEEN: Final = re.compile(r"[,，、;；\n]")
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def closed_category(labels: Sequence[str]) -> Analysis:
    """A category out of these labels and no others. Raises UsageError for labels that cannot be."""
    named = _checked(labels)
    instruction = f"把文字歸入最合適的一類, 只能是下列其中之一: {'、'.join(named)}。"
    return Analysis("category", "分類", instruction, (Field("result", labels=named),))


def custom_analysis(instruction: str, fields: Sequence[Field] = ()) -> Analysis:
    """What the instruction asks, found out in these fields, or in one text field named result.

    Raises UsageError for an empty instruction, and for too many fields or two of one name.
    """
    if not instruction.strip():
        raise UsageError("自訂分析需要一段指示, 例如: 判斷這則評論提到哪個產品")
    names = [field.name for field in fields]
    if len(set(names)) < len(names) or len(names) > MOST_FIELDS:
        raise UsageError(f"欄位名稱不能重複, 最多 {MOST_FIELDS} 個: {', '.join(names[:MOST_FIELDS])}")
    return Analysis("custom", "自訂分析", instruction.strip(), tuple(fields) or (Field("result"),))


def analysis_from_spec(spec: str) -> Analysis:
    """The analysis of that spec, under its own name where it is one of the built-in ones. Raises UsageError."""
    known = next((each for each in ANALYSES.values() if each.spec == spec), None)
    if known is not None:
        return known
    try:
        read = json.loads(spec)
        fields = tuple(Field(str(name), str(kind), tuple(map(str, labels))) for name, kind, labels in read["fields"])
        return Analysis("custom", "自訂分析", str(read["instruction"]), fields)
    except (ValueError, TypeError, KeyError):
        raise UsageError("這個批次的分析設定無法讀取, 請重新開始") from None


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
        raise UsageError(f"欄位 {part[:40]!r} 的名稱不對, 請用文字、數字與底線, 不用數字開頭, 也不用 id")
    if "|" in rest:
        return Field(name, labels=_checked(rest.split("|")))
    if rest and rest not in FIELD_TYPES:
        raise UsageError(f"欄位 {part[:40]!r} 的型別不對, 可用 {', '.join(FIELD_TYPES)}, 或以 | 分開的標籤")
    return Field(name, rest or "string")


def _checked(labels: Sequence[str]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(label.strip() for label in labels if label.strip()))
    wrong = [label for label in named if len(label) > _MOST_CHARACTERS or _FORBIDDEN.search(label)]
    if wrong:
        raise UsageError(f"標籤太長或含有控制字元: {_FORBIDDEN.sub('�', wrong[0])[:40]!r}")
    if not 2 <= len(named) <= MOST_LABELS:
        raise UsageError(f"標籤需要 2 到 {MOST_LABELS} 個不同的, 收到 {len(named)} 個; 以逗號分開")
    return named

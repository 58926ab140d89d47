"""What is wrong with a model's JSON, as one short sentence: for the schemas that this program makes, and no others.

The sentence is for people: it stands in the reason of a failure and is never sent to the model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.language import marked, tr

__all__ = ["object_fault", "read_object"]

_SHOWN: Final = 40  # characters of a wrong value
_LABELS_SHOWN: Final = 10
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_MISSING: Final = {
    "string": marked("缺少文字欄位 {name}"),
    "number": marked("缺少數字欄位 {name}"),
    "integer": marked("缺少整數欄位 {name}"),
    "boolean": marked("缺少是非值欄位 {name}"),
    "array": marked("缺少清單欄位 {name}"),
    "object": marked("缺少物件欄位 {name}"),
}


def read_object(text: str) -> dict[str, Any] | str:
    """The JSON object that the text is, or what it is instead.

    A name that stands twice in one object with different values has none: neither is more right than the other.
    """
    try:
        value = json.loads(text, object_pairs_hook=_uncontradicted)
    except (ValueError, RecursionError):
        return tr("不是 JSON")
    return value if isinstance(value, dict) else tr("不是 JSON 物件")


def _uncontradicted(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    contradicted = {name for name, value in pairs if found.setdefault(name, value) != value}
    return {name: value for name, value in found.items() if name not in contradicted} if contradicted else found


def object_fault(value: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What is wrong with the object's required fields, "" if nothing is. Fields nobody asked for do no harm.

    Understands string, number, integer and boolean, each with an optional enum; an array or an object needs only to be
    one. Half a surrogate pair, which JSON can spell and nothing can store, is as wrong as a number beyond a float.
    """
    for name in schema.get("required", ()):
        fault = _fault(name, value.get(name), schema["properties"][name])
        if fault:
            return fault
    return ""


def _fault(name: str, value: Any, schema: Mapping[str, Any]) -> str:
    kind = schema["type"]
    if not _is(kind, value):
        return tr(_MISSING[kind], name=name)
    if isinstance(value, str) and _SURROGATE.search(value):
        return tr("欄位 {name} 含有無法編碼的字元", name=name)
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        return _not_allowed(str(value)[:_SHOWN], allowed)
    return ""


def _not_allowed(value: str, allowed: Sequence[object]) -> str:
    listed = tr("、").join(map(str, allowed[:_LABELS_SHOWN]))
    if len(allowed) > _LABELS_SHOWN:
        count = len(allowed)
        return tr("{value!r} 不在 {labels} 等 {count} 個 之中", value=value, labels=listed, count=count)
    return tr("{value!r} 不在 {labels} 之中", value=value, labels=listed)


def _is(kind: str, value: Any) -> bool:
    """JSON's numbers are Python's int and float; a bool is neither, though Python thinks so."""
    match kind:
        case "string":
            return isinstance(value, str) and bool(value.strip())
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and _is_finite(value)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number with more than 308 digits
        return False

"""What is wrong with a model's JSON, as one short sentence: for the schemas that this program makes, and no others."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["object_fault", "read_object"]

_SHOWN: Final = 40  # characters of a wrong value
_NAMES: Final = {"string": "文字", "number": "數字", "integer": "整數", "boolean": "是非值", "array": "清單"}


def read_object(text: str) -> dict[str, Any] | str:
    """The JSON object that the text is, or what it is instead."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "不是 JSON"
    return value if isinstance(value, dict) else "不是 JSON 物件"


def object_fault(value: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What is wrong with the object's required fields, "" if nothing is. Fields nobody asked for do no harm.

    Understands string, number, integer and boolean, each with an optional enum; an array needs only to be one.
    """
    for name in schema["required"]:
        fault = _fault(name, value.get(name), schema["properties"][name])
        if fault:
            return fault
    return ""


def _fault(name: str, value: Any, schema: Mapping[str, Any]) -> str:
    kind = schema["type"]
    if not _is(kind, value):
        return f"缺少{_NAMES[kind]}欄位 {name}"
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        return f"{value[:_SHOWN]!r} 不在 {'、'.join(allowed)} 之中"
    return ""


def _is(kind: str, value: Any) -> bool:
    """JSON's numbers are Python's int and float; a bool is neither, though Python thinks so."""
    match kind:
        case "string":
            return isinstance(value, str) and bool(value.strip())
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        case _:
            return isinstance(value, list)

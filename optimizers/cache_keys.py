"""Cache keys: SHA-256 of a canonical JSON text, the same in every process, and of nothing that is an accident."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Callable, Iterable
from enum import Enum
from types import NoneType
from typing import Any, Final

from core.errors import UsageError
from core.language import tr

__all__ = ["KEY_SCHEMA", "address", "cache_key", "full_name"]

KEY_SCHEMA: Final = 1  # part of every key: raise it when the canonical form or a stored value's meaning changes

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PLAIN: Final = (str, bool, float, NoneType)  # JSON keeps these apart by itself: "1", true, 1.0, null
_BY_REPR: Final = frozenset({
    "builtins.complex", "builtins.range", "datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta",
    "decimal.Decimal", "fractions.Fraction", "uuid.UUID",
})  # fmt: skip  # by name, so that nothing is imported for types that the program never uses
_KNOWN_ZONES: Final = ("builtins", "datetime", "zoneinfo")  # a foreign time zone may show its address
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, check_circular=False).encode


def cache_key(kind: str, name: str, *parts: object) -> str:
    """64 hex digits over the key schema, the kind of thing asked, its full name (a model's identity) and the parts.

    Parts may be None, bool, int, float, str, bytes, ranges, dates, times, Decimal, Fraction, UUID, paths, enum
    members, dataclasses, and lists, tuples, sets and dicts of these. The type counts: 1, 1.0, True and "1" are four
    keys. Raises UsageError for anything else: a key made from an object's address would be another's tomorrow.
    """
    try:
        text = _encode([KEY_SCHEMA, kind, name, [_canonical(part) for part in parts]])
    except RecursionError:
        text = ""
    if not text:  # raised outside the handler: the recursion's traceback would hold the whole argument
        raise UsageError(tr("快取鍵的參數巢狀太深或包含自己, 請改用較扁平的資料"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def address(key: str) -> str:
    """Where the store keeps a key: a digest stays itself, any other text is hashed, so no key shows a query."""
    if not isinstance(key, str):
        raise UsageError(tr("快取鍵必須是文字, 不能是 {type}; 請用 cache_key() 產生", type=type(key).__name__))
    return key if _DIGEST.fullmatch(key) else cache_key("text", "", key)


def full_name(function: Callable[..., Any]) -> str:
    """Module and qualified name; a callable without them goes by its type, marked as having no name of its own."""
    module = getattr(function, "__module__", None)
    qualified = getattr(function, "__qualname__", None) or f"<{type(function).__qualname__}>"
    return f"{module}.{qualified}"


def _canonical(value: object) -> object:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, Enum):
        return ["enum", full_name(kind), value.name]
    if kind is int:
        return ["int", f"{value:x}"]  # hexadecimal: decimal text is refused beyond 4,300 digits
    if kind in (bytes, bytearray):
        return [kind.__name__, bytes(value).hex()]  # type: ignore[call-overload]  # kind has just been told
    if isinstance(value, pathlib.PurePath):
        return ["path", type(value).__name__, str(value)]
    if full_name(kind) in _BY_REPR and type(getattr(value, "tzinfo", None)).__module__ in _KNOWN_ZONES:
        return [kind.__name__, repr(value)]
    return _canonical_container(value)


def _canonical_container(value: object) -> object:
    if type(value) in (list, tuple) and isinstance(value, list | tuple):
        return [type(value).__name__, *[_canonical(item) for item in value]]
    if type(value) in (set, frozenset) and isinstance(value, set | frozenset):
        return ["set", *_sorted(value)]
    if type(value) is dict:
        return ["dict", *_sorted(value.items())]
    if dataclasses.is_dataclass(value) and "__dataclass_fields__" in type(value).__dict__:
        named = [[field.name, _canonical(getattr(value, field.name))] for field in dataclasses.fields(value)]
        return ["dataclass", full_name(type(value)), *named]
    raise UsageError(
        tr("{type} 型別的參數不能當作快取鍵, 請改傳文字、數字或由它們組成的資料", type=type(value).__name__)
    )


def _sorted(items: Iterable[object]) -> list[str]:
    return sorted(_encode(_canonical(item)) for item in items)

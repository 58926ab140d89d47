"""What a cache keeps and hands out: snapshots that no caller can change, and values with how they were found."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import gc
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from types import BuiltinFunctionType, FunctionType, ModuleType, NoneType
from typing import Any, Final, Generic, TypeVar, cast

from core.errors import UsageError

__all__ = ["Found", "FoundBy", "Snapshot", "size_of"]

T_co = TypeVar("T_co", covariant=True)

_ATOMS: Final = (str, int, float, bool, complex, bytes, NoneType)
_NOT_OWNED: Final = (type, ModuleType, FunctionType, BuiltinFunctionType)  # shared with the program; never copied


class FoundBy(StrEnum):
    """How a lookup came to its value."""

    HIT = "hit"  # it was in the cache: nothing was called
    COMPUTED = "computed"  # this caller computed it
    SHARED = "shared"  # another caller was computing it already: theirs


@dataclass(frozen=True, slots=True)
class Found(Generic[T_co]):
    """A value and how it was found. Its repr shows no content."""

    value: T_co = field(repr=False)
    by: FoundBy


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A value that no caller can change any more, and its size in bytes. Its repr shows no content.

    Values that cannot change (text, numbers, bytes, None, enum members, tuples, frozen sets and frozen dataclasses
    of these) are kept and handed out as they are; anything else is deep-copied on the way in and on the way out.
    """

    value: Any = field(repr=False)
    size: int
    immutable: bool

    @classmethod
    def of(cls, value: object) -> Snapshot:
        """Raises UsageError for a value that can neither be trusted to stay as it is nor be copied."""
        immutable = _is_immutable(value)
        kept = value if immutable else _copied(value)
        return cls(kept, size_of(kept), immutable)

    def take(self) -> Any:
        return self.value if self.immutable else _copied(self.value)


def size_of(value: object) -> int:
    """Bytes: the UTF-8 length of text, the length of bytes, for the rest sys.getsizeof of it and all it holds.

    What an object holds more than once counts once. Classes, modules and functions belong to the program, not to
    the value, and count nothing.
    """
    total, seen, todo = 0, set[int](), [value]
    while todo:
        part = todo.pop()
        if id(part) in seen or isinstance(part, _NOT_OWNED):
            continue
        seen.add(id(part))
        if isinstance(part, str):
            total += len(part) if part.isascii() else len(part.encode("utf-8", "surrogatepass"))
        elif isinstance(part, bytes | bytearray):
            total += len(part)
        elif (fields := _frozen_slots(type(part))) is not None:  # type: ignore[arg-type]  # mypy: a class is hashable
            total += sys.getsizeof(part)
            todo.extend([getattr(part, name) for name in fields])
        else:
            total += sys.getsizeof(part)
            todo.extend(() if isinstance(part, Enum) else gc.get_referents(part))
            todo.extend(part if isinstance(part, dict) else ())  # get_referents leaves out keys that are text
    return total


def _is_immutable(value: object) -> bool:
    todo = [value]
    while todo:
        part = todo.pop()
        kind: type[Any] = type(part)
        if kind in _ATOMS or isinstance(part, Enum):
            continue
        if kind in (tuple, frozenset):
            todo.extend(cast("Iterable[object]", part))
        elif (fields := _frozen_slots(kind)) is not None:  # type: ignore[arg-type]  # mypy: a class is hashable
            todo.extend([getattr(part, name) for name in fields])
        elif dataclasses.is_dataclass(part) and _is_frozen(kind):
            todo.extend(getattr(part, field.name) for field in dataclasses.fields(part))
        else:
            return False
    return True


def _is_frozen(kind: type[Any]) -> bool:
    parameters = kind.__dict__.get("__dataclass_params__")
    return parameters is not None and bool(parameters.frozen)


@functools.lru_cache(maxsize=256)
def _frozen_slots(kind: type[Any]) -> tuple[str, ...] | None:
    """The fields of a frozen dataclass that has nothing besides them; None for any other type.

    Worked out once a type: answers are such objects, and each one that is stored is looked through twice.
    """
    if not dataclasses.is_dataclass(kind) or not _is_frozen(kind) or kind.__dictoffset__:
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


def _copied(value: object) -> Any:
    with contextlib.suppress(Exception):  # the value's own copying code may raise anything; refused below
        return copy.deepcopy(value)
    raise UsageError(f"{type(value).__name__} 型別的值無法複製, 不能快取; 請改存文字、數字或由它們組成的資料")

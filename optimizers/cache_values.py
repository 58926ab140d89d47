"""What a cache keeps and hands out: snapshots that no caller can change, and values with how they were found."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import gc
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from types import BuiltinFunctionType, FunctionType, ModuleType, NoneType
from typing import Any, Final, Generic, TypeVar, cast

from core.errors import UsageError
from core.language import tr
from core.ports import Prompt

__all__ = [
    "PREVIEW_CHARACTERS",
    "WHOLE_CHARACTERS",
    "Found",
    "FoundBy",
    "Question",
    "Snapshot",
    "checked_ttl",
    "size_of",
]

T_co = TypeVar("T_co", covariant=True)

PREVIEW_CHARACTERS: Final = 200
WHOLE_CHARACTERS: Final = 4_096  # of text, instruction and schema together

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
class Question:
    """What a value answers: its beginning, for a list, and the prompt itself where it is short. No content in its repr.

    A long prompt is not kept, so that a cache of answers does not become one of documents; prompt is then None.
    """

    preview: str = field(repr=False)
    prompt: Prompt | None = field(repr=False)

    @classmethod
    def of(cls, prompt: Prompt) -> Question:
        length = len(prompt.text) + len(prompt.system_instruction) + len(prompt.schema)
        return cls(prompt.text[:PREVIEW_CHARACTERS], prompt if length <= WHOLE_CHARACTERS else None)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A value that no caller can change any more, and its size in bytes. Its repr shows no content.

    question is what the value answers, None where nobody said; the size counts it as well.

    Values that cannot change (text, numbers, bytes, None, enum members, tuples, frozen sets and frozen dataclasses
    of these) are kept and handed out as they are; anything else is deep-copied on the way in and on the way out.
    """

    value: Any = field(repr=False)
    size: int
    immutable: bool
    question: Question | None = field(default=None, repr=False)

    @classmethod
    def of(cls, value: object, prompt: Prompt | None = None) -> Snapshot:
        """Raises UsageError for a value that can neither be trusted to stay as it is nor be copied."""
        immutable = _is_immutable(value)
        kept = value if immutable else _copied(value)
        if prompt is None:
            return cls(kept, size_of(kept), immutable)
        question = Question.of(prompt)
        return cls(kept, size_of(kept) + size_of(question), immutable, question)

    def take(self) -> Any:
        return self.value if self.immutable else _copied(self.value)


def checked_ttl(ttl: float) -> float:
    """The lifetime as it is, where it is one: UsageError for what is no number of seconds from 0 on."""
    if not isinstance(ttl, int | float) or not 0 <= ttl < math.inf:
        raise UsageError(tr("ttl 必須是 0 以上的秒數 (0 表示不存)"))
    return ttl


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
    raise UsageError(
        tr("{type} 型別的值無法複製, 不能快取; 請改存文字、數字或由它們組成的資料", type=type(value).__name__)
    )

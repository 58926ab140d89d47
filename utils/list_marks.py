"""Recognises the marks of a list: "1." "1)" "1、" "(1)" "一、" "-" "*" "•" "Q:" "Q1:" "問:". Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

__all__ = ["MarkedItem", "find_list"]

# A mark of digits and a full stop is followed by no digit ("3.14" is a number); a hyphen or an asterisk only counts
# with space behind it ("-5 度", "*注意*").
_MARK: Final = re.compile(
    r"(?P<indent>[ \t\u3000]*)"
    r"(?:(?P<dash>[-－–*＊])(?=\s|$)"
    r"|(?P<bullet>[•●○◦‧・▪])"
    r"|(?P<number>\d{1,7})[ \u3000]?(?P<closer>[.．](?!\d)|[、)）])"
    r"|(?P<open>[(（])[ ]?(?P<inside>\d{1,7}|[一二三四五六七八九十百〇零]{1,5})[ ]?[)）]"
    r"|(?P<han>[一二三四五六七八九十百〇零]{1,5})、"
    r"|(?P<word>[QqＱｑ]|問題|問)[ ]?(?P<which>\d{1,7}|[一二三四五六七八九十百]{1,5})?[ ]?"
    r"(?P<colon>[:：]|[.．、](?!\d))"
    r")[ \t\u3000]*"
)
_HAN: Final = {"〇": 0, "零": 0} | {digit: value for value, digit in enumerate("一二三四五六七八九", 1)}
_FULL: Final = str.maketrans("－＊．）Ｑｑq", "-*.)QQQ")
_SHORT_TAIL: Final = 2
_NEARLY: Final = 10  # one exception in so many
_SLIP: Final = 2  # a number written twice, or left out


@dataclass(frozen=True, slots=True)
class MarkedItem:
    """One item of a list: the line it begins on, how much of that is its mark, and the lines below that are its own."""

    at: int
    line: str
    mark: int
    rest: tuple[str, ...] = ()

    @property
    def has_more(self) -> bool:
        """True where text stands on its further lines too."""
        return any(line.strip() for line in self.rest)

    def first(self, keep_mark: bool) -> str:
        """The line it begins on, with or without its mark."""
        return self.line if keep_mark else self.line[self.mark :]


class _Mark(NamedTuple):
    family: str
    number: int | None
    indent: int
    length: int


_NO_MARK: Final = _Mark("", None, 0, 0)


def find_list(lines: Sequence[str]) -> list[MarkedItem] | None:
    """The items where the lines are a list; None where that is not sure enough to take anything away.

    A list begins with a mark on its first line of text and has at least two of the same kind. Numbers go up by one
    (or are all equal, as Markdown allows); where every line has its mark, numbers written twice or left out are
    forgiven, and one other break in ten. Below a number or a "Q:" further lines belong to the item, unless the last
    item would get a tail that no other has. After bullets, which prove less, only indented lines do; one line in ten
    without a bullet is an item of its own.
    So a single question that begins with "1.", "-5 度" or "3.14" stays as it is, and so does prose with a list in it.
    """
    start = next((at for at, line in enumerate(lines) if line.strip()), None)
    top = None if start is None else _mark(lines[start])
    if top is None:
        return None
    marks = [_top_mark(line, top) for line in lines]
    numbers = [mark.number for mark in marks if mark is not None]
    loose = [_is_loose(line, top) and mark is None for line, mark in zip(lines, marks, strict=True)]
    if len(numbers) < 2 or not _is_sequence(numbers, any(loose)):
        return None
    if top.number is None and top.family not in ("Q", "問", "問題"):
        if sum(loose) * _NEARLY > len(numbers):
            return None
        starts = [mark or (_NO_MARK if alone else None) for mark, alone in zip(marks, loose, strict=True)]
        return _items(lines, starts)
    return _items(lines, marks) if _ends_well(lines, marks, loose) else None


def _mark(line: str) -> _Mark | None:
    found = _MARK.match(line)
    if found is None:
        return None
    part = found.groupdict()
    indent = len(part["indent"])
    if symbol := part["dash"] or part["bullet"]:
        return _Mark(symbol.translate(_FULL), None, indent, found.end())
    if part["number"]:
        return _Mark("1" + part["closer"].translate(_FULL), int(part["number"]), indent, found.end())
    if part["inside"]:
        return _Mark("()", _value(part["inside"]), indent, found.end())
    if part["han"]:
        return _Mark("一", _value(part["han"]), indent, found.end())
    if not part["which"] and part["colon"] not in ":：":
        return None
    word = part["word"].translate(_FULL)
    return _Mark(word, _value(part["which"]) if part["which"] else None, indent, found.end())


def _top_mark(line: str, top: _Mark) -> _Mark | None:
    """The line's mark if it is one of the list itself, and not of a list within an item."""
    mark = _mark(line)
    return mark if mark and mark.family == top.family and mark.indent <= top.indent + 1 else None


def _is_loose(line: str, top: _Mark) -> bool:
    """Whether a line has text that begins no deeper than the list's own marks."""
    return bool(line.strip()) and len(line) - len(line.lstrip()) <= top.indent


def _is_sequence(numbers: Sequence[int | None], has_loose: bool) -> bool:
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return not known
    steps = [after - before for before, after in pairwise(known)]
    breaks = sum(step != 1 for step in steps)
    if not breaks or not any(steps):
        return True
    return not has_loose and (breaks * _NEARLY <= len(known) or all(0 <= step <= _SLIP for step in steps))


def _ends_well(lines: Sequence[str], marks: Sequence[_Mark | None], loose: Sequence[bool]) -> bool:
    """Whether what follows the last mark looks like what follows the others, and not like questions below a list."""
    counts: list[int] = []
    gap = False
    for line, mark, alone in zip(lines, marks, loose, strict=True):
        if mark is not None:
            counts.append(0)
            gap = False
        elif not line.strip():
            gap = True
        elif alone and counts:
            counts[-1] += 1 if not gap else _SHORT_TAIL + 1
    *others, last = counts
    return last <= max([_SHORT_TAIL, *others])


def _items(lines: Sequence[str], marks: Sequence[_Mark | None]) -> list[MarkedItem]:
    starts = [at for at, mark in enumerate(marks) if mark is not None]
    items = []
    for start, end in pairwise([*starts, len(lines)]):
        mark = marks[start]
        assert mark is not None
        items.append(MarkedItem(start, lines[start], mark.length, tuple(lines[start + 1 : end])))
    return items


def _value(text: str) -> int:
    """The number that digits or Chinese numerals below a thousand stand for."""
    if text.isdecimal():
        return int(text)
    total, digit = 0, 0
    for character in text:
        if character in "十百":
            total += (digit or 1) * (10 if character == "十" else 100)
            digit = 0
        else:
            digit = digit * 10 + _HAN[character]
    return total + digit

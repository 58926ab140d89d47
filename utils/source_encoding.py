"""What a file's bytes mean: encodings by name, and a guess, for a person to agree to, where they are not UTF-8."""

from __future__ import annotations

import codecs
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from core.errors import UsageError
from core.language import tr
from utils.source_file import open_source, read_some, shown

__all__ = ["EncodingGuess", "effective_encoding", "guess_encoding"]

_BOMS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF8: Final = {"utf-8", "utf-8-sig"}
_WIDE: Final = {"utf-16-le", "utf-16-be"}
_ASCII: Final = bytes(range(128))
_PLAIN: Final = _ASCII.replace(b"\\", b"\\\\")  # a pair of backslashes, which escaping codecs make one
_SAMPLE: Final = 16 * 1024
_MOST_CHUNKS: Final = 1024  # 64 MiB
_LONGEST: Final = 1024 * 1024
_SHOWN: Final = 200
_DAMAGED: Final = 0.3  # of a line's bytes above ASCII: with fewer bad ones it is UTF-8 that something damaged
_INVALID: Final = math.log(1e-8)
_EVERYDAY: Final = math.log(1e-5)  # the mean character of a real text is likelier than that
_OTHERS: Final = ["cp1252", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp1258", "cp874"]


@dataclass(frozen=True, slots=True)
class EncodingGuess:
    """An encoding in which the file makes sense, with what a person needs to judge it: a line read that way."""

    encoding: str
    line: int
    sample: str


@dataclass(frozen=True, slots=True)
class _Model:
    """How likely the characters of a double-byte encoding are in everyday text of its language.

    areas: first and last lead byte, how many codes the area has, and which share of a text lies in it. In Big5 and
    GB 2312 characters in daily use come first, so the lead byte alone tells the plausible from the absurd. areas
    hold for second bytes from low on; other characters are in the extension: its codes, its share.
    """

    encoding: str
    character: re.Pattern[bytes]
    areas: tuple[tuple[int, int, int, float], ...]
    low: int = 0
    extension: tuple[int, float] = (1, 1e-8)
    prior: float = 0.0

    def likelihood(self, data: bytes) -> tuple[float, int]:
        """Its logarithm for the bytes above ASCII, and how many characters they make."""
        found = Counter(self.character.findall(data))
        rest = _above_ascii(self.character.sub(b"", data))
        total = sum(count * math.log(self._share(*character)) for character, count in found.items())
        return total + rest * _INVALID, found.total() + rest

    def _share(self, lead: int, trail: int) -> float:
        for first, last, codes, share in self.areas if trail >= self.low else ():
            if first <= lead <= last:
                return share / codes
        return self.extension[1] / self.extension[0]


_EUC: Final = re.compile(rb"[\xa1-\xfe][\xa1-\xfe]")
_MODELS: Final = (
    _Model(
        "cp950", re.compile(rb"[\x81-\xfe][\x40-\x7e\xa1-\xfe]"),
        ((0xA1, 0xA3, 471, 0.1), (0xA4, 0xC6, 5401, 0.88), (0xC9, 0xF9, 7652, 0.02)),
        prior=math.log(20),  # most who use this program write Traditional Chinese
    ),
    _Model(
        "gb18030", re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]"),
        ((0xA1, 0xA3, 282, 0.1), (0xB0, 0xD7, 3755, 0.87), (0xD8, 0xF7, 3008, 0.02)),
        low=0xA1, extension=(14000, 0.01),
    ),
    _Model(
        "cp932", re.compile(rb"[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]"),
        ((0x81, 0x81, 150, 0.1), (0x82, 0x82, 150, 0.4), (0x83, 0x83, 150, 0.15), (0x88, 0x97, 2965, 0.33),
         (0x98, 0xEA, 3390, 0.02)),
    ),
    _Model(
        "cp949", re.compile(rb"[\x81-\xfe][\x41-\x5a\x61-\x7a\x81-\xfe]"),
        ((0xA1, 0xA3, 282, 0.07), (0xB0, 0xC8, 2350, 0.9), (0xCA, 0xFD, 4888, 0.01)),
        low=0xA1, extension=(8822, 0.02),
    ),
    _Model(
        "euc_jp", _EUC,
        ((0xA1, 0xA3, 282, 0.1), (0xA4, 0xA4, 83, 0.4), (0xA5, 0xA5, 86, 0.15), (0xB0, 0xCF, 2965, 0.33),
         (0xD0, 0xF4, 3390, 0.02)),
        prior=math.log(0.01),  # hardly a file of today is in it
    ),
)  # fmt: skip


def effective_encoding(encoding: str | None, head: bytes) -> str | None:
    """The canonical name, None for what the byte order mark, or UTF-8, says anyway.

    Raises UsageError for a name nobody knows, and for encodings whose lines cannot be told apart byte by byte.
    """
    if encoding is None:
        return None
    try:
        name = codecs.lookup(encoding).name
        if name == "utf-16":
            return None if head.startswith(_BOMS[1:]) else "utf-16-le"
        if name in _UTF8:
            return None
        if name in _WIDE or _PLAIN.decode(name, "surrogateescape") == _PLAIN.decode("ascii"):
            return name
        trouble = tr("不支援編碼 {encoding!r}, 請先把檔案轉成 UTF-8", encoding=encoding)
    except (LookupError, UnicodeError, ValueError):
        trouble = tr("不認得編碼 {encoding!r}, 請用 utf-8、utf-16、big5 或 gb18030 等名稱", encoding=encoding)
    raise UsageError(trouble)


def guess_encoding(path: Path) -> EncodingGuess | None:
    """Which encoding the lines that are not UTF-8 are in; None where all are, where only some of UTF-8 is damaged,
    or where nothing fits. Looks at the first 64 MiB at most. Raises UsageError for what cannot be read.

    The double-byte encodings decode each other's bytes without an error, so that decides nothing: the guess is the
    one in which the characters are everyday ones. charset-normalizer tells the single-byte ones apart; of short
    Chinese texts it takes every third for something else.
    """
    with open_source(path, shown(path)) as file:
        sample, first, number = _telling(_byte_lines(file, shown(path)))
    if not sample:
        return None
    encoding = _double_byte(sample) or _other(sample)
    if encoding is None:
        return None
    return EncodingGuess(encoding, number, first.decode(encoding, "replace").strip()[:_SHOWN])


def _telling(numbered: Iterator[tuple[int, bytes]]) -> tuple[bytes, bytes, int]:
    """Lines that are not UTF-8, up to a bound, the first of them and its number."""
    lines: list[bytes] = []
    first, held, good = 0, 0, 0
    for number, line in numbered:
        if line.isascii():
            continue
        if _is_utf8(line):
            good += _above_ascii(line)
            continue
        lines.append(line)
        first = first or number
        held += _above_ascii(line)
        if held > _SAMPLE:
            break
    if held <= good:  # a UTF-8 file with some bad lines: read another way, the good ones would be lost
        return b"", b"", 0
    return b"\n".join(lines)[:_SAMPLE], lines[0], first


def _byte_lines(file: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Lines of bytes; none where a byte order mark says what they are. A line of 1 MiB is the last."""
    rest, number = b"", 0
    for _ in range(_MOST_CHUNKS):
        data = read_some(file, name)
        if not number and not rest and data.startswith(_BOMS):
            return
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            number += 1
            yield number, line
        if not data or len(rest) > _LONGEST:
            break
    if rest:
        yield number + 1, rest


def _is_utf8(line: bytes) -> bool:
    """Whether the line is UTF-8, or was until a few of its bytes were damaged."""
    bad = sum(0xDC80 <= ord(character) <= 0xDCFF for character in line.decode("utf-8", "surrogateescape"))
    return not bad or bad < _DAMAGED * _above_ascii(line)


def _above_ascii(line: bytes) -> int:
    return len(line.translate(None, _ASCII))


def _double_byte(sample: bytes) -> str | None:
    scored = [(*model.likelihood(sample), model) for model in _MODELS]
    score, characters, best = max(scored, key=lambda each: each[0] + each[2].prior)
    if score / characters < _EVERYDAY or not _stand_together(sample, best):
        return None
    return best.encoding


def _stand_together(sample: bytes, model: _Model) -> bool:
    """Whether most double-byte characters have a neighbour: accented letters, which pass for one, stand alone."""
    runs = re.findall(rb"(?:" + model.character.pattern + rb")+", sample)
    together = sum(len(run) for run in runs if len(run) > 2)
    return together * 2 > sum(len(run) for run in runs)


def _other(sample: bytes) -> str | None:
    import charset_normalizer  # 30 ms, and seldom needed

    best = charset_normalizer.from_bytes(sample, cp_isolation=_OTHERS).best()
    return None if best is None else best.encoding

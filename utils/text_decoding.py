"""The one boundary where bytes become text: lines out of a stream, with an account of what could not be decoded."""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from core.errors import UsageError
from core.language import tr, tr_n

__all__ = [
    "DecodedLine", "LineDecoder", "TextFileLines", "clean_surrogates", "read_text_lines", "replaced_note",
    "typed_bytes_note",
]  # fmt: skip

MOST_CHARACTERS: Final = 16 * 1024 * 1024
_CHUNK: Final = 64 * 1024
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_END: Final = re.compile("\r\n|\n|\r")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class DecodedLine:
    """One line without its end. number counts from 1; replaced is how many bytes became �."""

    number: int
    text: str
    replaced: int = 0


def replaced_note(line: DecodedLine) -> str:
    """What to tell a person about a line whose bytes were not all text."""
    return tr_n("第 {line} 行有 {count:,} 個無法解碼的位元組, 已用 � 代替", line.replaced, line=line.number)


def typed_bytes_note(replaced: int) -> str:
    """What to tell a person who typed or pasted bytes that were not all text."""
    return tr_n("輸入中有 {count:,} 個無法解碼的位元組, 已用 � 代替", replaced)


def clean_surrogates(text: str) -> tuple[str, int]:
    """The text with each lone surrogate replaced by �, and how many there were."""
    return _SURROGATE.subn("�", text)


class LineDecoder:
    """Turns chunks of bytes into lines: UTF-8 with or without BOM, UTF-16 by its BOM, or the encoding given.

    Lines end with LF, CR LF or a lone CR, nothing else. What cannot be decoded becomes � and is counted, so no
    lone surrogate comes out. Holds at most one unfinished line; one of more than most_characters raises UsageError.
    With keep_ends each line's text includes the end it had. Not thread-safe.
    """

    def __init__(
        self, *, encoding: str | None = None, most_characters: int = MOST_CHARACTERS, keep_ends: bool = False
    ) -> None:
        self._encoding = encoding
        self._most = most_characters
        self._keep_ends = keep_ends
        self._held_cr = ""  # with keep_ends: a CR at the end of a chunk waits for the LF that may follow
        self._decoder: codecs.IncrementalDecoder | None = None
        self._head = b""
        self._pending: list[str] = []
        self._pending_length = 0
        self._after_cr = False
        self._number = 0
        self._bytes_each = 1

    def feed(self, data: bytes) -> list[DecodedLine]:
        """The lines that these bytes complete."""
        if self._decoder is None:
            self._head += data
            if len(self._head) < 3 and any(bom.startswith(self._head) for bom, _ in _BOMS):
                return []
            data = self._start()
        text = self._decode(data)
        if self._keep_ends:
            text = self._held_cr + text
            self._held_cr = text[-1:] if text.endswith("\r") else ""
            text = text.removesuffix("\r")
        return self._split(text)

    def finish(self) -> list[DecodedLine]:
        """The last line, where the input did not end with a line end."""
        data = self._start() if self._decoder is None else b""
        lines = self._split(self._held_cr + self._decode(data, final=True))
        if self._pending:
            lines.append(self._line(""))
        return lines

    def _start(self) -> bytes:
        head, self._head = self._head, b""
        name = self._encoding or "utf-8"
        for bom, bom_name in _BOMS:
            if head.startswith(bom) and self._encoding is None:
                head, name = head[len(bom) :], bom_name
                break
        wide = name.startswith("utf-16")
        self._bytes_each = 2 if wide else 1
        # Both handlers pass the undecodable through as lone surrogates, which are then counted and replaced.
        self._decoder = codecs.getincrementaldecoder(name)("surrogatepass" if wide else "surrogateescape")
        return head

    def _decode(self, data: bytes, *, final: bool = False) -> str:
        assert self._decoder is not None
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError as error:  # UTF-16 cut in the middle of a character: only at the very end
            return error.object[: error.start].decode(error.encoding, "surrogatepass") + "\ud800"

    def _split(self, text: str) -> list[DecodedLine]:
        if self._after_cr and text:
            text = text.removeprefix("\n")
            self._after_cr = False
        lines = []
        start = 0
        for end in _LINE_END.finditer(text):
            lines.append(self._line(text[start : end.end() if self._keep_ends else end.start()]))
            start = end.end()
            self._after_cr = end[0] == "\r" and start == len(text)
        if start < len(text):
            self._pending.append(text[start:])
            self._pending_length += len(text) - start
            if self._pending_length > self._most:
                raise UsageError(
                    tr("第 {line} 行超過 {most:,} 個字, 請把它分成較短的行", line=self._number + 1, most=self._most)
                )
        return lines

    def _line(self, rest: str) -> DecodedLine:
        self._pending.append(rest)
        whole = "".join(self._pending)
        self._pending.clear()
        self._pending_length = 0
        self._number += 1
        text, replaced = clean_surrogates(whole)
        return DecodedLine(self._number, text, replaced * self._bytes_each)


class TextFileLines(Iterator[DecodedLine]):
    """The lines of a text file that hold text, one at a time; the file is never read whole.

    blank and replaced count the blank lines passed over and the bytes replaced so far. Iterating raises UsageError
    where the file stops being readable. Closes itself at the end; use it as a context manager to leave earlier.
    """

    def __init__(self, file: BinaryIO, name: str, decoder: LineDecoder, head: bytes) -> None:
        self.name = name
        self.blank = 0
        self.replaced = 0
        self._file = file
        self._lines = self._read(decoder, head)

    def __next__(self) -> DecodedLine:
        return next(self._lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._lines.close()
        self._file.close()

    def _read(self, decoder: LineDecoder, data: bytes) -> Generator[DecodedLine, None, None]:
        try:
            while data:
                yield from self._kept(decoder.feed(data))
                data = self._file.read(_CHUNK)
            yield from self._kept(decoder.finish())
        except OSError as error:
            raise UsageError(_read_failure(self.name, error)) from None
        finally:
            self._file.close()

    def _kept(self, lines: list[DecodedLine]) -> Iterator[DecodedLine]:
        for line in lines:
            self.replaced += line.replaced
            if line.text.strip():
                yield line
            else:
                self.blank += 1


def read_text_lines(path: str | Path, *, encoding: str | None = None) -> TextFileLines:
    """Open a text file for reading line by line. encoding None means UTF-8, or UTF-16 where a BOM says so.

    Raises UsageError, in one sentence for the person, for what is missing, a directory, not permitted or not text.
    """
    path = Path(path).expanduser()
    try:
        decoder = LineDecoder(encoding=_known(encoding))
        file = path.open("rb", buffering=0)
    except (OSError, ValueError) as error:
        raise UsageError(_read_failure(path.name or str(path), error)) from None
    try:
        head = file.read(_CHUNK)
        if b"\0" in head and encoding is None and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UsageError(tr("{name} 不是文字檔, 請給每行一則文字的檔案", name=path.name))
    except OSError as error:
        file.close()
        raise UsageError(_read_failure(path.name, error)) from None
    except UsageError:
        file.close()
        raise
    return TextFileLines(file, path.name, decoder, head)


def _known(encoding: str | None) -> str | None:
    if encoding is None:
        return None
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise UsageError(tr("不認得編碼 {encoding!r}, 請用 utf-8、utf-16 或 big5 等名稱", encoding=encoding)) from None


def _read_failure(name: str, error: Exception) -> str:
    match error:
        case UsageError():
            return str(error)
        case FileNotFoundError():
            return tr("找不到檔案 {name}, 請檢查路徑", name=name)
        case IsADirectoryError():
            return tr("{name} 是資料夾, 請給一個文字檔", name=name)
        case PermissionError():
            return tr("沒有讀取 {name} 的權限, 請檢查檔案權限", name=name)
        case _:
            return tr("讀不了 {name} ({error}), 請確認它是可讀取的文字檔", name=name, error=type(error).__name__)

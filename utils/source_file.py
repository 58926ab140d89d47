"""The file a bulk run reads: opened without surprises, its lines streamed, what could not be used counted and told."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from core.errors import UsageError
from core.language import tr, tr_n
from utils.neutralise import neutralise
from utils.text_decoding import DecodedLine, LineDecoder, replaced_note

__all__ = ["MOST_CHARACTERS", "ReadingAccount", "file_lines", "open_source", "read_some", "refuse_binary", "shown"]

MOST_CHARACTERS: Final = 8 * 1024 * 1024  # of one line, block or CSV record: a million even as JSON escapes
_CHUNK: Final = 64 * 1024
_MOST_NOTES: Final = 20
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)  # opening a pipe that took the file's name must not hang
_UTF16_BOMS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_OFFICE: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
_OTHER_BINARY: Final = (b"%PDF-", b"\x1f\x8b", b"\x89PNG\r\n", b"\xff\xd8\xff", b"SQLite format 3\0")
_NUL_SHARE: Final = 0.02  # a stray NUL is data; text in UTF-16 and programs are full of them


class ReadingAccount:
    """What one pass over an input could not use. Not thread-safe.

    blank: lines or cells without text; skipped: lines that could not be read; replaced: bytes that
    became �. The first few of the latter two are told through on_note, the rest as one number by close().
    """

    __slots__ = ("_on_note", "_told", "_untold", "blank", "replaced", "skipped")

    def __init__(self, on_note: Callable[[str], object] | None = None) -> None:
        self.blank = 0
        self.skipped = 0
        self.replaced = 0
        self._on_note = on_note
        self._told = 0
        self._untold = 0

    def bad(self, note: str, *, lines: int = 1) -> None:
        """A record of so many lines is not used; the note says where it is and why."""
        self.skipped += lines
        self._tell(note)

    def damaged(self, line: DecodedLine) -> None:
        """Some bytes of this line were no text."""
        self.replaced += line.replaced
        self._tell(replaced_note(line))

    def lone_surrogates(self, line: int, count: int) -> None:
        """JSON's escapes can spell halves of characters, which no text file can hold."""
        if count:
            self.replaced += count
            self._tell(tr_n("第 {line} 行有 {count:,} 個不成對的代理字元, 已用 � 代替", count, line=line))

    def close(self) -> None:
        """The end of the input: how many notes were held back."""
        if self._untold and self._on_note is not None:
            self._on_note(tr_n("另有 {count:,} 處類似的問題, 不逐一列出", self._untold))
        self._untold = 0

    def _tell(self, note: str) -> None:
        if self._told >= _MOST_NOTES:
            self._untold += 1
        elif self._on_note is not None:
            self._told += 1
            self._on_note(note)


def shown(path: Path) -> str:
    """A path as it may appear in a sentence."""
    return neutralise(os.fsencode(path).decode("utf-8", "replace"), keep_newlines=False)


def open_source(path: Path, name: str) -> BinaryIO:
    """The file, unbuffered. Raises UsageError, one sentence, for whatever is no regular file that may be read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            file = open(path, "rb", buffering=0, opener=_open_without_waiting)  # noqa: SIM115 - the caller closes it
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file
            file.close()
        trouble = _not_a_file(mode, name)
    except (OSError, ValueError) as error:
        trouble = _read_failure(error, name)
    raise UsageError(trouble)


def refuse_binary(head: bytes, name: str, *, encoding: str | None) -> None:
    """Raises UsageError where a file that begins so is no text. A single NUL does not make it one."""
    if head.startswith(_OFFICE):
        trouble = tr("{name} 是 Office 或壓縮檔, 不是文字檔; 請在試算表軟體裡另存成 CSV (UTF-8) 再試一次", name=name)
        raise UsageError(trouble)
    if head.startswith(_OTHER_BINARY):
        raise UsageError(tr("{name} 不是文字檔; 請給 TXT、CSV、TSV 或 JSONL 檔", name=name))
    wide = head.startswith(_UTF16_BOMS) if encoding is None else encoding.startswith("utf-16")
    if not wide and head.count(b"\0") > len(head) * _NUL_SHARE:
        raise UsageError(
            tr("{name} 不是文字檔, 或是沒有 BOM 的 UTF-16; 若是後者, 請指定編碼 utf-16-le 或 utf-16-be", name=name)
        )


def file_lines(
    file: BinaryIO,
    name: str,
    account: ReadingAccount,
    *,
    encoding: str | None,
    keep_ends: bool = False,
    check: Callable[[], object] | None = None,
) -> Iterator[DecodedLine]:
    """Every line of the open file, blank ones too; check is called once for every 64 KiB.

    Raises UsageError where the file stops being readable or a line is longer than MOST_CHARACTERS.
    """
    decoder = LineDecoder(encoding=encoding, most_characters=MOST_CHARACTERS, keep_ends=keep_ends)
    data = b"\0"
    while data:
        if check is not None:
            check()
        data = read_some(file, name)
        for line in decoder.feed(data) if data else decoder.finish():
            if line.number == 1 and line.text.startswith("\ufeff"):  # there is one left where the encoding was given
                line = DecodedLine(1, line.text[1:], line.replaced)
            if line.replaced:
                account.damaged(line)
            yield line


def read_some(file: BinaryIO, name: str) -> bytes:
    """The next 64 KiB, nothing at the end. Raises UsageError."""
    try:
        return file.read(_CHUNK)
    except OSError as error:
        trouble = _read_failure(error, name)
    raise UsageError(trouble)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | _NO_WAIT)


def _not_a_file(mode: int, name: str) -> str:
    if stat.S_ISDIR(mode):
        return tr("{name} 是資料夾; 請給一個 TXT、CSV、TSV 或 JSONL 檔", name=name)
    return tr("{name} 是管線或裝置, 不能從頭再讀一次; 請先存成檔案, 或把檔名寫成 - 由標準輸入讀取", name=name)


def _read_failure(error: Exception, name: str) -> str:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return tr("找不到檔案 {name}; 請檢查路徑", name=name)
        case PermissionError():
            return tr("沒有讀取 {name} 的權限; 請檢查檔案權限", name=name)
        case IsADirectoryError():
            return _not_a_file(stat.S_IFDIR, name)
        case _:
            kind = type(error).__name__
            return tr("讀不了 {name} ({kind}); 請確認路徑正確, 而且磁碟可以讀取", name=name, kind=kind)

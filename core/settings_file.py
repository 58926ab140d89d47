"""The settings file as it lies on the disk: read within bounds, and what is wrong with it as data.

It is for its owner alone and may be missing. Whatever is in it, nobody is kept out of the program by it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from core.language import tr

__all__ = ["FileTrouble", "SettingsFile", "read_settings_file", "trouble_text", "value_text"]

# A reader of TOML may take seconds for tens of kilobytes made to be slow; what people write is a fraction of this.
LARGEST: Final = 16 * 1024
_LARGEST_NUMBER: Final = 2**64
_POSIX: Final = os.name == "posix"
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


class FileTrouble(StrEnum):
    """Why nothing is taken from a settings file."""

    UNREADABLE = "unreadable"
    NO_FILE = "no file"
    OPEN = "open to others"
    TOO_LARGE = "too large"
    NOT_TOML = "not TOML"


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """What was found at path: values by name, or the trouble and its detail (a system's word, a line's number).

    text is the file as it is, where it is text. exists: something has that name. open_to_others: others can read it.
    Neither values nor text are in its repr: a person may have put a key there.
    """

    path: Path
    exists: bool = False
    text: str | None = field(default=None, repr=False)
    values: Mapping[str, object] = field(default_factory=dict, repr=False)
    trouble: FileTrouble | None = None
    detail: str = ""
    open_to_others: bool = False


def read_settings_file(path: Path) -> SettingsFile:
    """Read it; never raises, never waits for a pipe, and reads no more than it takes."""
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        # A link that leads nowhere is there, though what it names is not.
        return SettingsFile(path, exists=path.is_symlink())
    except (OSError, ValueError) as error:
        return SettingsFile(path, True, trouble=FileTrouble.UNREADABLE, detail=_system_name(error))
    try:
        there = os.fstat(descriptor)
        if not stat.S_ISREG(there.st_mode):
            return SettingsFile(path, True, trouble=FileTrouble.NO_FILE)
        if _others_write(there):
            return SettingsFile(path, True, trouble=FileTrouble.OPEN, open_to_others=True)
        data = _contents(descriptor)
    except OSError as error:
        return SettingsFile(path, True, trouble=FileTrouble.UNREADABLE, detail=_system_name(error))
    finally:
        os.close(descriptor)
    loose = _POSIX and bool(there.st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    return _understood(path, data, loose)


def trouble_text(found: SettingsFile) -> str:
    """One sentence: which file, what is wrong, what to do."""
    path = str(found.path)
    match found.trouble:
        case None:
            return ""
        case FileTrouble.UNREADABLE:
            return tr("讀不了設定檔 {path} ({reason}), 沒有採用; 請檢查它的權限", path=path, reason=found.detail)
        case FileTrouble.NO_FILE:
            return tr("設定檔 {path} 不是一般的檔案, 沒有採用; 請把它移走", path=path)
        case FileTrouble.OPEN:
            return tr("設定檔 {path} 別人也能修改, 沒有採用; 請確認內容後執行 chmod 600", path=path)
        case FileTrouble.TOO_LARGE:
            return tr("設定檔 {path} 超過 {most} KB, 沒有採用; 請刪去不需要的內容", path=path, most=LARGEST // 1024)
        case FileTrouble.NOT_TOML if found.detail:
            return tr("設定檔 {path} 的第 {line} 行寫錯了, 整個檔案沒有採用; 請改正", path=path, line=found.detail)
        case _:
            return tr("設定檔 {path} 不是 UTF-8 的 TOML, 沒有採用; 請改正, 或把它移走", path=path)


def value_text(value: object) -> str | None:
    """A value of the file as a person would write it in the environment; None where it is none of a setting."""
    match value:
        case bool():
            return "on" if value else "off"
        case str():
            return value
        case float():
            return str(value)
        case int() if abs(value) <= _LARGEST_NUMBER:  # Python refuses to write out what has thousands of digits
            return str(value)
        case list() if all(isinstance(each, str) for each in value):
            return ", ".join(value)
        case _:
            return None


def _understood(path: Path, data: bytes, loose: bool) -> SettingsFile:
    if len(data) > LARGEST:
        return SettingsFile(path, True, trouble=FileTrouble.TOO_LARGE, open_to_others=loose)
    import tomllib  # only where there is a file: start-up is counted in milliseconds

    text: str | None = None
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        return SettingsFile(path, True, text, tomllib.loads(text), open_to_others=loose)
    except (ValueError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error)) if isinstance(error, tomllib.TOMLDecodeError) else None
    return SettingsFile(path, True, text, {}, FileTrouble.NOT_TOML, line[1] if line else "", loose)


def _contents(descriptor: int) -> bytes:
    """No more than it takes to know that there is too much."""
    data = b""
    while len(data) <= LARGEST and (piece := os.read(descriptor, LARGEST + 1 - len(data))):
        data += piece
    return data


def _others_write(there: os.stat_result) -> bool:
    """Whether somebody else may have written it: they could send the key to an address of their own."""
    return _POSIX and (bool(there.st_mode & stat.S_IWOTH) or there.st_uid not in (0, os.geteuid()))


def _system_name(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return errno.errorcode.get(number or 0, type(error).__name__)

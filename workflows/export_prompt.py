"""Asks where something is to be written, until it is or the person does not want to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from core.errors import ParallelProcessingError, UsageError
from core.language import tr, tr_n
from utils.console import Console
from utils.neutralise import neutralise
from utils.safe_file import TargetExistsError, replacing

__all__ = ["offer_export", "offer_save", "size_text"]

_TEXT_SUFFIXES: Final = (".md", ".txt")
_PART: Final = 1 << 16


def offer_export(console: Console, suffixes: Iterable[str], write: Callable[[Path, bool], int]) -> None:
    """Ask for a file's name and call write(path, overwrite), which returns how many rows it wrote.

    A file that exists is overwritten only after a yes; a name that cannot be is told, and another one asked for.
    """
    known = " ".join(f".{each}" for each in suffixes)
    while True:
        name = console.ask(tr("匯出檔名 ({suffixes}; 按 Enter 略過): ", suffixes=known)).strip()
        if not name:
            return
        path = Path(name).expanduser()
        try:
            count = _written(console, path, write)
        except UsageError as error:
            console.write_line(f"❌ {error.reason}")
            continue
        if count is not None:
            console.write_line(tr_n("📄 已寫入 {name} ({count:,} 列)", count, name=_shown(path)))
            return


def offer_save(console: Console, text: str) -> None:
    """Ask for a file's name and write the text there as it is; the file is for this user alone.

    A name without a suffix gets .md. As with offer_export a file that exists is overwritten only after a yes, and
    after any trouble, a full disk too, another name is asked for.
    """
    while True:
        name = console.ask(tr("另存檔名 ({suffixes}; 按 Enter 略過): ", suffixes=" ".join(_TEXT_SUFFIXES))).strip()
        if not name:
            return
        try:
            path = _text_path(name)
            size = _written(console, path, lambda path, overwrite: _save(path, text, overwrite=overwrite))
        except ParallelProcessingError as error:
            console.write_line(f"❌ {error.reason}" + (f"\n💡 {error.advice}" if error.advice else ""))
            continue
        if size is not None:
            console.write_line(tr("📄 已寫入 {name} ({size})", name=_shown(path), size=size_text(size)))
            return


def size_text(size: int) -> str:
    """A number of bytes for people."""
    if size < 1 << 10:
        return f"{size:,} B"
    return f"{size / (1 << 10):,.1f} KB" if size < 1 << 20 else f"{size / (1 << 20):,.1f} MB"


def _text_path(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.suffix:
        path = path.with_name(f"{path.name}.md")
    if path.suffix.lower() not in _TEXT_SUFFIXES:
        raise UsageError(tr("檔名要以 .md 或 .txt 結尾: {name}", name=_shown(path)))
    return path


def _save(path: Path, text: str, *, overwrite: bool) -> int:
    size = 0
    with replacing(path, overwrite=overwrite) as file:
        for start in range(0, len(text), _PART):
            part = text[start : start + _PART]
            size += len(part.encode("utf-8", "backslashreplace"))
            file.write(part)
    return size


def _written(console: Console, path: Path, write: Callable[[Path, bool], int]) -> int | None:
    try:
        return write(path, False)
    except TargetExistsError:
        pass
    if not console.agrees(tr("{name} 已存在, 要覆寫嗎?", name=_shown(path))):
        return None
    return write(path, True)


def _shown(path: Path) -> str:
    return neutralise(path.name, keep_newlines=False)

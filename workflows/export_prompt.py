"""Asks where results are to be written, until they are or the person does not want to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from core.errors import UsageError
from utils.console import Console
from utils.safe_file import TargetExistsError

__all__ = ["offer_export"]


def offer_export(console: Console, suffixes: Iterable[str], write: Callable[[Path, bool], int]) -> None:
    """Ask for a file's name and call write(path, overwrite), which returns how many rows it wrote.

    A file that exists is overwritten only after a yes; a name that cannot be is told, and another one asked for.
    """
    known = " ".join(f".{each}" for each in suffixes)
    while True:
        name = console.ask(f"匯出檔名 ({known}; 按 Enter 略過): ").strip()
        if not name:
            return
        path = Path(name).expanduser()
        try:
            count = _written(console, path, write)
        except UsageError as error:
            console.write_line(f"❌ {error.reason}")
            continue
        if count is not None:
            console.write_line(f"📄 已寫入 {path.name} ({count:,} 列)")
            return


def _written(console: Console, path: Path, write: Callable[[Path, bool], int]) -> int | None:
    try:
        return write(path, False)
    except TargetExistsError:
        pass
    if not console.agrees(f"{path.name} 已存在, 要覆寫嗎?"):
        return None
    return write(path, True)

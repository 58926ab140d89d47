"""The questions a person typed before, kept in a file that only they can read."""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from pathlib import Path
from typing import Final

from core.language import tr
from core.private_folder import make_private_folder

__all__ = ["HistoryFile", "default_history_path"]

MOST_ENTRIES: Final = 1000
MOST_CHARACTERS: Final = 10_000
_MOST_BYTES: Final = 4 * 1024 * 1024


def default_history_path() -> Path:
    """Where the history is kept unless told otherwise: the person's own state folder."""
    from platformdirs import user_state_path  # only once a prompt needs it: start-up is counted in milliseconds

    return user_state_path("parallel_processing", appauthor=False) / "history.jsonl"


class HistoryFile:
    """A file of entries, one JSON string a line, oldest first; the folder is made 0700, the file 0600.

    Never raises: where the file cannot be used, problem says so in one sentence and the history is off. Entries
    over MOST_CHARACTERS are not stored. For one thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem = ""

    def load(self) -> list[str]:
        """The last MOST_ENTRIES entries, oldest first; lines that are no JSON string are passed over."""
        entries: deque[str] = deque(maxlen=MOST_ENTRIES)
        try:
            with self._path.open("rb") as file:
                entries.extend(entry for line in file if (entry := _parse(line)) is not None)
                size = file.tell()
        except FileNotFoundError:
            return []
        except OSError as error:
            self._give_up(error)
            return []
        if size > _MOST_BYTES:
            self._rewrite(entries)
        return list(entries)

    def append(self, text: str) -> None:
        """Keep one entry."""
        if self.problem or len(text) > MOST_CHARACTERS:
            return
        try:
            make_private_folder(self._path.parent)
            self._write(self._path, [text], os.O_APPEND)
        except OSError as error:
            self._give_up(error)

    def _rewrite(self, entries: deque[str]) -> None:
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        try:
            self._write(fresh, list(entries), os.O_EXCL)
            fresh.replace(self._path)
        except OSError:  # an over-long history is no reason to trouble anyone
            with contextlib.suppress(OSError):
                fresh.unlink()

    def _write(self, path: Path, entries: list[str], flag: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | flag | getattr(os, "O_NOFOLLOW", 0)
        with open(os.open(path, flags, 0o600), "ab") as file:
            os.chmod(file.fileno(), 0o600)
            file.write(b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))

    def _give_up(self, error: OSError) -> None:
        self.problem = tr("輸入歷史無法存取 ({error}), 這次不會記錄", error=type(error).__name__)


def _parse(line: bytes) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, str) else None

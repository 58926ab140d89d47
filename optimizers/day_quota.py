"""The quota of the day: counted across restarts, whole again at midnight on the Pacific coast."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any, Final

from core.pacific import next_pacific_midnight
from optimizers.small_file import replace_file

__all__ = ["DayQuota"]

_log = logging.getLogger(__name__)
_VERSION: Final = 1
_SAVE_EVERY: Final = 1.0  # seconds: what a crash can make it forget
_LONGEST_DAY: Final = 25 * 3600.0  # the one on which summer time ends
_LARGEST_FILE: Final = 4096


class DayQuota:
    """Counts the calls of the Pacific day and knows whether it is over: the limit reached, or the service said so.

    The count is kept in a file, one per model and for one process: readable by its owner alone, replaced as a
    whole, written at most once a second. A file that cannot be read, or is not ours, counts as none; one that
    cannot be written is logged once and costs no call. That the service ended the day is not kept: another key
    or a raised quota may have changed it by the next start.

    Instants are Unix times. Not thread-safe but for write(), which takes its time: to_save() under the lock that
    guards the rest, write() outside it.
    """

    def __init__(self, path: Path | None, wall: float, *, limit: int | None = None) -> None:
        self.limit = limit
        self._path = path
        self._resets_at, self._calls = _read(path, wall) or (next_pacific_midnight(wall), 0)
        self._over_until: float | None = None
        self._saved_at = wall
        self._dirty = False
        # Guards the file; held by write() alone for its own length.
        self._writing = threading.Lock()
        self._write_failed = False

    def calls(self, wall: float) -> int:
        """Calls counted today."""
        self._turn(wall)
        return self._calls

    def over_until(self, wall: float) -> float | None:
        """When calls are possible again; None if they are now."""
        self._turn(wall)
        if self._over_until is not None:
            return self._over_until
        return self._resets_at if self.limit is not None and self._calls >= self.limit else None

    def count(self, wall: float, calls: int = 1) -> None:
        """Count a call that starts; -1 takes one back that was refused."""
        self._turn(wall)
        self._calls = max(self._calls + calls, 0)
        self._dirty = True

    def end_day(self, wall: float, resets_at: float | None) -> None:
        """The service says that the day's quota is used up."""
        self._turn(wall)
        self._over_until = resets_at if resets_at is not None and resets_at > wall else self._resets_at

    def reopen(self) -> None:
        """Forget that the service ended the day."""
        self._over_until = None

    def to_save(self, wall: float, *, at_once: bool = False) -> str | None:
        """What write() is to write now; None if nothing has changed, or so recently that it can wait."""
        recent = 0 <= wall - self._saved_at < _SAVE_EVERY and not at_once
        if self._path is None or self.limit is None or not self._dirty or recent:
            return None
        self._dirty, self._saved_at = False, wall
        return json.dumps({"version": _VERSION, "resets_at": self._resets_at, "calls": self._calls})

    def write(self, text: str) -> None:
        """Replace the file. Never raises because of the disk."""
        if self._path is None:
            return
        with self._writing:
            try:
                replace_file(self._path, text)
                self._write_failed = False
            except OSError as error:
                if not self._write_failed:
                    _log.warning("the day's count cannot be kept: %s", type(error).__name__)
                self._write_failed = True

    def _turn(self, wall: float) -> None:
        if self._over_until is not None and wall >= self._over_until:
            self._over_until = None
        if wall >= self._resets_at or wall < self._resets_at - _LONGEST_DAY:  # a new day, or the clock was set
            self._resets_at, self._calls = next_pacific_midnight(wall), 0


def _read(path: Path | None, wall: float) -> tuple[float, int] | None:
    if path is None:
        return None
    try:
        with path.open(encoding="utf-8") as file:
            kept: Any = json.loads(file.read(_LARGEST_FILE))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(kept, dict) or kept.get("version") != _VERSION:
        return None
    resets_at, calls = kept.get("resets_at"), kept.get("calls")
    if not isinstance(resets_at, (int, float)) or type(calls) is not int or calls < 0:  # True is an int, too
        return None
    return (float(resets_at), calls) if wall < resets_at <= wall + _LONGEST_DAY else None

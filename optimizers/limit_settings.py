"""The limits that a person has set in the menu, kept per model from one start to the next."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from core.errors import StorageError
from core.language import tr
from core.limits import Limits
from optimizers.small_file import replace_file

__all__ = ["LimitSettings", "default_limits_path", "joined"]

_NAMES: Final = ("requests_per_minute", "tokens_per_minute", "requests_per_day")
_LARGEST_FILE: Final = 256 * 1024
_MOST: Final = 10**12


def default_limits_path() -> Path:
    """limits.json in the person's own configuration folder."""
    import platformdirs

    return Path(platformdirs.user_config_dir("parallel_processing")) / "limits.json"


def joined(above: Limits, below: Limits) -> Limits:
    """Each limit from above where it is set there, else from below."""
    return Limits(**{name: getattr(above, name) or getattr(below, name) for name in _NAMES})


class LimitSettings:
    """One small file, read at each look and replaced as a whole, for its owner alone. path None: nothing is kept.

    What in it is not a limit counts as not set: a person may have edited it, and a broken file must not keep the
    program from starting. damaged says that there is one which cannot be read at all. For one thread.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @property
    def damaged(self) -> bool:
        # Path.exists() raises where the folder may not be looked into.
        return self._path is not None and os.path.exists(self._path) and self._read() is None

    def of(self, model: str) -> Limits:
        """The limits set for the model."""
        found = (self._read() or {}).get(model)
        values = found if isinstance(found, dict) else {}
        return Limits(**{name: _limit(values.get(name)) for name in _NAMES})

    def set(self, model: str, limits: Limits) -> None:
        """Keep these limits for the model, instead of those before. Raises StorageError."""
        if self._path is None:
            return
        all_limits = self._read() or {}
        given = {name: value for name, value in asdict(limits).items() if name in _NAMES and value is not None}
        all_limits = {**all_limits, model: given} if given else {k: v for k, v in all_limits.items() if k != model}
        try:
            replace_file(self._path, json.dumps(all_limits, ensure_ascii=False, indent=2, sort_keys=True) + "\n")
        except OSError as error:
            failure = type(error).__name__
        else:
            return
        raise StorageError(
            tr("限額存不到 {path} ({reason})", path=str(self._path), reason=failure),
            advice=tr("這次執行仍有效; 請檢查資料夾的權限"),
        )

    def _read(self) -> dict[str, Any] | None:
        """What is in the file; None where it is missing or no JSON object."""
        if self._path is None:
            return None
        try:
            with self._path.open(encoding="utf-8") as file:
                found = json.loads(file.read(_LARGEST_FILE))
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


def _limit(value: Any) -> int | None:
    return value if type(value) is int and 1 <= value <= _MOST else None

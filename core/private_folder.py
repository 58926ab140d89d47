"""Folders for one person alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["make_private_folder"]

_PRIVATE: Final = 0o700


def make_private_folder(folder: Path) -> None:
    """Make the folder, and what is missing above it, for its owner alone, whatever the umask. Raises OSError."""
    for each in (*reversed(folder.parents), folder):
        if not each.is_dir():
            each.mkdir(mode=_PRIVATE, exist_ok=True)
            if each.stat().st_mode & 0o777 != _PRIVATE:  # a umask may have taken the owner's own bits away
                each.chmod(_PRIVATE)

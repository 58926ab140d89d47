"""Folders for one person alone."""

from __future__ import annotations

from pathlib import Path

__all__ = ["make_private_folder"]


def make_private_folder(folder: Path) -> None:
    """Make the folder, and what is missing above it, for its owner alone, whatever the umask. Raises OSError."""
    for each in (*reversed(folder.parents), folder):
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)
            each.chmod(0o700)  # a umask may have taken the owner's own bits away

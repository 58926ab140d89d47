"""Small files that are replaced as a whole, for their owner alone."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

from core.private_folder import make_private_folder

__all__ = ["file_identity", "replace_file"]

_OWNER_ONLY: Final = 0o600


def replace_file(path: Path, text: str, *, durable: bool = False) -> None:
    """Put the text in the place of the file: whoever reads it finds the old one or the new one. Raises OSError.

    durable: also after a power cut, at the price of waiting for the disk. A link in its place is replaced, never
    followed. Only the end of the process by force leaves the hidden temporary file behind.
    """
    make_private_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # made new, for its owner alone
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            if os.chmod in os.supports_fd:
                os.chmod(handle, _OWNER_ONLY)  # a umask may have taken the owner's own bits away
            file.write(text)
            if durable:
                file.flush()
                os.fsync(handle)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    if durable:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system can; then a power cut may bring the old file back
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def file_identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another that has taken its name since; None where there is none to be seen."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino

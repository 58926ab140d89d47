"""Small files that are replaced as a whole, for their owner alone."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from core.private_folder import make_private_folder

__all__ = ["replace_file"]


def replace_file(path: Path, text: str) -> None:
    """Put the text in the place of the file: whoever reads it finds the old one or the new one. Raises OSError."""
    make_private_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # made for its owner alone
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise

"""Unnamed files that requests leave by and answers come in by, with their failures in the program's own words."""

from __future__ import annotations

import contextlib
import tempfile
from typing import IO, Any

from core.errors import StorageError
from core.language import tr

__all__ = ["Spool"]


class Spool:
    """A temporary file without a name, for its owner only, gone when it is closed. For one thread at a time.

    Takes at most `most` bytes: beyond them, or where the disk does not take them, write() raises ValueError and
    `full` or `problem` says why. Raises StorageError at construction where no file can be made.
    """

    def __init__(self, most: int) -> None:
        self._left = most
        self.full = False
        self.problem: StorageError | None = None
        self.file = _temporary_file()

    def write(self, chunk: bytes) -> None:
        """As a stream's, for the SDK to call as well."""
        self._left -= len(chunk)
        if self._left < 0:
            self.full = True
        else:
            try:
                self.file.write(chunk)
            except OSError as error:
                self.problem = _no_room(error)
        if self.full or self.problem is not None:
            raise ValueError("takes no more")

    def rewind(self) -> None:
        """To the beginning, with everything on the disk; StorageError where it does not fit there."""
        problem: StorageError | None = None
        try:
            self.file.seek(0)
        except OSError as error:
            problem = _no_room(error)
        if problem is not None:
            raise problem

    def close(self) -> None:
        # What could not be written a moment ago cannot be now, and nobody wants it any more.
        with contextlib.suppress(OSError):
            self.file.close()


def _temporary_file() -> IO[Any]:
    problem = ""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        problem = str(error.strerror)
    raise StorageError(
        tr("開不了暫存檔 ({problem})", problem=problem), advice=tr("請確認暫存資料夾可以寫入, 且磁碟有空間")
    )


def _no_room(error: OSError) -> StorageError:
    return StorageError(
        tr("暫存檔寫不進去 ({problem})", problem=error.strerror), advice=tr("請清出磁碟空間再執行"), full=True
    )

"""Input that can be read only once, kept as a file so that it can be read again."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from core.errors import StorageError, UsageError
from core.language import tr
from core.private_folder import make_private_folder
from utils.neutralise import neutralise

__all__ = ["spool"]

_CHUNK: Final = 256 * 1024
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class _Bytes(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


def spool(stream: _Bytes, directory: Path, *, suffix: str = "") -> Path:
    """Copy the stream into a file of the directory, for its owner alone, named by what is in it.

    The same input has the same name, so that a second run of it finds what the first one did. Never more than one
    chunk is held. Whatever fails or interrupts it, nothing is left behind. Raises UsageError where the stream cannot
    be read, StorageError where the file cannot be written (full: no room).
    """
    failure: OSError
    try:
        _make(directory)
        descriptor, name = tempfile.mkstemp(dir=directory, prefix=".input-")
        try:
            path = directory / f"input-{_copy(stream, descriptor)}{suffix}"
            os.replace(name, path)  # also where it is there: after a power cut its name may stand for half of it
        except BaseException:
            with suppress(OSError):
                os.unlink(name)
            raise
        return path
    except OSError as error:
        failure = error
    raise _explanation(failure, directory)


def _make(directory: Path) -> None:
    """For its owner alone, whatever the umask; one that is there already stays as it is."""
    if not directory.is_dir():
        make_private_folder(directory)
        directory.chmod(0o700)


def _copy(stream: _Bytes, descriptor: int) -> str:
    """Everything the stream has goes into the file; the digest of it comes back."""
    digest = hashlib.blake2b(digest_size=16)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        while data := _read(stream):
            digest.update(data)
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
    return digest.hexdigest()


def _read(stream: _Bytes) -> bytes:
    try:
        data = stream.read(_CHUNK)
    except (OSError, ValueError) as error:
        trouble = tr("讀不了標準輸入 ({kind}); 請先存成檔案再試一次", kind=type(error).__name__)
    else:
        if data is not None:
            return data
        trouble = tr("標準輸入不等資料就回來了 (非阻塞模式); 請先存成檔案再試一次")
    raise UsageError(trouble)


def _explanation(error: OSError, directory: Path) -> StorageError:
    where = neutralise(str(directory), keep_newlines=False)
    if error.errno in _FULL:
        advice = tr("請清出空間後再試一次")
        return StorageError(tr("磁碟已滿, 輸入存不進 {path}", path=where), advice=advice, full=True)
    if isinstance(error, PermissionError):
        return StorageError(tr("沒有權限寫入 {path}", path=where), advice=tr("請檢查資料夾的權限"))
    trouble = tr("輸入存不進 {path} ({kind})", path=where, kind=type(error).__name__)
    return StorageError(trouble, advice=tr("請檢查磁碟與資料夾"))

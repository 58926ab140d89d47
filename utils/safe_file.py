"""Writes a file so that at every instant its name stands for the whole old file or the whole new one."""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TextIO

from core.errors import ParallelProcessingError, StorageError, UsageError
from core.language import tr
from utils.neutralise import neutralise

__all__ = ["TargetExistsError", "check_target", "replacing"]

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_ALLOWED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}
_GONE: Final = {errno.ENOENT, errno.ENOTDIR}
_NO_HARD_LINKS: Final = {errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_POSIX: Final = os.name == "posix"  # elsewhere a directory's mode says nothing about who can write
_BUFFER: Final = 1 << 16
_MOST_LINKS: Final = 40  # as many as Linux follows
_NAME_CHARACTERS: Final = 40  # of the target's name in the temporary one: at most 160 of the 255 bytes there are


class TargetExistsError(UsageError):
    """The file is there and the caller did not say that it may be replaced; path is where it is."""

    def __init__(self, path: Path) -> None:
        super().__init__(tr("檔案已經存在: {path}; 請換一個名稱, 或同意覆蓋它", path=_shown(path)))
        self.path = path


def check_target(path: Path, *, overwrite: bool, inputs: Sequence[Path] = ()) -> Path:
    """Where a file written to path would really lie; to be asked before the work that fills it.

    A link in a directory that only its owner can write to is followed, and the file it leads to is the one replaced
    (the link stays); in a directory where others can put one, it may be theirs, and is refused. Raises
    TargetExistsError, UsageError (a directory, a device, one of the inputs by whatever name, no such folder) or
    StorageError (not allowed to look).
    """
    with _explained(path):
        real = _followed(path)
        if not real.parent.is_dir():
            raise UsageError(tr("資料夾不存在: {path}; 請先建立它, 或換一個位置", path=_shown(real.parent)))
        try:
            there = real.lstat()
        except FileNotFoundError:
            return real
        if stat.S_ISDIR(there.st_mode):
            raise UsageError(tr("這是資料夾, 不是檔案: {path}; 請加上檔名", path=_shown(path)))
        if not stat.S_ISREG(there.st_mode):
            raise UsageError(tr("這不是一般的檔案: {path}; 請換一個名稱", path=_shown(path)))
        if any(_same(there, each) for each in inputs):
            raise UsageError(tr("輸出檔就是輸入檔: {path}; 請換一個名稱, 以免蓋掉原始資料", path=_shown(path)))
        if not overwrite:
            raise TargetExistsError(real)
        return real


@contextmanager
def replacing(path: Path, *, overwrite: bool, inputs: Sequence[Path] = (), encoding: str = "utf-8") -> Iterator[TextIO]:
    """A text file that gets its name only when the block ends well; nobody else can read it (0600).

    It is written beside the target under a temporary name, synced to the disk and then renamed. Whatever fails or
    interrupts the block: the temporary file is removed and the old file is as it was. Without overwrite a file
    that appears while the block runs is not replaced either. Line ends are written as they are; a lone surrogate,
    which no encoding has, becomes its escape (\\udxxx).

    Errors of the file itself are StorageError; check_target says what else is raised. Errors of the block pass
    through as they are. Only the end of the process by force leaves the temporary file behind, hidden, ending in .tmp.
    A directory that cannot be synced is no failure: after a power cut the name has the whole old or the whole new one.
    """
    real = check_target(path, overwrite=overwrite, inputs=inputs)
    temporary = real.with_name(f".{real.name[:_NAME_CHARACTERS]}.{secrets.token_hex(6)}.tmp")
    try:
        with _explained(real):
            file = _NewFile(_open_new(temporary), real)
        text = io.TextIOWrapper(io.BufferedWriter(file, _BUFFER), encoding, errors="backslashreplace", newline="")
        try:
            yield text
            text.flush()
            file.sync()
        finally:
            file.abandon()
            text.close()
        with _explained(real):
            _give_name(temporary, real, overwrite=overwrite)
    finally:
        with suppress(OSError):  # after a rename it is gone already
            temporary.unlink()
    _sync_directory(real.parent)


class _NewFile(io.RawIOBase):
    """The temporary file. Its errors name the target; after abandon(), writing does nothing.

    So the buffers above it can always be closed, although what they still hold may never be written.
    """

    def __init__(self, descriptor: int, target: Path) -> None:
        self._descriptor = descriptor
        self._target = target
        self._abandoned = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        if self._abandoned:
            return len(data)
        with _explained(self._target):
            return os.write(self._descriptor, data)

    def sync(self) -> None:
        with _explained(self._target):
            os.fsync(self._descriptor)

    def abandon(self) -> None:
        self._abandoned = True

    def close(self) -> None:
        """Called once: by the buffer above, which asks closed first."""
        super().close()
        with _explained(self._target):
            os.close(self._descriptor)


def _open_new(path: Path) -> int:
    descriptor = os.open(path, _NEW_FILE, 0o600)
    if os.chmod in os.supports_fd:
        with suppress(OSError):  # a umask may have taken the owner's bits; some file systems have no bits at all
            os.chmod(descriptor, 0o600)
    return descriptor


def _give_name(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Without overwrite: by a hard link, the one way to take a name only if it is free that also fills it at once."""
    if overwrite:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise TargetExistsError(target) from None
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        _claim_name(temporary, target)


def _claim_name(temporary: Path, target: Path) -> None:
    """For file systems without hard links: an empty file takes the free name, then the full one replaces it."""
    try:
        os.close(os.open(target, _NEW_FILE, 0o600))
    except FileExistsError:
        raise TargetExistsError(target) from None
    try:
        os.replace(temporary, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _sync_directory(directory: Path) -> None:
    with suppress(OSError):  # not every file system can; where it is refused, a power cut may bring the old file back
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _followed(path: Path) -> Path:
    """The path without links, as the system would follow them; refuses links that somebody else may have put."""
    whole = Path.cwd() / path
    current, rest, links = Path(whole.anchor), list(reversed(whole.parts[1:])), 0
    while rest:
        step = rest.pop()
        if step == os.pardir:
            current = current.parent
            continue
        if not (current / step).is_symlink():
            current /= step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if _shared(current):
            link = _shown(current / step)
            raise UsageError(tr("這是別人也能寫入的資料夾裡的連結: {path}; 請直接寫出真正的位置", path=link))
        aim = Path(os.readlink(current / step))
        if aim.is_absolute():
            current = Path(aim.anchor)
        rest += reversed(aim.parts[1:] if aim.is_absolute() else aim.parts)
    return current


def _shared(directory: Path) -> bool:
    """Whether anybody but this user and root can put files there."""
    if not _POSIX:
        return False
    there = directory.stat()
    return bool(there.st_mode & (stat.S_IWGRP | stat.S_IWOTH)) or there.st_uid not in (0, os.geteuid())


def _same(there: os.stat_result, other: Path) -> bool:
    try:
        return os.path.samestat(there, other.stat())
    except OSError:  # an input that is gone cannot be overwritten
        return False


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns the system's errors into one sentence about this path."""
    try:
        yield
    except OSError as error:
        trouble = _explanation(error, path)
    else:
        return
    raise trouble from None


def _explanation(error: OSError, path: Path) -> ParallelProcessingError:
    name = _shown(path)
    if error.errno in _FULL:
        advice = tr("請清出空間後再存一次, 或存到別的磁碟; 原有的檔案沒有改動")
        return StorageError(tr("磁碟已滿, 沒有寫完 {path}", path=name), advice=advice, full=True)
    if error.errno in _NOT_ALLOWED:
        return StorageError(tr("沒有權限寫入 {path}", path=name), advice=tr("請換一個可以寫入的資料夾"))
    if error.errno in _GONE:
        advice = tr("請重新建立資料夾, 或換一個位置再存一次")
        return StorageError(tr("資料夾不見了, 無法寫入 {path}", path=name), advice=advice)
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(tr("檔名太長: {beginning}…; 請換一個較短的名稱", beginning=name[:60]))
    if error.errno == errno.ELOOP:
        return UsageError(tr("連結繞成一圈: {path}; 請直接寫出真正的位置", path=name))
    code = errno.errorcode.get(error.errno or 0, type(error).__name__)
    advice = tr("請檢查磁碟, 或換一個位置再存一次")
    return StorageError(tr("無法寫入 {path} ({code})", path=name, code=code), advice=advice)


def _shown(path: Path) -> str:
    return neutralise(str(path), keep_newlines=False)

"""Input that comes once, kept so that it can be read again."""

from __future__ import annotations

import errno
import io
import os
import stat
import tracemalloc
from pathlib import Path

import pytest

from core.errors import StorageError, UsageError
from utils.spool import spool
from utils.text_source import TextSource

posix_only = pytest.mark.skipif(os.name != "posix", reason="modes as POSIX has them")


def test_the_same_input_has_the_same_file(tmp_path: Path) -> None:
    """So a batch from a pipe is found again; other input has another file, and nothing else is left there."""
    first = spool(io.BytesIO(b"a\nb\n"), tmp_path)
    assert spool(io.BytesIO(b"a\nb\n"), tmp_path) == first
    other = spool(io.BytesIO(b"a\n"), tmp_path)
    assert first.read_bytes() == b"a\nb\n"
    assert set(tmp_path.iterdir()) == {first, other}


def test_a_file_that_was_cut_is_made_whole(tmp_path: Path) -> None:
    """The name alone is not believed: after a power cut it may stand for less."""
    path = spool(io.BytesIO(b"a\nb\n"), tmp_path)
    path.write_bytes(b"a")
    assert spool(io.BytesIO(b"a\nb\n"), tmp_path).read_bytes() == b"a\nb\n"


def test_spooled_input_is_read_by_its_content(tmp_path: Path) -> None:
    """Without a suffix the format is judged by what is in it; with one it is said."""
    path = spool(io.BytesIO(b'{"text": "a"}\n'), tmp_path)
    assert TextSource(path).options.format == "jsonl"
    assert spool(io.BytesIO(b"x"), tmp_path, suffix=".csv").suffix == ".csv"


@posix_only
def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """0700 and 0600 from the first moment, under a umask that gives everything away."""
    before = os.umask(0)
    try:
        path = spool(io.BytesIO(b"a"), tmp_path / "deep" / "state")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("code", "full", "words"),
    [(errno.ENOSPC, True, "磁碟已滿"), (errno.EACCES, False, "沒有權限"), (errno.EIO, False, "存不進")],
)
@pytest.mark.parametrize("call", ["open", "replace"])
def test_a_failing_disk_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, full: bool, words: str
) -> None:
    """One sentence, whether the disk was full, and no half file."""

    def fail(*args: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(StorageError, match=words) as raised:
            spool(io.BytesIO(b"a"), tmp_path)
    assert raised.value.full is full
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk as Linux has one")
def test_a_disk_that_fills_up_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write itself fails, in the kernel."""
    full = os.open("/dev/full", os.O_WRONLY)
    (tmp_path / ".input-x").touch()
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: (full, str(tmp_path / ".input-x")))
    with pytest.raises(StorageError, match="磁碟已滿"):
        spool(io.BytesIO(b"a"), tmp_path)
    assert list(tmp_path.iterdir()) == []


class _Stream:
    """Gives some bytes, then does what it is told."""

    def __init__(self, then: BaseException | None) -> None:
        self._then = then
        self._given = False

    def read(self, size: int, /) -> bytes | None:
        if not self._given:
            self._given = True
            return b"half"
        if self._then is not None:
            raise self._then
        return None


@pytest.mark.parametrize(
    ("then", "raised"),
    [(OSError(5, "EIO"), UsageError), (ValueError("closed"), UsageError), (None, UsageError),
     (KeyboardInterrupt(), KeyboardInterrupt)],
)  # fmt: skip
def test_input_that_breaks_off_is_not_taken_for_all(
    tmp_path: Path, then: BaseException | None, raised: type[BaseException]
) -> None:
    """A failing, closed or non-blocking stream, or Ctrl-C, leaves no file that would pass for the whole."""
    with pytest.raises(raised):
        spool(_Stream(then), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file in its place, for one."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="存不進"):
        spool(io.BytesIO(b"a"), tmp_path / "file" / "state")


def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    """A stream of 32 MiB is copied in pieces."""

    class Zeros:
        left = 32 * 1024 * 1024

        def read(self, size: int, /) -> bytes:
            given = min(size, self.left)
            self.left -= given
            return bytes(given)

    tracemalloc.start()
    try:
        assert spool(Zeros(), tmp_path).stat().st_size == 32 * 1024 * 1024
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()

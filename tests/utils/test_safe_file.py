"""Files replaced as a whole: what a fault, a link or another program can do to them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from core.errors import ParallelProcessingError, StorageError, UsageError
from utils.safe_file import TargetExistsError, check_target, replacing

OLD = "the old file"
NEW = "新的內容 " * 40_000  # several writes' worth
posix_only = pytest.mark.skipif(os.name != "posix", reason="links and modes as POSIX has them")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / "out.csv"


class Faults:
    """Counts the calls of some functions of os and makes the n-th fail."""

    def __init__(self, patch: pytest.MonkeyPatch, *names: str, nth: int, code: int = errno.EIO) -> None:
        self.calls, self._nth, self._code = 0, nth, code
        for name in names:
            patch.setattr(os, name, self._failing(getattr(os, name)))

    @property
    def struck(self) -> bool:
        return self.calls >= self._nth

    def _failing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self._nth:
                raise OSError(self._code, os.strerror(self._code))
            return real(*args, **kwargs)

        return call


def write(path: Path, text: str = NEW, **options: Any) -> None:
    with replacing(path, **{"overwrite": False, **options}) as file:
        file.write(text)


def only(path: Path) -> bool:
    """The directory holds this file and nothing else."""
    return list(path.parent.iterdir()) == [path]


def test_the_file_appears_whole_when_the_block_ends_well(target: Path) -> None:
    """Until then there is only a hidden file beside it."""
    with replacing(target, overwrite=False) as file:
        file.write("列\r\n")
        file.write("end\n")
        (beside,) = target.parent.iterdir()
        assert (beside.name.startswith(".out.csv."), beside.suffix) == (True, ".tmp")
    assert target.read_bytes() == "列\r\nend\n".encode()
    assert only(target)


@posix_only
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_nobody_else_can_read_it_at_any_moment(target: Path, umask: int) -> None:
    """The temporary file and the final one are 0600 under any umask."""
    before = os.umask(umask)
    try:
        with replacing(target, overwrite=False) as file:
            (beside,) = target.parent.iterdir()
            assert stat.S_IMODE(beside.stat().st_mode) == 0o600
            file.write(NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_an_existing_file_is_replaced_only_with_a_yes(target: Path) -> None:
    """Without overwrite it is an error that carries the path; with it the new file takes the name."""
    target.write_text(OLD)
    with pytest.raises(TargetExistsError, match="已經存在") as caught:
        write(target)
    assert (caught.value.path, target.read_text()) == (target, OLD)
    write(target, overwrite=True)
    assert target.read_text() == NEW


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced(
    target: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where the file system has no hard links."""
    if not links:
        Faults(monkeypatch, "link", nth=1, code=errno.EPERM)

    def late() -> None:
        with replacing(target, overwrite=False):
            target.write_text(OLD)

    with pytest.raises(TargetExistsError):
        late()
    assert target.read_text() == OLD
    assert only(target)


def test_without_hard_links_a_new_file_is_written_all_the_same(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory stick can hold an export."""
    Faults(monkeypatch, "link", nth=1, code=errno.EPERM)
    write(target)
    assert target.read_text() == NEW
    assert only(target)


OPERATIONS = ("open", "write", "fsync", "close", "link", "replace")


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_whichever_operation_fails_the_old_file_is_intact(target: Path, overwrite: bool, code: int) -> None:
    """The n-th call of the system fails, for every n: the name has the whole old or the whole new, nothing else is left."""  # noqa: E501  # one sentence
    outcomes = []
    for nth in range(1, 100):
        if overwrite:
            target.write_text(OLD)
        with pytest.MonkeyPatch.context() as patch:
            faults = Faults(patch, *OPERATIONS, nth=nth, code=code)
            with suppress(StorageError):
                write(target, overwrite=overwrite)
                outcomes.append(nth)
        content = target.read_text() if target.exists() else None
        assert content == (NEW if nth in outcomes else OLD if overwrite else None)
        assert list(target.parent.iterdir()) == ([] if content is None else [target])
        target.unlink(missing_ok=True)
        if not faults.struck:
            break
    assert nth > 8
    # Only syncing the directory (open, fsync, close) may fail without harm; the last round had no fault at all.
    assert outcomes == [nth - 3, nth - 2, nth - 1, nth]


def test_a_failed_claim_of_the_name_leaves_no_empty_file(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no hard links and the rename fails too."""
    Faults(monkeypatch, "link", nth=1, code=errno.EPERM)
    Faults(monkeypatch, "replace", nth=1)
    with pytest.raises(StorageError):
        write(target)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt(), OSError(errno.EIO, "of the input")])
def test_what_the_block_raises_passes_through(target: Path, error: BaseException) -> None:
    """As it is, also an OSError of something else; the old file stays and no temporary one."""
    target.write_text(OLD)

    def interrupted() -> None:
        with replacing(target, overwrite=True) as file:
            file.write(NEW)
            file.write("still in a buffer")
            raise error

    with pytest.raises(type(error)) as caught:
        interrupted()
    assert caught.value is error
    assert target.read_text() == OLD
    assert only(target)


def test_a_disk_that_stays_full_does_not_hide_what_the_block_raised(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is still in the buffers is given up, not tried once more."""
    error = RuntimeError("a bug")

    def failing() -> None:
        with replacing(target, overwrite=False) as file:
            file.write("in a buffer")
            monkeypatch.setattr(os, "write", lambda *_: 1 / 0)
            raise error

    with pytest.raises(RuntimeError) as caught:
        failing()
    assert caught.value is error
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "words", "full"),
    [
        (errno.ENOSPC, "磁碟已滿", True),
        (errno.EROFS, "沒有權限", False),
        (errno.EIO, "EIO", False),
        (None, "OSError", False),
    ],
)
def test_every_error_is_one_sentence_with_the_way_out(
    target: Path, monkeypatch: pytest.MonkeyPatch, code: int | None, words: str, full: bool
) -> None:
    """It names the file, and says whether room is what was missing."""

    def failing(*_: object) -> int:
        raise OSError(code, "") if code else OSError("unknown")

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(StorageError, match=words) as caught:
        write(target)
    assert (caught.value.full, bool(caught.value.advice), target.name in caught.value.reason) == (full, True, True)


def test_a_directory_that_vanishes_meanwhile_is_said(target: Path) -> None:
    """The error is about the directory, not a traceback."""
    (target.parent / "sub").mkdir()

    def orphaned() -> None:
        with replacing(target.parent / "sub" / "out.csv", overwrite=False) as file:
            file.write(NEW)
            for each in (target.parent / "sub").iterdir():
                each.unlink()
            (target.parent / "sub").rmdir()

    with pytest.raises(StorageError, match="資料夾不見了"):
        orphaned()


def test_a_name_too_long_is_said(target: Path) -> None:
    """The sentence is short although the name is not."""
    with pytest.raises(UsageError, match="太長") as caught:
        write(target.with_name("x" * 300 + ".csv"))
    assert len(caught.value.reason) < 120


def test_a_long_name_that_fits_can_be_written(target: Path) -> None:
    """The temporary name beside it is not longer than names may be."""
    path = target.with_name("名" * 80 + ".csv")
    write(path)
    assert path.read_text() == NEW


def test_what_is_no_file_is_refused(target: Path) -> None:
    """A directory, a missing directory, a pipe."""
    with pytest.raises(UsageError, match="這是資料夾"):
        check_target(target.parent, overwrite=True)
    with pytest.raises(UsageError, match="資料夾不存在"):
        check_target(target / "x.csv", overwrite=True)
    if hasattr(os, "mkfifo"):
        os.mkfifo(target)
        with pytest.raises(UsageError, match="不是一般的檔案"):
            check_target(target, overwrite=True)


def test_an_input_is_never_the_output(target: Path) -> None:
    """By its own name, by a hard link, by a symbolic one; an input that is gone does not matter."""
    target.write_text(OLD)
    source = target.with_name("in.csv")
    os.link(target, source)
    link = target.with_name("link.csv")
    link.symlink_to(source)
    for path in (target, source, link):
        with pytest.raises(UsageError, match="就是輸入檔"):
            check_target(path, overwrite=True, inputs=[target.with_name("gone"), source])
    assert check_target(target, overwrite=True, inputs=[target.with_name("gone")]) == target


@posix_only
def test_a_link_of_ones_own_is_followed(target: Path) -> None:
    """Through relative and absolute ones; the file it leads to is replaced, the link stays."""
    (target.parent / "deep" / "er").mkdir(parents=True, mode=0o700)
    real = target.parent / "deep" / "real.csv"
    real.write_text(OLD)
    (target.parent / "deep" / "er" / "up.csv").symlink_to("../real.csv")
    target.symlink_to(target.parent / "deep" / "er" / "up.csv")
    write(target, overwrite=True)
    assert (target.is_symlink(), real.is_symlink(), real.read_text()) == (True, False, NEW)


@posix_only
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770])
def test_a_link_in_a_shared_directory_is_refused(target: Path, mode: int) -> None:
    """It may be somebody else's; so is one further on the way, and one of a directory."""
    shared = target.parent / "shared"
    shared.mkdir()
    (shared / "out.csv").symlink_to(target)
    (shared / "folder").symlink_to(target.parent)
    shared.chmod(mode)
    target.write_text(OLD)
    mine = target.with_name("mine.csv")
    mine.symlink_to(shared / "out.csv")
    for path in (shared / "out.csv", mine, shared / "folder" / "new.csv"):
        with pytest.raises(UsageError, match="別人也能寫入"):
            write(path, overwrite=True)
    assert target.read_text() == OLD


@posix_only
def test_a_link_in_somebody_elses_directory_is_refused(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner can put one there as well."""
    target.symlink_to("elsewhere")
    monkeypatch.setattr(os, "geteuid", lambda: target.parent.stat().st_uid + 1)
    real_stat = Path.stat

    @contextmanager
    def owned_by(uid: int) -> Iterator[None]:
        def changed(path: Path, **options: Any) -> os.stat_result:
            there = list(real_stat(path, **options))
            there[stat.ST_UID] = uid
            return os.stat_result(there)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "stat", changed)
            yield

    with owned_by(4321), pytest.raises(UsageError, match="別人也能寫入"):
        check_target(target, overwrite=True)


def test_where_modes_say_nothing_links_are_followed(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every directory looks writable by all there."""
    target.parent.chmod(0o777)
    target.symlink_to("elsewhere")
    monkeypatch.setattr("utils.safe_file._POSIX", False)
    assert check_target(target, overwrite=False) == target.with_name("elsewhere")


@posix_only
def test_links_in_a_circle_are_said(target: Path) -> None:
    """Instead of following them for ever."""
    target.symlink_to(target.name)
    with pytest.raises(UsageError, match="繞成一圈"):
        check_target(target, overwrite=True)


def test_what_cannot_be_encoded_becomes_its_escape(target: Path) -> None:
    """A lone surrogate does not end an export of a hundred thousand rows."""
    write(target, "a\ud800b")
    assert target.read_bytes() == rb"a\ud800b"


def test_names_in_messages_are_harmless(target: Path) -> None:
    """Escape sequences of a file's name do not reach the terminal."""
    with pytest.raises(ParallelProcessingError) as caught:
        check_target(target / "\x1b[31m" / "x", overwrite=True)
    assert "\x1b" not in caught.value.reason


def test_a_relative_path_is_of_the_current_directory(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With parent steps resolved."""
    monkeypatch.chdir(target.parent)
    assert check_target(Path("no/../out.csv"), overwrite=False) == target.resolve()


def test_without_modes_on_descriptors_it_works_all_the_same(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on systems whose chmod takes no descriptor."""
    monkeypatch.setattr(os, "supports_fd", set())
    write(target)
    assert target.read_text() == NEW

"""Small files that are replaced as a whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from optimizers.small_file import replace_file

ROOT = Path(__file__).resolve().parents[2]
DIES = """
import os, signal, sys
from pathlib import Path
from optimizers.small_file import replace_file

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, sys.argv[2], die)
replace_file(Path(sys.argv[1]), "new" * 50_000, durable=True)
"""


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o277)
    yield
    os.umask(before)


@pytest.mark.parametrize("durable", [False, True])
def test_the_file_is_its_owner_s_alone(tmp_path: Path, durable: bool) -> None:
    """Also where the old one was open to others; line ends are written as they are."""
    path = tmp_path / "made" / "file"
    replace_file(path, "一\r\n", durable=durable)
    path.chmod(0o666)
    replace_file(path, "二\n", durable=durable)
    assert path.read_bytes() == "二\n".encode()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(path.parent.iterdir()) == [path]


def test_a_umask_takes_nothing_from_the_owner(tmp_path: Path, umask: None) -> None:
    """The file can be written again."""
    replace_file(tmp_path / "file", "x")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """What it leads to is somebody else's."""
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "file").symlink_to(tmp_path / "theirs")
    replace_file(tmp_path / "file", "mine")
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert not (tmp_path / "file").is_symlink()


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_process_that_is_killed_leaves_the_old_file(tmp_path: Path, step: str) -> None:
    """At whatever step it dies; the next one writes as ever."""
    path = tmp_path / "file"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", DIES, str(path), step], cwd=ROOT, check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    replace_file(path, "newer", durable=True)
    assert path.read_text() == "newer"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_fails_leaves_nothing_behind(tmp_path: Path, mocker: MockerFixture, step: str) -> None:
    """The old file stays, and no other is there."""
    path = tmp_path / "file"
    path.write_text("old")
    mocker.patch(f"optimizers.small_file.os.{step}", side_effect=OSError(28, "full"))
    with pytest.raises(OSError, match="full"):
        replace_file(path, "new", durable=True)
    mocker.stopall()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path: Path, mocker: MockerFixture) -> None:
    """Not every file system can."""
    mocker.patch("optimizers.small_file.os.open", side_effect=OSError(22, "no"))
    from optimizers import small_file

    small_file._sync_folder(tmp_path)
    mocker.stopall()

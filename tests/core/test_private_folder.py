"""Folders for one person alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.private_folder import make_private_folder


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_it_and_what_is_missing_above_it_are_its_owners_alone(tmp_path: Path, umask: int) -> None:
    """Whatever the umask; and what was there already keeps its mode."""
    there = tmp_path / "there"
    os.mkdir(there)
    there.chmod(0o755)
    folder = there / "a" / "b"
    make_private_folder(folder)
    make_private_folder(folder)
    assert [each.stat().st_mode & 0o777 for each in (folder, folder.parent, there)] == [0o700, 0o700, 0o755]


def test_a_file_in_its_place_is_an_error(tmp_path: Path) -> None:
    """Nothing is overwritten."""
    (tmp_path / "a").write_text("mine")
    with pytest.raises(FileExistsError):
        make_private_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a").read_text() == "mine"

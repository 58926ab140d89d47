"""The history file: private, bounded, never in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from utils.prompt_history import MOST_CHARACTERS, MOST_ENTRIES, HistoryFile, default_history_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.jsonl"


def test_entries_come_back_in_order(path: Path) -> None:
    """What one session stores, the next one loads, newlines and emoji included."""
    first = HistoryFile(path)
    for entry in ("問題一", "兩行\n的 👋"):
        first.append(entry)
    assert HistoryFile(path).load() == ["問題一", "兩行\n的 👋"]


def test_only_the_owner_can_read_it(path: Path) -> None:
    """Under the widest umask the folder is 0700 and the file 0600 from its first moment."""
    before = os.umask(0)
    try:
        HistoryFile(path).append("x")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_file_left_open_to_others_is_closed_to_them(path: Path) -> None:
    """A wider mode from elsewhere is narrowed at the next entry."""
    path.parent.mkdir()
    path.touch(mode=0o644)
    HistoryFile(path).append("x")
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_file_is_an_empty_history(path: Path) -> None:
    """Nothing stored yet is nothing wrong."""
    history = HistoryFile(path)
    assert history.load() == []
    assert history.problem == ""


def test_spoilt_lines_are_passed_over(path: Path) -> None:
    """Lines that are no JSON string do not spoil the others."""
    path.parent.mkdir()
    path.write_bytes(b'"a"\nnot json\n[1]\n\xff\xfe\n"b"\n')
    assert HistoryFile(path).load() == ["a", "b"]


def test_very_long_entries_are_not_stored(path: Path) -> None:
    """A pasted book is recalled within the session only."""
    history = HistoryFile(path)
    history.append("x" * (MOST_CHARACTERS + 1))
    assert not path.exists()


def test_it_is_bounded(path: Path) -> None:
    """Only the last entries are loaded, and a file that has grown too long is cut to them."""
    path.parent.mkdir()
    path.write_text("".join(f'"{number} {"x" * 3000}"\n' for number in range(MOST_ENTRIES + 500)))
    entries = HistoryFile(path).load()
    assert len(entries) == MOST_ENTRIES
    assert entries[-1].startswith(f"{MOST_ENTRIES + 499} ")
    assert len(path.read_text().splitlines()) == MOST_ENTRIES
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_history_that_cannot_be_cut_is_still_loaded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failing to shorten the file harms nobody and leaves nothing behind."""
    path.parent.mkdir()
    path.write_text("".join(f'"{"x" * 5000}"\n' for _ in range(MOST_ENTRIES)))

    def refuse(self: Path, target: Path) -> Path:
        raise OSError("no")

    monkeypatch.setattr(Path, "replace", refuse)
    assert len(HistoryFile(path).load()) == MOST_ENTRIES
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_where_it_cannot_be_kept_it_is_off(tmp_path: Path) -> None:
    """A folder that cannot be made turns the history off with one sentence; nothing is raised."""
    (tmp_path / "file").write_text("in the way")
    history = HistoryFile(tmp_path / "file" / "history.jsonl")
    history.append("x")
    assert history.problem == "輸入歷史無法存取 (FileExistsError), 這次不會記錄"
    history.append("y")
    unreadable = HistoryFile(tmp_path)
    assert unreadable.load() == []
    assert "IsADirectoryError" in unreadable.problem


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """Nothing is written through a link that somebody put in the file's place."""
    (tmp_path / "target").touch()
    (tmp_path / "history.jsonl").symlink_to(tmp_path / "target")
    history = HistoryFile(tmp_path / "history.jsonl")
    history.append("x")
    assert history.problem
    assert (tmp_path / "target").read_bytes() == b""


def test_the_default_place_is_the_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The history lives in the person's own state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_history_path() == tmp_path / "parallel_processing" / "history.jsonl"

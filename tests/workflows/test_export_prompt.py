"""Asking where to write: until it worked or the person has had enough."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import StorageError, UsageError
from tests.scripted_console import ScriptedConsole
from utils.safe_file import TargetExistsError
from workflows.export_prompt import offer_export, offer_save, size_text


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def saved(text: str, *entries: str) -> str:
    console = ScriptedConsole(entries)
    offer_save(console, text)
    assert not console.entries
    return console.shown


def test_nothing_is_written_without_a_name(tmp_path: Path) -> None:
    """Enter is a no."""
    assert saved("x", " ") == ""
    assert not list(tmp_path.iterdir())


def test_an_existing_file_needs_a_yes(tmp_path: Path) -> None:
    """A no asks for another name; a yes replaces it."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    assert saved("new", "a.txt", "n", "") == ""
    assert path.read_text() == "old"
    assert saved("new", "a.txt", "y") == "📄 已寫入 a.txt (3 B)\n"
    assert path.read_text() == "new"


def test_names_that_cannot_be_are_told(tmp_path: Path) -> None:
    """Another suffix, no such folder, a folder: each is said, made harmless, and another name asked for."""
    (tmp_path / "d.md").mkdir()
    shown = saved("x", "a\x1b.exe", "none/a.md", "d.md", "")
    assert shown.count("❌ ") == 3
    assert "❌ 檔名要以 .md 或 .txt 結尾: a␛.exe\n" in shown


def test_a_link_where_others_can_write_is_refused(tmp_path: Path) -> None:
    """What it leads to stays as it was."""
    (tmp_path / "target.md").write_text("old")
    (tmp_path / "link.md").symlink_to("target.md")
    tmp_path.chmod(0o777)
    assert "❌ 這是別人也能寫入的資料夾裡的連結" in saved("x", "link.md", "")
    assert (tmp_path / "target.md").read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_told(tmp_path: Path) -> None:
    """With what to do, and another name is asked for."""
    tmp_path.chmod(0o500)
    assert "💡 " in saved("x", "a.md", "")


def test_a_large_text_and_lone_surrogates(tmp_path: Path) -> None:
    """Parts make up the whole; what no encoding has becomes its escape."""
    text = "中" * 200_000 + "\udc80"
    assert saved(text, "a.md") == "📄 已寫入 a.md (585.9 KB)\n"
    assert (tmp_path / "a.md").read_bytes() == ("中" * 200_000 + "\\udc80").encode()


def test_sizes_for_people() -> None:
    """Bytes, kilobytes, megabytes."""
    assert [size_text(size) for size in (0, 1023, 1024, 10 << 20)] == ["0 B", "1,023 B", "1.0 KB", "10.0 MB"]


def test_an_export_is_offered_until_it_worked() -> None:
    """A refused name is told and asked for again; the file's name cannot act on the terminal."""
    tried: list[str] = []

    def write(path: Path, overwrite: bool) -> int:
        tried.append(path.name)
        if path.suffix != ".csv":
            raise UsageError("不行")
        return 1234

    console = ScriptedConsole(["a.x", "b\x07.csv"])
    offer_export(console, ["csv", "md"], write)
    assert console.prompts == ["匯出檔名 (.csv .md; 按 Enter 略過): "] * 2
    assert console.shown == "❌ 不行\n📄 已寫入 b␇.csv (1,234 列)\n"


def test_an_export_can_be_left() -> None:
    """By Enter, also after a no to overwriting."""

    def write(path: Path, overwrite: bool) -> int:
        raise TargetExistsError(path)

    console = ScriptedConsole(["a.csv", "n", ""])
    offer_export(console, ["csv"], write)
    assert console.prompts[1] == "a.csv 已存在, 要覆寫嗎? (y/N): "
    assert console.shown == ""


def test_trouble_with_the_disk_is_told_when_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk asks for another place, with what to do."""

    def full(path: Path, *, overwrite: bool) -> None:
        raise StorageError("磁碟已滿", advice="換一個")

    monkeypatch.setattr("workflows.export_prompt.replacing", full)
    assert saved("x", "a.md", "") == "❌ 磁碟已滿\n💡 換一個\n"

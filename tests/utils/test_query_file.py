"""Questions come from the file that the person named, however its name was typed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.errors import UsageError
from utils import query_file
from utils.query_file import read_query_file


def test_blank_lines_are_kept(tmp_path: Path) -> None:
    """What separates paragraphs arrives; undecodable bytes are counted."""
    path = tmp_path / "q.txt"
    path.write_bytes("\ufeff甲\r\n\r\n\r\n乙\r\n\xff".encode("utf-8") + b"\xff\n\n")
    found = read_query_file(str(path))
    assert (found.name, found.text, found.replaced) == ("q.txt", "甲\n\n\n乙\nÿ�", 1)


@pytest.mark.parametrize("form", ["{}", "'{}'", '"{}"', "\\{}"])
def test_names_as_a_terminal_drops_them(tmp_path: Path, form: str) -> None:
    """Quotes and backslashes around a name that is no file as it stands are the shell's."""
    path = tmp_path / "我的 問題.txt"
    path.write_text("甲")
    typed = form.format(path) if form != "\\{}" else str(path).replace(" ", "\\ ")
    assert read_query_file(typed).text == "甲"


@pytest.mark.parametrize("typed", ["沒有.txt", "沒 有.txt", "it's.txt"])
def test_a_missing_file_is_one_sentence(tmp_path: Path, typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the file as it was typed."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=f"找不到檔案 {re.escape(typed)}"):
        read_query_file(typed)


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading stops at the bound, blank lines included, and the sentence says what to use instead."""
    monkeypatch.setattr(query_file, "MOST_CHARACTERS", 20)
    path = tmp_path / "q.txt"
    path.write_text("a\n" * 6)
    assert read_query_file(str(path)).text.count("a") == 6
    path.write_text("\n" * 30 + "a\n")
    with pytest.raises(UsageError, match=r"q\.txt 太大.*選單 7"):
        read_query_file(str(path))

"""The person's own editor gets the text in a file that nobody else can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from core.errors import UsageError
from utils import external_editor
from utils.external_editor import edit_outside


class Editor:
    """An editor that does something with the file and remembers how it was started."""

    def __init__(self, act: Callable[[Path], object] = lambda path: None, code: int = 0) -> None:
        self.act = act
        self.code = code
        self.command: Sequence[str] = ()
        self.environ: Mapping[str, str] = {}
        self.modes: tuple[int, int] = (0, 0)
        self.text = b""

    def __call__(self, command: Sequence[str], environ: Mapping[str, str]) -> int:
        path = Path(command[-1])
        self.command, self.environ, self.text = command[:-1], environ, path.read_bytes()
        self.modes = stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)
        self.path = path
        self.act(path)
        return self.code


def test_the_text_goes_out_and_comes_back() -> None:
    """VISUAL wins; file 0600 in a folder 0700, both gone afterwards; no API key goes along; line ends are ours."""
    editor = Editor(lambda path: path.write_bytes("\ufeff乙\r\n丙\n".encode() + b"\xff\n"))
    environ = {"VISUAL": "code --wait", "EDITOR": "vi", "GEMINI_API_KEY": "secret", "HOME": "/h"}
    assert edit_outside("甲\ud800", environ, run=editor) == "乙\n丙\n�"
    assert (editor.command, editor.text, editor.modes) == (["code", "--wait"], "甲?\n".encode(), (0o600, 0o700))
    assert set(editor.environ) == {"VISUAL", "EDITOR", "HOME"}
    assert not editor.path.parent.exists()


def fail(path: Path) -> None:
    raise FileNotFoundError(path)


@pytest.mark.parametrize(
    ("environ", "editor", "sentence"),
    [
        ({}, Editor(), "沒有設定編輯器"),
        ({"EDITOR": " "}, Editor(), "沒有設定編輯器"),
        ({"EDITOR": "vi"}, Editor(code=3), r"編輯器 vi 沒有正常結束 \(3\), 原來的文字保留"),
        ({"EDITOR": "nope"}, Editor(fail), r"編輯器 nope 沒有正常結束 \(FileNotFoundError\)"),
        ({"EDITOR": "vi 'x"}, Editor(), r"編輯器 vi 'x 沒有正常結束 \(ValueError\)"),
        ({"EDITOR": "vi"}, Editor(os.unlink), r"\(FileNotFoundError\)"),
        ({"EDITOR": "vi"}, Editor(lambda path: path.write_text("x" * 11)), "太大"),
    ],
)
def test_an_editor_that_fails_is_one_sentence(
    environ: dict[str, str], editor: Editor, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None set, none found, an error, a file that went away or grew without bound: the caller keeps its text."""
    monkeypatch.setattr(external_editor, "MOST_BYTES", 10)
    with pytest.raises(UsageError, match=sentence):
        edit_outside("甲", environ, run=editor)


def test_a_real_program_is_run() -> None:
    """Without anything else said, the command is run as a process."""
    assert edit_outside("甲", {"EDITOR": "true", "PATH": os.environ["PATH"]}) == "甲"

"""The person's own editor gets the text in a file that nobody else can read."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import UsageError
from utils import external_editor
from utils.external_editor import KeptInFileError, edit_outside


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
    ],
)
def test_an_editor_that_fails_is_one_sentence(
    environ: dict[str, str], editor: Editor, sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """None set, none found, an error, a file that went away: the caller keeps its text, and no file is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(UsageError, match=sentence):
        edit_outside("甲", environ, run=editor)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("most_bytes", "fits"), [(10, True), (1000, False)])
def test_what_does_not_fit_is_kept(
    most_bytes: int, fits: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Too much for us or for the caller: it stays where it is, for its person only, and the sentence says where."""
    monkeypatch.setattr(external_editor, "MOST_BYTES", most_bytes)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def edit(path: Path) -> None:
        path.write_text("x" * 11)
        path.chmod(0o644)

    with pytest.raises(KeptInFileError) as raised:
        edit_outside("甲", {"EDITOR": "vi"}, fits=lambda text: fits, run=Editor(edit))
    (path,) = tmp_path.glob("*/*")
    assert f"文字太大, 留在 {path}; " in raised.value.reason
    assert path.read_text() == "x" * 11
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


def script(folder: Path, text: str) -> dict[str, str]:
    """The variables that make this shell script the editor."""
    editor = folder / "editor"
    editor.write_text(f"#!/bin/sh\n{text}\n")
    editor.chmod(0o700)
    return {"EDITOR": str(editor), "PATH": os.environ["PATH"]}


@pytest.fixture
def handlers() -> Iterator[Callable[[int, object], None]]:
    """What this process does at SIGINT and SIGQUIT: an error, which is not what pytest does."""

    def interrupted(number: int, frame: object) -> None:
        raise RuntimeError(f"interrupted by {number}")

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGQUIT)}
    yield interrupted
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["INT", "QUIT"])
def test_ctrl_c_is_the_editors(tmp_path: Path, handlers: Callable[[int, object], None], name: str) -> None:
    """The terminal sends it to both: the editor does what it will, we wait for it, and then it is ours again."""
    text = f'trap \'echo 丁 >> "$1"; exit 0\' {name}\nkill -{name} $PPID\nkill -{name} $$\nexit 5'
    assert edit_outside("甲", script(tmp_path, text)) == "甲\n丁"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGQUIT)] == [handlers, handlers]


def test_an_editor_that_ctrl_c_ends_has_failed(tmp_path: Path, handlers: Callable[[int, object], None]) -> None:
    """One that does nothing about it ends as ever; whatever happened, we have our handlers back."""
    with pytest.raises(UsageError, match=r"\(-2\)"):
        edit_outside("甲", script(tmp_path, "kill -INT $PPID $$"))
    assert signal.getsignal(signal.SIGINT) is handlers


def test_what_was_ignored_stays_ignored(tmp_path: Path) -> None:
    """As under nohup, for the editor too."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert edit_outside("甲", script(tmp_path, 'kill -INT $$; echo 乙 >> "$1"')) == "甲\n乙"
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_may_edit_too(tmp_path: Path) -> None:
    """There Python allows no handlers, and none are set."""
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(edit_outside, "甲", script(tmp_path, ":")).result() == "甲"


def test_a_real_program_is_run() -> None:
    """Without anything else said, the command is run as a process."""
    assert edit_outside("甲", {"EDITOR": "true", "PATH": os.environ["PATH"]}) == "甲"

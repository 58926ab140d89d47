"""The person's own editor, $VISUAL or $EDITOR, on a text."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from core.errors import UsageError
from core.language import tr
from utils.text_decoding import clean_surrogates

__all__ = ["KeptInFileError", "edit_outside"]

MOST_BYTES: Final = 64 * 1024 * 1024
_NAMES: Final = ("VISUAL", "EDITOR")
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_KEYBOARD_SIGNALS: Final = ("SIGINT", "SIGQUIT")


class KeptInFileError(UsageError):
    """What the editor left is too much to go on with here; it stays in the file that the message names."""


def edit_outside(
    text: str,
    environ: Mapping[str, str],
    *,
    fits: Callable[[str], bool] = lambda text: True,
    run: Callable[[Sequence[str], Mapping[str, str]], int] = lambda command, environ: subprocess.call(
        command, env=dict(environ)
    ),
) -> str:
    """The text as the person left it in their editor. Blocks until the editor ends; until then Ctrl-C is its own.

    The file is readable for this user only, in a folder of its own, and gone afterwards; the editor does not get
    our API keys. Raises UsageError, in one sentence, where there is no editor, it fails, or what it left is not to
    be read: the caller still has its text. Where the edited text does not fit, that is a KeptInFileError.
    """
    name = next((environ[name] for name in _NAMES if environ.get(name, "").strip()), "")
    if not name:
        raise UsageError(tr("沒有設定編輯器, 請先設定環境變數 EDITOR, 例如 export EDITOR=nano"))
    with contextlib.ExitStack() as folders:
        try:
            path = _written(text, folders)
            command = [*shlex.split(name), str(path)]
            with _keyboard_signals_left_alone():
                code = run(command, {key: value for key, value in environ.items() if not key.endswith("_API_KEY")})
            data = _read(path) if code == 0 else b""
        except (OSError, ValueError) as error:
            raise UsageError(_failure(name, type(error).__name__)) from None
        if code != 0:
            raise UsageError(_failure(name, str(code)))
        left = _text(data) if len(data) <= MOST_BYTES else None
        if left is None or not fits(left):
            folders.pop_all()
            raise _kept(path)
    return left


def _written(text: str, folders: contextlib.ExitStack) -> Path:
    folder = tempfile.mkdtemp(prefix="questions-")
    folders.callback(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "questions.txt"
    with open(os.open(path, _NEW_FILE, 0o600), "wb") as file:
        file.write(f"{text}\n".encode("utf-8", "replace"))
    return path


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _text(data: bytes) -> str:
    left = data.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n").removesuffix("\n")
    return clean_surrogates(left)[0]


@contextlib.contextmanager
def _keyboard_signals_left_alone() -> Iterator[None]:
    """What the keyboard sends goes to the editor and to us: the editor does as it will, and we wait for it.

    Handlers that do nothing rather than none at all: the editor would start with what we ignore ignored.
    """
    previous: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for name in _KEYBOARD_SIGNALS:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    previous[number] = signal.getsignal(number)
                    signal.signal(number, _do_nothing)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _do_nothing(number: int, frame: object) -> None:
    """Take a signal."""


def _kept(path: Path) -> KeptInFileError:
    with contextlib.suppress(OSError):
        path.chmod(0o600)  # the editor may have put a file of its own in its place
    return KeptInFileError(
        tr("文字太大, 留在 {path}; 可用 /load 讀入或用選單 7 處理, 這裡保留原來的文字", path=path)
    )


def _failure(name: str, detail: str) -> str:
    return tr("編輯器 {name} 沒有正常結束 ({detail}), 原來的文字保留", name=name, detail=detail)

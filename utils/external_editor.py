"""The person's own editor, $VISUAL or $EDITOR, on a text."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from core.errors import UsageError
from core.language import tr
from utils.text_decoding import clean_surrogates

__all__ = ["edit_outside"]

MOST_BYTES: Final = 64 * 1024 * 1024
_NAMES: Final = ("VISUAL", "EDITOR")
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def edit_outside(
    text: str,
    environ: Mapping[str, str],
    *,
    run: Callable[[Sequence[str], Mapping[str, str]], int] = lambda command, environ: subprocess.call(
        command, env=dict(environ)
    ),
) -> str:
    """The text as the person left it in their editor. Blocks until the editor ends.

    The file is readable for this user only, in a folder of its own, and gone afterwards; the editor does not get
    our API keys. Raises UsageError, in one sentence, where there is no editor, it fails, or what it left is not to
    be read: the caller still has its text.
    """
    name = next((environ[name] for name in _NAMES if environ.get(name, "").strip()), "")
    if not name:
        raise UsageError(tr("沒有設定編輯器, 請先設定環境變數 EDITOR, 例如 export EDITOR=nano"))
    with tempfile.TemporaryDirectory(prefix="questions-") as folder:
        path = Path(folder) / "questions.txt"
        try:
            with open(os.open(path, _NEW_FILE, 0o600), "wb") as file:
                file.write(f"{text}\n".encode("utf-8", "replace"))
            command = [*shlex.split(name), str(path)]
            code = run(command, {key: value for key, value in environ.items() if not key.endswith("_API_KEY")})
            data = _read(path) if code == 0 else b""
        except (OSError, ValueError) as error:
            raise UsageError(_failure(name, type(error).__name__)) from None
    if code != 0:
        raise UsageError(_failure(name, str(code)))
    if len(data) > MOST_BYTES:
        raise UsageError(tr("編輯後的文字太大, 請存成檔案, 用選單 7 處理; 原來的文字保留"))
    left = data.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n").removesuffix("\n")
    return clean_surrogates(left)[0]


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _failure(name: str, detail: str) -> str:
    return tr("編輯器 {name} 沒有正常結束 ({detail}), 原來的文字保留", name=name, detail=detail)

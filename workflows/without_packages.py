"""What is left of the program where a package is missing that it cannot start without: the doctor, and one sentence.

Nothing here needs anything that was installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.language import tr
from utils.console import Console
from utils.neutralise import neutralise
from workflows.exit_codes import ERROR

__all__ = ["without_packages"]


class _Unwrapped(Console):
    """Long lines go on at the edge of the screen: what measures characters may be what is missing."""

    def fitted(self, text: str) -> str:
        return self.encoding_safe(neutralise(text))


def without_packages(
    missing: ImportError,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    *,
    console: Console | None = None,
    file: Path | None = None,
) -> int:
    """Do what can be done without the package; returns the exit code. Raises OutputClosed."""
    out = console or _Unwrapped()
    if "doctor" in arguments:
        from workflows.doctor_command import doctor_command

        options = argparse.Namespace(json="--json" in arguments)
        return doctor_command(options, out, environ, file=file)
    name = (missing.name or "").partition(".")[0] or "?"
    out.note(
        tr("❌ 缺少套件 {name}, 無法啟動; 請執行 pip install -r requirements.txt, 或執行 python main.py doctor 看細節",
           name=name)
    )  # fmt: skip
    return ERROR

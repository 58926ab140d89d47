"""From the start of the process to the menu on a terminal's screen."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.bench import ROOT, Bench, Missing, interleaved
from benchmarks.figures import Bar, Result, Row, Table, spread

__all__ = ["menu"]

_CASES: Final = {
    "floor": "python -c pass, until its end (floor)",
    "warm": "python main.py",
    "cold": "the same, its own bytecode not compiled yet",
}
_TEXTS: Final = ("選擇操作", "請選擇")  # the menu's head, and its question, after which keys are read
_BAR: Final = 0.3
_PATIENCE: Final = 30.0
_ESCAPES: Final = re.compile(rb"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>78])")
_NOTES: Final = (
    "On a pseudo-terminal, no key set, an empty home. Installed packages are compiled in every case, as pip leaves",
    "them; cold is the first start after a fresh checkout.",
)


def menu(bench: Bench, source: Path = ROOT) -> Result:
    """Seconds to the menu, in a copy of the program so that nobody's bytecode is touched."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program"
        _copy_sources(source, program)

        def measure(case: str) -> Mapping[str, float]:
            menu_shown, asks = _seconds(case, program, Path(folder))
            return {"menu": menu_shown, "asks": asks}

        found, missing = interleaved(bench, list(_CASES), measure)
    rows = tuple(
        Row(label, note=f"not measured: {missing[case]}")
        if case in missing
        else Row(label, tuple(spread(each[name] for each in found[case]) for name in ("menu", "asks")))
        for case, label in _CASES.items()
    )
    columns = (("menu on screen, s", ".3f"), ("asks for a choice, s", ".3f"))
    shown = spread(each["menu"] for each in found["warm"]).median if "warm" in found else None
    table = Table("from process start to the menu", columns, rows, _NOTES)
    return Result("menu", (table,), (Bar("menu on screen", _BAR, shown, "s"),), found)


def _copy_sources(source: Path, target: Path) -> None:
    target.mkdir()
    for name in ("main.py", "core", "optimizers", "utils", "workflows"):
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (source / name).exists():
            shutil.copy(source / name, target / name)


def _seconds(case: str, program: Path, folder: Path) -> tuple[float, float]:
    if case == "floor":
        ended = _start([sys.executable, "-c", "pass"], program, folder, ())[-1]
        return ended, ended
    if not (program / "main.py").exists():
        raise Missing("there is no main.py")
    command = [sys.executable, "main.py"]
    if case == "cold":
        for compiled in list(program.rglob("__pycache__")):
            shutil.rmtree(compiled)
    else:
        _start(command, program, folder, _TEXTS)  # compiles what is not compiled
    menu_shown, asks = _start(command, program, folder, _TEXTS)
    return menu_shown, asks


def _start(command: list[str], program: Path, folder: Path, texts: tuple[str, ...]) -> list[float]:
    """Start it on a pseudo-terminal; seconds until it shows each text, or with no texts until it has ended."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=program, env=_environment(home), stdin=its, stdout=its, stderr=its, start_new_session=True
        )
        os.close(its)
        try:
            return [instant - started for instant in _instants(ours, texts)]
        finally:
            process.kill()
            process.wait()
            os.close(ours)


def _environment(home: str) -> dict[str, str]:
    """No key even where a .env has one: a variable that is set and empty wins over it."""
    keys = {"GEMINI_API_KEY": "", "GOOGLE_API_KEY": ""}
    return {"PATH": os.environ["PATH"], "HOME": home, "TERM": "xterm-256color", "LANG": "C.UTF-8", **keys}


def _instants(terminal: int, texts: tuple[str, ...]) -> list[float]:
    """When each text, in this order, was on the screen; with no texts, when the other side closed."""
    seen, instants, give_up = b"", list[float](), time.perf_counter() + _PATIENCE
    while select.select([terminal], [], [], max(give_up - time.perf_counter(), 0.0))[0]:
        data = _read(terminal)
        now = time.perf_counter()
        seen += data
        shown = _ESCAPES.sub(b"", seen)
        while len(instants) < len(texts) and texts[len(instants)].encode() in shown:
            instants.append(now)
        if texts and len(instants) == len(texts):
            return instants
        if not data and texts:
            raise Missing(f"it ended without a menu: {seen[-200:].decode(errors='replace')!r}")
        if not data:
            return [now]
    raise Missing(f"nothing after {_PATIENCE:g} s")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError as error:
        if error.errno == errno.EIO:  # how Linux says that the other side has closed
            return b""
        raise

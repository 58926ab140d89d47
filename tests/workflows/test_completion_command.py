"""`completion`: the scripts, and bash itself completing with one."""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import UsageError
from tests.program import MAIN
from utils.console import Console
from workflows.command_line import program_parser
from workflows.completion_command import completion_command

BASH = shutil.which("bash") or ""


def script(shell: str) -> str:
    out = io.StringIO()
    assert completion_command(argparse.Namespace(shell=shell), Console(stdout=out, environ={}), program_parser()) == 0
    return out.getvalue()


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_script_knows_the_commands(shell: str) -> None:
    """Of each shell, and commands of commands too."""
    text = script(shell)
    for word in ("main.py", "history", "prune", "completion", "--older-than" if shell != "tcsh" else "stats"):
        assert word in text


def complete(folder: Path, *words: str, by: str = "_shtab_main_py", before: str = "") -> list[str]:
    """What bash would offer for the last of the words."""
    (folder / "script").write_text(script("bash"), encoding="utf-8")
    ask = """
        source ./script
        complete_by="$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
        "$complete_by" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        [BASH, "--norc", "-c", before + ask, "bash", by, *words],
        cwd=folder, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(not BASH, reason="no bash on this machine")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("main.py", "hist"), ["history"]),
        (("./main.py", "history", "ex"), ["export"]),
        (("main.py", "-q", "history", "rerun", "--fa"), ["--failed"]),
        (("main.py", "history", "export", "1", "--format", "js"), ["json", "jsonl"]),
        (("main.py", "cache", "--order", ""), ["newest", "hits"]),
        (("main.py", "ask", "ques"), ["questions.txt"]),
        (("main.py", "history", "export", "1", "--out", "ques"), ["questions.txt"]),
        (("main.py", "completion", ""), ["bash", "zsh", "tcsh"]),
    ],
)
def test_bash_completes(tmp_path: Path, words: tuple[str, ...], offered: list[str]) -> None:
    """Commands, their commands, options, what an option may be, and files."""
    (tmp_path / "questions.txt").write_text("")
    assert complete(tmp_path, *words) == offered


@pytest.mark.skipif(not BASH, reason="no bash on this machine")
def test_bash_completes_under_python(tmp_path: Path) -> None:
    """Options of python's own are passed over; other programs are completed as before."""
    by = "_main_py_under_python"
    assert complete(tmp_path, "python", str(MAIN), "history", "comp", by=by) == ["compare"]
    assert complete(tmp_path, "/usr/bin/python3", "-u", str(MAIN), "stat", by=by) == ["stats"]
    assert complete(tmp_path, "python", "other.py", "stat", by=by) == []
    before = "mine() { COMPREPLY=(mine); }; complete -F mine python3\n"
    assert complete(tmp_path, "python3", "other.py", "stat", by=by, before=before) == ["mine"]
    assert complete(tmp_path, "python", "other.py", "stat", by=by, before=before) == []


def test_without_the_library_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked for only here."""
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(UsageError, match="shtab"):
        script("bash")

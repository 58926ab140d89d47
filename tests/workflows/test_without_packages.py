"""The program where a package is missing."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.program import ROOT, environment, fresh_home
from utils.console import Console
from workflows.without_packages import without_packages

INSTALLED = (
    "wcwidth psutil platformdirs dotenv rich prompt_toolkit langgraph tenacity tomlkit jinja2 pygal filelock "
    "charset_normalizer google.generativeai importlib_metadata"
)
BARE = textwrap.dedent(
    f"""
    import os, sys
    for name in "{INSTALLED}".split():
        sys.modules[name] = None
    from workflows.without_packages import without_packages
    sys.exit(without_packages(ModuleNotFoundError(name="wcwidth"), sys.argv[1:], os.environ))
    """
)


def test_the_doctor_runs_without_anything_installed(tmp_path: Path) -> None:
    """It names what is missing and how to get it; exit code 1."""
    home = fresh_home(tmp_path)
    environ = {**environment(home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", BARE, "doctor"], env=environ, cwd=home, capture_output=True, text=True, timeout=40,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    (packages,) = [line for line in done.stdout.splitlines() if line.startswith("❌ 套件: ")]
    assert "沒有 wcwidth" in packages
    assert packages.endswith("→ 請執行 pip install -r requirements.txt")
    assert "✅ Python: " in done.stdout
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(("name", "said"), [("wcwidth.table", "wcwidth"), (None, "?")])
def test_anything_else_is_one_sentence(name: str | None, said: str) -> None:
    """On stderr, with what to do."""
    out, notes = io.StringIO(), io.StringIO()
    console = Console(stdout=out, stderr=notes)
    assert without_packages(ImportError(name=name), ["ask", "x"], {}, console=console) == 1
    assert out.getvalue() == ""
    assert notes.getvalue().startswith(f"❌ 缺少套件 {said}, 無法啟動; 請執行 pip install -r requirements.txt")
    assert notes.getvalue().count("\n") == 1

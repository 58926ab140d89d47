"""The README's table of settings and the program's own are one."""

from __future__ import annotations

import re

from core.setting_specs import KEY_NAMES, SPECS
from tests.program import ROOT


def rows() -> set[str]:
    """The variables in the first column of the table of settings."""
    text = (ROOT / "README.md").read_text("utf-8")
    table = text[text.index("| setting |") :].split("\n\n")[0]
    return {name for line in table.splitlines()[2:] for name in re.findall(r"`([A-Z_]+)`", line.split("|")[1])}


def test_every_setting_is_in_the_readme() -> None:
    """And nothing that the program does not know."""
    assert rows() | {"GEMINI_FALLBACK"} == {spec.variable for spec in SPECS.values()} | set(KEY_NAMES)


def test_the_readme_says_how_else_a_setting_is_made() -> None:
    """The settings file, and each option of the command line."""
    text = (ROOT / "README.md").read_text("utf-8")
    assert "settings.toml" in text
    assert [spec.flag for spec in SPECS.values() if spec.flag and f"`{spec.flag}`" not in text] == []

"""The doctor's checks of the settings file and the language."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.doctor import CheckState
from core.setting_checks import language_check, settings_file_check
from core.settings import load_layers
from core.settings_file import read_settings_file


@pytest.mark.parametrize(
    ("content", "mode", "state", "text", "advice"),
    [
        (None, 0, CheckState.OK, "還沒有", ""),
        ("max_workers = 3\n", 0o600, CheckState.OK, "有 1 項設定", ""),
        ("max_workers = 3\n", 0o644, CheckState.WARNING, "其他使用者也能讀", "請執行 chmod 600 '"),
        ("max_workers = 3\n", 0o666, CheckState.WARNING, "別人也能修改", "請修改 "),
        ("max_workers = \n", 0o600, CheckState.WARNING, "的第 1 行寫錯了", "請修改 "),
        ("max_workers = 0\nx = 1\n", 0o600, CheckState.WARNING, "'x'; 設定檔: max_workers", "請修改 "),
    ],
)
def test_the_settings_file(
    tmp_path: Path, content: str | None, mode: int, state: CheckState, text: str, advice: str
) -> None:
    """Missing, fine, open to others, damaged, with wrong values; nothing of it is an error."""
    file = tmp_path / "settings.toml"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    check = settings_file_check(read_settings_file(file), load_layers({}, file=file).problems)
    assert (check.name, check.state) == ("settings_file", state)
    assert text in check.text
    assert str(file) in check.text + check.advice
    assert check.advice.startswith(advice)
    assert bool(check.advice) is bool(advice)


def test_a_link_into_nowhere(tmp_path: Path) -> None:
    """It would stop the menu from saving."""
    file = tmp_path / "settings.toml"
    file.symlink_to(tmp_path / "gone")
    check = settings_file_check(read_settings_file(file), ())
    assert (check.state, check.advice) == (CheckState.WARNING, "請把連結移走")


def test_the_language() -> None:
    """Which, by what, and whether its translations are there."""
    assert language_check("zh_TW", "LANG", has_catalogue=True).text == "正體中文 (由 LANG 決定)"
    assert language_check("en", "SCREEN_LANGUAGE", has_catalogue=False).state is CheckState.WARNING

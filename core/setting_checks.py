"""The doctor's checks of the settings file and the language. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from core.doctor import Check, CheckState
from core.language import LANGUAGES, tr, tr_n
from core.settings_file import SettingsFile

__all__ = ["language_check", "settings_file_check"]

_MOST_PROBLEMS: Final = 3


def settings_file_check(found: SettingsFile, problems: Sequence[str]) -> Check:
    """problems: what load_layers() says is wrong with the file. The program runs whatever is in it."""
    path = str(found.path)
    if not found.exists:
        return Check("settings_file", CheckState.OK, tr("{path} (還沒有, 在選單 11 改設定時才建立)", path=path))
    if problems:
        text = "; ".join(problems[:_MOST_PROBLEMS])
        return Check("settings_file", CheckState.WARNING, text, tr("請修改 {path}, 或在選單 11 重新設定", path=path))
    if found.text is None:
        text = tr("{path} 是連結, 它指到的檔案不在", path=path)
        return Check("settings_file", CheckState.WARNING, text, tr("請把連結移走"))
    if found.open_to_others:
        text = tr("{path} 讀得到, 但其他使用者也能讀", path=path)
        advice = tr("請執行 chmod {mode} '{path}'", mode="600", path=path)
        return Check("settings_file", CheckState.WARNING, text, advice)
    return Check("settings_file", CheckState.OK, tr_n("{path} 讀得到, 有 {count} 項設定", len(found.values), path=path))


def language_check(code: str, source: str, *, has_catalogue: bool) -> Check:
    """code: a key of LANGUAGES. source: what decided on it. has_catalogue: its translations are there."""
    text = tr("{language} (由 {source} 決定)", language=LANGUAGES[code], source=source)
    if has_catalogue:
        return Check("language", CheckState.OK, text)
    return Check("language", CheckState.WARNING, tr("{language} 的翻譯檔不在, 畫面是中文", language=LANGUAGES[code]),
                 tr("請重新下載程式, 或執行 make messages"))  # fmt: skip

"""The doctor's looks at the settings: where they come from, what is wrong with them, and the key."""

from __future__ import annotations

import functools
import gettext
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from core.doctor import Check, CheckState, key_check
from core.errors import SettingsError
from core.language import DOMAIN, LOCALE, ambient_language, language, tr
from core.setting_checks import language_check, settings_file_check
from core.setting_specs import AUTO, KEY_NAMES, LANGUAGE
from core.settings import LayeredSettings, Settings, Source, load_layers, load_settings
from core.settings_file import read_settings_file
from workflows.settings_store import default_settings_path

__all__ = ["SettingsChecks"]

_SHORTEST_SECRET: Final = 6  # shorter ones would take innocent words out of the text


class SettingsChecks:
    """What the doctor can say of the settings; for one thread. read_settings() comes first: settings follow from it.

    file left out is the person's own settings file; root is the program's folder.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        dotenv: Path | None,
        root: Path,
        file: Path | None = None,
        flags: Mapping[str, str] | None = None,
    ) -> None:
        self._environ = environ
        self._dotenv = dotenv
        self._root = root
        self._given_file = file
        self._flags = flags
        self._layers: LayeredSettings | None = None

    @property
    def settings(self) -> Settings | None:
        """None where they could not be read."""
        return None if self._layers is None else self._layers.settings

    @functools.cached_property
    def _file(self) -> Path | None:
        """The settings file, None where it is not known where it lies."""
        if self._given_file is not None:
            return self._given_file
        try:
            return default_settings_path()
        except ImportError:
            return None

    def read_settings(self) -> Check:
        try:
            self._layers = load_layers(self._environ, dotenv=self._dotenv, file=self._file, flags=self._flags)
        except SettingsError as error:
            advice = error.advice or tr("請改正環境變數或 .env 裡的值")
            return Check("settings", CheckState.ERROR, error.reason, advice)
        if self._dotenv is None or not self._dotenv.is_file():
            if (self._root / ".env").is_file():
                text = tr("讀得到, 但只有程式的資料夾裡有 .env, 在這裡啟動不會讀它")
                return Check("settings", CheckState.WARNING, text, tr("請先執行 cd '{path}'", path=str(self._root)))
            return Check("settings", CheckState.OK, tr("讀得到 (沒有 .env, 只用環境變數)"))
        if os.name == "posix" and self._dotenv.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            text = tr("讀得到, 但其他使用者也能讀 .env")
            return Check("settings", CheckState.WARNING, text, tr("請執行 chmod 600 .env"))
        return Check("settings", CheckState.OK, tr("讀得到 (環境變數與 .env)"))

    def settings_file(self) -> Check:
        if self._file is None:
            return Check("settings_file", CheckState.SKIPPED, tr("沒有套件 platformdirs, 沒有檢查"))
        return settings_file_check(read_settings_file(self._file), load_layers({}, file=self._file).problems)

    def language(self) -> Check:
        code, source = ambient_language(self._environ), "LANG"
        if self._layers is not None and self._layers.settings.language != AUTO:
            code, source = self._layers.settings.language, self._source_of_language(self._layers)
        return language_check(code, source, has_catalogue=_has_catalogue(code))

    def _source_of_language(self, layers: LayeredSettings) -> str:
        match layers.sources[LANGUAGE.name]:
            case Source.FLAG:
                return LANGUAGE.flag
            case Source.FILE:
                return "settings.toml"
            case _:
                return LANGUAGE.variable

    def key(self, settings: Settings) -> Check:
        if settings.api_key is None:
            shadowed = not load_settings({}, dotenv=self._dotenv).offline
            return key_check(None, "", shadowed=shadowed)
        name = next((name for name in KEY_NAMES if self._environ.get(name, "").strip()), "")
        source = tr("環境變數 {name}", name=name) if name else " .env"
        return key_check(settings.api_key.reveal(), source)

    def secrets(self) -> list[str]:
        """What must be in no text."""
        found = [self._environ.get(name, "").strip() for name in KEY_NAMES]
        key = None if self._layers is None else self._layers.settings.api_key
        if key is not None:
            found.append(key.reveal())
        return [secret for secret in found if len(secret) >= _SHORTEST_SECRET]


def _has_catalogue(code: str) -> bool:
    """The language in use, and the one that messages are written in, need no looking for."""
    return code in (language(), "zh_TW") or gettext.find(DOMAIN, str(LOCALE), [code]) is not None

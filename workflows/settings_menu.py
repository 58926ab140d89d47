"""Option 11: see the settings and where each comes from, change them, take a change back, look for faults."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Final, Protocol

from core.errors import ParallelProcessingError, SettingsError, StorageError
from core.language import language, marked, tr, use_language
from core.setting_specs import LANGUAGE, SPECS, Kind, SettingGroup, SettingSpec
from core.setting_values import checked_value
from core.settings import API_KEY, LayeredSettings, Settings, Source, screen_language
from optimizers.limit_settings import LimitSettings
from utils.console import Console
from utils.failure_text import failure_text
from utils.limits_text import LIMIT_NAMES
from utils.settings_text import SOURCES, SettingRow, setting_details, settings_list, shown_value
from workflows.settings_store import SettingsStore, may_be_kept

__all__ = ["SettingsEngine", "SettingsMenu"]

_SHOWN: Final = tuple(spec for spec in SPECS.values() if spec.group is not SettingGroup.OFFLINE)
_COMMAND: Final = re.compile(r"(x?) *([0-9]{1,4})")
_THOUSANDS: Final = re.compile(r"[0-9]{1,3}(,[0-9]{3})+")
_OVERRIDDEN: Final = {
    Source.FLAG: marked("⚠️ 這次啟動的參數 {name} 優先, 所以現在仍是 {value}"),
    Source.ENVIRONMENT: marked("⚠️ 環境變數 {name} 優先, 所以現在仍是 {value}; 移除它之後才用設定檔的值"),
    Source.DOTENV: marked("⚠️ .env 裡的 {name} 優先, 所以現在仍是 {value}; 移除它之後才用設定檔的值"),
}


class SettingsEngine(Protocol):
    """What the menu needs of the engine."""

    settings: Settings
    saved_limits: LimitSettings

    def apply(self, settings: Settings) -> tuple[str, ...]:
        """Work with these settings as far as that is possible now; returns the fields that need a new start."""


class SettingsMenu:
    """Shows the settings and lets a person change them, as long as they want to. For the main thread.

    A change is checked as it is typed, kept in the settings file, and in force at once where that is possible. limits
    opens the entry where the limits of the model are set. Raises as the methods of Session do.
    """

    def __init__(
        self, console: Console, engine: SettingsEngine, store: SettingsStore, *, limits: Callable[[], object]
    ) -> None:
        self._console = console
        self._engine = engine
        self._store = store
        self._limits = limits

    def show(self) -> None:
        layered = self._store.load()
        for problem in layered.problems:
            self._console.write_line(f"⚠️ {problem}")
        while True:
            self._console.write_line(self._list(self._store.load()))
            entered = self._console.ask_plain(tr("選擇 (直接按 Enter 返回選單): ")).lower()
            if not entered:
                return
            self._do(entered)

    def _do(self, entered: str) -> None:
        match = _COMMAND.fullmatch(entered)
        if entered == "d":
            self._examine()
        elif match is None:
            self._console.write_line(tr("❌ 無效的選擇"))
        elif not 1 <= int(match[2]) <= len(_SHOWN):
            self._console.write_line(tr("❌ 沒有這個編號, 請輸入 1 到 {last:,}", last=len(_SHOWN)))
        else:
            spec = _SHOWN[int(match[2]) - 1]
            if match[1]:
                self._reset(spec)
            elif spec.name in LIMIT_NAMES:
                self._limits()
            else:
                self._change(spec)

    def _list(self, layered: LayeredSettings) -> str:
        rows = [self._key_row(layered), *(self._row(number, spec, layered) for number, spec in enumerate(_SHOWN, 1))]
        return "\n".join(
            (
                tr("設定 (存在 {path}):", path=str(self._store.path)),
                settings_list(rows, width=self._console.width),
                tr("輸入編號修改 · x 編號 回到預設 · d 檢查執行環境"),
            )
        )

    def _key_row(self, layered: LayeredSettings) -> SettingRow:
        """That there is a key, and where; never the key."""
        value = tr("未設定") if layered.settings.offline else tr("已設定")
        return SettingRow(SettingGroup.MODEL, None, tr("金鑰"), value, tr(SOURCES[layered.sources[API_KEY]]))

    def _row(self, number: int, spec: SettingSpec, layered: LayeredSettings) -> SettingRow:
        value, source = self._value_and_source(spec, layered)
        return SettingRow(spec.group, number, tr(spec.title), value, source)

    def _value_and_source(self, spec: SettingSpec, layered: LayeredSettings) -> tuple[str, str]:
        value = getattr(layered.settings, spec.field)
        source = tr(SOURCES[layered.sources[spec.name]])
        if spec.name in LIMIT_NAMES and value is None:
            value = getattr(self._engine.saved_limits.of(layered.settings.served_model), spec.field)
            return shown_value(spec, value), source if value is None else tr("選單 9")
        if value != getattr(self._engine.settings, spec.field):
            source = tr("{source} (下次啟動)", source=source)
        return shown_value(spec, value), source

    def _change(self, spec: SettingSpec) -> None:
        """Ask for a value until there is a good one, or none."""
        self._console.write_line(setting_details(spec, *self._value_and_source(spec, self._store.load())))
        while text := self._console.ask_plain(tr("新的值 (直接按 Enter 不改): ")):
            text = _plain(spec, text)
            try:
                value = may_be_kept(spec, text, tr(spec.title))
            except SettingsError as error:
                self._console.write_line(f"❌ {error.reason}")
                continue
            kept = tr("✅ 已存下: {title}", title=tr(spec.title))
            self._take_on(spec, value, functools.partial(self._store.set, spec, text), kept)
            return

    def _reset(self, spec: SettingSpec) -> None:
        if spec.name not in self._store.kept:
            self._console.write_line(tr("設定檔裡沒有這一項: {title}", title=tr(spec.title)))
            return
        value = checked_value(spec, "", spec.name)
        removed = tr("✅ 已從設定檔移除: {title}", title=tr(spec.title))
        self._take_on(spec, value, functools.partial(self._store.reset, spec), removed)

    def _take_on(self, spec: SettingSpec, value: Any, save: Callable[[], None], saved: str) -> None:
        """Work with the value, where nothing stands above the file, and keep it; what is refused is not kept."""
        layered = self._store.load()
        source = layered.sources[spec.name]
        later: tuple[str, ...] = ()
        applied = False
        try:
            if not self._may_write():
                return
            if source not in _OVERRIDDEN:
                later = self._apply(spec, value)
                applied = True
            save()
        except StorageError as error:
            self._console.write_line(failure_text(error))
            if applied and spec.field not in later:
                self._console.write_line(tr("⚡ 只在這次執行是 {value}", value=shown_value(spec, value)))
            else:
                self._console.write_line(tr("⏹️ 沒有改動"))
            return
        except (ParallelProcessingError, ImportError) as error:  # also an SDK that is not installed
            self._console.write_line(failure_text(error))
            self._console.write_line(tr("⏹️ 沒有改動"))
            return
        self._console.write_line(saved)
        self._console.write_line(_effect(spec, value, layered, later))

    def _apply(self, spec: SettingSpec, value: Any) -> tuple[str, ...]:
        settings = replace(self._engine.settings, **{spec.field: value})
        later = self._engine.apply(settings)
        if spec is LANGUAGE:
            wanted = screen_language(settings, self._store.environ)
            use_language(wanted)
            if language() != wanted:  # its catalogue is missing
                return (*later, spec.field)
        return later

    def _may_write(self) -> bool:
        """Whether nothing is in the way; a file that cannot be understood is put aside only after a yes."""
        if not self._store.spoilt:
            return True
        for problem in self._store.load().problems:
            self._console.write_line(f"⚠️ {problem}")
        if not self._console.agrees(tr("要把這個設定檔改名保留, 另外寫一個新的嗎?")):
            self._console.write_line(tr("⏹️ 沒有改動"))
            return False
        aside = self._store.put_aside()
        self._console.write_line(tr("✅ 舊的設定檔已改名為 {name}", name=aside.name))
        return True

    def _examine(self) -> None:
        from utils.doctor_text import check_line, summary_line
        from workflows.doctor_command import Doctor

        store, checks = self._store, []
        doctor = Doctor(self._console, store.environ, dotenv=store.dotenv, file=store.path, flags=store.flags)
        for check in doctor.checks():
            checks.append(check)
            self._console.write_line(check_line(check))
        self._console.write_line(summary_line(checks))


def _effect(spec: SettingSpec, value: Any, layered: LayeredSettings, later: Collection[str]) -> str:
    """From when on the value counts, or what stands above it."""
    source = layered.sources[spec.name]
    if source in _OVERRIDDEN:
        name = spec.flag if source is Source.FLAG else spec.variable
        return tr(_OVERRIDDEN[source], name=name, value=shown_value(spec, getattr(layered.settings, spec.field)))
    if spec.field in later:
        return tr("⏳ 下次啟動起是 {value}", value=shown_value(spec, value))
    return tr("⚡ 現在起是 {value}", value=shown_value(spec, value))


def _plain(spec: SettingSpec, text: str) -> str:
    """A number without the commas that people put between its thousands."""
    numeric = spec.kind in (Kind.WHOLE, Kind.NUMBER, Kind.MONEY)
    return text.replace(",", "") if numeric and _THOUSANDS.fullmatch(text) else text

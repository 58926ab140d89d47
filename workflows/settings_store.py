"""The settings file as the menu writes it: one value at a time, a person's own comments kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from core.errors import SettingsError, StorageError
from core.language import tr
from core.setting_specs import Kind, SettingSpec
from core.setting_values import checked_value, looks_like_key
from core.settings import LayeredSettings, load_layers
from core.settings_file import FileTrouble, SettingsFile, read_settings_file, trouble_text
from optimizers.small_file import replace_file

__all__ = ["SettingsStore", "default_settings_path", "may_be_kept"]

_MOST_ASIDE: Final = 100
# What is a file of ours to be put aside; the others a person must look at.
_SPOILT: Final = {FileTrouble.NOT_TOML, FileTrouble.TOO_LARGE, FileTrouble.OPEN}


def default_settings_path() -> Path:
    """settings.toml in the person's own configuration folder."""
    import platformdirs

    return Path(platformdirs.user_config_dir("parallel_processing")) / "settings.toml"


def may_be_kept(spec: SettingSpec, text: str, name: str) -> Any:
    """What Settings holds for the text. Raises SettingsError, which calls the setting name, where it is wrong or a key:
    a model's name may look like one.
    """
    if looks_like_key(text):
        raise SettingsError(tr("這看起來是金鑰, 不會存進設定檔; 請放在環境變數 GEMINI_API_KEY 或 .env"))
    return checked_value(spec, text, name)


class SettingsStore:
    """Where the settings come from, and the file that changes go to. For one thread.

    Each change reads the file anew and replaces it as a whole, so that what a person wrote meanwhile is kept, and
    whoever reads it, whenever this process ends, finds the old or the new one. A file that cannot be understood and
    a link are never written over: set() and reset() raise StorageError then, and put_aside() makes room. flags are
    those of this start.
    """

    def __init__(
        self,
        path: Path,
        *,
        environ: Mapping[str, str],
        dotenv: Path | None = None,
        flags: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path
        self.environ = environ
        self.dotenv = dotenv
        self.flags = flags or {}

    def load(self, *, on_language: Callable[[str], object] | None = None) -> LayeredSettings:
        """The settings as the next start, with the same flags, would find them; see load_layers()."""
        return load_layers(
            self.environ, dotenv=self.dotenv, file=self.path, flags=self.flags, on_language=on_language
        )

    @property
    def kept(self) -> Collection[str]:
        """The names that the file has, ours or not."""
        return read_settings_file(self.path).values.keys()

    @property
    def spoilt(self) -> bool:
        """True where a file is in the way that nothing can be changed in, and that put_aside() takes away."""
        return not self.path.is_symlink() and read_settings_file(self.path).trouble in _SPOILT

    def set(self, spec: SettingSpec, text: str) -> None:
        """Keep the value that the text gives. Raises SettingsError for a wrong one, and StorageError."""
        value = _kept_value(spec, text)
        before = self._readable()
        self._write(before, spec, value)

    def reset(self, spec: SettingSpec) -> None:
        """Take the setting out of the file, if it is there. Raises StorageError."""
        before = self._readable()
        if spec.name in before.values:
            self._write(before, spec, None)

    def put_aside(self) -> Path:
        """Give the file another name, which nothing has yet; returns it. Raises StorageError."""
        try:
            for number in range(1, _MOST_ASIDE):
                aside = self.path.with_name(f"{self.path.name}.old-{number}")
                if not os.path.lexists(aside):
                    os.rename(self.path, aside)
                    return aside
            reason = "EEXIST"
        except OSError as error:
            reason = type(error).__name__
        raise self._not_kept(reason)

    def _readable(self) -> SettingsFile:
        if self.path.is_symlink():
            raise StorageError(
                tr("設定檔 {path} 是連結, 沒有改動", path=str(self.path)),
                advice=tr("請直接修改它指到的檔案, 或把連結移走"),
            )
        found = read_settings_file(self.path)
        if found.trouble is not None:
            raise StorageError(trouble_text(found))
        return found

    def _write(self, before: SettingsFile, spec: SettingSpec, value: Any) -> None:
        text = _changed(before.text, spec.name, value)
        if text is None:
            raise StorageError(
                tr("改不了設定檔 {path} 裡的 {name}, 沒有改動", path=str(self.path), name=spec.name),
                advice=tr("請用編輯器修改這個檔案"),
            )
        try:
            replace_file(self.path, text, durable=True)
        except (OSError, UnicodeError) as error:
            reason = type(error).__name__
        else:
            return
        raise self._not_kept(reason)

    def _not_kept(self, reason: str) -> StorageError:
        return StorageError(
            tr("設定存不到 {path} ({reason})", path=str(self.path), reason=reason),
            advice=tr("請檢查資料夾的權限與磁碟空間"),
        )


def _kept_value(spec: SettingSpec, text: str) -> Any:
    """The value as the file has it: checked, and in one spelling."""
    value = may_be_kept(spec, text, spec.name)
    match spec.kind:
        case Kind.MODELS:
            return list(value)
        case Kind.WHOLE | Kind.NUMBER | Kind.MONEY:
            return _plain_number(value)
        case Kind.ENDPOINT:
            return "" if value is None else text.strip()
        case Kind.CHOICE:
            return text.strip() or spec.default
        case _:
            return value


def _plain_number(value: float | Decimal | None) -> int | float:
    number = float(value or 0) if not isinstance(value, int) else value
    return int(number) if number == int(number) else number


def _changed(text: str | None, name: str, value: Any) -> str | None:
    """The file's text with that one value changed, or taken out where it is None; None where it cannot be done."""
    import tomllib

    import tomlkit  # only who saves a setting waits for it
    from tomlkit.exceptions import TOMLKitError

    wanted = {} if text is None else tomllib.loads(text)
    wanted.pop(name, None)
    try:
        document = tomlkit.parse(_heading() if text is None else text)
        if value is None:
            document.remove(name)
        else:
            document[name] = wanted[name] = value
        changed = tomlkit.dumps(document)
        # What is written must be what was meant: nothing else changed, nothing lost.
        return changed if tomllib.loads(changed) == wanted else None
    except (TOMLKitError, ValueError, RecursionError):
        return None


def _heading() -> str:
    lines = (
        tr("parallel_processing 的設定, 由選單的「設定」寫入, 也可以自己修改。"),
        tr("命令列參數、環境變數與 .env 都優先於這個檔案; 金鑰不放在這裡。"),
    )
    return "".join(f"# {line}\n" for line in lines)

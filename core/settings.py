"""Settings: flags, environment, .env and the settings file become one frozen Settings, read when asked.

Flags stand above the environment, that above .env, that above the settings file, that above the defaults. What is wrong
in the first three is an error; the settings file keeps nobody out: what is wrong there is told, and does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from core.endpoint import Endpoint
from core.errors import SettingsError
from core.language import ambient_language, tr
from core.setting_specs import AUTO, DEFAULT_MODEL, KEY_NAMES, LANGUAGE, SDKS, SPECS, STORES, TRANSPORTS, SettingSpec
from core.setting_values import checked_value, looks_like_key, quoted
from core.settings_file import SettingsFile, read_settings_file, trouble_text, value_text

__all__ = [
    "API_KEY", "SDKS", "TRANSPORTS", "Endpoint", "LayeredSettings", "Secret", "Settings", "Source", "load_layers",
    "load_settings", "screen_language",
]  # fmt: skip

API_KEY: Final = "api_key"
_MOST_NAMED: Final = 5


class Secret:
    """Text that shows itself only when asked by reveal(): not in str, repr, format, pickles or comparisons."""

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        return self.__value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is never serialised")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a person can set. Timeouts and TTLs in seconds.

    api_key is None where no key is set: the offline demonstration model runs then. endpoint is None for the
    provider's own address. max_run_tokens and max_run_usd cap what one run may spend; None: no cap. hedge_quantile:
    a call that is out for longer than this share of the others is asked a second time; None: never. The limits per
    minute and day are the quota of the key; None: it is learned. fallback_models: what to ask, in this order, where the
    model's quota of the day is used up; fallback_unasked: without asking the person. history: runs are kept.
    cache_store: memory or sqlite, which outlives the program. language: auto, or a key of core.language.LANGUAGES.
    plain: a screen for a screen reader.
    """

    api_key: Secret | None = None
    model: str = DEFAULT_MODEL
    sdk: str = SDKS[0]
    transport: str = TRANSPORTS[0]
    endpoint: Endpoint | None = None
    max_workers: int = 5
    query_timeout: float = 15.0
    cache_ttl: int = 300
    cache_store: str = STORES[0]
    hedge_quantile: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    history: bool = True
    fallback_models: tuple[str, ...] = ()
    fallback_unasked: bool = False
    max_run_tokens: int | None = None
    max_run_usd: Decimal | None = None
    offline_scale: float = 1.0
    offline_seed: int = 0
    offline_faults: str = ""
    language: str = AUTO
    plain: bool = False

    @property
    def offline(self) -> bool:
        return self.api_key is None

    @property
    def served_model(self) -> str:
        """The name of the model that answers."""
        return "offline-demo" if self.offline else self.model


class Source(StrEnum):
    """Where a setting's value comes from, the highest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    DOTENV = ".env"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class LayeredSettings:
    """The settings, the source of each by its name in SPECS (and API_KEY), and what is wrong with the file.

    problems are whole sentences; none shows a key. file is what was read, None where no file was named.
    """

    settings: Settings
    sources: Mapping[str, Source]
    problems: tuple[str, ...] = ()
    file: SettingsFile | None = field(default=None, repr=False)


def load_settings(
    environ: Mapping[str, str],
    *,
    dotenv: Path | None = None,
    file: Path | None = None,
    flags: Mapping[str, str] | None = None,
) -> Settings:
    """As load_layers(), the settings alone."""
    return load_layers(environ, dotenv=dotenv, file=file, flags=flags).settings


def load_layers(
    environ: Mapping[str, str],
    *,
    dotenv: Path | None = None,
    file: Path | None = None,
    flags: Mapping[str, str] | None = None,
    on_language: Callable[[str], object] | None = None,
) -> LayeredSettings:
    """Read the settings; a variable that is present, even empty, hides the layers below.

    flags: by the variables' names, as environ; a key is never among them. on_language is told the language of the
    screen (a key of LANGUAGES) before there is anything to say, so that errors and problems are in it already.

    Raises SettingsError naming the variable or flag; a secret's value is in no message.
    """
    layers = {Source.FLAG: flags or {}, Source.ENVIRONMENT: environ, Source.DOTENV: _read_dotenv(dotenv)}
    found = None if file is None else read_settings_file(file)
    texts = _file_texts(found)
    if on_language is not None:
        on_language(_early_language(layers.values(), texts, environ))
    values: dict[str, Any] = {}
    sources, problems = {}, _complaints(found)
    for spec in SPECS.values():
        source = next((source for source, layer in layers.items() if spec.variable in layer), Source.DEFAULT)
        if source is not Source.DEFAULT:
            name = spec.flag if source is Source.FLAG else spec.variable
            values[spec.field] = checked_value(spec, layers[source][spec.variable], name)
        else:
            source, values[spec.field] = _from_file(spec, texts, problems)
        sources[spec.name] = source
    values[API_KEY], sources[API_KEY] = _api_key(layers)
    return LayeredSettings(Settings(**values), sources, tuple(problems), found)


def screen_language(settings: Settings, environ: Mapping[str, str]) -> str:
    """The key of LANGUAGES that the screen is in: the one set, or with auto the one that the environment asks for."""
    return ambient_language(environ) if settings.language == AUTO else settings.language


def _early_language(
    layers: Iterable[Mapping[str, str]], texts: Mapping[str, str | None], environ: Mapping[str, str]
) -> str:
    """The language as far as it can be told: where its setting is wrong, the one that the environment asks for."""
    text = next((layer[LANGUAGE.variable] for layer in layers if LANGUAGE.variable in layer), texts.get(LANGUAGE.name))
    try:
        code = checked_value(LANGUAGE, text or "", LANGUAGE.variable)
    except SettingsError:
        code = AUTO
    return ambient_language(environ) if code == AUTO else str(code)


def _file_texts(found: SettingsFile | None) -> dict[str, str | None]:
    """What the file says of the settings it may hold; None for a value that is none."""
    values = {} if found is None else found.values
    return {name: value_text(value) for name, value in values.items() if name in SPECS}


def _from_file(spec: SettingSpec, texts: Mapping[str, str | None], problems: list[str]) -> tuple[Source, Any]:
    text = texts.get(spec.name, "")
    try:
        if text is None:
            raise SettingsError(tr("{name} 的值不是文字也不是數字", name=spec.name))
        if looks_like_key(text):
            raise SettingsError(tr("{name} 的值看起來是金鑰", name=spec.name))
        value = checked_value(spec, text, spec.name)
    except SettingsError as error:
        problems.append(tr("設定檔: {reason}; 這一項沒有採用", reason=error.reason))
        return Source.DEFAULT, checked_value(spec, "", spec.name)
    return (Source.FILE if text.strip() else Source.DEFAULT), value


def _complaints(found: SettingsFile | None) -> list[str]:
    """The sentences about the file as a whole and about names that do not belong there."""
    if found is None or not found.exists:
        return []
    if found.trouble is not None:
        return [trouble_text(found)]
    sentences = []
    if any(_is_key_name(name) for name in found.values):
        sentences.append(tr("設定檔裡不能放金鑰, 沒有採用; 請移到環境變數 GEMINI_API_KEY 或 .env, 並從設定檔刪除"))
    unknown = [name for name in found.values if name not in SPECS and not _is_key_name(name)]
    if unknown:
        named = ", ".join(quoted(name) for name in unknown[:_MOST_NAMED])
        if len(unknown) > _MOST_NAMED:
            named += f" (+{len(unknown) - _MOST_NAMED:,})"
        sentences.append(tr("設定檔裡有不認得的名稱, 沒有採用: {names}", names=named))
    return sentences


def _is_key_name(name: str) -> bool:
    return name.lower().replace("-", "_").removeprefix("gemini_").removeprefix("google_") in (API_KEY, "apikey", "key")


def _read_dotenv(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        if not path.is_file():
            return {}
        from dotenv import dotenv_values  # only where there is a file: start-up is counted in milliseconds

        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        reason = type(error).__name__
    raise SettingsError(tr("讀不了設定檔 {name} ({reason}), 請確認它是 UTF-8 文字檔", name=path.name, reason=reason))


def _api_key(layers: Mapping[Source, Mapping[str, str]]) -> tuple[Secret | None, Source]:
    """The first name that has a key, wherever it comes from; the second serves where the first is blank."""
    for name in KEY_NAMES:
        for source in (Source.ENVIRONMENT, Source.DOTENV):
            if name not in layers[source]:
                continue
            key = layers[source][name].strip()
            if not key:
                break
            if not (key.isascii() and key.isprintable()) or " " in key:
                raise SettingsError(tr("{name} 含有空白、換行或非英數字元, 請重新複製完整的金鑰", name=name))
            return Secret(key), source
    return None, Source.DEFAULT

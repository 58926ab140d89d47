"""Settings: environment and .env file become one frozen Settings, read when asked and never at import."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from core.errors import SettingsError

__all__ = ["SDKS", "TRANSPORTS", "Endpoint", "Secret", "Settings", "load_settings"]

TRANSPORTS: Final = ("grpc", "rest")
SDKS: Final = ("google-generativeai", "google-genai")
_KEY_NAMES: Final = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_DEFAULT_MODEL: Final = "gemini-2.5-flash"
_MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_N = TypeVar("_N", int, float)


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
class Endpoint:
    """Where the model's service listens. plaintext is True only for loopback addresses."""

    host: str
    port: int
    plaintext: bool

    @property
    def authority(self) -> str:
        """host:port, with brackets around an IPv6 host."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'http' if self.plaintext else 'https'}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a person can set. Timeouts and TTLs in seconds.

    api_key is None where no key is set: the offline demonstration model runs then. endpoint is None for the
    provider's own address. max_run_tokens and max_run_usd cap what one run may spend; None: no cap. hedge_quantile:
    a call that is out for longer than this share of the others is asked a second time; None: never. The limits per
    minute and day are the quota of the key; None: it is learned. fallback_models: what to ask, in this order, where the
    model's quota of the day is used up; fallback_unasked: without asking the person. history: runs are kept.
    """

    api_key: Secret | None = None
    model: str = _DEFAULT_MODEL
    sdk: str = "google-generativeai"
    transport: str = "grpc"
    endpoint: Endpoint | None = None
    max_workers: int = 5
    query_timeout: float = 15.0
    cache_ttl: int = 300
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

    @property
    def offline(self) -> bool:
        return self.api_key is None

    @property
    def served_model(self) -> str:
        """The name of the model that answers."""
        return "offline-demo" if self.offline else self.model


def load_settings(environ: Mapping[str, str], *, dotenv: Path | None = None) -> Settings:
    """Read the settings; a variable that is present in environ, even empty, wins over the .env file.

    Raises SettingsError naming the variable; a secret's value is in no message.
    """
    values = {**_read_dotenv(dotenv), **environ}
    read = _Reader(values)
    return Settings(
        api_key=_api_key(values),
        model=_model(read.text("GEMINI_MODEL", _DEFAULT_MODEL)),
        sdk=read.choice("GEMINI_SDK", SDKS),
        transport=read.choice("GEMINI_TRANSPORT", TRANSPORTS),
        endpoint=_endpoint(read.text("GEMINI_API_ENDPOINT", "")),
        max_workers=read.number("MAX_WORKERS", 5, int, 1, 1000),
        query_timeout=read.number("QUERY_TIMEOUT", 15.0, float, 0.1, 86_400),
        cache_ttl=read.number("CACHE_TTL", 300, int, 0, 10**9),
        requests_per_minute=read.number("REQUESTS_PER_MINUTE", 0, int, 0, 10**9) or None,
        tokens_per_minute=read.number("TOKENS_PER_MINUTE", 0, int, 0, 10**12) or None,
        requests_per_day=read.number("REQUESTS_PER_DAY", 0, int, 0, 10**9) or None,
        hedge_quantile=read.number("HEDGE", 0.0, float, 0.0, 0.999) or None,
        history=read.choice("HISTORY", ("on", "off")) == "on",
        fallback_models=_models(values.get("GEMINI_FALLBACK_MODELS", "")),
        fallback_unasked=read.choice("GEMINI_FALLBACK", ("ask", "auto")) == "auto",
        max_run_tokens=read.number("MAX_RUN_TOKENS", 0, int, 0, 10**12) or None,
        max_run_usd=Decimal(str(read.number("MAX_RUN_USD", 0.0, float, 0.0, 10**6))) or None,
        offline_scale=read.number("OFFLINE_SCALE", 1.0, float, 0.0, 1000),
        offline_seed=read.number("OFFLINE_SEED", 0, int, 0, 2**63),
        offline_faults=read.text("OFFLINE_FAULTS", ""),
    )


class _Reader:
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str) -> str:
        return self._values.get(name, "").strip() or default

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, choices[0])
        if value not in choices:
            raise SettingsError(f"{name} 的值 {value!r} 不對, 請用其中之一: {', '.join(choices)}")
        return value

    def number(self, name: str, default: _N, kind: Callable[[str], _N], low: float, high: float) -> _N:
        text = self.text(name, str(default))
        try:
            value = kind(text)
        except ValueError:
            value = kind("-1")
        if not (low <= value <= high and math.isfinite(value)):
            raise SettingsError(f"{name} 的值 {text!r} 不對, 請給 {low:g} 到 {high:g} 之間的數字")
        return value


def _read_dotenv(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        if not path.is_file():
            return {}
        from dotenv import dotenv_values  # only where there is a file: start-up is counted in milliseconds

        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"讀不了設定檔 {path.name} ({type(error).__name__}), 請確認它是 UTF-8 文字檔") from None


def _api_key(values: Mapping[str, str]) -> Secret | None:
    for name in _KEY_NAMES:
        key = values.get(name, "").strip()
        if not key:
            continue
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise SettingsError(f"{name} 含有空白、換行或非英數字元, 請重新複製完整的金鑰")
        return Secret(key)
    return None


def _models(names: str) -> tuple[str, ...]:
    return tuple(_model(name.strip(), "GEMINI_FALLBACK_MODELS") for name in names.split(",") if name.strip())


def _model(name: str, variable: str = "GEMINI_MODEL") -> str:
    name = name.removeprefix("models/")
    if not _MODEL_NAME.fullmatch(name):
        raise SettingsError(f"{variable} 的值 {name!r} 不對, 請給模型名稱, 例如 {_DEFAULT_MODEL}")
    return name


def _endpoint(text: str) -> Endpoint | None:
    if not text:
        return None
    has_scheme = "://" in text
    try:
        parts = urlsplit(text if has_scheme else f"//{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _bad_endpoint() from None
    if parts.username is not None:
        raise SettingsError("GEMINI_API_ENDPOINT 不能含有帳號或密碼")
    tail = (parts.path not in ("", "/"), parts.query, parts.fragment)
    # urlsplit drops line breaks and takes any other character for part of a host; a host has few.
    if not (text.isprintable() and _HOST.fullmatch(host)) or parts.scheme not in ("", "http", "https"):
        raise _bad_endpoint()
    if port == 0 or any(tail):
        raise _bad_endpoint()
    loopback = _is_loopback(host)
    if parts.scheme == "http" and not loopback:
        raise SettingsError("GEMINI_API_ENDPOINT 用 http:// 會讓金鑰以明文傳送, 只有本機位址可以; 請改用 https://")
    plaintext = parts.scheme == "http" or (not has_scheme and loopback)
    return Endpoint(host, port or (80 if plaintext else 443), plaintext)


def _bad_endpoint() -> SettingsError:
    return SettingsError("GEMINI_API_ENDPOINT 的格式不對, 請給 主機:埠 或 https://主機:埠")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

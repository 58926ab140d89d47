"""A setting's text → its value, or one sentence about what it may be. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from core.endpoint import read_endpoint
from core.errors import SettingsError
from core.language import find_language, tr
from core.setting_specs import AUTO, DEFAULT_MODEL, Kind, SettingSpec

__all__ = ["bounds_text", "checked_value", "looks_like_key", "quoted"]

_MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_KEY_LIKE: Final = re.compile(r"AIza[0-9A-Za-z_-]{16,}")
_MOST_SHOWN: Final = 60


def checked_value(spec: SettingSpec, text: str, name: str) -> Any:
    """What Settings holds for the text; blanks stand for the default. Raises SettingsError, which calls it name."""
    return _READERS[spec.kind](spec, text.strip() or spec.default, name)


def quoted(text: str) -> str:
    """What a person wrote, for a message: in quotes, on one line, not endless, and without a key put there by mistake.

    Control characters are shown as escapes.
    """
    shown = _KEY_LIKE.sub("***", text)
    return repr(shown if len(shown) <= _MOST_SHOWN else shown[:_MOST_SHOWN] + "…")


def looks_like_key(text: str) -> bool:
    """Whether a Google key is in the text, which is then no setting's value, though a model's name might look so."""
    return _KEY_LIKE.search(text) is not None


def bounds_text(spec: SettingSpec) -> tuple[str, str]:
    """The lowest and the highest number that will do, as people write them."""
    low, high = (f"{bound:,}" for bound in (spec.low, spec.high))
    return low, high


def _text(spec: SettingSpec, text: str, name: str) -> str:
    return text


def _choice(spec: SettingSpec, text: str, name: str) -> str | bool:
    if text not in spec.choices:
        raise _not_among(spec, text, name)
    return text == spec.truth if spec.truth else text


def _language(spec: SettingSpec, text: str, name: str) -> str:
    found = AUTO if text.lower() == AUTO else find_language(text)
    if found is None:
        raise _not_among(spec, text, name)
    return found


def _not_among(spec: SettingSpec, text: str, name: str) -> SettingsError:
    return SettingsError(
        tr("{name} 的值 {value} 不對, 請用其中之一: {choices}",
           name=name, value=quoted(text), choices=", ".join(spec.choices))
    )  # fmt: skip


def _whole(spec: SettingSpec, text: str, name: str) -> int | None:
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or not spec.low <= value <= spec.high:
        low, high = bounds_text(spec)
        raise SettingsError(
            tr("{name} 的值 {value} 不對, 請給 {low} 到 {high} 之間的整數",
               name=name, value=quoted(text), low=low, high=high)
        )  # fmt: skip
    return None if spec.unset and not value else value


def _number(spec: SettingSpec, text: str, name: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not spec.low <= value <= spec.high:  # nan is neither
        low, high = bounds_text(spec)
        raise SettingsError(
            tr("{name} 的值 {value} 不對, 請給 {low} 到 {high} 之間的數字",
               name=name, value=quoted(text), low=low, high=high)
        )  # fmt: skip
    return None if spec.unset and not value else value


def _money(spec: SettingSpec, text: str, name: str) -> Decimal | None:
    value = _number(spec, text, name)
    return None if value is None else Decimal(str(value))


def _models(spec: SettingSpec, text: str, name: str) -> tuple[str, ...]:
    return tuple(_model(spec, part.strip(), name) for part in text.split(",") if part.strip())


def _model(spec: SettingSpec, text: str, name: str) -> str:
    text = text.removeprefix("models/")
    if not _MODEL_NAME.fullmatch(text):
        raise SettingsError(
            tr("{name} 的值 {value} 不對, 請給模型名稱, 例如 {example}",
               name=name, value=quoted(text), example=DEFAULT_MODEL)
        )  # fmt: skip
    return text


_READERS: Final[Mapping[Kind, Callable[[SettingSpec, str, str], Any]]] = {
    Kind.TEXT: _text,
    Kind.CHOICE: _choice,
    Kind.LANGUAGE: _language,
    Kind.WHOLE: _whole,
    Kind.NUMBER: _number,
    Kind.MONEY: _money,
    Kind.MODEL: _model,
    Kind.MODELS: _models,
    Kind.ENDPOINT: lambda spec, text, name: read_endpoint(text, name) if text else None,
}

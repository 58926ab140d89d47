"""The settings → text: their list, and one of them explained. Pure; whole lines without a final line end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

from core.endpoint import Endpoint
from core.language import LANGUAGES, language, marked, tr
from core.setting_specs import AUTO, GROUPS, LANGUAGE, Kind, SettingGroup, SettingSpec
from core.setting_values import bounds_text
from core.settings import Source
from utils.text_width import cell_width, fit, one_line, pad

__all__ = ["SOURCES", "SettingRow", "setting_details", "settings_list", "shown_value", "ways_text"]

SOURCES: Final[Mapping[Source, str]] = {
    Source.FLAG: marked("旗標"),
    Source.ENVIRONMENT: marked("環境變數"),
    Source.DOTENV: marked(".env"),
    Source.FILE: marked("設定檔"),
    Source.DEFAULT: marked("預設"),
}
_GAP: Final = "  "
_NARROW: Final = 50  # below it a row has no room for three columns
_LEAST_VALUE: Final = 12


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of the list, in the words of the screen; number None for what cannot be chosen."""

    group: SettingGroup
    number: int | None
    title: str
    value: str
    source: str


def settings_list(rows: Sequence[SettingRow], *, width: int) -> str:
    """The rows under the headings of their groups, in columns that are as wide as they need to be."""
    titles, sources = (max(cell_width(getattr(row, name)) for row in rows) for name in ("title", "source"))
    room = width - len("99. ") - titles - sources - 2 * len(_GAP)
    values = min(max(cell_width(one_line(row.value)) for row in rows), room)
    stacked = width < _NARROW or room < _LEAST_VALUE
    lines: list[str] = []
    for group, members in groupby(rows, key=lambda row: row.group):
        lines.append(tr("── {group} ──", group=tr(GROUPS[group])))
        for row in members:
            head = "    " if row.number is None else f"{row.number:2d}. "
            if stacked:
                room = width - len(head)
                lines.append(head + fit(row.title, room))
                lines += [" " * len(head) + part for part in _value_and_source(row, room)]
            else:
                columns = (pad(row.title, titles), pad(fit(row.value, values), values), row.source)
                lines.append(f"{head}{_GAP.join(columns)}".rstrip())
    return "\n".join(lines)


def _value_and_source(row: SettingRow, width: int) -> list[str]:
    both = one_line(f"{row.value} ({row.source})")
    return [both] if cell_width(both) <= width else [fit(row.value, width), fit(f"({row.source})", width)]


def shown_value(spec: SettingSpec, value: Any) -> str:
    """The value of the setting's field as a person reads it."""
    if value is None or value == () or value == "":
        return tr(spec.unset) if spec.unset else ""
    match value:
        case bool():
            return spec.truth if value else next(choice for choice in spec.choices if choice != spec.truth)
        case tuple():
            return ", ".join(value)
        case Endpoint():
            return value.url
        case int() | float() | Decimal():
            number = f"{value:,g}" if isinstance(value, float) else f"{value:,}"
            return tr(spec.unit, number=number) if spec.unit else number
    if spec is LANGUAGE:
        return f"{value} ({LANGUAGES[language() if value == AUTO else value]})"
    return str(value)


def setting_details(spec: SettingSpec, value: str, source: str) -> str:
    """What the setting does, what it is now, and what it may be. value and source: in the words of the screen."""
    lines = [
        tr("{title}: {help}", title=tr(spec.title), help=tr(spec.help)),
        "  " + tr("現在: {value} ({source})", value=value, source=source),
    ]
    allowed = _allowed(spec)
    if allowed:
        lines.append("  " + tr("可用的值: {allowed}", allowed=allowed))
    lines.append("  " + (tr("改了在下次啟動時生效") if spec.at_start else tr("改了立即生效")))
    lines.append("  " + ways_text(spec))
    return "\n".join(lines)


def ways_text(spec: SettingSpec) -> str:
    """Where else the setting can be made."""
    if spec.flag:
        return tr("也可以用環境變數 {variable} 或參數 {flag}", variable=spec.variable, flag=spec.flag)
    return tr("也可以用環境變數 {variable}", variable=spec.variable)


def _allowed(spec: SettingSpec) -> str:
    if spec.choices:
        return " / ".join(spec.choices)
    low, high = bounds_text(spec)
    match spec.kind:
        case Kind.WHOLE:
            return tr("{low} 到 {high} 的整數", low=low, high=high)
        case Kind.NUMBER | Kind.MONEY:
            return tr("{low} 到 {high} 的數字", low=low, high=high)
        case _:
            return ""

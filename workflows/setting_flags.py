"""The settings as options of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Container
from typing import Final

from core.language import tr
from core.setting_specs import LANGUAGE, SPECS, SettingSpec

__all__ = ["add_setting_flags", "flags_of"]

_NO: Final = "--no-"


def add_setting_flags(parser: argparse.ArgumentParser, *, leave_out: Container[str] = (), hidden: bool = False) -> None:
    """Add an option for each setting that has one. Values are checked when the settings are read, not here.

    leave_out: options the parser has already. An option that is not given leaves no attribute, so that the same
    options may stand before and after a command. There is none for the key: other users can see a command line.
    hidden: they work, and are not in the help.
    """
    options = parser.add_argument_group(*(() if hidden else _heading()))
    for spec in SPECS.values():
        if not spec.flag or spec.flag in leave_out:
            continue
        if spec.flag.startswith(_NO):
            options.add_argument(
                spec.flag, dest=_dest(spec), action="store_const", const="off", default=argparse.SUPPRESS,
                help=argparse.SUPPRESS if hidden else _no_text(spec),
            )  # fmt: skip
        else:
            options.add_argument(
                spec.flag, dest=_dest(spec), metavar=_metavar(spec), default=argparse.SUPPRESS,
                help=argparse.SUPPRESS if hidden else tr(spec.help).replace("%", "%%"),
            )  # fmt: skip


def flags_of(options: argparse.Namespace) -> dict[str, str]:
    """The settings given as options, by the variables' names, as load_layers() takes them."""
    given = {spec.variable: getattr(options, _dest(spec), None) for spec in SPECS.values() if spec.flag}
    return {variable: str(value) for variable, value in given.items() if value is not None}


def _heading() -> tuple[str, str]:
    return tr("這一次的設定"), tr("優先於環境變數、.env 與設定檔")


def _dest(spec: SettingSpec) -> str:
    return "lang" if spec is LANGUAGE else f"setting_{spec.name}"


def _metavar(spec: SettingSpec) -> str:
    return "|".join(spec.choices) if spec.choices else spec.name.rpartition("_")[2].upper()


def _no_text(spec: SettingSpec) -> str:
    return tr("這一次不用: {title}", title=tr(spec.title))

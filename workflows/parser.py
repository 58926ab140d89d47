"""The reader of arguments: argparse in the language of the screen, written through the console."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import wcwidth

from core.language import find_language, marked, tr
from utils.console import Console
from utils.text_width import one_line
from workflows.exit_codes import USAGE
from workflows.setting_flags import add_setting_flags

__all__ = ["Parser", "completes_files", "days", "language_asked", "positive"]


_DEFAULTS: Final = {"quiet": False, "plain": False, "no_color": False, "lang": None, "debug": False, "json": False}
_ARGUMENT: Final = re.compile(r"argument (?P<name>.+?): (?P<rest>.*)", re.DOTALL)
# What argparse complains in, and how we say it. A complaint that is not here is shown in its own words.
_COMPLAINTS: Final = tuple(
    (re.compile(pattern, re.DOTALL), message)
    for pattern, message in (
        (r"the following arguments are required: (?P<names>.*)", marked("少了必要的參數: {names}")),
        (r"one of the arguments (?P<names>.*) is required", marked("這幾個參數需要其中之一: {names}")),
        (r"unrecognized arguments: (?P<names>.*)", marked("不認得的參數: {names}")),
        (r"not allowed with argument (?P<names>.*)", marked("不能和 {names} 一起用")),
        (r"invalid choice: (?P<value>.*?) \(choose from (?P<choices>.*)\)", marked("沒有 {value}; 可用的有 {choices}")),
        (r"invalid \S+ value: (?P<value>.*)", marked("{value} 不是這裡能用的值")),
        (r"expected one argument", marked("後面要有一個值")),
        (r"expected at least one argument", marked("後面至少要有一個值")),
        (r"ignored explicit argument (?P<value>.*)", marked("不需要值, 卻給了 {value}")),
    )
)


def language_asked(arguments: Sequence[str]) -> str | None:
    """The language that --lang among the arguments names; None where there is none, or none of ours.

    Help and complaints are in that language, so it is looked for before the arguments are read.
    """
    found = None
    for place, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == "--lang" and place + 1 < len(arguments):
            found = arguments[place + 1]
        elif argument.startswith("--lang="):
            found = argument.removeprefix("--lang=")
    return None if found is None else find_language(found)


class Parser(argparse.ArgumentParser):
    """One of the program's parsers: of the program itself, of a command, of a command's command.

    Each takes the options that every command has, so that they may stand before a command and after it. Options are
    never abbreviated: a script must not come to mean something else when an option is added. Texts are looked up in
    the language in use when the parser is made.
    """

    def __init__(self, **given: Any) -> None:
        given.setdefault("formatter_class", _Formatter)
        super().__init__(**{**given, "add_help": False, "allow_abbrev": False})
        self.color = False  # from Python 3.14 on argparse colours its text, which the console would show as escapes
        self._positionals.title = tr("參數")
        self._optionals.title = tr("選項")
        self.add_argument("-h", "--help", action="help", help=tr("顯示這份說明"))
        add, absent = self.add_argument_group(tr("每個指令都有的")).add_argument, argparse.SUPPRESS
        add("-q", "--quiet", action="store_true", default=absent, help=tr("不顯示進度, 只說錯誤; 也不詢問"))
        add("--plain", action="store_true", default=absent, help=tr("純文字: 沒有動畫, 適合螢幕閱讀器"))
        add("--no-color", action="store_true", default=absent, help=tr("不用顏色"))
        add("--lang", metavar="zh_TW|en", type=_language, default=absent, help=tr("畫面的語言 (預設由 LANG 決定)"))
        add("--debug", action="store_true", default=absent, help=tr("發生錯誤時顯示完整的追蹤訊息"))
        add_setting_flags(self, leave_out={"--lang"}, hidden=" " in self.prog)  # listed once, by the program itself

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The options. A complaint, or what was asked for in place of a command, is written, and SystemExit raised."""
        options, rest = self.parse_known_args(arguments, argparse.Namespace(**_DEFAULTS))
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return options

    def error(self, message: str) -> NoReturn:
        """Say in one sentence what is wrong with the arguments, and where to read more. Exit code 2."""
        advice = tr("💡 說明與範例: python {command} --help", command=self.prog)
        self.exit(USAGE, f"❌ {_complaint(one_line(message))}\n{advice}\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is sys.stderr:
            Console().note(message.removesuffix("\n"))
        else:
            Console().write_block(message)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Descriptions as they are written; what options do, wrapped by cells, since our characters take two."""

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, tr("用法: ") if prefix is None else prefix)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wcwidth.wrap(text, width)


def completes_files(action: argparse.Action) -> None:
    """The shell completes the argument with the names of files."""
    action.complete = "file"  # type: ignore[attr-defined]  # what shtab looks for


def positive(text: str) -> int:
    """An option's whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise argparse.ArgumentTypeError(tr("{value} 不對, 請給 1 以上的整數", value=repr(text[:20])))
    return int(text)


def days(text: str) -> float:
    """An option's number of days, fractions too; 0 means from now on back."""
    try:
        number = float(text) if text.isascii() else -1.0
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e6:
        raise argparse.ArgumentTypeError(tr("{value} 不對, 請給 0 以上的天數", value=repr(text[:20])))
    return number


def _language(text: str) -> str:
    found = find_language(text)
    if found is None:
        raise argparse.ArgumentTypeError(tr("沒有 {value} 這種語言, 請用 zh_TW 或 en", value=repr(text[:20])))
    return found


def _complaint(message: str) -> str:
    about = _ARGUMENT.fullmatch(message)
    if about is None:
        return _said(message)
    return f"{about['name']}: {_said(about['rest'])}"


def _said(message: str) -> str:
    for pattern, ours in _COMPLAINTS:
        found = pattern.fullmatch(message)
        if found:
            return tr(ours, **found.groupdict())
    return message

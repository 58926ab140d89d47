#!/usr/bin/env python3
"""parallel_processing: asks Gemini many questions at once, from a numbered menu."""

from __future__ import annotations

import argparse
import functools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.errors import ParallelProcessingError, SettingsError
from core.language import ambient_language, marked, tr, use_language
from core.outcome import MISSING
from utils.console import Console, OutputClosed
from utils.failure_text import failure_text
from utils.interrupts import Interrupts

if TYPE_CHECKING:
    from core.settings import LayeredSettings
    from utils.line_input import Entry
    from workflows.engine import Engine
    from workflows.session import Session
    from workflows.settings_store import SettingsStore

VERSION: Final = "0.2.0"

MENU: Final[tuple[tuple[str, str, Callable[[Session], None] | None], ...]] = (
    ("1", marked("執行預設並行查詢測試"), lambda session: session.preset()),
    ("2", marked("自訂並行查詢"), lambda session: session.custom()),
    ("3", marked("查看快取統計"), lambda session: session.cache()),
    ("4", marked("查看效能報告"), lambda session: session.performance()),
    ("5", marked("清除快取"), lambda session: session.clear_cache()),
    ("6", marked("退出"), None),
    ("7", marked("批次文字分析"), lambda session: session.batch()),
    ("8", marked("檢視上次查詢的完整回答"), lambda session: session.answers()),
    ("9", marked("限額設定"), lambda session: session.limits()),
    ("10", marked("歷史紀錄"), lambda session: session.history()),
    ("11", marked("設定"), lambda session: session.settings()),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    use_language(ambient_language(os.environ))
    try:
        return _run(given)
    except OutputClosed as closed:
        return closed.exit_code
    except KeyboardInterrupt:
        return 130
    except ImportError as missing:
        from workflows.without_packages import without_packages

        return without_packages(missing, given, os.environ)


def _run(given: Sequence[str]) -> int:
    """With the arguments read and the settings found, the command or the menu. Raises ImportError for a package."""
    from workflows.setting_flags import flags_of
    from workflows.settings_store import SettingsStore, default_settings_path
    from workflows.start_up import read_arguments, set_up_logging

    options = read_arguments(given, os.environ, version=VERSION)
    flags = flags_of(options)
    store = SettingsStore(default_settings_path(), environ=os.environ, dotenv=Path(".env"), flags=flags)
    set_up_logging(debug=options.debug)
    try:
        if options.command == "doctor":  # it must also work where the settings do not
            from workflows.doctor_command import doctor_command

            return doctor_command(options, Console(plain=options.plain), os.environ, file=store.path, flags=flags)
        return _with_settings(options, store, store.load(on_language=use_language))
    except SettingsError as error:
        Console().note(failure_text(error))
        return 2


def _with_settings(options: argparse.Namespace, store: SettingsStore, layered: LayeredSettings) -> int:
    console_like = functools.partial(
        Console,
        plain=options.plain or layered.settings.plain,
        colour=False if options.no_color else None,
        history_path=MISSING if layered.settings.history else None,
    )
    with console_like() as console, Interrupts() as interrupts:
        try:
            if options.command is None:
                return _serve_menu(console, interrupts, store, layered, debug=options.debug)
            from workflows.command_line import run_program

            notes = console_like(stdout=sys.stderr or open(os.devnull, "w"))  # noqa: SIM115 - for as long as we run
            return run_program(options, console, notes, interrupts, layered, environ=os.environ, stdin=sys.stdin)
        except OutputClosed as closed:
            if interrupts.leave_with is not None:  # the terminal was closed, and so nothing can be written
                return interrupts.leave_with
            if closed.detail:
                console.note(tr("無法寫出結果 ({detail})", detail=closed.detail))
            return closed.exit_code


def _serve_menu(
    console: Console, interrupts: Interrupts, store: SettingsStore, layered: LayeredSettings, *, debug: bool
) -> int:
    from utils.rendering import banner_text
    from workflows.engine import Engine
    from workflows.session import Session

    engine = Engine(layered.settings, on_note=console.note, environ=os.environ)
    try:
        console.write_line(banner_text(_notices(engine, layered), width=console.width))
        console.write_line("\n" + _menu())
        console.prepare()  # before the heavy imports start to compete with it for the processor
        engine.start()
        return _answer_choices(console, interrupts, Session(console, interrupts, engine, store), debug=debug)
    finally:
        engine.close()


def _notices(engine: Engine, layered: LayeredSettings) -> list[str]:
    from utils.limits_text import DAMAGED

    model = tr("🤖 模型: {model}", model=engine.settings.model)
    if engine.settings.offline:
        model = tr("🔌 沒有設定 GEMINI_API_KEY: 目前使用離線示範模型, 回答不是真正的 Gemini")
    damaged = [tr(DAMAGED)] if engine.saved_limits.damaged else []
    return [model, *damaged, *(f"⚠️ {problem}" for problem in layered.problems)]


def _menu() -> str:
    from utils.rendering import menu_text

    return menu_text((key, label) for key, label, _ in MENU)


def _answer_choices(console: Console, interrupts: Interrupts, session: Session, *, debug: bool) -> int:
    """Answer choices until the person leaves; the menu is already on screen. Returns the exit code."""
    while True:
        try:
            entry = console.ask_choice(tr("請選擇 (1-{most}): ", most=len(MENU)))
            interrupts.reset()
            if not _do(console, session, entry, debug=debug):
                return 0
            if interrupts.leave_with is not None:
                return interrupts.leave_with
        except EOFError:
            console.write_line(tr("👋 再見!"))
            return 0
        except KeyboardInterrupt:
            if interrupts.note() > 1:
                return 130
            console.write_line(tr("⏹️ 已中斷; 再按一次 Ctrl-C 離開程式, 或輸入 6 退出"))
        session.tell_problem()
        console.write_line("\n" + _menu())


def _do(console: Console, session: Session, entry: Entry, *, debug: bool) -> bool:
    """Do what was entered; returns False to leave."""
    from utils.line_input import Pasted

    if isinstance(entry, Pasted):
        _guarded(console, functools.partial(session.pasted, entry), debug=debug)
        return True
    found = next((row for row in MENU if row[0] == entry.choice), None)
    if found is None:
        console.write_line(tr("❌ 無效的選擇"))
        return True
    handler = found[2]
    if handler is None:
        console.write_line(tr("👋 再見!"))
        return False
    _guarded(console, functools.partial(handler, session), debug=debug)
    return True


def _guarded(console: Console, action: Callable[[], None], *, debug: bool) -> None:
    """Errors end the action, not the program: one sentence, and the traceback only with --debug."""
    try:
        action()
    except (OutputClosed, EOFError):
        raise
    except Exception as error:  # noqa: BLE001 - a bug must bring the menu back, not end the program
        console.write_line(failure_text(error))
        if debug and not isinstance(error, ParallelProcessingError):
            console.note(traceback.format_exc())


if __name__ == "__main__":
    sys.exit(main())

"""parallel_processing: asks Gemini many questions at once, from a numbered menu."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from core.errors import ParallelProcessingError, SettingsError
from core.settings import load_settings
from utils.console import Console, OutputClosed
from utils.failure_text import failure_text
from utils.interrupts import Interrupts
from utils.limits_text import DAMAGED
from utils.line_input import Entry, Pasted
from utils.rendering import banner_text, menu_text
from workflows.engine import Engine
from workflows.session import Session

VERSION: Final = "0.1.0"

MENU: Final[tuple[tuple[str, str, Callable[[Session], None] | None], ...]] = (
    ("1", "執行預設並行查詢測試", Session.preset),
    ("2", "自訂並行查詢", Session.custom),
    ("3", "查看快取統計", Session.cache),
    ("4", "查看效能報告", Session.performance),
    ("5", "清除快取", Session.clear_cache),
    ("6", "退出", None),
    ("7", "批次文字分析", Session.batch),
    ("8", "檢視上次查詢的完整回答", Session.answers),
    ("9", "限額設定", Session.limits),
    ("10", "歷史紀錄", Session.history),
)

_EPILOG: Final = """\
範例:
  python main.py                                  開啟選單
  GEMINI_API_KEY=... python main.py               使用真正的 Gemini
  OFFLINE_FAULTS=hang@0.3 python main.py          離線示範模型, 三成的問題沒有回應
  printf '2\\n問題一\\n問題二\\n\\n6\\n' | python main.py  從管線輸入

指令 (不用選單, 適合排程與管線; 細節見 python main.py COMMAND --help):
  python main.py ask 問題.txt --json > 回答.jsonl
  cat 問題.txt | python main.py ask -
  python main.py analyze 評論.csv --column 內容 --type sentiment --out 結果.csv --yes
  python main.py analyze 信件.txt --type category --labels 帳務,技術,其他 --out 報告.html
  python main.py doctor                           檢查金鑰、網路、模型、磁碟與編碼

結束代碼: 0 正常離開或全部有回答, 1 錯誤, 2 參數或設定有誤, 3 只有部分有回答, 130 以 Ctrl-C 中斷
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    try:
        options = _parse(arguments)
    except OutputClosed as closed:
        return closed.exit_code
    _set_up_logging(debug=options.debug)
    with Console() as console, Interrupts() as interrupts:
        try:
            if getattr(options, "command", None) is not None:
                from workflows.command_line import run_program

                notes = Console(stdout=sys.stderr)
                return run_program(options, console, notes, interrupts, environ=os.environ, stdin=sys.stdin)
            return _start(console, interrupts, debug=options.debug)
        except OutputClosed as closed:
            if closed.detail:
                console.note(f"無法寫出結果 ({closed.detail})")
            return closed.exit_code
        except SettingsError as error:
            console.note(f"❌ {error.reason}")
            return 2
        except KeyboardInterrupt:
            return 130


class _Parser(argparse.ArgumentParser):
    """Help and complaints go out through the console, which knows what the screen can show."""

    def _print_message(self, message: str, file: object = None) -> None:
        if file is sys.stderr:
            Console().note(message.removesuffix("\n"))
        else:
            Console().write_block(message)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="main.py",
        description="並行處理與效能優化系統: 一次問 Gemini 許多問題",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="發生錯誤時顯示完整的追蹤訊息")
    parser.add_argument("--version", action="version", version=f"parallel_processing {VERSION}")
    given = sys.argv[1:] if arguments is None else arguments
    if given:  # the commands cost time that the menu does not have
        from workflows.command_line import add_commands

        add_commands(parser)
    return parser.parse_args(given)


def _set_up_logging(*, debug: bool) -> None:
    """Warnings go to stderr with --debug only: a person at the menu is told what matters by the menu."""
    if debug:
        logging.basicConfig(level=logging.WARNING)
    else:
        logging.lastResort = None


def _start(console: Console, interrupts: Interrupts, *, debug: bool) -> int:
    settings = load_settings(os.environ, dotenv=Path(".env"))
    engine = Engine(settings, on_note=console.note)
    try:
        console.write_line(banner_text(_notices(engine), width=console.width))
        console.write_line("\n" + _menu())
        console.prepare()  # before the heavy imports start to compete with it for the processor
        engine.start()
        return _serve(console, interrupts, Session(console, interrupts, engine), debug=debug)
    finally:
        engine.close()


def _notices(engine: Engine) -> list[str]:
    notices = [f"🤖 模型: {engine.settings.model}"]
    if engine.settings.offline:
        notices = ["🔌 沒有設定 GEMINI_API_KEY: 目前使用離線示範模型, 回答不是真正的 Gemini"]
    return [*notices, DAMAGED] if engine.saved_limits.damaged else notices


def _menu() -> str:
    return menu_text((key, label) for key, label, _ in MENU)


def _serve(console: Console, interrupts: Interrupts, session: Session, *, debug: bool) -> int:
    """Answer choices until the person leaves; the menu is already on screen. Returns the exit code."""
    while True:
        try:
            entry = console.ask_choice(f"請選擇 (1-{len(MENU)}): ")
            interrupts.reset()
            if not _do(console, session, entry, debug=debug):
                return 0
            if interrupts.leave_with is not None:
                return interrupts.leave_with
        except EOFError:
            console.write_line("👋 再見!")
            return 0
        except KeyboardInterrupt:
            if interrupts.note() > 1:
                return 130
            console.write_line("⏹️ 已中斷; 再按一次 Ctrl-C 離開程式, 或輸入 6 退出")
        session.tell_problem()
        console.write_line("\n" + _menu())


def _do(console: Console, session: Session, entry: Entry, *, debug: bool) -> bool:
    """Do what was entered; returns False to leave."""
    if isinstance(entry, Pasted):
        _guarded(console, functools.partial(session.pasted, entry), debug=debug)
        return True
    found = next((row for row in MENU if row[0] == entry.choice), None)
    if found is None:
        console.write_line("❌ 無效的選擇")
        return True
    handler = found[2]
    if handler is None:
        console.write_line("👋 再見!")
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

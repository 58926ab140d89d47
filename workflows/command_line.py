"""The program without its menu: commands for scripts and pipes. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from core.errors import OperationCancelledError, ParallelProcessingError, SettingsError, UsageError
from core.settings import load_settings
from utils.console import Console, OutputClosed
from utils.failure_text import failure_text
from utils.interrupts import Interrupts
from workflows.engine import Engine
from workflows.exit_codes import ERROR, INTERRUPTED, USAGE

__all__ = ["CommandLine", "add_commands", "run_command", "run_program"]


_ASK: Final = """\
同時詢問檔案裡的每個問題 (每行一個), 回答寫到標準輸出。

  python main.py ask 問題.txt --json > 回答.jsonl
  cat 問題.txt | python main.py ask -
"""
_ANALYZE: Final = """\
分析檔案裡的每則文字; 可中斷, 再執行同一個指令就接著做。

  python main.py analyze 評論.csv --column 內容 --out 結果.csv --yes
  python main.py analyze 信件.txt --type category --labels 帳務,技術,其他 --out 報告.html
  python main.py analyze 評論.csv --type custom --instruction "找出產品與態度" --fields "產品,態度:好|普通|差"
"""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What a command works with: results go to out, everything else to notes; stdin is where FILE - is read from."""

    engine: Engine
    out: Console
    notes: Console
    interrupts: Interrupts
    stdin: TextIO

    def agrees(self, *, yes: bool, question: str) -> None:
        """Get the person's yes to a large run. Raises UsageError where there is none."""
        if yes:
            return
        if not (self.notes.is_interactive and self.notes.is_terminal):
            raise UsageError("要執行的數量較多, 請加上 --yes 表示同意")
        if not self.notes.agrees(question):
            raise UsageError("沒有執行, 因為沒有得到同意")


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands to the program's own parser."""
    from workflows.analyze_command import add_analyze_options
    from workflows.ask_command import add_ask_options
    from workflows.doctor_command import DOCTOR_ABOUT, add_doctor_options

    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="指令")
    about: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    add_ask_options(commands.add_parser("ask", help="問檔案裡的每個問題", description=_ASK, **about))
    add_analyze_options(commands.add_parser("analyze", help="分析檔案裡的每則文字", description=_ANALYZE, **about))
    add_doctor_options(commands.add_parser("doctor", help="檢查執行環境", description=DOCTOR_ABOUT, **about))


def run_program(
    options: argparse.Namespace,
    out: Console,
    notes: Console,
    interrupts: Interrupts,
    *,
    environ: Mapping[str, str],
    stdin: TextIO,
) -> int:
    """Do the command; returns the exit code. Raises OutputClosed and SettingsError."""
    if options.command == "doctor":  # it must also work where the settings do not
        from workflows.doctor_command import doctor_command

        return doctor_command(options, out, environ)
    engine = Engine(load_settings(environ, dotenv=Path(".env")), on_note=notes.write_line)
    try:
        return run_command(options, CommandLine(engine, out, notes, interrupts, stdin))
    except (OutputClosed, SettingsError):
        raise
    except OperationCancelledError:
        notes.write_line("⏹️ 已中斷; 已有的結果都保留")
        return interrupts.leave_with or INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, a script gets one sentence and an exit code
        notes.write_line(failure_text(error))
        if options.debug and not isinstance(error, ParallelProcessingError):
            out.note(traceback.format_exc())
        return USAGE if isinstance(error, UsageError) else ERROR
    finally:
        engine.close()


def run_command(options: argparse.Namespace, line: CommandLine) -> int:
    """Do what the command says; returns the exit code. Raises ParallelProcessingError for what a person should read."""
    from workflows.analyze_command import analyze_command
    from workflows.ask_command import ask_command

    commands: dict[str, Callable[[argparse.Namespace, CommandLine], int]] = {
        "ask": ask_command,
        "analyze": analyze_command,
    }
    return commands[options.command](options, line)

"""The program without its menu: commands for scripts and pipes. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import argparse
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final, TextIO

from core.errors import OperationCancelledError, ParallelProcessingError, SettingsError, UsageError
from core.language import marked, tr
from core.settings import LayeredSettings
from utils.console import Console, OutputClosed
from utils.failure_text import failure_text
from utils.interrupts import Interrupts
from workflows.engine import Engine
from workflows.exit_codes import ERROR, INTERRUPTED, USAGE
from workflows.parser import Parser

__all__ = [
    "STDIN_CLOSED", "CommandLine", "add_commands", "program_parser", "read_options", "run_command", "run_program",
]  # fmt: skip

STDIN_CLOSED: Final = marked("標準輸入是關閉的, 沒有內容可讀; 請給檔案, 或用管線送進來")
_PROGRAM: Final = "main.py"
_EPILOG: Final = marked("""\
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
  python main.py history list                     以前的執行; 可再看、匯出、重問、比較、刪除
  python main.py stats                            至今的用量、費用與時間
  python main.py cache list                       快取裡的回答 (CACHE_STORE=sqlite)
  python main.py doctor                           檢查金鑰、網路、模型、磁碟與編碼
  source <(python main.py completion bash)        讓 Tab 鍵補完指令與選項

結果寫到標準輸出, 進度與說明寫到標準錯誤; 標準輸入不是終端機時絕不詢問。
結束代碼: 0 正常離開或全部有回答, 1 錯誤, 2 參數或設定有誤, 3 只有部分有回答, 130 以 Ctrl-C 中斷
""")
_ASK: Final = marked("""\
同時詢問檔案裡的每個問題 (每行一個), 回答寫到標準輸出。

  python main.py ask 問題.txt --json > 回答.jsonl
  cat 問題.txt | python main.py ask -

--json 的每一行: number, question, outcome (answered, failed, blocked, timed_out, cancelled, not_run),
answer, reason, model, source (model, cache, shared), truncated, seconds, attempts, tokens
""")
_ANALYZE: Final = marked("""\
分析檔案裡的每則文字; 可中斷, 再執行同一個指令就接著做。

  python main.py analyze 評論.csv --column 內容 --out 結果.csv --yes
  python main.py analyze 信件.txt --type category --labels 帳務,技術,其他 --out 報告.html
  python main.py analyze 評論.csv --type custom --instruction "找出產品與態度" --fields "產品,態度:好|普通|差"
""")


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What a command works with: results go to out, everything else to notes; stdin is where FILE - is read from.

    With --quiet notes goes nowhere, and nothing is asked; what must be said all the same is for warn(). stdin is None
    where it is closed.
    """

    engine: Engine
    out: Console
    notes: Console
    interrupts: Interrupts
    stdin: TextIO | None
    errors: Console

    def agrees(self, *, yes: bool, question: str, refusal: str = "") -> None:
        """Get the person's yes. Raises UsageError, with the refusal, where there is nobody to ask."""
        if yes:
            return
        if not (self.notes.is_interactive and self.notes.is_terminal):
            raise UsageError(refusal or tr("要執行的數量較多, 請加上 --yes 表示同意"))
        try:
            agreed = self.notes.agrees(question)
        except EOFError:
            agreed = False
        if not agreed:
            raise UsageError(tr("沒有執行, 因為沒有得到同意"))

    def warn(self, text: str) -> None:
        """Say on stderr what matters even to who wants it quiet. Never raises."""
        _tell(self.errors, text)


def read_options(arguments: Sequence[str], *, version: str) -> argparse.Namespace:
    """The options of the whole program. Raises SystemExit where they are wrong, or ask for help or the version."""
    return program_parser(version).read(arguments)


def program_parser(version: str = "") -> Parser:
    """The parser of the whole program, in the language in use now."""
    parser = Parser(
        prog=_PROGRAM,
        description=tr("並行處理與效能優化系統: 一次問 Gemini 許多問題"),
        epilog=tr(_EPILOG),
    )
    parser.add_argument(
        "--version", action="version", version=f"parallel_processing {version}", help=tr("顯示版本"),
    )  # fmt: skip
    add_commands(parser)
    return parser


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands to the program's own parser."""
    from workflows.analyze_command import add_analyze_options
    from workflows.ask_command import add_ask_options
    from workflows.cache_command import CACHE_ABOUT, add_cache_options
    from workflows.completion_command import COMPLETION_ABOUT, add_completion_options
    from workflows.doctor_command import DOCTOR_ABOUT, add_doctor_options
    from workflows.history_command import HISTORY_ABOUT, add_history_options
    from workflows.stats_command import STATS_ABOUT, add_stats_options

    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title=tr("指令"), parser_class=Parser)

    def add(name: str, short: str, about: str, add_options: Callable[[argparse.ArgumentParser], None]) -> None:
        add_options(commands.add_parser(name, help=tr(short), description=tr(about)))

    add("ask", marked("問檔案裡的每個問題"), _ASK, add_ask_options)
    add("analyze", marked("分析檔案裡的每則文字"), _ANALYZE, add_analyze_options)
    add("history", marked("以前的執行: 列出、再看、匯出、重問、比較、刪除"), HISTORY_ABOUT, add_history_options)
    add("cache", marked("快取裡的回答: 列出、看內容、刪除"), CACHE_ABOUT, add_cache_options)
    add("stats", marked("至今的用量、費用與時間"), STATS_ABOUT, add_stats_options)
    add("doctor", marked("檢查執行環境"), DOCTOR_ABOUT, add_doctor_options)
    add("completion", marked("讓 Tab 鍵補完指令與選項"), COMPLETION_ABOUT, add_completion_options)


def run_program(
    options: argparse.Namespace,
    out: Console,
    notes: Console,
    interrupts: Interrupts,
    settings: LayeredSettings,
    *,
    environ: Mapping[str, str],
    stdin: TextIO | None,
) -> int:
    """Do the command, which is not the doctor; returns the exit code. Raises OutputClosed and SettingsError."""
    if options.command == "completion":
        from workflows.completion_command import completion_command

        return _guarded(options, notes, interrupts, lambda: completion_command(options, out, program_parser()))
    with ExitStack() as stack:
        progress = notes
        if getattr(options, "quiet", False):
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            progress = Console(stdout=nowhere, environ=environ)
        for problem in settings.problems:
            progress.write_line(f"⚠️ {problem}")
        engine = Engine(settings.settings, on_note=progress.write_line, environ=environ)
        stack.callback(engine.close)
        line = CommandLine(engine, out, progress, interrupts, stdin, errors=notes)
        return _guarded(options, notes, interrupts, lambda: run_command(options, line))


def _guarded(options: argparse.Namespace, errors: Console, interrupts: Interrupts, action: Callable[[], int]) -> int:
    """The exit code of the action; whatever goes wrong, a script gets one sentence on stderr and an exit code."""
    try:
        return action()
    except (OutputClosed, SettingsError):
        raise
    except (KeyboardInterrupt, OperationCancelledError):
        _tell(errors, tr("⏹️ 已中斷; 已有的結果都保留"))
        return interrupts.leave_with or INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, a script gets one sentence and an exit code
        _tell(errors, failure_text(error))
        if getattr(options, "debug", False) and not isinstance(error, ParallelProcessingError):
            _tell(errors, traceback.format_exc())
        return USAGE if isinstance(error, UsageError) else ERROR


def _tell(errors: Console, text: str) -> None:
    with suppress(OutputClosed):  # nobody reads it: the exit code says it, too
        errors.write_line(text)


def run_command(options: argparse.Namespace, line: CommandLine) -> int:
    """Do what the command says; returns the exit code. Raises ParallelProcessingError for what a person should read."""
    from workflows.analyze_command import analyze_command
    from workflows.ask_command import ask_command
    from workflows.cache_command import cache_command
    from workflows.history_command import history_command
    from workflows.stats_command import stats_command

    commands: dict[str, Callable[[argparse.Namespace, CommandLine], int]] = {
        "ask": ask_command,
        "analyze": analyze_command,
        "history": history_command,
        "cache": cache_command,
        "stats": stats_command,
    }
    return commands[options.command](options, line)

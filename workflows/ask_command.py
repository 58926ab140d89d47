"""`ask`: a query set from a file or a pipe, without a question to the person."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

from core.errors import UsageError
from core.language import tr, tr_n
from core.outcome import Answer, Missing, Outcome
from core.ports import Prompt
from utils.cost_text import estimate_text, run_cost_line
from utils.rendering import answer_text
from utils.text_decoding import DecodedLine, LineDecoder, read_text_lines, replaced_note
from workflows.asking import Asking
from workflows.command_line import STDIN_CLOSED, CommandLine
from workflows.exit_codes import INTERRUPTED, OK, PARTIAL
from workflows.outlook import outlook
from workflows.parser import completes_files
from workflows.parts import ASK_ABOVE

__all__ = ["add_ask_options", "ask_all", "ask_command"]

_CHUNK: Final = 64 * 1024


def add_ask_options(parser: argparse.ArgumentParser) -> None:
    completes_files(parser.add_argument("file", metavar="FILE", help=tr("每行一個問題的文字檔; - 表示標準輸入")))
    parser.add_argument("--encoding", help=tr("檔案的編碼, 例如 big5 (預設: UTF-8, 或由 BOM 判斷)"))
    parser.add_argument("--json", action="store_true", help=tr("每個問題輸出一行 JSON"))
    parser.add_argument("--yes", action="store_true", help=tr_n("超過 {count} 個問題也直接執行", ASK_ABOVE))


def ask_command(options: argparse.Namespace, line: CommandLine) -> int:
    """Ask every line of the file and write each answer whole. Raises ParallelProcessingError as the menu does."""
    queries = list(_queries(options, line))
    if not queries:
        raise UsageError(tr("沒有問題可以問, 請給每行一個問題的檔案"))
    return ask_all(queries, line, as_json=options.json, yes=options.yes)


def ask_all(queries: Sequence[str], line: CommandLine, *, as_json: bool, yes: bool) -> int:
    """Ask the questions, write each answer whole, and return the exit code. Many are asked only after a yes."""
    line.engine.wait_until_loaded()
    if len(queries) > ASK_ABOVE:
        line.notes.write_line(estimate_text(outlook(line.engine, map(Prompt, queries))))
        line.agrees(yes=yes, question=tr("要執行嗎?"))
    *_, (_, report, cancelled) = Asking(line.notes, line.interrupts, line.engine).passes(queries)
    for number, (query, outcome) in enumerate(zip(queries, report.outcomes, strict=True), 1):
        if as_json:
            line.out.write_data(_as_row(number, query, outcome))
        else:
            line.out.write_line(answer_text(number, query, outcome) + "\n")
    if line.engine.last_run is not None:
        line.notes.write_line(run_cost_line(line.engine.last_run))
    if cancelled:
        return line.interrupts.leave_with or INTERRUPTED
    return OK if report.all_answered else PARTIAL


def _queries(options: argparse.Namespace, line: CommandLine) -> Iterator[str]:
    for decoded in _piped_lines(line.stdin, options.encoding) if options.file == "-" else _file_lines(options):
        if decoded.replaced:
            line.notes.write_line(replaced_note(decoded))
        if decoded.text.strip():
            yield decoded.text.strip()


def _file_lines(options: argparse.Namespace) -> Iterator[DecodedLine]:
    with read_text_lines(Path(options.file), encoding=options.encoding) as lines:
        yield from lines


def _piped_lines(stdin: TextIO | None, encoding: str | None) -> Iterator[DecodedLine]:
    if stdin is None:
        raise UsageError(tr(STDIN_CLOSED))
    decoder = LineDecoder(encoding=encoding)
    while data := stdin.buffer.read(_CHUNK):
        yield from decoder.feed(data)
    yield from decoder.finish()


def _as_row(number: int, query: str, outcome: Outcome[Answer]) -> Mapping[str, object]:
    answer = None if isinstance(outcome.value, Missing) else outcome.value
    return {
        "number": number,
        "question": query,
        "outcome": outcome.kind.value,
        "answer": None if answer is None else answer.text,
        "reason": outcome.reason,
        "model": "" if answer is None else answer.model,
        "source": "" if answer is None else answer.source.value,
        "truncated": answer is not None and answer.truncated,
        "seconds": round(outcome.run_seconds, 6),
        "attempts": outcome.figures.attempts,
        "tokens": 0 if answer is None else answer.usage.total_tokens,
    }

"""`analyze`: a bulk analysis of a file or a pipe, without a question to the person where --yes is given."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from core.bulk import BulkEnd
from core.errors import UsageError
from core.language import tr, tr_n
from core.scope import Scope
from optimizers.analyses import ANALYSES, Analysis, analysis_named
from optimizers.own_analyses import closed_category, custom_analysis, parse_fields, parse_labels
from utils.bulk_text import agreement_text, end_text
from utils.bulk_view import BulkView
from utils.cost_text import money_text
from utils.export_tables import row_object
from utils.exports import FORMATS, check_export
from utils.source_encoding import guess_encoding
from utils.source_preview import SourcePreview
from utils.spool import spool
from utils.text_source import SOURCE_FORMATS, SourceOptions, TextSource
from workflows.batch_command import run_as_batch
from workflows.bulk_job import BulkJob, bulk_directory
from workflows.command_line import STDIN_CLOSED, CommandLine
from workflows.exit_codes import INTERRUPTED, OK, PARTIAL
from workflows.housekeeping import tidy_up
from workflows.parser import completes_files
from workflows.parts import ASK_ABOVE

__all__ = ["add_analyze_options", "analyze_command", "chosen_analysis"]


def add_analyze_options(parser: argparse.ArgumentParser) -> None:
    completes_files(parser.add_argument("file", metavar="FILE", help=tr("文字檔、CSV/TSV 或 JSONL; - 表示標準輸入")))
    kinds = parser.add_argument_group(tr("要分析什麼"))
    kinds.add_argument("--type", default="sentiment", choices=(*ANALYSES, "custom"), help=tr("預設 sentiment"))
    kinds.add_argument("--labels", metavar="A,B,C", help=tr("category 只能用這些標籤"))
    kinds.add_argument("--instruction", metavar="TEXT", help=tr("custom 的指示"))
    kinds.add_argument("--fields", metavar="SPEC", help=tr("custom 的欄位, 例如 產品,價格:number,態度:正面|負面"))
    reading = parser.add_argument_group(tr("怎麼讀檔案"))
    reading.add_argument("--format", default="auto", choices=SOURCE_FORMATS, help=tr("預設由副檔名判斷"))
    reading.add_argument("--column", help=tr("CSV 的欄名或 JSON 的欄位"))
    reading.add_argument("--encoding", help=tr("預設 UTF-8, 或由 BOM 判斷; 也可以是 big5、cp950 等"))
    running = parser.add_argument_group(tr("怎麼執行"))
    running.add_argument("--pack", default="auto", metavar="auto|N|off", help=tr("一次請求放幾則文字"))
    checked = tr("先抽查 N 則 (最多 200), 比較合併與單獨詢問")
    running.add_argument("--check", type=int, default=0, metavar="N", help=checked)
    running.add_argument("--batch-api", action="store_true", help=tr("用 Gemini 的 Batch API: 半價, 數小時內完成"))
    running.add_argument("--resume", action="store_true", help=tr("只接續先前的批次; 沒有可接續的就不執行"))
    running.add_argument("--yes", action="store_true", help=tr_n("超過 {count} 則也直接執行", ASK_ABOVE))
    writing = parser.add_argument_group(tr("結果寫到哪裡"))
    formats = tr("格式由副檔名決定: {formats}", formats=", ".join(FORMATS))
    completes_files(writing.add_argument("--out", metavar="FILE", help=formats))
    writing.add_argument("--overwrite", action="store_true", help=tr("輸出檔已存在時覆寫"))
    writing.add_argument("--json", action="store_true", help=tr("每則文字在標準輸出寫一行 JSON"))


def chosen_analysis(options: argparse.Namespace) -> Analysis:
    """The analysis that the options ask for. Raises UsageError where they contradict each other."""
    if options.type == "custom":
        return custom_analysis(options.instruction or "", parse_fields(options.fields or ""))
    if options.instruction or options.fields:
        raise UsageError(tr("--instruction 與 --fields 只能和 --type custom 一起用"))
    if options.labels is None:
        return analysis_named(options.type)
    if options.type != "category":
        raise UsageError(tr("--labels 只能和 --type category 一起用"))
    return closed_category(parse_labels(options.labels))


def analyze_command(options: argparse.Namespace, line: CommandLine) -> int:
    """Analyse, and write the results where the options say. Raises ParallelProcessingError as the menu does."""
    analysis, pack = chosen_analysis(options), _pack(options.pack)
    source = _source(options, line)
    out = None if options.out is None else Path(options.out)
    if out is not None:
        check_export(out, overwrite=options.overwrite, inputs=[source.path])
    line.engine.wait_until_loaded()
    with BulkJob(line.engine, source, analysis, pack=pack, on_note=line.notes.write_line) as job:
        scope = Scope()
        with line.interrupts.during(scope.cancel):
            preview = job.look(scope)
        _agree(options, line, job, preview)
        if options.check > 0 and preview.to_ask:
            _check(options, line, job, scope)
        end = _run(options, line, job, scope)
        line.notes.write_line(end_text(end))
        _write(options, line, job, out)
    tidy_up(bulk_directory(), on_note=line.notes.write_line)
    return _exit_code(end, line)


def _check(options: argparse.Namespace, line: CommandLine, job: BulkJob, scope: Scope) -> None:
    with line.interrupts.during(scope.cancel):
        found = job.check(options.check, scope)
    line.notes.write_line(
        agreement_text(found.compared, found.agreed, found.low, found.high, found.left_out, comparable=found.comparable)
    )


def _run(options: argparse.Namespace, line: CommandLine, job: BulkJob, scope: Scope) -> BulkEnd:
    if options.batch_api:
        with line.interrupts.during(scope.cancel):
            return run_as_batch(job, line, scope)
    view = BulkView(line.notes, job.progress, money=_spent(line), limiter=line.engine.limiter_figures)
    with view, line.interrupts.during(scope.cancel):
        return job.run(scope)


def _source(options: argparse.Namespace, line: CommandLine) -> TextSource:
    path = Path(options.file).expanduser()
    if options.file == "-":
        if line.stdin is None:
            raise UsageError(tr(STDIN_CLOSED))
        path = spool(line.stdin.buffer, bulk_directory())
    guess = guess_encoding(path) if options.encoding is None and path.is_file() else None
    if guess is not None:
        message = tr(
            "檔案不是 UTF-8, 看起來是 {encoding} (第 {line:,} 行: {sample}); "
            "同意的話請加 --encoding {encoding}, 否則加 --encoding utf-8",
            encoding=guess.encoding, line=guess.line, sample=guess.sample,
        )  # fmt: skip
        raise UsageError(message)
    reading = SourceOptions(options.format, options.column, options.encoding)
    return TextSource(path, reading, on_note=line.notes.write_line)


def _pack(text: str) -> int | None:
    """Texts in a request; None: as many as turn out well."""
    if text == "auto":
        return None
    if text == "off":
        return 1
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 200):
        raise UsageError(tr("--pack 的值 {value} 不對, 請用 auto、off 或 1 到 200 的數字", value=repr(text[:20])))
    return int(text)


def _agree(options: argparse.Namespace, line: CommandLine, job: BulkJob, preview: SourcePreview) -> None:
    if not preview.texts:
        raise UsageError(tr("輸入裡沒有文字"))
    if options.resume and job.journal.session == 1:
        raise UsageError(tr("沒有可以接續的批次: 這個檔案和這種分析還沒有執行過"))
    line.notes.write_line(job.preview_text(width=line.notes.width))
    if preview.to_ask > ASK_ABOVE:
        line.agrees(yes=options.yes, question=tr("要執行嗎?"))


def _write(options: argparse.Namespace, line: CommandLine, job: BulkJob, out: Path | None) -> None:
    if options.json:
        for row in job.rows():
            line.out.write_data(row_object(row))
    if out is not None:
        count = job.export(out, overwrite=options.overwrite)
        line.notes.write_line(tr_n("📄 已寫入 {name} ({count:,} 列)", count, name=out.name))
    if not options.json:
        line.out.write_line(job.results_text(width=line.out.width))


def _spent(line: CommandLine) -> Callable[[], str]:
    before = line.engine.ledger.totals()
    return lambda: money_text((line.engine.ledger.totals() - before).money)


def _exit_code(end: BulkEnd, line: CommandLine) -> int:
    if end.cancelled:
        return line.interrupts.leave_with or INTERRUPTED
    return OK if end.complete else PARTIAL

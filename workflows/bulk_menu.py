"""Option 7 on a file: which analysis, which column, a look, the run, the results, the export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from core.bulk import BatchSpec, BulkEnd
from core.errors import UsageError
from core.language import marked, tr, tr_n
from core.scope import Scope
from optimizers.analyses import ANALYSES, Analysis
from optimizers.journal_files import list_journals
from optimizers.own_analyses import analysis_from_spec, closed_category, custom_analysis, parse_fields, parse_labels
from utils.bulk_text import end_text
from utils.bulk_view import BulkView
from utils.console import Console
from utils.cost_text import money_text
from utils.exports import FORMATS
from utils.interrupts import Interrupts
from utils.source_encoding import guess_encoding
from utils.text_source import SourceOptions, TextSource
from workflows.bulk_job import BulkJob, bulk_directory
from workflows.engine import Engine
from workflows.export_prompt import offer_export
from workflows.housekeeping import tidy_up
from workflows.parts import ASK_ABOVE
from workflows.steering import run_controls

__all__ = ["BulkMenu"]

_OWN: Final = (marked("分類 (自訂標籤)"), marked("自訂分析"))


class BulkMenu:
    """Leads a person through a bulk analysis; asks nothing that has an obvious answer, and without a terminal nothing.

    For the main thread. Raises as Session does.
    """

    def __init__(self, console: Console, interrupts: Interrupts, engine: Engine) -> None:
        self._console = console
        self._interrupts = interrupts
        self._engine = engine

    def unfinished(self) -> bool:
        """Offer to go on with the batch that was left last; True if that is what happened."""
        if not self._console.is_interactive:
            return False
        left = next((info for info in list_journals(bulk_directory()) if info.can_go_on and info.answered), None)
        if left is None or left.spec is None or not Path(left.spec.source).is_file():
            return False
        done = f"{left.answered:,}" + ("" if left.expected is None else f"/{left.expected:,}")
        name = Path(left.spec.source).name
        if not self._console.agrees(tr("上次未完成 {done}: {name}, 要繼續嗎?", done=done, name=name)):
            return False
        self._go_on(left.spec)
        return True

    def choose_analysis(self) -> Analysis | None:
        """Ask which analysis; None where the choice was none."""
        titles = [*(f"{tr(each.title)} ({each.name})" for each in ANALYSES.values()), *map(tr, _OWN)]
        self._console.write_line("\n".join(f"{number}. {title}" for number, title in enumerate(titles, 1)))
        choice = self._console.ask_plain(tr("選擇分析類型 (1-{most}): ", most=len(titles)))
        if choice not in map(str, range(1, len(titles) + 1)):
            self._console.write_line(tr("❌ 無效的選擇"))
            return None
        if int(choice) <= len(ANALYSES):
            return list(ANALYSES.values())[int(choice) - 1]
        if int(choice) == len(ANALYSES) + 1:
            return closed_category(parse_labels(self._console.ask(tr("標籤 (以逗號分開, 例如 帳務,技術,其他): "))))
        instruction = self._console.ask(tr("指示 (例如 找出評論提到的產品與態度): "))
        fields = self._console.ask(tr("欄位 (例如 產品,價格:number,態度:好|普通|差; 直接按 Enter 表示一個文字結果): "))
        return custom_analysis(instruction, parse_fields(fields))

    def analyze(self, path: Path, analysis: Analysis) -> None:
        """Analyse the file."""
        source = self._source(path)
        self._engine.wait_until_loaded()
        with BulkJob(self._engine, source, analysis, on_note=self._console.write_line) as job:
            self._run(job)
        tidy_up(bulk_directory(), on_note=self._console.write_line)

    def _go_on(self, spec: BatchSpec) -> None:
        options = SourceOptions(**json.loads(spec.reader))
        source = TextSource(Path(spec.source), options, on_note=self._console.note)
        self._engine.wait_until_loaded()
        with BulkJob(self._engine, source, analysis_from_spec(spec.analysis), on_note=self._console.write_line) as job:
            if job.model != spec.model:
                self._console.write_line(tr("⚠️ 現在的模型與上次不同, 已有的結果不能混用, 會從頭開始問"))
            self._run(job)

    def _source(self, path: Path) -> TextSource:
        """The file, with the person's word on what its bytes and columns mean where that is not plain."""
        guess = guess_encoding(path) if path.is_file() and self._console.is_interactive else None
        encoding = None
        if guess is not None:
            found = {"encoding": guess.encoding, "line": guess.line, "sample": guess.sample}
            self._console.write_line(tr("⚠️ 檔案不是 UTF-8, 看起來是 {encoding}; 第 {line} 行: {sample}", **found))
            agreed = self._console.agrees(tr("要用 {encoding} 讀嗎?", encoding=guess.encoding))
            encoding = guess.encoding if agreed else None
        options = SourceOptions(encoding=encoding)
        try:
            return TextSource(path, options, on_note=self._console.note)
        except UsageError as error:
            if path.suffix.lower() not in (".csv", ".tsv", ".tab") or not self._console.is_interactive:
                raise
            self._console.write_line(f"❌ {error.reason}")
        column = self._console.ask(tr("要分析哪一欄: "))
        return TextSource(path, SourceOptions(column=column.strip(), encoding=encoding), on_note=self._console.note)

    def _run(self, job: BulkJob) -> None:
        scope = Scope()
        with self._interrupts.during(scope.cancel):
            preview = job.look(scope)
        if not preview.texts:
            self._console.write_line(tr("❌ 檔案裡沒有文字"))
            return
        self._console.write_line(job.preview_text(width=self._console.width))
        if preview.to_ask > ASK_ABOVE and self._console.is_interactive and not self._console.agrees(tr("要執行嗎?")):
            return
        title = tr(job.analysis.title)
        self._console.write_line(tr_n("📦 開始批次處理 {count:,} 則文字 ({title})", preview.to_ask, title=title))
        view = BulkView(
            self._console,
            job.progress,
            money=lambda: money_text(self._engine.spent().money),
            limiter=self._engine.limiter_figures,
            controls=run_controls(self._engine, scope.cancel),
        )
        with view, self._interrupts.during(scope.cancel):
            end = job.run(scope)
        self._console.discard_typed()
        self._save_the_rest(job, end)
        self._console.write_line(end_text(end))
        if not end.cancelled:  # counting reads the whole input again: whoever has stopped wants the menu back at once
            self._console.write_line(job.results_text(width=self._console.width))
            if self._console.is_interactive:
                offer_export(self._console, FORMATS, lambda path, overwrite: job.export(path, overwrite=overwrite))

    def _save_the_rest(self, job: BulkJob, end: BulkEnd) -> None:
        """Answers that found no room on the disk: try again as long as the person wants to."""
        left = end.unsaved
        while left and self._console.is_interactive:
            question = tr_n("磁碟已滿, {count:,} 則結果仍在記憶體: 按 r 重試, 其他鍵放棄: ", left)
            answer = self._console.ask_plain(question)
            if answer.lower() != "r":
                return
            left = job.save_again()

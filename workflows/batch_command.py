"""`analyze --batch-api`: the texts through Gemini's Batch API, at half the price, within hours."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from core.batch_port import BatchJob, BatchState
from core.bulk import BulkEnd, BulkProgress
from core.errors import SettingsError, UsageError
from core.language import marked, tr, tr_n
from core.outcome import OutcomeKind
from core.scope import Scope
from optimizers.batch_jobs import BatchJobs
from workflows.bulk_job import BulkJob
from workflows.command_line import CommandLine

__all__ = ["run_as_batch"]

_STATES: Final = {
    BatchState.PENDING: marked("排隊中"),
    BatchState.RUNNING: marked("執行中"),
    BatchState.SUCCEEDED: marked("完成"),
    BatchState.FAILED: marked("失敗"),
    BatchState.CANCELLED: marked("已取消"),
    BatchState.EXPIRED: marked("已過期"),
    BatchState.STALLED: marked("沒有進展"),
}


def run_as_batch(job: BulkJob, line: CommandLine, scope: Scope) -> BulkEnd:
    """Hand over what is open, wait, and write down the answers. Raises as the commands do.

    Whoever interrupts the wait loses nothing: the job goes on at the service, and the same command collects it.
    """
    settings = line.engine.settings
    if settings.offline:
        raise UsageError(tr("Batch API 需要真正的 Gemini, 請先設定 GEMINI_API_KEY"))
    try:
        from core.providers.google_batch import GoogleBatchService

        service = GoogleBatchService(settings)
    except SettingsError as error:
        raise UsageError(
            tr("{reason}; Batch API 需要 requirements-genai.txt 的套件", reason=error.reason)
        ) from None

    def tell(state: BatchJob) -> None:
        at = datetime.now(UTC).astimezone()
        counts = f" {state.done:,}/{state.total:,}" if state.total else ""
        told = tr("📬 {at:%H:%M:%S} 批次工作 {state}", at=at, state=tr(_STATES[state.state]))
        line.notes.write_line(f"{told}{counts} {state.note}".rstrip())

    jobs = BatchJobs(service, job.journal, job.analysis, on_state=tell)
    try:
        count = jobs.submit(job.source.items, scope)
        if count:
            line.notes.write_line(
                tr_n("📬 已送出 {count:,} 則文字; 中斷等待不會取消工作, 再執行同一個指令就會收取結果", count)
            )
        ended = jobs.collect(scope)
    finally:
        service.close()
    return _end(job, ended)


def _end(job: BulkJob, ended: tuple[BatchJob, ...]) -> BulkEnd:
    counts = job.journal.counts()
    answered = counts.get(OutcomeKind.ANSWERED, 0)
    failed = sum(counts.values()) - answered
    totals = job.journal.totals()
    progress = BulkProgress(
        expected=job.journal.expected, answered=answered, failed=failed, requests=totals.requests, usage=totals.usage
    )
    wrong = next((each for each in ended if each.state is not BatchState.SUCCEEDED), None)
    if wrong is None:
        return BulkEnd(progress, "")
    return BulkEnd(progress, wrong.note or tr("批次工作{state}", state=tr(_STATES[wrong.state])))

"""Gemini's Batch API through google-genai: half the price, answers within a day or two."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from typing import IO, Any, Final

from core.batch_port import BatchAnswers, BatchJob, BatchState
from core.errors import ErrorKind, ModelError, StorageError, UsageError
from core.language import marked, tr
from core.ports import Prompt
from core.providers._gemini_request import GenerationParameters
from core.providers._genai_batch_answers import FileAnswers
from core.providers._genai_batch_http import BatchLink, downloaded
from core.providers._genai_batch_spool import Spool
from core.providers._genai_batch_wire import is_job_name, mapping, read_job, request_line
from core.providers._genai_http import GOOGLE_URL, GenaiClient
from core.scope import Scope
from core.settings import Settings

__all__ = ["LARGEST_FILE", "GoogleBatchService"]

LARGEST_FILE: Final = 2_000_000_000  # bytes of requests that the service takes in one job
_PAGE: Final = 100
_CHECK_EVERY: Final = 256  # requests written between two looks at the scope
_GONE: Final = marked("伺服器上已沒有這個批次工作; 請重新送出, 或改用一般方式執行")


class GoogleBatchService:
    """Core's BatchService over google-genai. Thread-safe; the SDK is imported by the first call.

    Requests always travel as an uploaded file and never inlined: answers to inlined requests come back out of
    order and often without the metadata that would tell whose they are, while a file's answers carry the key of
    their request. Requests and answers pass through unnamed temporary files; neither is held in memory.

    Raises SettingsError at construction where the SDK or the key is missing.
    """

    def __init__(
        self, settings: Settings, *, parameters: GenerationParameters | None = None, largest_file: int = LARGEST_FILE
    ) -> None:
        self._link = BatchLink(settings)
        self._model = settings.model
        self._parameters = (parameters or GenerationParameters()).given()
        self._largest_file = largest_file
        # The address to upload to is the server's word; with this the SDK keeps to the endpoint's own host.
        self._origin = GOOGLE_URL if settings.endpoint is None else settings.endpoint.url

    def submit(self, requests: Iterable[tuple[str, Prompt]], *, display_name: str, scope: Scope) -> BatchJob:
        with contextlib.closing(Spool(self._largest_file)) as spool:
            self._write(spool, requests, scope)
            job: BatchJob = self._link.call(scope, lambda client: self._send(client, spool.file, display_name))
        return job

    def job(self, name: str, scope: Scope) -> BatchJob:
        _check_name(name)
        try:
            return self._link.reply(scope, lambda client: client.sdk.aio.batches.get(name=name), self._read)
        except ModelError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
            return BatchJob(name, BatchState.EXPIRED, note=tr(_GONE))

    def find(self, display_name: str, scope: Scope) -> BatchJob | None:
        found: list[BatchJob] = []
        token, tokens = "", set[str]()
        while token not in tokens:
            tokens.add(token)
            jobs, token = self._page(display_name, token, scope)
            found += jobs
        return max(found, key=_usefulness, default=None)

    def answers(self, job: BatchJob, ids: Collection[str], scope: Scope) -> BatchAnswers:
        if job.state is not BatchState.SUCCEEDED:
            raise UsageError(tr("批次工作 {name} 沒有答案可以取 ({state}), 請等它完成", name=job.name, state=job.state))
        if not job.answers_at:
            raise ModelError(ErrorKind.BAD_RESPONSE, tr("批次工作完成了, 但沒有回答檔案"))
        spool = Spool(self._largest_file)
        try:
            self._download(job.answers_at, spool, scope)
            wall = scope.clock.wall()
            return FileAnswers(spool, ids, model=self._model, redact=self._link.redact, wall=wall)
        except BaseException:
            spool.close()
            raise

    def cancel(self, name: str, scope: Scope) -> None:
        _check_name(name)
        try:
            self._link.reply(scope, lambda client: client.sdk.aio.batches.cancel(name=name), dict)
        except ModelError:
            if not self.job(name, scope).ended:  # one that has ended cannot be cancelled, which is no failure
                raise

    def close(self) -> None:
        """End the calls in flight, every connection and the thread. Idempotent."""
        self._link.close()

    def _write(self, spool: Spool, requests: Iterable[tuple[str, Prompt]], scope: Scope) -> None:
        ids: set[str] = set()
        for number, (key, prompt) in enumerate(requests):
            if number % _CHECK_EVERY == 0:
                scope.check()
            if key in ids or not key:
                raise UsageError(tr("每個請求要有自己的代號, 不能空白或重複: {key!r}", key=key))
            ids.add(key)
            self._append(spool, request_line(key, prompt, self._parameters))
        if not ids:
            raise UsageError(tr("沒有任何請求, 至少要有一個才能送出"))
        spool.rewind()

    def _append(self, spool: Spool, line: bytes) -> None:
        with contextlib.suppress(ValueError):
            spool.write(line)
            return
        too_much = UsageError(tr("這批請求超過 {most:,} 位元組, 請分成幾批送出", most=self._largest_file))
        raise spool.problem or too_much

    async def _send(self, client: GenaiClient, file: IO[bytes], display_name: str) -> BatchJob | ModelError:
        aio = client.sdk.aio
        described = {"mime_type": "jsonl", "display_name": display_name, "http_options": {"base_url": self._origin}}
        uploaded = await aio.files.upload(file=file, config=described)
        named = {"display_name": display_name}
        return await self._link.read_reply(
            lambda: aio.batches.create(model=self._model, src=uploaded.name, config=named), self._read
        )

    def _page(self, display_name: str, token: str, scope: Scope) -> tuple[list[BatchJob], str]:
        """The jobs of that name on one page of the list, and where the next page begins ("": nowhere)."""
        config: dict[str, Any] = {"page_size": _PAGE, **({"page_token": token} if token else {})}

        def read(data: Mapping[str, Any]) -> tuple[list[BatchJob], str]:
            operations = data.get("operations")
            named = [
                self._read(operation)
                for operation in (operations if isinstance(operations, list) else [])
                if mapping(mapping(operation).get("metadata")).get("displayName") == display_name
            ]
            return [job for job in named if job is not None], str(data.get("nextPageToken") or "")

        return self._link.reply(scope, lambda client: client.sdk.aio.batches.list(config=config), read)

    def _download(self, name: str, spool: Spool, scope: Scope) -> None:
        problem: ModelError | StorageError | None = None
        try:
            self._link.call(scope, lambda client: _fetch(client, name, spool))
        except ModelError as error:
            problem = spool.problem or error
            if spool.full:
                problem = ModelError(ErrorKind.TOO_LARGE, tr("批次工作的回答檔案"))
            elif error.kind is ErrorKind.NOT_FOUND:
                problem = ModelError(ErrorKind.BAD_RESPONSE, tr("回答檔案已不在伺服器上, 請重新送出這批請求"))
        if problem is not None:
            raise problem

    def _read(self, data: Mapping[str, Any]) -> BatchJob | None:
        return read_job(data, self._link.redact)


async def _fetch(client: GenaiClient, name: str, spool: Spool) -> None:
    await downloaded(lambda: client.sdk.aio.files.download(file=name, destination=spool))


def _check_name(name: str) -> None:
    if not is_job_name(name):
        raise UsageError(tr("批次工作的名稱不對: {name!r}, 它的樣子是 batches/…", name=name))


def _usefulness(job: BatchJob) -> tuple[bool, bool, float]:
    return job.state is BatchState.SUCCEEDED, not job.ended, job.created_at

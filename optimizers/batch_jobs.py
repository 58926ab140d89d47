"""A bulk run through a batch API: texts handed over in one job, its answers collected into the same journal."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from core.batch_port import BatchAnswers, BatchJob, BatchService, BatchState, batch_label, submit_once, watch
from core.bulk import ItemResult, RequestCost, TextItem
from core.errors import ErrorKind, ModelError
from core.outcome import Answer, OutcomeKind, Usage
from core.ports import Prompt
from core.scope import Scope
from optimizers.analyses import Analysis, values_of
from optimizers.journal import Journal, Standing

__all__ = ["BatchJobs"]

GIVE_UP_AFTER: Final = 24 * 3600.0  # seconds without any movement
_AT_ONCE: Final = 200  # results in one commit
_BLOCKED: Final = frozenset({ErrorKind.BLOCKED, ErrorKind.RECITATION})


class BatchJobs:
    """Runs a journal through a BatchService. For one thread; the journal may be read by others meanwhile.

    Each text is a request of its own, known by its key: nothing has to be remembered but keys, and an answer that
    the service files under a wrong id cannot be taken for another text's label. The job's name is kept before it is
    waited for, and is looked for before it is made, so that neither a crash nor a second start pays twice.
    """

    def __init__(
        self,
        service: BatchService,
        journal: Journal,
        analysis: Analysis,
        *,
        on_state: Callable[[BatchJob], object] = lambda _: None,
        give_up_after: float = GIVE_UP_AFTER,
        poll: float = 30.0,
    ) -> None:
        self._service = service
        self._journal = journal
        self._analysis = analysis
        self._on_state = on_state
        self._give_up_after = give_up_after
        self._poll = poll

    def submit(self, items: Callable[[], Iterable[TextItem]], scope: Scope) -> int:
        """Hand over every text that is to be asked; returns how many. items reads the input anew at each call."""
        keys = list(dict.fromkeys(item.key for item in self._open(items())))
        if not keys:
            return 0
        names = [key.hex() for key in keys]
        label = batch_label(self._journal.spec.digest, names, attempt=self._journal.jobs_ended() + 1)
        job = submit_once(self._service, self._requests(items(), set(keys)), display_name=label, scope=scope)
        self._journal.add_job(job.name, keys)
        return len(keys)

    def collect(self, scope: Scope) -> tuple[BatchJob, ...]:
        """Wait for the journal's open jobs, one after the other, and write down what they answered.

        A job that ended without answers is closed: its texts are open again. Raises ModelError, ScopeError and
        StorageError; the jobs stay open then, and are there for the next collect().
        """
        ended = []
        for name, keys in self._journal.open_jobs().items():
            job = watch(
                self._service, name, scope=scope, give_up_after=self._give_up_after, on_state=self._on_state,
                poll=self._poll,
            )  # fmt: skip
            if job.state is BatchState.SUCCEEDED:
                self._take(job, keys, scope)
            if job.state is not BatchState.STALLED:
                self._journal.close_job(name, job.state.value)
            ended.append(job)
        return tuple(ended)

    def _open(self, items: Iterable[TextItem]) -> Iterator[TextItem]:
        return (item for item in items if self._journal.standing(item.key) is Standing.OPEN)

    def _requests(self, items: Iterable[TextItem], keys: set[bytes]) -> Iterator[tuple[str, Prompt]]:
        for item in items:
            if item.key in keys:
                keys.discard(item.key)
                yield item.key.hex(), self._analysis.prompt(item.text)

    def _take(self, job: BatchJob, keys: Sequence[bytes], scope: Scope) -> None:
        answers = self._service.answers(job, frozenset(key.hex() for key in keys), scope)
        with contextlib.closing(answers):
            for results, cost in self._results(answers):
                self._journal.record(results, cost)

    def _results(self, answers: BatchAnswers) -> Iterator[tuple[list[ItemResult], RequestCost]]:
        results: list[ItemResult] = []
        usage = Usage()
        for name, answer in answers:
            if isinstance(answer, Answer):
                usage += answer.usage
            results.append(self._result(bytes.fromhex(name), answer))
            if len(results) == _AT_ONCE:
                yield results, RequestCost(len(results), usage)
                results, usage = [], Usage()
        if results:
            yield results, RequestCost(len(results), usage)

    def _result(self, key: bytes, answer: Answer | ModelError) -> ItemResult:
        try:
            if isinstance(answer, ModelError):
                raise answer
            values = values_of(self._analysis, answer.text)
        except ModelError as error:
            kind = OutcomeKind.BLOCKED if error.kind in _BLOCKED else OutcomeKind.FAILED
            return ItemResult(key, kind, reason=error.reason, attempts=1)
        return ItemResult(key, OutcomeKind.ANSWERED, json.dumps(values, ensure_ascii=False, sort_keys=True), attempts=1)

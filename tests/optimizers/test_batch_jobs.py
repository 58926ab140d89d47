"""A bulk run through a batch API."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pytest

from core.batch_port import BatchJob, BatchState
from core.bulk import BatchSpec, ItemResult, RequestCost, TextItem, text_key
from core.errors import ErrorKind, ModelError, OperationCancelledError
from core.outcome import Answer, OutcomeKind, Usage
from core.ports import Prompt
from core.scope import Scope
from core.settings import Secret, Settings
from optimizers.analyses import ANALYSES
from optimizers.batch_jobs import BatchJobs
from optimizers.journal import Journal, Standing
from tests.servers import LoopbackGemini
from tests.servers.batch_side import BatchPlan
from tests.servers.records import SeenRequest
from tests.servers.replies import Reply, answer

SENTIMENT = ANALYSES["sentiment"]
TEXTS = ("很好", "很差", "普通", "很好")
ITEMS = [TextItem(number, text, number) for number, text in enumerate(TEXTS, 1)]
SPEC = BatchSpec("/texts.txt", "lines", SENTIMENT.spec, "m")


class Answers(Iterator[tuple[str, Answer | ModelError]]):
    foreign = doubled = missing = 0

    def __init__(self, found: Iterable[tuple[str, Answer | ModelError]]) -> None:
        self._found = iter(found)

    def __next__(self) -> tuple[str, Answer | ModelError]:
        return next(self._found)

    def close(self) -> None:
        pass


class Service:
    """A batch API in memory, whose jobs end as told; the label of a text is its own words."""

    def __init__(self, end: BatchState = BatchState.SUCCEEDED) -> None:
        self.end = end
        self.jobs: dict[str, dict[str, Prompt]] = {}
        self.lost = False

    def submit(self, requests: Iterable[tuple[str, Prompt]], *, display_name: str, scope: Scope) -> BatchJob:
        self.jobs[display_name] = dict(requests)
        if self.lost:
            raise ModelError(ErrorKind.RESET)
        return BatchJob(display_name, BatchState.PENDING)

    def job(self, name: str, scope: Scope) -> BatchJob:
        return BatchJob(name, self.end, note="" if self.end is BatchState.SUCCEEDED else "壞了")

    def find(self, display_name: str, scope: Scope) -> BatchJob | None:
        return BatchJob(display_name, BatchState.RUNNING) if display_name in self.jobs else None

    def answers(self, job: BatchJob, ids: Collection[str], scope: Scope) -> Answers:
        assert ids == set(self.jobs[job.name])
        return Answers((name, self._answer(prompt)) for name, prompt in self.jobs[job.name].items())

    def _answer(self, prompt: Prompt) -> Answer | ModelError:
        text = json.loads(prompt.text)["text"]
        if text == "很差":
            return ModelError(ErrorKind.BLOCKED)
        label = {"很好": "正面"}.get(text, "隨便")
        return Answer(json.dumps({"result": label}), "m", Usage(10, 2))

    def cancel(self, name: str, scope: Scope) -> None:
        raise AssertionError

    def close(self) -> None:
        pass


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path, SPEC) as journal:
        yield journal


def run(service: Service, journal: Journal) -> tuple[BatchJob, ...]:
    jobs = BatchJobs(service, journal, SENTIMENT)
    jobs.submit(lambda: ITEMS, Scope())
    return jobs.collect(Scope())


def test_each_distinct_text_is_one_request_and_ends_in_the_journal(journal: Journal) -> None:
    """Twins are one request; a label outside the set and a blocked text are failures of their own."""
    service = Service()
    (ended,) = run(service, journal)
    assert ended.state is BatchState.SUCCEEDED
    (requests,) = service.jobs.values()
    assert len(requests) == 3
    good, bad, odd = (journal.get(text_key(text)) for text in TEXTS[:3])
    assert good == ItemResult(text_key("很好"), OutcomeKind.ANSWERED, '{"result": "正面"}', attempts=1)
    assert bad is not None
    assert odd is not None
    assert (bad.kind, odd.kind) == (OutcomeKind.BLOCKED, OutcomeKind.FAILED)
    assert "不在 正面、中性、負面 之中" in odd.reason
    assert journal.totals() == RequestCost(3, Usage(20, 4))
    assert journal.open_jobs() == {}


def test_what_is_done_or_handed_over_is_not_handed_over_again(journal: Journal) -> None:
    """A second start submits only what is open, and finds the first job by the journal."""
    service = Service()
    journal.record([ItemResult(text_key("很好"), OutcomeKind.ANSWERED, '{"result": "正面"}')], RequestCost())
    jobs = BatchJobs(service, journal, SENTIMENT)
    assert jobs.submit(lambda: ITEMS, Scope()) == 2
    assert journal.standing(text_key("普通")) is Standing.SUBMITTED
    assert jobs.submit(lambda: ITEMS, Scope()) == 0
    assert len(service.jobs) == 1


def test_a_job_whose_making_was_cut_off_is_found_and_not_paid_twice(journal: Journal) -> None:
    """The service has the job, the journal does not: the next start finds it by its name."""
    service = Service()
    service.lost = True
    jobs = BatchJobs(service, journal, SENTIMENT)
    with pytest.raises(ModelError):
        jobs.submit(lambda: ITEMS, Scope())
    assert journal.open_jobs() == {}
    service.lost = False
    assert jobs.submit(lambda: ITEMS, Scope()) == 3
    assert len(service.jobs) == 1
    jobs.collect(Scope())
    assert journal.counts()[OutcomeKind.ANSWERED] == 1


@pytest.mark.parametrize("end", [BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELLED])
def test_a_job_that_ended_without_answers_leaves_its_texts_open(journal: Journal, end: BatchState) -> None:
    """The job is closed, the texts are to be asked, and the next job has another name."""
    service = Service(end)
    (ended,) = run(service, journal)
    assert (ended.state, ended.note) == (end, "壞了")
    assert journal.standing(text_key("很好")) is Standing.OPEN
    service.end = BatchState.SUCCEEDED
    run(service, journal)
    assert len(service.jobs) == 2
    assert journal.standing(text_key("很好")) is Standing.SETTLED


def test_whoever_stops_waiting_loses_nothing(journal: Journal) -> None:
    """The wait ends, the job stays open, and a later collect() takes its answers."""
    service = Service(BatchState.RUNNING)
    jobs = BatchJobs(service, journal, SENTIMENT)
    jobs.submit(lambda: ITEMS, Scope())
    whole = Scope()
    service_job = service.job

    def cancel_then(name: str, scope: Scope) -> BatchJob:
        whole.cancel()
        return service_job(name, scope)

    service.job = cancel_then  # type: ignore[method-assign]  # a stub of a stub
    with pytest.raises(OperationCancelledError):
        jobs.collect(whole)
    assert len(journal.open_jobs()) == 1
    service.job, service.end = service_job, BatchState.SUCCEEDED  # type: ignore[method-assign]
    jobs.collect(Scope())
    assert journal.counts()[OutcomeKind.ANSWERED] == 1


def test_many_answers_are_written_in_portions(journal: Journal) -> None:
    """Nothing is held until the end: 450 answers are three commits."""
    items = [TextItem(number, f"很好 {number}", number) for number in range(450)]
    service = Service()
    service._answer = lambda prompt: Answer('{"result": "正面"}', "m")  # type: ignore[method-assign]
    portions: list[int] = []
    record = journal.record
    journal.record = lambda results, cost: (portions.append(len(results)), record(results, cost))[1]  # type: ignore[func-returns-value,method-assign]
    jobs = BatchJobs(service, journal, SENTIMENT)
    jobs.submit(lambda: items, Scope())
    jobs.collect(Scope())
    assert portions == [200, 200, 50]


@pytest.mark.skipif(
    importlib.util.find_spec("google") is None or importlib.util.find_spec("google.genai") is None,
    reason="google-genai is not installed",
)
def test_the_real_sdk_against_a_loopback_server(tmp_path: Path) -> None:
    """60 texts handed over, two answers lost on the way, one doubled: those are failures, all others are right."""
    from core.providers.google_batch import GoogleBatchService

    items = [TextItem(number, f"第 {number} 則很{'好' if number % 2 else '差'}", number) for number in range(60)]
    names = [item.key.hex() for item in items]

    def script(seen: SeenRequest) -> Reply:
        return answer(json.dumps({"result": "正面" if "很好" in seen.text else "負面"}))

    with LoopbackGemini(script=script) as server, Journal(tmp_path, SPEC) as journal:
        server.batches.plan(
            BatchPlan(polls=1, missing=frozenset(names[3:5]), doubled=frozenset(names[7:8]), foreign=("0" * 32,))
        )
        settings = Settings(api_key=Secret("k"), sdk="google-genai", endpoint=server.rest_endpoint)
        with contextlib.closing(GoogleBatchService(settings)) as service:
            jobs = BatchJobs(service, journal, SENTIMENT, poll=0.05)
            assert jobs.submit(lambda: items, Scope()) == 60
            jobs.collect(Scope())
        assert journal.counts() == {OutcomeKind.ANSWERED: 57, OutcomeKind.FAILED: 3}
        for number, item in enumerate(items):
            found = journal.get(item.key)
            assert found is not None
            if number not in (3, 4, 7):
                assert json.loads(found.values)["result"] == ("正面" if number % 2 else "負面")

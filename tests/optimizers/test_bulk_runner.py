"""BulkRunner over the real executor and journal: everything answered once, nothing lost, every figure true."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.bulk import BatchSpec, BulkEnd, BulkProgress, TextItem, text_key
from core.clock import SYSTEM_CLOCK
from core.errors import ErrorKind, ModelError, StorageError
from core.outcome import Answer, OutcomeKind, Usage
from core.parallel_executor import ParallelExecutor
from core.ports import Prompt
from core.scope import Scope
from optimizers.analyses import ANALYSES
from optimizers.bulk_runner import BulkRunner
from optimizers.journal import Journal, Standing
from optimizers.measured_model import MeasuredModel
from optimizers.pack_size import PackSize
from tests.fakes import FakeClock, FunctionModel

SENTIMENT = ANALYSES["sentiment"]
LABELS = SENTIMENT.labels
SPEC = BatchSpec("/texts.txt", "{}", SENTIMENT.spec, "fake")
Reply = Callable[[list[str], Scope], str | Answer | None]


def label_of(text: str) -> str:
    return LABELS[text_key(text)[0] % 3]


def texts_of(prompt: Prompt) -> list[str]:
    data = json.loads(prompt.text)
    return [data["text"]] if "text" in data else [each["text"] for each in data["texts"]]


def reply(prompt: Prompt, leave_out: Iterable[str] = (), wrong: Iterable[str] = ()) -> str:
    """The right answer to the prompt, but for the texts named."""
    data = json.loads(prompt.text)
    labels = {text: "無" if text in set(wrong) else label_of(text) for text in texts_of(prompt)}
    if "text" in data:
        return json.dumps({"result": labels[data["text"]]})
    left_out = set(leave_out)
    results = [{"id": e["id"], "result": labels[e["text"]]} for e in data["texts"] if e["text"] not in left_out]
    return json.dumps({"results": results})


def items(texts: Iterable[str]) -> Iterator[TextItem]:
    return (TextItem(number, text, number) for number, text in enumerate(texts, 1))


def wait_until(holds: Callable[[], bool]) -> None:
    until = SYSTEM_CLOCK.now() + 20
    while not holds():
        assert SYSTEM_CLOCK.now() < until
        threading.Event().wait(0.001)


class Bench:
    """A journal, an executor, and a model that answers rightly unless told otherwise. A session is one run()."""

    def __init__(self, directory: Path, *, workers: int = 3) -> None:
        self.directory = directory
        self.journal = Journal(directory, SPEC)
        self.journal._connection.execute("PRAGMA synchronous = OFF")  # these tests do not cut the power
        self.executor = ParallelExecutor(workers)
        self.model = FunctionModel(lambda prompt, scope: reply(prompt))
        self.runner: BulkRunner | None = None

    def close(self) -> None:
        self.executor.close()
        self.journal.close()

    def behave(self, behaviour: Callable[[Prompt, Scope], str | Answer]) -> None:
        self.model = FunctionModel(behaviour)

    def run(self, texts: Iterable[str], *, pack: int | None = 4, scope: Scope | None = None, **more: Any) -> BulkEnd:
        self.runner = BulkRunner(
            model=MeasuredModel(self.model), executor=self.executor, journal=self.journal, analysis=SENTIMENT,
            pack_size=PackSize(fixed=pack) if pack else None, **more,
        )  # fmt: skip
        return self.runner.run(items(texts), scope=scope or Scope())

    def wait_for(self, *, answers: int) -> None:
        """Return once so many are written down."""
        wait_until(lambda: self.journal.counts().get(OutcomeKind.ANSWERED, 0) >= answers)

    def asked(self) -> list[list[str]]:
        return [texts_of(prompt) for prompt in list(self.model.prompts)]

    def times_asked(self) -> Counter[str]:
        return Counter(text for texts in self.asked() for text in texts)

    def labels(self, texts: Iterable[str]) -> dict[str, str | None]:
        """What the journal has of them: a label, the kind of a failure, or None."""
        found: dict[str, str | None] = {}
        for text in texts:
            result = self.journal.get(text_key(text))
            found[text] = None if result is None else (
                json.loads(result.values)["result"] if result.answered else result.kind.value
            )  # fmt: skip
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "bulk")
    yield bench
    bench.close()


def numbered(count: int) -> list[str]:
    return [f"文字 {number}" for number in range(count)]


def right(texts: Iterable[str]) -> dict[str, str | None]:
    return {text: label_of(text) for text in texts}


# Nothing goes wrong


def test_every_text_is_asked_once_and_has_its_label(bench: Bench) -> None:
    """In as few requests as the pack size allows, with the figures to match."""
    end = bench.run(numbered(41), expected=41)
    assert bench.labels(numbered(41)) == right(numbered(41))
    assert set(bench.times_asked().values()) == {1}
    assert bench.model.calls == 11
    progress = end.progress
    assert (progress.read, progress.answered, progress.failed, progress.requests) == (41, 41, 0, 11)
    assert (progress.in_flight, progress.waiting, progress.twins, progress.done_before) == (0, 0, 0, 0)
    assert (progress.usage, progress.share, end.complete) == (Usage(11, 11), 1.0, True)


def test_an_empty_input_is_complete(bench: Bench) -> None:
    """Nothing to ask, nothing asked."""
    end = bench.run([], expected=0)
    assert (end.complete, bench.model.calls, end.progress) == (True, 0, BulkProgress(
        expected=0, pack_size=4, seconds=end.progress.seconds))  # fmt: skip


def test_twins_are_asked_once(bench: Bench) -> None:
    """Near each other or far apart, in flight or settled."""
    texts = ["甲", "甲", *numbered(30), "甲", "文字 3"]
    end = bench.run(texts)
    assert set(bench.times_asked().values()) == {1}
    assert (end.progress.read, end.progress.twins, end.progress.answered) == (34, 3, 31)


def test_what_was_answered_before_is_not_asked(bench: Bench) -> None:
    """Another session asks what is new and what failed, and counts the rest as done before."""
    bench.behave(lambda prompt, scope: reply(prompt, wrong=["文字 2"]))
    first = bench.run(numbered(10), pack=1)
    assert (first.progress.answered, first.progress.failed, first.complete) == (9, 1, False)
    bench.behave(lambda prompt, scope: reply(prompt))
    bench.journal.begin_session()
    second = bench.run(numbered(12))
    assert sorted(bench.times_asked()) == ["文字 10", "文字 11", "文字 2"]
    assert (second.progress.done_before, second.progress.answered) == (9, 3)
    assert bench.labels(numbered(12)) == right(numbered(12))


def test_what_is_known_to_be_done_at_the_beginning_is_not_looked_up(bench: Bench) -> None:
    """A resume passes over it and counts it as what it is; the rest is asked as ever."""
    texts = [*numbered(6), *numbered(2)]
    bench.run(texts)
    looked_up: list[bytes] = []
    standing = bench.journal.standing

    def watched(key: bytes) -> Standing:
        looked_up.append(key)
        return standing(key)

    bench.journal.standing = watched  # type: ignore[method-assign]  # watched from outside
    bench.journal.begin_session()
    runner = BulkRunner(
        model=MeasuredModel(bench.model), executor=bench.executor, journal=bench.journal, analysis=SENTIMENT
    )
    end = runner.run(items([*texts, "新的"]), scope=Scope(), done_first=(8, 6))
    progress = end.progress
    assert (progress.read, progress.done_before, progress.twins, progress.answered) == (9, 6, 2, 1)
    assert looked_up == [text_key("新的")]
    assert bench.labels(["新的"]) == right(["新的"])


def test_what_is_part_of_a_batch_job_is_not_asked(bench: Bench) -> None:
    """It is counted apart."""
    bench.journal.add_job("batches/1", [text_key("文字 0")])
    end = bench.run(numbered(3))
    assert (end.progress.submitted, end.progress.answered, bench.times_asked()["文字 0"]) == (1, 2, 0)


def test_the_input_is_read_no_further_than_needed(bench: Bench) -> None:
    """While nothing is answered, so many texts are read as fit into the executor, and never all of them."""
    gate = threading.Event()
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        for read in range(1, 100_000):
            yield f"{read}"

    def answer(prompt: Prompt, scope: Scope) -> str:
        gate.wait(20)
        return reply(prompt)

    bench.behave(answer)
    scope = Scope()
    thread = threading.Thread(target=bench.run, args=(endless(),), kwargs={"scope": scope, "pack": 10})
    thread.start()
    window = (bench.executor.max_workers + 64) * 10
    wait_until(lambda: bench.runner is not None and bench.runner.progress().in_flight >= window)
    scope.cancel()
    gate.set()
    thread.join(20)
    assert read == window


# What an answer leaves open


def test_what_an_answer_leaves_out_is_asked_again(bench: Bench) -> None:
    """The few missing ones together, each at most twice, and the pack is not blamed for what it answered."""
    seen: Counter[str] = Counter()

    def forgetful(prompt: Prompt, scope: Scope) -> str:
        texts = texts_of(prompt)
        seen.update(texts)
        return reply(prompt, [text for text in texts[:1] if len(texts) > 1 and seen[text] == 1])

    bench.behave(forgetful)
    end = bench.run(numbered(20))
    assert bench.labels(numbered(20)) == right(numbered(20))
    assert sorted(bench.times_asked().values()) == [1] * 15 + [2] * 5
    assert end.complete


def test_a_text_that_no_pack_answers_ends_up_alone(bench: Bench) -> None:
    """In smaller and smaller company, finally by itself, where it is answered."""
    shy = {"文字 5", "文字 6"}
    bench.behave(lambda prompt, scope: reply(prompt, shy))
    end = bench.run(numbered(16), pack=8)
    assert bench.labels(numbered(16)) == right(numbered(16))
    assert [texts for texts in bench.asked() if len(texts) == 1] == [["文字 5"], ["文字 6"]]
    assert end.complete


def test_a_text_without_a_valid_answer_alone_is_a_failure_of_its_own(bench: Bench) -> None:
    """The others have their labels; its reason says what was wrong."""
    bench.behave(lambda prompt, scope: reply(prompt, wrong=["文字 5"]))
    end = bench.run(numbered(16), pack=8)
    assert bench.labels(numbered(16)) == right(numbered(16)) | {"文字 5": "failed"}
    (reason,) = bench.journal.failures()
    assert "'無' 不在 正面、中性、負面 之中" in reason
    assert (end.progress.answered, end.progress.failed, end.complete) == (15, 1, False)


def test_an_answer_with_nothing_in_it_is_asked_in_halves(bench: Bench) -> None:
    """Not the same pack again: that could go on for ever."""
    bench.behave(lambda prompt, scope: reply(prompt, texts_of(prompt)))
    bench.run(numbered(8), pack=8)
    assert sorted((len(texts) for texts in bench.asked()), reverse=True) == [8, 4, 4, 2, 2, 2, 2, *[1] * 8]
    assert bench.labels(numbered(8)) == right(numbered(8))


# What a request as a whole fails with


def refusing(bad: set[str], kind: ErrorKind) -> Callable[[Prompt, Scope], str]:
    def answer(prompt: Prompt, scope: Scope) -> str:
        if bad & set(texts_of(prompt)):
            raise ModelError(kind)
        return reply(prompt)

    return answer


@pytest.mark.parametrize(("kind", "ends"), [
    (ErrorKind.BLOCKED, "blocked"), (ErrorKind.RECITATION, "blocked"), (ErrorKind.MAX_TOKENS, "failed"),
    (ErrorKind.BAD_RESPONSE, "failed"), (ErrorKind.BAD_LABEL, "failed"), (ErrorKind.TIMEOUT, "timed_out"),
    (ErrorKind.BAD_REQUEST, "failed"), (ErrorKind.TOO_LARGE, "failed"),
])  # fmt: skip
def test_a_pack_is_halved_until_the_one_bad_text_is_found(bench: Bench, kind: ErrorKind, ends: str) -> None:
    """It fails by itself, and its fifteen neighbours are answered."""
    bench.behave(refusing({"文字 5"}, kind))
    end = bench.run(numbered(16), pack=16)
    assert bench.labels(numbered(16)) == right(numbered(16)) | {"文字 5": ends}
    assert bench.model.calls == 9  # 16, then two of each half size on the way down
    assert (end.progress.answered, end.progress.failed) == (15, 1)
    assert bench.journal.totals().requests == end.progress.requests == 9


def test_only_what_depends_on_the_number_of_texts_makes_packs_smaller(bench: Bench) -> None:
    """A pack that was blocked says something about one text in it; one cut off was too large."""
    for kind, smaller in ((ErrorKind.BLOCKED, False), (ErrorKind.MAX_TOKENS, True)):
        bench.behave(refusing({"文字 5"}, kind))
        bench.journal.begin_session()
        size = PackSize(start=20, most=20)
        runner = BulkRunner(
            model=bench.model, executor=bench.executor, journal=bench.journal, analysis=SENTIMENT, pack_size=size
        )
        runner.run(items([f"文字 5{kind}", *(f"{kind} {number}" for number in range(18)), "文字 5"]), scope=Scope())
        assert (size.size < 20) == smaller


def test_a_pack_that_cannot_be_read_is_halved(bench: Bench) -> None:
    """An answer cut off in the middle of its JSON is nobody's result."""

    def cut(prompt: Prompt, scope: Scope) -> str:
        text = reply(prompt)
        return text[: len(text) // 2] if "文字 5" in texts_of(prompt) and len(texts_of(prompt)) > 1 else text

    bench.behave(cut)
    end = bench.run(numbered(16), pack=16)
    assert bench.labels(numbered(16)) == right(numbered(16))
    assert bench.journal.totals().requests == end.progress.requests == bench.model.calls


@pytest.mark.parametrize("kind", [
    ErrorKind.OVERLOADED, ErrorKind.SERVER_ERROR, ErrorKind.UNAVAILABLE, ErrorKind.RESET, ErrorKind.QUOTA_MINUTE,
])  # fmt: skip
def test_the_service_s_trouble_is_not_split(bench: Bench, kind: ErrorKind) -> None:
    """Fewer texts would end the same way: the pack fails whole, in one request, and is open in the next session."""
    bench.behave(refusing({"文字 5"}, kind))
    end = bench.run(numbered(16), pack=16)
    assert (bench.model.calls, end.progress.failed) == (1, 16)
    bench.journal.begin_session()
    assert bench.journal.standing(text_key("文字 0")) is Standing.OPEN


def test_a_bug_is_a_failure_of_its_texts(bench: Bench) -> None:
    """An exception that is nobody's error is told once for each of them, and not tried in halves."""

    def broken(prompt: Prompt, scope: Scope) -> str:
        raise ZeroDivisionError("oops")

    bench.behave(broken)
    end = bench.run(numbered(4))
    assert (bench.model.calls, end.progress.failed) == (1, 4)
    assert bench.journal.failures() == {"ZeroDivisionError: oops": 4}


def test_a_request_that_hangs_is_halved_at_its_deadline(bench: Bench) -> None:
    """More texts have more time; the one that hangs times out alone."""
    budgets: dict[int, float] = {}

    def hanging(prompt: Prompt, scope: Scope) -> str:
        texts = texts_of(prompt)
        budgets[len(texts)] = scope.remaining()
        if "文字 1" in texts:
            scope.sleep(1000)
        return reply(prompt)

    bench.behave(hanging)
    bench.run(numbered(4), timeout=0.05, timeout_per_text=0.05)
    assert bench.labels(numbered(4)) == right(numbered(4)) | {"文字 1": "timed_out"}
    assert 0.05 >= budgets[1] > 0
    assert 0.2 >= budgets[4] > 0.05


# What ends the run


@pytest.mark.parametrize("kind", [ErrorKind.BAD_KEY, ErrorKind.QUOTA_DAY, ErrorKind.BUDGET_SPENT])
def test_what_concerns_the_whole_run_ends_it(bench: Bench, kind: ErrorKind) -> None:
    """The cause is told, what was answered is kept, and the journal knows nothing of the rest, which is asked later."""
    calls = itertools.count()

    def stopping(prompt: Prompt, scope: Scope) -> str:
        if next(calls) >= 5:
            bench.wait_for(answers=20)
            raise ModelError(kind)
        return reply(prompt)

    bench.behave(stopping)
    end = bench.run(numbered(4000), expected=4000)
    error = ModelError(kind)
    assert (end.stopped, end.advice, end.cancelled, end.complete) == (error.reason, error.advice, False, False)
    assert bench.model.calls <= 5 + bench.executor.max_workers  # what was in flight; nothing that was queued begins
    assert bench.journal.counts() == {OutcomeKind.ANSWERED: 20}
    assert (end.progress.answered, end.progress.failed, end.progress.in_flight) == (20, 0, 0)
    assert bench.journal.totals().requests == end.progress.requests == bench.model.calls
    bench.behave(lambda prompt, scope: reply(prompt))
    bench.journal.begin_session()
    assert bench.run(numbered(40)).complete
    assert sum(bench.times_asked().values()) == 20


def test_cancelled_in_the_middle_nothing_is_lost(bench: Bench) -> None:
    """What was answered is kept, what was out is unknown, and the next session asks exactly the rest."""
    scope = Scope()
    calls = itertools.count()

    def answer(prompt: Prompt, inner: Scope) -> str:
        if next(calls) >= 6:
            bench.wait_for(answers=24)
            scope.cancel()
            inner.check()
        return reply(prompt)

    bench.behave(answer)
    end = bench.run(numbered(400), scope=scope)
    assert (end.cancelled, end.stopped, end.complete) == (True, "", False)
    kept = {text for text, label in bench.labels(numbered(400)).items() if label is not None}
    assert end.progress.answered == len(kept) == 24
    assert bench.journal.totals().requests == end.progress.requests
    bench.behave(lambda prompt, scope: reply(prompt))
    bench.journal.begin_session()
    second = bench.run(numbered(400))
    assert set(bench.times_asked()) == set(numbered(400)) - kept
    assert (second.progress.done_before, second.complete) == (len(kept), True)


def test_the_run_s_own_deadline_makes_no_failures(bench: Bench) -> None:
    """A text that was out when the time was up has not timed out: it is asked in the next session."""

    def slow(prompt: Prompt, scope: Scope) -> str:
        scope.sleep(1000)
        return reply(prompt)

    bench.behave(slow)
    end = bench.run(numbered(2), pack=1, scope=Scope(deadline=SYSTEM_CLOCK.now() + 0.3))
    assert (end.cancelled, end.progress.failed) == (True, 0)
    assert bench.journal.counts() == {}


def test_an_ended_scope_asks_nothing(bench: Bench) -> None:
    """Nor does it read the input to its end."""
    scope = Scope()
    scope.cancel()
    read = iter(numbered(100))
    end = bench.run(read, scope=scope)
    assert (end.cancelled, bench.model.calls) == (True, 0)
    assert len(list(read)) > 90


def test_a_pause_is_noticed_while_nothing_is_to_be_asked(bench: Bench) -> None:
    """Texts that are all done are read over quickly, but not to the end of a long file."""
    bench.run(numbered(100))
    bench.journal.begin_session()
    scope, read = Scope(), []

    def paused() -> Iterator[str]:
        for number, text in enumerate(numbered(100)):
            if number == 5:
                scope.cancel()
            read.append(text)
            yield text

    end = bench.run(paused(), scope=scope)
    assert (end.cancelled, end.progress.done_before, len(read)) == (True, 5, 6)


def test_an_executor_that_is_closed_ends_the_run(bench: Bench) -> None:
    """It is said, and never taken for completion."""
    bench.executor.close()
    end = bench.run(numbered(4))
    assert ("已關閉" in end.stopped, end.complete, end.cancelled) == (True, False, False)


def test_what_reading_the_input_raises_comes_through(bench: Bench) -> None:
    """What was answered until then is kept."""

    def broken() -> Iterator[str]:
        yield from numbered(300)
        raise OSError("the stick was pulled out")

    with pytest.raises(OSError, match="pulled out"):
        bench.run(broken())
    assert bench.journal.counts()[OutcomeKind.ANSWERED] >= 1
    assert set(bench.labels(numbered(300)).values()) <= {*LABELS, None}


# What cannot be written down


class Full:
    """Makes a journal's disk full from a record on, until told otherwise."""

    def __init__(self, journal: Journal, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
        self.full = True
        count = itertools.count()
        record = journal.record

        def failing(results: Sequence[Any], cost: Any) -> None:
            if self.full and next(count) >= after:
                raise StorageError("磁碟已滿", advice="請清出空間", full=True)
            record(results, cost)

        monkeypatch.setattr(journal, "record", failing)


def test_what_cannot_be_written_ends_the_run_and_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers are in memory until saving works; then figures and journal agree, and the next session goes on."""
    disk = Full(bench.journal, monkeypatch, after=3)
    end = bench.run(numbered(400))
    assert (end.stopped, end.advice, end.cancelled, end.complete) == ("磁碟已滿", "請清出空間", False, False)
    assert bench.runner is not None
    assert end.unsaved == len(bench.runner.unsaved()) > 0
    assert all(result.answered for result in bench.runner.unsaved())
    assert (end.progress.answered, bench.journal.counts()[OutcomeKind.ANSWERED]) == (12, 12)
    assert bench.runner.save_again() == end.unsaved
    disk.full = False
    assert bench.runner.save_again() == 0
    assert bench.runner.unsaved() == ()
    kept = bench.journal.counts()[OutcomeKind.ANSWERED]
    assert bench.runner.progress().answered == kept == 12 + end.unsaved
    assert bench.journal.totals().requests == bench.runner.progress().requests
    bench.behave(lambda prompt, scope: reply(prompt))
    bench.journal.begin_session()
    assert bench.run(numbered(400)).complete
    assert sum(bench.times_asked().values()) == 400 - kept


def test_a_failure_that_cannot_be_written_ends_the_run_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not counted before it is kept."""
    disk = Full(bench.journal, monkeypatch, after=0)
    bench.behave(refusing({"文字 0"}, ErrorKind.SERVER_ERROR))
    end = bench.run(numbered(1))
    assert (end.stopped, end.unsaved, end.progress.failed) == ("磁碟已滿", 1, 0)
    disk.full = False
    assert bench.runner is not None
    assert bench.runner.save_again() == 0
    assert bench.runner.progress().failed == bench.journal.counts()[OutcomeKind.FAILED] == 1


def test_a_request_given_up_on_is_charged_once(bench: Bench) -> None:
    """It answers after all, long after its run has ended: its answer is kept, and paid for once."""
    scope, gate, late = Scope(), threading.Event(), threading.Event()
    record = bench.journal.record

    def answer(prompt: Prompt, inner: Scope) -> str:
        scope.cancel()
        gate.wait(20)  # deaf to its scope
        return reply(prompt)

    def recorded(results: Sequence[Any], cost: Any) -> None:
        record(results, cost)
        if results:
            late.set()

    bench.behave(answer)
    bench.journal.record = recorded  # type: ignore[method-assign]  # to know when it has come
    end = bench.run(numbered(4), scope=scope)
    assert (end.cancelled, end.progress.answered) == (True, 0)
    gate.set()
    assert late.wait(20)
    assert bench.journal.counts() == {OutcomeKind.ANSWERED: 4}
    assert bench.journal.totals().requests == end.progress.requests == 1


# The figures


class Ledger:
    """Looks at a runner's progress from everywhere and knows what must always hold of it."""

    def __init__(self, runner: BulkRunner) -> None:
        self.runner = runner

    def check(self) -> None:
        seen = self.runner.progress()
        accounted = seen.settled + seen.twins + seen.submitted + seen.in_flight + seen.waiting
        assert accounted == seen.read, seen
        assert min(seen.in_flight, seen.waiting, seen.answered, seen.failed) >= 0


OUTCOMES = st.sampled_from(["right"] * 4 + [
    "leave out one", "leave out all", "wrong label", "cut", "blocked", "overloaded", "bug", "twice", "contradict",
])  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    script=st.lists(OUTCOMES, max_size=30),
    stop=st.sampled_from(["", "", "quota", "cancel"]),
    texts=st.lists(st.integers(0, 25), max_size=40),
    pack=st.integers(1, 9),
)
def test_the_figures_add_up_at_every_moment(
    tmp_path_factory: pytest.TempPathFactory, script: list[str], stop: str, texts: list[int], pack: int
) -> None:
    """Whatever happens: read = settled + twins + in flight + waiting, and the counters are what the journal says."""
    bench = Bench(tmp_path_factory.mktemp("bulk"))
    outcomes, lock, scope = iter(script), threading.Lock(), Scope()

    def scripted(prompt: Prompt, inner: Scope) -> str:
        ledger.check()
        with lock:
            outcome = next(outcomes, "end")
        if outcome == "end" and stop == "quota":
            raise ModelError(ErrorKind.QUOTA_DAY)
        if outcome == "end" and stop == "cancel":
            scope.cancel()
            inner.check()
        return _act(outcome, prompt)

    bench.behave(scripted)
    runner = BulkRunner(
        model=MeasuredModel(bench.model), executor=bench.executor, journal=bench.journal, analysis=SENTIMENT,
        pack_size=PackSize(fixed=pack),
    )  # fmt: skip
    ledger = Ledger(runner)
    try:
        end = runner.run(_watched(items(f"{text}" for text in texts), ledger), scope=scope)
        progress, counts, totals = end.progress, bench.journal.counts(), bench.journal.totals()
        assert progress.answered == counts.get(OutcomeKind.ANSWERED, 0)
        assert progress.failed == sum(counts.values()) - progress.answered
        assert (progress.requests, progress.usage) == (totals.requests, totals.usage)
        assert progress.requests == bench.model.calls
        for text in map(str, texts):
            result = bench.journal.get(text_key(text))
            assert result is None or not result.answered or json.loads(result.values) == {"result": label_of(text)}
        if not (end.cancelled or end.stopped):
            assert progress.settled == len(set(texts))
            assert progress.read == len(texts)
            assert progress.twins == len(texts) - len(set(texts))
            ledger.check()
    finally:
        bench.close()


def _watched(items: Iterator[TextItem], ledger: Ledger) -> Iterator[TextItem]:
    for item in items:
        ledger.check()
        yield item


def _act(outcome: str, prompt: Prompt) -> str:
    texts = texts_of(prompt)
    kinds = {"blocked": ErrorKind.BLOCKED, "overloaded": ErrorKind.OVERLOADED}
    if outcome in kinds:
        raise ModelError(kinds[outcome])
    if outcome == "bug":
        raise KeyError("bug")
    if outcome == "wrong label":
        return reply(prompt, wrong=texts[-1:])
    answer = reply(prompt, texts if outcome == "leave out all" else texts[:1] if outcome == "leave out one" else ())
    if outcome == "cut":
        return answer[:-3]
    if outcome in ("twice", "contradict") and len(texts) > 1:
        found = json.loads(answer)["results"]
        other = LABELS[(LABELS.index(found[0]["result"]) + 1) % 3]
        more = {**found[0], "result": other} if outcome == "contradict" else found[0]
        return json.dumps({"results": [*found, more]})
    return answer


def test_time_is_the_clock_s(bench: Bench) -> None:
    """Seconds count from the start of the run."""
    clock = FakeClock()

    def slow(prompt: Prompt, scope: Scope) -> str:
        clock.advance(2.0)
        return reply(prompt)

    bench.behave(slow)
    end = bench.run(numbered(4), clock=clock)
    assert (end.progress.seconds, end.progress.per_second) == (2.0, 2.0)


def test_the_pack_size_learns(bench: Bench) -> None:
    """It grows with complete answers and is in the progress; without one given it starts at its own."""
    end = bench.run(numbered(100), pack=None)
    assert end.progress.pack_size == 29
    assert bench.model.calls == 4

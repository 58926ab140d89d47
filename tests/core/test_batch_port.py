"""Waiting for batch jobs on a clock that only moves when told, and the names that keep them from coming twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from core.batch_port import BatchAnswers, BatchJob, BatchService, BatchState, batch_label, submit_once, watch
from core.errors import DeadlineExceededError, ErrorKind, ModelError, OperationCancelledError
from core.ports import Prompt
from core.scope import Scope
from tests.fakes import FakeClock

PENDING = BatchJob("batches/1", BatchState.PENDING, total=10)
RUNNING = replace(PENDING, state=BatchState.RUNNING)
SUCCEEDED = replace(RUNNING, state=BatchState.SUCCEEDED, done=10)
HUNG = object()


class ScriptedService:
    """A BatchService whose polls give one step of its script each, the last for ever; notes when they came."""

    def __init__(self, clock: FakeClock, *steps: BatchJob | ModelError | object) -> None:
        self._clock = clock
        self._steps = list(steps)
        self.polled: list[float] = []
        self.found: BatchJob | None = None
        self.submitted = 0

    def job(self, name: str, scope: Scope) -> BatchJob:
        self.polled.append(self._clock.now())
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if step is HUNG:
            scope.sleep(1e9)
        if isinstance(step, ModelError):
            raise step
        assert isinstance(step, BatchJob)
        return step

    def submit(self, requests: Iterable[tuple[str, Prompt]], *, display_name: str, scope: Scope) -> BatchJob:
        self.submitted += 1
        return PENDING

    def find(self, display_name: str, scope: Scope) -> BatchJob | None:
        return self.found

    def answers(self, job: BatchJob, ids: Collection[str], scope: Scope) -> BatchAnswers:
        raise NotImplementedError

    def cancel(self, name: str, scope: Scope) -> None: ...

    def close(self) -> None: ...


class Watching:
    """watch() in a thread of its own, under a clock that skip_to_the_end() winds on from wait to wait."""

    def __init__(self, *steps: BatchJob | ModelError | object, give_up_after: float = 1e9, jitter: float = 0.5) -> None:
        self.clock = FakeClock()
        self.scope = Scope(clock=self.clock)
        self.service = ScriptedService(self.clock, *steps)
        self.seen: list[BatchJob] = []
        self.waits: list[float] = []
        self.before_wait: Callable[[], object] = lambda: None
        self._give_up_after = give_up_after
        self._jitter = jitter

    def to_the_end(self) -> BatchJob:
        """What watch() returned or raised."""
        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(self._watch)
            while not self._waits_or_is_done(result):
                pass
            return result.result()

    def _watch(self) -> BatchJob:
        return watch(
            self.service, "batches/1", scope=self.scope, give_up_after=self._give_up_after,
            on_state=self._on_state, random=lambda: self._jitter,
        )  # fmt: skip

    def _on_state(self, job: BatchJob) -> None:
        self.seen.append(job)
        raise RuntimeError("an observer's own trouble")

    def _waits_or_is_done(self, result: Future[BatchJob]) -> bool:
        woken = threading.Event()
        result.add_done_callback(lambda _: woken.set())
        while not woken.wait(0.001):
            wake = self.clock.next_wake()
            if wake < float("inf"):
                self.before_wait()
                self.waits.append(wake - self.clock.now())
                self.clock.advance(wake - self.clock.now())
                return False
        return True


def moved(job: BatchJob, done: int) -> BatchJob:
    return replace(job, done=done)


class TestWatch:
    def test_every_change_is_told_once(self) -> None:
        """The first sight and each change of state or counts reach on_state, whose own failures do no harm."""
        steps = (PENDING, PENDING, RUNNING, moved(RUNNING, 4), moved(RUNNING, 4), SUCCEEDED)
        watching = Watching(*steps)
        assert watching.to_the_end() == SUCCEEDED
        assert watching.seen == [PENDING, RUNNING, moved(RUNNING, 4), SUCCEEDED]

    def test_polls_less_and_less_often(self) -> None:
        """From half a minute the pause grows by half each time up to five minutes."""
        watching = Watching(*[RUNNING] * 9, SUCCEEDED)
        watching.to_the_end()
        gaps = [b - a for a, b in zip(watching.service.polled, watching.service.polled[1:], strict=False)]
        assert gaps == pytest.approx([30, 45, 67.5, 101.25, 151.875, 227.8125, 300, 300, 300])

    @pytest.mark.parametrize(("drawn", "gap"), [(0.0, 24.0), (1.0, 36.0)])
    def test_pause_is_jittered(self, drawn: float, gap: float) -> None:
        """The pause is up to a fifth shorter or longer."""
        watching = Watching(RUNNING, SUCCEEDED, jitter=drawn)
        watching.to_the_end()
        assert watching.service.polled[1] - watching.service.polled[0] == pytest.approx(gap)

    @pytest.mark.parametrize("state", [BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELLED])
    def test_end_without_answers(self, state: BatchState) -> None:
        """A job that ended otherwise comes back as it is, with its reason."""
        ended = replace(PENDING, state=state, note="原因")
        watching = Watching(PENDING, ended)
        assert watching.to_the_end() == ended
        assert watching.seen == [PENDING, ended]

    def test_job_that_never_moves(self) -> None:
        """A job without progress comes back as stalled, to the second, with a reason, and was told to on_state."""
        watching = Watching(RUNNING, give_up_after=3600)
        job = watching.to_the_end()
        assert (job.state, job.ended, job.useful) == (BatchState.STALLED, True, False)
        assert "1 小時沒有進展" in job.note
        assert watching.service.polled[-1] - watching.service.polled[0] == 3600
        assert watching.seen == [RUNNING, job]

    def test_progress_starts_the_patience_anew(self) -> None:
        """Any change, of a count as well, counts as progress."""
        steps = [moved(RUNNING, count // 3) for count in range(15)]
        watching = Watching(*steps, SUCCEEDED, give_up_after=901)
        assert watching.to_the_end() == SUCCEEDED

    @pytest.mark.parametrize(
        "kind",
        [
            ErrorKind.OVERLOADED, ErrorKind.SERVER_ERROR, ErrorKind.UNAVAILABLE, ErrorKind.RESET,
            ErrorKind.TIMEOUT, ErrorKind.BAD_RESPONSE, ErrorKind.QUOTA_MINUTE, ErrorKind.QUOTA_DAY,
        ],
    )  # fmt: skip
    def test_passing_trouble_never_ends_the_watch(self, kind: ErrorKind) -> None:
        """A network that is away for longer than the patience with the job does not end the watch."""
        watching = Watching(RUNNING, *[ModelError(kind)] * 20, SUCCEEDED, give_up_after=600)
        assert watching.to_the_end() == SUCCEEDED
        assert watching.seen == [RUNNING, SUCCEEDED]

    def test_delay_of_the_server_is_kept(self) -> None:
        """A 429 is waited out as the server told."""
        watching = Watching(ModelError(ErrorKind.QUOTA_MINUTE, retry_after=500.0), SUCCEEDED)
        watching.to_the_end()
        assert watching.service.polled[1] - watching.service.polled[0] == 500

    @pytest.mark.parametrize("kind", [ErrorKind.BAD_KEY, ErrorKind.PERMISSION, ErrorKind.REDIRECTED])
    def test_lasting_trouble_ends_it(self, kind: ErrorKind) -> None:
        """What another poll cannot mend is raised."""
        with pytest.raises(ModelError) as caught:
            Watching(RUNNING, ModelError(kind)).to_the_end()
        assert caught.value.kind is kind

    def test_poll_that_hangs(self) -> None:
        """A poll without a reply is given up after a minute, and the next one is made."""
        watching = Watching(HUNG, SUCCEEDED)
        assert watching.to_the_end() == SUCCEEDED
        assert watching.service.polled[1] - watching.service.polled[0] == 90

    def test_scope_ends_the_watch(self) -> None:
        """A cancelled scope wakes the watch from its sleep; a deadline ends it in a hanging poll as well."""
        watching = Watching(RUNNING)
        watching.before_wait = lambda: watching.scope.cancel() if len(watching.waits) > 2 else None
        with pytest.raises(OperationCancelledError):
            watching.to_the_end()
        watching = Watching(HUNG)
        watching.scope.tighten(10)
        with pytest.raises(DeadlineExceededError):
            watching.to_the_end()


class TestNames:
    def test_label_stands_for_batch_ids_and_attempt(self) -> None:
        """The order of the ids does not matter; the batch, each id and the attempt do."""
        label = batch_label("d" * 40, ["b", "a"])
        assert label == batch_label("d" * 40, ["a", "b"])
        others = [
            batch_label("e" * 40, ["a", "b"]),
            batch_label("d" * 40, ["ab"]),
            batch_label("d" * 40, ["a", "b"], attempt=2),
        ]
        assert len({label, *others}) == 4
        assert len(label) < 80

    @pytest.mark.parametrize(
        ("state", "submitted"),
        [
            (None, 1), (BatchState.PENDING, 0), (BatchState.RUNNING, 0), (BatchState.SUCCEEDED, 0),
            (BatchState.FAILED, 1), (BatchState.EXPIRED, 1), (BatchState.CANCELLED, 1),
        ],
    )  # fmt: skip
    def test_submits_only_where_no_job_is_of_use(self, state: BatchState | None, submitted: int) -> None:
        """A job under way or done is taken instead of a new one; one that came to nothing is not."""
        clock = FakeClock()
        service = ScriptedService(clock, PENDING)
        service.found = None if state is None else replace(PENDING, state=state)
        port: BatchService = service
        job = submit_once(port, [], display_name="x", scope=Scope(clock=clock))
        assert service.submitted == submitted
        assert job == (PENDING if submitted else service.found)

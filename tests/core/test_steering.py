"""Steering runs while they go on: pause and resume, cancelling one task, more and fewer workers."""

from __future__ import annotations

import functools
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.clock import SYSTEM_CLOCK, Clock
from core.events import Event, TaskQueued, TaskStarted
from core.outcome import Answer, AnswerSource, OutcomeKind, RunReport
from core.parallel_executor import ParallelExecutor, ParallelTask
from core.ports import Prompt
from core.scope import Scope
from optimizers.cache_manager import CacheManager
from optimizers.cached_model import CachedModel
from tests.fakes import FakeClock, FunctionModel

PATIENCE = 10.0


class Works:
    """Functions that each go on until told to end, or until their scope ends; knows which have begun."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ended: set[object] = set()
        self._all_end = False
        self.begun: list[object] = []
        self.inside = 0
        self.most_inside = 0

    def __call__(self, name: object, scope: Scope) -> object:
        with self._changed:
            self.begun.append(name)
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            self._changed.notify_all()
            try:
                scope.wait_for(self._changed, lambda: self._all_end or name in self._ended)
            finally:
                self.inside -= 1
                self._changed.notify_all()
        return name

    def task(self, name: object, **options: Any) -> ParallelTask:
        return ParallelTask(str(name), f"name of {name}", self, (name,), scoped=True, **options)

    def tasks(self, count: int, **options: Any) -> list[ParallelTask]:
        return [self.task(number, **options) for number in range(count)]

    def end(self, *names: object) -> None:
        with self._changed:
            self._ended.update(names)
            self._changed.notify_all()

    def end_all(self) -> None:
        with self._changed:
            self._all_end = True
            self._changed.notify_all()

    def wait(self, predicate: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(predicate, PATIENCE), (self.begun, self.inside)

    def wait_begun(self, count: int) -> None:
        self.wait(lambda: len(self.begun) >= count)


class InBackground:
    """A run in a thread of its own."""

    def __init__(self, executor: ParallelExecutor, tasks: list[ParallelTask], scope: Scope | None = None) -> None:
        self._reports: list[RunReport[Any]] = []
        self._thread = threading.Thread(
            target=lambda: self._reports.append(executor.run(tasks, scope=scope)), name="run", daemon=True
        )
        self._thread.start()

    def report(self) -> RunReport[Any]:
        self._thread.join(PATIENCE)
        assert self._reports, "the run did not end"
        return self._reports[0]

    def kinds(self) -> list[OutcomeKind]:
        return [outcome.kind for outcome in self.report().outcomes]


MakeExecutor = Callable[..., ParallelExecutor]


@pytest.fixture
def works() -> Works:
    return Works()


@pytest.fixture
def make_executor(works: Works) -> Iterator[MakeExecutor]:
    before, executors = set(threading.enumerate()), list[ParallelExecutor]()

    def make(max_workers: int = 1, *, clock: Clock = SYSTEM_CLOCK, **options: Any) -> ParallelExecutor:
        executors.append(ParallelExecutor(max_workers, clock=clock, **options))
        return executors[-1]

    yield make
    works.end_all()
    for executor in executors:
        executor.close(timeout=0)
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive(), thread


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def until(predicate: Callable[[], bool]) -> None:
    """Return once it holds, of what tells nobody when it changes."""
    turn, last = threading.Event(), SYSTEM_CLOCK.now() + PATIENCE
    while not predicate():
        assert SYSTEM_CLOCK.now() < last, "it never came to hold"
        turn.wait(0.001)


def wait_until_idle(executor: ParallelExecutor, clock: FakeClock, *, queued: int) -> None:
    """Until that many are queued, none runs, and nobody is about to begin one: run and supervisor both wait."""
    until(lambda: executor.statistics().queued == queued and executor.statistics().running == 0)
    clock.block_until(2)


# Pause and resume.


def test_nothing_begins_in_a_pause_and_all_of_it_afterwards(
    make_executor: MakeExecutor, works: Works, clock: FakeClock
) -> None:
    """A run that finds the executor paused waits with all its tasks in the queue."""
    executor, before = make_executor(3, clock=clock), set(threading.enumerate())
    told = [executor.paused]
    executor.pause()
    told.append(executor.paused)
    run = InBackground(executor, works.tasks(5))
    wait_until_idle(executor, clock, queued=5)
    assert works.begun == []
    assert sorted(thread.name for thread in set(threading.enumerate()) - before) == ["run", "task-pool-supervisor"]
    executor.resume()
    told.append(executor.paused)
    works.wait_begun(3)
    works.end_all()
    assert run.report().all_answered
    assert told == [False, True, False]


def test_what_is_in_flight_goes_on_in_a_pause(make_executor: MakeExecutor, works: Works, clock: FakeClock) -> None:
    """Its answers arrive; the places it leaves stay empty until the pause is over."""
    executor, scope = make_executor(2, clock=clock), Scope(clock=clock)
    stream = executor.stream(works.tasks(6), scope=scope)
    first = threading.Thread(target=lambda: taken.extend(next(stream) for _ in range(2)), daemon=True)
    taken: list[Any] = []
    first.start()
    works.wait_begun(2)
    executor.pause()
    works.end(0, 1)
    first.join(PATIENCE)
    assert sorted(index for index, _ in taken) == [0, 1]
    until(lambda: executor.statistics().running == 0)
    clock.block_until(1)  # the supervisor, with four queued and no worker
    assert sorted(map(str, works.begun)) == ["0", "1"]
    works.end_all()
    executor.resume()
    assert sorted(index for index, outcome in stream if outcome.answered) == [2, 3, 4, 5]
    assert works.most_inside == 2


@pytest.mark.parametrize("while_feeding", [False, True])
def test_a_pause_withholds_no_outcome(
    make_executor: MakeExecutor, works: Works, clock: FakeClock, while_feeding: bool
) -> None:
    """What was in flight is yielded, with the queue full before or made full in the pause; it stays bounded.

    while_feeding: the run waits for a place when the pause begins, as it does where another run fills the queue.
    """
    executor, got = make_executor(2, clock=clock, queue_capacity=2), list[int]()
    other = InBackground(executor, [works.task(f"other {n}") for n in range(4)]) if while_feeding else None
    if other is not None:
        until(lambda: executor.statistics().queued == 2 and executor.statistics().running == 2)
    stream = executor.stream(works.tasks(10), scope=Scope(clock=clock))
    reader = threading.Thread(target=lambda: got.extend(index for index, _ in stream), daemon=True)
    reader.start()
    if other is None:
        works.wait_begun(2)
        until(lambda: executor.statistics().queued == 2)
    else:
        clock.block_until(5)  # two works, the other run, the supervisor, and the reader, which wants a place
    executor.pause()
    works.end(0, 1, "other 0", "other 1")
    until(lambda: executor.statistics().running == 0)
    until(lambda: sorted(got) == ([] if while_feeding else [0, 1]))
    until(lambda: executor.statistics().queued == (6 if while_feeding else 4))
    works.end_all()
    executor.resume()
    reader.join(PATIENCE)
    assert sorted(got) == list(range(10))
    assert works.most_inside == 2


def test_pauses_do_not_add_up(make_executor: MakeExecutor, works: Works) -> None:
    """Twice paused is paused, once resumed is resumed, and resuming nothing is harmless."""
    executor = make_executor()
    works.end_all()
    executor.resume()
    executor.pause()
    executor.pause()
    executor.resume()
    assert not executor.paused
    assert InBackground(executor, works.tasks(3)).report().all_answered


def test_a_paused_run_that_is_cancelled_ends_at_once(
    make_executor: MakeExecutor, works: Works, clock: FakeClock
) -> None:
    """What is in flight and what is queued, without any time going by; the executor stays paused."""
    executor, scope = make_executor(1, clock=clock, queue_capacity=2), Scope(clock=clock)
    run = InBackground(executor, works.tasks(10), scope)
    works.wait_begun(1)
    executor.pause()
    scope.cancel()
    assert run.kinds() == [OutcomeKind.CANCELLED] * 10
    assert (len(works.begun), executor.paused) == (1, True)


@pytest.mark.parametrize("count", [3, 20])
def test_closing_ends_a_paused_run(make_executor: MakeExecutor, works: Works, clock: FakeClock, count: int) -> None:
    """At once, whether all of it is queued or there is more to read."""
    executor = make_executor(1, clock=clock, queue_capacity=4)
    executor.pause()
    run = InBackground(executor, works.tasks(count))
    wait_until_idle(executor, clock, queued=min(count, 4 + 1))
    executor.close()
    assert set(run.kinds()) <= {OutcomeKind.CANCELLED, OutcomeKind.NOT_RUN}
    assert works.begun == []


def test_a_pause_times_nothing_out(make_executor: MakeExecutor, works: Works, clock: FakeClock) -> None:
    """A task's timeout begins when a worker takes it: an hour's pause costs the queued nothing."""
    executor = make_executor(2, clock=clock)
    executor.pause()
    run = InBackground(executor, works.tasks(4, timeout=5.0))
    wait_until_idle(executor, clock, queued=4)
    clock.advance(3600.0)
    works.end_all()
    executor.resume()
    assert run.report().all_answered


def test_the_timeout_of_what_is_in_flight_runs_on_in_a_pause(
    make_executor: MakeExecutor, works: Works, clock: FakeClock
) -> None:
    """Its call is out, and the server does not know of the pause."""
    executor = make_executor(1, clock=clock)
    run = InBackground(executor, works.tasks(2, timeout=5.0))
    works.wait_begun(1)
    executor.pause()
    clock.block_until(2, timed=True)
    clock.advance(5.0)
    wait_until_idle(executor, clock, queued=1)
    works.end_all()
    executor.resume()
    assert run.kinds() == [OutcomeKind.TIMED_OUT, OutcomeKind.ANSWERED]


@pytest.mark.parametrize("count", [3, 20])
def test_a_run_s_own_deadline_holds_in_a_pause(
    make_executor: MakeExecutor, works: Works, clock: FakeClock, count: int
) -> None:
    """At the instant, whether all of it is queued or there is more to read."""
    executor = make_executor(1, clock=clock, queue_capacity=4)
    executor.pause()
    run = InBackground(executor, works.tasks(count), Scope(clock=clock, deadline=clock.now() + 3.0))
    wait_until_idle(executor, clock, queued=min(count, 4 + 1))
    until(lambda: clock.next_wake() == clock.now() + 3.0)
    clock.advance(3.0)
    assert run.kinds() == [OutcomeKind.NOT_RUN] * count
    assert run.report().wall_seconds == 3.0
    assert works.begun == []


def test_no_task_is_taken_after_pause_returned(make_executor: MakeExecutor) -> None:
    """However busy the workers are at that moment; and no task is lost by a hundred pauses."""
    executor, before, turns = make_executor(3, queue_capacity=8), sys.getswitchinterval(), 0
    run = InBackground(executor, [ParallelTask(str(n), "", int) for n in range(2000)])

    def taken() -> int:
        now = executor.statistics()
        return now.submitted - now.queued

    def went_on(had: int) -> bool:
        return had == 2000 or taken() > had

    sys.setswitchinterval(1e-6)
    try:
        while executor.statistics().answered < 2000:
            executor.pause()
            had, turns = taken(), turns + 1
            for _ in range(20):
                assert taken() == had
            executor.resume()
            until(functools.partial(went_on, had))  # else nobody gets a turn before the next pause
    finally:
        sys.setswitchinterval(before)
        executor.resume()
    assert run.report().all_answered
    assert turns > 1


# Cancelling one task.


def test_a_queued_task_is_cancelled_and_the_run_goes_on(make_executor: MakeExecutor, works: Works) -> None:
    """At once, as by a person: it never begins, and all others are answered."""
    executor, seen = make_executor(1), list[Event]()
    run = InBackground(executor, works.tasks(4), Scope(observer=seen.append))
    works.wait_begun(1)
    until(lambda: executor.statistics().queued == 3)
    assert [event.task_id for event in seen if isinstance(event, TaskQueued)] == ["0", "1", "2", "3"]
    assert executor.cancel_task("2")
    assert not executor.cancel_task("2")
    works.end_all()
    report = run.report()
    assert run.kinds() == [OutcomeKind.ANSWERED, OutcomeKind.ANSWERED, OutcomeKind.CANCELLED, OutcomeKind.ANSWERED]
    assert (report.outcomes[2].reason, report.outcomes[2].started_at) == ("已取消", None)
    assert works.begun == [0, 1, 3]
    assert not any(isinstance(event, TaskStarted) and event.task_id == "2" for event in seen)


def test_a_queued_task_is_cancelled_in_a_pause(make_executor: MakeExecutor, works: Works, clock: FakeClock) -> None:
    """The pause holds back beginnings, not ends."""
    executor = make_executor(1, clock=clock)
    executor.pause()
    run = InBackground(executor, works.tasks(2))
    wait_until_idle(executor, clock, queued=2)
    assert executor.cancel_task("0")
    assert executor.statistics().cancelled == 1
    works.end_all()
    executor.resume()
    assert run.kinds() == [OutcomeKind.CANCELLED, OutcomeKind.ANSWERED]


def test_a_task_in_flight_is_cancelled_and_the_run_goes_on(make_executor: MakeExecutor, works: Works) -> None:
    """Its scope ends, its function with it, and its worker takes the next."""
    executor = make_executor(2)
    run = InBackground(executor, works.tasks(3))
    works.wait_begun(2)
    assert executor.cancel_task("0")
    works.wait_begun(3)
    assert works.inside == 2
    works.end_all()
    assert run.kinds() == [OutcomeKind.CANCELLED, OutcomeKind.ANSWERED, OutcomeKind.ANSWERED]
    assert run.report().outcomes[0].started_at is not None


def test_what_is_not_open_cannot_be_cancelled(make_executor: MakeExecutor, works: Works) -> None:
    """Unknown, finished, or not read from the input yet: False, and nothing happens to it."""
    executor = make_executor(1, queue_capacity=1)
    assert not executor.cancel_task("0")
    run = InBackground(executor, works.tasks(9))
    works.wait_begun(1)
    works.end(0)
    works.wait_begun(2)
    assert [executor.cancel_task(name) for name in ("0", "8", "nobody")] == [False] * 3
    works.end_all()
    assert run.report().all_answered


def test_runs_that_share_an_id_lose_both_tasks(make_executor: MakeExecutor, works: Works) -> None:
    """Nothing tells the two apart, and the person wants it gone."""
    executor = make_executor(4)
    runs = [InBackground(executor, works.tasks(2)) for _ in range(2)]
    works.wait_begun(4)
    assert executor.cancel_task("1")
    works.wait(lambda: works.inside == 2)
    works.end_all()
    assert [run.kinds() for run in runs] == [[OutcomeKind.ANSWERED, OutcomeKind.CANCELLED]] * 2


class Shared:
    """Three tasks that ask the same through one CachedModel: the first leads, the others wait for its answer."""

    def __init__(self, executor: ParallelExecutor, clock: FakeClock, works: Works) -> None:
        def reply(prompt: Prompt, scope: Scope) -> str:
            works(scope.task_id, scope)
            return "an answer"

        self.model = FunctionModel(reply)
        cached = CachedModel(self.model, CacheManager(clock=clock))
        prompt = Prompt("the same question")

        def ask(scope: Scope) -> Answer:
            return cached.generate(prompt, scope)

        tasks = [ParallelTask(name, "", ask, scoped=True) for name in "abc"]
        self.run = InBackground(executor, tasks, Scope(clock=clock))
        works.wait_begun(1)
        clock.block_until(5)  # the leader in its call, two followers, the run, the supervisor

    def sources(self) -> Counter[AnswerSource]:
        values = [outcome.value for outcome in self.run.report().outcomes]
        return Counter(value.source for value in values if isinstance(value, Answer))


def test_a_cancelled_leader_hands_over(make_executor: MakeExecutor, works: Works, clock: FakeClock) -> None:
    """One of those who waited for its answer asks in its stead, the other waits for that one."""
    executor = make_executor(3, clock=clock)
    shared = Shared(executor, clock, works)
    leader = str(works.begun[0])
    assert executor.cancel_task(leader)
    works.wait_begun(2)
    works.end_all()
    kinds = dict(zip("abc", shared.run.kinds(), strict=True))
    assert kinds.pop(leader) is OutcomeKind.CANCELLED
    assert list(kinds.values()) == [OutcomeKind.ANSWERED] * 2
    assert shared.model.calls == 2
    assert shared.sources()[AnswerSource.MODEL] == 1


def test_a_cancelled_follower_leaves_the_others_alone(
    make_executor: MakeExecutor, works: Works, clock: FakeClock
) -> None:
    """The one call goes on, for whoever still wants its answer."""
    executor = make_executor(3, clock=clock)
    shared = Shared(executor, clock, works)
    leader = str(works.begun[0])
    follower = "b" if leader == "a" else "a"
    assert executor.cancel_task(follower)
    until(lambda: executor.statistics().cancelled == 1)
    assert works.inside == 1
    works.end_all()
    kinds = dict(zip("abc", shared.run.kinds(), strict=True))
    assert kinds.pop(follower) is OutcomeKind.CANCELLED
    assert list(kinds.values()) == [OutcomeKind.ANSWERED] * 2
    assert shared.model.calls == 1
    assert shared.sources() == {AnswerSource.MODEL: 1, AnswerSource.SHARED: 1}


# More and fewer workers.


def test_workers_come_and_go_while_a_run_goes_on(make_executor: MakeExecutor, works: Works) -> None:
    """All of the new ones begin at once, though no task ends; the surplus leave with their tasks, none is killed."""
    executor = make_executor(1)
    run = InBackground(executor, works.tasks(150))
    works.wait_begun(1)
    until(lambda: executor.statistics().queued == 64)  # all that the run reads ahead for one worker
    executor.resize(100)  # more than were queued: the run has to read on
    assert executor.max_workers == 100
    works.wait_begun(100)
    executor.resize(3)
    assert executor.max_workers == 3
    works.end(*works.begun[:98])
    works.wait_begun(101)  # by one of the three that stay
    works.wait(lambda: works.inside <= 3)
    assert works.most_inside == 100
    works.most_inside = 0
    works.end_all()
    assert run.report().all_answered
    assert works.most_inside <= 3


def test_growing_in_a_pause_begins_nothing(make_executor: MakeExecutor, works: Works, clock: FakeClock) -> None:
    """The new number counts from the end of the pause."""
    executor = make_executor(1, clock=clock)
    executor.pause()
    run = InBackground(executor, works.tasks(10))
    wait_until_idle(executor, clock, queued=10)
    executor.resize(4)
    wait_until_idle(executor, clock, queued=10)
    assert works.begun == []
    executor.resume()
    works.wait_begun(4)
    clock.block_until(6)  # the four, the run and the supervisor: nobody spins because of the resizing
    works.end_all()
    assert run.report().all_answered
    assert works.most_inside == 4

"""HedgedModel: when a second attempt is sent, whose answer counts, and what is left behind."""

from __future__ import annotations

import gc
import logging
import math
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core.clock import SYSTEM_CLOCK
from core.errors import (
    ErrorKind,
    ModelError,
    OperationCancelledError,
    ParallelProcessingError,
    UsageError,
)
from core.outcome import Answer, CallFigures, Usage
from core.ports import Prompt
from core.scope import Scope
from optimizers import hedged_model
from optimizers.hedged_model import HedgedModel, HedgeStatistics
from optimizers.measured_model import MeasuredModel
from tests.fakes import FakeClock, FunctionModel

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0
PROMPT = Prompt("1 + 1 = ?")
BUSY = ModelError(ErrorKind.OVERLOADED, "first")
BROKEN = ModelError(ErrorKind.SERVER_ERROR, "second")


def poll(holds: Callable[[], bool], what: str) -> None:
    """Return once it holds; for states of threads that give no notice."""
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up, what
        time.sleep(0)


def hedge_threads(kind: str = "") -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"hedge-{kind}")]


class Attempt:
    """One call that reached the model and waits for the test to say how it ends."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.ended = threading.Condition()
        self.end: str | BaseException | None = None
        self.left = threading.Event()

    def play(self) -> str:
        try:
            with self.ended:
                self.scope.wait_for(self.ended, lambda: self.end is not None)
            if isinstance(self.end, str):
                return self.end
            assert self.end is not None
            raise self.end
        finally:
            self.left.set()

    def ends(self, end: str | BaseException) -> None:
        with self.ended:
            self.end = end
            self.ended.notify_all()


class Stage:
    """A hedged model on a clock that stands still, with callers in threads of their own."""

    def __init__(self, *, min_samples: int = 4, budget_fraction: float = 1.0) -> None:
        self.clock = FakeClock()
        self.may_hedge: Callable[[], bool] = lambda: True
        self.arrived = threading.Semaphore(0)
        self.attempts: list[Attempt] = []
        self.taken = 0
        self.hedged = HedgedModel(
            MeasuredModel(FunctionModel(self.play)),
            quantile=0.95,
            budget_fraction=budget_fraction,
            min_samples=min_samples,
            may_hedge=lambda: self.may_hedge(),
        )
        self.callers = ThreadPoolExecutor(50)

    def play(self, _: Prompt, scope: Scope) -> str:
        attempt = Attempt(scope)
        self.attempts.append(attempt)
        self.arrived.release()
        return attempt.play()

    def ask(self, scope: Scope | None = None) -> tuple[Future[Answer], Attempt]:
        """Start a call; returns once its first attempt is out."""
        future = self.callers.submit(self.hedged.generate, PROMPT, scope or self.scope())
        return future, self.next_attempt()

    def scope(self) -> Scope:
        return Scope(clock=self.clock, task_id="query_0")

    def next_attempt(self) -> Attempt:
        assert self.arrived.acquire(timeout=PATIENCE), "no attempt came"
        self.taken += 1
        return self.attempts[self.taken - 1]

    def learn(self, calls: int = 4) -> None:
        """So many calls of one second each."""
        for _ in range(calls):
            future, attempt = self.ask()
            self.clock.advance(1.0)
            attempt.ends("learned")
            future.result(PATIENCE)

    def until_asleep(self) -> None:
        """Return when the watching thread has done what there is to do at this instant, or left."""

        def asleep() -> bool:
            return not hedge_threads("watch") or self.clock.now() < self.clock.next_wake() < math.inf

        poll(asleep, "the watching thread does not come to rest")

    def advance(self, seconds: float) -> None:
        self.until_asleep()
        self.clock.advance(seconds)

    def advance_without_hedge(self, seconds: float) -> None:
        self.advance(seconds)
        self.until_asleep()
        assert len(self.attempts) == self.taken

    def straggle(self, scope: Scope | None = None) -> tuple[Future[Answer], Attempt, Attempt]:
        """A call of which both attempts are out."""
        future, first = self.ask(scope)
        self.advance(1.0)
        return future, first, self.next_attempt()

    def close(self) -> None:
        self.hedged.close()
        for attempt in self.attempts:
            attempt.ends("late")
        self.callers.shutdown()
        poll(lambda: not hedge_threads(), "a thread was left over")


@pytest.fixture
def make_stage() -> Iterator[Callable[..., Stage]]:
    stages: list[Stage] = []

    def make(**given: Any) -> Stage:
        stages.append(Stage(**given))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    """A stage whose model has learned that calls take a second."""
    made = make_stage()
    made.learn()
    return made


def error_of(future: Future[Answer]) -> BaseException | None:
    return future.exception(PATIENCE)


def text_of(future: Future[Answer]) -> str:
    return future.result(PATIENCE).text


# When.


def test_a_call_in_time_gets_no_second_attempt(stage: Stage) -> None:
    """It is out for less than the learned quantile: one attempt."""
    future, first = stage.ask()
    stage.advance_without_hedge(0.99)
    first.ends("in time")
    assert text_of(future) == "in time"
    assert stage.hedged.statistics == HedgeStatistics(calls=5, sent=0, won=0, delay=1.0)


def test_a_call_out_for_longer_than_the_quantile_gets_one(stage: Stage) -> None:
    """Exactly at the learned instant, and never a third."""
    future, first = stage.ask()
    stage.advance_without_hedge(0.99)
    stage.advance(0.01)
    second = stage.next_attempt()
    stage.advance_without_hedge(1.0)
    stage.advance_without_hedge(1.0)
    second.ends("second")
    assert text_of(future) == "second"
    assert first.left.is_set()
    assert stage.hedged.statistics == HedgeStatistics(calls=5, sent=1, won=1, delay=3.0)


def test_nothing_is_sent_before_enough_is_known(make_stage: Callable[..., Stage]) -> None:
    """With three latencies of four no thread watches, however long a call is out."""
    stage = make_stage()
    stage.learn(3)
    future, first = stage.ask()
    stage.clock.advance(100.0)
    assert hedge_threads() == []
    first.ends("late")
    assert text_of(future) == "late"
    assert stage.hedged.statistics.delay == 100.0


def test_failed_attempts_teach_nothing(make_stage: Callable[..., Stage]) -> None:
    """Refusals come fast; learning from them would hedge every call that is answered."""
    stage = make_stage()
    stage.learn(3)
    future, first = stage.ask()
    first.ends(BUSY)
    assert error_of(future) is BUSY
    assert stage.hedged.statistics.delay is None


def test_nothing_is_sent_while_may_hedge_says_no(stage: Stage) -> None:
    """The attempt follows soon after the answer has changed."""
    allowed = threading.Event()
    stage.may_hedge = allowed.is_set
    future, _ = stage.ask()
    for _ in range(20):
        stage.advance_without_hedge(0.125)
    allowed.set()
    stage.advance(0.125)
    stage.next_attempt().ends("second")
    assert text_of(future) == "second"


def test_a_may_hedge_that_raises_means_no(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the watching goes on."""

    def broken() -> bool:
        raise ZeroDivisionError

    stage.may_hedge = broken
    _, first = stage.ask()
    with caplog.at_level(logging.ERROR):
        stage.advance_without_hedge(1.0)
    assert "ZeroDivisionError" in caplog.text
    stage.may_hedge = lambda: True
    stage.advance(1.0)
    stage.next_attempt()
    first.ends("first")


def test_the_budget_is_a_share_of_the_calls(make_stage: Callable[..., Stage]) -> None:
    """At a tenth, nine calls allow none; the tenth call allows one, for the call that is out for longest."""
    stage = make_stage(budget_fraction=0.1)
    stage.learn(4)
    futures = [stage.ask()[0] for _ in range(5)]
    stage.advance_without_hedge(1.0)
    futures.append(stage.ask()[0])
    stage.advance(0.125)
    stage.next_attempt().ends("second")
    assert text_of(futures[0]) == "second"
    for _ in range(20):
        stage.advance_without_hedge(0.125)
    assert not any(future.done() for future in futures[1:])
    assert stage.hedged.statistics.sent == 1


def test_a_quiet_time_saves_up_ten_at_most(make_stage: Callable[..., Stage]) -> None:
    """Twelve stragglers after forty calls in time: ten second attempts at once."""
    stage = make_stage(min_samples=40)
    stage.learn(40)
    for _ in range(12):
        stage.ask()
    stage.advance(1.0)
    for _ in range(10):
        stage.next_attempt()
    stage.advance_without_hedge(1.0)


def test_attempts_that_do_not_end_are_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many out as there may be, the next waits until one has ended."""
    monkeypatch.setattr(hedged_model, "_MOST_AT_ONCE", 1)
    futures = [stage.ask()[0] for _ in range(2)]
    stage.advance(1.0)
    second = stage.next_attempt()
    stage.advance_without_hedge(1.0)
    second.ends("second")
    assert text_of(futures[0]) == "second"
    stage.advance(0.5)
    stage.next_attempt().ends("second")
    assert text_of(futures[1]) == "second"


def test_time_in_the_limiter_is_not_time_out(make_stage: Callable[..., Stage]) -> None:
    """A call that waited five seconds for quota is due one second later, and teaches one second."""
    stage = make_stage()
    stage.learn(4)
    scope = stage.scope()
    future, first = stage.ask(scope)
    stage.until_asleep()
    scope.trace.limiter_seconds += 5.0
    stage.clock.advance(5.0)
    stage.advance_without_hedge(0.5)
    first.ends("in time")
    assert text_of(future) == "in time"
    assert stage.hedged.statistics.delay == 1.0
    future, _ = stage.ask(scope)
    stage.advance(1.0)
    stage.next_attempt().ends("second")
    assert text_of(future) == "second"


def test_an_attempt_called_off_teaches_that_it_was_slow(stage: Stage) -> None:
    """A first attempt beaten after three seconds counts as three, so the quantile does not sink."""
    future, _, second = stage.straggle()
    stage.advance(2.0)
    second.ends("second")
    future.result(PATIENCE)
    assert stage.hedged.statistics.delay == 3.0


def test_a_call_that_just_ended_gets_none(stage: Stage) -> None:
    """It is answered while the watching thread asks whether it may hedge."""
    asked, go_on = threading.Event(), threading.Event()

    def slow() -> bool:
        asked.set()
        return go_on.wait(PATIENCE)

    stage.may_hedge = slow
    future, first = stage.ask()
    stage.advance(1.0)
    assert asked.wait(PATIENCE)
    first.ends("just in time")
    assert text_of(future) == "just in time"
    go_on.set()
    stage.until_asleep()
    assert stage.hedged.statistics.sent == 0


# Whose answer.


def test_the_first_answer_wins_and_the_second_attempt_is_called_off(stage: Stage) -> None:
    """The first attempt answers at last: its answer, the other cancelled at once."""
    future, first, second = stage.straggle()
    first.ends("first")
    assert text_of(future) == "first"
    assert second.left.wait(PATIENCE)
    assert isinstance(second.scope.cause, OperationCancelledError)
    assert stage.hedged.statistics.won == 0


def test_the_second_answer_wins_and_the_first_attempt_is_called_off(stage: Stage) -> None:
    """The caller's own scope stays alive."""
    scope = stage.scope()
    future, first, second = stage.straggle(scope)
    second.ends("second")
    assert text_of(future) == "second"
    assert isinstance(first.scope.cause, OperationCancelledError)
    assert not scope.ended


def test_a_failed_first_attempt_waits_for_the_second(stage: Stage) -> None:
    """Its error is forgotten when the second answers."""
    future, first, second = stage.straggle()
    first.ends(BUSY)
    assert first.left.wait(PATIENCE)
    second.ends("second")
    assert text_of(future) == "second"
    assert stage.hedged.statistics.won == 1


def test_a_failed_second_attempt_waits_for_the_first(stage: Stage) -> None:
    """And is not tried again."""
    future, first, second = stage.straggle()
    second.ends(BROKEN)
    stage.advance_without_hedge(5.0)
    first.ends("first")
    assert text_of(future) == "first"


@pytest.mark.parametrize("first_fails_first", [True, False])
def test_when_both_fail_the_first_ones_error_counts(stage: Stage, first_fails_first: bool) -> None:
    """In whichever order they fail."""
    future, first, second = stage.straggle()
    ends: list[tuple[Attempt, ParallelProcessingError]] = [(first, BUSY), (second, BROKEN)]
    for attempt, error in ends if first_fails_first else reversed(ends):
        attempt.ends(error)
        assert attempt.left.wait(PATIENCE)
    assert error_of(future) is BUSY


@pytest.mark.parametrize("first_failed", [False, True])
def test_the_end_of_the_callers_scope_ends_both(stage: Stage, first_failed: bool) -> None:
    """Cancelled while both are out, or while only the second one is."""
    scope = stage.scope()
    future, first, second = stage.straggle(scope)
    if first_failed:
        first.ends(BUSY)
        assert first.left.wait(PATIENCE)
    scope.cancel()
    assert isinstance(error_of(future), OperationCancelledError)
    assert first.left.is_set()
    assert second.left.wait(PATIENCE)


def test_an_interrupt_in_the_first_attempt_ends_the_second(stage: Stage) -> None:
    """It is not an error of the model: it comes out at once."""
    future, first, second = stage.straggle()
    first.ends(KeyboardInterrupt())
    assert isinstance(error_of(future), KeyboardInterrupt)
    assert second.left.wait(PATIENCE)


def test_a_bug_in_the_second_attempt_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """It reaches no caller."""
    future, first, second = stage.straggle()
    with caplog.at_level(logging.ERROR):
        second.ends(KeyError("bug"))
        poll(lambda: "KeyError" in caplog.text, "nothing was logged")
    first.ends("first")
    assert text_of(future) == "first"


# Figures.


def test_both_attempts_are_in_the_callers_trace(stage: Stage) -> None:
    """Attempts, seconds and tokens add up; a snapshot of a call in flight counts its first attempt."""
    scope = stage.scope()
    future, _, second = stage.straggle(scope)
    assert scope.trace.figures().attempts == 1
    stage.advance(0.5)
    second.scope.trace.limiter_seconds += 0.125
    second.ends("second")
    future.result(PATIENCE)
    assert scope.trace.figures() == CallFigures(2, 0.125, 1.5 + 0.5, Usage(1, 1))


def test_an_attempt_called_off_counts_with_its_seconds_so_far(make_stage: Callable[..., Stage]) -> None:
    """The answer does not wait for it, even if it does not obey."""
    stage = make_stage()
    stage.learn()
    scope = stage.scope()
    let_go = threading.Event()
    future, first = stage.ask(scope)
    out = threading.Event()

    def stuck(_: Prompt, scope: Scope) -> str:
        scope.trace.limiter_seconds += 0.125
        out.set()
        let_go.wait(PATIENCE)
        return "too late"

    stage.hedged._model = MeasuredModel(FunctionModel(stuck))
    stage.advance(1.0)
    assert out.wait(PATIENCE)
    stage.advance(0.5)
    first.ends("first")
    assert text_of(future) == "first"
    assert scope.trace.figures() == CallFigures(2, 0.125, 1.5 + 0.375, Usage(1, 1))
    let_go.set()


def test_a_failed_call_leaves_no_reference_cycle() -> None:
    """The exception is freed when the caller lets go of it."""

    class Marked(Exception):
        pass

    def function(_: Prompt, __: Scope) -> str:
        raise Marked

    hedged = HedgedModel(FunctionModel(function), quantile=0.95)
    gc.disable()
    try:
        with pytest.raises(Marked) as caught:
            hedged.generate(PROMPT, Scope())
        frame = caught.tb
        while frame.tb_next is not None and frame.tb_frame.f_code is not HedgedModel.generate.__code__:
            frame = frame.tb_next
        assert not any(value is caught.value for value in frame.tb_frame.f_locals.values())
    finally:
        gc.enable()


# Threads.


def test_nothing_is_left_after_a_second_without_calls(stage: Stage) -> None:
    """The watching thread leaves, and another comes with the next call."""
    future, first = stage.ask()
    stage.advance(0.5)
    first.ends("first")
    future.result(PATIENCE)
    stage.until_asleep()
    assert len(hedge_threads()) == 1
    stage.advance(0.5)
    poll(lambda: not hedge_threads(), "the watching thread stayed")
    future, _, second = stage.straggle()
    second.ends("second")
    assert text_of(future) == "second"


def test_closing_calls_the_second_attempts_off(stage: Stage) -> None:
    """First attempts go on, and so do later calls, without a second attempt or a thread."""
    future, first, second = stage.straggle()
    other, unhedged = stage.ask()
    stage.hedged.close()
    stage.hedged.close()
    assert second.left.wait(PATIENCE)
    poll(lambda: not hedge_threads(), "a thread stayed")
    later, last = stage.ask()
    stage.clock.advance(10.0)
    assert hedge_threads() == []
    for attempt in (first, unhedged, last):
        attempt.ends("first")
    assert [text_of(each) for each in (future, other, later)] == ["first"] * 3


def test_without_threads_there_is_no_hedging(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine gives no thread to watch, or none for an attempt, calls are answered all the same."""

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("hedge-"):
            raise RuntimeError("can't start new thread")
        start(thread)

    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", refuse)
    future, first = stage.ask()
    first.ends("unwatched")
    assert text_of(future) == "unwatched"
    monkeypatch.undo()
    future, first = stage.ask()
    stage.until_asleep()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    stage.advance_without_hedge(1.0)
    first.ends("alone")
    assert text_of(future) == "alone"
    assert stage.hedged.statistics.sent == 0


def test_one_thread_watches(stage: Stage) -> None:
    """Of two that were started at the same moment the second leaves."""
    _, first = stage.ask()
    stage.until_asleep()
    stage.hedged._watch(stage.clock)
    assert len(hedge_threads()) == 1
    first.ends("first")


STUCK = textwrap.dedent(
    """
    import threading
    from core.outcome import Answer
    from core.ports import Prompt
    from core.scope import Scope
    from optimizers.hedged_model import HedgedModel

    second_is_out = threading.Event()

    class Model:
        identity, calls = "stuck", 0

        def generate(self, prompt, scope):
            self.calls += 1
            number = self.calls
            if number == 2:
                second_is_out.wait()
            if number == 3:
                second_is_out.set()
                threading.Event().wait()
            return Answer("answered", "stuck")

    hedged = HedgedModel(Model(), quantile=0.95, budget_fraction=1.0, min_samples=1)
    for _ in range(2):
        print(hedged.generate(Prompt("?"), Scope()).text)
    """
)


def test_a_stuck_second_attempt_does_not_hold_up_the_exit() -> None:
    """The interpreter ends although the attempt never does and nobody called close()."""
    command = [sys.executable, "-c", STUCK]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "answered\nanswered\n", "")


# Arguments.


@pytest.mark.parametrize("fraction", [0.0, 1.1, -0.1])
def test_the_budget_is_a_fraction(fraction: float) -> None:
    """Above 0, at most 1."""
    with pytest.raises(UsageError, match="budget_fraction"):
        HedgedModel(FunctionModel(lambda _, __: ""), quantile=0.95, budget_fraction=fraction)


def test_the_quantile_and_the_samples_are_checked() -> None:
    """At construction, not when the first latency comes."""
    for given in ({"quantile": 1.0}, {"quantile": 0.95, "min_samples": 0}):
        with pytest.raises(UsageError):
            HedgedModel(FunctionModel(lambda _, __: ""), **given)  # type: ignore[arg-type]  # wrong on purpose


def test_identity_is_the_next_models() -> None:
    """Asking twice changes nothing about what the model is."""
    hedged = HedgedModel(FunctionModel(lambda _, __: "", identity="m"), quantile=0.95)
    assert hedged.identity == "m"
    assert hedged.statistics == HedgeStatistics()


def test_real_time_will_do() -> None:
    """On the system's clock: a call that would take for ever is answered by its second attempt."""
    calls: list[int] = []

    def function(_: Prompt, scope: Scope) -> str:
        calls.append(len(calls))
        if len(calls) == 5:
            scope.sleep(PATIENCE)
        return f"{len(calls)}"

    hedged = HedgedModel(FunctionModel(function), quantile=0.5, budget_fraction=1.0, min_samples=4)
    texts = [hedged.generate(PROMPT, Scope(clock=SYSTEM_CLOCK)).text for _ in range(5)]
    assert texts == ["1", "2", "3", "4", "6"]
    hedged.close()
    poll(lambda: not hedge_threads(), "a thread was left over")


# The promise, in virtual time.


class VirtualClock(FakeClock):
    """A clock that can tell that nobody has anything to do before the next instant somebody waits for."""

    def at_rest(self, workers: list[threading.Thread]) -> bool:
        alive = len(hedge_threads()) + sum(worker.is_alive() for worker in workers)
        with self._lock:
            if len(self._waiters) != alive:
                return False
            waiting = [condition for _, condition in self._waiters.values()]
            due = any(wake_at <= self._now for wake_at, _ in self._waiters.values())
            # A thread that was notified but has not run yet still looks as if it waited.
            return not due and all(
                len(condition._waiters) >= waiting.count(condition)  # type: ignore[attr-defined]  # no public door
                for condition in waiting
            )

    def run(self, workers: list[threading.Thread]) -> None:
        """Move time on, from event to event, until the workers are done."""
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers):
            if self.at_rest(workers):
                self.advance(self.next_wake() - self.now())
            else:
                time.sleep(0)
        for worker in workers:
            worker.join()


def tail(latencies: list[float], share: float) -> float:
    """The nearest-rank quantile in medians."""
    in_order = sorted(latencies)
    return in_order[math.ceil(share * len(in_order)) - 1] / in_order[len(in_order) // 2 - 1]


def ask_all(latencies: list[list[float]]) -> tuple[list[float], HedgeStatistics]:
    """Eight callers ask once for each; the n-th attempt takes the n-th of its latencies. How long each call took."""
    clock, took, numbers = VirtualClock(), [0.0] * len(latencies), iter(range(len(latencies)))

    def play(prompt: Prompt, scope: Scope) -> str:
        scope.sleep(latencies[int(prompt.text)].pop(0))
        return prompt.text

    def work() -> None:
        for number in numbers:
            started = clock.now()
            assert hedged.generate(Prompt(str(number)), Scope(clock=clock)).text == str(number)
            took[number] = clock.now() - started

    hedged = HedgedModel(FunctionModel(play), quantile=0.95)
    clock.run([threading.Thread(target=work) for _ in range(8)])
    hedged.close()
    poll(lambda: not hedge_threads(), "a thread was left over")
    return took, hedged.statistics


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_call_in_a_hundred_ten_times_slower(seed: int) -> None:
    """2,000 calls: p99 at most twice the median, at most 5 % extra calls, and the tail is not ten medians any more."""
    chance = random.Random(seed)
    latencies = [[0.2 * chance.lognormvariate(0, 0.1) for _ in range(2)] for _ in range(2000)]
    for block in range(0, 2000, 100):
        latencies[block + chance.randrange(100)][0] *= 10
        latencies[block + chance.randrange(100)][1] *= 10
    without = [first for first, _ in latencies]
    took, statistics = ask_all(latencies)
    assert tail(took, 0.99) <= 2
    assert statistics.calls == 2000
    assert statistics.sent <= 0.05 * 2000
    assert tail(without, 0.995) > 9
    assert tail(took, 0.995) < 2.5

"""FAULTS row 7 on virtual time: real threads, real RetryingModel, a clock that jumps from wait to wait."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable

from core.errors import ErrorKind, ModelError
from core.ports import Prompt
from core.scope import Scope
from optimizers.retry import RetryingModel, RetryPolicy
from tests.fakes import FakeClock, FunctionModel

LATENCY = 0.2
QUESTION_TIMEOUT = 15.0


class VirtualRun:
    """Workers that take questions from one list; time moves when all that are left wait for a later instant."""

    def __init__(self, fails: Callable[[str, int, float], bool], *, questions: int, workers: int, until: float) -> None:
        self.clock = FakeClock(0.0)
        self.fails = fails
        self.until = until
        self.attempts: Counter[str] = Counter()
        self.first_attempts: list[float] = []
        self.retries: list[float] = []
        self.answered: list[float] = []
        self.failed: list[BaseException] = []
        self.longest = 0.0
        self._lock = threading.Lock()
        self._questions = iter(range(questions))
        dice = random.Random(11)
        self._model = RetryingModel(FunctionModel(self._serve), random=dice.random)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        self._live = workers

    def run(self) -> VirtualRun:
        for thread in self._threads:
            thread.start()
        lock = self.clock._lock
        while True:
            with lock:
                assert lock.wait_for(lambda: self._asleep() >= self._live, 20)
                if self._live == 0:
                    break
            self.clock.advance(self.clock.next_wake() - self.clock.now())
        for thread in self._threads:
            thread.join(20)
        return self

    def _asleep(self) -> int:
        return sum(wake_at > self.clock.now() for wake_at, _ in self.clock._waiters.values())

    def _work(self) -> None:
        while self.clock.now() < self.until:
            with self._lock:
                number = next(self._questions, None)
            if number is None:
                break
            self._ask(f"q{number}")
        with self.clock._lock:
            self._live -= 1
            self.clock._lock.notify_all()

    def _ask(self, text: str) -> None:
        began = self.clock.now()
        try:
            self._model.generate(Prompt(text), Scope(clock=self.clock, deadline=began + QUESTION_TIMEOUT))
        except Exception as error:  # noqa: BLE001 - whatever came out is what the test looks at
            self.failed.append(error)
        else:
            self.answered.append(self.clock.now())
        with self._lock:
            self.longest = max(self.longest, self.clock.now() - began)

    def _serve(self, prompt: Prompt, scope: Scope) -> str:
        with self._lock:
            self.attempts[prompt.text] += 1
            attempt = self.attempts[prompt.text]
            (self.first_attempts if attempt == 1 else self.retries).append(scope.now())
        began = scope.now()
        scope.sleep(LATENCY)
        if self.fails(prompt.text, attempt, began):
            raise ModelError(ErrorKind.OVERLOADED)
        return "ok"


def by_chance(text: str, attempt: int, _: float) -> bool:
    """30 % of the calls, the same ones in every run, whatever order the threads take."""
    return random.Random(f"{text}/{attempt}").random() < 0.3


def test_thirty_percent_chance_failures_are_all_answered_with_at_most_one_and_a_half_calls_each() -> None:
    """FAULTS 7: 30 % of the calls fail by chance; every question is answered, with <= 1.5 calls per answer."""
    run = VirtualRun(by_chance, questions=600, workers=30, until=1e9).run()
    assert (len(run.answered), run.failed) == (600, [])
    assert run.attempts.total() / 600 <= 1.5
    assert run.longest < QUESTION_TIMEOUT


def test_in_an_outage_retries_stay_within_ten_percent_and_the_floor_and_the_full_rate_returns_at_once() -> None:
    """FAULTS 7: all calls fail for 60 s; retries <= 10 % of the questions + the floor; 30 s later all is as before."""
    outage = 60.0
    run = VirtualRun(lambda _, __, began: began < outage, questions=10**6, workers=20, until=outage + 35).run()
    policy = RetryPolicy()
    first = sum(at < outage for at in run.first_attempts)
    retries = sum(at < outage for at in run.retries)
    windows = outage / policy.budget_window + 1
    assert first > 20
    assert retries <= policy.budget_fraction * first + policy.budget_floor * windows
    assert run.longest < QUESTION_TIMEOUT
    assert all(isinstance(error, ModelError) for error in run.failed)
    last_five = sum(outage + 30 <= at < outage + 35 for at in run.answered)
    assert last_five >= 0.98 * 20 * 5 / LATENCY
    assert all(error.kind is ErrorKind.OVERLOADED for error in run.failed if isinstance(error, ModelError))


def test_a_run_of_three_questions_can_retry() -> None:
    """Three questions that fail three times each are answered in seconds: the floor is there from the start."""
    run = VirtualRun(lambda _, attempt, __: attempt <= 3, questions=3, workers=3, until=1e9).run()
    assert (len(run.answered), run.attempts.total()) == (3, 12)
    assert run.longest < 5.0

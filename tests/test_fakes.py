"""The stand-ins themselves: a fake that lies makes every test that uses it worthless."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import pytest

from core.outcome import Answer, Usage
from core.ports import ChatModel, Prompt
from core.scope import Scope
from tests import fakes
from tests.fakes import FakeClock, FunctionModel

PATIENCE = 10.0


class Waiter:
    """A thread that waits on the clock once and notes that it came back."""

    def __init__(self, clock: FakeClock, timeout: float | None) -> None:
        self.condition = threading.Condition()
        self.back = threading.Event()
        self._clock = clock
        self._timeout = timeout
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        with self.condition:
            self._clock.wait(self.condition, self._timeout)
        self.back.set()

    def notify(self) -> None:
        with self.condition:
            self.condition.notify_all()

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert self.back.is_set()


def test_time_stands_still_until_it_is_moved() -> None:
    """Both clocks go forward together, and only by what they are told."""
    clock = FakeClock(start=50.0)
    wall = clock.wall()
    assert (clock.now(), clock.now()) == (50.0, 50.0)
    clock.advance(2.5)
    assert (clock.now(), clock.wall() - wall) == (52.5, 2.5)


def test_the_wall_clock_can_jump_on_its_own() -> None:
    """Durations do not notice."""
    clock = FakeClock()
    before = clock.now(), clock.wall()
    clock.wall_offset += 86_400
    assert (clock.now() - before[0], clock.wall() - before[1]) == (0.0, 86_400)


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_waiting_no_time_returns_at_once(timeout: float) -> None:
    """Without ever being counted as a waiter."""
    clock = FakeClock()
    Waiter(clock, timeout).join()
    assert clock.next_wake() == math.inf


def test_a_waiter_is_woken_at_its_instant_and_not_before() -> None:
    """Another one, due later, goes on waiting."""
    clock = FakeClock()
    first, second = Waiter(clock, 2.0), Waiter(clock, 5.0)
    clock.block_until(2, timed=True)
    assert clock.next_wake() == clock.now() + 2.0
    clock.advance(1.5)
    assert not first.back.is_set()
    clock.advance(0.5)
    first.join()
    assert not second.back.is_set()
    assert clock.next_wake() == clock.now() + 3.0
    clock.advance(3.0)
    second.join()
    assert clock.next_wake() == math.inf


def test_a_waiter_for_a_notice_is_not_woken_by_time() -> None:
    """It counts as a waiter, not as a timed one."""
    clock = FakeClock()
    waiter = Waiter(clock, None)
    clock.block_until(1)
    assert clock.next_wake() == math.inf
    clock.advance(1e9)
    assert not waiter.back.is_set()
    waiter.notify()
    waiter.join()


def test_what_never_comes_fails_the_test_instead_of_hanging_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both the waiting thread and the test that waits for waiters give up."""
    monkeypatch.setattr(fakes, "_PATIENCE", 0.01)
    clock, condition = FakeClock(), threading.Condition()
    with condition, pytest.raises(AssertionError, match="nothing ever woke it"):
        clock.wait(condition, 5.0)
    with pytest.raises(AssertionError, match="only 0 of 1"):
        clock.block_until(1)


def test_a_function_is_a_model() -> None:
    """Text becomes an answer with a little usage, an answer stays as it is, prompts are kept in order."""
    whole = Answer("whole", "other", Usage(5, 6, 7))
    answers: dict[str, str | Answer] = {"a": "text", "b": whole}
    model = FunctionModel(lambda prompt, scope: answers[prompt.text], identity="me")
    assert isinstance(model, ChatModel)
    assert model.generate(Prompt("a"), Scope()) == Answer("text", "me", Usage(1, 1))
    assert model.generate(Prompt("b"), Scope()) is whole
    assert (model.calls, model.prompts) == (2, [Prompt("a"), Prompt("b")])


def test_a_model_knows_how_many_were_inside_at_once() -> None:
    """Also when its function raises, nobody stays inside."""
    barrier = threading.Barrier(3)

    def answer(prompt: Prompt, scope: Scope) -> str:
        barrier.wait(PATIENCE)
        raise ValueError(prompt.text)

    model = FunctionModel(answer)

    def ask() -> None:
        with pytest.raises(ValueError, match="x"):
            model.generate(Prompt("x"), Scope())

    asks: list[Callable[[], None]] = [ask] * 3
    threads = [threading.Thread(target=each) for each in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (model.in_flight, model.most_in_flight, model.calls) == (0, 3, 3)

"""MeasuredModel: what each attempt leaves in the trace and tells its observer."""

from __future__ import annotations

import gc
import logging

import pytest

from core.errors import ErrorKind, ModelError
from core.events import CallStarted, Event
from core.outcome import Answer, CallFigures, Usage
from core.ports import Prompt
from core.scope import Scope
from optimizers.measured_model import CallRecord, MeasuredModel
from tests.fakes import FakeClock, FunctionModel

PROMPT = Prompt("1 + 1 = ?")
ANSWER = Answer("2", "fake", Usage(3, 4, 5))


def serve(_: Prompt, scope: Scope) -> Answer:
    clock = scope.clock
    assert isinstance(clock, FakeClock)
    clock.advance(2.5)
    return ANSWER


def refuse(_: Prompt, scope: Scope) -> Answer:
    serve(_, scope)
    raise ModelError(ErrorKind.OVERLOADED)


def test_an_attempt_is_counted_timed_and_its_tokens_added() -> None:
    """Two answered attempts under one scope add up in its trace."""
    scope, model = Scope(clock=FakeClock()), MeasuredModel(FunctionModel(serve))
    assert model.generate(PROMPT, scope) is ANSWER
    model.generate(PROMPT, scope)
    assert scope.trace.figures() == CallFigures(2, 0.0, 5.0, Usage(6, 8, 10))


@pytest.mark.parametrize("error", [ModelError(ErrorKind.OVERLOADED), KeyboardInterrupt()])
def test_a_failed_attempt_is_counted_and_timed_as_well(error: BaseException) -> None:
    """What raises, an interrupt too, leaves its attempt and its seconds, adds no tokens, and comes out as it was."""

    def function(_: Prompt, scope: Scope) -> Answer:
        serve(_, scope)
        raise error

    scope = Scope(clock=FakeClock())
    with pytest.raises(type(error)) as caught:
        MeasuredModel(FunctionModel(function)).generate(PROMPT, scope)
    assert caught.value is error
    assert scope.trace.figures() == CallFigures(1, 0.0, 2.5, Usage())


def test_the_attempt_in_flight_already_counts() -> None:
    """A snapshot taken during a call includes it."""
    seen: list[int] = []

    def function(_: Prompt, scope: Scope) -> str:
        seen.append(scope.trace.figures().attempts)
        return "2"

    MeasuredModel(FunctionModel(function)).generate(PROMPT, Scope(clock=FakeClock()))
    assert seen == [1]


def test_on_call_receives_a_record_of_each_attempt() -> None:
    """The record says of which model, for which task, when, how long, and what came out."""
    records: list[CallRecord] = []
    scope = Scope(clock=FakeClock(), task_id="query_0")
    MeasuredModel(FunctionModel(serve), on_call=records.append).generate(PROMPT, scope)
    with pytest.raises(ModelError) as caught:
        MeasuredModel(FunctionModel(refuse), on_call=records.append).generate(PROMPT, scope)
    assert records == [
        CallRecord("fake", "query_0", 1000.0, 2.5, ANSWER, None),
        CallRecord("fake", "query_0", 1002.5, 2.5, None, caught.value),
    ]
    assert [(record.ok, record.usage) for record in records] == [(True, ANSWER.usage), (False, Usage())]


def test_an_on_call_that_raises_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Its exception is logged, and the answer arrives."""

    def broken(_: CallRecord) -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        model = MeasuredModel(FunctionModel(serve), on_call=broken)
        assert model.generate(PROMPT, Scope(clock=FakeClock())) is ANSWER
    assert "ZeroDivisionError" in caplog.text


def test_a_failed_attempt_leaves_no_reference_cycle() -> None:
    """The exception, and with it the frames and their prompts, is freed when the caller lets go of it."""

    class Marked(Exception):
        pass

    def function(_: Prompt, __: Scope) -> str:
        raise Marked

    model = MeasuredModel(FunctionModel(function), on_call=lambda _: None)
    gc.disable()
    try:
        with pytest.raises(Marked) as caught:
            model.generate(PROMPT, Scope(clock=FakeClock()))
        frame = caught.tb
        while frame.tb_next is not None and frame.tb_frame.f_code is not MeasuredModel.generate.__code__:
            frame = frame.tb_next
        assert not any(value is caught.value for value in frame.tb_frame.f_locals.values())
    finally:
        gc.enable()


def test_identity_is_the_next_models() -> None:
    """Measuring changes nothing about what the model is."""
    assert MeasuredModel(FunctionModel(serve, identity="m")).identity == "m"


def test_an_observer_sees_each_attempt_begin() -> None:
    """Numbered, with the instant; also the one that fails."""
    clock, events = FakeClock(), list[Event]()
    scope = Scope(clock=clock, observer=events.append, task_id="q7")
    MeasuredModel(FunctionModel(serve)).generate(PROMPT, scope)
    with pytest.raises(ModelError):
        MeasuredModel(FunctionModel(refuse)).generate(PROMPT, scope)
    assert events == [CallStarted("q7", 1, 1000.0), CallStarted("q7", 2, 1002.5)]

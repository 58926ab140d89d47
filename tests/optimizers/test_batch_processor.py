"""BatchProcessor: parallel, streamed, typed, validated."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from core.errors import ErrorKind, ModelError, OperationCancelledError, UsageError
from core.events import BatchFinished, BatchStarted, Event
from core.outcome import Answer
from core.parallel_executor import ParallelExecutor
from core.ports import Prompt
from core.scope import Scope
from optimizers import batch_processor
from optimizers.batch_processor import BatchProcessor
from optimizers.cache_manager import CacheManager
from tests.fakes import FunctionModel


@pytest.fixture
def executor() -> Iterator[ParallelExecutor]:
    with ParallelExecutor(4) as executor:
        yield executor


def _processor(executor: ParallelExecutor, model: FunctionModel | None = None, batch_size: int = 5) -> BatchProcessor:
    return BatchProcessor(batch_size, model=model, executor=executor, cache=CacheManager())


def test_results_come_in_input_order_with_their_items(executor: ParallelExecutor) -> None:
    """Each item has one result, in the order of the input, whatever finished first."""
    last_done = threading.Event()

    def double(item: int) -> int:
        if item == 0:
            assert last_done.wait(10)
        if item == 3:
            last_done.set()
        return 2 * item

    results = _processor(executor).process_batch(range(4), double)
    assert results == [{"item": n, "result": 2 * n, "success": True} for n in range(4)]


def test_items_of_a_batch_run_side_by_side(executor: ParallelExecutor) -> None:
    """Four items meet at a barrier, which one at a time they never could."""
    barrier = threading.Barrier(4)
    results = _processor(executor).process_batch("abcd", lambda item: barrier.wait(10) >= 0)
    assert all(result["success"] for result in results)


def test_an_item_that_fails_is_a_failure_of_its_own(executor: ParallelExecutor) -> None:
    """An exception becomes success False with its message; the neighbours are answered."""
    results = _processor(executor).process_batch([1, 0, 2], lambda item: 4 // item)
    assert [result["success"] for result in results] == [True, False, True]
    assert results[1] == {
        "item": 0,
        "error": "ZeroDivisionError: integer division or modulo by zero",
        "success": False,
    }


def test_an_error_dict_is_what_the_function_returned(executor: ParallelExecutor) -> None:
    """A value is a value: only raising makes a failure."""
    results = _processor(executor).process_batch([1], lambda item: None)
    assert results == [{"item": 1, "result": None, "success": True}]


@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_size_that_would_process_nothing_is_refused(batch_size: int) -> None:
    """A batch size below one is a UsageError at construction."""
    with pytest.raises(UsageError, match="batch_size"):
        BatchProcessor(batch_size)


def test_empty_input_gives_an_empty_list(executor: ParallelExecutor) -> None:
    """Nothing in, nothing out."""
    assert _processor(executor).process_batch([], str) == []


def test_the_input_is_read_only_as_far_as_needed() -> None:
    """A long input is streamed: while every worker is busy, only the window has been read."""
    read = 0
    release = threading.Event()

    def items() -> Iterator[int]:
        nonlocal read
        for item in range(2000):
            read += 1
            yield item

    with ParallelExecutor(2, queue_capacity=3) as executor:
        high_water: list[int] = []

        def work(item: int) -> int:
            if item == 0:
                assert release.wait(10)
                high_water.append(read)
            return item

        def second(item: int) -> int:
            if item == 1:
                threading.Timer(0.05, release.set).start()
            return work(item)

        results = BatchProcessor(executor=executor, cache=CacheManager()).process_batch(items(), second)
    assert [result["item"] for result in results] == list(range(2000))
    assert high_water[0] < 2000


def test_batches_are_told_when_they_begin_and_end(executor: ParallelExecutor) -> None:
    """Five items in batches of two: three starts in order, three ends, the last batch being short."""
    events: list[Event] = []
    scope = Scope(observer=events.append)
    _processor(executor, batch_size=2).process_batch(list("abcde"), str, scope=scope)
    starts = [event for event in events if isinstance(event, BatchStarted)]
    ends = [event for event in events if isinstance(event, BatchFinished)]
    assert starts == [BatchStarted(1, 3), BatchStarted(2, 3), BatchStarted(3, 3)]
    assert sorted(event.number for event in ends) == [1, 2, 3]
    assert all(event.seconds >= 0 and event.total == 3 for event in ends)


def test_progress_can_be_off_and_the_length_unknown(executor: ParallelExecutor) -> None:
    """show_progress=False tells of no batch; a generator's batches have no total."""
    events: list[Event] = []
    scope = Scope(observer=events.append)
    _processor(executor).process_batch(iter("ab"), str, show_progress=False, scope=scope)
    assert not [event for event in events if isinstance(event, BatchStarted | BatchFinished)]
    _processor(executor, batch_size=1).process_batch(iter("ab"), str, scope=scope)
    assert [event for event in events if isinstance(event, BatchStarted)] == [
        BatchStarted(1, None),
        BatchStarted(2, None),
    ]


def test_texts_are_analysed_with_the_instruction_apart(executor: ParallelExecutor) -> None:
    """Each text travels as data under the system instruction of its analysis; results are the labels."""

    def classify(prompt: Prompt, scope: Scope) -> str:
        text = json.loads(prompt.text)["text"]
        assert text not in prompt.system_instruction
        return json.dumps({"result": "正面" if "好" in text else "負面"}, ensure_ascii=False)

    model = FunctionModel(classify)
    results = _processor(executor, model).batch_analyze_texts(["很好", "很糟", "很好"])
    assert [result.get("result") for result in results] == ["正面", "負面", "正面"]
    assert model.calls == 2


def test_an_unknown_analysis_is_refused_before_anything_is_asked(executor: ParallelExecutor) -> None:
    """The error names the types, and the model was not called."""
    model = FunctionModel(lambda prompt, scope: "")
    with pytest.raises(ValueError, match="sentiment, summary, category"):
        _processor(executor, model).batch_analyze_texts(["a"], "mood")
    assert model.calls == 0


def test_a_blank_text_fails_without_a_call(executor: ParallelExecutor) -> None:
    """White space is not worth a model call."""
    model = FunctionModel(lambda prompt, scope: "")
    results = _processor(executor, model).batch_analyze_texts(["  "])
    assert results == [{"item": "  ", "error": "文字是空白的, 沒有可分析的內容", "success": False}]
    assert model.calls == 0


def test_after_a_cancellation_every_item_still_has_its_result() -> None:
    """What was done is kept, the rest is reported as cancelled, nothing is lost."""
    scope = Scope()

    def work(item: int) -> int:
        if item == 2:
            scope.cancel(OperationCancelledError("已取消"))
        return item

    with ParallelExecutor(1) as executor:
        results = BatchProcessor(executor=executor, cache=CacheManager()).process_batch(range(500), work, scope=scope)
    assert [result["item"] for result in results] == list(range(500))
    answered = [result["item"] for result in results if result["success"]]
    assert answered[:2] == [0, 1]
    assert len(answered) < 500
    assert all(result["error"] == "已取消" for result in results if result["success"] is False)


def test_a_run_that_cannot_succeed_stops_asking(executor: ParallelExecutor) -> None:
    """A wrong key ends the batch after the calls under way; the rest is not run, with the reason."""

    def refuse(prompt: Prompt, scope: Scope) -> Answer:
        raise ModelError(ErrorKind.BAD_KEY)

    model = FunctionModel(refuse)
    results = _processor(executor, model).batch_analyze_texts([f"t{n}" for n in range(200)])
    assert len(results) == 200
    assert not any(result["success"] for result in results)
    assert model.calls <= 8
    assert all("API 金鑰無效" in str(result.get("error")) for result in results)


def test_without_parts_it_takes_the_default_model(mocker: Any) -> None:
    """The zero-argument constructor works: the default model is taken on first use and not before."""
    model = FunctionModel(lambda prompt, scope: '{"result": "中性"}')
    default = mocker.patch.object(batch_processor, "default_model", return_value=model)
    processor = BatchProcessor()
    default.assert_not_called()
    with processor.executor:
        assert processor.batch_analyze_texts(["一般"])[0]["success"]
    default.assert_called_once_with()

"""ParallelWorkflow: the graph from queries to outcomes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from core.errors import ErrorKind, ModelError, UsageError
from core.events import RunFinished, RunStarted, TaskFinished, TaskStarted
from core.outcome import Answer, OutcomeKind
from core.parallel_executor import ParallelExecutor
from core.ports import Prompt
from core.scope import Scope
from optimizers.cache_manager import CacheManager
from tests.fakes import FunctionModel
from workflows import parallel_workflow
from workflows.parallel_workflow import ParallelWorkflow, RunContext


def _echo(prompt: Prompt, scope: Scope) -> str:
    return f"答: {prompt.text}"


@pytest.fixture
def executor() -> Iterator[ParallelExecutor]:
    with ParallelExecutor(5) as executor:
        yield executor


def _workflow(executor: ParallelExecutor, model: FunctionModel, **kwargs: Any) -> ParallelWorkflow:
    return ParallelWorkflow(model=model, executor=executor, cache=CacheManager(), **kwargs)


def test_the_graph_has_the_two_nodes(executor: ParallelExecutor) -> None:
    """START → process_parallel → aggregate_results → END."""
    graph = _workflow(executor, FunctionModel(_echo)).create_workflow().get_graph()
    assert set(graph.nodes) == {"__start__", "process_parallel", "aggregate_results", "__end__"}
    assert {(edge.source, edge.target) for edge in graph.edges} == {
        ("__start__", "process_parallel"),
        ("process_parallel", "aggregate_results"),
        ("aggregate_results", "__end__"),
    }


def test_invoking_with_queries_alone_gives_the_whole_state(executor: ParallelExecutor) -> None:
    """Results are keyed query_i, the text shows every question, times are measured."""
    state = _workflow(executor, FunctionModel(_echo)).create_workflow().invoke({"user_queries": ["甲", "乙"]})
    assert state["user_queries"] == ["甲", "乙"]
    assert state["parallel_results"] == {"query_0": "答: 甲", "query_1": "答: 乙"}
    assert "甲" in state["aggregated_response"]
    assert "答: 乙" in state["aggregated_response"]
    assert state["execution_time"] >= 0
    assert [outcome.kind for outcome in state["outcomes"]] == [OutcomeKind.ANSWERED] * 2


def test_a_failure_is_an_outcome_with_a_cause_and_not_an_answer(executor: ParallelExecutor) -> None:
    """The failed query has no result, counts as failed, and its cause and remedy are on screen."""

    def fail_second(prompt: Prompt, scope: Scope) -> str:
        if prompt.text == "乙":
            raise ModelError(ErrorKind.BAD_REQUEST, "欄位錯誤")
        return "好"

    workflow = _workflow(executor, FunctionModel(fail_second))
    state = workflow.create_workflow().invoke({"user_queries": ["甲", "乙"]})
    assert state["parallel_results"] == {"query_0": "好"}
    assert "伺服器不接受這個請求 (欄位錯誤)" in state["aggregated_response"]
    assert "請檢查問題內容或模型參數" in state["aggregated_response"]
    assert workflow.executor.get_stats()["successful_tasks"] == 1


def test_three_of_three_failing_is_no_success(executor: ParallelExecutor) -> None:
    """When every call fails the success rate is zero, not one."""

    def fail(prompt: Prompt, scope: Scope) -> Answer:
        raise ModelError(ErrorKind.SERVER_ERROR)

    workflow = _workflow(executor, FunctionModel(fail))
    workflow.create_workflow().invoke({"user_queries": ["a", "b", "c"]})
    assert workflow.executor.get_stats()["success_rate"] == 0.0
    assert workflow.cache.get_stats()["cache_size"] == 0


def test_identical_queries_in_flight_make_one_call(executor: ParallelExecutor) -> None:
    """Five askers of one question share one call, and a later run hits the cache."""
    model = FunctionModel(_echo)
    graph = _workflow(executor, model).create_workflow()
    state = graph.invoke({"user_queries": ["同一題"] * 5})
    assert len(state["parallel_results"]) == 5
    graph.invoke({"user_queries": ["同一題"]})
    assert model.calls == 1


def test_executor_and_cache_may_be_replaced_before_creating(executor: ParallelExecutor) -> None:
    """What stands in .executor and .cache at creation is what the graph uses."""
    workflow = ParallelWorkflow(model=FunctionModel(_echo))
    workflow.executor.close()
    workflow.executor = executor
    workflow.cache = CacheManager(default_ttl=60)
    workflow.create_workflow().invoke({"user_queries": ["甲"]})
    assert executor.get_stats()["total_tasks"] == 1
    assert workflow.cache.get_stats()["cache_size"] == 1


def test_events_come_through_the_custom_stream(executor: ParallelExecutor) -> None:
    """Streaming the graph yields start, tasks and end as they happen, and the final state."""
    graph = _workflow(executor, FunctionModel(_echo)).create_workflow()
    parts = list(graph.stream({"user_queries": ["甲", "乙"]}, stream_mode=["custom", "values"]))
    events = [part for mode, part in parts if mode == "custom"]
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    assert sum(isinstance(event, TaskStarted) for event in events) == 2
    assert sum(isinstance(event, TaskFinished) for event in events) == 2
    mode, state = parts[-1]
    assert mode == "values"
    assert isinstance(state, dict)
    assert len(state["parallel_results"]) == 2


def test_an_event_arrives_while_the_run_is_still_going(executor: ParallelExecutor) -> None:
    """The first finished task is told before the last one is even let go."""
    release = threading.Event()

    def wait_for_release(prompt: Prompt, scope: Scope) -> str:
        if prompt.text == "慢":
            assert release.wait(10)
        return "好"

    graph = _workflow(executor, FunctionModel(wait_for_release)).create_workflow()
    seen = 0
    for mode, part in graph.stream({"user_queries": ["快", "慢"]}, stream_mode=["custom", "values"]):
        if mode == "custom" and isinstance(part, TaskFinished):
            seen += 1
            release.set()
    assert seen == 2


def test_the_callers_scope_calls_the_run_off(executor: ParallelExecutor) -> None:
    """Cancelling keeps what is answered; the others are cancelled and the graph still aggregates."""
    scope = Scope()
    events: list[object] = []
    scope.observer = events.append

    def answer_then_cancel(prompt: Prompt, scope_of_task: Scope) -> str:
        if prompt.text == "先":
            return "答"
        scope.cancel()
        scope_of_task.check()
        raise AssertionError("the task's scope did not end with the run's")

    with ParallelExecutor(1) as single:
        graph = _workflow(single, FunctionModel(answer_then_cancel)).create_workflow()
        state = graph.invoke({"user_queries": ["先", "中", "後"]}, context=RunContext(scope))
    assert state["parallel_results"] == {"query_0": "答"}
    assert [outcome.kind for outcome in state["outcomes"]][1:] == [OutcomeKind.CANCELLED] * 2
    assert any(isinstance(event, RunFinished) for event in events)


def test_a_hung_query_times_out_alone(executor: ParallelExecutor) -> None:
    """One of four never answers: it is reported at its deadline, three are answered."""
    for_ever = threading.Event()

    def hang(prompt: Prompt, scope: Scope) -> str:
        if prompt.text == "2":
            for_ever.wait()
        return "好"

    graph = _workflow(executor, FunctionModel(hang), query_timeout=0.3).create_workflow()
    try:
        state = graph.invoke({"user_queries": ["0", "1", "2", "3"]})
    finally:
        for_ever.set()
    assert sorted(state["parallel_results"]) == ["query_0", "query_1", "query_3"]
    assert state["outcomes"][2].kind is OutcomeKind.TIMED_OUT


@pytest.mark.parametrize("state", [{}, {"user_queries": []}, {"user_queries": None}])
def test_no_queries_give_an_empty_report(executor: ParallelExecutor, state: Any) -> None:
    """Nothing asked is an empty result, not a division by zero."""
    result = _workflow(executor, FunctionModel(_echo)).create_workflow().invoke(state)
    assert result.get("parallel_results", {}) == {}


@pytest.mark.parametrize("queries", ["一個字串", [1, 2]])
def test_queries_of_another_shape_are_refused(executor: ParallelExecutor, queries: Any) -> None:
    """A string would be asked letter by letter; it is refused with a sentence."""
    with pytest.raises(UsageError, match="user_queries"):
        _workflow(executor, FunctionModel(_echo)).create_workflow().invoke({"user_queries": queries})


def test_a_blank_query_fails_without_a_call(executor: ParallelExecutor) -> None:
    """White space is told to be blank; the others are asked."""
    model = FunctionModel(_echo)
    state = _workflow(executor, model).create_workflow().invoke({"user_queries": [" ", "甲"]})
    assert state["outcomes"][0].reason == "問題是空白的, 請輸入內容"
    assert model.calls == 1


def test_one_graph_serves_several_threads(executor: ParallelExecutor) -> None:
    """Runs at the same time keep their answers apart."""
    graph = _workflow(executor, FunctionModel(_echo)).create_workflow()
    states: dict[int, Any] = {}

    def run(number: int) -> None:
        states[number] = graph.invoke({"user_queries": [f"{number}-{index}" for index in range(20)]})

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for number in range(4):
        assert states[number]["parallel_results"] == {f"query_{index}": f"答: {number}-{index}" for index in range(20)}


def test_the_zero_argument_constructor_takes_the_default_model(mocker: Any) -> None:
    """As in the reference: no arguments, five workers, five minutes of cache, the default model on first use."""
    default = mocker.patch.object(parallel_workflow, "default_model", return_value=FunctionModel(_echo))
    workflow = ParallelWorkflow()
    assert workflow.executor.max_workers == 5
    graph = workflow.create_workflow()
    default.assert_not_called()
    with workflow.executor:
        assert graph.invoke({"user_queries": ["甲"]})["parallel_results"] == {"query_0": "答: 甲"}

"""ParallelWorkflow: a set of questions through a LangGraph StateGraph, answered side by side."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import UsageError
from core.events import Event, Observer
from core.language import tr
from core.outcome import Answer, Outcome, RunReport
from core.parallel_executor import ParallelExecutor, ParallelTask
from core.ports import ChatModel, Prompt
from core.scope import Scope
from optimizers.assembly import default_model
from optimizers.cache_manager import CacheManager
from optimizers.cached_model import CachedModel
from utils.rendering import aggregate_text

__all__ = ["ParallelWorkflow", "ParallelWorkflowState", "RunContext", "WorkflowGraph"]


class ParallelWorkflowState(TypedDict, total=False):
    """What travels through the graph. Callers need to pass user_queries only.

    parallel_results holds the answered queries' texts under query_0, query_1, …; outcomes and report tell of
    every query, in input order. execution_time: wall clock in seconds.
    """

    user_queries: list[str]
    parallel_results: dict[str, str]
    aggregated_response: str
    execution_time: float
    outcomes: list[Outcome[Answer]]
    report: RunReport[Answer]


@dataclass(frozen=True, slots=True)
class RunContext:
    """What one run may be given besides its state: the scope that bounds it and can call it off."""

    scope: Scope | None = None


WorkflowGraph = CompiledStateGraph[ParallelWorkflowState, RunContext, ParallelWorkflowState, ParallelWorkflowState]


class ParallelWorkflow:
    """Builds the graph process_parallel → aggregate_results over one executor and one cache.

    executor and cache may be replaced before create_workflow(). The graph may be invoked from several threads
    at once; they share the workers and the cache. Streaming it with stream_mode "custom" yields the run's events
    (core.events) as they happen. query_timeout: seconds each query may take once a worker has it;
    on_answer: told of every answer, whatever its source.
    """

    def __init__(
        self,
        *,
        model: ChatModel | None = None,
        executor: ParallelExecutor | None = None,
        cache: CacheManager | None = None,
        query_timeout: float = 15.0,
        on_answer: Callable[[Answer], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.executor = executor if executor is not None else ParallelExecutor(max_workers=5, clock=clock)
        self.cache = cache if cache is not None else CacheManager(default_ttl=300, clock=clock)
        self._model = model
        self._query_timeout = query_timeout
        self._on_answer = on_answer
        self._clock = clock

    def create_workflow(self) -> WorkflowGraph:
        """Compile the graph over the executor and cache of this moment."""
        run = _Nodes(self.executor, self.cache, self._model, self._query_timeout, self._on_answer, self._clock)
        graph = StateGraph(ParallelWorkflowState, context_schema=RunContext)
        graph.add_node("process_parallel", run.process_parallel)
        graph.add_node("aggregate_results", run.aggregate_results)
        graph.add_edge(START, "process_parallel")
        graph.add_edge("process_parallel", "aggregate_results")
        graph.add_edge("aggregate_results", END)
        return graph.compile()


@dataclass(frozen=True, slots=True)
class _Nodes:
    """The graph's two nodes and what they work with."""

    executor: ParallelExecutor
    cache: CacheManager
    model: ChatModel | None
    query_timeout: float
    on_answer: Callable[[Answer], object] | None
    clock: Clock

    def process_parallel(self, state: ParallelWorkflowState, runtime: Runtime[RunContext]) -> ParallelWorkflowState:
        """Ask every query as one task; the run's events go out through the graph's custom stream."""
        queries = _queries(state)
        base = self.model if self.model is not None else default_model()
        model = CachedModel(base, self.cache, on_answer=self.on_answer)
        with _observed_scope(runtime, self.clock) as scope:
            report: RunReport[Answer] = self.executor.run(
                [self._task(index, query, model) for index, query in enumerate(queries)], scope=scope
            )
        return {
            "parallel_results": {
                outcome.task_id: outcome.value.text for outcome in report.outcomes if isinstance(outcome.value, Answer)
            },
            "execution_time": report.wall_seconds,
            "outcomes": list(report.outcomes),
            "report": report,
        }

    def aggregate_results(self, state: ParallelWorkflowState) -> ParallelWorkflowState:
        """Turn the outcomes into the text that a person reads."""
        text = aggregate_text(state["report"], _queries(state), self.cache.get_stats())
        return {"aggregated_response": text}

    def _task(self, index: int, query: str, model: ChatModel) -> ParallelTask:
        return ParallelTask(
            id=f"query_{index}",
            name=query,
            function=_ask,
            args=(model, query),
            timeout=self.query_timeout,
            scoped=True,
        )


def _ask(model: ChatModel, query: str, scope: Scope) -> Answer:
    if not query.strip():
        raise UsageError(tr("問題是空白的, 請輸入內容"))
    return model.generate(Prompt(query), scope)


def _queries(state: ParallelWorkflowState) -> list[str]:
    queries: object = state.get("user_queries") or []
    if not isinstance(queries, list | tuple) or not all(isinstance(query, str) for query in queries):
        raise UsageError(tr("user_queries 必須是由文字組成的清單"))
    return list(queries)


def _observed_scope(runtime: Runtime[RunContext], clock: Clock) -> Scope:
    """A scope for the run: inside the caller's if there is one, its events also written to the custom stream."""
    given = runtime.context.scope if runtime.context is not None else None
    scope = given.child() if given is not None else Scope(clock=clock)
    scope.observer = _both(scope.observer, _in_this_context(runtime.stream_writer))
    return scope


def _in_this_context(write: Callable[[Any], object]) -> Observer:
    """The graph's writer for any thread: it looks its run up in the context, which worker threads do not have."""
    context = contextvars.copy_context()
    # A context can be entered by one thread at a time; a copy costs next to nothing.
    return lambda event: context.copy().run(write, event)


def _both(first: Observer | None, second: Observer) -> Observer:
    if first is None:
        return second

    def observe(event: Event) -> None:
        first(event)
        second(event)

    return observe

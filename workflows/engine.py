"""Engine: what the menu works with. Cheap to construct; the heavy imports come behind it, in the background."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import ErrorKind, ModelError, ParallelProcessingError, ScopeError
from core.events import Observer, TaskFinished
from core.outcome import Outcome
from core.parallel_executor import ParallelExecutor
from core.scope import Scope
from core.settings import Settings
from optimizers.cache_manager import CacheManager
from utils.performance_monitor import PerformanceMonitor

if TYPE_CHECKING:
    from optimizers.analyses import Analysis
    from optimizers.assembly import ModelParts
    from optimizers.measured_model import CallRecord
    from workflows.parallel_workflow import ParallelWorkflowState, WorkflowGraph

__all__ = ["Engine"]

CHECK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Loaded:
    parts: ModelParts
    graph: WorkflowGraph


class Engine:
    """Executor, cache, monitor and model of one program run, and the graph over them. Thread-safe.

    start() loads and checks the model in the background; whoever needs it earlier waits for the loading.
    problem is what that check found wrong, None while all is well. close() parts from threads and connections.
    """

    def __init__(self, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.settings = settings
        self.cache = CacheManager(default_ttl=settings.cache_ttl, clock=clock)
        self.executor = ParallelExecutor(settings.max_workers, clock=clock)
        self.monitor = PerformanceMonitor(clock=clock)
        self.problem: ParallelProcessingError | None = None
        self._clock = clock
        # Guards _loaded; held while the parts are built, which imports but calls no model.
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None

    def start(self) -> None:
        """Load and check in the background."""
        threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()

    def ask(self, queries: list[str], *, scope: Scope, observer: Observer) -> ParallelWorkflowState:
        """Run the queries through the graph; the observer sees the events as they happen."""
        from workflows.parallel_workflow import ParallelWorkflowState, RunContext

        graph = self._load().graph
        state = ParallelWorkflowState()
        with self.monitor.measure("parallel_workflow"):
            for mode, part in graph.stream(
                {"user_queries": queries}, context=RunContext(scope), stream_mode=["custom", "values"]
            ):
                if mode == "values":
                    state = part  # type: ignore[assignment]  # the graph's stream is typed as dict | Any
                else:
                    self._note(part)
                    observer(part)  # type: ignore[arg-type]  # our own events, written in the node
        return state

    def analyze(
        self, texts: Iterable[str], analysis: Analysis, *, kept: list[str], scope: Scope
    ) -> Iterator[tuple[int, Outcome[str]]]:
        """Analyse the texts, yielding (position, outcome) as they are done; kept receives the texts read."""
        from optimizers.batch_processor import BatchProcessor

        processor = BatchProcessor(
            batch_size=max(self.executor.max_workers, 5),
            model=self._load().parts.model,
            executor=self.executor,
            cache=self.cache,
            timeout=self.settings.query_timeout,
            clock=self._clock,
        )
        with self.monitor.measure("batch_analysis"):
            for index, outcome in processor.analyze(texts, analysis, kept=kept, scope=scope):
                self._note(TaskFinished(outcome))
                yield index, outcome

    def close(self, *, timeout: float = 0.5) -> None:
        """Part from what is still running within timeout seconds, and from the model's connections."""
        self.executor.close(timeout=timeout)
        loaded = self._loaded
        if loaded is not None:
            loaded.parts.close()

    def _load(self) -> _Loaded:
        with self._loading:
            if self._loaded is None:
                from optimizers.assembly import build_model
                from workflows.parallel_workflow import ParallelWorkflow

                parts = build_model(self.settings, on_call=self._note_call)
                workflow = ParallelWorkflow(
                    model=parts.model,
                    executor=self.executor,
                    cache=self.cache,
                    query_timeout=self.settings.query_timeout,
                    clock=self._clock,
                )
                self._loaded = _Loaded(parts, workflow.create_workflow())
            return self._loaded

    def _warm_up(self) -> None:
        try:
            parts = self._load().parts
        except (ImportError, ParallelProcessingError):
            return  # whoever needs the parts will load again, and meet and tell the same error
        try:
            parts.verify(Scope(clock=self._clock, deadline=self._clock.now() + CHECK_SECONDS))
        except ScopeError:
            self.problem = ModelError(ErrorKind.UNAVAILABLE, f"{CHECK_SECONDS:g} 秒內沒有回應")
        except ParallelProcessingError as error:
            self.problem = error

    def _note(self, event: Any) -> None:
        if isinstance(event, TaskFinished) and event.outcome.started_at is not None:
            self.monitor.record("task", event.outcome.run_seconds, ok=event.outcome.answered)

    def _note_call(self, record: CallRecord) -> None:
        self.monitor.record("model_call", record.seconds, ok=record.ok)

"""Engine: what the menu works with. Cheap to construct; the heavy imports come behind it, in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from core.clock import SYSTEM_CLOCK, Clock
from core.cost import Spend
from core.errors import ParallelProcessingError
from core.events import Observer, TaskFinished
from core.limits import LimiterStatistics, Limits
from core.outcome import Outcome
from core.parallel_executor import ParallelExecutor
from core.ports import ChatModel
from core.scope import Scope
from core.settings import Settings
from optimizers.cache_manager import CacheManager
from optimizers.cost_ledger import CostLedger
from optimizers.limit_settings import LimitSettings, default_limits_path
from utils.call_breakdown import CallBreakdown
from utils.performance_monitor import PerformanceMonitor
from workflows.model_slot import ModelSlot
from workflows.parts import open_cache_store, open_history, spending_cap

if TYPE_CHECKING:
    from optimizers.analyses import Analysis
    from optimizers.assembly import ModelParts
    from optimizers.measured_model import CallRecord
    from optimizers.rate_limiter import RateLimiter
    from optimizers.run_history import RunHistory
    from optimizers.telemetry import Telemetry
    from workflows.loading import Loaded
    from workflows.parallel_workflow import ParallelWorkflowState

__all__ = ["Engine"]

_AT_START: Final = frozenset({"cache_store", "plain"})
_NOT_THE_MODELS: Final = _AT_START | {
    "max_workers", "cache_ttl", "history", "language", "fallback_models", "fallback_unasked",
}  # fmt: skip


class Engine:
    """Executor, cache, monitor and model of one program run, and the graph over them. Thread-safe.

    start() loads and checks the model in a background thread; whoever needs it earlier waits for that thread, so
    that a Ctrl-C ends the waiting and never an import half-way. problem is what the check found wrong, None while
    all is well. ledger knows what calls cost, last_run what the latest run did. close() parts from threads and
    connections. on_note is told of what a person should know beside the results. environ is the process's environment,
    in which OpenTelemetry's own variables are looked for; left out, nothing is sent anywhere.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_note: Callable[[str], object] = lambda _: None,
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._on_note = on_note
        self._environ = environ
        self.settings = settings
        store = open_cache_store(settings, clock, on_note)
        self.cache = CacheManager(default_ttl=settings.cache_ttl, clock=clock, store=store)
        self.executor = ParallelExecutor(settings.max_workers, clock=clock)
        self.monitor = PerformanceMonitor(clock=clock)
        self.ledger = CostLedger(clock=clock)
        self.last_run: Spend | None = None
        self._before = Spend()
        self.breakdown = CallBreakdown()
        self.saved_limits = LimitSettings(default_limits_path())
        self._cap = spending_cap(settings, self.ledger)
        self._clock = clock
        self._slot = ModelSlot(self._first, clock=clock)
        self._telemetry: Telemetry | None = None

    def start(self) -> None:
        """Load and check in the background. Idempotent."""
        self._slot.start()

    def wait_until_loaded(self) -> None:
        """Wait for the loading. Raises what went wrong with it; KeyboardInterrupt ends the waiting alone."""
        self._slot.loaded()

    def ask(self, queries: list[str], *, scope: Scope, observer: Observer) -> ParallelWorkflowState:
        """Run the queries through the graph; the observer sees the events as they happen."""
        from workflows.parallel_workflow import ParallelWorkflowState, RunContext

        graph = self._slot.loaded().graph
        state = ParallelWorkflowState()
        with self.accounted(), self.monitor.measure("parallel_workflow"):
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
            model=self._slot.loaded().parts.model,
            executor=self.executor,
            cache=self.cache,
            timeout=self.settings.query_timeout,
            on_answer=self.ledger.note_answer,
            clock=self._clock,
        )
        with self.accounted(), self.monitor.measure("batch_analysis"):
            for index, outcome in processor.analyze(texts, analysis, kept=kept, scope=scope):
                self._note(TaskFinished(outcome))
                yield index, outcome

    @property
    def problem(self) -> ParallelProcessingError | None:
        """What the check of the model found wrong; None while all is well, and once it has been told."""
        return self._slot.problem

    @problem.setter
    def problem(self, problem: ParallelProcessingError | None) -> None:
        self._slot.problem = problem

    @cached_property
    def history(self) -> RunHistory:
        """The runs of before; its notices go to on_note."""
        return open_history(self.settings, self._clock, self._on_note)

    def parts(self) -> ModelParts:
        """The model with all that belongs to it; waits until it is loaded."""
        return self._slot.loaded().parts

    def chat_model(self) -> ChatModel:
        """The model with everything in front of it but the cache; waits until it is loaded."""
        return self.parts().model

    @property
    def limiter(self) -> RateLimiter:
        """The model's limiter; waits until it is loaded."""
        return self.parts().limiter

    def apply(self, settings: Settings) -> tuple[str, ...]:
        """Work with other settings from now on; returns the fields that take a new start. Not during a run.

        Raises ModelError, and keeps all as it was, where the service refuses the model.
        """
        changed = {field.name for field in fields(Settings) if _differ(field.name, self.settings, settings)}
        if changed - _NOT_THE_MODELS:
            self._exchange(settings)
        self.settings = settings
        if self._telemetry is not None:
            self._telemetry.settings = settings
        self.executor.resize(settings.max_workers)
        self.cache.default_ttl = settings.cache_ttl
        if "history" in changed:
            self.__dict__.pop("history", None)  # opened anew when it is next looked at
        return tuple(sorted(changed & _AT_START))

    def use_model(self, name: str) -> None:
        """Ask another model of the same provider from now on, as apply() does."""
        self.apply(replace(self.settings, model=name))

    def limits(self) -> Limits:
        """The configured limits in force."""
        return self._slot.loaded().parts.limiter.limits

    def limiter_figures(self) -> LimiterStatistics | None:
        """How the limiter stands; None until the model is loaded. Never waits."""
        loaded = self._slot.peek()
        return None if loaded is None else loaded.parts.limiter.statistics()

    @contextmanager
    def accounted(self) -> Iterator[None]:
        """Around a run: what it cost is in last_run afterwards, and the spending cap counts from here."""
        if self._cap is not None:
            self._cap.start_run()
        self._before = self.ledger.totals()
        try:
            with nullcontext() if self._telemetry is None else self._telemetry.run():
                yield
        finally:
            self.last_run = self.spent()

    def spent(self) -> Spend:
        """What the run at hand, or the latest one, has cost so far."""
        return self.ledger.totals() - self._before

    def close(self, *, timeout: float = 0.5) -> None:
        """Part from what is still running within timeout seconds, and from the model's connections."""
        self.executor.close(timeout=timeout)
        self._slot.close()
        self.cache.close()
        if self._telemetry is not None:
            self._telemetry.close()

    def _exchange(self, settings: Settings) -> None:
        cap, self._cap = self._cap, spending_cap(settings, self.ledger)
        try:
            self._slot.exchange(lambda: self._build(settings))
        except BaseException:
            self._cap = cap
            raise

    def _build(self, settings: Settings) -> Loaded:
        from workflows.loading import load

        return load(
            settings,
            executor=self.executor,
            cache=self.cache,
            on_call=self._note_call,
            on_answer=self.ledger.note_answer,
            cap=self._cap,
            saved=self.saved_limits,
            clock=self._clock,
        )

    def _first(self) -> Loaded:
        """In the background: what takes long to import."""
        self._telemetry = self._open_telemetry()
        return self._build(self.settings)

    def _open_telemetry(self) -> Telemetry | None:
        if not any(name.startswith("OTEL_") for name in self._environ):
            return None
        from optimizers.telemetry import open_telemetry

        return open_telemetry(self._environ, self.settings, on_note=self._on_note, clock=self._clock)

    def _note(self, event: Any) -> None:
        if isinstance(event, TaskFinished) and event.outcome.started_at is not None:
            self.monitor.record("task", event.outcome.run_seconds, ok=event.outcome.answered)
            self.breakdown.add(event.outcome)

    def _note_call(self, record: CallRecord) -> None:
        self.monitor.record("model_call", record.seconds, ok=record.ok)
        self.ledger.note_call(record)
        if self._telemetry is not None:
            self._telemetry.note_call(record)


def _differ(name: str, one: Settings, other: Settings) -> bool:
    return bool(getattr(one, name) != getattr(other, name))

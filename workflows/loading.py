"""The model in use and the graph over it: made from the settings, checked once, replaced as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.clock import Clock
from core.errors import ErrorKind, ModelError, ScopeError
from core.language import tr
from core.outcome import Answer
from core.parallel_executor import ParallelExecutor
from core.scope import Scope
from core.settings import Settings
from optimizers.assembly import ModelParts, build_model
from optimizers.cache_manager import CacheManager
from optimizers.limit_settings import LimitSettings
from optimizers.measured_model import CallRecord
from optimizers.spending_cap import SpendingCap
from workflows.parallel_workflow import ParallelWorkflow, WorkflowGraph

__all__ = ["CHECK_SECONDS", "Loaded", "load"]

CHECK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model's parts and the graph that asks it."""

    parts: ModelParts
    graph: WorkflowGraph

    def verify(self, clock: Clock) -> None:
        """Ask the service whether key and model are good. Raises ParallelProcessingError; ends within CHECK_SECONDS."""
        try:
            self.parts.verify(Scope(clock=clock, deadline=clock.now() + CHECK_SECONDS))
        except ScopeError:
            late = tr("{seconds:g} 秒內沒有回應", seconds=CHECK_SECONDS)
            raise ModelError(ErrorKind.UNAVAILABLE, late) from None


def load(
    settings: Settings,
    *,
    executor: ParallelExecutor,
    cache: CacheManager,
    on_call: Callable[[CallRecord], object],
    on_answer: Callable[[Answer], object],
    cap: SpendingCap | None,
    saved: LimitSettings,
    clock: Clock,
) -> Loaded:
    """Make the model with everything in front of it, and compile the graph. Takes a second: the imports are heavy."""
    parts = build_model(settings, on_call=on_call, cap=cap, saved=saved)
    workflow = ParallelWorkflow(
        model=parts.model,
        executor=executor,
        cache=cache,
        query_timeout=settings.query_timeout,
        on_answer=on_answer,
        clock=clock,
    )
    return Loaded(parts, workflow.create_workflow())

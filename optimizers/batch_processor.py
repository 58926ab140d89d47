"""BatchProcessor: bulk work through the parallel executor, results in input order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, Literal, TypedDict, TypeVar

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import UsageError
from core.events import BatchFinished, BatchStarted
from core.language import tr
from core.outcome import Answer, Outcome
from core.parallel_executor import ParallelExecutor, ParallelTask
from core.ports import ChatModel
from core.scope import Scope
from optimizers.analyses import Analysis, analysis_named
from optimizers.assembly import default_model
from optimizers.cache_manager import CacheManager
from optimizers.cached_model import CachedModel

__all__ = ["BatchFailure", "BatchProcessor", "BatchSuccess"]

T = TypeVar("T")


class BatchSuccess(TypedDict):
    """One item that was processed."""

    item: Any
    result: Any
    success: Literal[True]


class BatchFailure(TypedDict):
    """One item that was not; error says why."""

    item: Any
    error: str
    success: Literal[False]


class BatchProcessor:
    """Processes any iterable in batches of batch_size, several items at once. Thread-safe.

    A batch is a unit of progress, not of waiting: items of the next batch start as soon as a worker is free.
    The input is read no further ahead than the workers need. An item that fails has a failure of its own and
    leaves the others alone. timeout: seconds one item may take;
    on_answer: told of every answer, whatever its source. Without parts of its own it takes the default
    model on first use.

    Raises UsageError for a batch_size below 1.
    """

    def __init__(
        self,
        batch_size: int = 5,
        *,
        model: ChatModel | None = None,
        executor: ParallelExecutor | None = None,
        cache: CacheManager | None = None,
        timeout: float = 15.0,
        on_answer: Callable[[Answer], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if batch_size < 1:
            raise UsageError(tr("batch_size 必須至少為 1, 收到 {value}", value=batch_size))
        self.batch_size = batch_size
        self.executor = executor if executor is not None else ParallelExecutor(clock=clock)
        self.cache = cache if cache is not None else CacheManager(clock=clock)
        self._model = model
        self._timeout = timeout
        self._on_answer = on_answer
        self._clock = clock

    def process_batch(
        self,
        items: Iterable[T],
        processor_func: Callable[[T], Any],
        show_progress: bool = True,
        *,
        scope: Scope | None = None,
    ) -> list[BatchSuccess | BatchFailure]:
        """Call processor_func with every item; one result for each, in input order.

        show_progress emits BatchStarted and BatchFinished to the scope's observer.
        """
        kept: list[T] = []
        progress = _Progress(self.batch_size, items, scope or Scope(clock=self._clock), show_progress)
        outcomes: dict[int, Outcome[Any]] = {}
        tasks = self._tasks(items, processor_func, kept, progress)
        for index, outcome in self.executor.stream(tasks, scope=scope, drain_input=True):
            outcomes[index] = outcome
            progress.ended(index)
        return [_as_result(item, outcomes[index]) for index, item in enumerate(kept)]

    def batch_analyze_texts(
        self, texts: Iterable[str], analysis_type: str = "sentiment", *, scope: Scope | None = None
    ) -> list[BatchSuccess | BatchFailure]:
        """Analyse every text: sentiment (正面/中性/負面), summary (one sentence) or category.

        Raises UsageError, before anything is asked, for a type there is none of.
        """
        analysis = analysis_named(analysis_type)
        kept: list[str] = []
        outcomes = dict(self.analyze(texts, analysis, kept=kept, scope=scope, drain_input=True))
        return [_as_result(text, outcomes[index]) for index, text in enumerate(kept)]

    def analyze(
        self,
        texts: Iterable[str],
        analysis: Analysis,
        *,
        kept: list[str] | None = None,
        scope: Scope | None = None,
        drain_input: bool = False,
    ) -> Iterator[tuple[int, Outcome[str]]]:
        """Yield (position, outcome) as the texts are done; an outcome's value is the analysis's result.

        kept, where given, receives the texts that were read. When the scope ends, the rest stays unread, or with
        drain_input is read and ended as not run.
        """
        base = self._model if self._model is not None else default_model()
        model = CachedModel(base, self.cache, on_answer=self._on_answer)

        def ask(text: str, scope: Scope) -> str:
            return _ask(model, analysis, text, scope)

        progress = _Progress(self.batch_size, texts, scope or Scope(clock=self._clock), True)
        tasks = self._tasks(texts, ask, [] if kept is None else kept, progress, scoped=True)
        for index, outcome in self.executor.stream(tasks, scope=scope, drain_input=drain_input):
            progress.ended(index)
            yield index, outcome

    def _tasks(
        self,
        items: Iterable[T],
        function: Callable[..., Any],
        kept: list[T],
        progress: _Progress,
        *,
        scoped: bool = False,
    ) -> Iterator[ParallelTask]:
        for index, item in enumerate(items):
            kept.append(item)
            progress.begun(index)
            name = tr("第 {number} 項", number=index + 1)
            yield ParallelTask(f"item_{index}", name, function, (item,), timeout=self._timeout, scoped=scoped)


class _Progress:
    """Tells when batches begin and end. Used by the one thread that reads the input and takes the outcomes."""

    def __init__(self, batch_size: int, items: Iterable[Any], scope: Scope, shown: bool) -> None:
        self._batch_size = batch_size
        self._count = len(items) if isinstance(items, Sized) else None
        self._scope = scope
        self._shown = shown
        self._open: dict[int, tuple[float, int]] = {}

    def begun(self, index: int) -> None:
        number, position = divmod(index, self._batch_size)
        if position == 0:
            self._open[number] = (self._scope.now(), 0)
            self._emit(BatchStarted(number + 1, self._batches))

    def ended(self, index: int) -> None:
        number = index // self._batch_size
        started_at, done = self._open[number]
        self._open[number] = (started_at, done + 1)
        if done + 1 == self._size_of(number):
            del self._open[number]
            self._emit(BatchFinished(number + 1, self._batches, self._scope.now() - started_at))

    @property
    def _batches(self) -> int | None:
        return None if self._count is None else math.ceil(self._count / self._batch_size)

    def _size_of(self, number: int) -> int:
        left = self._batch_size if self._count is None else self._count - number * self._batch_size
        return min(self._batch_size, left)

    def _emit(self, event: BatchStarted | BatchFinished) -> None:
        if self._shown:
            self._scope.emit(event)


def _ask(model: ChatModel, analysis: Analysis, text: str, scope: Scope) -> str:
    if not text.strip():
        raise UsageError(tr("文字是空白的, 沒有可分析的內容"))
    answer: Answer = model.generate(analysis.prompt(text), scope)
    return analysis.result(answer.text)


def _as_result(item: Any, outcome: Outcome[Any]) -> BatchSuccess | BatchFailure:
    if outcome.answered:
        return BatchSuccess(item=item, result=outcome.value, success=True)
    return BatchFailure(item=item, error=outcome.reason, success=False)

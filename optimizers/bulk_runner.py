"""BulkRunner: every text of a long input asked once, several in one request, each answer written down at once."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from core.bulk import BulkEnd, BulkProgress, ItemResult, RequestCost, TextItem
from core.clock import SYSTEM_CLOCK, Clock
from core.errors import ModelError, NotRunError, ParallelProcessingError, ScopeError, StorageError
from core.language import tr
from core.outcome import CallFigures, Missing, Outcome, OutcomeKind, Usage
from core.parallel_executor import ParallelExecutor, ParallelTask
from core.ports import ChatModel
from core.scope import Scope
from optimizers.analyses import Analysis
from optimizers.bulk_request import Asked, BulkRequest, Group, halves, may_be_split
from optimizers.journal import Journal, Standing
from optimizers.pack_size import PackSize
from optimizers.packing import Packer

__all__ = ["BulkRunner"]

_TOKENS: Final = ("prompt_tokens", "answer_tokens", "thinking_tokens")
_NO_COST: Final = RequestCost()
_MET: Final[dict[Standing, dict[str, int]]] = {
    Standing.ANSWERED: {"read": 1, "done_before": 1},
    Standing.SETTLED: {"read": 1, "twins": 1},
    Standing.SUBMITTED: {"read": 1, "submitted": 1},
}
_NOT_ASKED: Final = frozenset({OutcomeKind.CANCELLED, OutcomeKind.NOT_RUN})


class BulkRunner:
    """Runs one session of a bulk analysis over a journal; run() is for one thread, once.

    The input is read no further ahead than the workers need, and no text is held longer than it takes to settle it,
    so memory does not grow with the input. A text that the journal knows as answered is not asked; twins are asked
    once. What a request leaves open, or fails with in company, goes out again in smaller groups, in the end alone.

    When the scope ends nothing new is asked and what is out is dropped; the journal knows nothing of those texts and
    the next session asks them. An error that concerns the whole run (stops_run) ends it the same way. An answer
    that cannot be written down ends it, too, and stays in memory until save_again() succeeds.

    timeout: seconds for a request of one text; each further text in it adds timeout_per_text.
    """

    def __init__(
        self,
        *,
        model: ChatModel,
        executor: ParallelExecutor,
        journal: Journal,
        analysis: Analysis,
        pack_size: PackSize | None = None,
        timeout: float = 15.0,
        timeout_per_text: float = 1.0,
        expected: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._model = model
        self._executor = executor
        self._journal = journal
        self._analysis = analysis
        self._pack_size = pack_size if pack_size is not None else PackSize()
        self._timeout = timeout
        self._timeout_per_text = timeout_per_text
        self._clock = clock
        self._started_at = clock.now()
        self._requests: dict[str, BulkRequest] = {}  # out
        self._again: deque[Group] = deque()
        self._unsettled: set[bytes] = set()
        self._number = 0
        self._failure: ParallelProcessingError | None = None
        self._expected = expected
        # Guards _counts and _unsaved; held by the run's thread, by workers and by readers for one change or look.
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()  # by the names of BulkProgress and Usage
        self._unsaved: list[tuple[tuple[ItemResult, ...], RequestCost]] = []

    def progress(self) -> BulkProgress:
        """The run at this instant. Thread-safe."""
        with self._lock:
            counts = self._counts.copy()
        usage = Usage(*(counts.pop(name, 0) for name in _TOKENS))
        seconds = self._clock.now() - self._started_at
        return BulkProgress(
            expected=self._expected, pack_size=self._pack_size.size, usage=usage, seconds=seconds, **counts
        )

    def run(self, items: Iterable[TextItem], *, scope: Scope, done_first: tuple[int, int] = (0, 0)) -> BulkEnd:
        """Ask what is to be asked. Raises what reading the input raises; how asking ended is in what it returns.

        done_first: so many texts at the beginning, so many of them different, are known to have a result: they are
        not looked up, which is what a resume would spend its first seconds on.
        """
        self._started_at = self._clock.now()
        packer = Packer(self._unknown(items, scope, *done_first), self._pack_size, analysis=self._analysis)
        with scope.child() as inner:
            more = True
            while more and self._failure is None and not inner.ended:
                for _, outcome in self._executor.stream(self._tasks(packer), scope=inner):
                    self._settle(outcome, inner)
                more = bool(self._again)
        return self._end(scope)

    def save_again(self) -> int:
        """Write down what could not be written before; returns how many answers still are in memory only."""
        while True:
            with self._lock:
                if not self._unsaved:
                    return 0
                results, cost = self._unsaved[0]
            try:
                self._journal.record(results, cost)
            except StorageError:
                return len(self.unsaved())
            with self._lock:
                del self._unsaved[0]
            self._count(**_told(results))

    def unsaved(self) -> tuple[ItemResult, ...]:
        """The answers that are in memory only."""
        with self._lock:
            return tuple(result for results, _ in self._unsaved for result in results)

    def _unknown(self, items: Iterable[TextItem], scope: Scope, known: int, different: int) -> Iterator[TextItem]:
        """The texts that are to be asked, each once."""
        self._count(read=known, done_before=different, twins=known - different)
        for item in items:
            if scope.ended:
                return
            if item.number <= known:
                continue
            key = item.key
            standing = Standing.SETTLED if key in self._unsettled else self._journal.standing(key)
            if standing is Standing.OPEN:  # counted when its group goes out, so that the figures always add up
                self._unsettled.add(key)
                yield item
            else:
                self._count(**_MET[standing])

    def _tasks(self, packer: Packer) -> Iterator[ParallelTask]:
        while True:
            # What comes back goes out before what is new: it is older, and it is in memory.
            again = bool(self._again)
            group = self._again.popleft() if again else packer.next_pack()
            if not group:
                return
            self._number += 1
            name = f"request_{self._number}"
            request = BulkRequest(self._model, self._analysis, group, self._record)
            self._requests[name] = request
            size = len(group)
            self._count(in_flight=size, **({"waiting": -size} if again else {"read": size}))
            timeout = self._timeout + self._timeout_per_text * (len(group) - 1)
            title = tr("第 {number} 個請求", number=self._number)
            yield ParallelTask(name, title, request.ask, timeout=timeout, scoped=True)

    def _settle(self, outcome: Outcome[Asked], scope: Scope) -> None:
        """Take what a request came to. All that changes is counted at once."""
        request = self._requests.pop(outcome.task_id)
        if not isinstance(outcome.value, Missing):
            changed = self._answered(request, outcome.value)
        elif outcome.kind in _NOT_ASKED or _stops(outcome.error) or _out_of_time(outcome, scope):
            changed = self._write((), request.charge(outcome.figures), scope)
            self._stop(outcome.error, scope)
        elif len(request.items) > 1 and may_be_split(outcome):
            changed = self._write((), request.charge(outcome.figures), scope)
            if outcome.kind is not OutcomeKind.BLOCKED:  # that is about one text, and not about how many there are
                self._pack_size.unusable(len(request.items))
            changed |= self._ask_again(halves(request.items))
        else:
            changed = self._write(request.failed(outcome), request.charge(outcome.figures), scope)
        self._count(in_flight=-len(request.items), **_cost(outcome.figures), **changed)

    def _answered(self, request: BulkRequest, asked: Asked) -> dict[str, int]:
        self._unsettled.difference_update(result.key for result in asked.results)
        changed, size, left = _told(asked.results), len(request.items), asked.open
        self._pack_size.answered(size, missing=len(left))
        if left:
            changed |= self._ask_again(halves(left) if 2 * len(left) > size else (left,))
        return changed

    def _write(self, results: Sequence[ItemResult], cost: RequestCost, scope: Scope) -> dict[str, int]:
        """Write down what a request failed with or, split or given up, has cost all the same."""
        if not results and cost == _NO_COST:
            return {}
        try:
            self._record(results, cost)
        except StorageError as error:
            self._stop(error, scope)
            return {}
        self._unsettled.difference_update(result.key for result in results)
        return _told(results)

    def _ask_again(self, groups: Sequence[Group]) -> dict[str, int]:
        self._again.extend(groups)
        return {"waiting": sum(map(len, groups))}

    def _stop(self, error: BaseException | None, scope: Scope) -> None:
        """End the run; the first cause that is not the run's own ending is the one to tell."""
        if isinstance(error, NotRunError):
            error = error.cause  # of one that has no cause, nobody but the run's owner is the reason
        if self._failure is None and isinstance(error, ParallelProcessingError) and not isinstance(error, ScopeError):
            self._failure = error
        scope.cancel()

    def _record(self, results: Sequence[ItemResult], cost: RequestCost) -> None:
        try:
            self._journal.record(results, cost)
        except StorageError:
            with self._lock:
                self._unsaved.append((tuple(results), cost))
            raise

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, count in more.items():  # Counter.update() takes three times as long
                self._counts[name] += count

    def _end(self, scope: Scope) -> BulkEnd:
        failure, unsaved = self._failure, len(self.unsaved())
        if failure is None:
            return BulkEnd(self.progress(), cancelled=scope.ended, unsaved=unsaved)
        return BulkEnd(self.progress(), failure.reason, failure.advice, unsaved=unsaved)


def _told(results: Sequence[ItemResult]) -> dict[str, int]:
    answered = sum(result.answered for result in results)
    return {"answered": answered, "failed": len(results) - answered}


def _cost(figures: CallFigures) -> dict[str, int]:
    usage = figures.usage
    spent = (usage.prompt_tokens, usage.answer_tokens, usage.thinking_tokens)
    return {"requests": figures.attempts, **dict(zip(_TOKENS, spent, strict=True))}


def _out_of_time(outcome: Outcome[Asked], scope: Scope) -> bool:
    """Whether the run's time was up rather than the request's."""
    return outcome.kind is OutcomeKind.TIMED_OUT and scope.ended


def _stops(error: BaseException | None) -> bool:
    return isinstance(error, StorageError) or (isinstance(error, ModelError) and error.stops_run)

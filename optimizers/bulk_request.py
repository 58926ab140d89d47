"""One request of a bulk run: several texts out, their results written down, and what is left open told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from core.bulk import ItemResult, RequestCost, TextItem
from core.errors import ErrorKind, ModelError
from core.language import tr
from core.outcome import CallFigures, Outcome, OutcomeKind
from core.ports import ChatModel
from core.scope import Scope
from optimizers.analyses import Analysis
from optimizers.packing import pack_prompt, unpack

__all__ = ["Asked", "BulkRequest", "Group", "halves", "may_be_split"]

Group = tuple[TextItem, ...]

# These say something about the service and nothing about what was asked: fewer texts would end the same way.
_SERVICE: Final = frozenset(
    {
        ErrorKind.QUOTA_MINUTE,
        ErrorKind.OVERLOADED,
        ErrorKind.SERVER_ERROR,
        ErrorKind.UNAVAILABLE,
        ErrorKind.RESET,
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answered request came to. open: texts that the answer left without a valid result."""

    results: tuple[ItemResult, ...]
    open: Group


class BulkRequest:
    """Asks for the texts of one group together.

    The results of an answer are handed to record before ask() returns, in the thread that asked, so that what was
    paid for is kept whatever happens next. A text alone whose answer is not valid is a result of its own, a failure;
    in company it is left open. Raises what the model and record raise.
    """

    def __init__(
        self,
        model: ChatModel,
        analysis: Analysis,
        items: Group,
        record: Callable[[Sequence[ItemResult], RequestCost], object],
    ) -> None:
        self.items = items
        self._model = model
        self._analysis = analysis
        self._record = record
        self._charged = threading.Lock()  # guards nothing: acquired once, by whoever writes down the request's cost

    def ask(self, scope: Scope) -> Asked:
        pack = pack_prompt(self._analysis, [item.text for item in self.items])
        answer = self._model.generate(pack.prompt, scope)
        found = unpack(pack, answer.text)
        figures = scope.trace.figures()
        asked = _Sorting(self.items, found.values, found.faults, figures.attempts, figures.service_seconds)
        results, left = asked.results(), asked.left()
        self._record(results, self.charge(figures))
        return Asked(results, left)

    def charge(self, figures: CallFigures) -> RequestCost:
        """The cost to write down; nothing the second time, since a request that was given up may still be answered."""
        first = self._charged.acquire(blocking=False)
        return RequestCost(figures.attempts, figures.usage) if first else RequestCost()

    def failed(self, outcome: Outcome[Asked]) -> tuple[ItemResult, ...]:
        """The texts' results where the request as a whole has failed."""
        kind, reason, figures = outcome.kind, outcome.reason, outcome.figures
        attempts, seconds = figures.attempts, figures.service_seconds
        return tuple(
            ItemResult(item.key, kind, reason=reason, attempts=attempts, seconds=seconds) for item in self.items
        )


@dataclass(frozen=True, slots=True)
class _Sorting:
    """Which of the texts have a result."""

    items: Group
    values: dict[int, dict[str, object]]
    faults: dict[int, str]
    attempts: int
    seconds: float

    def results(self) -> tuple[ItemResult, ...]:
        return tuple(
            self._answered(item, self.values[index]) if index in self.values else self._invalid(item, index)
            for index, item in enumerate(self.items)
            if index in self.values or len(self.items) == 1
        )

    def left(self) -> Group:
        if len(self.items) == 1:
            return ()
        return tuple(item for index, item in enumerate(self.items) if index not in self.values)

    def _answered(self, item: TextItem, values: dict[str, object]) -> ItemResult:
        text = json.dumps(values, ensure_ascii=False, sort_keys=True)
        return ItemResult(item.key, OutcomeKind.ANSWERED, text, attempts=self.attempts, seconds=self.seconds)

    def _invalid(self, item: TextItem, index: int) -> ItemResult:
        error = ModelError(ErrorKind.BAD_LABEL, self.faults.get(index, tr("沒有這則文字的結果")))
        return ItemResult(
            item.key, OutcomeKind.FAILED, reason=error.reason, attempts=self.attempts, seconds=self.seconds
        )


def may_be_split(outcome: Outcome[object]) -> bool:
    """Whether fewer texts in a request could end better than this one did."""
    if outcome.kind in (OutcomeKind.TIMED_OUT, OutcomeKind.BLOCKED):
        return True
    error = outcome.error
    return isinstance(error, ModelError) and error.kind not in _SERVICE and not error.stops_run


def halves(items: Group) -> tuple[Group, ...]:
    """Two groups of about equal size; one text stays a group of one."""
    middle = (len(items) + 1) // 2
    return tuple(group for group in (items[:middle], items[middle:]) if group)

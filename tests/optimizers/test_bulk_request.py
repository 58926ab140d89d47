"""One request of a bulk run by itself: what is written down, what is left open, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bulk import ItemResult, RequestCost, TextItem
from core.errors import DeadlineExceededError, ErrorKind, ModelError
from core.outcome import Answer, CallFigures, Outcome, OutcomeKind, Usage
from core.ports import Prompt
from core.scope import Scope
from optimizers.analyses import ANALYSES
from optimizers.bulk_request import BulkRequest, Group, halves, may_be_split
from optimizers.measured_model import MeasuredModel
from tests.fakes import FunctionModel

ITEMS = tuple(TextItem(number, f"文字 {number}", number) for number in range(1, 5))


class Records:
    """What was handed over to be written down."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[ItemResult, ...], RequestCost]] = []

    def __call__(self, results: Sequence[ItemResult], cost: RequestCost) -> None:
        self.calls.append((tuple(results), cost))


def request(items: Group, record: Records, *, label: str = "正面", answered: int = 99) -> BulkRequest:
    """A request whose model gives that label to so many of the texts."""

    def answer(prompt: Prompt, scope: Scope) -> Answer:
        data = json.loads(prompt.text)
        if "text" in data:
            return Answer(json.dumps({"result": label}), "m", Usage(10, 5))
        results = [{"id": each["id"], "result": label} for each in data["texts"][:answered]]
        return Answer(json.dumps({"results": results}), "m", Usage(40, 20))

    return BulkRequest(MeasuredModel(FunctionModel(answer)), ANALYSES["sentiment"], items, record)


def test_results_are_written_down_before_they_are_told() -> None:
    """Canonical values, attempts and cost; what was left out is open and not written."""
    record = Records()
    asked = request(ITEMS, record, answered=3).ask(Scope())
    ((results, cost),) = record.calls
    assert asked.results == results
    assert [(each.key, each.values, each.attempts) for each in results] == [
        (item.key, '{"result": "正面"}', 1) for item in ITEMS[:3]
    ]
    assert asked.open == ITEMS[3:]
    assert cost == RequestCost(1, Usage(40, 20))


def test_an_invalid_answer_to_a_single_text_is_its_failure() -> None:
    """Written down as such, with the reason; nothing is left open."""
    record = Records()
    asked = request(ITEMS[:1], record, label="無").ask(Scope())
    (result,) = asked.results
    assert (result.kind, result.values, asked.open) == (OutcomeKind.FAILED, "", ())
    assert result.reason == "模型的回答不合要求的格式 ('無' 不在 正面、中性、負面 之中)"
    assert record.calls == [((result,), RequestCost(1, Usage(10, 5)))]


def test_a_request_is_charged_once() -> None:
    """Whoever comes second writes down no cost."""
    record = Records()
    asking = request(ITEMS, record)
    figures = CallFigures(2, usage=Usage(1, 2, 3))
    assert asking.charge(figures) == RequestCost(2, Usage(1, 2, 3))
    assert asking.charge(figures) == RequestCost()
    asking.ask(Scope())
    assert record.calls[0][1] == RequestCost()


def ended(kind: OutcomeKind, error: BaseException) -> Outcome[object]:
    figures = CallFigures(2, service_seconds=1.5)
    return Outcome("r", "r", kind, 0.0, 1.0, 0.0, error=error, reason="壞了", figures=figures)


def test_a_request_that_failed_failed_for_each_of_its_texts() -> None:
    """Kind, reason, attempts and seconds of the request."""
    results = request(ITEMS, Records()).failed(ended(OutcomeKind.BLOCKED, ModelError(ErrorKind.BLOCKED)))  # type: ignore[arg-type]  # it has no value
    assert results == tuple(ItemResult(item.key, OutcomeKind.BLOCKED, "", "壞了", 2, 1.5) for item in ITEMS)


@pytest.mark.parametrize("kind", ErrorKind)
def test_what_fewer_texts_could_change(kind: ErrorKind) -> None:
    """Anything about what was asked; nothing about the service or the whole run."""
    service = {"quota_minute", "overloaded", "server_error", "unavailable", "reset"}
    error = ModelError(kind)
    assert may_be_split(ended(OutcomeKind.FAILED, error)) == (kind not in service and not error.stops_run)


def test_a_deadline_may_come_later_for_fewer_texts() -> None:
    """And a bug of ours will not go away."""
    assert may_be_split(ended(OutcomeKind.TIMED_OUT, DeadlineExceededError("期限已到")))
    assert may_be_split(ended(OutcomeKind.BLOCKED, ModelError(ErrorKind.BLOCKED)))
    assert not may_be_split(ended(OutcomeKind.FAILED, KeyError("bug")))


@given(st.integers(1, 60))
def test_halves_are_all_of_it(size: int) -> None:
    """In order, about equal, none empty, each smaller than the whole where that has more than one text."""
    items = tuple(TextItem(number, f"{number}", number) for number in range(size))
    groups = halves(items)
    assert sum(groups, ()) == items
    assert all(groups)
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    assert len(groups) == min(size, 2)

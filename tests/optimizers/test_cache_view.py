"""What may be done with single entries of the cache."""

from __future__ import annotations

import pytest

from core.outcome import Answer
from core.ports import Prompt
from core.scope import Scope
from optimizers.cache_manager import CacheManager
from optimizers.cache_reports import Pinning
from optimizers.cache_values import WHOLE_CHARACTERS
from optimizers.cache_view import CacheOrder, CacheView, NotRefreshable
from optimizers.cached_model import CachedModel
from tests.fakes import FakeClock, FunctionModel


class Desk:
    """A cache behind a model that says how often it was asked, and the view of it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.cache = CacheManager(10, clock=self.clock)
        self.model = FunctionModel(lambda prompt, scope: f"{prompt.text}: {self.model.calls}", identity="m")
        self.cached = CachedModel(self.model, self.cache)
        self.view = CacheView(self.cache)

    def ask(self, text: str, instruction: str = "") -> Answer:
        return self.cached.generate(Prompt(text, instruction), Scope())

    def key(self, question: str) -> str:
        return next(entry.key for entry in self.view.entries() if entry.question == question)


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    for text in ("a", "b", "c"):
        desk.ask(text)
        desk.clock.advance(1)
    desk.ask("a")
    desk.ask("b")
    return desk


def test_entries_are_listed_newest_or_most_hit_first(desk: Desk) -> None:
    """With equal hits the newer one comes first."""
    assert [entry.question for entry in desk.view.entries()] == ["c", "b", "a"]
    assert [entry.question for entry in desk.view.entries(CacheOrder.MOST_HIT)] == ["b", "a", "c"]


def test_looking_changes_nothing(desk: Desk) -> None:
    """No hit, no lookup, no later eviction."""
    before = desk.cache.entries(), desk.cache.statistics()
    snapshot = desk.view.look(desk.key("a"))
    assert snapshot is not None
    assert snapshot.take().text == "a: 1"
    assert (desk.cache.entries(), desk.cache.statistics()) == before


def test_dropping_forgets_one_entry(desk: Desk) -> None:
    """A pinned one too; the second time it has gone."""
    key = desk.key("a")
    desk.view.pin(key, True)
    assert [desk.view.drop(key), desk.view.drop(key)] == [True, False]
    assert [entry.question for entry in desk.view.entries()] == ["c", "b"]


def test_a_pinned_answer_is_given_after_its_time(desk: Desk) -> None:
    """The model is not asked for it again."""
    assert desk.view.pin(desk.key("a"), True) is Pinning.DONE
    desk.clock.advance(100)
    assert desk.ask("a").text == "a: 1"
    assert [entry.question for entry in desk.view.entries()] == ["a"]


def test_a_new_answer_takes_the_old_one_s_place_and_pin(desk: Desk) -> None:
    """The next caller gets the new one, and its life begins anew."""
    key = desk.key("a")
    desk.view.pin(key, True)
    prompt = desk.view.question(key, "m")
    assert isinstance(prompt, Prompt)
    assert desk.view.replace(key, desk.model.generate(prompt, Scope()), prompt)
    assert desk.ask("a").text == "a: 4"
    (entry,) = [entry for entry in desk.view.entries() if entry.pinned]
    assert (entry.question, entry.age) == ("a", 0)


@pytest.mark.parametrize("answer", [None, "text", Answer("", "m"), Answer(" \n", "m")])
def test_what_is_no_answer_replaces_nothing(desk: Desk, answer: object) -> None:
    """The old answer stays."""
    assert desk.view.replace(desk.key("a"), answer, Prompt("a")) is False
    assert desk.ask("a").text == "a: 1"


def test_the_instruction_is_a_part_of_the_question(desk: Desk) -> None:
    """So that asking again asks the same."""
    desk.ask("d", "短")
    assert desk.view.question(desk.key("d"), "m") == Prompt("d", "短")


def test_an_entry_that_cannot_be_asked_again_says_why(desk: Desk) -> None:
    """Its question is not kept, or is too long to be kept whole, or another model answered, or it has gone."""
    desk.cache.set("plain", "value")
    long = "長" * (WHOLE_CHARACTERS + 1)
    desk.ask(long)
    keys = [desk.key(""), desk.key(long[:200])]
    assert [desk.view.question(key, "m") for key in keys] == [NotRefreshable.UNKNOWN_QUESTION] * 2
    assert desk.view.question(desk.key("a"), "another") is NotRefreshable.OTHER_MODEL
    gone = desk.key("a")
    desk.view.drop(gone)
    assert desk.view.question(gone, "m") is NotRefreshable.GONE
    assert desk.view.pin(gone, True) is Pinning.ABSENT

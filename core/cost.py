"""The nouns of cost: what was spent and saved, and what a run is expected to spend. All frozen; money in US dollars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any, Generic, TypeVar

__all__ = ["CallHistory", "Range", "RunEstimate", "Spend"]

T = TypeVar("T", int, float, Decimal)


@dataclass(frozen=True, slots=True)
class Spend:
    """What calls cost and what was answered without one, at list price. Sums and differences are exact.

    calls counts every attempt on the model, failed_calls those of them without an answer. asked, cached and shared
    count answers: from a call of the caller's own, from the cache, from a call that somebody else was making.
    known_money and known_saved_money leave out what has no price; unpriced_calls and unpriced_saved count that.
    Of two snapshots of one ledger the later minus the earlier is what happened in between.
    """

    calls: int = 0
    failed_calls: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    thinking_tokens: int = 0
    known_money: Decimal = Decimal(0)
    unpriced_calls: int = 0
    asked: int = 0
    cached: int = 0
    shared: int = 0
    saved_prompt_tokens: int = 0
    saved_answer_tokens: int = 0
    saved_thinking_tokens: int = 0
    known_saved_money: Decimal = Decimal(0)
    unpriced_saved: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    @property
    def output_tokens(self) -> int:
        """Answer and thinking: both are billed as output."""
        return self.answer_tokens + self.thinking_tokens

    @property
    def money(self) -> Decimal | None:
        """None where a call used tokens of a model without a price: part of a sum is not the sum."""
        return None if self.unpriced_calls else self.known_money

    @property
    def answered(self) -> int:
        return self.asked + self.saved_calls

    @property
    def saved_calls(self) -> int:
        return self.cached + self.shared

    @property
    def saved_tokens(self) -> int:
        return self.saved_prompt_tokens + self.saved_answer_tokens + self.saved_thinking_tokens

    @property
    def saved_money(self) -> Decimal | None:
        """None where an answer that was saved came from a model without a price."""
        return None if self.unpriced_saved else self.known_saved_money

    def __add__(self, other: Spend) -> Spend:
        return self._combined(other, lambda one, two: one + two)

    def __sub__(self, other: Spend) -> Spend:
        return self._combined(other, lambda one, two: one - two)

    def _combined(self, other: Spend, operation: Callable[[Any, Any], Any]) -> Spend:
        return Spend(*(operation(getattr(self, name), getattr(other, name)) for name in _FIELDS))


_FIELDS = tuple(field.name for field in fields(Spend))


@dataclass(frozen=True, slots=True)
class CallHistory:
    """The latest answered calls, oldest first: tokens of answer and thinking, and seconds, of each."""

    output_tokens: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Range(Generic[T]):
    """From low to high, both included."""

    low: T
    high: T


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """What a run is expected to take.

    prompts: how many are put; calls: how many of them reach the model, if none has to be repeated. output_tokens,
    money and seconds are ranges; money is None where the model has no price. from_history: the ranges come from
    this program's own answers and not from stated defaults. over_day_limit: calls beyond the quota of one day.
    priced_on: when the price was looked up.
    """

    prompts: int
    calls: int
    input_tokens: int
    output_tokens: Range[int]
    money: Range[Decimal] | None
    seconds: Range[float]
    from_history: bool
    over_day_limit: int = 0
    priced_on: date | None = None

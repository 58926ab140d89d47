"""What the calls of this process cost, and what the cache and shared calls saved."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from core.clock import SYSTEM_CLOCK, Clock
from core.cost import CallHistory, Spend
from core.outcome import Answer, AnswerSource, Usage
from optimizers.catalogue import Catalogue, Price, load_catalogue, model_name
from optimizers.measured_model import CallRecord

__all__ = ["CostLedger"]

_KEPT: Final = 1000
_NOTHING: Final = Usage()


class CostLedger:
    """Adds up attempts and answers since it was made. Thread-safe; two snapshots bound what a run cost.

    note_call is for every attempt on the model (MeasuredModel's on_call), note_answer for every answer that a
    caller was given, whatever its source. Each note is in totals() when the method returns: a call is in the
    totals before its caller has the answer. With run = totals() after - totals() before, the runs that do not
    overlap add up to the totals; a call that ends after its run was given up belongs to what comes next.

    A call is priced at the day's list price of the model that answered; without a price, or without tokens told
    by the service (failed calls tell none), no money is invented. history() is of the latest answered calls of
    one model, as its identity names it.
    """

    def __init__(self, *, catalogue: Callable[[], Catalogue] = load_catalogue, clock: Clock = SYSTEM_CLOCK) -> None:
        self._catalogue = catalogue
        self._clock = clock
        # Guards _totals and _histories; held by whoever reads or replaces them, nothing is called under it.
        self._lock = threading.Lock()
        self._totals = Spend()
        self._histories: dict[str, deque[tuple[int, float]]] = {}

    def note_call(self, record: CallRecord) -> None:
        """One attempt on the model has ended."""
        usage, answer = record.usage, record.answer
        model = model_name(record.identity) if answer is None else answer.model
        money = self._money(model, usage)
        spent = Spend(
            calls=1,
            failed_calls=int(answer is None),
            prompt_tokens=usage.prompt_tokens,
            answer_tokens=usage.answer_tokens,
            thinking_tokens=usage.thinking_tokens,
            known_money=money or Decimal(0),
            unpriced_calls=int(money is None),
        )
        with self._lock:
            self._totals += spent
            if answer is not None:
                kept = self._histories.setdefault(record.identity, deque(maxlen=_KEPT))
                kept.append((usage.answer_tokens + usage.thinking_tokens, record.seconds))

    def note_answer(self, answer: Answer) -> None:
        """A caller was given this answer."""
        if answer.source is AnswerSource.MODEL:
            spent = Spend(asked=1)
        else:
            money = self._money(answer.model, answer.usage)
            spent = Spend(
                cached=int(answer.source is AnswerSource.CACHE),
                shared=int(answer.source is AnswerSource.SHARED),
                saved_prompt_tokens=answer.usage.prompt_tokens,
                saved_answer_tokens=answer.usage.answer_tokens,
                saved_thinking_tokens=answer.usage.thinking_tokens,
                known_saved_money=money or Decimal(0),
                unpriced_saved=int(money is None),
            )
        with self._lock:
            self._totals += spent

    def totals(self) -> Spend:
        """Everything so far, as one frozen snapshot."""
        with self._lock:
            return self._totals

    def history(self, identity: str) -> CallHistory:
        """The latest answered calls, at most a thousand, of the ChatModel with that identity."""
        with self._lock:
            calls = tuple(self._histories.get(identity, ()))
        return CallHistory(tuple(tokens for tokens, _ in calls), tuple(seconds for _, seconds in calls))

    def price_of(self, model: str) -> Price | None:
        """Today's price of the model; None if it is unknown."""
        return self._catalogue().price_of(model, on=self._today())

    def _money(self, model: str, usage: Usage) -> Decimal | None:
        """None: tokens were used, and nobody knows what they cost."""
        if usage == _NOTHING:
            return Decimal(0)
        price = self.price_of(model)
        return None if price is None else price.money(usage)

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock.wall(), UTC).date()

"""A cap on what one run may spend, in tokens or in money."""

from __future__ import annotations

import threading
from decimal import Decimal

from core.cost import Spend
from core.errors import ErrorKind, ModelError, UsageError
from core.language import tr
from core.outcome import Answer
from core.ports import ChatModel, Prompt
from core.scope import Scope
from optimizers.catalogue import model_name
from optimizers.cost_ledger import CostLedger

__all__ = ["CappedModel", "SpendingCap"]


class SpendingCap:
    """Says when a run has spent its tokens (prompts, answers and thinking) or its US dollars at list price.

    Reads what was spent from the ledger, so the ledger must be told of each call before the call returns, as
    MeasuredModel's on_call does. A call is let through as long as less than the cap has been spent; nothing is
    reserved for calls in flight, so a run overshoots by what the calls in flight at that moment cost, and by no
    more. Whoever is refused waits for them first: the refusal ends the run, and their answers are paid for.

    Counts from its making or from the latest start_run(). Runs side by side share one count. Thread-safe.

    Raises UsageError for a cap that is not above zero.
    """

    def __init__(self, *, ledger: CostLedger, tokens: int | None = None, money: Decimal | None = None) -> None:
        if (tokens is not None and tokens < 1) or (money is not None and not (money.is_finite() and money > 0)):
            raise UsageError(tr("花費上限必須大於 0; 不設上限請留空"))
        self.tokens = tokens
        self.money = money
        self._ledger = ledger
        # One reference, replaced whole by start_run(): a reader sees the old base or the new one.
        self._base = ledger.totals()
        # Guards _in_flight; held by a call as it enters and leaves. Under it only the ledger is read, never a model.
        self._condition = threading.Condition(threading.Lock())
        self._in_flight = 0

    def start_run(self) -> None:
        """From here on it is another run."""
        self._base = self._ledger.totals()

    def spent(self) -> Spend:
        """What the run has cost so far."""
        return self._ledger.totals() - self._base

    def enter(self, model: str, scope: Scope) -> None:
        """A call to the model wants to begin; one that may is followed by leave().

        Raises ModelError(BUDGET_SPENT), which stops the run, where the cap is reached, once no call is in flight;
        at once where the cap is in money and the model has no price: it could not be held. ScopeError if the
        scope ends first.
        """
        if self.money is not None and self._ledger.price_of(model) is None:
            unpriced = tr("沒有 {model} 的價格資料, 無法以金額設上限, 請改設 token 上限", model=model)
            raise ModelError(ErrorKind.BUDGET_SPENT, unpriced)
        with self._condition:
            reached = self._reached()
            if not reached:
                self._in_flight += 1
                return
            scope.wait_for(self._condition, lambda: self._in_flight == 0)
        raise ModelError(ErrorKind.BUDGET_SPENT, reached)

    def leave(self) -> None:
        """The call has ended, and the ledger knows what it cost."""
        with self._condition:
            self._in_flight -= 1
            self._condition.notify_all()

    def _reached(self) -> str:
        """Which cap has been reached; "" if none."""
        total, base = self._ledger.totals(), self._base
        if self.tokens is not None and total.tokens - base.tokens >= self.tokens:
            return tr("上限 {tokens:,} tokens", tokens=self.tokens)
        if self.money is not None and total.known_money - base.known_money >= self.money:
            return tr("上限 US${money:,f}", money=self.money)
        return ""


class CappedModel:
    """A ChatModel that asks the next one only while the cap allows.

    Stands inside whatever waits or retries, next to MeasuredModel, so that no call which waited for quota slips
    past a cap that was reached meanwhile. Thread-safe.
    """

    def __init__(self, model: ChatModel, cap: SpendingCap) -> None:
        self._model = model
        self._cap = cap
        self._name = model_name(model.identity)

    @property
    def identity(self) -> str:
        return self._model.identity

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        self._cap.enter(self._name, scope)
        try:
            return self._model.generate(prompt, scope)
        finally:
            self._cap.leave()

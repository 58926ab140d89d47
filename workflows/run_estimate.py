"""What a run will take, by what is known at this moment: prices, the answers so far and the quota that is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from core.cost import RunEstimate
from core.ports import Prompt
from optimizers.assembly import ModelParts
from optimizers.catalogue import load_catalogue, model_name
from optimizers.cost_ledger import CostLedger
from optimizers.estimate import estimate

__all__ = ["run_estimate"]


def run_estimate(
    prompts: Iterable[Prompt],
    parts: ModelParts,
    ledger: CostLedger,
    *,
    workers: int,
    wall: float,
    is_cached: Callable[[Prompt], bool] = lambda _: False,
) -> RunEstimate:
    """What asking the model will take; what was already called today counts against its quota of the day."""
    identity = parts.model.identity
    quota = parts.limiter.statistics()
    found = estimate(
        prompts,
        load_catalogue(),
        model_name(identity),
        ledger.history(identity),
        on=datetime.fromtimestamp(wall, UTC).date(),
        workers=workers,
        limits=quota.limits,
        is_cached=is_cached,
    )
    if quota.limits.requests_per_day is None:
        return found
    left = max(quota.limits.requests_per_day - quota.requests_today, 0)
    return replace(found, over_day_limit=max(found.calls - left, 0))

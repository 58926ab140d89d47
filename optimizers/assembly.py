"""The one place that puts the parts together: from settings to a model ready to be asked."""

from __future__ import annotations

import atexit
import functools
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from core.limits import Limits
from core.ports import ChatModel
from core.scope import Scope
from core.settings import Settings, load_settings
from optimizers.hedged_model import HedgedModel
from optimizers.limit_settings import LimitSettings, default_limits_path, joined
from optimizers.limited_model import LimitedModel
from optimizers.measured_model import CallRecord, MeasuredModel
from optimizers.proven_model import ProvenModel
from optimizers.rate_limiter import RateLimiter
from optimizers.retry import RetryingModel
from optimizers.schema_model import SchemaModel
from optimizers.spending_cap import CappedModel, SpendingCap

__all__ = [
    "ModelParts", "Provider", "build_model", "build_provider", "configured_limits", "default_model",
]  # fmt: skip


class Provider(ChatModel, Protocol):
    """A ChatModel that stands on connections of its own."""

    def verify(self, scope: Scope) -> None:
        """Check key, model and network without spending quota. Raises ModelError or ScopeError."""

    def close(self) -> None:
        """Part from connections and threads. Idempotent."""


@dataclass(frozen=True, slots=True)
class ModelParts:
    """The provider and the chain of wrappers in front of it, uncached: each workflow puts its own cache there."""

    provider: Provider
    model: ChatModel
    gate: ProvenModel
    limiter: RateLimiter
    hedged: HedgedModel | None = None

    def verify(self, scope: Scope) -> None:
        """Check the provider and, if all is well, let calls go side by side from the first on."""
        self.provider.verify(scope)
        self.gate.prove()

    def close(self) -> None:
        if self.hedged is not None:
            self.hedged.close()
        self.limiter.close()
        self.provider.close()


def build_provider(settings: Settings) -> Provider:
    """The provider that the settings name; the offline demonstration model without a key."""
    if settings.offline:
        from core.providers.offline import OfflineModel

        return OfflineModel(scale=settings.offline_scale, seed=settings.offline_seed, faults=settings.offline_faults)
    if settings.sdk == "google-genai":
        from core.providers.google_genai import GoogleGenaiModel

        return GoogleGenaiModel(settings)
    from core.providers.gemini import GeminiModel

    return GeminiModel(settings)


def build_model(
    settings: Settings,
    *,
    on_call: Callable[[CallRecord], object] | None = None,
    cap: SpendingCap | None = None,
    saved: LimitSettings | None = None,
) -> ModelParts:
    """Retry → limiter → spending cap → first-call gate → hedging → schema check → measurement → provider.

    Cap and hedging are there only if asked for. on_call is told of every attempt. saved: limits for where the settings
    name none.
    """
    provider = build_provider(settings)
    limits = configured_limits(settings)
    if saved is not None:
        limits = joined(limits, saved.of(settings.served_model))
    limiter = RateLimiter(limits=limits, day_file=_day_file(settings))
    checked = SchemaModel(MeasuredModel(provider, on_call=on_call))
    hedged = None
    if settings.hedge_quantile is not None:
        # A second attempt takes no permit of its own, so there is none where a limit is known or learned.
        hedged = HedgedModel(checked, quantile=settings.hedge_quantile, may_hedge=lambda: limiter.unrestrained)
    gate = ProvenModel(checked if hedged is None else hedged)
    if settings.offline and not settings.offline_faults:
        gate.prove()  # there is no key that could be wrong
    limited = LimitedModel(gate if cap is None else CappedModel(gate, cap), limiter)
    return ModelParts(provider, RetryingModel(limited), gate, limiter, hedged)


def configured_limits(settings: Settings) -> Limits:
    """The limits that the settings name."""
    return Limits(
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
        requests_per_day=settings.requests_per_day,
    )


def _day_file(settings: Settings) -> Path:
    """Where the day's count outlives the program."""
    import platformdirs

    name = re.sub(r"[^A-Za-z0-9._-]", "_", settings.served_model)
    return Path(platformdirs.user_state_dir("parallel_processing")) / f"day-{name}.json"


# Held while the default model is built; functools.cache alone would let two first askers build one each.
_building: Final = threading.Lock()


def default_model() -> ChatModel:
    """The process's default model, built from environment and .env when first asked for, closed at exit."""
    with _building:
        return _default_parts().model


@functools.cache
def _default_parts() -> ModelParts:
    saved = LimitSettings(default_limits_path())
    parts = build_model(load_settings(os.environ, dotenv=Path(".env")), saved=saved)
    atexit.register(parts.close)
    return parts

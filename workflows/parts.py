"""What the menu and the commands share: parts made from settings alone, and one rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.clock import Clock
from core.settings import Settings
from optimizers.cost_ledger import CostLedger
from optimizers.spending_cap import SpendingCap

if TYPE_CHECKING:
    from optimizers.cache_stores import CacheStore
    from optimizers.run_history import RunHistory

__all__ = ["ASK_ABOVE", "open_cache_store", "open_history", "spending_cap"]

ASK_ABOVE: Final = 50  # a larger run is started only after a yes


def spending_cap(settings: Settings, ledger: CostLedger) -> SpendingCap | None:
    """The cap that the settings ask for, if any."""
    if settings.max_run_tokens is None and settings.max_run_usd is None:
        return None
    return SpendingCap(ledger=ledger, tokens=settings.max_run_tokens, money=settings.max_run_usd)


def open_cache_store(settings: Settings, clock: Clock, on_note: Callable[[str], object]) -> CacheStore | None:
    """Where answers are kept, if not in memory: in the person's own cache folder, without any that hold the key."""
    if settings.cache_store != "sqlite":
        return None
    import platformdirs

    from optimizers.sqlite_store import SQLiteStore

    key = settings.api_key
    return SQLiteStore(
        Path(platformdirs.user_cache_dir("parallel_processing")) / "answers.sqlite3",
        clock=clock,
        on_note=on_note,
        is_secret=lambda text: key is not None and key.reveal() in text,
    )


def open_history(settings: Settings, clock: Clock, on_note: Callable[[str], object]) -> RunHistory:
    """The runs of before, in the person's own data folder; without the key, should a question hold it."""
    import platformdirs

    from optimizers.run_history import RunHistory

    key = settings.api_key
    path = Path(platformdirs.user_data_dir("parallel_processing")) / "history.sqlite3"
    return RunHistory(
        path if settings.history else None,
        clock=clock,
        redact=lambda text: text if key is None else text.replace(key.reveal(), "***"),
        on_note=on_note,
    )

"""CacheView: what a person may do with single entries of a cache."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from core.ports import Prompt
from optimizers.cache_manager import CacheManager
from optimizers.cache_reports import EntryInfo, Pinning
from optimizers.cache_values import Snapshot
from optimizers.cached_model import chat_key, is_usable

__all__ = ["CacheOrder", "CacheView", "NotRefreshable"]


class CacheOrder(StrEnum):
    """How the entries of a cache are listed."""

    NEWEST = "newest"
    MOST_HIT = "most hit"


class NotRefreshable(StrEnum):
    """Why the model cannot be asked again for an entry."""

    GONE = "gone"  # it has expired or was dropped
    UNKNOWN_QUESTION = "unknown question"  # only the beginning of its question is kept, or nothing
    OTHER_MODEL = "other model"  # another model, or one with other parameters, gave the answer


class CacheView:
    """Lists the entries of a cache, and looks into, drops, pins and replaces single ones, named by their key.

    Looking counts as no lookup and keeps nothing from being evicted. Thread-safe: an entry that has gone meanwhile
    is told as gone.
    """

    def __init__(self, cache: CacheManager) -> None:
        self._cache = cache

    def entries(self, order: CacheOrder = CacheOrder.NEWEST) -> list[EntryInfo]:
        """The living entries; of equally many hits the newer one comes first."""
        return sorted(self._cache.entries(), key=_SORT_KEYS[order])

    def look(self, key: str) -> Snapshot | None:
        """The value with its question; None if it has gone."""
        return self._cache.store.peek(key)

    def drop(self, key: str) -> bool:
        """Forget the entry, pinned or not; False if it had gone, or could not be dropped."""
        return self._cache.invalidate(key)

    def pin(self, key: str, pinned: bool) -> Pinning:
        """See CacheStore.pin."""
        return self._cache.store.pin(key, pinned)

    def question(self, key: str, identity: str) -> Prompt | NotRefreshable:
        """What to ask the model of that identity for a new answer, or why that cannot be."""
        snapshot = self.look(key)
        if snapshot is None:
            return NotRefreshable.GONE
        if snapshot.question is None or snapshot.question.prompt is None:
            return NotRefreshable.UNKNOWN_QUESTION
        prompt = snapshot.question.prompt
        return prompt if chat_key(identity, prompt) == key else NotRefreshable.OTHER_MODEL

    def replace(self, key: str, answer: object, prompt: Prompt) -> bool:
        """Store a new answer under the key, pinned if the old one was; False, and nothing changed, if it is none."""
        if not is_usable(answer):
            return False
        self._cache.set(key, answer, prompt=prompt)
        return True


def _newest_first(entry: EntryInfo) -> tuple[float, float]:
    return (entry.age, 0.0)


def _most_hit_first(entry: EntryInfo) -> tuple[float, float]:
    return (-entry.hits, entry.age)


_SORT_KEYS: Final = {CacheOrder.NEWEST: _newest_first, CacheOrder.MOST_HIT: _most_hit_first}

"""A look at an input before anything is asked: how much there is, how much of it is new, and what it looks like."""

from __future__ import annotations

import contextlib
import random as random_source
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.bulk import TextItem
from core.errors import StorageError
from core.language import tr
from utils.text_source import TextSource

__all__ = ["SourcePreview", "look_at"]

_SAMPLE: Final = 200
_SAMPLED_CHARACTERS: Final = 10_000  # of one text: a sample of huge ones must not fill the memory
_ROWS: Final = 3
_CHECK_EVERY: Final = 256
_CACHE_KIB: Final = 8 * 1024  # beyond it the keys are in a temporary file that nobody else can open


@dataclass(frozen=True, slots=True)
class SourcePreview:
    """What one reading of an input found.

    texts = distinct + twins; distinct = done + to_ask, where done have a result already; all exact. rows: the first
    texts; sample: some of those to ask, drawn evenly, each cut to 10,000 characters. blank and skipped: lines that
    hold no text, or not what the format wants; replaced: bytes that became �. characters: of all texts;
    characters_to_ask: of those to ask, each once. done_first: how many texts come before the first one to ask, and
    how many of them are different: whoever asks need not look them up again.
    """

    texts: int
    distinct: int
    done: int
    blank: int
    skipped: int
    replaced: int
    characters: int
    characters_to_ask: int
    rows: tuple[TextItem, ...]
    sample: tuple[str, ...]
    done_first: tuple[int, int] = (0, 0)

    @property
    def twins(self) -> int:
        return self.texts - self.distinct

    @property
    def to_ask(self) -> int:
        return self.distinct - self.done


def look_at(
    source: TextSource,
    is_done: Callable[[bytes], bool],
    *,
    check: Callable[[], object] = lambda: None,
    rows: int = _ROWS,
    seed: int = 0,
) -> SourcePreview:
    """Read the whole input once and hold little of it, whatever its size.

    check is called every few hundred texts, and every 64 KiB, and may raise to end the reading. The sample is a
    reservoir (Vitter's algorithm R), the same for the same input and seed. Raises what the source raises, and
    StorageError where there is no room for the keys of millions of texts.
    """
    random = random_source.Random(seed)
    texts = distinct = done = characters = to_ask = 0
    done_first: tuple[int, int] | None = None
    first: list[TextItem] = []
    sample: list[str] = []
    with contextlib.closing(_KeySet()) as seen:
        for item in source.items(check=check):
            if texts % _CHECK_EVERY == 0:
                check()
            texts += 1
            characters += len(item.text)
            if len(first) < rows:
                first.append(item)
            key = item.key
            if not seen.add(key):
                continue
            distinct += 1
            if is_done(key):
                done += 1
            else:
                done_first = done_first or (texts - 1, distinct - 1)
                to_ask += len(item.text)
                _draw(sample, item.text, distinct - done, random)
    return SourcePreview(
        texts, distinct, done, source.blank, source.skipped, source.replaced, characters, to_ask, tuple(first),
        tuple(sample), done_first or (texts, distinct),
    )  # fmt: skip


class _KeySet:
    """Keys of 16 bytes, any number of them, in a temporary database of SQLite's. For one thread."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        for setting in (f"cache_size = -{_CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, key: bytes) -> bool:
        """Whether the key is new. Raises StorageError."""
        try:
            return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount > 0
        except sqlite3.Error as error:
            full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
        trouble = tr("暫存空間已滿, 數不完這份輸入") if full else tr("暫存檔無法寫入, 數不完這份輸入")
        raise StorageError(trouble, advice=tr("請清出暫存資料夾 (TMPDIR) 的空間後再試一次"), full=full)

    def close(self) -> None:
        self._database.close()


def _draw(sample: list[str], text: str, number: int, random: random_source.Random) -> None:
    """Keep the number-th text with the chance that all have had."""
    place = len(sample) if len(sample) < _SAMPLE else int(random.random() * number)
    if place < _SAMPLE:
        sample[place : place + 1] = [text[:_SAMPLED_CHARACTERS]]

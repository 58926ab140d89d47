"""What bulk runs leave on the disk, and when it goes."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from core.clock import SYSTEM_CLOCK, Clock
from core.language import tr_n
from optimizers.journal_files import list_journals, prune_journals

__all__ = ["KEPT_DAYS", "tidy_up"]

KEPT_DAYS: Final = 30
_INPUT: Final = re.compile(r"input-[0-9a-f]{32}(\.\w+)?|\.input-.+")


def tidy_up(
    directory: Path,
    *,
    clock: Clock = SYSTEM_CLOCK,
    on_note: Callable[[str], object] = lambda _: None,
    kept_days: float = KEPT_DAYS,
) -> None:
    """Delete the journals of batches that were finished so many days ago, and the inputs from pipes that none needs.

    A batch that is not finished stays, however old it is, and so does its input. What is deleted is told; what cannot
    be deleted stays, in silence: it costs nothing but room. To be called when a batch has ended and is closed.
    """
    seconds = kept_days * 24 * 3600
    journals = inputs = 0
    with contextlib.suppress(OSError):  # a folder that cannot be read
        journals = prune_journals(directory, older_than=seconds, clock=clock)
        inputs = _remove_inputs(directory, clock.wall() - seconds)
    if journals:
        on_note(tr_n("🧹 已刪除 {count:,} 份早就完成的批次紀錄 ({days:g} 天以上)", journals, days=kept_days))
    if inputs:
        on_note(tr_n("🧹 已刪除 {count:,} 份用不到的管線輸入 ({days:g} 天以上)", inputs, days=kept_days))


def _remove_inputs(directory: Path, before: float) -> int:
    old = list(_old_inputs(directory, before))
    if not old:
        return 0
    journals = list_journals(directory)
    if any(info.spec is None and not info.damaged for info in journals):
        return 0  # one that cannot be read at the moment may need any of them
    needed = {info.spec.source for info in journals if info.spec is not None}
    removed = 0
    for path in old:
        if str(path.resolve()) not in needed:
            with contextlib.suppress(OSError):
                path.unlink()
                removed += 1
    return removed


def _old_inputs(directory: Path, before: float) -> Iterator[Path]:
    for path in directory.iterdir():
        if _INPUT.fullmatch(path.name) and path.is_file() and path.stat().st_mtime < before:
            yield path

"""The rows of a run under way on a terminal: open tasks, bar, counts, costs, the limiter, the keys."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from core.cost import Spend
from core.language import tr
from core.limits import LimiterStatistics
from utils.console import Console
from utils.cost_text import money_text
from utils.fact_rows import fact_rows
from utils.limiter_text import limiter_rows
from utils.redraw import Figures, RedrawnBlock, bar
from utils.run_keys import RunKeys
from utils.run_progress import RunProgress
from utils.task_rows import OpenTasks
from utils.text_width import cell_width, fit

__all__ = ["RunBlock"]

_SLOW_SECONDS: Final = 2.0
_MOST_SLOW: Final = 3
_ABOVE: Final = 5  # rows of the screen that are left to what is printed above the block


class RunBlock:
    """A block at the bottom of the screen. A row for each open task of a small run; of a large one only the slowest.

    For the one thread that draws; stop for any.
    """

    def __init__(
        self,
        console: Console,
        tasks: OpenTasks,
        *,
        limiter: Callable[[], LimiterStatistics | None] | None = None,
        spend: Callable[[], Spend | None] | None = None,
        keys: RunKeys | None = None,
    ) -> None:
        self._block = RedrawnBlock(console)
        self._tasks = tasks
        self._limiter = Figures(limiter)
        self._spend = Figures(spend)
        self._keys = keys
        self.start, self.print, self.stop = self._block.start, self._block.print, self._block.stop

    def refresh(self, progress: RunProgress, now: float, elapsed: float) -> None:
        width, most = self._block.width, self._block.most_rows
        foot = self._foot(progress, now, elapsed, width)
        self._block.show([*self._head(progress, now, width, most - len(foot)), *foot])

    def _head(self, progress: RunProgress, now: float, width: int, most: int) -> list[str]:
        if progress.is_small:
            return self._tasks.rows(now, width, max(most - _ABOVE, 1))
        recent = [fit(line, width) for line in progress.recent]
        slow = self._tasks.slow_rows(now, width, min(_MOST_SLOW, most - len(recent)), seconds=_SLOW_SECONDS)
        return [*recent, *slow]

    def _foot(self, progress: RunProgress, now: float, elapsed: float, width: int) -> list[str]:
        paused = self._keys is not None and self._keys.paused
        limiter = self._limiter.latest(now)
        counts_down = limiter is not None and limiter.gate_until is not None
        facts = progress.counts(now, waiting=self._waiting(progress, now), quota=not counts_down)
        facts += _times(progress, elapsed, paused) + _costs(self._spend.latest(now))
        rows = [_bar(progress, width)] if progress.total else []
        rows += fact_rows(facts, width)
        if limiter is not None:
            rows += limiter_rows(limiter, now, width)
        return rows if self._keys is None else rows + self._keys.rows(width)

    def _waiting(self, progress: RunProgress, now: float) -> list[str]:
        """What a row for each task would tell."""
        if progress.is_small:
            return []
        facts = self._tasks.waiting(now)
        queued = 0 if progress.total is None else progress.total - progress.finished - len(progress.in_flight)
        return [*facts, tr("排隊 {count:,}", count=queued)] if queued > 0 else facts


def _bar(progress: RunProgress, width: int) -> str:
    total = progress.total or 1
    count = f" {progress.finished:,}/{total:,}"
    return bar(progress.finished / total, width - cell_width(count)) + count


def _times(progress: RunProgress, elapsed: float, paused: bool) -> list[str]:
    """A pause has no pace from which to tell the end."""
    facts = [f"{elapsed:.1f} s"]
    rate, left = progress.rate(elapsed), progress.eta(elapsed)
    if rate is not None:
        facts.append(tr("{rate:,.1f} 題/s", rate=rate))
    if left and not paused:
        facts.append(tr("剩約 {seconds:,} s", seconds=math.ceil(left)))
    return facts


def _costs(spend: Spend | None) -> list[str]:
    """Nothing before the first tokens; where the model has no price, no money."""
    if spend is None or not spend.tokens:
        return []
    facts = [f"{spend.tokens:,} tokens"]
    return facts if spend.money is None else [*facts, money_text(spend.money)]

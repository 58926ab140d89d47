"""How many texts go into one request: more while the answers are complete, fewer where the model loses track."""

from __future__ import annotations

from typing import Final

from core.errors import UsageError
from core.language import tr

__all__ = ["PackSize"]

START: Final = 25
MOST: Final = 50
_GROWTH: Final = 1.0  # texts for each complete answer
_TOLERATED: Final = 0.1  # share of a pack that may be missing without a lesson in it
_CUT: Final = 0.5


class PackSize:
    """Additive increase, proportional decrease (after AIMD: Chiu and Jain 1989), within 1 and most.

    A complete answer adds one text. One that leaves out more than a tenth of its texts takes away that share, half at
    most: to lose one label of twenty-five costs one more request, while packs half as large would double them all. An
    unusable answer (unreadable, cut off, refused as a whole) halves the size.

    Not every answer is a lesson. A pack of less than half the size is a leftover. A pack above the size was sent
    before it came down: of fifty such in flight the first has said it all (as TCP backs off once a window, not once
    a lost segment).

    fixed: always so many; 1 is one text a request. Told by one thread; size may be read by any.
    """

    def __init__(self, *, start: int = START, most: int = MOST, fixed: int | None = None) -> None:
        if min(start, most, 1 if fixed is None else fixed) < 1:
            raise UsageError(tr("每個請求至少要有 1 則文字"))
        self._fixed = fixed
        self._most = most
        self._size = float(min(start, most))

    @property
    def size(self) -> int:
        """Texts for the next request."""
        return self._fixed if self._fixed is not None else int(self._size)

    def answered(self, texts: int, *, missing: int) -> None:
        """A request of so many texts was answered, all but so many of them."""
        if 2 * texts < self._size:
            return
        share = missing / texts
        if not missing:
            self._size = min(self._size + _GROWTH, self._most)
        elif share > _TOLERATED:
            self._shrink(texts, max(1 - share, _CUT))

    def unusable(self, texts: int) -> None:
        """A request of so many texts came to nothing that fewer texts might not come to."""
        if 2 * texts >= self._size:
            self._shrink(texts, _CUT)

    def _shrink(self, texts: int, factor: float) -> None:
        if texts <= self._size:
            self._size = max(self._size * factor, 1.0)

"""Whether texts get the same labels in company as alone: a sample asked both ways, and how sure that makes us."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Agreement", "compare", "wilson_interval"]

_Z: Final = 1.959963984540054  # 95 %
_CLOSE: Final = 1e-9  # numbers that differ by less are the same


@dataclass(frozen=True, slots=True)
class Agreement:
    """compared: texts that had a result both ways; agreed: with the same one; left_out: others of the sample.

    low and high: 95 % confidence interval of the share of all texts that agree. comparable is False where all
    fields are free texts: two good summaries are seldom the same words, so their difference says nothing.
    """

    compared: int
    agreed: int
    left_out: int
    comparable: bool = True

    @property
    def share(self) -> float:
        """0..1; 1.0 where nothing could be compared."""
        return self.agreed / self.compared if self.compared else 1.0

    @property
    def low(self) -> float:
        return wilson_interval(self.agreed, self.compared)[0]

    @property
    def high(self) -> float:
        return wilson_interval(self.agreed, self.compared)[1]


def compare(
    alone: Mapping[bytes, Mapping[str, Any]],
    packed: Mapping[bytes, Mapping[str, Any]],
    *,
    sample: int,
    free_fields: frozenset[str],
) -> Agreement:
    """Set the results of a sample of so many texts side by side, by key; fields in free_fields do not count."""
    keys = alone.keys() & packed.keys()
    fields = {name for key in keys for name in alone[key]} - free_fields
    agreed = sum(all(_same(alone[key].get(name), packed[key].get(name)) for name in fields) for key in keys)
    return Agreement(len(keys), agreed, sample - len(keys), comparable=bool(fields) or not keys)


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share (Wilson 1927): holds for few trials and shares near 0 and 1, too."""
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, _Z * _Z
    middle = share + square / (2 * trials)
    spread = _Z * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    low = 0.0 if successes == 0 else (middle - spread) / scale  # exactly, where rounding would miss it by a hair
    high = 1.0 if successes == trials else (middle + spread) / scale
    return low, high


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        return bool(math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE))
    return bool(one == other)

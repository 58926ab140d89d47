"""Whether texts get the same labels in company as alone: a sample asked both ways, and how sure that makes us."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from core.errors import UsageError
from core.language import tr

__all__ = ["Agreement", "Pair", "Verdict", "compare", "draw_sample", "sample_size", "wilson_interval"]

T = TypeVar("T")

_Z: Final = 1.959963984540054  # 95 %
_CLOSE: Final = 1e-9  # numbers that differ by less are the same
GOOD_ENOUGH: Final = 0.95  # share of texts, above which packing is taken to change nothing that matters


class Verdict(StrEnum):
    """What a sample says about packing. UNSURE: the interval holds the bar, so a larger sample would tell."""

    NOT_COMPARABLE = "not_comparable"
    NOTHING_COMPARED = "nothing_compared"
    SAME = "same"
    UNSURE = "unsure"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Pair:
    """How many texts have one label alone and the other in a pack, in that field."""

    field: str
    alone: str | bool
    packed: str | bool
    count: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """compared: texts that had a result both ways; agreed: with the same one; left_out: others of the sample.

    low and high: 95 % confidence interval of the share of all texts that agree. comparable is False where all
    fields are free texts: two good summaries are seldom the same words, so their difference says nothing; free
    names those fields. pairs is the confusion table of the labels, the most frequent pair of a field first.

    A model asked twice the same way does not always agree with itself either, so what is missing from 1 is the most
    that packing can have done.
    """

    compared: int
    agreed: int
    left_out: int
    comparable: bool = True
    pairs: tuple[Pair, ...] = ()
    free: tuple[str, ...] = ()

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

    @property
    def confused(self) -> tuple[Pair, ...]:
        """The pairs of labels that are not the same."""
        return tuple(pair for pair in self.pairs if pair.alone != pair.packed)

    def verdict(self, bar: float = GOOD_ENOUGH) -> Verdict:
        """Whether at least that share of all texts agrees, as far as the sample can tell."""
        if not self.comparable:
            return Verdict.NOT_COMPARABLE
        if not self.compared:
            return Verdict.NOTHING_COMPARED
        if self.low >= bar:
            return Verdict.SAME
        return Verdict.UNSURE if self.high >= bar else Verdict.DIFFERENT


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
    pairs = Counter(
        (name, alone[key][name], packed[key][name])
        for key in keys
        for name in fields
        if _is_label(alone[key].get(name)) and _is_label(packed[key].get(name))
    )
    return Agreement(
        compared=len(keys),
        agreed=agreed,
        left_out=sample - len(keys),
        comparable=bool(fields) or not keys,
        pairs=tuple(sorted((Pair(*each, count) for each, count in pairs.items()), key=_by_field_and_count)),
        free=tuple(sorted(free_fields)),
    )


def _by_field_and_count(pair: Pair) -> tuple[str, int, str, str]:
    return pair.field, -pair.count, str(pair.alone), str(pair.packed)


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


def sample_size(bar: float = GOOD_ENOUGH) -> int:
    """The fewest texts that can show, by agreeing without exception, that at least that share of all agrees.

    Wilson's lower limit for n of n is n / (n + z²). Raises UsageError for a bar that no sample reaches.
    """
    if not 0.0 <= bar < 1.0:
        raise UsageError(tr("一致比例必須在 0 到 1 之間 (不含 1), 收到 {bar}", bar=bar))
    return max(math.ceil(bar * _Z * _Z / (1 - bar)), 1)


def draw_sample(items: Iterable[T], size: int, *, seed: int = 0) -> list[T]:
    """So many of the items, each with the same chance, the same for the same input and seed, in input order.

    Reads the items once and holds no more than it returns (reservoir sampling: Vitter 1985, algorithm R). A part of a
    reservoir is no fair sample: items stand in it near where they came in, so draw anew from it.
    """
    if size < 1:
        raise UsageError(tr("抽樣至少要 1 則, 收到 {size}", size=size))
    dice = random.Random(seed)
    drawn: list[tuple[int, T]] = []
    for number, item in enumerate(items):
        if number < size:
            drawn.append((number, item))
        elif (place := dice.randrange(number + 1)) < size:
            drawn[place] = (number, item)
    return [item for _, item in sorted(drawn, key=lambda each: each[0])]


def _same(one: Any, other: Any) -> bool:
    """Labels and whole numbers exactly, others but for rounding. True is no 1, whatever Python says."""
    if {type(one), type(other)} in ({float}, {float, int}):
        return math.isclose(one, other, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return type(one) is type(other) and bool(one == other)


def _is_label(value: Any) -> bool:
    return isinstance(value, str | bool)

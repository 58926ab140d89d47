"""What a bulk run will take, from a sample of its texts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import date
from typing import Final

from core.cost import CallHistory, Range, RunEstimate
from core.limits import Limits
from core.ports import Prompt
from optimizers.analyses import Analysis
from optimizers.catalogue import Catalogue
from optimizers.estimate import estimate_calls, estimate_tokens
from optimizers.packing import pack_prompt

__all__ = ["estimate_bulk"]

_ANSWER_TOKENS: Final = Range(10, 80)  # of one text among several: an id and a label, or a sentence
_NO_LIMITS: Final = Limits()


def estimate_bulk(
    sample: Sequence[str],
    count: int,
    analysis: Analysis,
    pack_size: int,
    catalogue: Catalogue,
    model: str,
    history: CallHistory,
    *,
    on: date,
    workers: int = 1,
    limits: Limits = _NO_LIMITS,
) -> RunEstimate:
    """What asking count texts will take, in packs of pack_size, if all are like the sample and none is repeated.

    The history counts for requests of one text only: nothing is known of how long answers to packs are.
    """
    texts = list(itertools.islice(itertools.cycle(sample), max(len(sample), pack_size))) if sample else []
    groups = [texts[start : start + pack_size] for start in range(0, len(texts), pack_size)]
    sizes = [_tokens(pack_prompt(analysis, group).prompt) for group in groups if len(group) == pack_size]
    calls = math.ceil(count / pack_size) if sizes else 0
    inputs = list(itertools.islice(itertools.cycle(sizes), calls)) if sizes else []
    alone = pack_size == 1
    return estimate_calls(
        inputs, catalogue, model, history if alone else None, on=on, workers=workers, limits=limits, prompts=count,
        output=Range(_ANSWER_TOKENS.low * pack_size, _ANSWER_TOKENS.high * pack_size),
    )  # fmt: skip


def _tokens(prompt: Prompt) -> int:
    return estimate_tokens(prompt.system_instruction) + estimate_tokens(prompt.text)

"""What a bulk run will take, from a sample of its texts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from core.bulk import TextItem
from core.cost import CallHistory, Range, RunEstimate
from core.limits import Limits
from core.ports import Prompt
from optimizers.analyses import Analysis
from optimizers.catalogue import Catalogue
from optimizers.estimate import estimate_calls, estimate_tokens
from optimizers.pack_size import PackSize
from optimizers.packing import Packer, pack_prompt

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

    The sample is packed as the run would pack it: of long texts fewer go into a request.
    The history counts for requests of one text only: nothing is known of how long answers to packs are.
    """
    texts = list(itertools.islice(itertools.cycle(sample), min(max(len(sample), pack_size), count)))
    groups = list(_groups(texts, analysis, pack_size))
    if len(groups) > 1 and len(groups[-1]) < pack_size:
        del groups[-1]  # the sample's end, and not the input's
    mean = sum(map(len, groups)) / len(groups) if groups else 1.0
    sizes = [_tokens(pack_prompt(analysis, group).prompt) for group in groups]
    inputs = list(itertools.islice(itertools.cycle(sizes), math.ceil(count / mean)))
    alone = pack_size == 1
    return estimate_calls(
        inputs, catalogue, model, history if alone else None, on=on, workers=workers, limits=limits, prompts=count,
        output=Range(round(_ANSWER_TOKENS.low * mean), round(_ANSWER_TOKENS.high * mean)),
    )  # fmt: skip


def _groups(texts: Sequence[str], analysis: Analysis, pack_size: int) -> Iterator[list[str]]:
    items = (TextItem(number, text, number) for number, text in enumerate(texts, 1))
    packer = Packer(items, PackSize(fixed=pack_size), analysis=analysis)
    while pack := packer.next_pack():
        yield [item.text for item in pack]


def _tokens(prompt: Prompt) -> int:
    return estimate_tokens(prompt.system_instruction) + estimate_tokens(prompt.text)

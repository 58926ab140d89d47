"""What a run will take, before it is started."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Final, TypeVar

from core.cost import CallHistory, Range, RunEstimate
from core.errors import UsageError
from core.limits import Limits
from core.outcome import Usage
from core.ports import Prompt
from optimizers.catalogue import Catalogue, Price

__all__ = [
    "DEFAULT_OUTPUT_TOKENS", "DEFAULT_SECONDS", "ENOUGH_HISTORY", "estimate", "estimate_calls", "estimate_tokens",
]  # fmt: skip

N = TypeVar("N", int, float)

ENOUGH_HISTORY: Final = 20
# Before there is a history: from a label to an essay with some thinking, and how long such answers take.
DEFAULT_OUTPUT_TOKENS: Final = Range(50, 2000)
DEFAULT_SECONDS: Final = Range(1.0, 15.0)

# Han, kana, hangul, their punctuation and full-width forms.
_CJK: Final = re.compile(
    r"[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]+"
)
_NO_LIMITS: Final = Limits()


def estimate_tokens(text: str) -> int:
    """About how many tokens the text is: 1 for 4 ASCII characters, 2 for 3 of CJK, 1 for 2 of any other script.

    Google's documentation: "a token is equivalent to about 4 characters" of English. For Chinese it gives no
    figure. Gemini's own counter makes 5 tokens of 10 characters of everyday Chinese, DeepSeek's documentation
    says 0.6 a character for its models; rare characters cost more. Two thirds is on the safe side of these, and
    what the offline model counts, so a run of the demonstration meets its estimate.
    """
    if text.isascii():
        return -(-len(text) // 4)
    others = _CJK.sub("", text)
    latin = sum(map(str.isascii, others))
    cjk = len(text) - len(others)
    return math.ceil(latin / 4 + cjk * 2 / 3 + (len(others) - latin) / 2)


def estimate(
    prompts: Iterable[Prompt],
    catalogue: Catalogue,
    model: str,
    history: CallHistory,
    *,
    on: date,
    workers: int = 1,
    limits: Limits = _NO_LIMITS,
    is_cached: Callable[[Prompt], bool] = lambda _: False,
) -> RunEstimate:
    """What asking the prompts of the model will take, if no call has to be repeated.

    Equal prompts are one call and cached ones none. Per call, output and seconds lie between the history's 10th
    and 90th percentile once it has 20 answers, before that between the stated defaults; a run's range is that
    times its calls, which is wider than chance would make it: a run of other questions may be all short or long.

    workers: calls side by side. limits: what is known of the quota; only the low end of the time assumes that its
    burst is still free. Raises UsageError without workers.
    """
    count, inputs = _calls(prompts, is_cached)
    return estimate_calls(inputs, catalogue, model, history, on=on, workers=workers, limits=limits, prompts=count)


def estimate_calls(
    inputs: Sequence[int],
    catalogue: Catalogue,
    model: str,
    history: CallHistory | None,
    *,
    on: date,
    workers: int = 1,
    limits: Limits = _NO_LIMITS,
    prompts: int | None = None,
    output: Range[int] = DEFAULT_OUTPUT_TOKENS,
) -> RunEstimate:
    """The same for calls of which the input tokens are known, one number each.

    output: tokens of an answer where the history (None: calls of this kind have none) cannot tell. prompts: how many
    the calls answer, by default one each.
    """
    if workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}")
    known = history is not None and len(history.output_tokens) >= ENOUGH_HISTORY
    seconds = DEFAULT_SECONDS
    if history is not None and known:
        output, seconds = _percentiles(history.output_tokens), _percentiles(history.seconds)
    price = catalogue.price_of(model, on=on)
    calls, input_tokens = len(inputs), sum(inputs)
    rounds = math.ceil(calls / workers)
    day = limits.requests_per_day
    return RunEstimate(
        prompts=calls if prompts is None else prompts,
        calls=calls,
        input_tokens=input_tokens,
        output_tokens=Range(calls * output.low, calls * output.high),
        money=None if price is None else Range(_money(price, inputs, output.low), _money(price, inputs, output.high)),
        seconds=Range(
            max(rounds * seconds.low, _quota_seconds(limits, calls, input_tokens, fresh=True)),
            max(rounds * seconds.high, _quota_seconds(limits, calls, input_tokens, fresh=False)),
        ),
        from_history=known,
        over_day_limit=0 if day is None else max(calls - day, 0),
        priced_on=None if price is None else price.checked,
    )


def _calls(prompts: Iterable[Prompt], is_cached: Callable[[Prompt], bool]) -> tuple[int, list[int]]:
    """How many prompts there are, and the tokens of each one that will be a call."""
    count, seen, inputs = 0, set(), []
    for prompt in prompts:
        count += 1
        if prompt in seen:
            continue
        seen.add(prompt)
        if not is_cached(prompt):
            inputs.append(estimate_tokens(prompt.system_instruction) + estimate_tokens(prompt.text))
    return count, inputs


def _percentiles(values: Sequence[N]) -> Range[N]:
    """The 10th and the 90th, each a value that occurred (nearest rank)."""
    ordered = sorted(values)
    last = len(ordered)
    return Range(ordered[math.ceil(0.1 * last) - 1], ordered[math.ceil(0.9 * last) - 1])


def _money(price: Price, inputs: Iterable[int], output: int) -> Decimal:
    """Call by call, since a long prompt has a price of its own; calls of one size are reckoned together."""
    sizes = Counter(inputs)
    return sum((price.money(Usage(tokens, output)) * count for tokens, count in sizes.items()), Decimal(0))


def _quota_seconds(limits: Limits, calls: int, tokens: int, *, fresh: bool) -> float:
    """How long the quota of the minute alone makes the run; fresh: its burst, or its first minute, is unused."""
    waits = [0.0]
    if limits.requests_per_minute is not None:
        free = limits.most_at_once if fresh else 0
        waits.append((calls - free) * 60 / limits.requests_per_minute)
    if limits.tokens_per_minute is not None:
        free = limits.tokens_per_minute if fresh else 0
        waits.append((tokens - free) * 60 / limits.tokens_per_minute)
    return max(waits)

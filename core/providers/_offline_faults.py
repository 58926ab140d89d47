"""What can be made to go wrong in the offline model: the grammar of OFFLINE_FAULTS and its evaluation.

    faults    := rule ("," rule)*                 blanks around a rule are ignored, "" means no faults
    rule      := name ["=" value] ["@" condition]
    condition := probability                      0 < p <= 1, drawn anew for each attempt of a prompt
               | "every:" N                       each N-th call that this rule sees, in order of arrival
               | "match:" text                    prompts whose text contains it (no comma in it)

A rule without a condition always holds. Rules are tried as written: `slow` adds up and `rate` lets a call pass
while the quota lasts, of the others the first that holds decides.

    hang             no answer until the deadline        blocked     the answer is held back for safety
    slow=SECONDS     that much later, not scaled         empty       an answer without text
    error            500                                 max_tokens  thinking used up the output, no text
    overloaded       503                                 truncated   half an answer, marked as cut
    unavailable      no connection                       escapes     an answer full of terminal controls
    bad_key          the key is refused                  quota_day   today's quota is used up
    quota_minute[=SECONDS]   this minute's quota is used up, come back after that long (30)
    rate=N/min       a real quota: a bucket of N calls that refills at N a minute

Example: OFFLINE_FAULTS="rate=10/min, overloaded@0.2, hang@match:REST"
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from core.errors import SettingsError
from core.language import marked, tr
from core.ports import Prompt

__all__ = ["FAULT_NAMES", "Fault", "FaultPlan", "FaultRule", "fraction", "parse_faults"]

_QUOTA_SECONDS = 30.0
_PROMPTS_COUNTED = 10_000

FAULT_NAMES = (
    "hang", marked("slow=秒數"), "error", "overloaded", "unavailable", "bad_key", "blocked", "empty", "max_tokens",
    "truncated", "escapes", "quota_day", marked("quota_minute[=秒數]"), "rate=N/min",
)  # fmt: skip
_PLAIN = frozenset(name for name in FAULT_NAMES if "=" not in name)


@dataclass(frozen=True, slots=True)
class FaultRule:
    """One rule; at most one of probability, every and match narrows it. value: seconds, for rate calls a minute."""

    name: str
    value: float = 0.0
    probability: float | None = None
    every: int = 1
    match: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls one call. name is "" for none; retry_after in seconds, for quotas; delay may be math.inf."""

    name: str = ""
    delay: float = 0.0
    retry_after: float | None = None


def parse_faults(text: str) -> tuple[FaultRule, ...]:
    """Read the grammar above; SettingsError naming the rule and the names there are."""
    return tuple(_parse_rule(part.strip()) for part in text.split(",") if part.strip())


def _parse_rule(text: str) -> FaultRule:
    head, has_condition, condition = text.partition("@")
    name, has_value, value = (part.strip() for part in head.partition("="))
    try:
        rule = FaultRule(name, _parse_value(name, value if has_value else None))
        return _with_condition(rule, condition.strip()) if has_condition else rule
    except ValueError:
        raise SettingsError(
            tr(
                "OFFLINE_FAULTS 的 {rule!r} 不對, 可用的名稱: {names}; 後面可加 @機率、@every:N 或 @match:文字",
                rule=text,
                names=", ".join(map(tr, FAULT_NAMES)),
            )
        ) from None


def _parse_value(name: str, text: str | None) -> float:
    if name in _PLAIN and text is None:
        return 0.0
    if name == "quota_minute" and text is None:
        return _QUOTA_SECONDS
    if name in ("slow", "quota_minute") and text is not None:
        return _positive(float(text))
    if name == "rate" and text is not None and text.endswith("/min"):
        return float(_positive(int(text.removesuffix("/min"))))
    raise ValueError(name)


def _with_condition(rule: FaultRule, text: str) -> FaultRule:
    kind, has_argument, argument = text.partition(":")
    if not has_argument:
        return FaultRule(rule.name, rule.value, probability=_positive(float(text), most=1.0))
    if kind == "every":
        return FaultRule(rule.name, rule.value, every=int(_positive(int(argument))))
    if kind == "match" and argument:
        return FaultRule(rule.name, rule.value, match=argument)
    raise ValueError(text)


def _positive(value: float, *, most: float = 1e9) -> float:
    if not 0 < value <= most:  # also false for nan
        raise ValueError(value)
    return value


def fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone, the same on every machine and in every process."""
    text = "\x1f".join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


@dataclass(slots=True)
class _Bucket:
    """A token bucket over instants that the caller passes in; starts full."""

    capacity: float
    tokens: float = field(init=False)
    updated_at: float = -math.inf

    def __post_init__(self) -> None:
        self.tokens = self.capacity

    def take(self, now: float) -> float:
        """0.0 and one token taken, or the seconds until there is one."""
        per_second = self.capacity / 60
        if now > self.updated_at:
            self.tokens = min(self.capacity, self.tokens + (now - self.updated_at) * per_second)
            self.updated_at = now
        if self.tokens >= 1 - 1e-9:  # waiting exactly as told must be enough, whatever the rounding
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / per_second


class FaultPlan:
    """Decides what befalls each call. Thread-safe.

    A probability is drawn from the seed, the prompt and which attempt of that prompt this is, so that neither
    the order of calls nor the timing of threads changes it; `every` and `rate` count calls as they arrive.
    """

    def __init__(self, rules: tuple[FaultRule, ...], *, seed: int = 0) -> None:
        self._rules = rules
        self._seed = seed
        # Guards the counters and buckets below; held by draw() only, which calls nothing foreign.
        self._lock = threading.Lock()
        self._attempts: OrderedDict[float, int] = OrderedDict()
        self._seen = [0] * len(rules)
        self._buckets = {index: _Bucket(rule.value) for index, rule in enumerate(rules) if rule.name == "rate"}

    def draw(self, prompt: Prompt, now: float) -> Fault:
        """The fault of the call that starts at this monotonic instant."""
        if not self._rules:
            return Fault()
        delay = 0.0
        with self._lock:
            attempt = self._count(_digest(prompt))
            for index, rule in enumerate(self._rules):
                if not self._holds(index, rule, prompt, attempt):
                    continue
                if rule.name in ("slow", "hang"):
                    delay += rule.value if rule.name == "slow" else math.inf
                elif rule.name == "rate":
                    wait = self._buckets[index].take(now)
                    if wait > 0:
                        return Fault("quota_minute", delay, wait)
                else:
                    return Fault(rule.name, delay, rule.value or None)
        return Fault(delay=delay)

    def _count(self, digest: float) -> int:
        attempt = self._attempts.pop(digest, 0) + 1
        self._attempts[digest] = attempt
        if len(self._attempts) > _PROMPTS_COUNTED:
            self._attempts.popitem(last=False)
        return attempt

    def _holds(self, index: int, rule: FaultRule, prompt: Prompt, attempt: int) -> bool:
        if rule.match is not None:
            return rule.match in prompt.text
        if rule.probability is not None:
            return fraction(self._seed, index, attempt, _digest(prompt)) < rule.probability
        self._seen[index] += 1
        return self._seen[index] % rule.every == 0


def _digest(prompt: Prompt) -> float:
    return fraction(prompt.system_instruction, prompt.schema, prompt.text)

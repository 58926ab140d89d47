"""The offline demonstration model: what the program runs on when no API key is set.

It needs no network, answers the same prompt alike, and can be told to misbehave: OFFLINE_FAULTS takes rules as
`name[=value][@condition]` separated by commas, for example "rate=10/min, overloaded@0.2, hang@match:REST".
Names: hang, slow=SECONDS, error, overloaded, unavailable, bad_key, blocked, empty, max_tokens, truncated,
escapes, quota_day, quota_minute[=SECONDS], rate=N/min. Conditions: @PROBABILITY, @every:N, @match:TEXT. The whole
grammar is written at the top of _offline_faults.py.
"""

from __future__ import annotations

import json
import math

from core.errors import ErrorKind, ModelError, SettingsError
from core.language import tr
from core.outcome import Answer, Usage
from core.pacific import next_pacific_midnight
from core.ports import Prompt
from core.providers._offline_answers import ESCAPES, answer_text
from core.providers._offline_faults import Fault, FaultPlan, fraction, parse_faults
from core.scope import Scope

__all__ = ["MODEL_NAME", "OfflineModel"]

MODEL_NAME = "offline-demo"

_HEADLINE_SECONDS = (2.5, 2.3, 2.4)
_BUILT_IN = (
    "Python 的主要特性是什麼", "機器學習的基本概念", "什麼是 REST API",
    "如何進行數據清洗", "常見的統計方法有哪些", "資料視覺化的最佳實踐",
    "什麼是設計模式", "如何優化程式效能", "單元測試的重要性",
)  # fmt: skip
_HEADLINE = {question: _HEADLINE_SECONDS[index % 3] for index, question in enumerate(_BUILT_IN)}
_REFUSAL_SECONDS = 0.05

_REFUSED_AT_ONCE = {
    "error": ErrorKind.SERVER_ERROR,
    "overloaded": ErrorKind.OVERLOADED,
    "unavailable": ErrorKind.UNAVAILABLE,
    "bad_key": ErrorKind.BAD_KEY,
    "quota_minute": ErrorKind.QUOTA_MINUTE,
    "quota_day": ErrorKind.QUOTA_DAY,
}
_WITHHELD = {
    "blocked": ErrorKind.BLOCKED,
    "empty": ErrorKind.EMPTY,
    "max_tokens": ErrorKind.MAX_TOKENS,
}


class OfflineModel:
    """A ChatModel without a network. Thread-safe; holds nothing that needs closing.

    The answer depends on seed and prompt alone. A question takes 2.5, 2.3 or 2.4 seconds times scale (the
    built-in sets exactly these, in this order), an analysis 0.1 to 0.3, all slept in the caller's scope.
    Raises SettingsError for faults it cannot read, and from generate() what the faults ask for as ModelError.
    """

    def __init__(self, *, scale: float = 1.0, seed: int = 0, faults: str = "") -> None:
        if not (scale >= 0 and math.isfinite(scale)):
            raise SettingsError(tr("OFFLINE_SCALE 的值 {value!r} 不對, 請給 0 以上的數字", value=scale))
        rules = parse_faults(faults)
        self._scale = scale
        self._seed = seed
        self._plan = FaultPlan(rules, seed=seed)
        self._identity = json.dumps(
            {"faults": faults if rules else "", "model": MODEL_NAME, "seed": seed}, ensure_ascii=False, sort_keys=True
        )

    @property
    def identity(self) -> str:
        return self._identity

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        fault = self._plan.draw(prompt, scope.now())
        if fault.name in _REFUSED_AT_ONCE:
            scope.sleep(_REFUSAL_SECONDS * self._scale + fault.delay)
            raise _refusal(fault, scope.clock.wall())
        scope.sleep(self.latency(prompt) * self._scale + fault.delay)
        if fault.name in _WITHHELD:
            raise ModelError(_WITHHELD[fault.name], tr("模擬 {fault}", fault=fault.name))
        return _answer(prompt, answer_text(prompt, self._seed), fault.name)

    def verify(self, scope: Scope) -> None:
        """There is no key and no server, so nothing can be wrong with them."""

    def close(self) -> None:
        """Nothing to let go of."""

    def latency(self, prompt: Prompt) -> float:
        """Seconds that an undisturbed call takes at scale 1."""
        draw = fraction(self._seed, "latency", prompt.system_instruction, prompt.schema, prompt.text)
        if prompt.system_instruction or prompt.schema:
            return 0.1 + 0.2 * draw
        return _HEADLINE.get(_bare(prompt.text), _HEADLINE_SECONDS[int(draw * 3)])


def _answer(prompt: Prompt, text: str, fault: str) -> Answer:
    if fault == "truncated":
        text = text[: (len(text) + 1) // 2]
    elif fault == "escapes":
        text = f"{text}\n{ESCAPES}"
    usage = Usage(_tokens(prompt.system_instruction + prompt.text), _tokens(text))
    return Answer(text, MODEL_NAME, usage, truncated=fault == "truncated")


def _refusal(fault: Fault, wall: float) -> ModelError:
    return ModelError(
        _REFUSED_AT_ONCE[fault.name],
        tr("模擬 {fault}", fault=fault.name),
        retry_after=fault.retry_after,
        resets_at=next_pacific_midnight(wall) if fault.name == "quota_day" else None,
    )


def _bare(question: str) -> str:
    return question.strip().rstrip("?\uff1f").strip()


def _tokens(text: str) -> int:
    """An estimate: about two tokens to three characters of Chinese."""
    return (2 * len(text) + 2) // 3

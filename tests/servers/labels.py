"""A deterministic labelling Gemini: the same text always has the same label, asked alone or in a pack."""

from __future__ import annotations

import json
import random
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.servers.records import SeenRequest
from tests.servers.replies import Reply, answer

__all__ = ["FAULTS", "LABELS", "Labeller", "label_of"]

LABELS = ("正面", "中性", "負面")
FAULTS = ("drop", "double", "contradict", "invent", "reorder", "bad label", "cut")


def label_of(text: str) -> str:
    return LABELS[zlib.crc32(text.encode()) % len(LABELS)]


@dataclass
class Labeller:
    """A server script. faulty: the share of packed answers in which something is wrong; single ones are right.

    What goes wrong is one of faults, and depends on the seed, the request and how often it came before: neither on
    the order in which threads ask, nor for ever, so that the same request may go well the second time. spoiled counts
    the faults by name.
    """

    faulty: float = 0.0
    seed: int = 0
    faults: Sequence[str] = FAULTS
    requests: int = 0
    texts: int = 0
    spoiled: Counter[str] = field(default_factory=Counter)
    _seen: Counter[int] = field(init=False, default_factory=Counter)

    def __call__(self, seen: SeenRequest) -> Reply:
        self.requests += 1
        data = json.loads(seen.text)
        if "texts" not in data:
            self.texts += 1
            return answer(json.dumps({"result": label_of(data["text"])}, ensure_ascii=False))
        results = [{"id": each["id"], "result": label_of(each["text"])} for each in data["texts"]]
        self.texts += len(results)
        fault = self._fault(seen.text, results) if self.faulty else ""
        text = json.dumps({"results": results}, ensure_ascii=False)
        return answer(text[: len(text) // 2] if fault == "cut" else text)

    def _fault(self, text: str, results: list[dict[str, Any]]) -> str:
        """Spoil the results, or not; the name of what was done to them."""
        request = zlib.crc32(text.encode())
        dice = random.Random(f"{self.seed} {request} {self._seen[request]}")
        self._seen[request] += 1
        if dice.random() >= self.faulty:
            return ""
        fault = dice.choice(self.faults)
        self.spoiled[fault] += 1
        _spoil(fault, results, dice)
        return fault


def _spoil(fault: str, results: list[dict[str, Any]], dice: random.Random) -> None:
    place = dice.randrange(len(results))
    match fault:
        case "drop":
            del results[place]
        case "double":
            results.append(dict(results[place]))
        case "contradict":
            other = LABELS[(LABELS.index(results[place]["result"]) + 1) % len(LABELS)]
            results.append({**results[place], "result": other})
        case "invent":
            results.insert(place, {"id": f"{dice.randrange(16**8):08x}", "result": LABELS[0]})
        case "reorder":
            dice.shuffle(results)
        case "bad label":
            results[place]["result"] = "非常正面"

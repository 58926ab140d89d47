"""A deterministic labelling Gemini: the same text always has the same label, asked alone or in a pack."""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import dataclass, field
from typing import Any

from tests.servers.records import SeenRequest
from tests.servers.replies import Reply, answer

__all__ = ["LABELS", "Labeller", "label_of"]

LABELS = ("正面", "中性", "負面")
_FAULTS = ("drop", "double", "contradict", "invent", "reorder", "bad label", "cut")


def label_of(text: str) -> str:
    return LABELS[zlib.crc32(text.encode()) % len(LABELS)]


@dataclass
class Labeller:
    """A server script. faulty: the share of packed answers in which something is wrong; single ones are right."""

    faulty: float = 0.0
    seed: int = 0
    requests: int = 0
    texts: int = 0
    _dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)

    def __call__(self, seen: SeenRequest) -> Reply:
        self.requests += 1
        data = json.loads(seen.text)
        if "texts" not in data:
            self.texts += 1
            return answer(json.dumps({"result": label_of(data["text"])}, ensure_ascii=False))
        results = [{"id": each["id"], "result": label_of(each["text"])} for each in data["texts"]]
        self.texts += len(results)
        cut = False
        if self._dice.random() < self.faulty:
            fault = self._dice.choice(_FAULTS)
            self._spoil(fault, results)
            cut = fault == "cut"
        text = json.dumps({"results": results}, ensure_ascii=False)
        return answer(text[: len(text) // 2] if cut else text)

    def _spoil(self, fault: str, results: list[dict[str, Any]]) -> None:
        place = self._dice.randrange(len(results))
        match fault:
            case "drop":
                del results[place]
            case "double":
                results.append(dict(results[place]))
            case "contradict":
                other = LABELS[(LABELS.index(results[place]["result"]) + 1) % len(LABELS)]
                results.append({**results[place], "result": other})
            case "invent":
                results.insert(place, {"id": "0" * 8, "result": LABELS[0]})
            case "reorder":
                self._dice.shuffle(results)
            case "bad label":
                results[place]["result"] = "非常正面"

"""The file of answers of a batch job, matched to the ids that were asked for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping
from typing import Any, Final, Self, TypeAlias

from core.errors import ErrorKind, ModelError
from core.language import tr
from core.outcome import Answer
from core.providers._gemini_failures import Redactor
from core.providers._genai_batch_spool import Spool
from core.providers._genai_batch_wire import error_of, mapping
from core.providers._genai_response import to_answer

__all__ = ["FileAnswers"]

Pair: TypeAlias = tuple[str, Answer | ModelError]

# What is longer is cut there, and neither part is JSON: an answer of such a size is no answer.
_LONGEST_LINE: Final = 8 << 20


class FileAnswers:
    """Core's BatchAnswers over a file of lines {"key": id, "response" or "error": ...} in any order.

    Reads the file twice, so that only the ids are held: an id that comes again further down spoils the first
    answer too, because nothing tells which of them is its own. Owns the file, and closes it at the end.
    """

    def __init__(self, spool: Spool, ids: Collection[str], *, model: str, redact: Redactor, wall: float) -> None:
        self._spool = spool
        self._model = model
        self._redact = redact
        self._wall = wall
        wanted = frozenset(ids)
        seen: Counter[str] = Counter()
        self.foreign = 0
        for key, _ in self._lines():
            if key in wanted:
                seen[key] += 1
            else:
                self.foreign += 1
        self.doubled = sum(count > 1 for count in seen.values())
        self.missing = len(wanted) - len(seen)
        self._pairs = self._read(wanted, seen)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Pair:
        return next(self._pairs)

    def close(self) -> None:
        self._pairs.close()
        self._spool.close()

    def _read(self, wanted: frozenset[str], seen: Counter[str]) -> Generator[Pair, None, None]:
        for key, data in self._lines():
            if key in wanted and seen[key] == 1:
                yield key, self._answer(data)
        for key in wanted:
            if seen[key] != 1:
                several = tr("批次工作對這個請求給了不只一個回答")
                problem = several if seen[key] else tr("批次工作沒有回答這個請求")
                yield key, ModelError(ErrorKind.BAD_RESPONSE, problem)
        self._spool.close()

    def _lines(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Each line's key and content; "" and nothing for one that is none of the service's."""
        self._spool.rewind()
        while line := self._spool.file.readline(_LONGEST_LINE):
            if not line.strip():
                continue
            data = mapping(_parsed(line))
            key = data.get("key")
            yield (key, data) if isinstance(key, str) else ("", {})

    def _answer(self, data: Mapping[str, Any]) -> Answer | ModelError:
        for name in ("error", "status"):
            if mapping(data.get(name)):
                return error_of(data[name], self._redact, self._wall)
        answer = to_answer(json.dumps(data["response"]), self._model) if "response" in data else None
        return answer or ModelError(ErrorKind.BAD_RESPONSE, tr("批次工作的回答無法解析"))


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None

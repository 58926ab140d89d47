"""The nouns of bulk runs: texts that come in, and what became of each distinct one. All frozen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from core.outcome import OutcomeKind, Usage

__all__ = ["BatchSpec", "ItemResult", "RequestCost", "TextItem", "text_key"]


@dataclass(frozen=True, slots=True)
class TextItem:
    """One text of the input. number: from 1, in input order; line: where it begins in its file, from 1."""

    number: int
    text: str
    line: int

    @property
    def key(self) -> bytes:
        return text_key(self.text)


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one distinct text: texts are known by their key, so twins share one result.

    values is the canonical JSON object of the analysis's fields, "" unless kind is ANSWERED; reason is the
    sentence for the person, "" if it is. seconds: the server's time for the request the text was part of.
    """

    key: bytes
    kind: OutcomeKind
    values: str = ""
    reason: str = ""
    attempts: int = 0
    seconds: float = 0.0

    @property
    def answered(self) -> bool:
        return self.kind is OutcomeKind.ANSWERED


@dataclass(frozen=True, slots=True)
class RequestCost:
    """What the request behind a group of results cost; requests counts every attempt."""

    requests: int = 0
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """What makes two bulk runs the same: where the texts are, how they are read, what is asked of whom.

    source: absolute path, or "stdin:" and a digest; reader and analysis: canonical JSON; model: its identity.
    """

    source: str
    reader: str
    analysis: str
    model: str

    @property
    def digest(self) -> str:
        """A name for files: equal specs have equal ones. 32 hexadecimal digits."""
        parts = json.dumps([self.source, self.reader, self.analysis, self.model], ensure_ascii=False)
        return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def text_key(text: str) -> bytes:
    """16 bytes that stand for a text (BLAKE2b): the same text always has the same key, two texts never do."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

"""The nouns of bulk runs: texts that come in, and what became of each distinct one. All frozen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from core.outcome import OutcomeKind, Usage

__all__ = ["BatchSpec", "BulkEnd", "BulkProgress", "ItemResult", "RequestCost", "TextItem", "text_key"]


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


@dataclass(frozen=True, slots=True)
class BulkProgress:
    """A bulk run at one instant. Texts are counted once each; twins are further ones with the same words.

    expected: distinct texts in the whole input, None where nobody counted. done_before: answered in an earlier
    session and met again in this one. answered, failed, requests, usage and seconds are this session's; requests
    counts every attempt. submitted: part of a batch job that has not ended. in_flight: texts in requests that are out;
    waiting: texts that go out once more.
    """

    expected: int | None = None
    read: int = 0
    twins: int = 0
    done_before: int = 0
    submitted: int = 0
    answered: int = 0
    failed: int = 0
    in_flight: int = 0
    waiting: int = 0
    requests: int = 0
    pack_size: int = 1
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0

    @property
    def settled(self) -> int:
        """Distinct texts that need no further request in this session."""
        return self.done_before + self.answered + self.failed

    @property
    def share(self) -> float | None:
        """How much of the input is settled, 0..1; None where its length is unknown."""
        if self.expected is None:
            return None
        return min(self.settled / self.expected, 1.0) if self.expected else 1.0

    @property
    def per_second(self) -> float:
        """Texts settled a second by this session's own requests."""
        return (self.answered + self.failed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds until the end at the pace so far; None while there is no pace or no length."""
        if self.expected is None or not self.per_second:
            return None
        return max(self.expected - self.settled, 0) / self.per_second


@dataclass(frozen=True, slots=True)
class BulkEnd:
    """How a session of a bulk run ended: its last progress, and why it stopped early ("" if it did not).

    unsaved: answers that are in memory only, because they could not be written down.
    """

    progress: BulkProgress
    stopped: str = ""
    advice: str = ""
    cancelled: bool = False
    unsaved: int = 0

    @property
    def complete(self) -> bool:
        """Every text of the input has its answer, and all are kept."""
        return not (self.stopped or self.cancelled or self.unsaved or self.progress.failed)

"""The tables of the cache on disk, and what stands in their rows: JSON, each with a checksum."""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from dataclasses import astuple
from typing import Any, Final

from core.outcome import Answer, Usage
from core.ports import Prompt
from optimizers.cache_reports import EntryInfo
from optimizers.cache_values import Question, Snapshot

__all__ = ["COUNTS", "SCHEMA", "decoded", "encoded", "listed"]

COUNTS: Final = ("stores", "replaced", "expired", "evicted", "removed", "too_large", "entries", "bytes")
_MORE_COUNTS: Final = ("pinned", "pinned_bytes", "serial")
SCHEMA: Final = (
    "CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT NOT NULL, question TEXT, size INTEGER NOT NULL,"
    " created REAL NOT NULL, expires REAL NOT NULL, used INTEGER NOT NULL, hits INTEGER NOT NULL DEFAULT 0,"
    " pinned INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX by_expiry ON entries (expires) WHERE pinned = 0",
    "CREATE INDEX by_use ON entries (used) WHERE pinned = 0",
    f"CREATE TABLE counts ({', '.join(f'{name} INTEGER NOT NULL DEFAULT 0' for name in COUNTS + _MORE_COUNTS)})",
    "INSERT INTO counts DEFAULT VALUES",
)
_ANSWER: Final = "answer"
_PLAIN: Final = "plain"


def encoded(snapshot: Snapshot) -> tuple[str, str | None] | None:
    """Value and question as they are written; None for a value that JSON cannot give back as it was."""
    value = snapshot.value
    if isinstance(value, Answer):
        body: list[Any] = [_ANSWER, value.text, value.model, list(astuple(value.usage)), value.truncated]
    elif _is_plain(value):
        body = [_PLAIN, value]
    else:
        return None
    return _sealed(body), None if snapshot.question is None else _sealed(_question_body(snapshot.question))


def decoded(value: str, question: str | None, size: int) -> Snapshot | None:
    """The snapshot of a row; None for one that cannot be read, which counts as absent."""
    try:
        body = _opened(value)
        if body[0] == _ANSWER:
            _, text, model, usage, truncated = body
            kept: Any = Answer(text, model, Usage(*usage), truncated)
        else:
            kept = body[1]
        asked = None if question is None else _question(_opened(question))
    except (ValueError, TypeError, LookupError):
        return None
    return Snapshot(kept, size, not isinstance(kept, list | dict), asked)


def listed(sql: sqlite3.Connection, now: float) -> list[EntryInfo]:
    """The entries, least recently used first, the pinned ones last."""
    rows = sql.execute(
        "SELECT key, created, expires, hits, size, pinned, question FROM entries ORDER BY pinned, used"
    )
    return [
        EntryInfo(key, now - created, math.inf if pinned else expires - now, hits, size, bool(pinned), _preview(asked))
        for key, created, expires, hits, size, pinned, asked in rows
    ]


def _sealed(body: object) -> str:
    """The body as JSON behind its checksum. Lone surrogates, which SQLite cannot hold, are JSON's own escapes."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    if not _is_encodable(text):
        text = json.dumps(body, separators=(",", ":"))
    return f"{zlib.crc32(text.encode()):08x}{text}"


def _opened(sealed: str) -> Any:
    text = sealed[8:]
    if f"{zlib.crc32(text.encode()):08x}" != sealed[:8]:
        raise ValueError("checksum")
    return json.loads(text)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_plain(value: object) -> bool:
    """Whether JSON gives the value back with the same types."""
    if value is None or type(value) in (str, bool, int):
        return True
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is list:
        return all(map(_is_plain, value))
    return type(value) is dict and all(type(name) is str and _is_plain(each) for name, each in value.items())


def _question_body(question: Question) -> list[Any]:
    prompt = question.prompt
    return [question.preview, None if prompt is None else [prompt.text, prompt.system_instruction, prompt.schema]]


def _question(body: Any) -> Question:
    preview, prompt = body
    return Question(preview, None if prompt is None else Prompt(*prompt))


def _preview(question: str | None) -> str:
    try:
        return "" if question is None else _question(_opened(question)).preview
    except (ValueError, TypeError):
        return ""

"""Questions from a text file that the person names."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import UsageError
from core.language import tr
from utils.text_decoding import read_text_lines

__all__ = ["QueryFile", "read_query_file"]

MOST_CHARACTERS: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class QueryFile:
    """A file's text, blank lines included. replaced counts the bytes that were no text and became �."""

    name: str
    text: str
    replaced: int


def read_query_file(typed: str) -> QueryFile:
    """Read the file with the typed name, which may be quoted or escaped as a terminal does with a dropped file.

    Raises UsageError, in one sentence, where it cannot be read or is too large to be a query set.
    """
    lines: list[str] = []
    characters = 0
    with read_text_lines(_path(typed)) as file:
        for line in file:
            # The reader passes blank lines over; they may be what separates the questions.
            lines += [""] * (line.number - 1 - len(lines))
            lines.append(line.text)
            characters += len(line.text) + 1
            if characters + len(lines) > MOST_CHARACTERS:
                raise UsageError(tr("{name} 太大, 不適合當成一組問題; 請用選單 7 批次處理", name=file.name))
        return QueryFile(file.name, "\n".join(lines), file.replaced)


def _path(typed: str) -> Path:
    """The file as it was typed, or else with its quotes and backslashes taken as a shell takes them."""
    path = Path(typed).expanduser()
    if path.exists():
        return path
    try:
        words = shlex.split(typed)
    except ValueError:
        return path
    return Path(words[0]).expanduser() if len(words) == 1 else path

"""Keeps large pastes out of the edit line: one character stands for each, shown as a short label."""

from __future__ import annotations

import re
from typing import Final

from core.language import tr_n

__all__ = ["PasteShelf"]

_FIRST: Final = 0x10F000
_SLOTS: Final = 0xFFE
_STAND_IN: Final = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + _SLOTS - 1)}]")
MOST_LINES: Final = 8
MOST_CHARACTERS: Final = 2000


class PasteShelf:
    """Texts by their stand-ins: private-use characters that nobody types and that no font shows.

    Text that is short passes through collapse() as it is, unless it holds such a character itself. expand() gives
    the original back, whatever was edited around it. Once all slots are used the oldest texts are forgotten.
    """

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._count = 0

    def collapse(self, text: str) -> str:
        """The text itself, or the one character that stands for it."""
        if len(text) <= MOST_CHARACTERS and text.count("\n") < MOST_LINES and not _STAND_IN.search(text):
            return text
        character = chr(_FIRST + self._count % _SLOTS)
        self._count += 1
        self._texts[character] = text
        return character

    def expand(self, text: str) -> str:
        """The text with every stand-in replaced by what it stands for."""
        return _STAND_IN.sub(lambda match: self._texts.get(match[0], match[0]), text)

    def label(self, character: str) -> str | None:
        """What to show for a stand-in; None for any other character."""
        text = self._texts.get(character)
        if text is None:
            return None
        lines = text.rstrip("\n").count("\n") + 1
        return tr_n("〔貼上 {count:,} 行, {characters:,} 字〕", lines, characters=len(text))

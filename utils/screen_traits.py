"""What the person's screen is able to show, by the stream, the environment and the person's own word."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from utils.output_stream import OutputStream

__all__ = ["ScreenTraits"]

_NARROWEST: Final = 20
_USUAL: Final = (80, 24)
_CANNOT_DRAW: Final = ("", "dumb", "unknown")


@dataclass(frozen=True, slots=True)
class ScreenTraits:
    """Answers of this moment: the environment is looked up, and the terminal measured, at each question.

    plain: a screen for a screen reader. colour True or False is the person's own word; None leaves it to NO_COLOR,
    which wins, FORCE_COLOR and the terminal. Both variables count where they are not empty; FORCE_COLOR=0 is none.
    """

    out: OutputStream
    environ: Callable[[], Mapping[str, str]]
    plain: bool = False
    colour: bool | None = None

    @property
    def draws(self) -> bool:
        return not self.plain and self.out.is_terminal and self._variable("TERM") not in _CANNOT_DRAW

    @property
    def has_colour(self) -> bool:
        if self.plain or self.colour is False:
            return False
        if self.colour is None and self._variable("NO_COLOR"):
            return False
        forced = self.colour is True or self._variable("FORCE_COLOR") not in ("", "0")
        return self.draws or (forced and self._variable("TERM") not in ("dumb", "unknown"))

    @property
    def width(self) -> int:
        return max(self.size()[0], _NARROWEST)

    def size(self) -> tuple[int, int]:
        """Columns and rows; where there is no terminal, COLUMNS or 80, and 24."""
        stream = self.out.stream
        with contextlib.suppress(OSError, ValueError):  # no terminal, or closed
            if stream is not None:
                columns, rows = os.get_terminal_size(stream.fileno())
                if columns and rows:
                    return columns, rows
        columns_text = self._variable("COLUMNS")
        return int(columns_text) if columns_text.isdecimal() else _USUAL[0], _USUAL[1]

    def _variable(self, name: str) -> str:
        return self.environ().get(name, "")

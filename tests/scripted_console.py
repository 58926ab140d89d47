"""A console whose person is a list of lines."""

from __future__ import annotations

import io
from collections.abc import Iterable

from utils.console import Console

__all__ = ["ScriptedConsole"]


class ScriptedConsole(Console):
    """Answers every question with the next line, and EOFError after the last. prompts is what it was asked."""

    def __init__(
        self,
        entries: Iterable[str] = (),
        *,
        columns: int = 80,
        terminal: bool = True,
        colour: bool = False,
        encoding: str = "utf-8",
    ) -> None:
        self.sink = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
        super().__init__(stdin=io.StringIO(), stdout=self.sink, stderr=io.StringIO(), environ={}, history_path=None)
        self.entries = list(entries)
        self.prompts: list[str] = []
        self.columns = columns
        self._terminal = terminal
        self._colour = colour

    @property
    def shown(self) -> str:
        self.sink.flush()
        data: bytes = self.sink.buffer.getvalue()  # that of the BytesIO it was made of
        return data.decode(self.sink.encoding)

    @property
    def is_terminal(self) -> bool:
        return self._terminal

    @property
    def is_interactive(self) -> bool:
        return self._terminal

    @property
    def has_colour(self) -> bool:
        return self._colour

    @property
    def width(self) -> int:
        return self.columns

    def ask(self, prompt: str) -> str:
        self.prompts.append(prompt)
        if not self.entries:
            raise EOFError
        return self.entries.pop(0)

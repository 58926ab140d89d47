"""rich on our output stream."""

from __future__ import annotations

import io
import os
from typing import TextIO, cast

from rich.console import Console as RichConsole
from rich.console import ConsoleDimensions

from utils.output_stream import OutputStream

__all__ = ["rich_console"]

_NARROWEST = 20
_ROWS = 24


def rich_console(output: OutputStream, *, width: int, colour: bool) -> RichConsole:
    """A rich console that writes through output; nothing in the text is taken for markup.

    It is as wide as the terminal is at each look; width is for an output without a size of its own.
    """
    return _Screen(
        output,
        width,
        force_terminal=True,
        color_system="standard" if colour else None,
        no_color=not colour,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )


class _Screen(RichConsole):
    """A rich console whose size is that of the stream behind it, not that of the process's own streams."""

    def __init__(self, output: OutputStream, width: int, **options: object) -> None:
        self._output = output
        self._usual = ConsoleDimensions(width, _ROWS)
        super().__init__(file=cast(TextIO, _Outlet(output)), **options)  # type: ignore[arg-type]  # handed on

    @property  # type: ignore[misc]  # nobody sets it: a window has the size it has
    def size(self) -> ConsoleDimensions:
        stream = self._output.stream
        try:
            columns, rows = os.get_terminal_size(stream.fileno()) if stream is not None else (0, 0)
        except (OSError, ValueError):  # no terminal, or closed
            return self._usual
        return ConsoleDimensions(max(columns, _NARROWEST), rows) if columns and rows else self._usual


class _Outlet(io.TextIOBase):
    """A file for rich. Its control sequences are our own, so they pass."""

    def __init__(self, output: OutputStream) -> None:
        self._output = output

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute in the stubs
        return self._output.encoding

    def write(self, text: str) -> int:
        self._output.write_raw(self._output.encodable(text))
        return len(text)

    def flush(self) -> None:
        """Every write is flushed already."""

"""rich on our output stream."""

from __future__ import annotations

import io
from typing import TextIO, cast

from rich.console import Console as RichConsole

from utils.output_stream import OutputStream

__all__ = ["rich_console"]


def rich_console(output: OutputStream, *, width: int, colour: bool) -> RichConsole:
    """A rich console that writes through output; nothing in the text is taken for markup."""
    return RichConsole(
        file=cast(TextIO, _Outlet(output)),
        force_terminal=True,
        color_system="standard" if colour else None,
        no_color=not colour,
        width=width,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )


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

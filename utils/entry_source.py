"""Where a console's entries come from: a terminal that can be drawn on, one that cannot, or a pipe."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from core.outcome import Missing
from utils.line_input import Entry, EntryReader, PipeReader
from utils.neutralise import neutralise
from utils.output_stream import OutputClosed, OutputStream, is_terminal
from utils.screen_traits import ScreenTraits

__all__ = ["EntrySource"]


class EntrySource:
    """Reads entries with whichever reader fits the streams at the first question. For the main thread.

    stdin None: the process's own, looked up at each use. history_path as in Console. note is told of what a reader
    has to say beside its entries.
    """

    def __init__(
        self,
        stdin: TextIO | None,
        out: OutputStream,
        err: OutputStream,
        traits: ScreenTraits,
        *,
        history_path: Path | Missing | None,
        note: Callable[[str], object],
    ) -> None:
        self._given = stdin
        self._out = out
        self._err = err
        self._traits = traits
        self._history_path = history_path
        self._note = note
        self._reader: EntryReader | None = None

    @property
    def stdin(self) -> TextIO | None:
        return self._given or sys.stdin

    @property
    def keyboard_fd(self) -> int | None:
        """The terminal that keys come from; None where there is none that can be controlled."""
        stream = self.stdin
        return stream.fileno() if stream is not None and is_terminal(stream) and os.name == "posix" else None

    @property
    def used(self) -> bool:
        """True once a reader has been made."""
        return self._reader is not None

    @property
    def reader(self) -> EntryReader:
        """The reader, made at the first look."""
        if self._reader is None:
            self._reader = self._make_reader()
        return self._reader

    @property
    def draws_prompts(self) -> bool:
        """True where prompts are drawn, edited and drawn again."""
        return self.keyboard_fd is not None and self._traits.draws and not isinstance(self._reader, PipeReader)

    def read(self, prompt: str, *, queries: bool = False) -> Entry:
        """One entry; queries: of a query set, kept in the history. Raises EOFError and KeyboardInterrupt."""
        reader = self.reader
        if self.draws_prompts:
            with self._out.guard():
                return reader.read(self._out.encodable(neutralise(prompt, keep_newlines=False)), queries=queries)
        self._out.write(prompt)
        try:
            return reader.read(prompt, queries=queries)
        finally:
            if isinstance(reader, PipeReader):  # no one typed a line end after the prompt
                self._out.write("\n")

    def _make_reader(self) -> EntryReader:
        stdin, stdout = self.stdin, self._out.stream
        if stdin is None or self.keyboard_fd is None:
            return PipeReader(functools.partial(_read_chunk, stdin), note=self._note)
        if self.draws_prompts and stdout is not None:
            from utils.terminal_prompt import TerminalPrompt

            return TerminalPrompt(
                stdin, stdout, size=self._traits.size, history_path=self._find_history_path(), note=self._note
            )
        from utils.plain_terminal import PlainTerminal

        return PlainTerminal(stdin, echo=self._echo, note=self._note)

    def _find_history_path(self) -> Path | None:
        if not isinstance(self._history_path, Missing):
            return self._history_path
        from utils.prompt_history import default_history_path

        return default_history_path()

    def _echo(self, text: str) -> None:
        """Show typed keys on whichever of our streams is the person's screen."""
        for output in (self._out, self._err):
            if output.is_terminal:
                with contextlib.suppress(OutputClosed):
                    output.write_raw(output.encodable(text))
                return


def _read_chunk(stream: Any) -> bytes:
    """The next bytes of an input that is no terminal; b"" at its end, also where there is no input at all."""
    if stream is None:
        return b""
    try:
        if hasattr(stream, "buffer"):
            data: bytes = stream.buffer.read1(64 * 1024)
            return data
        text: str = stream.readline()
        return text.encode("utf-8", "surrogateescape")
    except (OSError, ValueError):  # a closed or broken input has no more to give
        return b""

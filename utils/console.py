"""The only place that writes to the screen and reads from the keyboard."""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TextIO, cast

from core.language import tr_n
from core.outcome import MISSING, Missing
from utils.entry_source import EntrySource
from utils.line_input import Entry, Pasted, PipeReader, QuerySet, collect_queries
from utils.neutralise import json_line, neutralise
from utils.output_stream import OutputClosed, OutputStream, is_terminal
from utils.screen_traits import ScreenTraits

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from utils.query_desk import QueryDesk
    from utils.terminal_prompt import TerminalPrompt

__all__ = ["MOST_QUERIES", "Console", "OutputClosed", "write_line"]

MOST_QUERIES: Final = 100_000
_YES: Final = frozenset({"y", "yes", "是", "好"})
_MODES_OFF: Final = "\x1b[?2004l\x1b[?25h"


class Console:
    """One person's screen and keyboard, or the pipes in their place.

    Everything written is neutralised, and falls back to plain symbols where the output's encoding lacks ours.
    Writing is thread-safe and raises OutputClosed once nobody reads; asking is for the main thread. On a terminal,
    use it as a context manager around the whole program: what is typed while nobody asks is then kept, unechoed,
    for the next question, and the terminal is given back as it was. Streams left out are the process's own, looked
    up at each use. history_path None keeps no history; left out, it is in the person's own state folder.
    """

    def __init__(
        self,
        *,
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
        history_path: Path | Missing | None = MISSING,
        plain: bool = False,
        colour: bool | None = None,
    ) -> None:
        self._out = OutputStream(lambda: stdout or sys.stdout, plain=plain)
        self._err = OutputStream(lambda: stderr or sys.stderr, plain=plain)
        self._environ = environ
        self._traits = ScreenTraits(self._out, lambda: self._variables, plain=plain, colour=colour)
        self._entries = EntrySource(
            stdin, self._out, self._err, self._traits, history_path=history_path, note=self.note
        )
        self._keyboard = contextlib.ExitStack()
        self._show: Callable[[str], object] | None = None

    def __enter__(self) -> Self:
        fd = self.keyboard_fd
        if fd is not None:
            from utils.plain_terminal import raw_keyboard

            self._keyboard.enter_context(raw_keyboard(fd, signals=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keyboard.close()
        if self.draws and self._entries.used:
            # A signal may have cut a prompt short before it took back its modes: pastes marked, the cursor hidden.
            with contextlib.suppress(OutputClosed):
                self._out.write_raw(_MODES_OFF)

    @property
    def is_terminal(self) -> bool:
        """True where a person sees what is written as it is written."""
        return self._out.is_terminal

    @property
    def is_interactive(self) -> bool:
        """True where a person can be asked."""
        return is_terminal(self._entries.stdin)

    @property
    def draws(self) -> bool:
        """True where parts of the screen can be drawn again: on a terminal that is not a dumb one, nor plain."""
        return self._traits.draws

    @property
    def is_plain(self) -> bool:
        """True where the screen is one for a screen reader."""
        return self._traits.plain

    @property
    def is_unicode(self) -> bool:
        """True where every symbol can be written; other outputs lack some, or draw them wider than we count."""
        return self._out.is_unicode

    @property
    def has_colour(self) -> bool:
        return self._traits.has_colour

    @property
    def width(self) -> int:
        """Columns of the screen, at least 20; 80 where there is none."""
        return self._traits.width

    def encoding_safe(self, text: str) -> str:
        """The text in characters that the output's encoding has."""
        return self._out.encodable(text)

    def fitted(self, text: str) -> str:
        """The text neutralised and encodable; for a terminal, also wrapped at its width (see wrap_line)."""
        text = self._out.encodable(neutralise(text))
        columns = self.width
        # No character takes more than two columns: short lines need no measuring, nor what measures them.
        if not self.is_terminal or all(len(line) * 2 <= columns for line in text.split("\n")):
            return text
        from utils.text_width import wrap_line

        return "\n".join([piece for line in text.split("\n") for piece in wrap_line(line, columns)])

    def write_line(self, text: str = "") -> None:
        """Write text, which may have several lines, and end the line; on a terminal long lines go on indented."""
        show = self._show  # looked at once: another thread may end lines_go_to() meanwhile
        if show is not None:
            show(text)
        else:
            self._out.write(self.fitted(text) + "\n")

    def write_block(self, text: str) -> None:
        """Write text that may already end its last line."""
        self.write_line(text.removesuffix("\n"))

    def write_data(self, value: object) -> None:
        """Write a value as one line of JSON for another program: never wrapped, in ASCII where the output needs it."""
        text = json_line(value)
        if self._out.encodable(text) != text:
            text = json_line(value, ascii_only=True)
        self._out.write(text + "\n")

    def note(self, text: str) -> None:
        """Tell the person something beside the result: on stderr, so that a piped result stays clean.

        Never raises: where stderr is closed the note is lost.
        """
        show = self._show
        if show is not None and self._err.is_terminal:
            show(text)
            return
        with contextlib.suppress(OutputClosed):
            self._err.write(text + "\n")

    @contextlib.contextmanager
    def lines_go_to(self, show: Callable[[str], object]) -> Iterator[None]:
        """While part of the screen is drawn again and again: lines and notes go to who draws it, not into the middle.

        show is called by whoever writes, in any thread. Where nothing can be drawn again it changes nothing.
        """
        self._show = show if self.draws else None
        try:
            yield
        finally:
            self._show = None

    def prepare(self) -> None:
        """Load what asking needs, so that the first prompt comes at once."""
        _ = self._entries.reader

    def ask(self, prompt: str) -> str:
        """One line. A paste of several is refused with a sentence, and the question asked again.

        Raises EOFError at the end of the input (Ctrl-D) and KeyboardInterrupt at Ctrl-C.
        """
        while isinstance(entry := self.ask_choice(prompt), Pasted):
            self.write_line(tr_n("⚠️ 這裡只要一行, 貼上的 {count:,} 行沒有採用", len(entry.queries)))
        return entry.text

    def ask_plain(self, prompt: str) -> str:
        """As ask(), with full-width digits and letters made plain, as input methods produce them, and trimmed."""
        return unicodedata.normalize("NFKC", self.ask(prompt)).strip()

    def agrees(self, question: str) -> bool:
        """Ask for a yes; anything else is a no."""
        return self.ask_plain(f"{question} (y/N): ").lower() in _YES

    def ask_choice(self, prompt: str) -> Entry:
        """One line (Typed), or the lines of a paste (Pasted), which the caller must not take for commands.

        Raises EOFError at the end of the input (Ctrl-D) and KeyboardInterrupt at Ctrl-C.
        """
        return self._entries.read(prompt)

    def ask_lines(self, prompt: str, *, most: int = MOST_QUERIES) -> QuerySet:
        """A set of questions, one a line, ended by a typed empty line, Ctrl-D or the end of the input.

        Blank lines inside a paste end nothing. More than most are counted but not kept; from a pipe they are not
        even read, and the input counts as ended. Raises KeyboardInterrupt at Ctrl-C: what was typed on a terminal
        is then in the history.
        """
        self.write_line(prompt)
        reader = self._entries.reader
        abandon = reader.abandon if isinstance(reader, PipeReader) else None
        found = collect_queries(self._read_query, most=most, abandon=abandon)
        if found.left_out is None:
            self.note(tr_n("一次最多 {count:,} 個問題, 其餘的輸入沒有讀取", most))
        elif found.left_out:
            self.note(tr_n("一次最多 {most:,} 個問題, 後面的 {count:,} 個沒有採用", found.left_out, most=most))
        return found

    def ask_query(self, number: int) -> Entry:
        """One entry of a query set; number is that of the question asked for.

        Raises EOFError at the end of the input (Ctrl-D) and KeyboardInterrupt at Ctrl-C, after which what was typed
        is in the history.
        """
        return self._entries.read(f"{number:,}> ", queries=True)

    def tell_received(self, count: int) -> None:
        """Say how many questions a paste brought, and what to do next."""
        self.write_line(tr_n("已收到 {count:,} 個問題; 再按一次 Enter 開始, 或繼續輸入", count))

    def query_desk(self) -> QueryDesk | None:
        """Where a query set can be edited; None where the screen cannot be drawn on, or nobody can be asked."""
        keyboard_fd = self.keyboard_fd
        if keyboard_fd is None or not self._entries.draws_prompts:
            return None
        from utils.query_desk import QueryDesk

        return QueryDesk(
            cast("TerminalPrompt", self._entries.reader),
            self._out,
            self._variables,
            keyboard_fd=keyboard_fd,
            colour=self.has_colour,
        )

    def discard_typed(self) -> None:
        """Forget what was typed while nobody asked: after a run, so that nothing of it becomes a menu choice."""
        fd = self.keyboard_fd
        if fd is not None:
            import termios

            with contextlib.suppress(termios.error):  # the terminal may have gone
                termios.tcflush(fd, termios.TCIFLUSH)

    def rich(self) -> RichConsole:
        """The screen as rich draws on it. Whatever goes there must be neutralised and encoding_safe already.

        Raises OutputClosed from within rich's own calls.
        """
        from utils.rich_screen import rich_console

        return rich_console(self._out, width=self.width, colour=self.has_colour)

    @property
    def keyboard_fd(self) -> int | None:
        """The terminal that keys come from; None where there is none that can be controlled."""
        return self._entries.keyboard_fd

    @property
    def _variables(self) -> Mapping[str, str]:
        return os.environ if self._environ is None else self._environ

    def _read_query(self, number: int) -> Entry:
        entry = self.ask_query(number)
        if isinstance(entry, Pasted) and not entry.last:
            self.tell_received(len(entry.queries))
        return entry



_default: Final = Console()


def write_line(text: str = "") -> None:
    """Write a line to the process's own screen."""
    _default.write_line(text)

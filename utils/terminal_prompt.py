"""Prompts on a terminal, by prompt_toolkit: editing, history, pastes that stay pastes.

Importing this module imports prompt_toolkit (0.1 s), so only whoever is about to prompt does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from prompt_toolkit import PromptSession
from prompt_toolkit.data_structures import Size
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.input.vt100 import Vt100Input
from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent
from prompt_toolkit.keys import Keys as KeyNames
from prompt_toolkit.output.vt100 import Vt100_Output

from utils.key_bursts import BurstReader, Keys, Token
from utils.line_input import Entry, entry_of
from utils.paste_shelf import PasteShelf
from utils.prompt_display import ShowSafely
from utils.prompt_history import HistoryFile
from utils.text_decoding import typed_bytes_note
from utils.text_width import cell_width, wrap_line

if TYPE_CHECKING:
    from utils.query_box import QueryBox

__all__ = ["TerminalPrompt", "folded"]

_ROOM: Final = 2  # the columns of one character
_BREAK: Final = re.compile(r"(?<=\S\S )")  # not between a key and what it does


class TerminalPrompt:
    """An EntryReader on a terminal. For the main thread.

    The whole text of an entry may be edited, over several lines where it was pasted so; Enter hands it in. Nothing
    pasted presses Enter. After Ctrl-C in a query set the text is in the history, one arrow key away. note is told
    once what is wrong with the history file, and of bytes that were no text.
    """

    def __init__(
        self,
        stdin: TextIO,
        stdout: TextIO,
        *,
        size: Callable[[], tuple[int, int]],
        history_path: Path | None = None,
        note: Callable[[str], object],
    ) -> None:
        self._note = note
        self._history = history = None if history_path is None else HistoryFile(history_path)
        self._shelf = PasteShelf()
        self._begins_pasted = False
        self._input = _BurstInput(stdin)
        self._output = Vt100_Output(stdout, lambda: _size(*size()), enable_bell=False, enable_cpr=False)
        self._menu = self._session(InMemoryHistory(), queries=False)
        self._queries = self._session(_ShelvedHistory(history, self._shelf), queries=True)

    def read(self, prompt: str, *, queries: bool = False) -> Entry:
        session = self._queries if queries else self._menu
        replaced = self._input.reader.replaced
        self._begins_pasted = False
        try:
            text = session.prompt(lambda: [("", folded(prompt, self._output.get_size().columns))])
        finally:
            if self._history is not None and self._history.problem:
                self._note(self._history.problem)
                self._history = None
        if self._input.reader.replaced > replaced:
            self._note(typed_bytes_note(self._input.reader.replaced - replaced))
        last = isinstance(text, _LastText)
        return entry_of(self._shelf.expand(text), last=last, pasted=self._begins_pasted)

    def remember(self, text: str) -> None:
        """Keep a text in the history, one arrow key away at the next question."""
        self._queries.history.append_string(self._shelf.collapse(text))

    def box(self, status: Callable[[str], str], *, colour: bool) -> QueryBox:
        """An editor on this terminal; status: see QueryBox."""
        from utils.query_box import QueryBox  # only once somebody edits

        return QueryBox(keys=self._input, screen=self._output, status=status, colour=colour)

    def _session(self, history: History, *, queries: bool) -> PromptSession[str]:
        return PromptSession(
            multiline=True,
            history=history,
            input=self._input,
            output=self._output,
            key_bindings=self._bindings(queries=queries),
            input_processors=[ShowSafely(self._shelf.label)],
            reserve_space_for_menu=0,
            complete_while_typing=False,
            include_default_pygments_style=False,
        )

    def _bindings(self, *, queries: bool) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("enter")
        @bindings.add("c-j")
        def _hand_in(event: KeyPressEvent) -> None:
            event.current_buffer.validate_and_handle()

        @bindings.add(KeyNames.BracketedPaste)
        def _paste(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            self._begins_pasted = self._begins_pasted or not buffer.document.text_before_cursor.strip()
            buffer.insert_text(self._shelf.collapse(event.data.removesuffix("\n")))

        if queries:

            @bindings.add("c-d")
            def _hand_in_last(event: KeyPressEvent) -> None:
                if not event.current_buffer.text:
                    event.app.exit(exception=EOFError())
                    return
                event.current_buffer.append_to_history()
                event.app.exit(result=_LastText(event.current_buffer.text))

            @bindings.add("c-c")
            def _cancel(event: KeyPressEvent) -> None:
                event.current_buffer.append_to_history()
                event.app.exit(exception=KeyboardInterrupt())

        return bindings


def folded(prompt: str, columns: int) -> str:
    """The prompt, on several lines where it would leave no room to type: prompt_toolkit shows none that is too wide."""
    room = columns - _ROOM
    if cell_width(prompt) <= room:
        return prompt
    lines = [""]
    for word in filter(None, _BREAK.split(prompt)):
        if lines[-1] and cell_width(lines[-1] + word) > room:
            lines.append("")
        lines[-1] += word
    return "\n".join([piece for line in lines for piece in wrap_line(line, room)])


class _LastText(str):
    """A text handed in with Ctrl-D."""

    __slots__ = ()


def _size(columns: int, rows: int) -> Size:
    return Size(rows=max(rows, 3), columns=max(columns, 10))


class _BurstInput(Vt100Input):
    """A terminal that hands over pastes whole, marked or not."""

    def __init__(self, stdin: TextIO) -> None:
        super().__init__(stdin)
        self.reader = BurstReader(stdin.fileno(), encoding=stdin.encoding)

    def read_keys(self) -> list[KeyPress]:
        return self._presses(self.reader.read())

    def flush_keys(self) -> list[KeyPress]:
        return self._presses(self.reader.flush()) + super().flush_keys()

    @property
    def closed(self) -> bool:
        return self.reader.closed

    def _presses(self, tokens: Iterable[Token]) -> list[KeyPress]:
        for token in tokens:
            if isinstance(token, Keys):
                self.vt100_parser.feed(token.text)
            else:
                self._buffer.append(KeyPress(KeyNames.BracketedPaste, token.text))
        presses, self._buffer = self._buffer, []
        return presses


class _ShelvedHistory(History):
    """The history file for prompt_toolkit: whole texts on disk, stand-ins for the large ones on screen."""

    def __init__(self, file: HistoryFile | None, shelf: PasteShelf) -> None:
        super().__init__()
        self._file = file
        self._shelf = shelf

    def load_history_strings(self) -> Iterable[str]:
        entries = self._file.load() if self._file is not None else []
        return [self._shelf.collapse(entry) for entry in reversed(entries)]

    def store_string(self, string: str) -> None:
        if self._file is not None:
            self._file.append(self._shelf.expand(string))

"""A box to edit a query set in, by prompt_toolkit.

Importing this module imports prompt_toolkit (0.1 s), so only whoever is about to edit does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import Dimension, HSplit, Layout, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.margins import NumberedMargin
from prompt_toolkit.output import ColorDepth, Output

from core.language import tr
from utils.prompt_display import ShowSafely
from utils.query_desk import MOST_CHARACTERS, BoxEnd, BoxResult, fits_box, too_large_text
from utils.text_width import fit, pad

__all__ = ["QueryBox"]

_COUNTED_LIVE: Final = 100_000  # characters up to which the questions are counted again at every key


class QueryBox:
    """A multi-line editor as high as its text, at most as the screen; gone from the screen when it is left.

    Enter begins a new line; Ctrl-D, F2 or Esc Enter finish, Ctrl-C gives up, Ctrl-O asks for an editor outside.
    Nothing else is bound beyond the usual keys of a line editor, none of which an input method needs. status tells of
    the text, in a few words, what the last line shows with the keys. A paste that would not fit is not taken. For
    the main thread.
    """

    def __init__(self, *, keys: Input, screen: Output, status: Callable[[str], str], colour: bool) -> None:
        self._keys = keys
        self._screen = screen
        self._status = status
        self._depth = None if colour else ColorDepth.DEPTH_1_BIT
        self._note = ""
        self._told: tuple[object, str] = (None, "")

    def edit(self, text: str, *, at_end: bool = False, note: str = "") -> BoxResult:
        """Let the person edit the text; note is shown until the first change.

        Raises KeyboardInterrupt for a signal from outside, EOFError where the terminal has gone.
        """
        self._note = note
        buffer = Buffer(multiline=True, document=Document(text, len(text) if at_end else 0))
        buffer.on_text_changed += lambda _: self._forget_note()
        app: Application[BoxEnd] = Application(
            layout=Layout(self._contents(buffer)),
            key_bindings=self._bindings(buffer),
            color_depth=self._depth,
            include_default_pygments_style=False,
            enable_page_navigation_bindings=True,
            mouse_support=False,
            erase_when_done=True,
            input=self._keys,
            output=self._screen,
        )
        try:
            end = app.run()
        except BaseException:  # a signal may have cut it short anywhere: leave nothing of it on the screen
            app.renderer.erase()
            raise
        return BoxResult(end, buffer.text)

    def _contents(self, buffer: Buffer) -> HSplit:
        text = Window(
            BufferControl(buffer, input_processors=[ShowSafely()]),
            left_margins=[NumberedMargin()],
            wrap_lines=True,
            height=Dimension(min=1),
        )
        return HSplit([text, Window(FormattedTextControl(lambda: self._last_line(buffer.text)), height=1)])

    def _last_line(self, text: str) -> StyleAndTextTuples:
        columns = self._screen.get_size().columns
        shown = self._note or f"{self._counted(text)} · {tr('Ctrl-D 完成 · Ctrl-C 放棄修改 · Ctrl-O 外部編輯器')}"
        return [("reverse", pad(fit(f" {shown}", columns), columns))]

    def _counted(self, text: str) -> str:
        # Counting the questions of a large text takes longer than a key may: then only a change of its lines counts.
        version: object = text if len(text) <= _COUNTED_LIVE else text.count("\n")
        if self._told[0] != version:
            self._told = version, self._status(text)
        return self._told[1]

    def _forget_note(self) -> None:
        self._note = ""

    def _bindings(self, buffer: Buffer) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("enter")
        @bindings.add("c-j")
        def _new_line(event: KeyPressEvent) -> None:
            buffer.newline(copy_margin=False)

        @bindings.add("c-d")
        @bindings.add("f2")
        @bindings.add("escape", "enter")
        def _finish(event: KeyPressEvent) -> None:
            event.app.exit(result=BoxEnd.FINISHED)

        @bindings.add("c-c")
        def _give_up(event: KeyPressEvent) -> None:
            event.app.exit(result=BoxEnd.GIVEN_UP)

        @bindings.add("c-o")
        def _go_outside(event: KeyPressEvent) -> None:
            event.app.exit(result=BoxEnd.OUTSIDE)

        @bindings.add("<sigint>")
        def _interrupt(event: KeyPressEvent) -> None:
            event.app.exit(exception=KeyboardInterrupt())

        @bindings.add(Keys.BracketedPaste)
        def _paste(event: KeyPressEvent) -> None:
            if len(buffer.text) + len(event.data) <= MOST_CHARACTERS and fits_box(event.data):
                buffer.insert_text(event.data)
            else:
                self._note = too_large_text()

        return bindings

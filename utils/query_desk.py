"""QueryDesk: where a query set is edited, in the box on the screen or in the person's own editor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from core.errors import UsageError
from core.language import tr
from utils.external_editor import KeptInFileError, edit_outside
from utils.output_stream import OutputStream
from utils.plain_terminal import cooked_keyboard

if TYPE_CHECKING:
    from utils.terminal_prompt import TerminalPrompt

__all__ = [
    "MOST_CHARACTERS", "MOST_IN_A_LINE", "BoxEnd", "BoxResult", "QueryDesk", "fits_box", "too_large_text",
]  # fmt: skip

MOST_CHARACTERS: Final = 1_000_000
MOST_IN_A_LINE: Final = 20_000


class BoxEnd(Enum):
    """What the person left the box for."""

    FINISHED = "finished"
    GIVEN_UP = "given up"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class BoxResult:
    """How the box was left, and the text in it; of one that was given up, as it was when that was pressed."""

    end: BoxEnd
    text: str


def fits_box(text: str) -> bool:
    """Whether the box stays responsive with this text in it."""
    return len(text) <= MOST_CHARACTERS and all(len(line) <= MOST_IN_A_LINE for line in text.split("\n"))


def too_large_text() -> str:
    """What to tell a person whose text is too much for the box."""
    return tr("文字太大, 這裡無法編輯; 請存成檔案修改, 再用 /load 讀入")


class QueryDesk:
    """Edits text on a terminal that can draw, and keeps it within reach of the arrow keys. For the main thread.

    Raises KeyboardInterrupt for a signal from outside, EOFError where the terminal has gone.
    """

    def __init__(
        self,
        prompt: TerminalPrompt,
        out: OutputStream,
        environ: Mapping[str, str],
        *,
        keyboard_fd: int,
        colour: bool,
    ) -> None:
        self._prompt = prompt
        self._out = out
        self._environ = environ
        self._keyboard_fd = keyboard_fd
        self._colour = colour

    def edit(self, text: str, status: Callable[[str], str], *, at_end: bool = False) -> str | None:
        """The text as edited in the box; None where the person gave up. status: a few words on the text.

        Raises UsageError where the text is too large to be edited here.
        """
        if not fits_box(text):
            raise UsageError(too_large_text())
        box = self._prompt.box(lambda shown: self._out.encodable(status(shown)), colour=self._colour)
        note = ""
        while True:
            with self._out.guard():
                result = box.edit(text, at_end=at_end, note=note)
            if result.end is BoxEnd.FINISHED:
                return result.text
            if result.end is BoxEnd.GIVEN_UP:
                return None
            text, note = result.text, ""
            try:
                text = self._edit_outside(text, fits_box)
            except UsageError as error:
                note = error.reason
                if isinstance(error, KeptInFileError):  # the box may cut it, and takes it away at the next key
                    self._out.write(f"⚠️ {note}\n")

    def edit_outside(self, text: str) -> str:
        """The text as edited with the person's own editor. Raises UsageError, in one sentence, where that fails."""
        return self._edit_outside(text, lambda edited: True)

    def remember(self, text: str) -> None:
        """Keep the text in the history of questions."""
        self._prompt.remember(text)

    def _edit_outside(self, text: str, fits: Callable[[str], bool]) -> str:
        with cooked_keyboard(self._keyboard_fd):
            return edit_outside(text, self._environ, fits=fits)

"""Shows text that is not ours on the console, framed, a screenful at a time."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from core.language import marked, tr
from utils.answer_lines import Line, Lines, plain
from utils.console import Console
from utils.neutralise import neutralise
from utils.text_width import cell_width

__all__ = ["FRAME", "HELP", "Pager", "Pages"]

FRAME: Final = "│ "
HELP: Final = marked(
    "  Enter 下一頁, 在最後一頁則返回\n"
    "  b 上一頁, g 跳到某一行 (也可直接輸入行號)\n"
    "  m 切換原文與 Markdown 排版, s 把原文另存成檔案\n"
    "  q 返回"
)
_NEXT: Final = marked(
    "第 {first:,}-{last:,} 行, 共 {total:,} 行 (Enter 下一頁, b 上一頁, g 跳行, s 另存, q 返回): "
)
_MORE: Final = marked("第 {first:,}-{last:,} 行, 後面還有 (Enter 下一頁, b 上一頁, g 跳行, s 另存, q 返回): ")
_LAST: Final = marked("第 {first:,}-{last:,} 行, 共 {total:,} 行 (Enter 返回, b 上一頁, g 跳行, s 另存): ")
_SHORT: Final = marked("第 {first:,}-{last:,} 行, 共 {total:,} 行 (? 說明): ")
_SHORT_MORE: Final = marked("第 {first:,}-{last:,} 行, 後面還有 (? 說明): ")
_BESIDE: Final = 4  # rows that heading, prompt and a wrapped line of ours may take
_FEWEST: Final = 4
_STEP: Final = 500  # lines at once where nobody is asked
_MOST_DIGITS: Final = 12
_TYPED: Final = 6  # columns beside the prompt for what is typed


class Pages(Protocol):
    """What a Pager shows."""

    def lines(self, columns: int) -> Lines:
        """The text in lines of at most that many columns, without a frame."""

    def turn(self) -> None:
        """Show it the other way from now on: as it is, or as Markdown."""

    def save(self) -> None:
        """Ask for a file's name and write the original text there."""


class Pager:
    """Writes lines framed, so that none can pass for one of ours; a person at a terminal is asked after each page.

    For the main thread. No control sequence but our own styles goes out, and these only where the console has
    colours. rows gives the screen's height; left out, it is the terminal's. Raises what asking raises.
    """

    def __init__(self, console: Console, *, rows: Callable[[], int] | None = None) -> None:
        self._console = console
        self._rows = rows or (lambda: console.rich().height)
        self._frame = console.encoding_safe(FRAME)

    @property
    def columns(self) -> int:
        """Columns that are left beside the frame."""
        return self._console.width - cell_width(self._frame)

    @property
    def asks(self) -> bool:
        """Whether a long text is shown in pages: where a person both reads and can be asked."""
        return self._console.is_interactive and self._console.is_terminal

    def show(self, pages: Pages) -> None:
        """Show the text from its beginning, until its end or until the person has seen enough."""
        if self.asks:
            _Visit(self, self._console, pages, lambda: max(self._rows() - _BESIDE, _FEWEST)).run()
            return
        lines, start = pages.lines(self.columns), 0
        while some := lines.take(start, _STEP):
            self.write(some)
            start += len(some)

    def write(self, lines: Iterable[Line]) -> None:
        """Write the lines, each after the frame."""
        rows = [_trimmed([(self._frame, ""), *_harmless(line)]) for line in lines]
        if not rows:
            return
        if self._console.has_colour and any(style for row in rows for _, style in row):
            self._write_styled(rows)
        else:
            self._console.write_line("\n".join(map(plain, rows)))

    def _write_styled(self, rows: Sequence[Line]) -> None:
        from rich.text import Text

        text = Text("\n").join([Text.assemble(*row) for row in rows])
        self._console.rich().print(text, soft_wrap=True)


class _Visit:
    """One text, one person: where the top of the screen is."""

    def __init__(self, pager: Pager, console: Console, pages: Pages, size: Callable[[], int]) -> None:
        self._pager = pager
        self._console = console
        self._pages = pages
        self._size = size
        self._top: int | None = 0  # None: enough seen
        self._lay_out()

    def run(self) -> None:
        while self._top is not None:
            self._follow_resize()
            size = self._size()
            shown = self._lines.take(self._top, size)
            self._pager.write(shown)
            total = self._lines.total
            if total is not None and total <= size:
                return
            last = self._top + len(shown)
            while self._asks_again(self._top, last, size):
                pass

    def _lay_out(self) -> None:
        self._columns = self._pager.columns
        self._lines = self._pages.lines(self._columns)

    def _follow_resize(self) -> None:
        before = self._columns
        if before != self._pager.columns and self._top is not None:
            self._lay_out()
            self._top = self._top * before // self._columns
            self._go_to(self._top)

    def _asks_again(self, top: int, last: int, size: int) -> bool:
        """Ask once; True where nothing new is to be shown and the question comes again."""
        total = self._lines.total
        ended = total is not None and last >= total
        answer = unicodedata.normalize("NFKC", self._console.ask(self._prompt(top + 1, last))).strip().lower()
        match answer:
            case "q":
                self._top = None
            case "":
                self._top = None if ended else last
            case "b" if top:
                self._top = max(top - size, 0)
            case "m":
                self._pages.turn()
                self._lay_out()
                self._top = 0
            case "s":
                self._pages.save()
                return True
            case _:
                return not self._went(answer)
        return False

    def _went(self, answer: str) -> bool:
        """Go to the line that the answer names, or say what can be answered."""
        number = answer.removeprefix("g").strip()
        if answer == "g":
            number = self._console.ask_plain(tr("跳到第幾行: "))
        if number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS:
            self._go_to(max(int(number) - 1, 0))
            return True
        self._console.write_line(tr("已經是第一頁") if answer == "b" else tr(HELP))
        return False

    def _go_to(self, line: int) -> None:
        """Put that line on top, or the last page where there is none such."""
        if not self._lines.take(line, 1):
            line = max((self._lines.total or 0) - self._size(), 0)
        self._top = line

    def _prompt(self, first: int, last: int) -> str:
        total = self._lines.total
        if total is None:
            whole, short = tr(_MORE, first=first, last=last), tr(_SHORT_MORE, first=first, last=last)
        else:
            message = _NEXT if last < total else _LAST
            whole = tr(message, first=first, last=last, total=total)
            short = tr(_SHORT, first=first, last=last, total=total)
        return whole if cell_width(whole) + _TYPED <= self._console.width else short


def _harmless(line: Line) -> Iterator[tuple[str, str]]:
    """The line, whoever laid it out, without anything that could leave it."""
    for text, style in line:
        yield neutralise(text, keep_newlines=False).replace("\t", " "), style


def _trimmed(row: Sequence[tuple[str, str]]) -> Line:
    """The row without spaces at its end; the frame at its beginning is not blank."""
    kept = list(row)
    while not kept[-1][0].strip():
        kept.pop()
    text, style = kept.pop()
    return (*kept, (text.rstrip(), style))

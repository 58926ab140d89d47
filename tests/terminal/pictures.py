"""Pictures of the program for the README: a real run in a pseudo-terminal, its screen drawn as SVG.

`make pictures` (python -m tests.terminal.pictures) draws them all anew into docs/images.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from wcwidth import wcwidth

from tests.terminal.menu import menu
from tests.terminal.session import Session

__all__ = ["as_svg", "draw"]

_FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
_COLUMNS: Final = 88
_CELL: Final = 9.6  # of a 16 px monospaced font
_LINE: Final = 21
_MARGIN: Final = 14
_TOP: Final = 44
_PAPER, _INK = "#181a20", "#dcdfe4"
_COLOURS: Final = {
    "black": "#5c6370", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b", "blue": "#61afef",
    "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#dcdfe4",
}  # fmt: skip
_WORDS: Final = re.compile(r"\S+(?: \S+)*")
_ALL: Final = re.compile(r".*")
_FONTS: Final = "'Noto Sans Mono CJK TC', 'Sarasa Mono TC', Menlo, Consolas, 'Noto Sans CJK TC', monospace"


def as_svg(screen: Any, title: str) -> str:
    """A pyte screen as SVG, down to its last line with anything on it.

    Every character stands where its cell is, whatever the widths of the reader's fonts.
    """
    rows = [[screen.buffer[row][column] for column in range(screen.columns)] for row in range(screen.lines)]
    while len(rows) > 1 and not any(cell.data.strip() for cell in rows[-1]):
        rows.pop()
    width, height = screen.columns * _CELL + 2 * _MARGIN, len(rows) * _LINE + _TOP + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{_PAPER}"/>',
        *(f'<circle cx="{22 + 22 * place}" cy="20" r="6" fill="{fill}"/>'
          for place, fill in enumerate(("#ff5f57", "#febc2e", "#28c840"))),
        f'<text x="{width / 2:g}" y="25" fill="{_INK}" font-family="sans-serif" text-anchor="middle">'
        f"{escape(title)}</text>",
        f'<g font-family="{_FONTS}" font-size="16" xml:space="preserve">',
    ]  # fmt: skip
    for number, row in enumerate(rows):
        lines += _row(row, _TOP + number * _LINE)
    return "\n".join([*lines, "</g>", "</svg>"]) + "\n"


def draw(folder: Path = _FOLDER) -> list[Path]:
    """Draw every picture; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, picture in _pictures():
        path = folder / f"{name}.svg"
        path.write_text(picture, encoding="utf-8")
        files.append(path)
    return files


def _row(cells: list[Any], top: float) -> Iterator[str]:
    column = 0
    for (style, wide), run in groupby(_characters(cells), lambda cell: (_style(cell), wcwidth(cell.data[0]) == 2)):
        data = [cell.data for cell in run]
        columns = len(data) * (2 if wide else 1)
        left = _MARGIN + column * _CELL
        ink, paper, extra = style
        if paper:
            yield f'<rect x="{left:g}" y="{top:g}" width="{columns * _CELL:g}" height="{_LINE}" fill="{paper}"/>'
        for found in _WORDS.finditer("".join(data)) if not wide else [_ALL.match("".join(data))]:
            yield _text(found, left, wide=wide, look=f'y="{top + 16:g}" fill="{ink}"{extra}')
        column += columns


def _text(found: re.Match[str] | None, left: float, *, wide: bool, look: str) -> str:
    """A piece of a row. Blanks at its ends would be lost or stretched, so a narrow piece has none."""
    assert found is not None
    left += found.start() * _CELL
    if wide:
        where = "x=\"" + " ".join(f"{left + 2 * _CELL * place:g}" for place in range(len(found[0]))) + "\""
    else:
        where = f'x="{left:g}" textLength="{len(found[0]) * _CELL:g}" lengthAdjust="spacingAndGlyphs"'
    return f"<text {where} {look}>{escape(found[0])}</text>"


def _characters(cells: list[Any]) -> Iterator[Any]:
    """The cells that something begins in: the second cell of a wide character is empty."""
    return (cell for cell in cells if cell.data)


def _style(cell: Any) -> tuple[str, str, str]:
    """Ink, paper ("" for the screen's own) and what else SVG needs to know."""
    ink, paper = _colour(cell.fg) or _INK, _colour(cell.bg)
    if cell.reverse:
        ink, paper = paper or _PAPER, ink
    extra = ' font-weight="bold"' * cell.bold + ' font-style="italic"' * cell.italics
    return ink, paper, extra + ' text-decoration="underline"' * cell.underscore


def _colour(name: str) -> str:
    """A pyte colour in SVG's words; "" for the default."""
    if name == "default":
        return ""
    return _COLOURS.get(name.removeprefix("bright"), f"#{name}")


def _pictures() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as home:
        for name, play in _PLAYS.items():
            with menu(Path(home), columns=_COLUMNS) as session:
                play(session)
                yield name, as_svg(session.screen, "python main.py")


_PLAYS: Final[dict[str, Callable[[Session], None]]] = {}


if __name__ == "__main__":
    for file in draw():
        print(file.name)  # noqa: T201 - a tool of its own, not the program

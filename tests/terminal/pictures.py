"""Pictures of the program for the README: a real run in a pseudo-terminal, its screen drawn as SVG.

`make pictures` (python -m tests.terminal.pictures) draws them all anew into docs/images.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from wcwidth import wcwidth

from tests.terminal.menu import BROWSE, MENU, menu

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
_ENVIRON: Final = {"OFFLINE_SCALE": "1", "OFFLINE_FAULTS": "blocked@match:密碼, slow=5@match:TTL"}
_QUESTIONS: Final = """\
1. 什麼是快取?
2. 什麼是 TTL?
3. 行程與執行緒有什麼不同?
4. 怎麼猜出別人的密碼?
5. REST 與 gRPC 各適合什麼場合?
6. 什麼是背壓 (back-pressure)?"""
_WORDS: Final = re.compile(r"\S+(?: \S+)*")
_BLOCKS: Final = {chr(0x2580 + eighths): (eighths / 8, 1.0) for eighths in range(1, 9)} | {
    "░": (1.0, 0.25), "▒": (1.0, 0.5), "▓": (1.0, 0.75), "▏": (1.0, 0.5),
}  # fmt: skip
_FONTS: Final = "'Noto Sans Mono CJK TC', 'Sarasa Mono TC', Menlo, Consolas, 'Noto Sans CJK TC', monospace"


def as_svg(screen: Any, title: str, *, above: str = "", below: str = "") -> str:
    """A pyte screen with what has scrolled off it as SVG, down to its last line with anything on it.

    Only from the last line that begins with above on, and up to the line before the one that begins with below.
    Every character stands where its cell is, whatever the widths of the reader's fonts.
    """
    kept = [*screen.history.top, *(screen.buffer[row] for row in range(screen.lines))]
    rows = _between([[line[column] for column in range(screen.columns)] for line in kept], above, below)
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


def _between(rows: list[list[Any]], above: str, below: str) -> list[list[Any]]:
    texts = ["".join(cell.data for cell in row).rstrip() for row in rows]
    first = max((place for place, text in enumerate(texts) if text.startswith(above)), default=0) if above else 0
    last = next((p for p in range(first, len(texts)) if texts[p].startswith(below)), len(rows)) if below else len(rows)
    while last - first > 1 and not texts[last - 1]:
        last -= 1
    return rows[first:last]


def _row(cells: list[Any], top: float) -> Iterator[str]:
    column = 0
    for (style, kind), run in groupby(_characters(cells), lambda cell: (_style(cell), _kind(cell.data))):
        text = [cell.data for cell in run]
        step = 2 if kind == "wide" else 1
        left, columns = _MARGIN + column * _CELL, len(text) * step
        column += columns
        ink, paper, extra = style
        if paper:
            yield _rectangle(left, top, columns * _CELL, _LINE, paper)
        if kind == "block":
            yield from _blocks(text, left, top, ink)
        elif kind == "ascii":
            yield from _words("".join(text), left, f'y="{top + 16:g}" fill="{ink}"{extra}')
        else:
            places = " ".join(f"{left + step * _CELL * place:g}" for place in range(len(text)))
            yield f'<text x="{places}" y="{top + 16:g}" fill="{ink}"{extra}>{escape("".join(text))}</text>'


def _kind(character: str) -> str:
    """How a character is drawn: by a shape, or as text, of which only ASCII is as wide as its cell in every font."""
    if character in _BLOCKS:
        return "block"
    return "wide" if wcwidth(character[0]) == 2 else "ascii" if character.isascii() else "narrow"


def _blocks(text: list[str], left: float, top: float, ink: str) -> Iterator[str]:
    place = left
    for character, run in groupby(text):
        width = len(list(run)) * _CELL
        height, opacity = _BLOCKS[character]
        yield _rectangle(place, top + _LINE * (1 - height), width, _LINE * height, ink, opacity)
        place += width


def _rectangle(x: float, y: float, width: float, height: float, fill: str, opacity: float = 1.0) -> str:
    faint = "" if opacity == 1 else f' fill-opacity="{opacity:g}"'
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}"{faint}/>'


def _words(text: str, left: float, look: str) -> Iterator[str]:
    """Pieces without blanks at their ends, which would be lost or stretched."""
    for found in _WORDS.finditer(text):
        width, x = len(found[0]) * _CELL, left + found.start() * _CELL
        yield (
            f'<text x="{x:g}" textLength="{width:g}" lengthAdjust="spacingAndGlyphs" {look}>{escape(found[0])}</text>'
        )


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
    """One visit: questions pasted and looked at, asked, and the run's figures."""
    with tempfile.TemporaryDirectory() as home, menu(Path(home), columns=_COLUMNS, environ=_ENVIRON) as session:
        session.enter("2")
        session.wait_for_prompt("1>")
        session.paste(_QUESTIONS)
        session.enter()
        session.wait_for_prompt("7>")
        session.enter()
        session.expect_on_screen("Enter 執行")
        yield "preview", as_svg(session.screen, "python main.py", above="請選擇 (1-11)")
        session.enter()
        session.expect("✅ 3 · ")
        yield "run", as_svg(session.screen, "python main.py", above="🚀 開始並行執行")
        session.wait_for_prompt(BROWSE)
        session.enter()
        session.wait_for_prompt(MENU)
        session.enter("4")
        session.expect("💰 用量與費用")
        session.wait_for_prompt(MENU)
        yield "figures", as_svg(session.screen, "python main.py", above="📊 時間軸", below="💰")


if __name__ == "__main__":
    for file in draw():
        print(file.name)  # noqa: T201 - a tool of its own, not the program

"""The inside of a Markdown paragraph → pieces of styled text, and these → lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from core.language import tr
from utils.answer_lines import Line
from utils.text_width import cell_width, graphemes

if TYPE_CHECKING:
    from markdown_it.token import Token

__all__ = ["BREAK", "Span", "chopped", "inline_spans", "span_cells", "wrapped"]

Span: TypeAlias = tuple[str, str]  # text and its style
BREAK: Final[Span] = ("\n", "")
_STYLES: Final = {"strong": "bold", "em": "italic", "s": "strike"}
_CODE_STYLE: Final = "cyan"
_ADDRESS_STYLE: Final = "underline"
_NEVER_FIRST: Final = frozenset(" ,.;:!?)]}>%'\"，。、；：！？）」』】》〉”’…")
_NEVER_LAST: Final = frozenset("([{<（「『【《〈“‘")


def inline_spans(
    tokens: Iterable[Token], *, styled: bool, safe: Callable[[str], str], base: str = ""
) -> Iterator[Span]:
    """What the tokens say. Without styles the marks of emphasis and code stay; addresses are shown in both.

    safe is applied to every text that is not ours: the parser has decoded escapes in it (&#x202e;).
    """
    styles = [base] if base else []
    shown: list[str] = []  # the text of the link that is open
    address = ""
    for token in tokens:
        text = safe(" ".join(token.content.split("\n")))
        style = " ".join(styles)
        name = token.type.rpartition("_")[0]
        if token.type in ("softbreak", "hardbreak"):
            yield BREAK
        elif token.type == "image":
            yield _image_text(text, safe(_address(token, "src"))), style
        elif token.type == "link_open":
            address, shown = safe(_address(token, "href")), []
        elif token.type == "link_close":
            if "".join(shown) not in (address, address.removeprefix("mailto:")):
                yield f" ({address})", " ".join([*styles, _ADDRESS_STYLE])
        elif name in _STYLES:
            if not styled:
                yield token.markup, ""
            elif token.nesting > 0:
                styles.append(_STYLES[name])
            else:
                styles.remove(_STYLES[name])
        else:
            shown.append(text)
            if token.type == "code_inline":
                text, style = (text, _CODE_STYLE) if styled else (f"{token.markup}{text}{token.markup}", "")
            yield text, style


def span_cells(spans: Iterable[Span]) -> int:
    return sum(cell_width(text) for text, _ in spans)


def wrapped(spans: Iterable[Span], columns: int) -> Iterator[Line]:
    """The pieces in lines of at most that many columns, broken at spaces and beside wide characters."""
    line: list[tuple[str, str, int]] = []
    used = 0
    for text, style in spans:
        if text == "\n":
            yield _joined(line)
            line, used = [], 0
            continue
        for piece, cells in graphemes(text):
            if used + cells > columns and line and piece != " ":  # spaces at the edge are cut off in the end
                cut = _break_before(line, (piece, style, cells))
                yield _joined(line[:cut])
                line = line[cut:]
                used = sum(each[2] for each in line)
            line.append((piece, style, cells))
            used += cells
    yield _joined(line)


def chopped(text: str, columns: int, style: str) -> Iterator[Line]:
    """The text in lines of exactly columns, as long as it lasts: code keeps its spaces."""
    pieces: list[str] = []
    used = 0
    for piece, cells in graphemes(text):
        if used + cells > columns and pieces:
            yield (("".join(pieces), style),)
            pieces, used = [], 0
        pieces.append(piece)
        used += cells
    yield (("".join(pieces), style),) if pieces else ()


def _address(token: Token, name: str) -> str:
    title = str(token.attrs.get("title") or "")
    address = str(token.attrs.get(name) or "")
    return " ".join((f'{address} "{title}"' if title else address).split())


def _image_text(alt: str, address: str) -> str:
    return tr("[圖片: {alt}] ({address})", alt=alt, address=address)


def _break_before(line: Sequence[tuple[str, str, int]], following: tuple[str, str, int]) -> int:
    """How many characters of the full line stay on it, at least one."""
    for cut in range(len(line), 0, -1):
        before, after = line[cut - 1], line[cut] if cut < len(line) else following
        beside_wide = before[2] > 1 or after[2] > 1
        if before[0] == " " or (beside_wide and after[0] not in _NEVER_FIRST and before[0] not in _NEVER_LAST):
            return cut
    return len(line)


def _joined(line: Sequence[tuple[str, str, int]]) -> Line:
    """Neighbours of one style as one piece, without spaces at the end."""
    end = len(line)
    while end and line[end - 1][0] == " ":
        end -= 1
    pieces: list[tuple[list[str], str]] = []
    for text, style, _ in line[:end]:
        if pieces and pieces[-1][1] == style:
            pieces[-1][0].append(text)
        else:
            pieces.append(([text], style))
    return tuple(("".join(texts), style) for texts, style in pieces)

"""Markdown → lines for the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from utils.answer_lines import Line
from utils.markdown_inline import BREAK, Span, chopped, inline_spans, wrapped
from utils.markdown_tables import Table, table_lines
from utils.neutralise import neutralise
from utils.text_width import cell_width

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

__all__ = ["MOST_CHARACTERS", "markdown_lines"]

MOST_CHARACTERS: Final = 100_000
_MOST_INLINE: Final = 20_000  # characters of one paragraph; the parser is quadratic in its brackets
_MOST_BRACKETS: Final = 100
_DEEPEST: Final = 40  # levels: what is deeper the parser leaves out
_NARROWEST: Final = 8
_TAB: Final = 4
_QUOTE: Final = "> "
_MARK_STYLE: Final = "dim"
_CODE_STYLE: Final = "cyan"
_HEADING_STYLE: Final = "bold"
_LONGEST_RULE: Final = 40


def markdown_lines(
    text: str, columns: int, *, styled: bool, ascii_only: bool = False, safe: Callable[[str], str] = neutralise
) -> Iterator[Line] | None:
    """The text as Markdown in lines of at most columns, none with a line end; laid out only as they are asked for.

    None: it is too long, too deep for these columns or otherwise not to be had without leaving something out, and
    should be shown as it is. Headings keep their #, quotes their >, code its fences; raw HTML and definitions of
    links are text; a link is its text and its whole address. Without styles emphasis and code keep their marks.
    safe makes every piece harmless and encodable (and is idempotent).
    """
    if len(text) > MOST_CHARACTERS:
        return None
    parser = _parser()
    source = neutralise(text).expandtabs(_TAB)
    tokens = parser.parse(source)
    if not tokens or not _fits(tokens, columns):
        return None
    layout = _Layout(parser, source.split("\n"), columns, styled=styled, ascii_only=ascii_only, safe=safe)
    return layout.lines(tokens)


def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _DEEPEST}).enable(["table", "strikethrough"])
    parser.disable("reference")  # a definition would be taken out of the text
    parser.core.ruler.disable(["inline", "text_join"])  # done for each paragraph as it is shown
    return parser


def _fits(tokens: Sequence[Token], columns: int) -> bool:
    used, widths = 0, []
    for token in tokens:
        if token.level >= _DEEPEST - 1:
            return False
        if token.type in ("blockquote_open", "list_item_open"):
            widths.append(cell_width(_prefix(token, ascii_only=False)))
            used += widths[-1]
            if columns - used < _NARROWEST:
                return False
        elif token.type in ("blockquote_close", "list_item_close"):
            used -= widths.pop()
    return True


def _prefix(token: Token, *, ascii_only: bool) -> str:
    if token.type == "blockquote_open":
        return _QUOTE
    if token.info:
        return f"{token.info}{token.markup} "
    return "- " if ascii_only else "• "


class _Container:
    """A quote or a list item: what its first line and its others begin with."""

    def __init__(self, first: str, others: str) -> None:
        self._first: str | None = first
        self._others = others
        self.columns = cell_width(others)

    @property
    def is_unused(self) -> bool:
        return self._first is not None

    def take(self) -> str:
        first, self._first = self._first, None
        return self._others if first is None else first

    def blank(self) -> str:
        return self._others


class _Layout:
    """Walks the tokens of one text once."""

    def __init__(
        self,
        parser: MarkdownIt,
        source: Sequence[str],
        columns: int,
        *,
        styled: bool,
        ascii_only: bool,
        safe: Callable[[str], str],
    ) -> None:
        self._parser = parser
        self._source = source
        self._columns = columns
        self._styled = styled
        self._ascii_only = ascii_only
        self._safe = safe
        self._containers: list[_Container] = []
        self._lists = 0
        self._wants_blank = False
        self._heading = ""
        self._leaves: dict[str, Callable[[Token], Iterator[Line]]] = {
            "fence": self._fence, "code_block": self._indented, "hr": self._rule, "inline": self._paragraph,
        }  # fmt: skip

    def lines(self, tokens: Sequence[Token]) -> Iterator[Line]:
        place = 0
        while place < len(tokens):
            token = tokens[place]
            if token.type == "table_open":
                end = next(i for i in range(place, len(tokens)) if tokens[i].type == "table_close")
                yield from self._leaf(self._table(tokens[place : end + 1]))
                place = end
                self._wants_blank = True
            elif token.type in self._leaves:
                yield from self._leaf(self._leaves[token.type](token))
                self._wants_blank = token.type != "inline"  # the paragraph's or heading's own end says
            else:
                yield from self._structure(token)
            place += 1

    def _structure(self, token: Token) -> Iterator[Line]:
        """What stands around the leaves."""
        kind = token.type
        if kind in ("blockquote_open", "list_item_open"):
            yield from self._blank()
            first = _prefix(token, ascii_only=self._ascii_only)
            self._containers.append(_Container(first, first if first == _QUOTE else " " * cell_width(first)))
        elif kind in ("blockquote_close", "list_item_close"):
            if self._containers[-1].is_unused:
                yield self._begun(())
            self._containers.pop()
            self._wants_blank |= kind == "blockquote_close"
        elif kind in ("bullet_list_open", "ordered_list_open"):
            self._lists += 1
        elif kind in ("bullet_list_close", "ordered_list_close"):
            self._lists -= 1
            self._wants_blank |= not self._lists
        elif kind == "heading_open":
            self._heading = "#" * int(token.tag[1:])
        elif kind == "heading_close" or (kind == "paragraph_close" and not token.hidden):
            self._heading = ""
            self._wants_blank = True

    def _leaf(self, lines: Iterator[Line]) -> Iterator[Line]:
        yield from self._blank()
        for line in lines:
            yield self._begun(line)

    def _blank(self) -> Iterator[Line]:
        if self._wants_blank:
            self._wants_blank = False
            prefix = "".join(each.blank() for each in self._containers).rstrip()
            yield ((prefix, ""),) if prefix else ()

    def _begun(self, line: Line) -> Line:
        prefix = "".join(each.take() for each in self._containers)
        return ((prefix, ""), *line) if prefix else line

    @property
    def _room(self) -> int:
        return self._columns - sum(each.columns for each in self._containers)

    def _paragraph(self, token: Token) -> Iterator[Line]:
        spans = list(self._spans(token.content, base=_HEADING_STYLE if self._heading and self._styled else ""))
        if self._heading:
            spans.insert(0, (f"{self._heading} ", _HEADING_STYLE))
        return wrapped(spans, self._room)

    def _fence(self, token: Token) -> Iterator[Line]:
        yield from chopped(self._safe(f"{token.markup}{token.info.strip()}"), self._room, _MARK_STYLE)
        yield from self._code(token)
        yield from chopped(token.markup, self._room, _MARK_STYLE)

    def _indented(self, token: Token) -> Iterator[Line]:
        for line in self._code(token):
            yield ((" " * _TAB, ""), *line)

    def _code(self, token: Token) -> Iterator[Line]:
        room = self._room - (_TAB if token.type == "code_block" else 0)
        for line in token.content.removesuffix("\n").split("\n"):
            yield from chopped(self._safe(line), room, _CODE_STYLE)

    def _rule(self, token: Token) -> Iterator[Line]:
        yield ((("-" if self._ascii_only else "─") * min(self._room, _LONGEST_RULE), _MARK_STYLE),)

    def _table(self, tokens: Sequence[Token]) -> Iterator[Line]:
        begin, end = tokens[0].map or (0, 0)
        source = self._source[begin:end]
        table = Table.of(tokens, lambda content, base: list(self._spans(content, base=base)))
        if not table.holds_all_of(source):
            return (line for each in source for line in chopped(self._safe(each), self._room, ""))
        return table_lines(table, self._room, ascii_only=self._ascii_only)

    def _spans(self, content: str, *, base: str) -> Iterator[Span]:
        if len(content) > _MOST_INLINE or content.count("[") > _MOST_BRACKETS:
            for line in content.split("\n"):
                yield self._safe(line), base
                yield BREAK
            return
        children: list[Token] = []
        environment: dict[str, Any] = {}
        self._parser.inline.parse(content, self._parser, environment, children)
        yield from inline_spans(children, styled=self._styled, safe=self._safe, base=base)

"""QueryDraft: a query set on its way from the keyboard to a run, with what the person chose about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from utils.query_text import QueryText, Shape, count_twins, read_queries, without_twins

__all__ = ["Origin", "Piece", "QueryDraft"]

_FEW: Final = 2


class Origin(Enum):
    """How a piece came: lines typed one by one, text to be read for questions, or questions that are known as such."""

    TYPED = "typed"
    TEXT = "text"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a draft. READY pieces have queries, the others text; no line of the text is lost."""

    origin: Origin
    text: str = ""
    queries: tuple[str, ...] = ()

    def read(self, shape: Shape | None, *, keep_marks: bool) -> QueryText:
        if self.origin is Origin.READY:
            return QueryText(self.queries, twins=count_twins(self.queries))
        return read_queries(self.text, shape=shape, keep_marks=keep_marks)


@dataclass(frozen=True, slots=True)
class QueryDraft:
    """What was entered, piece by piece; each piece is read by itself, so that a typed line never joins a paste.

    shape: how the person wants the text read, None: as read_queries sees fit. unique: twins are left out.
    """

    pieces: tuple[Piece, ...] = ()
    shape: Shape | None = None
    keep_marks: bool = False
    unique: bool = False

    def typed(self, line: str) -> QueryDraft:
        """With one more typed line."""
        if self.pieces and self.pieces[-1].origin is Origin.TYPED:
            last = self.pieces[-1]
            return replace(self, pieces=(*self.pieces[:-1], replace(last, text=f"{last.text}\n{line}")))
        return self._with(Piece(Origin.TYPED, line))

    def pasted(self, text: str) -> QueryDraft:
        """With text in which the questions are still to be found."""
        return self._with(Piece(Origin.TEXT, text))

    def ready(self, queries: tuple[str, ...]) -> QueryDraft:
        """With questions that are taken as they are."""
        return self._with(Piece(Origin.READY, queries=queries))

    def edited(self, text: str) -> QueryDraft:
        """With this text in place of everything; the person's choices stay."""
        return replace(self, pieces=(Piece(Origin.TEXT, text),))

    def read(self) -> QueryText:
        """The questions of all pieces, numbers added up; shape is that of the piece with the most questions."""
        parts = [piece.read(self.shape, keep_marks=self.keep_marks) for piece in self.pieces]
        if not parts:
            return QueryText()
        queries = tuple(query for part in parts for query in part.queries)
        if self.unique:
            queries = without_twins(queries)
        largest = max(parts, key=lambda part: len(part.queries))
        return QueryText(
            queries,
            largest.shape,
            numbered=any(part.numbered for part in parts),
            stripped=any(part.stripped for part in parts),
            blank=sum(part.blank for part in parts),
            twins=count_twins(queries),
            shapes=largest.shapes,
        )

    def as_text(self) -> QueryDraft:
        """The draft as one text to edit, which gives the same questions wherever a text can."""
        queries = self.read().queries
        plain = self.edited("\n".join(piece.text.strip("\n") or "\n".join(piece.queries) for piece in self.pieces))
        if plain.read().queries == queries:
            return plain
        lines = replace(self.edited("\n".join(queries)), shape=Shape.LINES, keep_marks=True)
        if lines.read().queries == queries:
            return lines
        return replace(lines.edited("\n\n".join(queries)), shape=Shape.PARAGRAPHS)

    @property
    def text(self) -> str:
        """All text there is; of a draft from as_text(), what to edit."""
        return "\n".join(piece.text for piece in self.pieces)

    def is_plain(self, reading: QueryText) -> bool:
        """True where there is nothing to show: one or two typed questions with nothing odd about them."""
        typed = all(piece.origin is Origin.TYPED for piece in self.pieces)
        return typed and len(reading.queries) <= _FEW and not reading.numbered and not reading.twins

    def _with(self, piece: Piece) -> QueryDraft:
        return replace(self, pieces=(*self.pieces, piece))

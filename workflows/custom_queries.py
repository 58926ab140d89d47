"""CustomQueries: from what a person types, pastes or loads to the questions that are to be asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from core.errors import UsageError
from core.language import tr, tr_n
from utils.console import MOST_QUERIES, Console
from utils.line_input import Pasted, Typed
from utils.query_draft import QueryDraft
from utils.query_preview import QueryFigures, next_shape, preview_prompt, preview_text
from utils.query_text import QueryText
from workflows.query_entry import QueryEntry, QuerySets, edit_draft

if TYPE_CHECKING:
    from utils.query_desk import QueryDesk

__all__ = ["ChosenQueries", "CustomQueries", "Look"]

_RUN: Final = frozenset({"", "y", "yes", "是", "好"})

Look = Callable[[Sequence[str]], QueryFigures]


@dataclass(frozen=True, slots=True)
class ChosenQueries:
    """Questions to ask, at least one. agreed: the person has seen what the run will take, and said yes."""

    queries: tuple[str, ...]
    agreed: bool = False


class CustomQueries:
    """Asks for query sets. For the main thread.

    On a terminal that can draw, a set that is more than one or two plain typed lines is shown before it runs, and can
    be edited then. Everywhere else a set is what Console.ask_lines makes of it. look tells what running questions
    will take; query_sets gives the latest sets of the history. Both may raise ParallelProcessingError, which passes.
    """

    def __init__(self, console: Console, *, look: Look, query_sets: QuerySets = lambda: ()) -> None:
        self._console = console
        self._look = look
        self._query_sets = query_sets

    def enter(self) -> ChosenQueries | None:
        """A set of the person's own; None where there is nothing to ask, which the person then knows.

        Raises KeyboardInterrupt at Ctrl-C: what was entered is in the history then.
        """
        prompt = tr("請輸入多個問題(每行一個,輸入空行結束):")
        desk = self._console.query_desk()
        if desk is None:
            queries = self._console.ask_lines(prompt).queries
            if queries:
                return ChosenQueries(queries)
        else:
            self._console.write_line(prompt)
            self._console.write_line(tr("  (/load 檔案, /edit 編輯框, /history 舊問題, /help 說明)"))
            draft = QueryEntry(self._console, desk, self._query_sets).take()
            if draft.read().queries:
                return self._reviewed(draft, desk)
        self._console.write_line(tr("❌ 沒有輸入查詢"))
        return None

    def pasted(self, lines: Pasted) -> ChosenQueries | None:
        """What was pasted where a choice was asked: questions if the person says so, commands never."""
        count = len(lines.queries)
        desk = self._console.query_desk()
        if desk is None or not count:
            question = tr_n("貼上的是多行文字, 要當成 {count:,} 個問題執行嗎?", count)
            return ChosenQueries(lines.queries) if count and self._console.agrees(question) else None
        self._console.write_line(tr("貼上的是多行文字, 當成問題的話:"))
        return self._reviewed(QueryDraft().pasted("\n".join(lines.lines)), desk)

    def _reviewed(self, draft: QueryDraft, desk: QueryDesk) -> ChosenQueries | None:
        return _Review(self._console, desk, self._look, draft).decide()


class _Review:
    """A draft shown, changed and shown again until the person runs or cancels it."""

    def __init__(self, console: Console, desk: QueryDesk, look: Look, draft: QueryDraft) -> None:
        self._console = console
        self._desk = desk
        self._look = look
        self._draft = draft
        self._entered = draft
        self._actions: dict[str, Callable[[QueryText], bool]] = {
            "e": self._edit, "ed": self._edit_outside, "s": self._reshape, "n": self._mark, "d": self._twins,
        }  # fmt: skip

    def decide(self) -> ChosenQueries | None:
        reading = self._draft.read()
        if self._draft.is_plain(reading):
            return ChosenQueries(reading.queries)
        try:
            queries = self._asked(reading)
        except BaseException:  # Ctrl-C, a lost terminal, an estimate that failed: the text must not be lost
            self._keep()
            raise
        if queries is not None:
            return ChosenQueries(queries, agreed=True)
        self._keep()
        self._console.write_line(tr("已取消; 再選 2, 按 ↑ 可以取回這些問題"))
        return None

    def _asked(self, reading: QueryText) -> tuple[str, ...] | None:
        """The questions to run; None for none."""
        changed = True
        while True:
            if changed:
                if not reading.queries:
                    return None
                self._show(reading)
            choice = self._choice(reading)
            if choice in _RUN:
                return reading.queries[:MOST_QUERIES]
            # Where there is no numbering to keep, an n is the no of someone who was used to (y/N).
            if choice == "q" or (choice == "n" and not reading.numbered):
                return None
            action = self._actions.get(choice)
            changed = action is not None and action(reading)
            if changed:
                reading = self._draft.read()
            elif action is None:
                self._console.write_line(tr("❌ 無效的選擇"))

    def _show(self, reading: QueryText) -> None:
        figures = self._look(reading.queries[:MOST_QUERIES])
        left_out = max(len(reading.queries) - MOST_QUERIES, 0)
        width = self._console.width
        self._console.write_line(
            preview_text(reading, figures, width=width, unique=self._draft.unique, left_out=left_out)
        )

    def _choice(self, reading: QueryText) -> str:
        """What the person typed; a paste is none of the choices, the end of the input is a no."""
        try:
            entry = self._console.ask_choice(preview_prompt(self._draft, reading))
        except EOFError:
            return "q"
        return entry.choice.lower() if isinstance(entry, Typed) and not entry.pasted else "?"

    def _edit(self, reading: QueryText) -> bool:
        edited = edit_draft(self._console, self._desk, self._draft)
        self._draft = edited or self._draft
        return edited is not None

    def _edit_outside(self, reading: QueryText) -> bool:
        before = self._draft.as_text()
        try:
            self._draft = before.edited(self._desk.edit_outside(before.text))
        except UsageError as error:
            self._console.write_line(f"❌ {error.reason}")
            return False
        return True

    def _reshape(self, reading: QueryText) -> bool:
        self._draft = replace(self._draft, shape=next_shape(reading))
        return len(reading.shapes) > 1

    def _mark(self, reading: QueryText) -> bool:
        self._draft = replace(self._draft, keep_marks=not self._draft.keep_marks)
        return reading.numbered

    def _twins(self, reading: QueryText) -> bool:
        self._draft = replace(self._draft, unique=not self._draft.unique and reading.twins > 0)
        return True

    def _keep(self) -> None:
        """Put the whole set within reach of one arrow key, unless it is a single entry that is there already."""
        text = self._draft.as_text().text
        if not text.strip():
            text = self._entered.as_text().text
        if len(self._entered.pieces) > 1 or "\n" in text:
            self._desk.remember(text)

"""QueryEntry: a query set being entered on a terminal that can draw, line by line, with a few commands."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from core.errors import UsageError
from core.language import tr, tr_n
from utils.console import Console
from utils.line_input import Entry, Typed
from utils.query_draft import QueryDraft
from utils.query_file import read_query_file
from utils.query_preview import count_text
from utils.query_text import QueryText, read_queries
from utils.text_width import fit

if TYPE_CHECKING:
    from utils.query_desk import QueryDesk

__all__ = ["QueryEntry", "QuerySets", "edit_draft"]

QuerySets = Callable[[], Sequence[tuple[str, Sequence[str]]]]

_MOST_OFFERED: Final = 20
_COMMANDS: Final = ("/load", "/edit", "/history", "/help")


class QueryEntry:
    """Takes lines, pastes, files and earlier sets until the person ends the entry. For the main thread.

    A command is a whole line that was typed, never pasted, and begins with one of the command words; every other
    line is a question, whatever it begins with. query_sets gives the latest sets, newest first: title and questions.
    """

    def __init__(self, console: Console, desk: QueryDesk, query_sets: QuerySets) -> None:
        self._console = console
        self._desk = desk
        self._query_sets = query_sets
        self._draft = QueryDraft()
        self._count = 0

    def take(self) -> QueryDraft:
        """What was entered until a typed empty line, Ctrl-D, or the end of an edit; perhaps nothing.

        Raises KeyboardInterrupt at Ctrl-C, after which what was typed is in the history.
        """
        while True:
            try:
                entry = self._console.ask_query(self._count + 1)
            except EOFError:
                return self._draft
            if isinstance(entry, Typed) and not entry.text.strip():
                return self._draft
            command = _command(entry)
            if command is None:
                self._add(entry)
            elif self._do(*command):
                return self._draft
            if entry.last:
                return self._draft

    def _add(self, entry: Entry) -> None:
        if isinstance(entry, Typed):
            self._draft = self._draft.typed(entry.text)
            self._count += 1
            return
        text = "\n".join(entry.lines)
        self._draft = self._draft.pasted(text)
        found = self._counted(read_queries(text))
        if not entry.last:
            self._console.tell_received(found)

    def _counted(self, reading: QueryText) -> int:
        self._count += len(reading.queries)
        return len(reading.queries)

    def _do(self, command: str, rest: str) -> bool:
        """Do what the command says; True where the entry is over."""
        if command == "/edit":
            return self._edit()
        if command == "/load":
            self._load(rest)
        elif command == "/history":
            self._recall()
        else:
            self._console.write_line(_help())
        return False

    def _edit(self) -> bool:
        edited = edit_draft(self._console, self._desk, self._draft, at_end=True)
        if edited is None:
            return False
        self._draft = edited
        return True

    def _load(self, name: str) -> None:
        if not name:
            self._console.write_line(tr("請在 /load 後面寫檔案的路徑, 例如 /load 問題.txt"))
            return
        try:
            file = read_query_file(name)
        except UsageError as error:
            self._console.write_line(f"❌ {error.reason}")
            return
        if file.replaced:
            self._console.note(tr_n("檔案中有 {count:,} 個無法解碼的位元組, 已用 � 代替", file.replaced))
        reading = read_queries(file.text)
        if reading.queries:
            self._draft = self._draft.pasted(file.text)
        self._console.write_line(tr("📄 已讀入 {name}: {count}", name=file.name, count=count_text(reading)))
        self._console.tell_received(self._counted(reading))

    def _recall(self) -> None:
        found = list(self._query_sets())[:_MOST_OFFERED]
        if not found:
            self._console.write_line(tr("還沒有過去的問題"))
            return
        for number, (title, queries) in enumerate(found, 1):
            count = tr_n("{count:,} 個問題", len(queries))
            self._console.write_line(fit(f"│ {number}. {title[:500]} ({count})", self._console.width))
        try:
            chosen = _number(self._console.ask_plain(tr("選擇哪一組 (直接按 Enter 返回): ")), len(found))
        except EOFError:  # Ctrl-D means none of them; what was entered before is still there
            return
        if chosen is not None:
            queries = tuple(query.strip() for query in found[chosen - 1][1] if query.strip())
            self._draft = self._draft.ready(queries)
            self._count += len(queries)
            self._console.tell_received(len(queries))


def edit_draft(console: Console, desk: QueryDesk, draft: QueryDraft, *, at_end: bool = False) -> QueryDraft | None:
    """The draft as edited in the box, which is then in the history too; None where it stays as it was."""
    before = draft.as_text()
    try:
        text = desk.edit(before.text, lambda shown: count_text(before.edited(shown).read()), at_end=at_end)
    except UsageError as error:
        console.write_line(f"❌ {error.reason}")
        return None
    if text is None:
        return None
    if text.strip() and text != before.text:
        desk.remember(text)
    return before.edited(text)


def _command(entry: Entry) -> tuple[str, str] | None:
    """The command word and what follows it; None for a question."""
    if not isinstance(entry, Typed) or entry.pasted:
        return None
    word, _, rest = entry.text.strip().partition(" ")
    command = unicodedata.normalize("NFKC", word).lower()
    known = command in _COMMANDS and (command == "/load" or not rest.strip())
    return (command, rest.strip()) if known else None


def _number(text: str, most: int) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= most else None


def _help() -> str:
    return "\n".join([
        tr("每行一個問題, 輸入空行結束; 也可以一次貼上許多行, 有編號也行"),
        tr("  /load 檔案   從文字檔讀入問題"),
        tr("  /edit        開啟編輯框, 一次看到全部的問題"),
        tr("  /history     拿過去的一組問題再用一次"),
        tr("  ↑ ↓          取回以前輸入的問題"),
        tr("  Ctrl-C       放棄這次輸入"),
    ])  # fmt: skip

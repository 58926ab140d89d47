"""Reading a run: whole answers by number, searches, the export, and the questions that are still without an answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from core.clock import SYSTEM_CLOCK
from core.language import marked, tr
from core.outcome import Answer, RunReport
from utils.answer_lines import LazyLines, Lines, RawLines
from utils.console import Console
from utils.interrupts import Interrupts
from utils.neutralise import neutralise
from utils.pager import Pager
from utils.reading_text import failed_text, found_text
from utils.report_text import answer_foot, answer_head, framed
from workflows.export_prompt import offer_export, offer_save, size_text

__all__ = ["PROMPT", "Reading"]

PROMPT: Final = marked("輸入題號看完整回答, r 重問失敗的, e 匯出 (Enter 返回): ")
_HINT: Final = marked("💡 m 切換原文與 Markdown, s 另存這個回答, ? 說明")
_HELP: Final = marked(
    "  題號 看完整回答\n"
    "  m 切換原文與 Markdown 排版, s 把剛才的回答另存成檔案\n"
    "  f 只列出失敗的與原因, r 重問失敗的\n"
    "  /字詞 在問題與回答裡搜尋\n"
    "  e 匯出全部, Enter 返回"
)
_LARGE: Final = 1 << 20  # bytes from which on only the beginning is promised
_COUNTED: Final = 30_000  # characters up to which all lines are laid out at once, to know how many there are
_ALL: Final = 1 << 30
_PART: Final = 1 << 16


class Reading:
    """Shows what the person asks for of one run, until Enter. For the main thread.

    again asks questions anew and shows what came of it; model names who answered, for exports. Answers are shown as
    Markdown where there are colours, and as they are elsewhere, until the person wants it the other way.
    """

    def __init__(
        self,
        console: Console,
        interrupts: Interrupts,
        *,
        again: Callable[[Sequence[str]], object],
        model: str,
        pager: Pager | None = None,
    ) -> None:
        self._console = console
        self._interrupts = interrupts
        self._again = again
        self._model = model
        self._pager = pager or Pager(console)
        self._markdown = console.has_colour
        self._last = 0  # the number of the answer shown last

    def show(self, queries: Sequence[str], report: RunReport[Answer]) -> None:
        while True:
            entered = self._console.ask(tr(PROMPT)).strip()
            self._interrupts.reset()
            if self._done(entered, queries, report):
                return

    def _done(self, entered: str, queries: Sequence[str], report: RunReport[Answer]) -> bool:
        """Do what was entered; True where there is nothing more to ask."""
        text = unicodedata.normalize("NFKC", entered).lower()
        match text:
            case "":
                return True
            case "e":
                self._export(queries, report)
            case "r":
                return self._ask_again(queries, report)
            case "f":
                self._console.write_line(failed_text(queries, report))
            case "m":
                self._turn(queries, report)
            case "s":
                self._save(report)
            case "?":
                self._console.write_line(tr(_HELP))
            case _ if text.startswith("/") and text[1:].strip():
                word = entered[1:].strip()
                self._console.write_line(found_text(word, queries, report, columns=self._console.width))
            case _:
                self._show_answer(text, queries, report)
        return False

    def _ask_again(self, queries: Sequence[str], report: RunReport[Answer]) -> bool:
        failed = [query for query, each in zip(queries, report.outcomes, strict=True) if not each.answered]
        if failed:
            self._again(failed)
        else:
            self._console.write_line(tr("🎉 每個問題都有回答, 沒有需要重問的"))
        return bool(failed)

    def _show_answer(self, text: str, queries: Sequence[str], report: RunReport[Answer]) -> None:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if 1 <= number <= len(queries):
            self._last = number
            self._show_number(number, queries, report)
        else:
            self._console.write_line(tr("❌ 沒有這個題號, 請輸入 1 到 {most:,}", most=len(queries)))

    def _show_number(self, number: int, queries: Sequence[str], report: RunReport[Answer]) -> None:
        outcome = report.outcomes[number - 1]
        answer = outcome.value
        self._console.write_line(answer_head(number, queries[number - 1]))
        if isinstance(answer, Answer):
            self._show_text(answer.text)
        self._console.write_line("\n".join(answer_foot(outcome)))
        if isinstance(answer, Answer) and self._pager.asks:
            self._console.write_line(tr(_HINT))

    def _show_text(self, text: str) -> None:
        if not self._console.is_terminal and not self._markdown:  # a pipe gets whole lines
            for part in _parts(text):
                self._console.write_line(framed(part))
            return
        pages = _AnswerPages(self._console, text, markdown=self._markdown)
        if self._pager.asks and len(text) > _LARGE // 4:
            size = _bytes_of(text)
            if size >= _LARGE:
                self._console.write_line(tr("📄 {size}, 只先顯示開頭; s 另存檔案", size=size_text(size)))
        self._pager.show(pages)
        self._markdown = pages.markdown

    def _turn(self, queries: Sequence[str], report: RunReport[Answer]) -> None:
        self._markdown = not self._markdown
        told = tr("🔀 以 Markdown 排版顯示回答") if self._markdown else tr("🔀 以原文顯示回答")
        self._console.write_line(told)
        if self._last:
            self._show_number(self._last, queries, report)

    def _save(self, report: RunReport[Answer]) -> None:
        answer = report.outcomes[self._last - 1].value if self._last else None
        if isinstance(answer, Answer):
            offer_save(self._console, answer.text)
        else:
            self._console.write_line(tr("❌ 請先輸入題號看一個回答"))

    def _export(self, queries: Sequence[str], report: RunReport[Answer]) -> None:
        from utils.run_export import RUN_FORMATS, export_run, head_of, items_of

        created = SYSTEM_CLOCK.wall() - (SYSTEM_CLOCK.now() - report.started_at)
        head = head_of(report, title=queries[0], model=self._model, created=created)
        suffixes = [each.suffixes[0] for each in RUN_FORMATS.values()]
        offer_export(
            self._console,
            suffixes,
            lambda path, overwrite: export_run(path, None, head, items_of(queries, report), overwrite=overwrite),
        )


class _AnswerPages:
    """One answer for the pager, as Markdown or as it is."""

    def __init__(self, console: Console, text: str, *, markdown: bool) -> None:
        self._console = console
        self._text = text
        self.markdown = markdown

    def lines(self, columns: int) -> Lines:
        lines = self._markdown_lines(columns) if self.markdown else None
        if lines is None:
            lines = RawLines(self._text, columns, safe=self._safe)
        if len(self._text) <= _COUNTED:
            lines.take(0, _ALL)
        return lines

    def turn(self) -> None:
        self.markdown = not self.markdown

    def save(self) -> None:
        offer_save(self._console, self._text)

    def _markdown_lines(self, columns: int) -> Lines | None:
        from utils.markdown_text import markdown_lines  # the parser takes a while to load

        found = markdown_lines(
            self._text,
            columns,
            styled=self._console.has_colour,
            ascii_only=not self._console.is_unicode,
            safe=self._safe,
        )
        if found is not None:
            return LazyLines(found)
        self._console.write_line(tr("⚠️ 這個回答太長或太深, 無法以 Markdown 排版, 以原文顯示"))
        return None

    def _safe(self, text: str) -> str:
        return self._console.encoding_safe(neutralise(text))


def _parts(text: str) -> Iterator[str]:
    """The text in parts that end where a line does, so that a large one is never there twice."""
    start = 0
    while (end := text.find("\n", start + _PART)) >= 0:
        yield text[start:end].removesuffix("\r")
        start = end + 1
    yield text[start:]


def _bytes_of(text: str) -> int:
    return sum(len(text[at : at + _PART].encode("utf-8", "replace")) for at in range(0, len(text), _PART))

"""Reading a run: whole answers by number, the export, and the questions that are still without an answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.clock import SYSTEM_CLOCK
from core.outcome import Answer, RunReport
from utils.console import Console
from utils.interrupts import Interrupts
from utils.rendering import answer_text
from workflows.export_prompt import offer_export

__all__ = ["PROMPT", "Reading"]

PROMPT = "輸入題號看完整回答, r 重問失敗的, e 匯出 (Enter 返回): "


class Reading:
    """Shows what the person asks for of one run, until Enter. For the main thread.

    again asks questions anew and shows what came of it; model names who answered, for exports.
    """

    def __init__(
        self, console: Console, interrupts: Interrupts, *, again: Callable[[Sequence[str]], object], model: str
    ) -> None:
        self._console = console
        self._interrupts = interrupts
        self._again = again
        self._model = model

    def show(self, queries: Sequence[str], report: RunReport[Answer]) -> None:
        while True:
            text = self._console.ask_plain(PROMPT).lower()
            self._interrupts.reset()
            match text:
                case "":
                    return
                case "e":
                    self._export(queries, report)
                case "r":
                    failed = [query for query, each in zip(queries, report.outcomes, strict=True) if not each.answered]
                    if failed:
                        self._again(failed)
                        return
                    self._console.write_line("🎉 每個問題都有回答, 沒有需要重問的")
                case _:
                    self._show_answer(text, queries, report)

    def _show_answer(self, text: str, queries: Sequence[str], report: RunReport[Answer]) -> None:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if 1 <= number <= len(queries):
            self._console.write_line(answer_text(number, queries[number - 1], report.outcomes[number - 1]))
        else:
            self._console.write_line(f"❌ 沒有這個題號, 請輸入 1 到 {len(queries):,}")

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

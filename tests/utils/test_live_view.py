"""A run on the screen while it goes on: bounded, harmless, never in the run's way."""

from __future__ import annotations

import io
import os
import threading
import time
from typing import Any

import pyte
import pytest

from core.errors import ErrorKind
from core.events import BatchStarted, QuotaWaiting, RetryScheduled, RunFinished, RunStarted, TaskFinished, TaskStarted
from core.outcome import MISSING, Outcome, OutcomeKind, RunReport
from tests.fakes import FakeClock
from utils.console import Console, OutputClosed
from utils.live_view import LiveView
from utils.run_progress import MOST_TASKS_LISTED, RunProgress


def outcome(
    task_id: str, kind: OutcomeKind = OutcomeKind.ANSWERED, *, name: str = "", reason: str = ""
) -> Outcome[Any]:
    value: Any = "x" if kind is OutcomeKind.ANSWERED else MISSING
    return Outcome(task_id, name or task_id, kind, 0.0, 2.0, 0.0, value, None, reason)


def finish(count: int, kind: OutcomeKind = OutcomeKind.ANSWERED) -> list[TaskFinished]:
    return [TaskFinished(outcome(f"t{number}", kind, reason="壞了")) for number in range(count)]


class Terminal(io.StringIO):
    """An output that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def screen(self, columns: int = 80) -> pyte.Screen:
        """What a terminal would show of it."""
        screen = pyte.Screen(columns, 60)
        pyte.Stream(screen).feed(self.getvalue().replace("\n", "\r\n"))
        return screen

    def lines(self, columns: int = 80) -> list[str]:
        return [line.rstrip() for line in self.screen(columns).display if line.strip()]


def run(console: Console, *events: Any, total: int | None = None) -> LiveView:
    with LiveView(console, total=total, clock=FakeClock()) as view:
        for event in events:
            view.observe(event)
    return view


def plain() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(stdout=out, environ={}), out


def test_a_small_run_without_a_terminal() -> None:
    """The reference's lines, in order, and nothing else."""
    console, out = plain()
    report: RunReport[Any] = RunReport((), 0.0, 2.5)
    run(
        console,
        RunStarted(2, 0.0),
        TaskStarted("a", "問題一", 0.0),
        RetryScheduled("a", 1, ErrorKind.OVERLOADED, 0.5),
        TaskFinished(outcome("a", name="問題一")),
        TaskFinished(outcome("b", OutcomeKind.FAILED, reason="伺服器忙碌中")),
        RunFinished(report),
    )
    assert out.getvalue().splitlines() == [
        "🚀 開始並行執行 2 個任務...",
        "🔁 重試 問題一: 第 1 次失敗 - 伺服器忙碌中, 0.5 s 後再試",
        "✅ 任務完成: 問題一 (2.00 秒)",
        "❌ 任務失敗: b - 伺服器忙碌中",
        "⏱️ 並行執行完成,耗時: 2.50 秒",
    ]


@pytest.mark.parametrize("kind", [OutcomeKind.ANSWERED, OutcomeKind.FAILED])
@pytest.mark.parametrize("size", [MOST_TASKS_LISTED + 1, 10_000])
def test_a_large_run_prints_few_lines(size: int, kind: OutcomeKind) -> None:
    """Whatever the size and the outcomes, under 200 lines, the first failures among them."""
    console, out = plain()
    waiting = [QuotaWaiting("t", float(until), 5.0) for until in range(0, size * 2, 2)]
    view = run(console, RunStarted(size, 0.0), *waiting, *finish(size, kind))
    lines = out.getvalue().splitlines()
    assert len(lines) < 100
    assert sum(line.startswith("❌") for line in lines) == (20 if kind is OutcomeKind.FAILED else 0)
    assert f"{size:,}/{size:,}" in lines[-1]
    assert view.progress.finished == size


def test_a_quota_is_announced_once_for_all_that_wait() -> None:
    """Tasks waiting for one instant make one line; a later instant makes another."""
    progress = RunProgress()
    assert progress.lines(QuotaWaiting("a", 139.0, 39.0)) == ["⏳ 限流, 39 s 後繼續"]
    assert progress.lines(QuotaWaiting("b", 139.4, 39.4)) == []
    assert progress.lines(QuotaWaiting("a", 180.0, 20.0)) == ["⏳ 限流, 20 s 後繼續"]


def test_the_counts_of_a_run_under_way() -> None:
    """Answered, unanswered, in flight, retries, quota and the time left at the pace so far."""
    progress = RunProgress(10)
    assert progress.eta(1.0) is None
    for number in range(4):
        progress.lines(TaskStarted(f"t{number}", f"n{number}", 0.0))
    progress.lines(RetryScheduled("t3", 1, ErrorKind.RESET, 0.5))
    progress.lines(QuotaWaiting("t3", 112.5, 12.5))
    for event in [*finish(2), TaskFinished(outcome("t2", OutcomeKind.TIMED_OUT))]:
        progress.lines(event)
    assert progress.status(100.0, 6.0) == "✅ 2 · ❌ 1 · 進行中 1 · 重試 1 · 限流 13 s · 6.0 s · 剩約 14 s"
    assert progress.step() == 3
    assert list(progress.recent) == [
        "✅ 任務完成: t0 (2.00 秒)",
        "✅ 任務完成: t1 (2.00 秒)",
        "⏰ 任務逾時: t2 (2.00 秒)",
    ]
    assert RunProgress().step() == 0


def test_batches_are_told_up_to_a_bound() -> None:
    """Batch lines come one by one, then only their count goes on."""
    progress = RunProgress(5)
    lines = [line for number in range(100) for line in progress.lines(BatchStarted(number + 1, 100))]
    assert lines[0] == "🔄 處理批次 1/100..."
    assert len(lines) == 21
    assert lines[-1] == "… 之後的同類訊息只計數, 不再逐行顯示"


@pytest.mark.parametrize("columns", [20, 80])
def test_a_terminal_keeps_the_lines_and_drops_the_bar(columns: int) -> None:
    """After a run the finished tasks' lines stay, the bar is gone and the cursor is visible."""
    out = Terminal()
    console = Console(stdout=out, environ={"TERM": "xterm", "COLUMNS": str(columns), "NO_COLOR": "1"})
    run(console, RunStarted(2, 0.0), *finish(2))
    assert out.lines(columns)[0].startswith("🚀 開始並行執行")
    assert not any("進行中" in line for line in out.lines(columns))
    assert "✅ 2 · ❌ 0" in out.getvalue()
    assert out.getvalue().count("\x1b[?25l") == 1
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")
    assert not out.screen(columns).cursor.hidden


def test_a_large_run_on_a_terminal_shows_its_last_tasks() -> None:
    """Where not every task has a line, the last finished ones are shown above the bar."""
    out = Terminal()
    console = Console(stdout=out, environ={"TERM": "xterm"})
    run(console, *finish(60), total=100)
    assert "任務完成: t59" in out.getvalue()
    assert len(out.lines()) == 0


def test_a_run_of_unknown_length_has_counts_but_no_bar() -> None:
    """Without a total the status line stands alone."""
    out = Terminal()
    run(Console(stdout=out, environ={"TERM": "xterm"}), *finish(2))
    assert "✅ 2 · ❌ 0" in out.getvalue()
    assert "━" not in out.getvalue()
    assert "─" not in out.getvalue()


def test_untrusted_text_is_neither_markup_nor_control() -> None:
    """Brackets stay brackets and escapes are shown, on a terminal and elsewhere."""
    out = Terminal()
    console = Console(stdout=out, environ={"TERM": "xterm", "NO_COLOR": "1"})
    run(console, TaskFinished(outcome("a", name="[bold]x[/bold] \x1b[2J\x1b]0;t\x07 :smile:")), total=1)
    assert "✅ 任務完成: [bold]x[/bold] ␛[2J␛]0;t␇ :smile: (2.00 秒)" in out.lines()
    assert "\x1b[2J" not in out.getvalue()
    assert "\x07" not in out.getvalue()


class Bug(Exception):
    """Stands for anything that goes wrong in a run."""


@pytest.mark.parametrize("error", [Bug, KeyboardInterrupt])
def test_the_cursor_comes_back_after_an_exception(error: type[BaseException]) -> None:
    """However the run is left, the drawing has ended and the cursor is visible."""
    out = Terminal()
    console = Console(stdout=out, environ={"TERM": "xterm"})

    def broken() -> None:
        with LiveView(console) as view:
            view.observe(RunStarted(3, 0.0))
            raise error

    with pytest.raises(error):
        broken()
    assert not out.screen().cursor.hidden
    assert not any(thread.name == "live-view" for thread in threading.enumerate())


@pytest.mark.parametrize("environ", [{}, {"TERM": "xterm"}])
def test_a_closed_output_ends_the_drawing_and_not_the_run(environ: dict[str, str]) -> None:
    """The run goes on; the next write through the console says that nobody reads."""

    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    console = Console(stdout=Gone(), environ=environ)
    view = run(console, RunStarted(1, 0.0), *finish(1))
    view(RunStarted(1, 0.0))
    with pytest.raises(OutputClosed):
        console.write_line("x")


def test_observing_costs_the_workers_next_to_nothing() -> None:
    """An event costs its thread at most ten microseconds of its own processor time, in the best of several tries."""
    console = Console(stdout=open(os.devnull, "w", encoding="utf-8"), environ={})  # noqa: SIM115 - closed below
    event = TaskStarted("t", "n", 0.0)
    tries = []
    with LiveView(console) as view:
        for _ in range(5):
            started = time.thread_time()
            for _ in range(2000):
                view.observe(event)
            tries.append((time.thread_time() - started) / 2000)
    assert min(tries) < 10e-6
    assert console._out.stream is not None
    console._out.stream.close()


def test_what_was_not_run_has_no_line_of_its_own() -> None:
    """The one that stopped the run has told why; the others are counted."""
    progress = RunProgress(3)
    lines = [line for event in finish(2, OutcomeKind.NOT_RUN) for line in progress.lines(event)]
    assert (lines, list(progress.recent), progress.unanswered) == ([], [], 2)

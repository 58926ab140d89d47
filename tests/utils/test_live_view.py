"""A run on the screen while it goes on: bounded, harmless, never in the run's way."""

from __future__ import annotations

import io
import math
import os
import threading
import time
from typing import Any

import pyte
import pytest

from core.errors import ErrorKind
from core.events import BatchStarted, QuotaWaiting, RetryScheduled, RunFinished, RunStarted, TaskFinished, TaskStarted
from core.limits import BreakerState, LimiterStatistics
from core.outcome import MISSING, Outcome, OutcomeKind, RunReport
from tests.fakes import FakeClock
from tests.utils.limiter_figures import figures
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


# ---- the limiter ---------------------------------------------------------------------------------------------------


class WatchedTerminal(Terminal):
    """A terminal that tells when something was written on it."""

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def write(self, text: str) -> int:
        with self._written:
            self._written.notify_all()
            return super().write(text)

    def await_text(self, text: str) -> None:
        with self._written:
            assert self._written.wait_for(lambda: text in self.getvalue(), 20), f"{text} was never shown"


def watched(columns: int = 80) -> tuple[Console, WatchedTerminal]:
    out = WatchedTerminal()
    return Console(stdout=out, environ={"TERM": "xterm", "COLUMNS": str(columns), "NO_COLOR": "1"}), out


def test_a_closed_gate_counts_down_and_opens() -> None:
    """The seconds go down with the clock although the limiter is not asked again; the open gate is not mentioned."""
    clock = FakeClock()
    console, out = watched()
    with LiveView(console, clock=clock, limiter=lambda: figures(gate_until=1012.0, waiting=42)) as view:
        view.observe(QuotaWaiting("t", 1012.0, 12.0))
        out.await_text("⏳ 限流, 12 s 後繼續 · 呼叫中 0")
        clock.advance(0.2)
        clock.advance(0.9)
        out.await_text("⏳ 限流, 11 s 後繼續 · 呼叫中 0")
        before = len(out.getvalue())
        clock.advance(11.0)
        view.observe(TaskFinished(outcome("a")))
        out.await_text("✅ 1 · ❌ 0")
    after = out.getvalue()[before:]
    assert "限流" not in after[after.index("✅ 1") :]
    assert " · 限流 " not in out.getvalue(), "the status line repeats what the limiter's row counts down"
    assert out.lines() == ["⏳ 限流, 12 s 後繼續"], "only the notice stays"


def test_without_figures_the_status_line_counts_the_quota_down() -> None:
    """A limiter that has none yet leaves the screen as it is without one."""
    console, out = watched()
    with LiveView(console, clock=FakeClock(), limiter=lambda: None) as view:
        view.observe(QuotaWaiting("t", 1012.0, 12.0))
        out.await_text("進行中 0 · 限流 12 s")
    assert "呼叫中" not in out.getvalue()


def test_the_limiter_is_asked_four_times_a_second_at_most() -> None:
    """Beats in between draw the figures already there."""
    clock, asked = FakeClock(), threading.Semaphore(0)

    def read() -> LimiterStatistics:
        asked.release()
        return figures(in_flight=3)

    console, out = watched()
    with LiveView(console, clock=clock, limiter=read) as view:
        assert asked.acquire(timeout=20)
        clock.advance(0.24)
        for number in range(3):
            view.observe(TaskStarted(f"t{number}", "n", 0.0))
            out.await_text(f"進行中 {number + 1}")
        assert not asked.acquire(blocking=False)
        clock.advance(0.02)
        assert asked.acquire(timeout=20)


def test_a_failing_limiter_ends_no_drawing() -> None:
    """Its rows vanish while it fails and come back with it; the counts are drawn all the while."""
    clock, fails = FakeClock(), [False]

    def read() -> LimiterStatistics:
        if fails[0]:
            raise ZeroDivisionError
        return figures(in_flight=3)

    console, out = watched()
    with LiveView(console, clock=clock, limiter=read) as view:
        out.await_text("呼叫中 3")
        fails[0] = True
        clock.advance(1.0)
        view.observe(TaskFinished(outcome("a")))
        out.await_text("✅ 1")
        before = len(out.getvalue())
        assert "呼叫中" not in out.getvalue()[out.getvalue().rindex("✅ 1") :]
        fails[0] = False
        clock.advance(1.0)
        view.observe(TaskFinished(outcome("b")))
        out.await_text("✅ 2")
    assert "呼叫中 3" in out.getvalue()[before:]


@pytest.mark.parametrize("columns", [20, 60, 200])
def test_the_limiters_rows_fit_the_screen_and_leave_nothing_behind(columns: int) -> None:
    """At any width no drawn row is wider than the screen, and after the run none is left."""
    console, out = watched(columns)
    full = figures(gate_until=1012.0, breaker=BreakerState.OPEN, in_flight=8, waiting=42, tokens_last_minute=12_345)
    with LiveView(console, clock=FakeClock(), total=100, limiter=lambda: full) as view:
        out.await_text("試探中")
        screen = pyte.Screen(columns, 30)
        pyte.Stream(screen).feed(out.getvalue().replace("\n", "\r\n"))
        view.observe(TaskFinished(outcome("a")))
    shown = [line.rstrip() for line in screen.display if line.strip()]
    assert len(shown) == {20: 6, 60: 4, 200: 3}[columns], shown
    assert out.lines(columns) == []


def test_a_plain_screen_does_not_ask_the_limiter() -> None:
    """Where nothing can be drawn again there is no row to keep up to date."""
    console, out = plain()
    asked: list[bool] = []
    with LiveView(console, clock=FakeClock(), limiter=lambda: asked.append(True)) as view:
        view.observe(TaskFinished(outcome("a")))
    assert (asked, math.isinf(view.progress.quota_until)) == ([], True)
    assert "呼叫中" not in out.getvalue()

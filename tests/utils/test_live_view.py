"""A run on the screen while it goes on: bounded, harmless, never in the run's way."""

from __future__ import annotations

import io
import math
import os
import threading
import time
import tty
from collections.abc import Iterator
from typing import Any

import pyte
import pytest

from core.cost import Spend
from core.errors import ErrorKind
from core.events import (
    BatchStarted,
    CallStarted,
    QuotaWaiting,
    RetryScheduled,
    RunFinished,
    RunStarted,
    TaskFinished,
    TaskQueued,
    TaskStarted,
)
from core.limits import BreakerState, LimiterStatistics
from core.outcome import MISSING, Outcome, OutcomeKind, RunReport
from tests.fakes import FakeClock
from tests.utils.limiter_figures import figures
from utils.console import Console, OutputClosed
from utils.live_view import ListedTask, LiveView, RunControls
from utils.run_progress import MOST_TASKS_LISTED, RunProgress
from utils.text_width import cell_width


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
    assert progress.rate(1.0) is None
    for number in range(4):
        progress.lines(TaskStarted(f"t{number}", f"n{number}", 0.0))
    progress.lines(RetryScheduled("t3", 1, ErrorKind.RESET, 0.5))
    progress.lines(QuotaWaiting("t3", 112.5, 12.5))
    for event in [*finish(2), TaskFinished(outcome("t2", OutcomeKind.TIMED_OUT))]:
        progress.lines(event)
    assert progress.status(100.0, 6.0) == "✅ 2 · ❌ 1 · 進行中 1 · 重試 1 · 限流 13 s · 6.0 s · 剩約 14 s"
    assert progress.step() == 3
    assert progress.rate(6.0) == 2 / 6.0
    assert list(progress.recent) == [
        "✅ 任務完成: t0 (2.00 秒)",
        "✅ 任務完成: t1 (2.00 秒)",
        "⏰ 任務逾時: t2 (2.00 秒)",
    ]
    assert RunProgress().step() == 0


def test_batches_are_told_up_to_a_bound() -> None:
    """Batch lines come one by one, then only their count goes on."""
    progress = RunProgress(5)
    for number in range(100):  # which have no lines, and take none from the batches
        assert progress.lines(TaskQueued(f"t{number}", "n", 0.0)) == []
        assert progress.lines(CallStarted(f"t{number}", 1, 0.0)) == []
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
    assert len(shown) == {20: 8, 60: 4, 200: 3}[columns], shown
    assert max(map(cell_width, shown)) <= columns
    assert out.lines(columns) == []


def test_a_plain_screen_does_not_ask_the_limiter() -> None:
    """Where nothing can be drawn again there is no row to keep up to date."""
    console, out = plain()
    asked: list[bool] = []
    with LiveView(console, clock=FakeClock(), limiter=lambda: asked.append(True)) as view:
        view.observe(TaskFinished(outcome("a")))
    assert (asked, math.isinf(view.progress.quota_until)) == ([], True)
    assert "呼叫中" not in out.getvalue()


# ---- rows, costs and keys --------------------------------------------------------------------------------------------


def block(out: Terminal, columns: int, rows: int = 24) -> list[str]:
    """What a terminal that can show so many rows would show of it now."""
    screen = pyte.Screen(columns, rows)
    pyte.Stream(screen).feed(out.getvalue().replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display if line.strip()]


def test_a_small_run_has_a_row_for_each_open_task() -> None:
    """What was started before what is queued, under their numbers, and nothing of it left afterwards."""
    clock = FakeClock()
    console, out = watched(60)
    known = [ListedTask(7, "b", "第七題"), ListedTask(9, "a", "問題九")]
    with LiveView(console, clock=clock, total=2, tasks=known) as view:
        view.observe(TaskStarted("a", "問題九", 998.0))
        out.await_text("進行中 1")
        assert block(out, 60) == [
            " 9  詢問中               2.0 s  第 1 次  問題九",
            " 7  排隊                                 第七題",
            "─" * 56 + " 0/2",
            "✅ 0 · ❌ 0 · 進行中 1 · 0.0 s",
        ]
        view.observe(TaskFinished(outcome("a", name="問題九")))
        out.await_text("✅ 1")
    assert out.lines(60) == ["✅ 任務完成: 問題九 (2.00 秒)"]


def test_a_large_run_shows_how_many_wait_and_the_slowest() -> None:
    """Counts instead of rows, and rows only for what was started first and takes long."""
    console, out = watched(100)
    with LiveView(console, clock=FakeClock(), total=1000) as view:
        for number in range(6):
            view.observe(TaskStarted(f"t{number}", f"n{number}", 990.0))
        view.observe(RetryScheduled("t1", 1, ErrorKind.RESET, 30.0))
        view.observe(QuotaWaiting("t2", 1012.0, 12.0))
        out.await_text("進行中 6 · 等限額 1 · 等重試 1 · 排隊 994 · 重試 1 · 限流 12 s")
        rows = [line for line in block(out, 100) if "第 " in line and "次  " in line]
        assert [row.split()[-1] for row in rows] == ["n0", "n1", "n2"]


def test_what_a_run_has_cost_so_far() -> None:
    """Tokens and money, once there are any; tokens alone where the model has no price; nothing where it fails."""
    for spend, shown, missing in (
        (lambda: Spend(prompt_tokens=1200, answer_tokens=34), "1,234 tokens · US$0.00", None),
        (lambda: Spend(prompt_tokens=1, unpriced_calls=1), "1 tokens", "US$"),
        (lambda: Spend(calls=1), "進行中 0 · 0.0 s", "tokens"),
        (lambda: None, "進行中 0 · 0.0 s", "tokens"),
        (lambda: 1 // 0, "進行中 0 · 0.0 s", "tokens"),
    ):
        console, out = watched()
        with LiveView(console, clock=FakeClock(), spend=spend):  # type: ignore[arg-type]  # one of them is broken
            out.await_text(shown)
        assert missing is None or missing not in out.getvalue()


def test_answers_a_second() -> None:
    """The rate so far stands beside the time that is left."""
    clock = FakeClock()
    console, out = watched()
    with LiveView(console, clock=clock, total=10) as view:
        clock.advance(4.0)
        for event in finish(2):
            view.observe(event)
        out.await_text("4.0 s · 0.5 題/s · 剩約 16 s")


class Person:
    """A keyboard, and a run that notes what is done to it."""

    def __init__(self) -> None:
        self.ours, its = os.openpty()
        tty.setraw(its)
        self.stdin = open(its, encoding="utf-8")  # noqa: SIM115 - closed by close()
        self.paused = False
        self.done: list[str] = []
        self.stopped = threading.Event()

    def controls(self) -> RunControls:
        return RunControls(
            pause=lambda: setattr(self, "paused", True), resume=lambda: setattr(self, "paused", False),
            is_paused=lambda: self.paused, workers=lambda: 5, resize=lambda count: self.done.append(f"resize {count}"),
            cancel_task=self.refuse_to_cancel, stop=self.stopped.set,
        )  # fmt: skip

    def refuse_to_cancel(self, task_id: str) -> bool:
        self.done.append(task_id)
        return False

    def types(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def close(self) -> None:
        os.close(self.ours)
        self.stdin.close()


@pytest.fixture
def person() -> Iterator[Person]:
    person = Person()
    yield person
    person.close()


def facing(person: Person, environ: dict[str, str]) -> tuple[Console, WatchedTerminal]:
    out = WatchedTerminal()
    return Console(stdin=person.stdin, stdout=out, environ={"NO_COLOR": "1", **environ}), out


def test_keys_steer_the_run(person: Person) -> None:
    """Pause, workers, one cancelled and the end, each seen on the screen; a pause does not outlive the run."""
    console, out = facing(person, {"TERM": "xterm"})
    with LiveView(console, total=3, controls=person.controls()) as view:
        view.observe(TaskStarted("first", "n", 0.0))
        out.await_text("p 暫停 · +/- 工作數 5 · c 取消一題 · q 停止並保留")
        person.types("p")
        out.await_text("已暫停 · p 繼續")
        person.types("c")
        out.await_text("取消第幾個? ▏ (Enter")
        person.types("１")
        out.await_text("取消第幾個? 1▏")
        person.types("\r")
        out.await_text("第 1 個不在進行中, 也不在排隊")
        person.types("q")
        assert person.stopped.wait(20)
        out.await_text("停止中, 已完成的會保留")
    assert (person.done, person.paused) == (["first"], False)
    assert out.lines() == ["第 1 個不在進行中, 也不在排隊"]
    person.types("p")
    assert os.read(person.stdin.fileno(), 10) == b"p", "a key after the run is not the run's"


def test_a_pause_has_no_pace(person: Person) -> None:
    """The time that is left is not told while nothing begins."""
    clock = FakeClock()
    console, out = facing(person, {"TERM": "xterm"})
    with LiveView(console, clock=clock, total=10, controls=person.controls()) as view:
        clock.advance(4.0)
        for event in finish(2):
            view.observe(event)
        out.await_text("0.5 題/s · 剩約 16 s")
        person.types("p")
        out.await_text("已暫停")
        assert "剩約" not in "\n".join(block(out, 80))


def test_a_dumb_terminal_takes_no_keys(person: Person) -> None:
    """Where nothing can be shown of it, nothing is done."""
    console, out = facing(person, {"TERM": "dumb"})
    with LiveView(console, total=3, controls=person.controls()):
        assert not any(thread.name == "run-keys" for thread in threading.enumerate())
    assert "暫停" not in out.getvalue()


def test_the_keyboard_is_let_go_when_the_output_closes(person: Person) -> None:
    """The run goes on without a screen, and its end is as ever."""

    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    console = Console(stdin=person.stdin, stdout=Gone(), environ={"TERM": "xterm"})
    with LiveView(console, controls=person.controls()):
        pass
    assert not any(thread.name in ("run-keys", "live-view") for thread in threading.enumerate())


def test_what_others_write_meanwhile_stands_above_the_block() -> None:
    """A line of the journal's, a note of the engine's: each whole on a line of its own, and none after the run late."""
    out = Terminal()
    console = Console(stdout=out, stderr=out, environ={"TERM": "xterm"})
    with LiveView(console, clock=FakeClock()) as view:
        view.observe(RunStarted(2, 0.0))
        view.observe(TaskStarted("t0", "甲", 0.0))
        console.write_line("第一行\n第二行")
        console.note("磁碟已滿")
    console.write_line("之後")
    lines = [line.rstrip() for line in out.screen().display]
    assert [line for line in lines if line][-4:] == ["第一行", "第二行", "磁碟已滿", "之後"]


def test_notes_go_to_a_stderr_that_is_no_terminal() -> None:
    """Whoever sends stderr to a file finds there what belongs there."""
    out, err = Terminal(), io.StringIO()
    console = Console(stdout=out, stderr=err, environ={"TERM": "xterm"})
    with LiveView(console, clock=FakeClock()):
        console.note("磁碟已滿")
    assert err.getvalue() == "磁碟已滿\n"
    assert "磁碟" not in out.getvalue()


def test_without_a_block_lines_are_written_at_once() -> None:
    """On a pipe nothing is drawn again, so nothing has to wait."""
    out = io.StringIO()
    console = Console(stdout=out, environ={})
    with LiveView(console, clock=FakeClock()):
        console.write_line("一行")
        assert out.getvalue() == "一行\n"

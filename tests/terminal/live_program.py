"""A run that goes on until it is stopped, on a terminal: it tells in the end what the keys did, and asks something."""

from __future__ import annotations

import sys
import threading
from typing import Any

from core.clock import SYSTEM_CLOCK
from core.cost import Spend
from core.errors import ErrorKind
from core.events import QuotaWaiting, RetryScheduled, RunStarted, TaskFinished, TaskStarted
from core.limits import LimiterStatistics
from core.outcome import MISSING, Outcome, OutcomeKind
from tests.utils.limiter_figures import figures
from utils.console import Console
from utils.interrupts import Interrupts
from utils.live_view import ListedTask, LiveView, RunControls

NAMES = ("什麼是並行處理", "Explain the GIL in one sentence 請用中文回答", "日本語の質問です 👩‍👩‍👧 家族", "短")


def name_of(number: int) -> str:
    return f"{NAMES[number % len(NAMES)]} 第{number}題 " + "而且這一題的文字非常長所以放不下" * 8


class Run:
    """Tasks that never end by themselves."""

    def __init__(self, total: int, started: int) -> None:
        self.tasks = [ListedTask(number, f"t{number}", name_of(number)) for number in range(1, total + 1)]
        self.started = started
        self.paused = False
        self.workers = started
        self.cancelled: list[str] = []
        self.stops = 0
        self.over = threading.Event()
        self.view: LiveView | None = None

    def controls(self) -> RunControls:
        return RunControls(
            pause=lambda: setattr(self, "paused", True),
            resume=lambda: setattr(self, "paused", False),
            is_paused=lambda: self.paused,
            workers=lambda: self.workers,
            resize=lambda workers: setattr(self, "workers", workers),
            cancel_task=self.cancel,
            stop=self.stop,
        )

    def cancel(self, task_id: str) -> bool:
        self.cancelled.append(task_id)
        self.end(task_id, OutcomeKind.CANCELLED, "已取消")
        return True

    def end(self, task_id: str, kind: OutcomeKind, reason: str = "") -> None:
        assert self.view is not None
        name = next(task.name for task in self.tasks if task.task_id == task_id)
        value: Any = "x" if kind is OutcomeKind.ANSWERED else MISSING
        self.view.observe(TaskFinished(Outcome(task_id, name, kind, 0.0, 2.0, 0.0, value, None, reason)))

    def stop(self) -> None:
        self.stops += 1
        self.over.set()

    def begin(self, view: LiveView) -> None:
        self.view = view
        now = SYSTEM_CLOCK.now()
        view.observe(RunStarted(len(self.tasks), now))
        for task in self.tasks[: self.started]:
            view.observe(TaskStarted(task.task_id, task.name, now - 3.0))
        view.observe(RetryScheduled("t2", 1, ErrorKind.OVERLOADED, 300.0))
        view.observe(QuotaWaiting("t3", now + 200.0, 200.0))
        self.end("t1", OutcomeKind.ANSWERED)


def main(total: int, started: int) -> None:
    run = Run(total, started)
    full: LimiterStatistics = figures(in_flight=started, waiting=12, requests_last_minute=999, tokens_last_minute=5)
    spend = Spend(calls=1, prompt_tokens=1200, answer_tokens=34)
    with Console(history_path=None) as console, Interrupts() as interrupts:
        view = LiveView(
            console, tasks=run.tasks, controls=run.controls(), limiter=lambda: full, spend=lambda: spend
        )
        with view, interrupts.during(run.stop):
            run.begin(view)
            run.over.wait()
        console.discard_typed()
        did = f"paused={run.paused} workers={run.workers} cancelled={run.cancelled} stops={run.stops}"
        console.write_line(f"the end: {did}")
        console.write_line(f"typed: {console.ask('之後> ')!r}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

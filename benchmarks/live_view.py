"""The live view of a run on a terminal: what it costs the run, and how soon it answers to a key."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import math
import os
import pty
import random
import re
import resource
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.bench import ROOT, Bench, Measured, Missing, interleaved
from benchmarks.contenders import Load
from benchmarks.figures import Bar, Result, Row, Table, spread
from benchmarks.loopback import server_process

__all__ = ["keys", "live_view", "runs_on_terminal"]

_TURNS: Final = ["without", "with", "with", "without"]  # so that what changes with time falls on both alike
_CASES: Final = {"without": "without the view", "with": "with the live view"}
_COST_BAR: Final = 1.05
_REACTION_BAR: Final = 50.0  # ms
_PRESSES: Final = 6  # in each repetition
_WARM_UP: Final = 4  # calls per place
_TIMEOUT: Final = 60.0
_PATIENCE: Final = 60.0
_SIZE: Final = struct.pack("HHHH", 40, 100, 0, 0)
_ESCAPES: Final = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")
_PAUSED, _GOES_ON = "已暫停".encode(), "p 暫停".encode()
_NOTES: Final = (
    "Executor, retry, limiter and provider (gRPC) in a process of their own on a pseudo-terminal of 100 x 40,",
    "which is read in another; keys are pressed at random moments while every place is taken.",
)


def live_view(bench: Bench) -> Result:
    """The same run with and without the view, and keys pressed in a run that goes on until they are through."""
    count, in_flight = bench.sizes.loads[-1]
    with server_process(latency=bench.sizes.latency) as server:
        given = {"in_flight": in_flight, "latency": bench.sizes.latency, "grpc_port": server.grpc_port}

        def measure(case: str) -> Measured:
            if case == "runs":
                return bench.measure("live_view:runs_on_terminal", {**given, "count": count})
            return bench.measure("live_view:keys", {**given, "presses": _PRESSES})

        found, missing = interleaved(bench, ["runs", "keys"], measure)
    presses = [each for repetition in found.get("keys", ()) for each in repetition["milliseconds"]]
    tables = (_cost_table(found.get("runs", []), missing, count, in_flight), _key_table(presses, missing, in_flight))
    bars = (
        Bar("CPU of the run, with / without the view", _COST_BAR, _ratio(found.get("runs", []))),
        Bar("key press to reaction, 95 %", _REACTION_BAR, _quantile(presses, 0.95), "ms"),
    )
    return Result("live_view", tables, bars, found)


def _cost_table(found: list[Measured], missing: Mapping[str, str], count: int, in_flight: int) -> Table:
    rows = tuple(
        Row(label, tuple(spread(each[f"{name}_{case}"] for each in found) for name in ("cpu", "wall")))
        if found
        else Row(label, note=f"not measured: {missing.get('runs')}")
        for case, label in _CASES.items()
    )
    columns = (("CPU s per 1,000 calls", ".3f"), ("wall s", ".3f"))
    return Table(f"{count:,} calls, {in_flight} in flight", columns, rows, _NOTES)


def _key_table(presses: list[float], missing: Mapping[str, str], in_flight: int) -> Table:
    columns = (("p50, ms", ".1f"), ("p95, ms", ".1f"), ("most, ms", ".1f"))
    figures = [_quantile(presses, share) for share in (0.5, 0.95, 1.0)]
    known = tuple(spread([figure]) for figure in figures if figure is not None)
    label = f"p, {len(presses)} times"
    row = Row(label, known) if known else Row("p", note=f"not measured: {missing.get('keys')}")
    return Table(f"key press to reaction, {in_flight} in flight", columns, (row,))


def _ratio(found: list[Measured]) -> float | None:
    """Of the medians."""
    if not found:
        return None
    return spread(each["cpu_with"] for each in found).median / spread(each["cpu_without"] for each in found).median


def _quantile(presses: list[float], share: float) -> float | None:
    """The nearest rank."""
    return sorted(presses)[max(math.ceil(share * len(presses)), 1) - 1] if presses else None


# ---- the parent's side: a terminal, and the run on it


def runs_on_terminal(count: int, in_flight: int, latency: float, grpc_port: int) -> dict[str, float]:
    """CPU seconds per 1,000 calls and wall seconds of runs in one process: without, with, with, without the view."""
    with _program(count=count, in_flight=in_flight, latency=latency, grpc_port=grpc_port, cases=_TURNS) as program:
        program.read_until(None)
        found: dict[str, float] = json.loads(program.result())
    return found


def keys(presses: int, in_flight: int, latency: float, grpc_port: int) -> dict[str, list[float]]:
    """Milliseconds from each press of p to the word on the screen, with all places taken."""
    found, moments = [], random.Random(1)
    with _program(count=10**6, in_flight=in_flight, latency=latency, grpc_port=grpc_port, cases=["with"]) as program:
        program.read_until(_GOES_ON)
        for _ in range(presses):
            program.read_for(moments.uniform(0.1, 0.3))
            found.append(1000 * program.press(b"p", _PAUSED))
            program.read_for(moments.uniform(0.1, 0.3))
            program.press(b"p", _GOES_ON)
        program.press(b"q", None)
    return {"milliseconds": found}


@dataclass(slots=True)
class _Program:
    """A process on a pseudo-terminal of ours."""

    terminal: int
    process: subprocess.Popen[str]
    tail: bytes = field(default=b"")

    def press(self, key: bytes, shown: bytes | None) -> float:
        """Seconds until the screen shows it; None: until the program ends."""
        self.tail = b""
        began = time.perf_counter()
        os.write(self.terminal, key)
        self.read_until(shown)
        return time.perf_counter() - began

    def read_until(self, shown: bytes | None) -> None:
        give_up = time.perf_counter() + _PATIENCE
        while shown is None or shown not in self.tail:
            if not self._read(give_up - time.perf_counter()):
                if shown is None:
                    return
                raise Missing(f"the run ended before it showed {shown.decode()}")

    def read_for(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0 and select.select([self.terminal], [], [], left)[0]:
            self._read(left)

    def result(self) -> str:
        return self.process.communicate(timeout=_PATIENCE)[0]

    def _read(self, patience: float) -> bool:
        if not select.select([self.terminal], [], [], max(patience, 0.0))[0]:
            raise Missing(f"nothing on the screen for {_PATIENCE:g} s")
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # EIO: how Linux says that the other side has closed
            return False
        self.tail = _ESCAPES.sub(b"", (self.tail + data)[-8192:])
        return bool(data)


@contextlib.contextmanager
def _program(**given: Any) -> Iterator[_Program]:
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, _SIZE)
    command = [sys.executable, "-m", "benchmarks.live_view", json.dumps(given)]
    environ = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdin=its, stdout=subprocess.PIPE, stderr=its, text=True, start_new_session=True
    )
    os.close(its)
    try:
        yield _Program(ours, process)
    finally:
        process.kill()
        process.communicate()
        os.close(ours)


# ---- the child's side: the run


def _main(count: int, in_flight: int, latency: float, grpc_port: int, cases: list[str]) -> dict[str, float]:
    from core.parallel_executor import ParallelExecutor
    from core.scope import Scope
    from optimizers.assembly import build_model
    from optimizers.cost_ledger import CostLedger
    from utils.console import Console

    ledger = CostLedger()
    parts = build_model(Load(in_flight, latency, grpc_port, 0).settings(), on_call=ledger.note_call)
    screen = open(sys.stdin.fileno(), "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    with contextlib.closing(parts), ParallelExecutor(in_flight) as executor, Console(stdout=screen) as console:
        _ask(executor, parts.model, "warm-up", _WARM_UP * in_flight, Scope())
        found = dict.fromkeys([f"{name}_{case}" for name in ("cpu", "wall") for case in cases], 0.0)
        for turn, case in enumerate(cases):
            scope = Scope(observer=lambda event: None)  # a run is always observed: its statistics are made of events
            gc.collect()
            cpu, began = _cpu(), time.perf_counter()
            with _view(console, parts, ledger, executor, scope, count) if case == "with" else contextlib.nullcontext():
                _ask(executor, parts.model, f"question {turn}", count, scope)
            found[f"cpu_{case}"] += (_cpu() - cpu) * 1000 / count / cases.count(case)
            found[f"wall_{case}"] += (time.perf_counter() - began) / cases.count(case)
    return found


@contextlib.contextmanager
def _view(console: Any, parts: Any, ledger: Any, executor: Any, scope: Any, count: int) -> Iterator[None]:
    """The view as the program opens it, but for the pause: every place stays taken while keys are pressed."""
    from core.events import RunStarted
    from utils.live_view import LiveView, RunControls

    paused = threading.Event()
    controls = RunControls(
        pause=paused.set, resume=paused.clear, is_paused=paused.is_set, workers=lambda: executor.max_workers,
        resize=executor.resize, cancel_task=executor.cancel_task, stop=scope.cancel,
    )  # fmt: skip
    before = ledger.totals()
    with LiveView(
        console, limiter=parts.limiter.statistics, spend=lambda: ledger.totals() - before, controls=controls
    ) as view:
        scope.observer = view.observe
        view.observe(RunStarted(count, scope.now()))
        yield


def _ask(executor: Any, model: Any, what: str, count: int, scope: Any) -> None:
    from core.parallel_executor import ParallelTask
    from core.ports import Prompt

    tasks = (
        ParallelTask(f"{what}_{number}", f"{what} {number}: 這個國家的首都在哪裡?", model.generate,
                     (Prompt(f"{what} {number}"),), timeout=_TIMEOUT, scoped=True)
        for number in range(count)
    )  # fmt: skip
    for _ in executor.stream(tasks, scope=scope):
        pass


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_main(**json.loads(sys.argv[1]))))

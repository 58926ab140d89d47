"""How much memory a large run takes beyond the answers it brings."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from benchmarks.bench import Bench, interleaved
from benchmarks.figures import Bar, Result, Row, Table, spread

__all__ = ["memory", "memory_probe", "peak_memory"]

_MIB: Final = 2**20
_BAR: Final = 25.0
_NOTES: Final = (
    "Offline model without latency, 50 workers, through graph, executor, cache and retry; a fresh process. Idle: after",
    "a run of 100. Own bytes of the answers: sys.getsizeof of their texts.",
)


def memory(bench: Bench) -> Result:
    """Peak resident memory of a run beyond idle, less the answers themselves."""
    count = bench.sizes.memory_queries
    found, _ = interleaved(bench, ["run"], lambda _: bench.measure("memory:memory_probe", {"queries": count}))
    repetitions = found.get("run", [])
    names = ("idle", "peak", "answers", "beyond")
    title = f"{count:,} queries, MiB"
    rows = (Row("ours", tuple(spread(each[name] for each in repetitions) for name in names)),) if repetitions else ()
    columns = tuple((heading, ".1f") for heading in ("idle", "peak", "the answers", "beyond idle and answers"))
    figure = spread(each["beyond"] for each in repetitions).median if repetitions else None
    bar = Bar(f"{count:,} queries: memory beyond idle and the answers", _BAR, figure, "MiB")
    return Result("memory", (Table(title, columns, rows, _NOTES),), (bar,), found)


def memory_probe(queries: int) -> dict[str, float]:
    from core.parallel_executor import ParallelExecutor
    from core.settings import Settings
    from optimizers.assembly import build_model
    from workflows.parallel_workflow import ParallelWorkflow

    parts = build_model(Settings(offline_scale=0.0))
    asked = [f"問題 {number}: what is the capital of country number {number}?" for number in range(queries)]
    with contextlib.closing(parts), ParallelExecutor(50) as executor:
        graph = ParallelWorkflow(model=parts.model, executor=executor).create_workflow()
        graph.invoke({"user_queries": [f"warm-up {number}" for number in range(100)]})
        gc.collect()
        idle = psutil.Process().memory_info().rss
        with peak_memory() as peak:
            outcomes = graph.invoke({"user_queries": asked})["outcomes"]
        answers = sum(sys.getsizeof(outcome.value.text) for outcome in outcomes)
    return {
        "idle": idle / _MIB,
        "peak": peak[0] / _MIB,
        "answers": answers / _MIB,
        "beyond": (peak[0] - idle - answers) / _MIB,
    }


@contextlib.contextmanager
def peak_memory() -> Iterator[list[int]]:
    """The highest resident size of the block, in bytes: the kernel's own mark where it lets us reset it."""
    found = [0]
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        with _sampled(found):
            yield found
        return
    yield found
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found[0] = int(status.partition("VmHWM:")[2].split()[0]) * 1024


@contextlib.contextmanager
def _sampled(found: list[int]) -> Iterator[None]:
    process, ended = psutil.Process(), threading.Event()

    def sample() -> None:
        while not ended.wait(0.005):
            found[0] = max(found[0], process.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        found[0] = max(found[0], process.memory_info().rss)

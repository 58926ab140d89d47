"""Whole runs through the graph: what reaches the model, what a hang costs, and the offline example."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks.bench import Bench, interleaved
from benchmarks.figures import Bar, Result, Row, Table, spread

__all__ = ["distinct", "example", "hang"]

_EXAMPLE: Final = ["Python 的主要特性是什麼?", "機器學習的基本概念", "什麼是 REST API?"]
_EXAMPLE_SECONDS: Final = (2.5, 2.3, 2.4)


def distinct(bench: Bench) -> Result:
    """Many queries of which few are distinct: how many calls the server sees."""
    sizes = bench.sizes
    given = {"queries": sizes.queries, "distinct": sizes.distinct, "latency": sizes.latency}
    found, _ = interleaved(bench, ["distinct"], lambda _: bench.measure("runs:distinct_probe", given))
    calls = [each["calls"] for each in found.get("distinct", [])]
    title = f"{sizes.queries:,} queries, {sizes.distinct} of them distinct, 50 in flight, server {sizes.latency:g} s"
    rows = [Row("ours, empty cache", (spread(calls), _of(found, "distinct", "wall_seconds")))] if calls else []
    bar = Bar(title, sizes.distinct, max(calls, default=None), "calls", exact=True)
    table = Table(title, (("model calls", "g"), ("wall s", ".3f")), tuple(rows))
    return Result("distinct", (table,), (bar,), found)


def distinct_probe(queries: int, distinct: int, latency: float) -> dict[str, float]:
    from tests.servers import LoopbackGemini

    with LoopbackGemini(latency=latency) as server, _graph(server.grpc_endpoint, workers=50) as graph:
        asked = [f"question {number % distinct}" for number in range(queries)]
        started = time.perf_counter()
        outcomes = graph.invoke({"user_queries": asked})["outcomes"]
        wall = time.perf_counter() - started
        texts = [outcome.value.text for outcome in outcomes]
        if texts != [f"echo:{query}" for query in asked]:
            raise RuntimeError("an answer belongs to another question")
        return {"calls": server.calls, "wall_seconds": wall}


def hang(bench: Bench) -> Result:
    """One of four hangs: how long until all four are reported."""
    limit, latency = bench.sizes.hang_timeout, bench.sizes.latency
    cases = {
        "model": "the model hangs (loopback server, gRPC)",
        "function": "a function that never returns and never looks at its scope",
    }
    given = {"timeout": limit, "latency": latency}
    found, missing = interleaved(bench, list(cases), lambda case: bench.measure(f"runs:hang_{case}_probe", given))
    rows = [
        Row(label, note=f"not measured: {missing[case]}")
        if case in missing
        else Row(label, (_of(found, case, "reported"), _of(found, case, "others")))
        for case, label in cases.items()
    ]
    title = f"one of four hangs, deadline {limit:g} s"
    columns = (("all reported after s", ".3f"), ("the other three after s", ".3f"))
    bars = [
        Bar(f"{title}: {case}", limit + 0.3, spread(each["reported"] for each in found[case]).median, "s")
        for case in found
    ]
    return Result("hang", (Table(title, columns, tuple(rows)),), tuple(bars), found)


def hang_model_probe(timeout: float, latency: float) -> dict[str, float]:
    from tests.servers import LoopbackGemini
    from tests.servers.replies import Hang

    def script(seen: Any) -> Hang | None:
        return Hang() if seen.text == "hang" else None

    with (
        LoopbackGemini(latency=latency, script=script) as server,
        _graph(server.grpc_endpoint, workers=4, timeout=timeout) as graph,
    ):
        graph.invoke({"user_queries": ["warm-up"]})  # the SDK is loaded on the first call: not what is measured
        started = time.monotonic()
        outcomes = graph.invoke({"user_queries": ["one", "hang", "two", "three"]})["outcomes"]
        return _reported(outcomes, started, time.monotonic())


def hang_function_probe(timeout: float, latency: float) -> dict[str, float]:
    from core.parallel_executor import ParallelExecutor, ParallelTask

    seconds = (latency, 3600.0, latency, latency)
    tasks = [ParallelTask(f"t{index}", "", time.sleep, (each,), timeout=timeout) for index, each in enumerate(seconds)]
    executor = ParallelExecutor(4)
    started = time.monotonic()
    outcomes = executor.run(tasks).outcomes
    found = _reported(list(outcomes), started, time.monotonic())
    executor.close(timeout=0.0)
    return found


def example(bench: Bench) -> Result:
    """The three questions of the offline model, side by side, with what the program says about the run."""
    scale = bench.sizes.example_scale
    cases = {"checked": "after the start-up check, as main.py", "unchecked": "without it, as ParallelWorkflow() alone"}

    def measure(case: str) -> Mapping[str, Any]:
        return bench.measure("runs:example_probe", {"scale": scale, "check": case == "checked"})

    found, _ = interleaved(bench, list(cases), measure)
    names = ("wall", "serial", "speed_up", "speed_up_limit")
    rows = [Row(cases[case], tuple(_of(found, case, name) for name in names)) for case in found]
    title = f"{', '.join(f'{seconds * scale:g}' for seconds in _EXAMPLE_SECONDS)} s side by side, offline model"
    columns = (("wall s", ".3f"), ("one by one s", ".3f"), ("speed-up", ".2f"), ("its limit", ".2f"))
    bars = [Bar(f"{title}, {case}", 2.52 * scale, _of(found, case, "wall").median, "s") for case in found]
    return Result("example", (Table(title, columns, tuple(rows)),), tuple(bars), found)


def example_probe(scale: float, check: bool) -> dict[str, float]:
    from core.scope import Scope
    from core.settings import Settings
    from optimizers.assembly import build_model
    from workflows.parallel_workflow import ParallelWorkflow

    parts = build_model(Settings(offline_scale=scale))
    workflow = ParallelWorkflow(model=parts.model)
    graph = workflow.create_workflow()
    if check:
        parts.verify(Scope())
    started = time.perf_counter()
    report = graph.invoke({"user_queries": _EXAMPLE})["report"]
    wall = time.perf_counter() - started
    workflow.executor.close()
    return {
        "wall": wall,
        "serial": report.serial_seconds,
        "speed_up": report.speed_up,
        "speed_up_limit": report.speed_up_limit,
    }


@contextlib.contextmanager
def _graph(endpoint: Any, *, workers: int, timeout: float = 60.0) -> Iterator[Any]:
    from core.parallel_executor import ParallelExecutor
    from core.settings import Secret, Settings
    from optimizers.assembly import build_model
    from workflows.parallel_workflow import ParallelWorkflow

    parts = build_model(Settings(api_key=Secret("benchmark-key"), endpoint=endpoint))
    with contextlib.closing(parts), ParallelExecutor(workers) as executor:
        yield ParallelWorkflow(model=parts.model, executor=executor, query_timeout=timeout).create_workflow()


def _reported(outcomes: list[Any], started: float, ended: float) -> dict[str, float]:
    kinds = sorted(outcome.kind.value for outcome in outcomes)
    if kinds != ["answered", "answered", "answered", "timed_out"]:
        raise RuntimeError(f"one of four should have timed out: {kinds}")
    others = max(outcome.ended_at for outcome in outcomes if outcome.answered)
    return {"reported": ended - started, "others": others - started}


def _of(found: Mapping[str, list[Mapping[str, Any]]], case: str, name: str) -> Any:
    return spread(each[name] for each in found[case])

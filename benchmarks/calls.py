"""Many calls at once against a server that takes its time: how near to the ideal, and at what CPU cost."""

from __future__ import annotations

import gc
import math
import resource
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import psutil

from benchmarks.bench import Bench, interleaved
from benchmarks.contenders import CONTENDERS, LABELS, Load
from benchmarks.figures import Bar, Result, Row, Table, spread
from benchmarks.loopback import server_process

__all__ = ["calls", "layers", "probe"]

_SIDE_BY_SIDE: Final = ("sleep", "sdk", "ours", "ours-rest", "ours-genai")
_LAYERS: Final = ("sleep", "raw", "provider", "chain", "cache", "executor", "ours")
_WALL_BARS: Final = {50: 1.04, 200: 1.15}
_CPU_BAR: Final = 0.95
_WARM_UP: Final = 10  # calls per place: two seconds at 200 ms, in which a limiter finds out that there is no limit
_COLUMNS: Final = (
    ("wall / ideal", ".3f"),
    ("CPU s per 1,000 calls", ".3f"),
    ("the server's CPU s per 1,000", ".3f"),
    ("warm-up / ideal", ".3f"),
)


def probe(
    contender: str, count: int, in_flight: int, latency: float, grpc_port: int, rest_port: int, server_pid: int
) -> dict[str, float]:
    """Ask count distinct queries and check every answer; connections and threads are warm before it counts."""
    server = psutil.Process(server_pid)
    with CONTENDERS[contender](Load(in_flight, latency, grpc_port, rest_port)) as ask:
        ask(["the first call alone"])  # a burst on a connection that is not up yet would be refused, whoever sends it
        warmed_at = time.perf_counter()
        ask([f"warm-up {number}" for number in range(_WARM_UP * in_flight)])
        cold = time.perf_counter() - warmed_at
        queries = [f"question {number}: what is the capital of the country?" for number in range(count)]
        gc.collect()
        server_before, own_before = _server_cpu(server), _own_cpu()
        started = time.perf_counter()
        answers = ask(queries)
        wall = time.perf_counter() - started
        own, served = _own_cpu() - own_before, _server_cpu(server) - server_before
    wrong = [answer for query, answer in zip(queries, answers, strict=True) if answer != f"echo:{query}"]
    if wrong:
        raise RuntimeError(f"{len(wrong)} of {count} answers are wrong, the first: {wrong[0]!r}")
    return {
        "wall_seconds": wall,
        "wall_per_ideal": wall / (math.ceil(count / in_flight) * latency) if latency else math.inf,
        "cold_per_ideal": cold / (_WARM_UP * latency) if latency else math.inf,
        "cpu_per_1000": own * 1000 / count,
        "server_cpu_per_1000": served * 1000 / count,
    }


def calls(bench: Bench, contenders: Sequence[str] = _SIDE_BY_SIDE) -> Result:
    """The floor, the bare SDK and ours at every load."""
    tables, bars, raw = [], [], {}
    for count, in_flight in bench.sizes.loads:
        table, found = _compared(bench, contenders, count, in_flight, LABELS)
        tables.append(table)
        raw[f"{count} calls, {in_flight} in flight"] = found
        bars += _bars(count, in_flight, found.get("ours", []))
    return Result("calls", tuple(tables), tuple(bars), raw)


def layers(bench: Bench, contenders: Sequence[str] = _LAYERS) -> Result:
    """Ours, built up layer by layer, at the first load: each row is the one above and something more."""
    count, in_flight = bench.sizes.loads[0]
    labels = {**LABELS, "ours": "+ graph (the whole program)"}
    table, found = _compared(bench, contenders, count, in_flight, labels)
    return Result("layers", (table,), (), {f"{count} calls, {in_flight} in flight": found})


def _compared(
    bench: Bench, contenders: Sequence[str], count: int, in_flight: int, labels: Mapping[str, str]
) -> tuple[Table, dict[str, list[Mapping[str, Any]]]]:
    latency = bench.sizes.latency
    with server_process(latency=latency) as server:
        given = {
            "count": count,
            "in_flight": in_flight,
            "latency": latency,
            "grpc_port": server.grpc_port,
            "rest_port": server.rest_port,
            "server_pid": server.pid,
        }
        found, missing = interleaved(
            bench, contenders, lambda contender: bench.measure("calls:probe", {"contender": contender, **given})
        )
    rows = [
        Row(labels[name], note=f"not measured: {missing[name]}") if name in missing else _row(labels[name], found[name])
        for name in contenders
    ]
    ideal = math.ceil(count / in_flight) * latency
    title = f"{count:,} calls, {in_flight} in flight, server {latency * 1000:g} ms, ideal {ideal:.2f} s"
    return Table(title, _COLUMNS, tuple(rows), _NOTES), found


_NOTES: Final = (
    "Distinct queries, every answer checked. Each contender in a fresh process, interleaved; connections warmed up",
    "with one call, then ten per place, before it counts: ours begins modestly, which the last column shows. The",
    "server is a process of its own on the same cores (100 calls per connection): where both CPU columns times the",
    "calls per second come near the cores, machine and server are the limit.",
)


def _row(label: str, found: Sequence[Mapping[str, Any]]) -> Row:
    names = ("wall_per_ideal", "cpu_per_1000", "server_cpu_per_1000", "cold_per_ideal")
    return Row(label, tuple(spread(each[name] for each in found) for name in names))


def _bars(count: int, in_flight: int, found: Sequence[Mapping[str, Any]]) -> list[Bar]:
    what = f"{count:,} queries, {in_flight} in flight"

    def median(name: str) -> float | None:
        return spread(each[name] for each in found).median if found else None

    bars = [Bar(f"{what}: CPU per 1,000 calls", _CPU_BAR, median("cpu_per_1000"), "s")]
    if in_flight in _WALL_BARS:
        bars.insert(0, Bar(f"{what}: wall / ideal", _WALL_BARS[in_flight], median("wall_per_ideal")))
    return bars


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _server_cpu(server: psutil.Process) -> float:
    times = server.cpu_times()
    return float(times.user + times.system)

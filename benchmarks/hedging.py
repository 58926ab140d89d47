"""The tail of the latencies when one call in a hundred is ten times slower, with and without hedging."""

from __future__ import annotations

import contextlib
import functools
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from benchmarks.bench import Bench, interleaved
from benchmarks.figures import Bar, Result, Row, Table, spread

__all__ = ["hedging", "hedging_probe"]

_CASES: Final = {"without": "without hedging", "hedged": "hedged after the 95th percentile"}
_SHARES: Final = {"p99": 99.0, "p995": 99.5, "p999": 99.9}
_IN_FLIGHT: Final = 5
_TIMEOUT: Final = 60.0
_SLOWER: Final = 10
_NOTES: Final = (
    "Percentiles by nearest rank, in medians. In every hundred requests that the server sees one, at a random place,",
    "is slow, so about 1 % of the calls are: p99 lies at the edge of the tail and p99.5 in it. A hedged call takes the",
    "95th percentile plus a second attempt, which is a little more than two medians. Server in the client's process.",
)


def hedging(bench: Bench) -> Result:
    """What hedging costs in calls, and what it saves the slowest."""
    count, latency = 2 * bench.sizes.queries, bench.sizes.latency / 10

    def measure(case: str) -> Mapping[str, Any]:
        given = {"hedged": case == "hedged", "count": count, "latency": latency}
        return bench.measure("hedging:hedging_probe", given)

    found, missing = interleaved(bench, list(_CASES), measure)
    names = ("median_ms", *_SHARES, "extra")
    rows = [
        Row(label, note=f"not measured: {missing[case]}")
        if case in missing
        else Row(label, tuple(spread(each[name] for each in found[case]) for name in names))
        for case, label in _CASES.items()
    ]
    title = (
        f"{count:,} calls, {_IN_FLIGHT} in flight, server {latency * 1000:g} ms, 1 % of the calls {_SLOWER} x slower"
    )
    columns = (
        ("median ms", ".1f"), ("p99", ".2f"), ("p99.5", ".2f"), ("p99.9", ".2f"), ("extra calls %", ".1f"),
    )  # fmt: skip
    hedged = found.get("hedged", [])

    def median(name: str) -> float | None:
        return spread(each[name] for each in hedged).median if hedged else None

    bars = (
        Bar(f"{title}: p99 / median", 2.0, median("p99")),
        Bar(f"{title}: extra calls", 5.0, median("extra"), "%"),
    )
    return Result("hedging", (Table(title, columns, tuple(rows), _NOTES),), bars, found)


def hedging_probe(hedged: bool, count: int, latency: float) -> dict[str, float]:
    """Ask count queries over gRPC; the latencies' median and tail, and how many calls more the server saw."""
    from core.ports import ChatModel, Prompt
    from core.providers.gemini import GeminiModel
    from core.scope import Scope
    from core.settings import Secret, Settings
    from optimizers.hedged_model import HedgedModel
    from optimizers.measured_model import MeasuredModel
    from tests.servers import LoopbackGemini
    from utils.durations import Durations

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(LoopbackGemini(latency=latency))
        gemini = GeminiModel(Settings(api_key=Secret("benchmark-key"), endpoint=server.grpc_endpoint))
        stack.enter_context(contextlib.closing(gemini))
        measured = MeasuredModel(gemini)
        model: ChatModel = measured
        if hedged:
            model = stack.enter_context(contextlib.closing(HedgedModel(measured, quantile=0.95)))
        threads = stack.enter_context(ThreadPoolExecutor(_IN_FLIGHT))
        root = Scope()

        def ask(asked: ChatModel, query: str) -> float:
            started = time.perf_counter()
            with root.child(timeout=_TIMEOUT) as scope:
                if asked.generate(Prompt(query), scope).text != f"echo:{query}":
                    raise RuntimeError("an answer belongs to another question")
            return time.perf_counter() - started

        ask(measured, "the first call alone")
        list(threads.map(functools.partial(ask, measured), [f"warm-up {n}" for n in range(2 * _IN_FLIGHT)]))
        server.set_script(_one_in_a_hundred(_SLOWER * latency))
        before = server.calls
        took = Durations(exact=count)
        for seconds in threads.map(functools.partial(ask, model), [f"question {n}" for n in range(count)]):
            took.add(seconds)
        extra = server.calls - before - count
    middle = took.median()
    tail = {name: took.percentile(percent) / middle for name, percent in _SHARES.items()}
    return {"median_ms": middle * 1000, "extra": 100 * extra / count, **tail}


def _one_in_a_hundred(seconds: float) -> Callable[[Any], Any]:
    """A script under which one request of every hundred, at a random place, takes that long."""
    from tests.servers.replies import Slow

    chance, lock, left = random.Random(7), threading.Lock(), [0, 0]  # requests left in this hundred, the slow one

    def script(_: object) -> Slow | None:
        with lock:  # guards chance and left; gRPC and REST sides may ask from their own threads
            if not left[0]:
                left[:] = 100, chance.randint(1, 100)
            left[0] -= 1
            return Slow(seconds) if left[0] == left[1] - 1 else None

    return script

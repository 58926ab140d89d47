"""What the limiter costs where there is nothing to limit: the chain with and without it, 200 threads, real calls."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from typing import Final

from benchmarks.bench import Bench, interleaved
from benchmarks.figures import Bar, Result, Row, Table, spread
from benchmarks.loopback import server_process

__all__ = ["unlimited", "unlimited_probe"]

_CASES: Final = {"without": "the chain without LimitedModel", "limited": "the chain as it is"}
_SKIPPED: Final = 10  # server latencies: two seconds at 200 ms, in which the limiter finds out that there is no limit
_MEASURED: Final = 30
_TIMEOUT: Final = 60.0
_NOTES: Final = (
    "Answers in the six seconds that follow the first two, started cold; every answer checked, each case in a fresh",
    "process, interleaved. The server is a process of its own on the same cores.",
)


def unlimited(bench: Bench) -> Result:
    """How many answers a second, with the limiter and without."""
    latency, in_flight = bench.sizes.latency, bench.sizes.loads[-1][1]
    with server_process(latency=latency) as server:
        given = {"in_flight": in_flight, "latency": latency, "port": server.grpc_port}
        found, missing = interleaved(
            bench,
            list(_CASES),
            lambda case: bench.measure("unlimited:unlimited_probe", {"limited": case == "limited", **given}),
        )
    ideal = in_flight / latency
    names = ("per_second", "share", "cold_share")
    rows = [
        Row(label, note=f"not measured: {missing[case]}")
        if case in missing
        else Row(label, tuple(spread(each[name] for each in found[case]) for name in names))
        for case, label in _CASES.items()
    ]
    columns = (("answers / s", ".0f"), ("of the ideal", ".3f"), ("of the ideal, first part", ".3f"))
    title = f"no limit at all, {in_flight} threads, server {latency * 1000:g} ms, ideal {ideal:,.0f} answers/s"
    ratio = None
    if not missing:
        without, limited = (spread(each["per_second"] for each in found[case]).median for case in _CASES)
        ratio = without / limited
    bar = Bar("no limit at all: rate without / with the limiter", 1.05, ratio)
    return Result("unlimited", (Table(title, columns, tuple(rows), _NOTES),), (bar,), found)


def unlimited_probe(limited: bool, in_flight: int, latency: float, port: int) -> dict[str, float]:
    """Threads that ask one question after the other; answers a second after the first part."""
    from core.errors import ParallelProcessingError
    from core.ports import ChatModel, Prompt
    from core.scope import Scope
    from core.settings import Endpoint, Secret, Settings
    from optimizers.assembly import build_model
    from optimizers.limited_model import LimitedModel
    from optimizers.measured_model import MeasuredModel
    from optimizers.proven_model import ProvenModel
    from optimizers.rate_limiter import RateLimiter
    from optimizers.retry import RetryingModel
    from optimizers.schema_model import SchemaModel

    parts = build_model(Settings(api_key=Secret("benchmark-key"), endpoint=Endpoint("127.0.0.1", port, True)))
    # The chain of build_model, so that the two cases differ in the limiter alone.
    chain: ChatModel = ProvenModel(SchemaModel(MeasuredModel(parts.provider)))
    model = RetryingModel(LimitedModel(chain, RateLimiter()) if limited else chain)
    root, numbers, stop = Scope(), itertools.count(), threading.Event()
    answered: list[list[float]] = [[] for _ in range(in_flight)]
    wrong: list[str] = []

    def work(mine: list[float]) -> None:
        while not stop.is_set():
            query = f"question {next(numbers)}: what is the capital of the country?"
            with root.child(timeout=_TIMEOUT) as scope:
                try:
                    text = model.generate(Prompt(query), scope).text
                except ParallelProcessingError as error:
                    text = str(error)
            mine.append(time.perf_counter())
            if text != f"echo:{query}":
                wrong.append(text)

    with contextlib.closing(parts):
        with root.child(timeout=_TIMEOUT) as scope:
            model.generate(Prompt("the first call alone"), scope)
        threads = [threading.Thread(target=work, args=(mine,), daemon=True) for mine in answered]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        stop.wait((_SKIPPED + _MEASURED) * latency)
        stop.set()
        for thread in threads:
            thread.join(_TIMEOUT)
    if wrong:
        raise RuntimeError(f"{len(wrong)} answers are wrong, the first: {wrong[0]!r}")
    begin, end = started + _SKIPPED * latency, started + (_SKIPPED + _MEASURED) * latency
    instants = [at for mine in answered for at in mine]
    ideal = in_flight / latency
    rate = sum(begin <= at < end for at in instants) / (_MEASURED * latency)
    cold = sum(at < begin for at in instants) / (_SKIPPED * latency)
    return {"per_second": rate, "share": rate / ideal, "cold_share": cold / ideal}

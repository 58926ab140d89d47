"""What the parts cost by themselves: a task in the executor, a hit in the cache."""

from __future__ import annotations

import functools
import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from benchmarks.bench import Bench, interleaved
from benchmarks.figures import Bar, Result, Row, Table, spread
from core.outcome import Answer
from core.parallel_executor import ParallelExecutor, ParallelTask
from core.ports import Prompt
from core.scope import Scope

__all__ = ["cache", "cache_probe", "executor", "executor_probe"]

_ANSWER: Final = "an answer of the length that answers have. " * 20
_HITS: Final = {
    "lru_cache": "functools.lru_cache (floor)",
    "get": "CacheManager.get",
    "model": "CachedModel.generate",
    "cached": "CacheManager.cached, one argument",
}
_HIT_BAR: Final = 10.0
_BATCHES: Final = 20


def executor(bench: Bench) -> Result:
    """Microseconds per task of an empty function, beside bare ThreadPoolExecutor.submit and result."""
    count = bench.sizes.tasks
    cases = [f"{kind}-{workers}" for workers in bench.sizes.workers for kind in ("bare", "ours")]

    def measure(case: str) -> Mapping[str, Any]:
        kind, _, workers = case.partition("-")
        return bench.measure("overheads:executor_probe", {"kind": kind, "workers": int(workers), "count": count})

    found, _ = interleaved(bench, cases, measure)
    labels = {"bare": "ThreadPoolExecutor (floor)", "ours": "ParallelExecutor"}
    rows = tuple(
        Row(
            f"{labels[case.partition('-')[0]]}, {case.partition('-')[2]} workers",
            (spread(each["microseconds"] for each in found[case]),),
        )
        for case in found
    )
    title = f"{count:,} tasks of an empty function"
    return Result("executor", (Table(title, (("us per task", ".1f"),), rows),), (), found)


def executor_probe(kind: str, workers: int, count: int) -> dict[str, float]:
    run = {"bare": _bare_tasks, "ours": _our_tasks}[kind]
    return {"microseconds": run(workers, count) / count * 1e6}


def _bare_tasks(workers: int, count: int) -> float:
    with ThreadPoolExecutor(workers) as threads:
        started = time.perf_counter()
        for future in [threads.submit(_nothing) for _ in range(count)]:
            future.result()
        return time.perf_counter() - started


def _our_tasks(workers: int, count: int) -> float:
    with ParallelExecutor(workers) as ours:
        started = time.perf_counter()
        report = ours.run([ParallelTask(str(number), "", _nothing) for number in range(count)])
        seconds = time.perf_counter() - started
    if not report.all_answered:
        raise RuntimeError("a task of an empty function failed")
    return seconds


def _nothing() -> None:
    return None


def cache(bench: Bench) -> Result:
    """Microseconds per hit in memory, one thread."""
    hits = bench.sizes.hits
    found, _ = interleaved(
        bench, list(_HITS), lambda kind: bench.measure("overheads:cache_probe", {"kind": kind, "hits": hits})
    )
    spreads = {kind: spread(each["microseconds"] for each in found[kind]) for kind in found}
    rows = tuple(Row(_HITS[kind], (figure,)) for kind, figure in spreads.items())
    bars = tuple(
        Bar(f"cache hit, memory: {_HITS[kind]}", _HIT_BAR, figure.median, "us")
        for kind, figure in spreads.items()
        if kind != "lru_cache"
    )
    title = f"a hit in memory, {hits:,} in one thread"
    return Result("cache", (Table(title, (("us per hit", ".2f"),), rows),), bars, found)


def cache_probe(kind: str, hits: int) -> dict[str, float]:
    hit = {"lru_cache": _lru_hit, "get": _get_hit, "model": _model_hit, "cached": _cached_hit}[kind]()
    hit()
    batch = hits // _BATCHES
    # The median of batches: one that another process cut into does not count.
    return {"microseconds": statistics.median(_batch_seconds(hit, batch) / batch for _ in range(_BATCHES)) * 1e6}


def _batch_seconds(hit: Callable[[], object], count: int) -> float:
    started = time.perf_counter()
    for _ in itertools.repeat(None, count):
        hit()
    return time.perf_counter() - started


def _lru_hit() -> Callable[[], object]:
    @functools.lru_cache
    def answer(text: str) -> Answer:
        return Answer(_ANSWER, text)

    return lambda: answer("what is cached?")


def _get_hit() -> Callable[[], object]:
    from optimizers.cache_keys import cache_key
    from optimizers.cache_manager import CacheManager

    manager, key = CacheManager(), cache_key("benchmark", "answer")
    manager.set(key, Answer(_ANSWER, "model"))
    return lambda: manager.get(key)


def _model_hit() -> Callable[[], object]:
    from core.settings import Secret, Settings
    from optimizers.assembly import build_model
    from optimizers.cache_manager import CacheManager
    from optimizers.cached_model import CachedModel

    manager, prompt, scope = CacheManager(), Prompt("what is cached?"), Scope()
    gemini = build_model(Settings(api_key=Secret("benchmark-key"))).model
    CachedModel(_StandIn(gemini.identity), manager).generate(prompt, scope)  # so that Gemini itself is never asked
    model = CachedModel(gemini, manager)
    return lambda: model.generate(prompt, scope)


def _cached_hit() -> Callable[[], object]:
    from optimizers.cache_manager import CacheManager

    @CacheManager().cached()
    def answer(text: str) -> Answer:
        return Answer(_ANSWER, text)

    return lambda: answer("what is cached?")


class _StandIn:
    """A ChatModel that answers in another's name."""

    def __init__(self, identity: str) -> None:
        self.identity = identity

    def generate(self, prompt: Prompt, scope: Scope) -> Answer:
        return Answer(_ANSWER, "model")

"""A limit nobody told us: 200 questions against a server that grants 20 a second, ours and other people's programs."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import ROOT, Bench, Missing, interleaved
from benchmarks.figures import Bar, Result, Row, Table, spread
from tests.servers import LoopbackGemini
from tests.servers.records import SeenRequest
from tests.servers.replies import Reply, Slow
from tests.servers.replies import quota as refusal

__all__ = ["quota", "quota_probe"]

_RATE: Final = 20.0  # calls a second
_BURST: Final = 20
_WORKERS: Final = 50
_REFUSAL_SECONDS: Final = 0.02  # a server that grants nothing has nothing to think about
_LABELS: Final = {
    "sdk": "google-generativeai in 50 threads",
    "genai": "google-genai, asynchronous, 5 attempts",
    "langchain": "LangChain batch(), its defaults",
    "litellm": "LiteLLM batch_completion(), 3 retries",
    "ours": "ours, nothing configured",
    "known": "ours, REQUESTS_PER_MINUTE=1200",
}
_COLUMNS: Final = (
    ("answered", ".0f"), ("wall s", ".2f"), ("wall / ideal", ".3f"), ("refused calls", ".0f"), ("calls", ".0f"),
)  # fmt: skip
_NOTES: Final = (
    "One server in this process for all, a token bucket of 20 that gains 20 a second; it refuses within 20 ms, names",
    "the wait in RetryInfo, and starts full for each. Every answer checked; each contender in a fresh process,",
    "interleaved. Ours over gRPC, the others over REST, which all of them can be pointed at a plaintext server with.",
)
_STATED: Final = 5.2  # seconds
_PATIENCE: Final = 300.0


class _Bucket:
    """The server's rule. Called under the server's lock."""

    def __init__(self) -> None:
        self.refused = 0
        self.left = float(_BURST)
        self.at = time.monotonic()

    def __call__(self, seen: SeenRequest) -> Reply | None:
        now = time.monotonic()
        self.left = min(_BURST, self.left + (now - self.at) * _RATE)
        self.at = now
        if self.left >= 1:
            self.left -= 1
            return None
        self.refused += 1
        return Slow(_REFUSAL_SECONDS, refusal((1 - self.left) / _RATE))


def quota(bench: Bench) -> Result:
    """Everybody against the same limit."""
    count = bench.sizes.queries // 5
    ideal = max((count - _BURST) / _RATE, bench.sizes.latency)
    with LoopbackGemini(latency=bench.sizes.latency) as server:

        def measure(name: str) -> Mapping[str, Any]:
            bucket = _Bucket()
            before = server.calls
            server.set_script(bucket)
            found = _ask(bench, server, name, count)
            return {
                "answered": found["answered"],
                "wall_seconds": found["wall_seconds"],
                "wall_per_ideal": found["wall_seconds"] / ideal,
                "refused": bucket.refused,
                "calls": server.calls - before,
            }

        found, missing = interleaved(bench, list(_LABELS), measure)
        waited = [_stated_wait(bench, server) for _ in range(min(bench.sizes.repeat, 3))]
    names = ("answered", "wall_seconds", "wall_per_ideal", "refused", "calls")
    rows = [
        Row(label, note=f"not measured: {missing[name]}")
        if name in missing
        else Row(label, tuple(spread(each[column] for each in found[name]) for column in names))
        for name, label in _LABELS.items()
    ]
    title = f"{count} questions, {_WORKERS} at once, {_RATE:g} calls/s after a burst of {_BURST}, ideal {ideal:.1f} s"
    waits = Table(
        f"RetryInfo {_STATED:g} s",
        (("s until the next call", ".3f"), ("calls before it", ".0f")),
        (Row("ours", tuple(spread(values) for values in zip(*waited, strict=True))),),
    )
    bars = (
        *_bars(found, count),
        Bar("RetryInfo: calls before the stated instant", 0, max(early for _, early in waited), exact=True),
        Bar("RetryInfo: next call after it", 0.3, max(wait for wait, _ in waited) - _STATED, "s"),
    )
    return Result("quota", (Table(title, _COLUMNS, tuple(rows), _NOTES), waits), bars, {**found, "waited": waited})


def _stated_wait(bench: Bench, server: LoopbackGemini) -> tuple[float, float]:
    """Seconds from the last refusal of a crowd to the next call, and how many calls came before they had passed."""
    refused_at: list[float] = []
    later: list[float] = []

    def script(seen: SeenRequest) -> Reply | None:
        now = time.monotonic()
        if not refused_at or now < refused_at[0] + 0.5:
            refused_at.append(now)
            return Slow(_REFUSAL_SECONDS, refusal(_STATED))
        later.append(now)
        return None

    server.set_script(script)
    _ask(bench, server, "ours", _WORKERS)
    early = [at for at in later if at < refused_at[-1] + _STATED]
    return min(later) - refused_at[-1], float(len(early))


def _bars(found: Mapping[str, list[Mapping[str, Any]]], count: int) -> tuple[Bar, ...]:
    def median(contender: str, name: str) -> float | None:
        runs = found.get(contender)
        return spread(each[name] for each in runs).median if runs else None

    return (
        Bar("limit unknown: answered", count, median("ours", "answered"), exact=True),
        Bar("limit unknown: wall / ideal", 1.06, median("ours", "wall_per_ideal")),
        Bar("limit unknown: refused calls", 6, median("ours", "refused")),
        Bar("limit configured: answered", count, median("known", "answered"), exact=True),
        Bar("limit configured: wall / ideal", 1.03, median("known", "wall_per_ideal")),
        Bar("limit configured: refused calls", 0, median("known", "refused"), exact=True),
    )


def _ask(bench: Bench, server: LoopbackGemini, name: str, count: int) -> Mapping[str, Any]:
    if name in ("ours", "known"):
        given = {"port": server.grpc_endpoint.port, "count": count, "known": name == "known"}
        return bench.measure("quota:quota_probe", given)
    python = Path(os.environ.get("PEERS_PYTHON", ROOT / ".venv-peers" / "bin" / "python"))
    if not python.exists():
        raise Missing("`make bench` installs it")
    script = Path(__file__).with_name("quota_peers.py")
    command = [str(python), str(script), name, str(server.rest_endpoint.port), str(count), str(_WORKERS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode:
        raise Missing(f"failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    found: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def quota_probe(port: int, count: int, known: bool) -> dict[str, float]:
    """The whole program but for its menu, on one set of distinct questions."""
    from core.parallel_executor import ParallelExecutor
    from core.scope import Scope
    from core.settings import Endpoint, Secret, Settings
    from optimizers.assembly import build_model
    from optimizers.cache_manager import CacheManager
    from workflows.parallel_workflow import ParallelWorkflow

    settings = Settings(api_key=Secret("benchmark-key"), endpoint=Endpoint("127.0.0.1", port, True))
    settings = dataclasses.replace(settings, requests_per_minute=int(60 * _RATE) if known else None)
    parts = build_model(settings)
    parts.verify(Scope())
    queries = [f"question {number}: what is the capital of the country?" for number in range(count)]
    with ParallelExecutor(_WORKERS) as executor:
        graph = ParallelWorkflow(model=parts.model, executor=executor, cache=CacheManager()).create_workflow()
        gc.collect()
        started = time.perf_counter()
        outcomes = graph.invoke({"user_queries": queries})["report"].outcomes
        wall = time.perf_counter() - started
    parts.close()
    right = sum(
        outcome.answered and outcome.value.text == f"echo:{query}"
        for outcome, query in zip(outcomes, queries, strict=True)
    )
    return {"answered": float(right), "wall_seconds": wall}

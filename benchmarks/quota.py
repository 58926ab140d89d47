"""A limit nobody told us: 200 questions against a server that grants 20 a second, ours and other people's programs."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import ROOT, Bench, Measured, Missing, interleaved
from benchmarks.figures import Bar, Result, Row, Table, spread
from benchmarks.quota_server import ChanceFailures, QuotaRule, StatedWait
from tests.servers import LoopbackGemini

__all__ = ["CONTENDERS", "quota", "quota_probe", "side_by_side"]

_RATE: Final = 20.0  # calls a second
_BURST: Final = 20
_WORKERS: Final = 50
_OURS: Final = {"ours": "ours, nothing configured", "known": "ours, REQUESTS_PER_MINUTE=1200"}
CONTENDERS: Final = {
    "sdk": "google-generativeai in 50 threads",
    "genai": "google-genai, asynchronous, 5 attempts",
    "langchain": "LangChain batch(), its defaults",
    "litellm": "LiteLLM batch_completion(), 3 retries",
    **_OURS,
}
_COLUMNS: Final = (
    ("answered", ".0f"), ("wall s", ".2f"), ("wall / ideal", ".3f"), ("refused calls", ".0f"), ("calls", ".0f"),
)  # fmt: skip
_FIGURES: Final = ("answered", "wall_seconds", "wall_per_ideal", "refused", "calls")
_NOTES: Final = (
    "One server in this process for all, a token bucket of 20 that gains 20 a second; it refuses within 20 ms, names",
    "the wait in RetryInfo, and is full again for each. Every answer checked; each contender in a fresh process,",
    "interleaved; imports and connecting are not timed. Ours over gRPC, the others over REST, which all of them can be",
    "pointed at a plaintext server with. Who gives up early has a short wall time: look at the answered first.",
)
_PATIENCE: Final = 300.0


def quota(bench: Bench, contenders: Sequence[str] = tuple(CONTENDERS), *, stated: float = 5.2) -> Result:
    """Everybody against the same limit; then ours against a stated wait, and against failures by chance."""
    few = dataclasses.replace(bench, sizes=dataclasses.replace(bench.sizes, repeat=min(bench.sizes.repeat, 3)))
    with LoopbackGemini(latency=bench.sizes.latency) as server:
        compared, bars, found = side_by_side(bench, server, contenders, bench.sizes.queries // 5)
        waits, wait_bars, waited = _stated_wait(few, server, stated)
        failing, failing_bars, failed = _by_chance(few, server, bench.sizes.queries // 2)
    raw = {**found, "stated wait": waited, "failing": failed}
    return Result("quota", (compared, waits, failing), (*bars, *wait_bars, *failing_bars), raw)


def side_by_side(
    bench: Bench, server: LoopbackGemini, contenders: Sequence[str], count: int
) -> tuple[Table, list[Bar], dict[str, list[Measured]]]:
    """The comparison: table, bars, and every repetition by contender."""
    ideal = max((count - _BURST) / _RATE, bench.sizes.latency)

    def measure(name: str) -> Measured:
        rule = QuotaRule(_RATE, _BURST)
        server.set_script(rule)
        found = _ask(bench, server, name, count)
        ratio = found["wall_seconds"] / ideal
        return {**found, "wall_per_ideal": ratio, "refused": rule.refused, "calls": rule.calls}

    found, missing = interleaved(bench, contenders, measure)
    rows = [
        Row(CONTENDERS[name], note=f"not measured: {missing[name]}")
        if name in missing
        else Row(CONTENDERS[name], tuple(spread(each[figure] for each in found[name]) for figure in _FIGURES))
        for name in contenders
    ]
    versions = [version for name in found for version in found[name][0].get("versions", ())]
    title = f"{count} questions, {_WORKERS} at once, {_RATE:g} calls/s after a burst of {_BURST}, ideal {ideal:.1f} s"
    notes = (*_NOTES, f"Versions: {', '.join(versions)}.") if versions else _NOTES
    bars = _bars("limit unknown", count, 1.06, 6, found.get("ours"))
    bars += _bars("limit configured", count, 1.03, 0, found.get("known"))
    return Table(title, _COLUMNS, tuple(rows), notes), bars, found


def _bars(what: str, count: int, wall: float, refused: int, found: Sequence[Measured] | None) -> list[Bar]:
    def median(name: str) -> float | None:
        return spread(each[name] for each in found).median if found else None

    return [
        Bar(f"{what}: answered", count, median("answered"), exact=True),
        Bar(f"{what}: wall / ideal", wall, median("wall_per_ideal")),
        Bar(f"{what}: refused calls", refused, median("refused"), exact=not refused),
    ]


def _stated_wait(bench: Bench, server: LoopbackGemini, stated: float) -> tuple[Table, list[Bar], list[Measured]]:
    """A crowd is told to come back in so many seconds."""

    def measure(_: str) -> Measured:
        rule = StatedWait(stated)
        server.set_script(rule)
        _ask(bench, server, "ours", _WORKERS)
        return {"overslept": rule.overslept, "early": rule.early}

    found = interleaved(bench, ["waits"], measure)[0].get("waits", [])
    what = f"RetryInfo {stated:g} s"
    columns = (("next call s after it", ".3f"), ("calls before it", ".0f"))
    if not found:
        return Table(what, columns, (Row("ours", note="not measured"),)), [], found
    waits, early = (spread(each[name] for each in found) for name in ("overslept", "early"))
    bars = [
        Bar(f"{what}: calls before the stated instant", 0, early.high, exact=True),
        Bar(f"{what}: the next call after it", 0.3, waits.high, "s"),
    ]
    return Table(what, columns, (Row("ours", (waits, early)),)), bars, found


def _by_chance(bench: Bench, server: LoopbackGemini, count: int) -> tuple[Table, list[Bar], list[Measured]]:
    """Three of ten calls fail, whoever asks and however often."""

    def measure(_: str) -> Measured:
        rule = ChanceFailures()
        server.set_script(rule)
        found = _ask(bench, server, "ours", count)
        per_answer = rule.calls / max(found["answered"], 1)
        return {**found, "calls_per_answer": per_answer}

    found = interleaved(bench, ["fails"], measure)[0].get("fails", [])
    what = f"{count} questions, {_WORKERS} at once, 30 % of the calls fail with 500 or 503"
    columns = (("answered", ".0f"), ("wall s", ".2f"), ("calls / answer", ".3f"))
    if not found:
        return Table(what, columns, (Row("ours", note="not measured"),)), [], found
    names = ("answered", "wall_seconds", "calls_per_answer")
    answered, wall, per_answer = (spread(each[name] for each in found) for name in names)
    bars = [
        Bar("30 % of the calls fail: answered", count, answered.low, exact=True),
        Bar("30 % of the calls fail: calls per answer", 1.5, per_answer.median),
    ]
    return Table(what, columns, (Row("ours", (answered, wall, per_answer)),)), bars, found


def _ask(bench: Bench, server: LoopbackGemini, name: str, count: int) -> Mapping[str, Any]:
    if name in _OURS:
        given = {"port": server.grpc_endpoint.port, "count": count, "known": name == "known"}
        return bench.measure("quota:quota_probe", given)
    python = Path(os.environ.get("PEERS_PYTHON") or ROOT / ".venv-peers" / "bin" / "python")
    if not python.exists():
        raise Missing("`make bench-peers` installs it")
    script = Path(__file__).with_name("quota_peers.py")
    command = [str(python), str(script), name, str(server.rest_endpoint.port), str(count), str(_WORKERS)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise Missing(f"not done after {_PATIENCE:g} s") from error
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

"""What every benchmark is given: sizes, and a way to measure in a fresh process."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = [
    "QUICK", "ROOT", "Bench", "Measured", "Missing", "Sizes", "in_fresh_process", "in_this_process", "interleaved",
]  # fmt: skip

ROOT: Final = Path(__file__).resolve().parent.parent
_PATIENCE: Final = 300.0  # seconds for one measurement; only a defect takes that long

Measured = Mapping[str, Any]
Runner = Callable[[str, Mapping[str, Any]], Measured]


class Missing(Exception):
    """A contender cannot take part: something optional is not installed, or its probe failed."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. latency: seconds the loopback server takes; loads: (calls, in flight)."""

    repeat: int = 5
    latency: float = 0.2
    loads: tuple[tuple[int, int], ...] = ((1000, 50), (2000, 200))
    queries: int = 1000
    distinct: int = 10
    hang_timeout: float = 2.0
    tasks: int = 10_000
    workers: tuple[int, ...] = (5, 50, 200)
    hits: int = 20_000
    memory_queries: int = 10_000
    example_scale: float = 1.0


QUICK: Final = Sizes(
    repeat=1,
    latency=0.05,
    loads=((100, 20), (200, 100)),
    queries=200,
    hang_timeout=0.5,
    tasks=500,
    hits=1000,
    memory_queries=500,
    example_scale=0.1,
)


def in_fresh_process(name: str, given: Mapping[str, Any]) -> Measured:
    """Run the probe "module:function" of this package in a new interpreter.

    So its CPU seconds and memory are its own, and imports are over before it starts to count. A probe that fails
    is Missing, with its traceback on stderr: one contender's defect does not cost the others their figures.
    """
    command = [sys.executable, "-m", "benchmarks.probe", name, json.dumps(given)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode != 0:
        sys.stderr.write(f"probe {name} {dict(given)} failed:\n{done.stderr}")
        raise Missing(f"failed: {done.stderr.strip().splitlines()[-1]}")
    return _understood(json.loads(done.stdout.splitlines()[-1]))


def in_this_process(name: str, given: Mapping[str, Any]) -> Measured:
    """The same without a process of its own: for tests, which need no clean figures."""
    return _understood(call_probe(name, given))


def call_probe(name: str, given: Mapping[str, Any]) -> Measured:
    """Call benchmarks.<module>.<function>(**given); what is missing becomes {"missing": why}."""
    module, _, function = name.partition(":")
    try:
        measured: Measured = getattr(importlib.import_module(f"benchmarks.{module}"), function)(**given)
    except (Missing, ImportError) as error:
        return {"missing": str(error)}
    return measured


def _understood(measured: Measured) -> Measured:
    if "missing" in measured:
        raise Missing(measured["missing"])
    return measured


@dataclass(frozen=True, slots=True)
class Bench:
    """Handed to each benchmark. measure runs a probe; progress is told what is being measured."""

    sizes: Sizes = field(default_factory=Sizes)
    measure: Runner = in_fresh_process
    progress: Callable[[str], object] = lambda _: None


def interleaved(
    bench: Bench, contenders: Sequence[str], measure: Callable[[str], Measured]
) -> tuple[dict[str, list[Measured]], dict[str, str]]:
    """Measure A B A B …, so that what else the machine does falls on all alike.

    Returns the repetitions by contender, and for those that could not take part the reason.
    """
    found: dict[str, list[Measured]] = {contender: [] for contender in contenders}
    missing: dict[str, str] = {}
    for number in range(1, bench.sizes.repeat + 1):
        for contender in contenders:
            if contender in missing:
                continue
            bench.progress(f"{contender} ({number}/{bench.sizes.repeat})")
            try:
                found[contender].append(measure(contender))
            except Missing as error:
                missing[contender] = str(error)
                del found[contender]
    return found, missing

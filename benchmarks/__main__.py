"""Measure, and print tables; `python -m benchmarks NAME ...` for some of them only."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks.bench import QUICK, Bench, Sizes
from benchmarks.bulk import bulk
from benchmarks.calls import calls, layers
from benchmarks.figures import Bar, Result
from benchmarks.hedging import hedging
from benchmarks.horizons import horizons
from benchmarks.live_view import live_view
from benchmarks.machine import machine_facts
from benchmarks.memory import memory
from benchmarks.menu import menu
from benchmarks.overheads import cache, executor
from benchmarks.quota import quota
from benchmarks.rendering import bars_text, result_text
from benchmarks.runs import distinct, example, hang
from benchmarks.unlimited import unlimited

__all__ = ["BENCHMARKS", "main"]

BENCHMARKS: Final[Mapping[str, Callable[[Bench], Result]]] = {
    "calls": calls,
    "layers": layers,
    "distinct": distinct,
    "hang": hang,
    "executor": executor,
    "cache": cache,
    "menu": menu,
    "memory": memory,
    "example": example,
    "hedging": hedging,
    "quota": quota,
    "unlimited": unlimited,
    "horizons": horizons,
    "bulk": bulk,
    "live_view": live_view,
}
_BY_NAME_ONLY: Final = ("layers",)  # four minutes, and of use only to who looks for where the time goes


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    names = options.names or [name for name in BENCHMARKS if name not in _BY_NAME_ONLY]
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    sizes = QUICK if options.quick else Sizes()
    if options.repeat:
        sizes = dataclasses.replace(sizes, repeat=options.repeat)
    facts = machine_facts()
    _print_head(facts, sizes, options.quick)
    results = [_measured(name, sizes) for name in names]
    print(f"\n== what must hold\n{bars_text([bar for result in results for bar in result.bars])}")
    if options.json:
        options.json.write_text(_as_json(facts, sizes, results), encoding="utf-8")
    return 0  # a missed bar is a figure, not a failure: machines differ


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)} (all but layers)")
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it works, not to judge by")
    parser.add_argument("--repeat", type=int, help="repetitions of each measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every repetition there")
    return parser


def _print_head(facts: Mapping[str, str], sizes: Sizes, quick: bool) -> None:
    for name, fact in facts.items():
        print(f"{name:<12} {fact}")
    print(f"{'repetitions':<12} {sizes.repeat}, interleaved; shown as median (least-greatest)")
    if quick:
        print(f"{'quick':<12} small sizes: nothing here is to be judged by the bars")


def _measured(name: str, sizes: Sizes) -> Result:
    result = BENCHMARKS[name](Bench(sizes, progress=lambda what: _show_progress(f"{name}: {what}")))
    _show_progress("")
    print(f"\n{result_text(result)}", flush=True)
    return result


def _show_progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _as_json(facts: Mapping[str, str], sizes: Sizes, results: list[Result]) -> str:
    data = {
        "machine": facts,
        "sizes": dataclasses.asdict(sizes),
        "benchmarks": {result.name: result.raw for result in results},
        "bars": [_bar_data(bar) for result in results for bar in result.bars],
    }
    return json.dumps(data, ensure_ascii=False, indent=1)


def _bar_data(bar: Bar) -> Mapping[str, object]:
    return {**dataclasses.asdict(bar), "met": bar.met}


if __name__ == "__main__":
    raise SystemExit(main())

"""The benchmarks measure, and say what they measured. No test here looks at how fast anything is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.bench import Bench, Missing, Sizes, in_fresh_process, in_this_process, interleaved
from benchmarks.calls import calls, layers
from benchmarks.figures import Bar, Result, Row, Table, spread
from benchmarks.hedging import hedging
from benchmarks.memory import memory
from benchmarks.menu import menu
from benchmarks.overheads import cache, executor
from benchmarks.rendering import bars_text, result_text
from benchmarks.runs import distinct, example, hang

TINY = Sizes(
    repeat=1,
    latency=0.01,
    loads=((12, 4),),
    queries=20,
    distinct=3,
    hang_timeout=0.3,
    tasks=20,
    workers=(2,),
    hits=20,
    memory_queries=50,
    example_scale=0.01,
)
BENCH = Bench(TINY, measure=in_this_process)


def some_calls(bench: Bench) -> Result:
    return calls(bench, ("sleep", "sdk", "ours"))


def some_layers(bench: Bench) -> Result:
    return layers(bench, ("raw", "provider", "chain", "cache", "executor"))


@pytest.mark.parametrize(
    "benchmark", [some_calls, some_layers, distinct, hang, executor, cache, memory, example, hedging]
)
def test_every_benchmark_measures_something(benchmark: Callable[[Bench], Result]) -> None:
    """Each benchmark finds a figure for each of its contenders."""
    result = benchmark(BENCH)
    rows = [row for table in result.tables for row in table.rows]
    assert rows
    for row in rows:
        assert not row.note
        assert all(figure.high >= figure.low >= 0 for figure in row.figures)
        assert any(figure.median > 0 for figure in row.figures)
    assert all(bar.figure is not None for bar in result.bars)
    json.dumps(result.raw)


def test_of_many_equal_queries_the_distinct_ones_reach_the_model() -> None:
    """The promise that holds on any machine: one model call per distinct query."""
    (bar,) = distinct(BENCH).bars
    assert bar.figure == TINY.distinct
    assert bar.met


def test_the_menu_is_timed_on_a_terminal(tmp_path: Path) -> None:
    """A program that shows the menu's question is timed, warm and cold, and its own bytecode is left alone."""
    (tmp_path / "main.py").write_text("print('選擇操作:\\n\\033[1m請\\033[0m選擇 (1-6): ')", encoding="utf-8")
    result = menu(BENCH, tmp_path)
    assert [row.note for row in result.tables[0].rows] == ["", "", ""]
    assert result.bars[0].figure is not None
    assert [path.name for path in tmp_path.iterdir()] == ["main.py"]


def test_a_program_without_a_menu_is_not_timed(tmp_path: Path) -> None:
    """What ends without asking is reported as such, with its last words."""
    (tmp_path / "main.py").write_text("print('no menu today')", encoding="utf-8")
    result = menu(BENCH, tmp_path)
    assert "no menu today" in result.tables[0].rows[1].note
    assert result.bars[0].figure is None


def test_a_probe_runs_in_a_process_of_its_own() -> None:
    """A fresh interpreter measures and hands its figures back."""
    figures = in_fresh_process("overheads:cache_probe", {"kind": "lru_cache", "hits": 20})
    assert figures["microseconds"] > 0


def test_a_probe_that_fails_costs_only_its_own_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """The reason stands in the row, the traceback on stderr, and the others are measured."""
    with pytest.raises(Missing, match="KeyError: 'nonsense'"):
        in_fresh_process("overheads:cache_probe", {"kind": "nonsense", "hits": 20})
    assert "Traceback" in capsys.readouterr().err


def test_contenders_are_measured_in_turn() -> None:
    """A B A B, and who is missing once is not asked again."""
    asked: list[str] = []

    def measure(contender: str) -> dict[str, float]:
        asked.append(contender)
        if contender == "absent":
            raise Missing("not installed")
        return {"figure": len(asked)}

    found, missing = interleaved(Bench(Sizes(repeat=2)), ["one", "absent", "two"], measure)
    assert asked == ["one", "absent", "two", "one", "two"]
    assert found == {"one": [{"figure": 1}, {"figure": 4}], "two": [{"figure": 3}, {"figure": 5}]}
    assert missing == {"absent": "not installed"}


def test_tables_are_plain_text() -> None:
    """A whole table: median with its range, a row that was not measured, a note."""
    rows = (Row("threads", (spread([1.0, 3.0, 2.0]),)), Row("absent", note="not measured: not installed"))
    table = Table("calls", (("wall / ideal", ".2f"),), rows, ("distinct queries",))
    assert result_text(Result("calls", (table,))) == (
        "== calls\n"
        "            wall / ideal\n"
        "   threads  2.00 (1.00-3.00)\n"
        "   absent   not measured: not installed\n"
        "   distinct queries"
    )


def test_bars_are_marked() -> None:
    """Met, missed, exact and not measured are told apart."""
    bars = [Bar("a", 2, 2, "s"), Bar("b", 2, 3), Bar("c", 10, 9, exact=True), Bar("d", 1, None)]
    marks = [line.split()[-1] for line in bars_text(bars).splitlines()[1:]]
    assert marks == ["met", "MISSED", "MISSED", "measured"]


def test_the_command_prints_tables_and_writes_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m benchmarks cache --quick --json FILE`: machine, table, bars; the file holds every repetition."""
    monkeypatch.setattr(command, "BENCHMARKS", {"cache": lambda bench: cache(BENCH)})
    assert command.main(["cache", "--quick", "--json", str(tmp_path / "figures.json")]) == 0
    printed = capsys.readouterr().out
    assert "load before" in printed
    assert "CacheManager.get" in printed
    assert "what must hold" in printed
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert figures["benchmarks"]["cache"]["get"][0]["microseconds"] > 0
    assert [bar["promise"] for bar in figures["bars"]]


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The message says which benchmarks there are; nothing is measured."""
    with pytest.raises(SystemExit):
        command.main(["nonsense"])
    captured = capsys.readouterr()
    assert "nonsense" in captured.err
    assert "calls, layers, distinct" in captured.err
    assert captured.out == ""

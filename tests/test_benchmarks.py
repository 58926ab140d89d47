"""The benchmarks measure, and say what they measured. No test here looks at how fast this machine is."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as command
from benchmarks.bench import Bench, Missing, Sizes, in_fresh_process, in_this_process, interleaved
from benchmarks.calls import calls, layers
from benchmarks.figures import Bar, Result, Row, Table, spread
from benchmarks.hedging import hedging
from benchmarks.horizons import horizons
from benchmarks.memory import memory
from benchmarks.menu import menu
from benchmarks.overheads import cache, executor
from benchmarks.quota import CONTENDERS, quota, side_by_side
from benchmarks.quota_peers import PACKAGES, PEERS
from benchmarks.quota_plot import draw, quota_run
from benchmarks.quota_server import WARM_UP, ChanceFailures, QuotaRule, StatedWait
from benchmarks.rendering import bars_text, result_text
from benchmarks.runs import distinct, example, hang
from benchmarks.unlimited import unlimited
from tests.servers import LoopbackGemini, SeenRequest
from tests.servers.replies import Failure, Slow

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


@functools.cache
def some_quota(bench: Bench) -> Result:
    return quota(bench, ("ours", "known"), stated=1.0)


@functools.cache
def some_horizons(bench: Bench) -> Result:
    return horizons(bench)


def compared(contender: str) -> Table:
    with LoopbackGemini() as server:
        return side_by_side(BENCH, server, (contender,), 4)[0]


@pytest.mark.parametrize(
    "benchmark",
    [
        some_calls, some_layers, distinct, hang, executor, cache, memory, example, hedging, some_quota, unlimited,
        some_horizons,
    ],
)  # fmt: skip
def test_every_benchmark_measures_something(benchmark: Callable[[Bench], Result]) -> None:
    """Each benchmark finds a figure for each of its contenders."""
    result = benchmark(BENCH)
    rows = [row for table in result.tables for row in table.rows]
    assert rows
    for row in rows:
        assert not row.note
        # Memory beyond idle may be less than nothing here, in a process that has used more before.
        assert all(figure.high >= figure.low >= 0 or benchmark is memory for figure in row.figures)
        assert any(figure.median > 0 for figure in row.figures)
    assert all(bar.figure is not None for bar in result.bars)
    json.dumps(result.raw)


def test_of_many_equal_queries_the_distinct_ones_reach_the_model() -> None:
    """The promise that holds on any machine: one model call per distinct query."""
    (bar,) = distinct(BENCH).bars
    assert bar.figure == TINY.distinct
    assert bar.met


def test_whatever_the_limiter_does_nothing_is_lost_and_nobody_comes_early() -> None:
    """The promises that hold on any machine: all answered, no call before a stated wait is over, nothing lost."""
    steady = {bar.promise: bar for bar in (*some_quota(BENCH).bars, *some_horizons(BENCH).bars) if bar.exact}
    assert len(steady) == 6
    assert [promise for promise, bar in steady.items() if not bar.met] == []


def test_the_bars_say_what_was_missed() -> None:
    """A sliding log of ten a minute takes longer than the bar allows, and the table does not hide it."""
    missed = [bar.promise for bar in some_horizons(BENCH).bars if not bar.met and bar.unit != "us"]
    assert missed == ["300 calls, 10/min in a sliding log: time / ideal"]


def test_the_rule_grants_a_burst_and_then_so_many_a_second() -> None:
    """A refusal states the time to the next token; a warm-up costs none and is not counted."""
    clock = SimpleNamespace(now=0.0)
    rule = QuotaRule(rate=10.0, burst=2, clock=lambda: clock.now)
    assert rule(asked(WARM_UP)) is None
    assert [rule(asked("q")) for _ in range(2)] == [None, None]
    refused = rule(asked("q"))
    assert isinstance(refused, Slow)
    assert isinstance(refused.reply, Failure)
    assert (refused.reply.http, refused.reply.details[1]["retryDelay"]) == (429, "0.1s")
    clock.now += 0.1
    assert rule(asked("q")) is None
    assert (rule.calls, rule.refused) == (4, 1)


def test_who_comes_before_the_stated_wait_is_over_is_seen() -> None:
    """The wait counts from the moment at which the last refusal can have arrived."""
    clock = SimpleNamespace(now=0.0)
    rule = StatedWait(5.2, clock=lambda: clock.now)
    rule(asked("the first"))
    clock.now = 0.1
    rule(asked("one that had started already"))
    clock.now = 5.31
    assert rule(asked("too early")) is None
    assert rule.early == 1
    clock.now = 5.4
    rule(asked("on time"))
    assert rule.early == 1
    assert rule.overslept == pytest.approx(-0.01)


def test_three_of_ten_calls_fail_with_either_error() -> None:
    """The share is exact; 500 and 503 take turns."""
    rule = ChanceFailures()
    failures = [reply.http for reply in (rule(asked("q")) for _ in range(100)) if isinstance(reply, Failure)]
    assert failures == [500, 503] * 15
    assert rule.calls == 100


def asked(text: str) -> SeenRequest:
    return SeenRequest(method="generate", transport="rest", model="models/m", text=text)


def test_without_the_other_programs_their_rows_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment for them: the row names the command."""
    monkeypatch.setenv("PEERS_PYTHON", "/nonexistent/python")
    assert compared("sdk").rows[0].note == "not measured: `make bench-peers` installs it"


def test_another_program_that_fails_is_reported_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment lacks what it needs: the reason stands in its row."""
    monkeypatch.setenv("PEERS_PYTHON", sys.executable)
    assert compared("litellm").rows[0].note == "not measured: failed: ModuleNotFoundError: No module named 'litellm'"


def test_another_program_is_asked_in_its_own_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bare SDK answers rightly over REST; the versions stand in the notes, the warm-up is not counted."""
    monkeypatch.setenv("PEERS_PYTHON", sys.executable)
    table = compared("sdk")
    answered, _, _, refused, calls = (figure.median for figure in table.rows[0].figures)
    assert (answered, refused, calls) == (4, 0, 4)
    assert table.notes[-1].startswith("Versions: google-generativeai 0.8.")


def test_every_other_program_can_be_called_by_its_name() -> None:
    """What the table names, the script knows, and tells the versions of."""
    assert set(PEERS) == set(PACKAGES) == set(CONTENDERS) - {"ours", "known"}


def test_equal_runs_give_equal_drawings() -> None:
    """The drawing has no date, no script and nothing of chance in it, and marks what was refused."""
    run = quota_run(300)
    drawing = draw(run)
    assert drawing == draw(quota_run(300))
    assert drawing.startswith("<svg")
    assert drawing.count("<circle") == len(run.refused) > 0
    assert "<script" not in drawing
    assert "Generated" not in drawing


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

"""`history` and `stats`, in this process: what goes where, and the exit codes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import UsageError
from core.history import stored_report
from core.outcome import MISSING, Answer, CallFigures, Outcome, OutcomeKind, RunReport, Usage
from core.settings import Settings
from optimizers.run_history import RunHistory
from utils.console import Console
from utils.interrupts import Interrupts
from utils.run_export import items_of
from workflows.command_line import CommandLine, read_options, run_command
from workflows.engine import Engine
from workflows.stored_runs import instant, items_of_run

Call = Callable[..., tuple[int, str, str]]


def outcome(number: int, text: str | None) -> Outcome[Answer]:
    name, figures = f"q{number}", CallFigures(1, 0.0, 0.5, Usage(3, 4))
    if text is None:
        return Outcome(name, name, OutcomeKind.FAILED, 0.0, 1.0, 0.0, MISSING, reason="壞了", figures=figures)
    return Outcome(name, name, OutcomeKind.ANSWERED, 0.0, 1.0, 0.0, Answer(text, "m"), figures=figures)


def report(*answers: str | None) -> RunReport[Answer]:
    return RunReport(tuple(outcome(number, text) for number, text in enumerate(answers)), 0.0, 2.0)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return tmp_path


@pytest.fixture
def history(home: Path) -> RunHistory:
    history = RunHistory(home / "data" / "parallel_processing" / "history.sqlite3")
    history.add("蘋果", ["蘋果是什麼", "香蕉是什麼"], report("一種水果", None), model="m")
    history.add("並行", ["並行是什麼"], report("同時做事"), model="m")
    return history


@pytest.fixture
def call(home: Path) -> Iterator[Call]:
    engines = []

    def call(*arguments: str, settings: Settings | None = None) -> tuple[int, str, str]:
        out, notes = io.StringIO(), io.StringIO()
        engine = Engine(settings or Settings(offline_scale=0.0))
        engines.append(engine)
        console = Console(stdin=io.StringIO(), stdout=notes, environ={})
        screen = Console(stdin=io.StringIO(), stdout=out, stderr=notes, environ={})
        line = CommandLine(engine, screen, console, Interrupts(), None, errors=console)
        code = run_command(read_options(arguments, version="1"), line)
        return code, out.getvalue(), notes.getvalue()

    yield call
    for engine in engines:
        engine.close()


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("history")
def test_runs_are_listed_newest_first(call: Call) -> None:
    """As a table, or a line of JSON for each; `list` may be left out, and a limit holds."""
    assert [row["id"] for row in rows(call("history", "--json")[1])] == [2, 1]
    assert [row["id"] for row in rows(call("history", "list", "--json", "--limit", "1")[1])] == [2]
    code, out, err = call("history")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["2", "1"]


@pytest.mark.usefixtures("history")
def test_runs_are_searched(call: Call) -> None:
    """Questions and answers; what is not found is told beside the empty result."""
    assert [row["id"] for row in rows(call("history", "search", "水果", "--json")[1])] == [1]
    assert [row["id"] for row in rows(call("history", "list", "--search", "並行", "--json")[1])] == [2]
    assert call("history", "search", "沒有的字") == (0, "", "🗂️ 沒有符合的執行紀錄\n")


@pytest.mark.usefixtures("history")
def test_a_run_is_shown_whole(call: Call) -> None:
    """Figures, then each question with its whole answer or why there is none; in JSON the run comes first."""
    _, out, _ = call("history", "show", "1")
    assert "🗂️ 執行紀錄 #1: 蘋果" in out
    assert "│ 一種水果" in out
    assert "❌ 壞了" in out
    run, first, second = rows(call("history", "show", "1", "--json")[1])
    assert (run["id"], run["questions"], run["answered"], run["usd"]) == (1, 2, 1, None)
    assert run["counts"] == {"answered": 1, "failed": 1}
    assert (first["run"], first["number"], first["answer"], first["source"]) == (1, 1, "一種水果", "model")
    assert (second["outcome"], second["answer"], second["reason"], second["source"]) == ("failed", None, "壞了", "")


def test_a_run_is_exported_as_the_menu_does_it(history: RunHistory, call: Call, home: Path) -> None:
    """The items are those of the report; an existing file stays unless the caller says so."""
    path = home / "run.jsonl"
    assert call("history", "export", "1", "--out", str(path))[0] == 0
    assert [row["question"] for row in rows(path.read_text(encoding="utf-8"))] == ["蘋果是什麼", "香蕉是什麼"]
    run = history.run(1)
    assert run is not None
    items = list(history.items(1))
    assert list(items_of_run(items)) == list(items_of([each.question for each in items], stored_report(run, items)))
    with pytest.raises(UsageError, match="檔案已經存在"):
        call("history", "export", "1", "--out", str(path))
    other = ("history", "export", "1", "--out", str(path), "--overwrite", "--format", "md", "--json")
    assert rows(call(*other)[1]) == [{"id": 1, "file": str(path), "questions": 2}]
    assert path.read_text(encoding="utf-8").startswith("#")


def test_runs_are_deleted_only_with_a_yes(history: RunHistory, call: Call) -> None:
    """All of them are there, or none is deleted."""
    with pytest.raises(UsageError, match="請加上 --yes 表示同意"):
        call("history", "delete", "1")
    with pytest.raises(UsageError, match="沒有編號 9 的紀錄"):
        call("history", "delete", "1", "9", "--yes")
    assert history.run(1) is not None
    assert rows(call("history", "delete", "1", "1", "--yes", "--json")[1]) == [{"deleted": [1]}]
    assert history.run(1) is None


@pytest.mark.usefixtures("history")
def test_two_runs_are_compared(call: Call) -> None:
    """Side by side, or as both objects with the second's figures less the first's."""
    assert "📊 兩次執行的比較" in call("history", "compare", "1", "2")[1]
    (found,) = rows(call("history", "compare", "1", "2", "--json")[1])
    assert (found["before"]["id"], found["after"]["id"]) == (1, 2)
    assert found["change"]["questions"] == -1
    assert "usd" not in found["change"]
    assert "id" not in found["change"]


def test_a_run_is_asked_again(history: RunHistory, call: Call) -> None:
    """Whole, or only what has no answer; where all have one nothing is asked."""
    code, out, _ = call("history", "rerun", "1", "--failed", "--json")
    assert (code, [row["question"] for row in rows(out)]) == (0, ["香蕉是什麼"])
    code, out, _ = call("history", "rerun", "1")
    assert (code, out.count("📝 問題")) == (0, 2)
    assert call("history", "rerun", "2", "--failed") == (0, "", "🎉 那次的每個問題都有回答, 沒有需要重問的\n")
    assert [run.questions for run in history.runs()] == [2, 1, 1, 2]


def test_runs_are_pruned_by_count_and_by_age(history: RunHistory, call: Call) -> None:
    """How many went is told."""
    assert rows(call("history", "prune", "--older-than", "1", "--json")[1]) == [{"deleted": 0}]
    assert call("history", "prune", "--keep", "1") == (0, "", "✅ 已刪除 1 次紀錄\n")
    assert [run.id for run in history.runs()] == [2]
    assert rows(call("history", "prune", "--older-than", "0", "--json")[1]) == [{"deleted": 1}]


@pytest.mark.parametrize("arguments", [("history",), ("history", "show", "1"), ("stats",), ("stats", "--json")])
def test_switched_off_is_one_sentence(call: Call, arguments: tuple[str, ...]) -> None:
    """Which says how to switch it on; a usage error, so exit code 2."""
    with pytest.raises(UsageError, match="HISTORY=on"):
        call(*arguments, settings=Settings(history=False))


@pytest.mark.parametrize("arguments", [("history",), ("stats",), ("history", "prune", "--keep", "1")])
def test_a_file_that_makes_trouble_is_exit_code_1(call: Call, history: RunHistory, home: Path, arguments: Any) -> None:
    """It is told, and not passed off as an empty history; the next call begins a new one."""
    path = home / "data" / "parallel_processing" / "history.sqlite3"
    path.write_bytes(b"no database" * 1000)
    code, _, err = call(*arguments)
    assert code == 1
    assert "⚠️ 執行紀錄已損壞, 改名為 history.sqlite3.corrupt-" in err
    assert call(*arguments)[0] == 0


@pytest.mark.usefixtures("history")
def test_the_totals_are_written(call: Call) -> None:
    """As text, or as one object with models and days."""
    code, out, err = call("stats")
    assert (code, err) == (0, "")
    assert "題數      3" in out
    (found,) = rows(call("stats", "--json")[1])
    assert (found["runs"], found["questions"], found["counts"]) == (2, 3, {"answered": 2, "failed": 1})
    assert (found["service_p50"], found["service_count"], found["unpriced_runs"]) == (0.5, 3, 2)
    assert found["models"]["m"]["questions"] == 3
    (day,) = found["days"].values()
    assert day["runs"] == 2


def test_an_instant_is_of_the_calendar_or_absent() -> None:
    """In UTC, to the second."""
    assert instant(0.0) == "1970-01-01T00:00:00Z"
    assert instant(None) is None
    assert instant(1e300) is None

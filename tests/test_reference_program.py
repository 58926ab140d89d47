"""A program written against the reference's API alone runs on ours unchanged, offline and against a Gemini."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.program import ROOT, environment, fresh_home
from tests.servers import LoopbackGemini, SeenRequest
from tests.servers.replies import Body, answer

# Nothing here may use what the reference's API does not have.
PROGRAM = '''\
import json

from core.parallel_executor import ParallelExecutor, ParallelTask
from optimizers.batch_processor import BatchProcessor
from optimizers.cache_manager import CacheManager
from utils.performance_monitor import PerformanceMonitor
from workflows.parallel_workflow import ParallelWorkflow, ParallelWorkflowState

monitor = PerformanceMonitor()
workflow = ParallelWorkflow()
figures = {"default workers": 5, "default ttl": workflow.cache.default_ttl}
workflow.executor = ParallelExecutor(max_workers=3)
workflow.cache = CacheManager(default_ttl=60)
app = workflow.create_workflow()


@monitor.measure_time(name="parallel_workflow")
def run(queries):
    state: ParallelWorkflowState = {
        "user_queries": queries,
        "parallel_results": {},
        "aggregated_response": "",
        "execution_time": 0.0,
    }
    return app.invoke(state)


first = run(["Python 的主要特性是什麼?", "機器學習的基本概念", "什麼是 REST API?"])
second = app.invoke({"user_queries": ["機器學習的基本概念"]})
figures["keys"] = sorted(first["parallel_results"])
figures["queries"] = first["user_queries"]
figures["texts"] = [type(text).__name__ for text in first["parallel_results"].values()]
figures["aggregated"] = first["aggregated_response"]
figures["execution_time"] = first["execution_time"]
figures["same"] = second["parallel_results"]["query_0"] == first["parallel_results"]["query_1"]
figures["executor"] = workflow.executor.get_stats()
figures["cache"] = workflow.cache.get_stats()

cache = CacheManager(default_ttl=300)
cache.set("key", {"value": 1}, ttl=10)
figures["get"] = [cache.get("key"), cache.get("absent")]
cache.invalidate("key")
calls = []


@cache.cached(ttl=60)
def square(number):
    calls.append(number)
    return number * number


figures["squares"] = [square(3), square(3), square(4)]
figures["calls"] = calls
cache.clear_all()
figures["cleared"] = cache.get_stats()["cache_size"]

batch = BatchProcessor(batch_size=2)
figures["batch"] = batch.process_batch([1, 2, 0], lambda number: 2 // number, show_progress=False)
figures["analysed"] = BatchProcessor().batch_analyze_texts(["很好", "很差"], analysis_type="sentiment")
figures["default type"] = BatchProcessor().batch_analyze_texts(["普通"])

executor = ParallelExecutor()
figures["executed"] = executor.execute_parallel(
    [
        ParallelTask(id="a", name="adds", function=lambda x, y: x + y, args=(1,), kwargs={"y": 2}, timeout=5.0),
        ParallelTask("b", "fails", lambda: [][0]),
    ]
)
figures["nothing"] = executor.execute_parallel([])

monitor.print_report()
figures["monitor"] = monitor.get_statistics("parallel_workflow")
figures["all"] = list(monitor.get_statistics())
figures["unknown"] = monitor.get_statistics("unknown")
print("FIGURES", json.dumps(figures))
'''


def run_program(home: Path, environ: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The program's own output and its figures; it must end well and say nothing on stderr."""
    script = home / "program.py"
    script.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=home,
        env=environment(home, {"PYTHONPATH": str(ROOT), **environ}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    shown, figures = done.stdout.split("FIGURES ")
    return shown, json.loads(figures)


def as_gemini(request: SeenRequest) -> Body | None:
    """Answers an analysis in the form it asks for, and everything else with an echo."""
    return answer('{"result": "正面"}') if request.system_instruction else None


@pytest.mark.parametrize("transport", ["", "grpc", "rest"], ids=["offline", "grpc", "rest"])
def test_the_reference_program_runs_unchanged(tmp_path: Path, transport: str) -> None:
    """Exit code 0, silence on stderr, every promised key with its meaning."""
    home = fresh_home(tmp_path)
    if not transport:
        check(*run_program(home, {}))
        return
    with LoopbackGemini(script=as_gemini) as server:
        environ = {
            "GEMINI_API_KEY": "some-key",
            "GEMINI_TRANSPORT": transport,
            "GEMINI_API_ENDPOINT": server.endpoint(transport).authority,
        }
        shown, figures = run_program(home, environ)
        check(shown, figures)
        assert server.calls == 6
        assert {request.model for request in server.requests} == {"models/gemini-2.5-flash"}
        assert all("echo:" in line for line in figures["aggregated"].splitlines() if line.startswith("   │"))


def check(shown: str, figures: dict[str, Any]) -> None:
    assert figures["default ttl"] == 300
    assert figures["keys"] == ["query_0", "query_1", "query_2"]
    assert figures["queries"][1] == "機器學習的基本概念"
    assert figures["texts"] == ["str"] * 3
    assert figures["same"] is True
    assert figures["execution_time"] > 0
    for part in ("1. Python 的主要特性是什麼?", "✅ 成功: 3/3", "總時間", "平均每個查詢", "快取命中率"):
        assert part in figures["aggregated"]
    executor = figures["executor"]
    assert {key: executor[key] for key in ("total_tasks", "successful_tasks", "failed_tasks", "success_rate")} == {
        "total_tasks": 4, "successful_tasks": 4, "failed_tasks": 0, "success_rate": 1.0,
    }  # fmt: skip
    assert executor["total_time"] > 0
    assert executor["average_time"] >= 0
    cache = figures["cache"]
    assert (cache["cache_size"], cache["hit_count"], cache["miss_count"], cache["hit_rate"]) == (3, 1, 3, 0.25)
    assert figures["get"] == [{"value": 1}, None]
    assert (figures["squares"], figures["calls"], figures["cleared"]) == ([9, 9, 16], [3, 4], 0)
    good, also_good, bad = figures["batch"]
    assert (good, also_good) == (
        {"item": 1, "result": 2, "success": True},
        {"item": 2, "result": 1, "success": True},
    )
    assert (bad["item"], bad["success"], sorted(bad)) == (0, False, ["error", "item", "success"])
    analysed = figures["analysed"] + figures["default type"]
    assert [result["item"] for result in analysed] == ["很好", "很差", "普通"]
    assert {result["result"] for result in analysed} <= {"正面", "中性", "負面"}
    check_executed(figures["executed"], figures["nothing"])
    assert "parallel_workflow" in shown
    assert "呼叫次數: 1" in shown
    assert figures["all"] == ["parallel_workflow"]
    assert figures["unknown"] == {}
    monitor = figures["monitor"]
    assert (monitor["function"], monitor["call_count"]) == ("parallel_workflow", 1)
    assert all(monitor[key] > 0 for key in ("total_time", "avg_time", "min_time", "max_time", "median_time"))


def check_executed(executed: dict[str, Any], nothing: dict[str, Any]) -> None:
    assert executed["results"] == {"a": 3}
    assert list(executed["errors"]) == ["b"]
    assert isinstance(executed["errors"]["b"], str)
    assert (executed["success"], executed["tasks_count"], executed["success_rate"]) == (False, 2, 0.5)
    assert executed["execution_time"] > 0
    assert (nothing["success"], nothing["results"], nothing["errors"], nothing["tasks_count"]) == (True, {}, {}, 0)
    assert set(nothing) == set(executed)

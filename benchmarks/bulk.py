"""A hundred thousand texts: requests, memory, the journal's cost, and what a resume takes."""

from __future__ import annotations

import contextlib
import gc
import json
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.bench import Bench, interleaved
from benchmarks.figures import Bar, Result, Row, Table, spread
from benchmarks.loopback import server_process
from benchmarks.memory import peak_memory
from tests.servers.labels import Labeller, label_of

__all__ = ["bulk", "bulk_probe", "resume_probe", "server_probe"]

_MIB: Final = 2**20
_NOTES: Final = (
    "Texts of about 20 characters in a file, one a line; the whole way from the file to the journal. Row one: a model",
    "in the same process that takes 10 ms, 50 workers, a fresh process; idle is after a run of 500. The others: over",
    "gRPC against a labelling server, which is deterministic. Every label is checked. The journal's time is the wall",
    "time of its transactions, from their begin to the disk's word that they are kept.",
)


def bulk(bench: Bench) -> Result:
    """Packed, faulty, unpacked, resumed."""
    many, some = 10 * bench.sizes.tasks, bench.sizes.tasks
    probes: dict[str, Callable[[], Mapping[str, Any]]] = {
        "many": lambda: bench.measure("bulk:bulk_probe", {"count": many, "latency": 0.01}),
        "packed": lambda: bench.measure("bulk:server_probe", {"count": some, "faulty": 0.0}),
        "faulty": lambda: bench.measure("bulk:server_probe", {"count": some, "faulty": 0.1}),
        "single": lambda: _unpacked(bench, some // 5),
        "resume": lambda: bench.measure("bulk:resume_probe", {"count": many}),
    }
    found, missing = interleaved(bench, list(probes), lambda name: probes[name]())
    labels = {
        "many": f"{many:,} texts, packed, 10 ms",
        "packed": f"{some:,} texts, packed, real SDK",
        "faulty": f"{some:,} texts, 10 % of packed answers spoiled",
        "single": f"{some // 5:,} texts, one a request, 50 in flight, {bench.sizes.latency * 1000:g} ms",
        "resume": f"{many:,} texts, all but 10 done: first request",
    }
    rows = [
        Row(label, note=f"not measured: {missing[name]}")
        if name in missing
        else Row(label, tuple(spread(each.get(column, 0.0) for each in found[name]) for column in _FIGURES))
        for name, label in labels.items()
    ]
    title = "bulk analysis"
    return Result("bulk", (Table(title, _COLUMNS, tuple(rows), _NOTES),), _bars(found, many, some), found)


_FIGURES: Final = ("seconds", "requests", "wrong", "beyond", "journal_us", "per_ideal")
_COLUMNS: Final = (
    ("seconds", ".2f"), ("requests", ".0f"), ("lost or wrong", ".0f"), ("MiB beyond idle", ".1f"),
    ("journal us / text", ".1f"), ("wall / ideal", ".3f"),
)  # fmt: skip


def _bars(found: Mapping[str, list[Mapping[str, Any]]], many: int, some: int) -> tuple[Bar, ...]:
    def median(name: str, figure: str) -> float | None:
        runs = found.get(name)
        return spread(each[figure] for each in runs).median if runs else None

    clean, faulty = median("packed", "requests"), median("faulty", "requests")
    return (
        Bar(f"{many:,} texts: memory beyond idle", 40, median("many", "beyond"), "MiB"),
        Bar(f"{many:,} texts: lost or wrong", 0, median("many", "wrong"), exact=True),
        Bar(f"{many:,} texts: requests", 0.06 * many, median("many", "requests")),
        Bar(f"{many:,} texts: journal", 60, median("many", "journal_us"), "us/text"),
        Bar(f"{some:,} texts: requests", 0.05 * some, clean),
        Bar(f"{some:,} texts: labels unlike those of single requests", 0, median("packed", "wrong"), exact=True),
        Bar("spoiled answers: requests, to those without", 1.25, faulty / clean if clean and faulty else None),
        Bar("spoiled answers: lost or wrong", 0, median("faulty", "wrong"), exact=True),
        Bar("unpacked: wall / ideal", 1.06, median("single", "per_ideal")),
        Bar("resume: first request", 2.0, median("resume", "seconds"), "s"),
    )


class _Label:
    """A ChatModel that labels at once, after latency seconds. Thread-safe."""

    identity = "labels"

    def __init__(self, latency: float, on_call: Callable[[], object] = lambda: None) -> None:
        self._latency = latency
        self._on_call = on_call

    def generate(self, prompt: Any, scope: Any) -> Any:
        self._on_call()
        scope.sleep(self._latency)
        data = json.loads(prompt.text)
        if "text" in data:
            return _answer(json.dumps({"result": label_of(data["text"])}))
        results = [{"id": each["id"], "result": label_of(each["text"])} for each in data["texts"]]
        return _answer(json.dumps({"results": results}))


def _answer(text: str) -> Any:
    from core.outcome import Answer, Usage

    return Answer(text, "labels", Usage(100, 50))


def bulk_probe(count: int, latency: float) -> dict[str, float]:
    """The run of many texts, its memory and its journal."""
    from optimizers.schema_model import SchemaModel

    with tempfile.TemporaryDirectory() as folder:
        model = SchemaModel(_measured(_Label(latency)))
        _run(model, Path(folder), "warm-up", 500, 50)
        gc.collect()
        idle = psutil.Process().memory_info().rss
        with peak_memory() as peak:
            figures = _run(model, Path(folder), "many", count, 50)
    return {**figures, "beyond": (peak[0] - idle) / _MIB}


def server_probe(
    count: int, faulty: float, port: int = 0, workers: int = 50, pack: int | None = None
) -> dict[str, float]:
    """The same through the real SDK, to the server at that port or to one of our own."""
    from core.scope import Scope
    from core.settings import Endpoint, Secret, Settings
    from optimizers.assembly import build_model
    from tests.servers import LoopbackGemini

    with contextlib.ExitStack() as stack:
        if not port:
            server = stack.enter_context(LoopbackGemini(latency=0.02, script=Labeller(faulty=faulty)))
            port = server.grpc_endpoint.port
        settings = Settings(api_key=Secret("benchmark-key"), endpoint=Endpoint("127.0.0.1", port, True))
        parts = stack.enter_context(contextlib.closing(build_model(settings)))
        parts.verify(Scope())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if pack == 1:
            _run(parts.model, folder, "warm-up", 10 * workers, workers, pack)
        return _run(parts.model, folder, "texts", count, workers, pack)


def _unpacked(bench: Bench, count: int) -> Mapping[str, Any]:
    latency, workers = bench.sizes.latency, 50
    with server_process(latency=latency, labels=True) as server:
        given = {"count": count, "faulty": 0.0, "port": server.grpc_port, "workers": workers, "pack": 1}
        found = bench.measure("bulk:server_probe", given)
    return {**found, "per_ideal": found["seconds"] / (-(-count // workers) * latency)}


def resume_probe(count: int) -> dict[str, float]:
    """Seconds from the opening of a nearly finished journal to the first request, the look at the input included."""
    from core.bulk import ItemResult, RequestCost, text_key
    from core.outcome import OutcomeKind
    from core.parallel_executor import ParallelExecutor
    from core.scope import Scope
    from optimizers.analyses import ANALYSES
    from optimizers.bulk_runner import BulkRunner
    from optimizers.journal import Journal, Standing
    from utils.source_preview import look_at
    from utils.text_source import TextSource

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = _written(folder, "texts", count)
        spec = _spec(path)
        with Journal(folder / "journal", spec) as journal:
            done = [text_key(_text("texts", number)) for number in range(count - 10)]
            for start in range(0, len(done), 1000):
                results = [
                    ItemResult(key, OutcomeKind.ANSWERED, '{"result": "正面"}') for key in done[start : start + 1000]
                ]
                journal.record(results, RequestCost(1))
        first: list[float] = []
        lock = threading.Lock()

        def called() -> None:
            with lock:
                first.append(time.perf_counter())

        started = time.perf_counter()
        with Journal(folder / "journal", spec) as journal, ParallelExecutor(5) as executor:
            source = TextSource(path)
            preview = look_at(source, lambda key: journal.standing(key) is Standing.ANSWERED)
            runner = BulkRunner(
                model=_Label(0.0, called), executor=executor, journal=journal, analysis=ANALYSES["sentiment"],
                expected=preview.distinct,
            )  # fmt: skip
            runner.run(source.items(), scope=Scope(), done_first=preview.done_first)
    return {"seconds": first[0] - started}


def _measured(model: Any) -> Any:
    from optimizers.measured_model import MeasuredModel

    return MeasuredModel(model)


def _run(model: Any, folder: Path, name: str, count: int, workers: int, pack: int | None = None) -> dict[str, float]:
    """Analyse a file of texts and check every label."""
    from core.parallel_executor import ParallelExecutor
    from core.scope import Scope
    from optimizers.analyses import ANALYSES
    from optimizers.bulk_runner import BulkRunner
    from optimizers.journal import Journal
    from optimizers.pack_size import PackSize
    from utils.text_source import TextSource

    path = _written(folder, name, count)
    spent: list[float] = []

    class Timed(Journal):
        def _transaction(self, work: Callable[[], Any]) -> Any:
            begun: list[float] = []

            def timed() -> Any:
                begun.append(time.perf_counter())
                return work()

            result = super()._transaction(timed)
            spent.append(time.perf_counter() - begun[0])
            return result

    with Timed(folder / "journal", _spec(path)) as journal, ParallelExecutor(workers) as executor:
        runner = BulkRunner(
            model=model, executor=executor, journal=journal, analysis=ANALYSES["sentiment"],
            pack_size=PackSize(fixed=pack), expected=count,
        )  # fmt: skip
        started = time.perf_counter()
        end = runner.run(TextSource(path).items(), scope=Scope())
        seconds = time.perf_counter() - started
        wrong = sum(not _right(journal.get(item.key), item.text) for item in TextSource(path).items())
    rows = end.progress.answered + end.progress.failed
    return {
        "seconds": seconds,
        "requests": float(end.progress.requests),
        "wrong": float(wrong + abs(count - rows)),
        "journal_us": sum(spent) / count * 1e6,
    }


def _right(result: Any, text: str) -> bool:
    """A right label, or an error of its own."""
    if result is None:
        return False
    return not result.answered or json.loads(result.values)["result"] == label_of(text)


def _text(name: str, number: int) -> str:
    return f"{name} 第 {number} 則: 這家店的服務與餐點"


def _written(folder: Path, name: str, count: int) -> Path:
    path = folder / f"{name}.txt"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{_text(name, number)}\n" for number in range(count))
    return path


def _spec(path: Path) -> Any:
    from core.bulk import BatchSpec
    from optimizers.analyses import ANALYSES

    return BatchSpec(str(path), "lines", ANALYSES["sentiment"].spec, "labels")

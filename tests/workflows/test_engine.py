"""Engine: what the menu works with."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import DeadlineExceededError, ErrorKind, ModelError, SettingsError
from core.events import Event, RunFinished, TaskFinished
from core.limits import Limits
from core.outcome import OutcomeKind
from core.ports import Prompt
from core.scope import Scope
from core.settings import Settings
from optimizers.analyses import analysis_named
from optimizers.assembly import ModelParts
from optimizers.measured_model import CallRecord
from workflows.engine import Engine
from workflows.outlook import outlook

OFFLINE = Settings(offline_scale=0.0)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return tmp_path


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(OFFLINE)
    yield engine
    engine.close()


def test_a_run_is_measured_and_accounted(engine: Engine) -> None:
    """One run: its events are told, its tasks and calls measured, its cost known apart from what came before."""
    events: list[Event] = []
    for _ in range(2):
        state = engine.ask(["甲", "乙", "乙"], scope=Scope(), observer=events.append)
    assert len(state["parallel_results"]) == 3
    assert sum(isinstance(event, TaskFinished) for event in events) == 6
    assert sum(isinstance(event, RunFinished) for event in events) == 2
    statistics = engine.monitor.get_statistics()
    assert statistics["parallel_workflow"]["call_count"] == 2
    assert statistics["task"]["call_count"] == 6
    assert statistics["model_call"]["call_count"] == 2
    assert engine.last_run is not None
    assert (engine.last_run.calls, engine.last_run.cached) == (0, 3)
    assert (engine.ledger.totals().calls, engine.ledger.totals().answered) == (2, 6)


def test_a_batch_is_measured_and_accounted(engine: Engine) -> None:
    """Texts go through the same model, cache and books."""
    kept: list[str] = []
    outcomes = dict(engine.analyze(["很棒", "很差"], analysis_named("sentiment"), kept=kept, scope=Scope()))
    assert kept == ["很棒", "很差"]
    assert [outcomes[index].value for index in range(2)] == ["正面", "負面"]
    assert engine.monitor.get_statistics("batch_analysis")["call_count"] == 1
    assert engine.last_run is not None
    assert engine.last_run.calls == 2


def test_a_spending_cap_ends_a_run_cleanly() -> None:
    """Beyond its tokens a run stops asking: what is answered is kept, the rest is not run; the next run has its own."""
    engine = Engine(Settings(offline_scale=0.0, max_workers=1, max_run_tokens=400))
    try:
        for name in ("甲", "乙"):
            queries = [f"{name} {number}" for number in range(20)]
            report = engine.ask(queries, scope=Scope(), observer=lambda event: None)["report"]
            kinds = [outcome.kind for outcome in report.outcomes]
            assert kinds[0] is OutcomeKind.ANSWERED
            assert kinds[-1] is OutcomeKind.NOT_RUN
            assert "花費上限" in report.outcomes[-1].reason
            assert 0 < report.answered < 20
    finally:
        engine.close()


def test_an_estimate_counts_equal_prompts_once(engine: Engine) -> None:
    """Before a large run: how many calls it will be."""
    estimate = outlook(engine, [Prompt("甲"), Prompt("甲"), Prompt("乙")])
    assert (estimate.prompts, estimate.calls) == (3, 2)


def test_an_estimate_is_bound_by_the_quota_that_is_left(engine: Engine) -> None:
    """The time is at least the quota's, and what was asked today counts against the limit of the day."""
    prompts = [Prompt(f"問題 {number}") for number in range(200)]
    assert outlook(engine, prompts).seconds.high < 20 * 60
    engine.limiter.set_limits(Limits(requests_per_minute=10, requests_per_day=150))
    engine.ask(["甲", "乙"], scope=Scope(), observer=lambda event: None)
    estimate = outlook(engine, prompts)
    assert estimate.seconds.high == 20 * 60
    assert estimate.over_day_limit == 200 - 148


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (ModelError(ErrorKind.BAD_KEY), ErrorKind.BAD_KEY),
        (DeadlineExceededError("期限已到"), ErrorKind.UNAVAILABLE),
    ],
)
def test_what_the_check_finds_is_there_to_be_told(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, found: Exception, told: ErrorKind
) -> None:
    """A model error is the problem itself; no answer in time becomes one that names the network."""

    def refuse(parts: ModelParts, scope: Scope) -> None:
        raise found

    monkeypatch.setattr(ModelParts, "verify", refuse)
    engine._slot._warm_up()
    assert isinstance(engine.problem, ModelError)
    assert engine.problem.kind is told
    engine.problem = None
    assert engine.problem is None


def test_other_settings_are_in_force_at_once(engine: Engine, home: Path) -> None:
    """Workers, lifetimes, timeouts and the history change without a new start; only the cache's store takes one."""
    engine.ask(["甲"], scope=Scope(), observer=lambda event: None)
    before, history = engine.limiter, engine.history
    later = engine.apply(replace(OFFLINE, max_workers=2, cache_ttl=7, history=False, language="en"))
    assert later == ()
    assert (engine.executor.max_workers, engine.cache.default_ttl, engine.history.enabled) == (2, 7, False)
    assert history.enabled
    assert engine.limiter is before
    assert engine.apply(replace(engine.settings, query_timeout=1.0, cache_store="sqlite")) == ("cache_store",)
    assert engine.limiter is not before
    assert engine.ask(["乙"], scope=Scope(), observer=lambda event: None)["report"].all_answered


def test_a_check_that_ends_after_the_exchange_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it finds is about a model that nobody asks any more; nor is that one closed while it is looked at."""
    checking, go_on, closed = threading.Event(), threading.Event(), list[bool]()
    first, close = list[ModelParts](), ModelParts.close

    def verify(parts: ModelParts, scope: Scope) -> None:
        if not first:
            first.append(parts)
            checking.set()
            assert go_on.wait(20)
            closed.append(False)
            raise ModelError(ErrorKind.BAD_KEY)

    def note_close(parts: ModelParts) -> None:
        closed.append(parts is first[0])
        close(parts)

    monkeypatch.setattr(ModelParts, "verify", verify)
    monkeypatch.setattr(ModelParts, "close", note_close)
    engine = Engine(OFFLINE)
    engine.start()
    assert checking.wait(20)
    exchange = threading.Thread(target=engine.apply, args=(replace(OFFLINE, query_timeout=3.0),))
    exchange.start()
    go_on.set()
    exchange.join(20)
    assert closed[:2] == [False, True]
    assert engine.problem is None
    engine.close()


def test_settings_that_make_no_model_leave_the_one_there_is(engine: Engine) -> None:
    """What cannot be built is raised, and nothing has changed."""
    engine.wait_until_loaded()
    with pytest.raises(SettingsError, match="OFFLINE_FAULTS"):
        engine.apply(replace(OFFLINE, max_workers=9, offline_faults="no-such-fault"))
    assert engine.settings == OFFLINE
    assert engine.executor.max_workers == OFFLINE.max_workers
    assert engine.ask(["甲"], scope=Scope(), observer=lambda event: None)["report"].all_answered


def test_what_fails_in_the_background_is_met_by_whoever_waits() -> None:
    """A setting that the model refuses is raised to whoever needs the model, each time, until it is changed."""
    engine = Engine(Settings(offline_faults="no-such-fault"))
    for _ in range(2):
        with pytest.raises(SettingsError, match="OFFLINE_FAULTS"):
            engine.wait_until_loaded()
    engine.apply(OFFLINE)
    assert engine.ask(["甲"], scope=Scope(), observer=lambda event: None)["report"].all_answered
    engine.close()


def test_calls_are_told_to_a_collector_that_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenTelemetry's variables name one, every run and every call goes there, and it is closed at the end."""
    seen: list[str] = []

    class Recorder:
        @contextlib.contextmanager
        def run(self) -> Iterator[None]:
            seen.append("run")
            yield

        def note_call(self, record: CallRecord) -> None:
            seen.append(record.task_id)

        def close(self) -> None:
            seen.append("close")

    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}

    def opened(given: Mapping[str, str], *args: object, **kwargs: object) -> Recorder:
        assert given is environ
        return Recorder()

    monkeypatch.setattr("optimizers.telemetry.open_telemetry", opened)
    engine = Engine(OFFLINE, environ=environ)
    engine.ask(["甲"], scope=Scope(), observer=lambda event: None)
    engine.close()
    assert seen == ["run", "query_0", "close"]

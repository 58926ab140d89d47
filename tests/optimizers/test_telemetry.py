"""Telemetry: what a collector gets to know of runs and calls, and what it never does."""

from __future__ import annotations

import builtins
import http.server
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from core.errors import DeadlineExceededError, ErrorKind, ModelError, OperationCancelledError
from core.outcome import Answer, Usage
from core.settings import Secret, Settings, load_settings
from optimizers.measured_model import CallRecord
from optimizers.telemetry import Telemetry, open_telemetry
from tests.fakes import FakeClock

IDENTITY = '{"model": "gemini-2.5-flash"}'
ANSWER = Answer("the secret answer", "gemini-2.5-flash-001", Usage(10, 20, 5))


class Collected:
    """Telemetry into memory."""

    def __init__(self, settings: Settings) -> None:
        self.clock = FakeClock()
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(tracers, meters, settings=settings, clock=self.clock)

    def note(self, *, answer: Answer | None = None, error: BaseException | None = None, seconds: float = 2.0) -> None:
        started = self.clock.now()
        self.clock.advance(seconds)
        self.telemetry.note_call(CallRecord(IDENTITY, "query_0", started, seconds, answer, error))

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._spans.get_finished_spans()

    def points(self, name: str) -> list[HistogramDataPoint]:
        data = self._reader.get_metrics_data()
        assert data is not None
        metrics = [each for one in data.resource_metrics for scope in one.scope_metrics for each in scope.metrics]
        points = next(metric for metric in metrics if metric.name == name).data.data_points
        return [point for point in points if isinstance(point, HistogramDataPoint)]


@pytest.fixture
def collected() -> Collected:
    return Collected(Settings(api_key=Secret("k")))


def test_a_call_is_a_client_span_of_the_conventions(collected: Collected) -> None:
    """Its name, kind, times, model and tokens are where every tool for such spans looks for them."""
    collected.note(answer=ANSWER, seconds=2.5)
    (span,) = collected.spans
    assert (span.name, span.kind) == ("generate_content gemini-2.5-flash", SpanKind.CLIENT)
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 2_500_000_000
    assert span.start_time == 1_700_001_000_000_000_000
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "gemini-2.5-flash",
        "gen_ai.response.model": "gemini-2.5-flash-001",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 25,
        "server.address": "generativelanguage.googleapis.com",
        "server.port": 443,
        "parallel_processing.task.id": "query_0",
    }


def test_an_answer_cut_short_says_so(collected: Collected) -> None:
    """The finish reason of a truncated answer is its length."""
    collected.note(answer=Answer("…", "m", truncated=True))
    assert (collected.spans[0].attributes or {})["gen_ai.response.finish_reasons"] == ("length",)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModelError(ErrorKind.OVERLOADED, "said the secret"), "overloaded"),
        (DeadlineExceededError("the secret"), "timeout"),
        (OperationCancelledError("the secret"), "cancelled"),
        (ValueError("the secret"), "other"),
    ],
)
def test_a_failed_call_has_the_kind_and_not_the_words(
    collected: Collected, error: BaseException, expected: str
) -> None:
    """error.type has few values, and no message goes out."""
    collected.note(error=error)
    (span,) = collected.spans
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == expected
    assert "secret" not in span.to_json()


def test_calls_belong_to_the_run_they_were_made_in(collected: Collected) -> None:
    """Also those noted from another thread; what comes after a run belongs to none."""
    with collected.telemetry.run():
        thread = threading.Thread(target=collected.note, kwargs={"answer": ANSWER})
        thread.start()
        thread.join()
    collected.note(answer=ANSWER)
    call, run, later = collected.spans
    assert run.name == "parallel_processing.run"
    assert run.context is not None
    assert call.parent is not None
    assert call.parent.span_id == run.context.span_id
    assert later.parent is None


def test_what_ends_a_run_is_not_quoted(collected: Collected) -> None:
    """An exception that passes through a run may hold somebody's words."""
    with pytest.raises(ValueError, match="secret"), collected.telemetry.run():
        raise ValueError("the secret")
    assert "secret" not in collected.spans[0].to_json()


def test_durations_and_tokens_are_histograms(collected: Collected) -> None:
    """Seconds of every call, failed ones by kind; tokens of answered ones by direction."""
    collected.note(answer=ANSWER, seconds=2.0)
    collected.note(error=ModelError(ErrorKind.RESET), seconds=0.5)
    durations = {
        (point.attributes or {}).get("error.type"): point.sum
        for point in collected.points("gen_ai.client.operation.duration")
    }
    assert durations == {None: 2.0, "reset": 0.5}
    tokens = {
        (point.attributes or {})["gen_ai.token.type"]: point.sum
        for point in collected.points("gen_ai.client.token.usage")
    }
    assert tokens == {"input": 10, "output": 25}


def test_the_offline_model_and_an_own_endpoint_are_told_apart() -> None:
    """The provider is what answers, the server where it was asked."""
    offline, own = Collected(Settings()), Collected(
        load_settings({"GEMINI_API_KEY": "k", "GEMINI_API_ENDPOINT": "http://127.0.0.1:8000"})
    )
    offline.note(answer=ANSWER)
    own.note(answer=ANSWER)
    assert (offline.spans[0].attributes or {})["gen_ai.provider.name"] == "offline"
    assert "server.address" not in (offline.spans[0].attributes or {})
    assert (own.spans[0].attributes or {})["server.port"] == 8000


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_it_is_off_unless_asked_for(environ: dict[str, str]) -> None:
    """Without an endpoint, or switched off, there is none and nobody is bothered."""
    notes: list[str] = []
    assert open_telemetry(environ, Settings(), on_note=notes.append) is None
    assert notes == []


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for it without having installed it is told how to."""
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    notes: list[str] = []
    assert open_telemetry({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, Settings(), on_note=notes.append) is None
    assert "requirements-otel.txt" in notes[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "x"),
    ],
)
def test_a_wrong_variable_of_the_sdk_costs_no_answer(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """It is said once, and the program goes on without telemetry."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", name: value}
    for variable, text in environ.items():
        monkeypatch.setenv(variable, text)
    notes: list[str] = []
    assert open_telemetry(environ, Settings(), on_note=notes.append) is None
    assert "ValueError" in notes[0]


def test_a_shutdown_that_fails_stops_no_other() -> None:
    """Both signals have their turn, and nothing is raised in a thread of its own."""
    done: list[str] = []

    def fail() -> None:
        raise RuntimeError("no")

    telemetry = Telemetry(
        TracerProvider(shutdown_on_exit=False), MeterProvider([], shutdown_on_exit=False),
        settings=Settings(), shutdowns=[fail, lambda: done.append("metrics")],
    )  # fmt: skip
    telemetry.close(timeout=10.0)
    assert done == ["metrics"]


def test_another_endpoint_is_told_at_once(collected: Collected) -> None:
    """The server is where the call was made, not where the first ones were."""
    collected.telemetry.settings = load_settings(
        {"GEMINI_API_KEY": "k", "GEMINI_API_ENDPOINT": "http://127.0.0.1:8000"}
    )
    collected.note(answer=ANSWER)
    assert (collected.spans[0].attributes or {})["server.port"] == 8000


class _Collector(http.server.ThreadingHTTPServer):
    """A collector that keeps what it is sent, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.received: dict[str, list[bytes]] = {}


class _Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, _Collector)
        self.server.received.setdefault(self.path, []).append(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def collector() -> Iterator[_Collector]:
    with _Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _asking_for(monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str]) -> Telemetry:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    telemetry = open_telemetry(environ, Settings(api_key=Secret("AIza-canary")), on_note=pytest.fail)
    assert telemetry is not None
    return telemetry


def test_a_collector_gets_spans_and_metrics_over_http(
    monkeypatch: pytest.MonkeyPatch, collector: _Collector
) -> None:
    """The real exporter to a real server: all is handed over on closing, with neither text nor key in it."""
    telemetry = _asking_for(monkeypatch, {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_SERVICE_NAME": "mine",
    })  # fmt: skip
    with telemetry.run():
        telemetry.note_call(CallRecord(IDENTITY, "query_0", 0.0, 1.0, ANSWER, None))
    telemetry.close(timeout=10.0)
    (trace,) = collector.received["/v1/traces"]
    (metrics,) = collector.received["/v1/metrics"]
    spans = ExportTraceServiceRequest.FromString(trace).resource_spans[0]
    assert [span.name for span in spans.scope_spans[0].spans] == [
        "generate_content gemini-2.5-flash", "parallel_processing.run",
    ]  # fmt: skip
    assert any(each.value.string_value == "mine" for each in spans.resource.attributes)
    names = ExportMetricsServiceRequest.FromString(metrics).resource_metrics[0].scope_metrics[0].metrics
    assert {each.name for each in names} == {"gen_ai.client.operation.duration", "gen_ai.client.token.usage"}
    for secret in (b"secret answer", b"AIza-canary"):
        assert secret not in trace + metrics


def test_only_the_signal_that_has_an_endpoint_is_sent(
    monkeypatch: pytest.MonkeyPatch, collector: _Collector
) -> None:
    """A collector of traces alone is sent no metrics, and one of metrics no traces."""
    address = f"http://127.0.0.1:{collector.server_port}"
    with monkeypatch.context() as patch:
        telemetry = _asking_for(patch, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{address}/t"})
        telemetry.note_call(CallRecord(IDENTITY, "query_0", 0.0, 1.0, ANSWER, None))
        telemetry.close(timeout=10.0)
    telemetry = _asking_for(monkeypatch, {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{address}/m"})
    telemetry.note_call(CallRecord(IDENTITY, "query_0", 0.0, 1.0, ANSWER, None))
    telemetry.close(timeout=10.0)
    assert {path: len(bodies) for path, bodies in collector.received.items()} == {"/t": 1, "/m": 1}


def test_a_collector_that_does_not_answer_holds_nobody_up() -> None:
    """Closing gives up at its timeout, and the thread that still waits keeps no program alive."""
    release = threading.Event()
    settings = Settings()
    telemetry = Telemetry(
        TracerProvider(shutdown_on_exit=False), MeterProvider([], shutdown_on_exit=False),
        settings=settings, shutdowns=[release.wait],
    )  # fmt: skip
    telemetry.close(timeout=0.01)
    waiting = [thread for thread in threading.enumerate() if thread.name == "telemetry"]
    release.set()
    assert [thread.daemon for thread in waiting] == [True]

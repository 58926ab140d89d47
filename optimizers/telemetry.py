"""Runs and calls as OpenTelemetry spans and metrics, for whoever collects them. Optional, and off unless configured.

Names and attributes follow the OpenTelemetry semantic conventions for generative AI, version 1.37. No text of a
question or an answer, no reason of a failure and no key is in any of it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import ModelError, ScopeError
from core.language import tr
from core.outcome import Usage
from core.settings import Settings
from optimizers.catalogue import model_name
from optimizers.measured_model import CallRecord

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["Telemetry", "open_telemetry"]

_SCOPE: Final = "parallel_processing"
_OPERATION: Final = "generate_content"  # gen_ai.operation.name, as the conventions call Gemini's method
_PROVIDER: Final = "gcp.gemini"
_HOST: Final = ("generativelanguage.googleapis.com", 443)
# The boundaries that the conventions ask for: of gen_ai.client.operation.duration and gen_ai.client.token.usage.
_SECONDS: Final = tuple(0.01 * 2**power for power in range(14))
_TOKENS: Final = tuple(float(4**power) for power in range(14))
_NANOSECONDS: Final = 1e9


class Telemetry:
    """Tells a tracer and a meter of every run and every call of the model.

    A run is a span "parallel_processing.run"; in it every call is a client span "generate_content MODEL" with the
    tokens it took and, if it failed, the kind of failure as error.type. Each attempt is a span of its own, since
    each is sent, waited for and counted by the service. Thread-safe. close() hands over what is left within
    timeout seconds and gives up on the rest. settings say who is asked, and where; they may be exchanged.
    """

    def __init__(
        self,
        tracers: TracerProvider,
        meters: MeterProvider,
        *,
        settings: Settings,
        clock: Clock = SYSTEM_CLOCK,
        shutdowns: Sequence[Callable[[], object]] = (),
    ) -> None:
        self._tracer = tracers.get_tracer(_SCOPE)
        meter = meters.get_meter(_SCOPE)
        self._durations = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.settings = settings
        self._clock = clock
        self._shutdowns = shutdowns
        self._run: Span | None = None

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """Around a run; the calls made meanwhile belong to it. One run at a time."""
        with self._tracer.start_as_current_span(
            "parallel_processing.run", record_exception=False, set_status_on_exception=False
        ) as span:  # an exception's message could quote a question
            self._run = span
            try:
                yield
            finally:
                self._run = None

    def note_call(self, record: CallRecord) -> None:
        """One attempt has ended."""
        model = model_name(record.identity)
        attributes = _where(self.settings) | {"gen_ai.request.model": model}
        if record.error is not None:
            attributes["error.type"] = _error_type(record.error)
        self._durations.record(record.seconds, attributes)
        self._record_span(record, f"{_OPERATION} {model}", attributes)
        if record.answer is not None:
            for kind, count in zip(("input", "output"), _in_and_out(record.usage), strict=True):
                self._tokens.record(count, attributes | {"gen_ai.token.type": kind})

    def close(self, *, timeout: float = 1.0) -> None:
        """Hand over what has not been yet. A collector that does not answer costs at most timeout seconds."""
        threads = [threading.Thread(target=_quietly, args=(each,), name="telemetry", daemon=True)
                   for each in self._shutdowns]  # fmt: skip
        for thread in threads:
            thread.start()
        until = self._clock.now() + timeout
        for thread in threads:
            thread.join(max(until - self._clock.now(), 0))

    def _record_span(self, record: CallRecord, name: str, attributes: Mapping[str, Any]) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        started = self._clock.wall() - (self._clock.now() - record.started_at)
        run = self._run
        span = self._tracer.start_span(
            name,
            context=None if run is None else set_span_in_context(run),
            kind=SpanKind.CLIENT,
            attributes={**attributes, "parallel_processing.task.id": record.task_id},
            start_time=int(started * _NANOSECONDS),
        )
        if record.answer is None:
            span.set_status(Status(StatusCode.ERROR))
        else:
            given, made = _in_and_out(record.usage)
            span.set_attributes({
                "gen_ai.response.model": record.answer.model,
                "gen_ai.response.finish_reasons": ["length" if record.answer.truncated else "stop"],
                "gen_ai.usage.input_tokens": given,
                "gen_ai.usage.output_tokens": made,
            })  # fmt: skip
        span.end(int((started + record.seconds) * _NANOSECONDS))


def open_telemetry(
    environ: Mapping[str, str], settings: Settings, *, on_note: Callable[[str], object], clock: Clock = SYSTEM_CLOCK
) -> Telemetry | None:
    """The telemetry that OpenTelemetry's own variables ask for; None where they ask for none.

    An endpoint in OTEL_EXPORTER_OTLP_ENDPOINT (or its _TRACES_ or _METRICS_ kin) switches it on, OTEL_SDK_DISABLED
    off; all else (headers, timeout, service name …) the SDK reads itself from the process's environment. Where the
    optional packages are missing, on_note is told how to get them.
    """
    traces, metrics = _is_wanted(environ, "TRACES"), _is_wanted(environ, "METRICS")
    if not (traces or metrics):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        on_note(tr("⚠️ 設定了 OpenTelemetry 但缺少套件, 這次不送出; 請執行 pip install -r requirements-otel.txt"))
        return None
    try:
        resource = Resource.create({"service.name": _SCOPE}).merge(OTELResourceDetector().detect())
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        if traces:
            tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        readers = [PeriodicExportingMetricReader(OTLPMetricExporter())] if metrics else []
        meters = MeterProvider(readers, resource, shutdown_on_exit=False)
    except Exception as error:  # noqa: BLE001 - the SDK reads a dozen variables of its own: a wrong one costs no answer
        kind = type(error).__name__
        on_note(tr("⚠️ OpenTelemetry 的設定無法使用 ({error}), 這次不送出; 請檢查 OTEL_ 開頭的環境變數", error=kind))
        return None
    return Telemetry(
        tracers, meters, settings=settings, clock=clock, shutdowns=(meters.shutdown, tracers.shutdown)
    )


def _is_wanted(environ: Mapping[str, str], signal: str) -> bool:
    """Whether there is somewhere to send that signal (TRACES or METRICS) and it was not switched off."""
    disabled = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    exporter = environ.get(f"OTEL_{signal}_EXPORTER") or "otlp"
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return not disabled and exporter == "otlp" and any(environ.get(name) for name in endpoints)


def _quietly(shutdown: Callable[[], object]) -> None:
    with contextlib.suppress(Exception):  # what cannot be handed over is lost, and nobody is there to be told
        shutdown()


def _where(settings: Settings) -> dict[str, Any]:
    if settings.offline:
        return {"gen_ai.operation.name": _OPERATION, "gen_ai.provider.name": "offline"}
    endpoint = settings.endpoint
    host, port = _HOST if endpoint is None else (endpoint.host, endpoint.port)
    return {
        "gen_ai.operation.name": _OPERATION,
        "gen_ai.provider.name": _PROVIDER,
        "server.address": host,
        "server.port": port,
    }


def _in_and_out(usage: Usage) -> tuple[int, int]:
    """Tokens sent and tokens made; what a model thinks is made, and paid for, too."""
    return usage.prompt_tokens, usage.answer_tokens + usage.thinking_tokens


def _error_type(error: BaseException) -> str:
    """Low in cardinality, as the conventions ask for: a kind, never a message."""
    if isinstance(error, ModelError):
        return error.kind.value
    return "timeout" if isinstance(error, TimeoutError) else "cancelled" if isinstance(error, ScopeError) else "other"

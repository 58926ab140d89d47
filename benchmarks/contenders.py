"""Ways to ask many questions at once, from the floor (threads that sleep) to the whole program.

Each is a context manager that yields ask(queries) -> answers in input order. What it opens, it closes.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from benchmarks.bench import Missing
from core.ports import ChatModel, Prompt
from core.scope import Scope
from core.settings import Endpoint, Secret, Settings

__all__ = ["CONTENDERS", "LABELS", "Ask", "Load"]

Ask: TypeAlias = Callable[[list[str]], list[str]]
_TIMEOUT: Final = 60.0  # seconds per call; nothing here should come near it


@dataclass(frozen=True, slots=True)
class Load:
    """What a contender is up against."""

    in_flight: int
    latency: float
    grpc_port: int
    rest_port: int

    def settings(self, *, transport: str = "grpc", sdk: str = "google-generativeai") -> Settings:
        port = self.grpc_port if transport == "grpc" else self.rest_port
        return Settings(
            api_key=Secret("benchmark-key"), sdk=sdk, transport=transport, endpoint=Endpoint("127.0.0.1", port, True)
        )


@contextlib.contextmanager
def _side_by_side(load: Load, one: Callable[[str], str]) -> Iterator[Ask]:
    with ThreadPoolExecutor(load.in_flight) as threads:
        yield lambda queries: list(threads.map(one, queries))


@contextlib.contextmanager
def _sleep(load: Load) -> Iterator[Ask]:
    def one(query: str) -> str:
        time.sleep(load.latency)
        return f"echo:{query}"

    with _side_by_side(load, one) as ask:
        yield ask


@contextlib.contextmanager
def _bare_sdk(load: Load) -> Iterator[Ask]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the SDK's announcement of its own end
        import google.generativeai as genai
        import grpc
        from google.ai import generativelanguage_v1beta as service

    channel = grpc.insecure_channel(f"127.0.0.1:{load.grpc_port}")
    transport = service.GenerativeServiceClient.get_transport_class("grpc")(channel=channel)
    model = genai.GenerativeModel("gemini-2.5-flash")
    # A plaintext endpoint can be had in no other way: configure() always speaks TLS over gRPC.
    model._client = service.GenerativeServiceClient(transport=transport)

    def one(query: str) -> str:
        return str(model.generate_content(query, request_options={"timeout": _TIMEOUT}).text)

    with contextlib.closing(channel), _side_by_side(load, one) as ask:
        yield ask


@contextlib.contextmanager
def _raw_grpc(load: Load) -> Iterator[Ask]:
    """The SDK's messages over bare channels, 90 calls on each: what no client in Python can get under."""
    import grpc

    from core.providers._gemini_sdk import load_sdk

    sdk = load_sdk()
    channels = [
        grpc.insecure_channel(f"127.0.0.1:{load.grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(-(-load.in_flight // 90))
    ]
    method = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent"
    calls = itertools.cycle([channel.unary_unary(method) for channel in channels])
    mine = threading.local()  # a channel per thread: taking turns by call would let one channel run full
    metadata = (("x-goog-api-key", "benchmark-key"),)

    def one(query: str) -> str:
        request = sdk.request(model="models/gemini-2.5-flash")
        request.contents.add(role="user").parts.add(text=query)
        if not hasattr(mine, "call"):
            mine.call = next(calls)
        data = mine.call(request.SerializeToString(), timeout=_TIMEOUT, metadata=metadata)
        return str(sdk.response.FromString(data).candidates[0].content.parts[0].text)

    with contextlib.ExitStack() as stack:
        for channel in channels:
            stack.enter_context(contextlib.closing(channel))
        yield stack.enter_context(_side_by_side(load, one))


@contextlib.contextmanager
def _our_provider(load: Load) -> Iterator[Ask]:
    from core.providers.gemini import GeminiModel

    model = GeminiModel(load.settings())
    with contextlib.closing(model), _asked_by_threads(load, model) as ask:
        yield ask


@contextlib.contextmanager
def _our_chain(load: Load) -> Iterator[Ask]:
    from optimizers.assembly import build_model

    parts = build_model(load.settings())
    with contextlib.closing(parts), _asked_by_threads(load, parts.model) as ask:
        yield ask


@contextlib.contextmanager
def _our_cache(load: Load) -> Iterator[Ask]:
    from optimizers.assembly import build_model
    from optimizers.cache_manager import CacheManager
    from optimizers.cached_model import CachedModel

    parts = build_model(load.settings())
    model = CachedModel(parts.model, CacheManager())
    with contextlib.closing(parts), _asked_by_threads(load, model) as ask:
        yield ask


@contextlib.contextmanager
def _asked_by_threads(load: Load, model: ChatModel) -> Iterator[Ask]:
    root = Scope()

    def one(query: str) -> str:
        with root.child(timeout=_TIMEOUT) as scope:
            return model.generate(Prompt(query), scope).text

    with _side_by_side(load, one) as ask:
        yield ask


@contextlib.contextmanager
def _our_executor(load: Load) -> Iterator[Ask]:
    from core.parallel_executor import ParallelExecutor, ParallelTask
    from optimizers.assembly import build_model
    from optimizers.cache_manager import CacheManager
    from optimizers.cached_model import CachedModel

    parts = build_model(load.settings())
    model = CachedModel(parts.model, CacheManager())

    def one(query: str, scope: Scope) -> str:
        return model.generate(Prompt(query), scope).text

    def ask(queries: list[str]) -> list[str]:
        tasks = [
            ParallelTask(f"query_{index}", query, one, (query,), timeout=_TIMEOUT, scoped=True)
            for index, query in enumerate(queries)
        ]
        return [str(outcome.value) for outcome in executor.run(tasks).outcomes]

    with contextlib.closing(parts), ParallelExecutor(load.in_flight) as executor:
        yield ask


@contextlib.contextmanager
def _our_workflow(load: Load, **choices: str) -> Iterator[Ask]:
    """The whole program as a run uses it: graph, executor, cache, retry, provider."""
    from core.parallel_executor import ParallelExecutor
    from optimizers.assembly import build_model
    from workflows.parallel_workflow import ParallelWorkflow

    parts = build_model(load.settings(**choices))
    with contextlib.closing(parts), ParallelExecutor(load.in_flight) as executor:
        graph = ParallelWorkflow(model=parts.model, executor=executor, query_timeout=_TIMEOUT).create_workflow()

        def ask(queries: list[str]) -> list[str]:
            outcomes = graph.invoke({"user_queries": queries})["outcomes"]
            return [outcome.value.text if outcome.answered else outcome.reason for outcome in outcomes]

        yield ask


def _our_rest(load: Load) -> contextlib.AbstractContextManager[Ask]:
    return _our_workflow(load, transport="rest")


@contextlib.contextmanager
def _our_genai(load: Load) -> Iterator[Ask]:
    try:
        import google.genai  # noqa: F401 - optional: without it this contender is out
    except ImportError as error:
        raise Missing("google-genai is not installed") from error
    with _our_workflow(load, transport="rest", sdk="google-genai") as ask:
        yield ask


CONTENDERS: Final[Mapping[str, Callable[[Load], contextlib.AbstractContextManager[Any]]]] = {
    "sleep": _sleep,
    "sdk": _bare_sdk,
    "ours": _our_workflow,
    "ours-rest": _our_rest,
    "ours-genai": _our_genai,
    "raw": _raw_grpc,
    "provider": _our_provider,
    "chain": _our_chain,
    "cache": _our_cache,
    "executor": _our_executor,
}
LABELS: Final = {
    "sleep": "threads that only sleep (floor)",
    "sdk": "bare SDK, gRPC, one client",
    "ours": "ours, gRPC",
    "ours-rest": "ours, REST (for information)",
    "ours-genai": "ours, google-genai (for information)",
    "raw": "raw gRPC calls, SDK's messages",
    "provider": "+ provider (GeminiModel)",
    "chain": "+ retry, gate, schema, measurement",
    "cache": "+ cache",
    "executor": "+ executor and task pool",
}

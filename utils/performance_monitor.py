"""How long the functions of the program take, how often they fail, and what they use."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar, overload

from core.clock import SYSTEM_CLOCK, Clock
from core.errors import UsageError
from utils.durations import Durations
from utils.performance_text import FunctionStatistics, performance_text
from utils.resource_sampler import ResourceSampler, ResourceWatch

__all__ = ["FunctionStatistics", "Measurement", "PerformanceMonitor"]

_F = TypeVar("_F", bound=Callable[..., Any])
_MAX_SAMPLES: Final = 1000


class Measurement:
    """One measured run: its figures are there when the block has ended. Seconds, and bytes for memory."""

    __slots__ = ("cpu_seconds", "name", "ok", "peak_memory", "seconds")

    def __init__(self, name: str) -> None:
        self.name = name
        self.ok = True
        self.seconds = 0.0
        self.cpu_seconds: float | None = None
        self.peak_memory: int | None = None


@dataclass(slots=True)
class _Record:
    durations: Durations
    failed: int = 0
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, seconds: float, ok: bool, watch: ResourceWatch | None) -> None:
        with self.lock:
            self.durations.add(seconds)
            self.failed += not ok
            if watch is not None:
                self.cpu_seconds = (self.cpu_seconds or 0.0) + watch.cpu_seconds
                self.peak_memory = max(self.peak_memory or 0, watch.peak_memory)

    def copy(self) -> _Record:
        with self.lock:
            return replace(self, durations=self.durations.copy())


class PerformanceMonitor:
    """Collects durations by name, through a decorator, a context manager or figures measured elsewhere.

    Every call counts, one that raises as failed. Nested and recursive calls each count as a call of their own,
    so the total of a recursive function is more than the time that passed. Durations come from the monotonic
    clock. Memory per name is bounded; names are not, so name functions, not tasks. Exact: counts, total, least
    and greatest, and the quantiles up to max_samples calls; beyond, quantiles are within 1 % (see Durations).

    Thread-safe: may be read while others measure and register, and shows each call whole or not at all. A
    plain measured call costs about 2.5 µs; with resources about 100 µs, hence on request for functions and by
    default for `measure`, which is for runs. write, where the report goes, is utils.console.write_line.
    """

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        max_samples: int = _MAX_SAMPLES,
        sampler: ResourceSampler | None = None,
        write: Callable[[str], object] | None = None,
    ) -> None:
        if max_samples < 1:
            raise UsageError("max_samples must be at least 1")
        self._clock = clock
        self._max_samples = max_samples
        self._sampler = sampler or ResourceSampler(clock=clock)
        self._write = write
        # Guards _records; held to look a name up, register it or list all, never while anything is called.
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}

    def measure_time(self, name: str | None = None, *, resources: bool = False) -> Callable[[_F], _F]:
        """Decorate a function, a coroutine function or a (sync or async) generator function.

        A coroutine is timed from its first step to its end, waits included; a generator from its first item to
        its end, or until its consumer closes it, which is no failure. Without a name, the function's own.
        """
        if name is not None and not isinstance(name, str):
            raise UsageError('write @monitor.measure_time() or @monitor.measure_time("name"), with parentheses')

        def decorate(function: _F) -> _F:
            label = name if name is not None else getattr(function, "__name__", type(function).__name__)
            if resources:
                return _wrap(function, lambda: self.measure(label))
            return _wrap(function, lambda: _Timer(self, label))

        return decorate

    @contextlib.contextmanager
    def measure(self, name: str, *, resources: bool = True) -> Iterator[Measurement]:
        """Measure the body as one call of that name."""
        run = Measurement(name)
        watch: ResourceWatch | None = None
        with contextlib.ExitStack() as stack:
            if resources:
                watch = stack.enter_context(self._sampler.watch())
            started = self._clock.now()
            try:
                yield run
            except BaseException as error:
                run.ok = isinstance(error, GeneratorExit)
                raise
            finally:
                run.seconds = self._clock.now() - started
                stack.close()
                if watch is not None:
                    run.cpu_seconds, run.peak_memory = watch.cpu_seconds, watch.peak_memory
                self._record(name).add(run.seconds, run.ok, watch)

    def record(self, name: str, seconds: float, *, ok: bool = True) -> None:
        """Add one call that was measured elsewhere."""
        if not seconds >= 0:
            raise UsageError("seconds must be 0 or more")
        self._record(name).add(seconds, ok, None)

    @overload
    def get_statistics(self, name: None = None) -> dict[str, FunctionStatistics]: ...
    @overload
    def get_statistics(self, name: str) -> FunctionStatistics: ...
    def get_statistics(self, name: str | None = None) -> FunctionStatistics | dict[str, FunctionStatistics]:
        """The statistics of one name, or those of all by name; `{}` where nothing was measured."""
        with self._lock:
            records = [(each, self._records[each]) for each in self._records if name in (None, each)]
        # A record is registered just before its first call is added: until then nothing was measured.
        copies = {each: copy for each, record in records if (copy := record.copy()).durations.count}
        if name is None:
            return {each: _statistics(each, copy) for each, copy in copies.items()}
        return _statistics(name, copies[name]) if name in copies else {}

    def report_text(self) -> str:
        """All statistics as text for the screen, the names as they are."""
        return performance_text(self.get_statistics().values())

    def print_report(self) -> None:
        """Write report_text()."""
        write = self._write or _console_writer()
        write(self.report_text())

    def _record(self, name: str) -> _Record:
        record = self._records.get(name)
        if record is None:
            with self._lock:
                record = self._records.setdefault(name, _Record(Durations(exact=self._max_samples)))
        return record


class _Timer:
    """measure() without resources, as a plain class: a generator-based context manager costs three times as much."""

    __slots__ = ("_monitor", "_name", "_started")

    def __init__(self, monitor: PerformanceMonitor, name: str) -> None:
        self._monitor = monitor
        self._name = name

    def __enter__(self) -> None:
        self._started = self._monitor._clock.now()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        seconds = self._monitor._clock.now() - self._started
        self._monitor._record(self._name).add(seconds, kind is None or issubclass(kind, GeneratorExit), None)


def _console_writer() -> Callable[[str], object]:
    from utils.console import write_line  # it loads what only a screen needs

    return write_line


def _wrap(function: _F, measured: Callable[[], contextlib.AbstractContextManager[object]]) -> _F:
    wrapper: Any  # the four shapes have no common type that says more
    if inspect.iscoroutinefunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with measured():
                return await function(*args, **kwargs)

    elif inspect.isasyncgenfunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            with measured():
                async with contextlib.aclosing(function(*args, **kwargs)) as items:
                    async for item in items:  # values sent in are not passed on: PEP 525 has no `yield from`
                        yield item

    elif inspect.isgeneratorfunction(function):

        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with measured():
                return (yield from function(*args, **kwargs))

    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with measured():
                return function(*args, **kwargs)

    return functools.wraps(function)(wrapper)  # type: ignore[return-value]  # same signature, by construction


def _statistics(name: str, record: _Record) -> FunctionStatistics:
    durations = record.durations
    return FunctionStatistics(
        function=name,
        call_count=durations.count,
        total_time=durations.total,
        avg_time=durations.total / durations.count,
        min_time=durations.least,
        max_time=durations.greatest,
        median_time=durations.median(),
        ok_count=durations.count - record.failed,
        failed_count=record.failed,
        p50=durations.percentile(50),
        p95=durations.percentile(95),
        p99=durations.percentile(99),
        cpu_seconds=record.cpu_seconds,
        peak_memory=record.peak_memory,
    )

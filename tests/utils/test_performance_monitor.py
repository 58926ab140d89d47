"""PerformanceMonitor, Durations and ResourceSampler."""

from __future__ import annotations

import asyncio
import functools
import math
import queue
import statistics
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from tests.fakes import FakeClock
from utils.durations import Durations
from utils.performance_monitor import PerformanceMonitor
from utils.resource_sampler import ResourceSampler, resident_bytes

REFERENCE_KEYS = {"function", "call_count", "total_time", "avg_time", "min_time", "max_time", "median_time"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def monitor(clock: FakeClock) -> PerformanceMonitor:
    return PerformanceMonitor(clock=clock, sampler=ResourceSampler(cpu_time=lambda: 0.0, read_memory=lambda: 0))


def takes(monitor: PerformanceMonitor, clock: FakeClock, *seconds: float, name: str = "f") -> None:
    """Measure calls of that length through the decorator."""
    measured = monitor.measure_time(name)(clock.advance)
    for each in seconds:
        measured(each)


# ---- statistics ----------------------------------------------------------------------------------------------------


def test_the_reference_figures_come_out(monitor: PerformanceMonitor, clock: FakeClock) -> None:
    """Three calls of 2, 1 and 6 s: every key of the reference, with the right figure."""
    takes(monitor, clock, 2.0, 1.0, 6.0)
    one = monitor.get_statistics("f")
    assert {key: value for key, value in one.items() if key in REFERENCE_KEYS} == {
        "function": "f", "call_count": 3, "total_time": 9.0, "avg_time": 3.0,
        "min_time": 1.0, "max_time": 6.0, "median_time": 2.0,
    }  # fmt: skip
    assert (one["ok_count"], one["failed_count"], one["p50"], one["p95"], one["p99"]) == (3, 0, 2.0, 6.0, 6.0)
    assert (one["cpu_seconds"], one["peak_memory"]) == (None, None)
    assert monitor.get_statistics() == {"f": one}


def test_nothing_measured_is_an_empty_dict(monitor: PerformanceMonitor) -> None:
    """Unknown names, names only decorated, and an unused monitor all give {}."""
    monitor.measure_time("decorated")(len)
    assert [monitor.get_statistics(name) for name in ("unknown", "decorated")] == [{}, {}]
    assert monitor.get_statistics() == {}


def test_a_name_registered_but_not_yet_measured_is_left_out(monitor: PerformanceMonitor) -> None:
    """A reader that comes between a name's registration and its first duration sees nothing, and does not fail."""
    monitor._record("f")
    assert monitor.get_statistics("f") == {}
    assert monitor.get_statistics() == {}


def test_the_wall_clock_has_no_say(monitor: PerformanceMonitor, clock: FakeClock) -> None:
    """D11: a clock set back by a day in mid-call leaves the duration as it was."""

    @monitor.measure_time()
    def jump() -> None:
        clock.wall_offset -= 86_400
        clock.advance(1.5)

    jump()
    assert monitor.get_statistics("jump")["total_time"] == 1.5


def test_a_call_that_raises_is_counted_and_its_error_comes_out(monitor: PerformanceMonitor, clock: FakeClock) -> None:
    """D15: failed calls are recorded, apart from the ok ones, and their time is in the figures."""

    @monitor.measure_time("f")
    def fail() -> None:
        clock.advance(2.0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    takes(monitor, clock, 1.0)
    one = monitor.get_statistics("f")
    assert (one["call_count"], one["ok_count"], one["failed_count"], one["total_time"]) == (2, 1, 1, 3.0)


def test_recorded_durations_count_like_measured_ones(monitor: PerformanceMonitor) -> None:
    """What was measured elsewhere is fed in by record(), failed or not."""
    monitor.record("task", 2.0)
    monitor.record("task", 4.0, ok=False)
    one = monitor.get_statistics("task")
    assert (one["call_count"], one["failed_count"], one["avg_time"]) == (2, 1, 3.0)


@pytest.mark.parametrize("seconds", [-0.1, math.nan])
def test_a_negative_duration_is_refused(monitor: PerformanceMonitor, seconds: float) -> None:
    """Something measured with the wrong clock is an error of the caller, not a figure."""
    with pytest.raises(UsageError):
        monitor.record("task", seconds)
    assert monitor.get_statistics() == {}


# ---- decorator -----------------------------------------------------------------------------------------------------


def test_the_decorated_function_stays_itself(monitor: PerformanceMonitor) -> None:
    """Name, docstring, arguments and result pass through; the function's own name is the default."""

    @monitor.measure_time()
    def add(one: int, *, other: int) -> int:
        """Add."""
        return one + other

    assert add(1, other=2) == 3
    assert (add.__name__, add.__doc__) == ("add", "Add.")
    assert monitor.get_statistics("add")["call_count"] == 1


def test_an_empty_name_is_a_name_and_a_nameless_callable_goes_by_its_type(monitor: PerformanceMonitor) -> None:
    """Only None means that no name was given."""
    monitor.measure_time("")(len)("abc")
    monitor.measure_time()(functools.partial(len, "abc"))()
    assert set(monitor.get_statistics()) == {"", "partial"}


def test_the_decorator_without_parentheses_says_how_it_is_written(monitor: PerformanceMonitor) -> None:
    """@monitor.measure_time alone would replace the function by a decorator, so it is refused."""
    with pytest.raises(UsageError, match=r"measure_time\(\)"):
        monitor.measure_time(len)  # type: ignore[arg-type]  # the mistake under test


def test_a_coroutine_is_timed_to_its_end(monitor: PerformanceMonitor, clock: FakeClock) -> None:
    """D15: what an async function takes after its first await counts, and a cancelled one is a failed one."""

    @monitor.measure_time()
    async def work() -> str:
        await asyncio.sleep(0)
        clock.advance(3.0)
        return "done"

    @monitor.measure_time()
    async def hang() -> None:
        await asyncio.Event().wait()

    async def both() -> None:
        assert await work() == "done"
        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(both())
    assert monitor.get_statistics("work")["total_time"] == 3.0
    assert monitor.get_statistics("hang")["failed_count"] == 1


def test_a_generator_is_timed_from_its_first_item_to_its_end(monitor: PerformanceMonitor, clock: FakeClock) -> None:
    """Not the instant in which it is created; what is sent in and returned passes through."""

    @monitor.measure_time()
    def items() -> Generator[int, str, str]:
        clock.advance(1.0)
        got = yield 1
        clock.advance(2.0)
        return got

    running = items()
    clock.advance(50.0)
    assert next(running) == 1
    with pytest.raises(StopIteration) as caught:
        running.send("sent")
    assert caught.value.value == "sent"
    one = monitor.get_statistics("items")
    assert (one["call_count"], one["failed_count"], one["total_time"]) == (1, 0, 3.0)


def test_a_generator_that_its_consumer_leaves_did_not_fail(monitor: PerformanceMonitor, clock: FakeClock) -> None:
    """Closing early, plain or with resources, is the consumer's right; raising inside is a failure."""

    def items() -> Generator[int, None, None]:
        yield 1
        raise ZeroDivisionError

    for resources in (False, True):
        measured = monitor.measure_time("items", resources=resources)(items)
        running = measured()
        next(running)
        running.close()
        with pytest.raises(ZeroDivisionError):
            list(measured())
    one = monitor.get_statistics("items")
    assert (one["ok_count"], one["failed_count"]) == (2, 2)


def test_an_async_generator_is_timed_and_closed(monitor: PerformanceMonitor, clock: FakeClock) -> None:
    """Its time runs from the first item to the end, and leaving it early runs its clean-up."""
    closed: list[bool] = []

    @monitor.measure_time()
    async def items() -> AsyncGenerator[int, None]:
        try:
            clock.advance(1.0)
            yield 1
            clock.advance(2.0)
            yield 2
        finally:
            closed.append(True)

    async def consume() -> None:
        assert [item async for item in items()] == [1, 2]
        running = items()
        assert await anext(running) == 1
        await running.aclose()

    asyncio.run(consume())
    one = monitor.get_statistics("items")
    assert (one["ok_count"], one["max_time"], one["min_time"], len(closed)) == (2, 3.0, 1.0, 2)


def test_recursive_and_nested_calls_are_calls_of_their_own(monitor: PerformanceMonitor, clock: FakeClock) -> None:
    """Three levels are three calls, each with what is inside it."""

    @monitor.measure_time()
    def descend(level: int) -> None:
        clock.advance(1.0)
        if level:
            descend(level - 1)

    descend(2)
    one = monitor.get_statistics("descend")
    assert (one["call_count"], one["min_time"], one["max_time"], one["total_time"]) == (3, 1.0, 3.0, 6.0)


# ---- threads -------------------------------------------------------------------------------------------------------


@pytest.fixture
def fine_switching() -> Generator[None, None, None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("fine_switching")
def test_reading_while_others_measure_and_register_shows_whole_records() -> None:
    """D15: with four threads registering names and recording, each reading adds up and none fails; no call is lost."""
    monitor = PerformanceMonitor()
    start = threading.Barrier(5)

    def write(thread: int) -> None:
        start.wait(20)
        for number in range(300):
            monitor.record("shared", 1.0, ok=number % 3 > 0)
            monitor.record(f"{thread}-{number}", 1.0)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    start.wait(20)
    while any(thread.is_alive() for thread in threads):
        for one in monitor.get_statistics().values():
            assert one["total_time"] == one["call_count"] == one["ok_count"] + one["failed_count"]
    one = monitor.get_statistics("shared")
    assert (one["call_count"], one["failed_count"]) == (1200, 400)
    assert len(monitor.get_statistics()) == 1201


def test_a_reader_in_the_middle_of_a_record_waits_for_the_rest(monitor: PerformanceMonitor) -> None:
    """D15: a call whose duration is in but whose failure is not yet counted is not shown until both are."""
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.append(monitor.get_statistics("f")["failed_count"]))

    class Slow(Durations):
        def add(self, seconds: float) -> None:
            super().add(seconds)
            reader.start()
            reader.join(0.1)  # a reader that does not wait is done by now, with half a record

    monitor._record("f").durations = Slow(exact=10)
    monitor.record("f", 1.0, ok=False)
    reader.join(20)
    assert seen == [1]


# ---- bounded memory ------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.integers(1, 60), st.integers(1, 100))
def test_quantiles_are_exact_up_to_the_limit_and_within_one_percent_beyond(
    values: list[float], exact: int, percent: int
) -> None:
    """Count, total, least and greatest are always exact; median and nearest rank are exact, or within 1 %."""
    subject = Durations(exact=exact)
    for value in values:
        subject.add(value)
    rank = max(math.ceil(percent * len(values) / 100), 1)
    true = (statistics.median(values), sorted(values)[rank - 1])
    found = (subject.median(), subject.percentile(percent))
    if len(values) <= exact:
        assert found == true
    else:
        assert found == pytest.approx(true, rel=0.0101, abs=1e-9)
    assert subject.count == len(values)
    assert subject.total == pytest.approx(math.fsum(values))  # sum() rounds differently from Python 3.12 on
    assert (subject.least, subject.greatest) == (min(values), max(values))


def test_a_hundred_thousand_calls_take_little_memory() -> None:
    """Beyond max_samples no call leaves more than a count in a bucket, and a copy is independent."""
    subject = Durations(exact=1000)
    for number in range(100_000):
        subject.add(1e-6 * 1.0003**number)
    twin = subject.copy()
    subject.add(1.0)
    assert not subject._samples
    assert len(subject._buckets) < 2000
    assert (twin.count, subject.count) == (100_000, 100_001)


def test_equal_durations_have_exact_quantiles_in_buckets_too() -> None:
    """A quantile never lies outside what was measured: not above the greatest, not below the least."""
    for value in (0.0, 0.123):
        subject = Durations(exact=1)
        for _ in range(10):
            subject.add(value)
        assert subject.median() == subject.percentile(99) == value


def test_an_empty_summary_has_no_quantiles() -> None:
    """There is no median of nothing."""
    with pytest.raises(ValueError, match="no durations"):
        Durations(exact=1).median()


def test_a_limit_below_one_is_refused() -> None:
    """max_samples counts samples."""
    with pytest.raises(UsageError):
        PerformanceMonitor(max_samples=0)


# ---- report --------------------------------------------------------------------------------------------------------


def test_the_report_has_the_labels_of_the_menu() -> None:
    """Option 4: per function the reference's labels, seconds with three decimals, and what we measure besides."""
    written: list[str] = []
    clock, memory = FakeClock(), 3 * 2**20
    sampler = ResourceSampler(cpu_time=iter([1.0, 1.25]).__next__, read_memory=lambda: memory)
    monitor = PerformanceMonitor(clock=clock, sampler=sampler, write=written.append)
    monitor.print_report()
    takes(monitor, clock, 2.0, 1.0, name="plain")
    with monitor.measure("run"):
        clock.advance(2.5)
    monitor.print_report()
    assert written == [
        "📊 效能報告: 尚無資料",
        """📊 效能報告

函式: plain
  呼叫次數: 2 (成功 2, 失敗 0)
  總時間: 3.000 秒
  平均時間: 1.500 秒
  最小時間: 1.000 秒
  最大時間: 2.000 秒
  中位數: 1.500 秒
  p50 / p95 / p99: 1.000 / 2.000 / 2.000 秒

函式: run
  呼叫次數: 1 (成功 1, 失敗 0)
  總時間: 2.500 秒
  平均時間: 2.500 秒
  最小時間: 2.500 秒
  最大時間: 2.500 秒
  中位數: 2.500 秒
  p50 / p95 / p99: 2.500 / 2.500 / 2.500 秒
  CPU 秒: 0.250
  記憶體峰值: 3.0 MiB""",
    ]


def test_the_report_goes_to_the_console_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a writer of its own the monitor uses the program's one output function."""
    PerformanceMonitor().print_report()
    assert "效能報告" in capsys.readouterr().out


# ---- resources -----------------------------------------------------------------------------------------------------


class Memory:
    """Memory figures in the order in which they are asked for; tells when one was taken."""

    def __init__(self, *figures: int) -> None:
        self._figures = iter(figures)
        self.taken: queue.SimpleQueue[int] = queue.SimpleQueue()

    def __call__(self) -> int:
        figure = next(self._figures)
        self.taken.put(figure)
        return figure

    def await_readings(self, count: int) -> None:
        for _ in range(count):
            self.taken.get(timeout=20)


def sampled(clock: FakeClock, memory: Callable[[], int], *cpu: float) -> ResourceSampler:
    return ResourceSampler(interval=0.05, clock=clock, cpu_time=iter(cpu).__next__, read_memory=memory)


def test_a_run_has_its_cpu_seconds_and_its_highest_memory(clock: FakeClock) -> None:
    """A peak between start and end is seen by the sampler's thread; the thread is gone when the run is over."""
    memory = Memory(10, 70, 20, 30)
    sampler = sampled(clock, memory, 1.0, 3.5)
    monitor = PerformanceMonitor(clock=clock, sampler=sampler)
    with monitor.measure("run") as run:
        memory.await_readings(1)
        clock.block_until(1, timed=True)
        thread = sampler._thread
        for _ in range(2):
            clock.advance(0.05)
            memory.await_readings(1)
            clock.block_until(1, timed=True)
    assert thread is not None
    thread.join(20)
    assert not thread.is_alive()
    assert (run.name, run.ok) == ("run", True)
    assert run.seconds == pytest.approx(0.1)
    assert (run.cpu_seconds, run.peak_memory) == (2.5, 70)
    one = monitor.get_statistics("run")
    assert (one["cpu_seconds"], one["peak_memory"]) == (2.5, 70)


def test_a_later_run_is_sampled_as_the_first_was(clock: FakeClock) -> None:
    """The thread that ended with the first run is replaced by a new one for the second."""
    memory = Memory(1, 1, 2, 80, 2)
    sampler = sampled(clock, memory, *[0.0] * 4)
    with sampler.watch():
        thread = sampler._thread
    assert thread is not None
    thread.join(20)
    memory.await_readings(2)
    with sampler.watch() as watch:
        memory.await_readings(1)
        clock.block_until(1, timed=True)
        clock.advance(0.05)
        memory.await_readings(1)
        clock.block_until(1, timed=True)
    assert watch.peak_memory == 80


def test_runs_add_up_their_cpu_and_keep_the_highest_memory(clock: FakeClock) -> None:
    """Two runs: CPU seconds are summed, the peak is the greater one, and a failed run has its figures too."""
    sampler = sampled(clock, Memory(1, 2, 9, 3), 0.0, 1.0, 5.0, 7.0)
    monitor = PerformanceMonitor(clock=clock, sampler=sampler)
    measured = monitor.measure_time("run", resources=True)
    measured(clock.advance)(1.0)
    with pytest.raises(ZeroDivisionError):
        measured(lambda: 1 // 0)()
    one = monitor.get_statistics("run")
    assert (one["cpu_seconds"], one["peak_memory"], one["failed_count"]) == (3.0, 9, 1)


def test_a_run_can_be_measured_without_resources(monitor: PerformanceMonitor, clock: FakeClock) -> None:
    """Time alone, for who wants it."""
    with monitor.measure("run", resources=False) as run:
        clock.advance(1.0)
    assert (run.seconds, run.cpu_seconds, run.peak_memory) == (1.0, None, None)


def test_overlapping_watches_share_the_thread_and_are_independent(clock: FakeClock) -> None:
    """An inner watch sees only what happens while it is on; the outer one sees all."""
    memory = Memory(50, 10, 20, 30)
    sampler = sampled(clock, memory, 0.0, 1.0, 2.0, 4.0)
    with sampler.watch() as outer:
        clock.block_until(1, timed=True)
        thread = sampler._thread
        with sampler.watch() as inner:
            assert sampler._thread is thread
    assert (outer.peak_memory, outer.cpu_seconds) == (50, 4.0)
    assert (inner.peak_memory, inner.cpu_seconds) == (20, 1.0)


def test_where_no_thread_can_be_had_the_work_goes_on(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process at its limit of threads still measures, from the readings at start and end."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with sampled(clock, Memory(1, 2), 0.0, 1.0).watch() as watch:
        pass
    assert watch.peak_memory == 2


def test_the_real_figures_are_plausible() -> None:
    """The machine's own clocks and psutil: memory is the size of a Python process, and nothing is negative."""
    monitor = PerformanceMonitor()
    with monitor.measure("run") as run:
        sum(range(10_000))
    assert run.seconds > 0
    assert run.cpu_seconds is not None
    assert run.cpu_seconds >= 0
    assert run.peak_memory is not None
    assert run.peak_memory > 2**20


def test_memory_that_cannot_be_read_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox that hides the process from itself costs the figure, not the run."""

    def refuse(*_: Any) -> Any:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "Process", refuse)
    assert resident_bytes() == 0

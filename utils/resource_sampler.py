"""What a piece of work took from the machine: CPU seconds and the highest memory use meanwhile."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from core.clock import SYSTEM_CLOCK, Clock

__all__ = ["ResourceSampler", "ResourceWatch"]

_INTERVAL: Final = 0.05


class ResourceWatch:
    """What was used while it was on. Both figures are the whole process's: work done at the same time counts too.

    cpu_seconds is final when the watch has ended. peak_memory is the highest resident set size seen, in bytes;
    0 where it could not be read.
    """

    __slots__ = ("cpu_seconds", "peak_memory")

    def __init__(self) -> None:
        self.cpu_seconds = 0.0
        self.peak_memory = 0


class ResourceSampler:
    """Watches CPU and memory of this process.

    Memory is read at the start and the end of each watch and every `interval` seconds between them, so a
    shorter peak can be missed. The reading is done by one daemon thread for all watches, which exists only
    while at least one is on. Thread-safe. cpu_time returns the CPU seconds used so far, read_memory the bytes
    in use now; the default of the latter loads psutil on first use.
    """

    def __init__(
        self,
        *,
        interval: float = _INTERVAL,
        clock: Clock = SYSTEM_CLOCK,
        cpu_time: Callable[[], float] = time.process_time,
        read_memory: Callable[[], int] | None = None,
    ) -> None:
        self._interval = interval
        self._clock = clock
        self._cpu_time = cpu_time
        self._read_memory = read_memory or resident_bytes
        # Guards _watches, _thread and the peaks; held to read and change them, never while memory is read.
        self._condition = threading.Condition(threading.Lock())
        self._watches: set[ResourceWatch] = set()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watch(self) -> Iterator[ResourceWatch]:
        """Watch the body; nested and overlapping watches are independent."""
        watch = ResourceWatch()
        watch.peak_memory = self._read_memory()
        with self._condition:
            self._ensure_thread()
            self._watches.add(watch)
        cpu = self._cpu_time()
        try:
            yield watch
        finally:
            watch.cpu_seconds = self._cpu_time() - cpu
            self._note(self._read_memory())
            with self._condition:
                self._watches.discard(watch)
                self._condition.notify_all()

    def _ensure_thread(self) -> None:
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._sample, name="resource-sampler", daemon=True)
        # Where no thread can be had, the work goes on all the same: memory is still read at start and end.
        with contextlib.suppress(RuntimeError):
            thread.start()
            self._thread = thread

    def _sample(self) -> None:
        while self._pause():
            self._note(self._read_memory())

    def _pause(self) -> bool:
        """Wait one interval; False, and the thread is forgotten, as soon as nobody watches."""
        with self._condition:
            wake = self._clock.now() + self._interval
            while self._watches and (left := wake - self._clock.now()) > 0:
                self._clock.wait(self._condition, left)
            if not self._watches:
                self._thread = None
            return bool(self._watches)

    def _note(self, memory: int) -> None:
        with self._condition:
            for watch in self._watches:
                watch.peak_memory = max(watch.peak_memory, memory)


def resident_bytes() -> int:
    """The resident set size of this process in bytes; 0 where the system does not tell."""
    import psutil  # 20 ms that only a measured run needs

    try:
        return int(psutil.Process().memory_info().rss)
    except (psutil.Error, OSError):
        return 0

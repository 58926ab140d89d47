"""The event loop thread under the google-genai provider."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
from pytest_mock import MockerFixture

from core.errors import OperationCancelledError, PoolClosedError
from core.providers._genai_loop import LoopThread
from core.scope import Scope
from tests.fakes import FakeClock


class Stopping:
    """Counts how often the loop was told to let go of what is open."""

    def __init__(self) -> None:
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1


@pytest.fixture
def stopping() -> Stopping:
    return Stopping()


@pytest.fixture
def loop(stopping: Stopping) -> Iterator[LoopThread]:
    loop = LoopThread("test-loop", on_stop=stopping)
    yield loop
    loop.close()


async def give(value: int) -> int:
    return value


def test_returns_and_raises_what_the_coroutine_does(loop: LoopThread) -> None:
    """A result comes back as it is, an exception is raised in the caller."""

    async def fail() -> None:
        raise KeyError("x")

    assert loop.run(lambda: give(3), Scope()) == 3
    with pytest.raises(KeyError):
        loop.run(fail, Scope())


def test_cancelled_caller_cancels_the_coroutine(loop: LoopThread) -> None:
    """When the scope ends, the coroutine is told so."""
    started, ended, scope = threading.Event(), threading.Event(), Scope()

    async def hang() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    def cancel() -> None:
        assert started.wait(10)
        scope.cancel()

    threading.Thread(target=cancel, daemon=True).start()
    with pytest.raises(OperationCancelledError):
        loop.run(hang, scope)
    assert ended.wait(10)


def test_close_before_use_and_use_after_close(loop: LoopThread, stopping: Stopping) -> None:
    """A loop that never ran has nothing to stop, and never runs once it is closed."""
    loop.close()
    assert stopping.times == 0
    with pytest.raises(PoolClosedError):
        loop.run(lambda: give(1), Scope())


def test_close_ends_what_runs_even_before_its_first_step(stopping: Stopping) -> None:
    """Callers that wait at close() are told that it is closed, every one of them, under either clock."""
    loop = LoopThread("test-loop", on_stop=stopping)
    waiting, told = threading.Barrier(9), []
    lock = threading.Lock()

    async def hang() -> None:
        await asyncio.Event().wait()

    def call(scope: Scope) -> None:
        waiting.wait(10)
        try:
            loop.run(hang, scope)
        except PoolClosedError:
            with lock:
                told.append(True)

    threads = [
        threading.Thread(target=call, args=(Scope(clock=FakeClock()) if number % 2 else Scope(),), daemon=True)
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    waiting.wait(10)
    loop.close()
    for thread in threads:
        thread.join(10)
    assert len(told) == 8
    assert stopping.times <= 1
    assert not any(thread.name == "test-loop" for thread in threading.enumerate())


class TestLookUps:
    async def look_up(self, host: str = "name.invalid") -> object:
        return await asyncio.get_running_loop().getaddrinfo(host, 443)

    def test_callers_at_once_share_one_look_up(self, loop: LoopThread, mocker: MockerFixture) -> None:
        """Ten callers of one name cost one look-up, the next caller another one."""
        release, asked = threading.Event(), []

        def answer(host: str, *_: object) -> list[str]:
            asked.append(host)
            assert release.wait(10)
            return [host]

        async def ten() -> list[object]:
            tasks = [asyncio.create_task(self.look_up()) for _ in range(10)]
            await asyncio.sleep(0)
            release.set()
            return await asyncio.gather(*tasks)

        mocker.patch.object(socket, "getaddrinfo", answer)
        assert loop.run(ten, Scope()) == [["name.invalid"]] * 10
        assert asked == ["name.invalid"]
        loop.run(self.look_up, Scope())
        assert len(asked) == 2

    def test_failure_reaches_every_caller(self, loop: LoopThread, mocker: MockerFixture) -> None:
        """A name that does not exist is an error for each who asked."""
        mocker.patch.object(socket, "getaddrinfo", side_effect=socket.gaierror(-2, "unknown"))
        for _ in range(2):
            with pytest.raises(socket.gaierror):
                loop.run(self.look_up, Scope())

    def test_hanging_look_up_holds_up_nobody(self, stopping: Stopping, mocker: MockerFixture) -> None:
        """close() returns while a look-up hangs, and its late answer harms nothing."""
        release, asked, scope = threading.Event(), threading.Event(), Scope()

        def hang(*_: object) -> list[str]:
            asked.set()
            assert release.wait(10)
            return []

        def cancel() -> None:
            assert asked.wait(10)
            scope.cancel()

        mocker.patch.object(socket, "getaddrinfo", hang)
        loop = LoopThread("test-loop", on_stop=stopping)
        cancelling = threading.Thread(target=cancel, daemon=True)
        cancelling.start()
        with pytest.raises(OperationCancelledError):
            loop.run(self.look_up, scope)
        loop.close()
        cancelling.join(10)
        assert stopping.times == 1
        (look_up,) = (thread for thread in threading.enumerate() if thread.name == "look-up")
        assert look_up.daemon
        release.set()
        look_up.join(10)
        assert not look_up.is_alive()

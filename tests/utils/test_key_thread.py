"""The keyboard while a run goes on: typed keys, pastes, and a clean end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import resource
import select
import termios
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes import FakeClock
from utils import key_thread
from utils.key_bursts import PASTE_END, PASTE_START, KeySorter
from utils.key_thread import KeyThread, typed_keys

PASTED = "<pasted>"


@pytest.mark.parametrize(
    ("burst", "keys"),
    [
        ("p", "p"),
        ("++++++++", "++++++++"),
        ("---", "---"),
        ("＋+", "＋+"),
        ("\x7f\x7f", "\x7f\x7f"),
        ("12", "12"),
        ("+-", None),
        ("quick", None),
        ("pp", None),
        ("1q", None),
        ("\x1b\x1b", None),
        ("\r", "\r"),
        ("\x1b", "\x1b"),
        ("１２", "１２"),
        ("\x1b[A", ""),
        ("\x1b[A\x1bOP\x1b[3~\x1b[1;5C", ""),
        ("\x1bp", ""),
        ("\x1b[Ap", "p"),
        ("+++++++++", None),
        ("p\r", None),
        ("\rq", None),
        ("問題一\n問題二\n", None),
        ("a\nb", None),
        ("x" * 100, None),
        (PASTE_START + "q" + PASTE_END, None),
        (PASTE_START + "q", None),
        (PASTE_START + "q" + PASTE_END + "p", None),
    ],
)
def test_typing_is_told_from_pasting(burst: str, keys: str | None) -> None:
    """Several different keys at once were not typed; one held down was, and an input method gives several digits."""
    assert typed_keys(KeySorter(), burst, after_paste=False) == keys


def test_what_follows_a_paste_belongs_to_it() -> None:
    """Up to the end mark, or as long as it comes in one go."""
    sorter = KeySorter()
    assert typed_keys(sorter, PASTE_START + "x", after_paste=False) is None
    assert typed_keys(sorter, "q", after_paste=False) is None
    assert typed_keys(sorter, PASTE_END, after_paste=False) is None
    assert typed_keys(sorter, "q", after_paste=True) is None
    assert typed_keys(sorter, "q", after_paste=False) == "q"


class Keyboard:
    """A pipe in the place of a keyboard."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()
        self.clock = FakeClock()
        self.got: queue.Queue[str] = queue.Queue()

    def thread(self) -> KeyThread:
        return KeyThread(self.reading, keys=self.got.put, pasted=lambda: self.got.put(PASTED), clock=self.clock)

    def send(self, keys: str) -> None:
        os.write(self._writing, keys.encode())

    def next(self) -> str:
        return self.got.get(timeout=20)

    def hang_up(self) -> None:
        os.close(self._writing)
        self._writing = -1

    def close(self) -> None:
        for fd in (self.reading, self._writing):
            with contextlib.suppress(OSError):
                os.close(fd)


@pytest.fixture
def keyboard() -> Iterator[Keyboard]:
    keyboard = Keyboard()
    yield keyboard
    keyboard.close()


def test_keys_are_handed_on_as_they_come(keyboard: Keyboard) -> None:
    """One by one, in a thread of its own; arrow keys are passed over."""
    with keyboard.thread():
        keyboard.send("p")
        assert keyboard.next() == "p"
        keyboard.send("\x1b[A")
        keyboard.send("問")
        assert keyboard.next() == "問"


def test_a_paste_is_told_as_one_and_swallowed_whole(keyboard: Keyboard) -> None:
    """What comes within a moment after it is the rest of it; a moment later keys are keys again."""
    with keyboard.thread():
        keyboard.send("q\nq\n")
        assert keyboard.next() == PASTED
        keyboard.clock.advance(0.09)
        keyboard.send("q")
        assert keyboard.next() == PASTED
        keyboard.clock.advance(0.11)
        keyboard.send("p")
        assert keyboard.next() == "p"


def test_a_long_paste_without_a_pause_is_a_paste(keyboard: Keyboard) -> None:
    """However many pieces it comes in."""
    with keyboard.thread():
        for _ in range(40):
            keyboard.send("問題\r" * 1000)
        while keyboard.next() == PASTED and not keyboard.got.empty():
            pass
        keyboard.clock.advance(1.0)
        keyboard.send("p")
        while (key := keyboard.next()) == PASTED:
            keyboard.clock.advance(1.0)
            keyboard.send("p")
        assert set(key) == {"p"}


def test_a_piece_of_a_burst_is_looked_at_once_it_is_large(
    keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a stream without end is not collected first."""
    monkeypatch.setattr(key_thread, "_CHUNK", 4)
    monkeypatch.setattr(key_thread, "_SETTLE_SECONDS", 20.0)
    with keyboard.thread():
        keyboard.send("++++" + "p")
        assert keyboard.next() == "++++"


def test_a_lost_end_mark_does_not_lock_the_keyboard(keyboard: Keyboard) -> None:
    """Two seconds later the paste is over all the same."""
    with keyboard.thread():
        keyboard.send(PASTE_START + "x")
        assert keyboard.next() == PASTED
        keyboard.clock.advance(2.1)
        keyboard.send("p")
        assert keyboard.next() == "p"


def test_after_the_block_nothing_is_read(keyboard: Keyboard) -> None:
    """The thread has ended at once, and what is typed later stays for whoever reads next."""
    with keyboard.thread():
        pass
    keyboard.send("q")
    assert not any(thread.name == "run-keys" for thread in threading.enumerate())
    assert keyboard.got.empty()
    assert os.read(keyboard.reading, 10) == b"q"


def test_what_was_typed_when_the_run_ended_is_no_key_any_more(
    keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is still being looked at does nothing."""
    monkeypatch.setattr(key_thread, "_SETTLE_SECONDS", 20.0)
    with keyboard.thread() as thread:
        keyboard.send("q")
        while select_ready(keyboard.reading):
            pass
    assert not thread._thread.is_alive()
    assert keyboard.got.empty()


def select_ready(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_a_closed_terminal_ends_the_reading(keyboard: Keyboard) -> None:
    """It neither spins nor fails."""
    with keyboard.thread() as thread:
        keyboard.hang_up()
        thread._thread.join(20)
        assert not thread._thread.is_alive()


def test_a_vanished_terminal_ends_the_reading(keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the other side of a pseudo-terminal has gone."""

    def gone(fd: int, count: int) -> bytes:
        raise OSError(5, "Input/output error")

    with keyboard.thread() as thread:
        monkeypatch.setattr(os, "read", gone)
        keyboard.send("x")
        thread._thread.join(20)
        assert not thread._thread.is_alive()


@pytest.mark.parametrize("least", [0, 1100])
def test_in_the_background_keys_are_left_alone(
    keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch, least: int
) -> None:
    """They are the shell's; back in the foreground they are ours again. However many files are open."""
    pipe = os.pipe
    if least:
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < least + 10:
            pytest.skip("this system gives no descriptor that is high enough")
        monkeypatch.setattr(os, "pipe", lambda: tuple(moved(fd, least) for fd in pipe()))
    asked, ours = threading.Semaphore(0), threading.Event()

    def is_ours(fd: int) -> bool:
        asked.release()
        return ours.is_set()

    monkeypatch.setattr(key_thread, "_is_ours", is_ours)
    monkeypatch.setattr(key_thread, "_LOOK_SECONDS", 0.01)
    with keyboard.thread():
        keyboard.send("p")
        for _ in range(3):
            assert asked.acquire(timeout=20)
        assert keyboard.got.empty()
        ours.set()
        assert keyboard.next() == "p"


def moved(fd: int, least: int) -> int:
    """The same under a number that is not less."""
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)
    os.close(fd)
    return high


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), KeyboardInterrupt()])
def test_a_thread_that_does_not_start_leaves_nothing_open(
    keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Where the machine gives no thread, and where Ctrl-C comes while it starts: that thread ends by itself."""
    opened: list[int] = []
    pipe, start = os.pipe, threading.Thread.start

    def watched() -> tuple[int, int]:
        opened.extend(pipe())
        return opened[0], opened[1]

    def failing(thread: threading.Thread) -> None:
        if not isinstance(error, RuntimeError):
            start(thread)
        raise error

    monkeypatch.setattr(os, "pipe", watched)
    monkeypatch.setattr(threading.Thread, "start", failing)
    thread = keyboard.thread()
    with pytest.raises(type(error)):
        thread.__enter__()
    if thread._thread.ident is not None:
        thread._thread.join(20)
    for fd in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_a_terminal_that_went_back_to_its_own_editing_is_set_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after being stopped and continued; signals and everything else stay as they are."""
    ours, its = os.openpty()
    asked = threading.Semaphore(0)
    get = termios.tcgetattr
    monkeypatch.setattr(key_thread, "_LOOK_SECONDS", 0.01)

    def watched(fd: int) -> list[Any]:
        asked.release()
        return get(fd)

    monkeypatch.setattr(termios, "tcgetattr", watched)
    before = get(its)[3]
    assert before & termios.ICANON
    with KeyThread(its, keys=lambda keys: None, pasted=lambda: None):
        for _ in range(2):
            assert asked.acquire(timeout=20)
    assert get(its)[3] == before & ~(termios.ICANON | termios.ECHO)
    os.close(ours)
    os.close(its)


def test_keys_typed_before_the_run_are_not_the_runs() -> None:
    """The terminal's queue is emptied first."""
    ours, its = os.openpty()
    got: queue.Queue[str] = queue.Queue()
    key_thread._keep_raw(its)
    os.write(ours, b"q")
    assert select_ready_soon(its)
    with KeyThread(its, keys=got.put, pasted=lambda: None):
        os.write(ours, b"p")
        assert got.get(timeout=20) == "p"
    os.close(ours)
    os.close(its)


def select_ready_soon(fd: int) -> bool:
    return bool(select.select([fd], [], [], 20)[0])

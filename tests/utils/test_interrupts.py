"""The first signal ends the run, the second one the program."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.errors import OperationCancelledError
from core.scope import Scope
from utils.interrupts import Interrupts

ROOT = Path(__file__).resolve().parents[2]


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_the_first_signal_cancels_the_run_from_another_thread() -> None:
    """Ctrl-C in a run calls cancel, in a thread that is not the one it interrupted, and raises nothing."""
    called: queue.Queue[str] = queue.Queue()
    with Interrupts() as interrupts, interrupts.during(lambda: called.put(threading.current_thread().name)):
        send(signal.SIGINT)
        assert called.get(timeout=10) == "interrupts"
    assert interrupts.count == 1
    assert interrupts.leave_with is None


def test_a_run_waiting_in_its_scope_is_freed() -> None:
    """A main thread that waits for a scope gets out through the scope's own cancellation."""
    scope = Scope()
    with Interrupts() as interrupts, interrupts.during(scope.cancel):
        threading.Thread(target=send, args=(signal.SIGINT,), daemon=True).start()
        with pytest.raises(OperationCancelledError):
            scope.sleep(20)


def test_the_signal_may_come_while_the_main_thread_holds_the_lock_that_cancel_needs() -> None:
    """Cancelling does not deadlock on a lock that the interrupted thread holds."""
    lock = threading.Lock()
    cancelled = threading.Event()

    def cancel() -> None:
        with lock:
            cancelled.set()

    with Interrupts() as interrupts, interrupts.during(cancel):
        with lock:
            send(signal.SIGINT)
            assert not cancelled.is_set()
        assert cancelled.wait(10)


def interrupt_twice(interrupts: Interrupts, calls: queue.Queue[None]) -> None:
    with interrupts.during(lambda: calls.put(None)):
        send(signal.SIGINT)
        calls.get(timeout=10)
        send(signal.SIGINT)


def test_the_second_signal_is_a_keyboard_interrupt() -> None:
    """Ctrl-C twice in one run raises KeyboardInterrupt where the main thread is; cancel is called once."""
    calls: queue.Queue[None] = queue.Queue()
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            interrupt_twice(interrupts, calls)
        assert interrupts.note() == 2
    assert calls.empty()


def test_typing_makes_the_next_interrupt_the_first_again() -> None:
    """Only interrupts in a row count."""
    interrupts = Interrupts()
    assert [interrupts.note(), interrupts.note()] == [1, 2]
    interrupts.reset()
    assert interrupts.note() == 1


def test_outside_a_run_ctrl_c_interrupts_at_once() -> None:
    """At the menu SIGINT is a KeyboardInterrupt, also after a run that was cancelled."""
    with Interrupts() as interrupts:
        with interrupts.during(lambda: None):
            pass
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_during_a_run_leaves_after_it(number: signal.Signals) -> None:
    """SIGTERM or SIGHUP in a run cancels it and says with which code to leave once its results are kept."""
    called = threading.Event()
    with Interrupts() as interrupts:
        with interrupts.during(called.set):
            send(number)
            assert called.wait(10)
        assert interrupts.leave_with == 128 + number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_termination_outside_a_run_unwinds_the_program(number: signal.Signals) -> None:
    """At a prompt, SIGTERM or SIGHUP is a SystemExit, so that every finally runs."""
    with Interrupts(), pytest.raises(SystemExit) as caught:
        send(number)
    assert caught.value.code == 128 + number


def test_the_next_run_starts_afresh() -> None:
    """A signal used up in one run is the first again in the next."""
    calls: queue.Queue[int] = queue.Queue()
    with Interrupts() as interrupts:
        for run in (1, 2):
            with interrupts.during(lambda run=run: calls.put(run)):  # type: ignore[misc]  # bound per turn
                send(signal.SIGINT)
                assert calls.get(timeout=10) == run


def test_the_previous_handlers_come_back() -> None:
    """After leaving, signals do what they did before, and the watcher has ended."""

    def handler(number: int, frame: object) -> None: ...

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Interrupts() as interrupts:
            assert signal.getsignal(signal.SIGINT) is not handler
            with interrupts.during(lambda: None):
                watcher = next(thread for thread in threading.enumerate() if thread.name == "interrupts")
        watcher.join(10)
        assert not watcher.is_alive()
        assert signal.getsignal(signal.SIGINT) is handler
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def test_an_ignored_hangup_stays_ignored() -> None:
    """Under nohup the program goes on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_off_the_main_thread_it_changes_nothing() -> None:
    """Elsewhere Python allows no handlers; a run there works without them."""
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def work() -> None:
        with Interrupts() as interrupts, interrupts.during(lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


PROGRAM = """
import sys, threading
from utils.interrupts import Interrupts

with Interrupts() as interrupts:
    try:
        with interrupts.during(lambda: print("cancelled", flush=True)):
            print("ready", flush=True)
            threading.Event().wait(30)
    except KeyboardInterrupt:
        sys.exit(130 if interrupts.note() >= 2 else 1)
"""


def test_a_signal_that_the_main_thread_does_not_notice_is_pressed_upon_it() -> None:
    """Two signals that the interpreter takes for one still end in KeyboardInterrupt."""
    reached = threading.Event()

    def run(interrupts: Interrupts) -> None:
        with interrupts.during(reached.set):
            os.write(signal.set_wakeup_fd(-1), bytes([signal.SIGWINCH, signal.SIGINT, signal.SIGINT]))
            threading.Event().wait(20)

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        run(interrupts)
    assert reached.is_set()


def test_a_hung_run_is_left_with_130_at_the_second_ctrl_c() -> None:
    """In a real process whose run never ends, two signals end the program with 130."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == b"cancelled\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 130

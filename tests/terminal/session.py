"""A program in a real pseudo-terminal, and what a person would see on its screen."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pexpect
import pyte
import wcwidth

__all__ = ["PASTE_END", "PASTE_START", "Session", "terminal"]

PASTE_START = "\x1b[200~"
PASTE_END = "\x1b[201~"
_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 20.0


class Session:
    """A child on a pty of its own with a pyte screen behind it.

    output is every byte the child wrote. expect() and the other waits read until their condition holds and fail
    with the screen in the message after _PATIENCE seconds; nothing here waits for a fixed time.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        columns: int = 100,
        rows: int = 40,
        cwd: Path = _ROOT,
    ) -> None:
        base = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(_ROOT)}
        base |= {name: value for name, value in os.environ.items() if name.startswith(("COV_", "COVERAGE_"))}
        self.output = b""
        self.screen = _Screen(columns, rows, history=5000)
        self._stream = pyte.ByteStream(self.screen)
        self._mark = 0
        self.child: pexpect.spawn[bytes] = pexpect.spawn(
            arguments[0],
            list(arguments[1:]),
            env={**base, **(environ or {})},
            dimensions=(rows, columns),
            cwd=str(cwd),
            timeout=_PATIENCE,
            echo=True,
        )
        self.child.delaybeforesend = None
        os.set_blocking(self.child.child_fd, False)

    @property
    def display(self) -> str:
        """The screen's text, trailing blanks cut."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    @property
    def row(self) -> int:
        """The cursor's line, counted from the first one that the screen ever showed."""
        return len(self.screen.history.top) + int(self.screen.cursor.y)

    @property
    def wraps(self) -> list[str]:
        """What was written past the right edge, so that the terminal had to go on in the next line."""
        return self.screen.wraps

    @property
    def text(self) -> str:
        """Everything the child wrote, decoded."""
        return self.output.decode("utf-8", "replace")

    def expect(self, text: str) -> None:
        """Wait until the child has written this text after what the last expect() found."""
        wanted = text.encode()
        self.wait_until(lambda: self.output.find(wanted, self._mark) >= 0, f"{text!r}")
        self._mark = self.output.find(wanted, self._mark) + len(wanted)

    def expect_on_screen(self, text: str) -> None:
        """Wait until the screen shows this text."""
        self.wait_until(lambda: text in self.display, f"{text!r} on the screen")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Read until the condition holds."""
        limit = time.monotonic() + _PATIENCE
        while not condition():
            if not self._read(0.2) or time.monotonic() > limit:
                if condition():
                    return
                raise AssertionError(f"waited for {what}; the screen shows:\n{self.display}")

    def wait_for_prompt(self, prompt: str) -> None:
        """Wait until the screen's cursor stands right after this prompt: the program reads keys from now on."""
        wanted = prompt.rstrip()
        self.wait_until(lambda: self._line_at_cursor() == wanted and self._reads_keys(), f"the prompt {prompt!r}")
        self._mark = len(self.output)

    def answer(self, text: str, prompt: str) -> None:
        """Type a line and wait for this prompt, or one that ends so, further down, on one line or on several."""
        before = self.row
        self.enter(text)
        self.wait_until(lambda: self.row > before and self._asks(prompt), f"the prompt {prompt!r} after {text!r}")
        self._mark = len(self.output)

    def send(self, keys: str | bytes) -> None:
        """Send keys as they are, in one write where the pty takes them."""
        data = keys.encode() if isinstance(keys, str) else keys
        while data:
            try:
                data = data[os.write(self.child.child_fd, data[:4096]) :]
            except BlockingIOError:
                self._read(0.01)  # the child may be waiting for room to echo

    def enter(self, text: str = "") -> None:
        """Type a line and the Enter key."""
        self.send(f"{text}\r")

    def paste(self, text: str) -> None:
        """Paste as a terminal does in bracketed-paste mode, and look at it before going on, as a person does."""
        self.flood(PASTE_START + text.replace("\n", "\r") + PASTE_END)

    def flood(self, text: str) -> None:
        """Send text in one go, as a paste into a terminal without bracketed paste, and wait until it is drawn.

        Keys sent in the same breath as a paste count as part of it, so a test may not type before this returns.
        """
        before = len(self.output)
        self.send(text)
        self.wait_until(lambda: len(self.output) > before, "a reaction to the paste")
        while self._grew():
            pass

    def _grew(self) -> bool:
        before = len(self.output)
        return self._read(0.25) and len(self.output) > before

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.send("\x03")

    def kill(self, number: int = signal.SIGINT) -> None:
        """Send a signal to the child."""
        self.child.kill(number)

    def hang_up(self) -> int:
        """Close the terminal, as a person who closes its window does; returns the exit code as wait_for_exit() does."""
        process = self.child.ptyproc  # type: ignore[attr-defined]  # not in the stubs
        process.fileobj.close()
        process.closed = True
        process.wait()
        code, number = process.exitstatus, process.signalstatus
        return int(code if code is not None else 128 + (number or 0))

    def wait_for_exit(self) -> int:
        """Read to the end; returns the exit code, 128 + signal where one ended it."""
        limit = time.monotonic() + _PATIENCE
        while self._read(0.2):
            if time.monotonic() > limit:
                raise AssertionError(f"the program did not end; the screen shows:\n{self.display}")
        self.child.wait()
        code, number = self.child.exitstatus, self.child.signalstatus
        return code if code is not None else 128 + (number or 0)

    def close(self) -> None:
        """End the child if it has not ended: with SIGTERM first, which lets a coverage run keep its data."""
        if self.child.isalive():
            self.child.kill(signal.SIGTERM)
            for _ in range(20):
                if not self._read(0.1):
                    break
        self.child.close(force=True)

    def _read(self, timeout: float) -> bool:
        """Take in what the child wrote; False at its end."""
        try:
            data = self.child.read_nonblocking(65536, timeout)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.output += data
        self._stream.feed(data)
        return True

    def _line_at_cursor(self) -> str:
        line = self.screen.buffer[self.screen.cursor.y]
        return "".join(line[column].data for column in range(self.screen.cursor.x)).rstrip()

    def _asks(self, prompt: str) -> bool:
        line, wanted = self._line_at_cursor().strip(), prompt.strip()
        return bool(line) and (wanted.endswith(line) or line.endswith(wanted)) and self._reads_keys()

    def _reads_keys(self) -> bool:
        return not termios.tcgetattr(self.child.child_fd)[3] & termios.ICANON


class _Screen(pyte.HistoryScreen):  # type: ignore[misc]  # pyte ships no types
    """A pyte screen that passes over joiners and variation selectors, at which pyte would drop the rest of a line.

    wraps is what did not fit into its line while the terminal was to wrap by itself.
    """

    wraps: list[str]

    def __init__(self, columns: int, rows: int, **options: int) -> None:
        self.wraps = []
        super().__init__(columns, rows, **options)

    def draw(self, data: str) -> None:
        data = data.replace("\ufe0f", "").replace("\u200d", "")
        width = sum(max(0, wcwidth.wcwidth(character)) for character in data)
        if self.cursor.x + width > self.columns and pyte.modes.DECAWM in self.mode:
            self.wraps.append(data)
        super().draw(data)


@contextlib.contextmanager
def terminal(
    *arguments: str, environ: Mapping[str, str] | None = None, columns: int = 100, rows: int = 40
) -> Iterator[Session]:
    """A Python program in a pty: arguments are what follows `python`."""
    session = Session([sys.executable, *arguments], environ=environ, columns=columns, rows=rows)
    try:
        yield session
    finally:
        session.close()

"""main.py as a person starts it: a process of its own, in a home of its own, with pipes for keyboard and screen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

__all__ = ["MAIN", "ROOT", "Finished", "Program", "environment", "fresh_home", "run_main"]

ROOT = Path(__file__).resolve().parents[1]
MAIN = ROOT / "main.py"
_PATIENCE = 40.0


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a fresh account's shell hands to a program: no key, nothing of ours, folders below home."""
    base = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(home), "OFFLINE_SCALE": "0"}
    base |= {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("STATE", "CACHE", "CONFIG", "DATA")}
    base |= {name: value for name, value in os.environ.items() if name.startswith(("COV_", "COVERAGE_"))}
    return {**base, **(extra or {})}


def fresh_home(tmp_path: Path, name: str = "home") -> Path:
    """A new, empty home; also the working directory, so that no .env of the checkout is read."""
    home = tmp_path / name
    home.mkdir()
    return home


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended, with what it wrote."""

    code: int
    out: str
    err: str


class Program:
    """A started main.py. Use it as a context manager: what still runs at its end is killed.

    expect() reads stdout until the text has come after what the last expect() found; the waits fail after a long
    patience and never last for a fixed time.
    """

    def __init__(self, home: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(MAIN), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(home, environ),
            cwd=home,
        )
        # Guards _out and _err; held by the two readers for an addition, by tests for a look or a wait.
        self._changed = threading.Condition()
        self._texts = {"out": b"", "err": b""}
        self._mark = 0
        self._readers = [self._follow("out", self._process.stdout), self._follow("err", self._process.stderr)]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def out(self) -> str:
        with self._changed:
            return self._texts["out"].decode("utf-8", "replace")

    @property
    def err(self) -> str:
        with self._changed:
            return self._texts["err"].decode("utf-8", "replace")

    def send(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def expect(self, text: str) -> None:
        wanted = text.encode()
        with self._changed:
            came = self._changed.wait_for(lambda: wanted in self._texts["out"][self._mark :], _PATIENCE)
            assert came, f"waited for {text!r} in:\n{self._texts['out'].decode('utf-8', 'replace')}"
            self._mark = self._texts["out"].index(wanted, self._mark) + len(wanted)

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def finish(self) -> Finished:
        """End its input and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        code = self._process.wait(_PATIENCE)
        for reader in self._readers:
            reader.join(_PATIENCE)
        return Finished(code, *(self._texts[name].decode("utf-8", "replace") for name in ("out", "err")))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(_PATIENCE)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _follow(self, name: str, stream: IO[bytes] | None) -> threading.Thread:
        assert stream is not None

        def read() -> None:
            for data in _chunks(stream):
                with self._changed:
                    self._texts[name] += data
                    self._changed.notify_all()

        thread = threading.Thread(target=read, name=f"reads {name}", daemon=True)
        thread.start()
        return thread


def run_main(
    home: Path,
    keys: str | bytes,
    *,
    arguments: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    encoding: str = "utf-8",
) -> Finished:
    """Run main.py to its end with these keys on its input."""
    done = subprocess.run(
        [sys.executable, str(MAIN), *arguments],
        input=keys.encode() if isinstance(keys, str) else keys,
        capture_output=True,
        env=environment(home, environ),
        cwd=home,
        timeout=_PATIENCE,
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding))


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while data := os.read(stream.fileno(), 65536):
        yield data

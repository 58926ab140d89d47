"""The loopback Gemini in a process of its own, so that its CPU seconds are not the client's."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.bench import ROOT

__all__ = ["ServerAddress", "server_process"]


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where the server listens, and its process, for reading its CPU seconds."""

    grpc_port: int
    rest_port: int
    pid: int


@contextlib.contextmanager
def server_process(*, latency: float, streams: int = 100, labels: bool = False) -> Iterator[ServerAddress]:
    command = [sys.executable, "-m", "tests.servers", "--latency", str(latency), "--streams", str(streams)]
    if labels:
        command.append("--labels")
    server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        yield ServerAddress(**json.loads(server.stdout.readline()))
    finally:
        server.stdin.close()  # its sign to end
        server.stdout.close()
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

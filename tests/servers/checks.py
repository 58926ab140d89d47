"""What tests of providers share: a key to hunt for, and a look at what a test left behind."""

from __future__ import annotations

import base64
import contextlib
import gc
import threading
import time
from collections.abc import Iterator
from types import TracebackType

import psutil

__all__ = ["CANARY", "find_canary", "nothing_left_over"]

CANARY = "AIzaSyCANARY0123456789abcdefghijklmnopq"
_FORMS = (CANARY, base64.b64encode(CANARY.encode()).decode(), CANARY[:12])


def find_canary(error: BaseException) -> list[str]:
    """Where the key can be read from an error: its texts, its chain, and every local of its tracebacks."""
    found: list[str] = []
    todo: list[BaseException | None] = [error]
    seen: set[int] = set()
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        todo += [current.__cause__, current.__context__]
        texts = {"str": str(current), "repr": repr(current), "vars": repr(vars(current))}
        texts |= dict(_locals(current.__traceback__))
        found += [f"{type(current).__name__} {place}" for place, text in texts.items() if _has_key(text)]
    return found


def _locals(trace: TracebackType | None) -> Iterator[tuple[str, str]]:
    while trace is not None:
        code = trace.tb_frame.f_code
        # Frames of the tests hold the key by design: they are where it comes from.
        if "/tests/" not in code.co_filename:
            for name, value in trace.tb_frame.f_locals.items():
                yield f"{code.co_qualname}: {name}", repr(value)
        trace = trace.tb_next


def _has_key(text: str) -> bool:
    return any(form in text for form in _FORMS)


@contextlib.contextmanager
def nothing_left_over(patience: float = 5.0) -> Iterator[None]:
    """Fail if threads or sockets that the block opened are still there soon after it."""
    before = _open_things()
    yield
    give_up = time.monotonic() + patience
    while (extra := _open_things() - before) and time.monotonic() < give_up:
        gc.collect()
        threading.Event().wait(0.02)  # gRPC ends its threads and sockets in the background
    assert not extra, f"left over: {extra}"


def _open_things() -> set[str]:
    sockets = {f"socket {found.fd} {found.laddr}" for found in psutil.Process().net_connections("inet")}
    return sockets | {f"thread {thread.name} {thread.ident}" for thread in threading.enumerate()}

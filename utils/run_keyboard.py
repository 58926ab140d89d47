"""A run's controls on the keyboard, where there is one to itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

from utils.console import Console, OutputClosed
from utils.run_keys import RunControls, RunKeys

__all__ = ["keys_for", "listening"]

_MARKS_ON: Final = "\x1b[?2004h"
_MARKS_OFF: Final = "\x1b[?2004l"


def keys_for(
    console: Console,
    controls: RunControls | None,
    *,
    say: Callable[[str], object],
    changed: Callable[[], object],
    find_task: Callable[[int], str | None] | None = None,
) -> RunKeys | None:
    """The keys of a run; None where there is nothing to control, no keyboard, or no way to show what they did."""
    if controls is None or console.keyboard_fd is None or not console.draws:
        return None
    cursor = "▏" if console.is_unicode else "_"
    return RunKeys(controls, say=say, changed=changed, find_task=find_task, cursor=cursor)


@contextlib.contextmanager
def listening(console: Console, keys: RunKeys | None) -> Iterator[None]:
    """Inside, the keyboard is the run's, and the terminal marks what is pasted, so that none of it is a key."""
    fd = console.keyboard_fd
    if keys is None or fd is None:
        yield
        return
    from utils.key_thread import KeyThread  # needs a system that has terminals

    try:
        with _marked_pastes(console), KeyThread(fd, keys=keys.press, pasted=keys.refuse):
            yield
    finally:
        keys.close()


@contextlib.contextmanager
def _marked_pastes(console: Console) -> Iterator[None]:
    """An output that closes meanwhile ends nothing here: the next write of the run's own tells of it."""
    file = console.rich().file
    try:
        with contextlib.suppress(OutputClosed):
            file.write(_MARKS_ON)
        yield
    finally:
        with contextlib.suppress(OutputClosed):
            file.write(_MARKS_OFF)

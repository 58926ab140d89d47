"""A run on the keyboard: what the keys of the live view can do to the engine's executor."""

from __future__ import annotations

from collections.abc import Callable

from utils.run_keys import RunControls
from workflows.engine import Engine

__all__ = ["run_controls"]


def run_controls(engine: Engine, stop: Callable[[], object]) -> RunControls:
    """The executor's controls; stop ends the run at hand and keeps what is answered."""
    executor = engine.executor
    return RunControls(
        pause=executor.pause,
        resume=executor.resume,
        is_paused=lambda: executor.paused,
        workers=lambda: executor.max_workers,
        resize=executor.resize,
        cancel_task=executor.cancel_task,
        stop=stop,
    )

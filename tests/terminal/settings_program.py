"""The settings entry alone, as a program for a pseudo-terminal: python settings_program.py FILE."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from core.language import use_language
from core.settings import Settings, load_layers
from optimizers.limit_settings import LimitSettings
from utils.console import Console
from workflows.settings_menu import SettingsMenu
from workflows.settings_store import SettingsStore

__all__ = ["StandInEngine"]


class StandInEngine:
    """Takes on what an engine does while it runs: all but the cache's place."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.saved_limits = LimitSettings(None)
        self.applied: list[Settings] = []

    def apply(self, settings: Settings) -> tuple[str, ...]:
        self.applied.append(settings)
        later = settings.cache_store != self.settings.cache_store
        self.settings = settings
        return ("cache_store",) if later else ()


def main() -> None:
    store = SettingsStore(Path(sys.argv[1]), environ=os.environ)
    layered = load_layers(os.environ, file=store.path, on_language=use_language)
    with Console(history_path=None) as console:
        engine = StandInEngine(layered.settings)
        SettingsMenu(console, engine, store, limits=lambda: console.write_line("LIMITS")).show()
        console.write_line(f"workers={engine.settings.max_workers}")


if __name__ == "__main__":
    main()

"""A small program for the terminal tests: a run with one answer, taken from a file, to be read."""

from __future__ import annotations

import sys
from pathlib import Path

from core.outcome import Answer, Outcome, OutcomeKind, RunReport, Usage
from utils.console import Console
from utils.interrupts import Interrupts
from workflows.reading import Reading

__all__ = ["QUESTION"]

QUESTION = "什麼是並行?"


def main(path: str) -> None:
    with Path(path).open(encoding="utf-8", newline="") as file:
        answer = Answer(file.read(), "gemini", Usage(1, 2, 3))
    outcome = Outcome("query_0", QUESTION, OutcomeKind.ANSWERED, 0.0, 1.0, 0.0, answer)
    report = RunReport((outcome,), 0.0, 1.0)
    with Interrupts() as interrupts, Console(history_path=None) as console:
        Reading(console, interrupts, again=len, model="gemini").show([QUESTION], report)
        console.write_line("LEFT")


if __name__ == "__main__":
    main(sys.argv[1])

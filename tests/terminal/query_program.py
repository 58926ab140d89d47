"""A small program for the terminal tests of query sets: asks for one again and again, and tells what came of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from core.cost import Range, RunEstimate
from utils.console import Console
from utils.line_input import Pasted
from utils.query_preview import QueryFigures
from workflows.custom_queries import ChosenQueries, CustomQueries

SETS = (("昨天的\x1b[2J", ("過去一", "過去\n二")), ("前天的", ("更早",)))


def look(queries: Sequence[str]) -> QueryFigures:
    """One second and nothing to pay for each question; the first one is in the cache."""
    count = len(queries)
    estimate = RunEstimate(count, count - 1, 10 * count, Range(count, 2 * count), None, Range(1.0, float(count)), True)
    return QueryFigures(estimate, cached=1)


def main(history: str) -> int:
    """q asks a query set, 6 leaves, a paste is a query set if the person says so."""
    path = Path(history).with_name("chosen.json")
    with Console(history_path=Path(history)) as console:
        custom = CustomQueries(console, look=look, query_sets=lambda: SETS)
        while True:
            try:
                entry = console.ask_choice("選擇: ")
                if isinstance(entry, Pasted):
                    tell(console, custom.pasted(entry), path)
                elif entry.choice == "6":
                    console.write_line("LEFT")
                    return 0
                else:
                    tell(console, custom.enter(), path)
            except KeyboardInterrupt:
                console.write_line("INTERRUPTED")


def tell(console: Console, chosen: ChosenQueries | None, path: Path) -> None:
    """How many questions are to be asked; what they are is in the file."""
    if chosen is None:
        console.write_line("NOTHING")
        return
    path.write_text(json.dumps(chosen.queries))
    console.write_line(f"RUN {len(chosen.queries)} {'AGREED' if chosen.agreed else 'UNASKED'}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))

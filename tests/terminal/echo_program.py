"""A small program for the terminal tests: asks, and tells what it got as Python literals."""

from __future__ import annotations

import sys
from pathlib import Path

from utils.console import Console
from utils.line_input import Pasted


def main(history: str) -> int:
    """Commands at the menu: q asks a query set, s waits without asking, a asks one line, 6 leaves."""
    with Console(history_path=Path(history) if history else None) as console:
        while True:
            try:
                entry = console.ask_choice("選擇: ")
            except EOFError:
                console.write_line("GOODBYE")
                return 0
            except KeyboardInterrupt:
                console.write_line("INTERRUPTED")
                continue
            if isinstance(entry, Pasted):
                console.write_line(f"PASTED {len(entry.lines)} {hash_of(entry.lines)}")
            elif entry.choice == "6":
                console.write_line("LEFT")
                return 0
            else:
                act(console, entry.choice)


def act(console: Console, choice: str) -> None:
    if choice == "a":
        console.write_line(f"LINE {console.ask('一行: ')!r}")
    elif choice == "q":
        try:
            found = console.ask_lines("請輸入多個問題(每行一個,輸入空行結束):", most=100_000)
        except KeyboardInterrupt:
            console.write_line("CANCELLED")
            return
        console.write_line(f"SET {len(found.queries)} blank {found.blank} {hash_of(found.queries)}")
        console.discard_typed()
    else:
        console.write_line(f"COMMAND {choice[:40]!a} {len(choice)}")


def hash_of(lines: tuple[str, ...]) -> str:
    """Short lists as they are, long ones as their total length and last line's end."""
    if sum(map(len, lines)) < 200:
        return ascii(lines)
    return f"characters {sum(map(len, lines))} end {lines[-1][-8:]!a}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1] if len(sys.argv) > 1 else ""))

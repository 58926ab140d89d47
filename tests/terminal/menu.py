"""main.py in a pseudo-terminal, at its menu."""

from __future__ import annotations

import contextlib
import re
import sys
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.program import MAIN, environment
from tests.terminal.session import Session

__all__ = ["BROWSE", "MENU", "all_lines", "heading", "is_given_back", "menu"]

MENU = "請選擇 (1-11):"
BROWSE = "輸入題號看完整回答, r 重問失敗的, e 匯出 (Enter 返回):"


@contextlib.contextmanager
def menu(
    home: Path, *, environ: Mapping[str, str] | None = None, columns: int = 100, ready: bool = True
) -> Iterator[Session]:
    """The program in a terminal, waiting for a choice."""
    session = Session(
        [sys.executable, str(MAIN)], environ=environment(home, environ), columns=columns, rows=50, cwd=home
    )
    try:
        if ready:
            session.wait_for_prompt(MENU)
        yield session
    finally:
        session.close()


def all_lines(session: Session) -> list[str]:
    """What the person sees when scrolling back to the beginning."""
    columns = range(session.screen.columns)
    above = ["".join(line[column].data for column in columns) for line in session.screen.history.top]
    return [line.rstrip() for line in [*above, *session.screen.display]]


def is_given_back(session: Session) -> bool:
    """Whether the cursor is visible, pastes are no longer marked, and keys are echoed and edited by the terminal."""
    iflag, oflag, _, lflag = termios.tcgetattr(session.child.child_fd)[:4]
    cooked = termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN
    marked = session.text.rfind("\x1b[?2004h") > session.text.rfind("\x1b[?2004l")
    modes = lflag & cooked == cooked and iflag & termios.ICRNL and oflag & termios.OPOST
    return bool(modes) and not session.screen.cursor.hidden and not marked


def heading(session: Session) -> str:
    """The question over the whole answer shown last, without what the screen's width put in."""
    shown = session.text[session.text.rindex("📝 ") :]
    return re.sub(r"\r\n\s*", "", shown[: shown.index("│")])

"""The live view of a run in a real terminal: rows, keys, pastes and a window that changes its size."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.terminal.live_program import NAMES
from tests.terminal.menu import all_lines, is_given_back
from tests.terminal.session import PASTE_END, PASTE_START, Session, terminal

ASKED = "之後>"
LIVE = ("進行中", "詢問中", "排隊", "━", "─", "等限額", "暫停", "停止中", "取消第幾個")


@contextlib.contextmanager
def live(columns: int, *, total: int = 30, started: int = 6, rows: int = 24) -> Iterator[Session]:
    """A run that is drawn and goes on until it is stopped."""
    with terminal("-m", "tests.terminal.live_program", str(total), str(started), columns=columns, rows=rows) as session:
        session.expect("p 暫停")
        session.wait_until(lambda: f"進行中 {started - 1}" in session.display, "the run's rows")
        yield session


def rows_of(session: Session) -> list[str]:
    return [line.rstrip() for line in session.screen.display if line.strip()]


def starts(session: Session) -> set[int]:
    """The cells in which the questions of the open tasks begin."""
    found = set()
    for line in session.screen.buffer.values():
        cells = [line[column].data for column in range(session.screen.columns)]
        if "".join(cells[:3]).strip().isdecimal():
            found |= {at for at in range(20, len(cells)) if "".join(cells[at : at + 9]).startswith(beginnings())}
    return found


def beginnings() -> tuple[str, ...]:
    return tuple(name[:1] + name[1:2] for name in NAMES)


def ended(session: Session) -> list[str]:
    """Stop it; what is on the screen and above it when the program asks again."""
    session.send("q")
    session.wait_for_prompt(ASKED)
    return all_lines(session)


def check_nothing_is_left(session: Session) -> None:
    lines = ended(session)
    assert not [line for line in lines if any(word in line for word in LIVE)]
    assert any(line.startswith("⏳ 限流, 200 s") for line in lines)
    assert not session.screen.cursor.hidden


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_run_on_the_screen(columns: int) -> None:
    """A row for each open task, aligned by cells; keys do what they say; afterwards nothing of it is left.

    What is typed after the run belongs to the next question.
    """
    with live(columns) as session:
        shown = "\n".join(rows_of(session))
        for text in ("重試 1 等 ", "等限額 ", "詢問中", "排隊", "… 另有 ", " 1/30", "1,234 tokens", "呼叫中 6"):
            assert text in shown
        assert len(starts(session)) == 1, shown
        session.send("p")
        session.expect_on_screen("已暫停 · p 繼續")
        session.send("+")
        session.expect_on_screen("工作數 7")
        session.send("?")
        session.expect_on_screen("? 收起說明")
        session.send("?")
        session.expect_on_screen("p 繼續")
        session.send("c")
        session.expect_on_screen("取消第幾個? ▏")
        session.send("１")
        session.expect_on_screen("取消第幾個? 1▏")
        session.send("２")
        session.expect_on_screen("取消第幾個? 12▏")
        session.send("\r")
        session.expect_on_screen("⏹ 任務取消")
        session.send("\x1b[A")
        session.send("p")
        session.expect_on_screen("p 暫停")
        check_nothing_is_left(session)
        assert "the end: paused=False workers=6 cancelled=['t12'] stops=1" in all_lines(session)
        session.enter("qp12")
        session.expect("typed: 'qp12'")
        assert session.wait_for_exit() == 0
        assert is_given_back(session)


@pytest.mark.parametrize("paste", ["q\rp\rc\r", "qqqqqqqqqqqq", "quick", f"{PASTE_START}quick{PASTE_END}"])
def test_a_paste_is_no_keys(paste: str) -> None:
    """With marks, which the terminal was told to make, and without: it is said once, and nothing of it is done."""
    with live(80) as session:
        session.wait_until(lambda: marks_pastes(session), "pastes to be marked")
        session.send(paste)
        session.expect_on_screen("⚠ 執行中不接受輸入, 貼上的內容沒有採用")
        pictures = session.output.count(b"\x1b[?7h")  # keys in the same breath as a paste count as part of it
        session.wait_until(lambda: session.output.count(b"\x1b[?7h") > pictures + 2, "some more pictures")
        check_nothing_is_left(session)
        assert any("paused=False workers=6 cancelled=[] stops=1" in line for line in all_lines(session))


def marks_pastes(session: Session) -> bool:
    return session.text.rfind("\x1b[?2004h") > session.text.rfind("\x1b[?2004l")


@pytest.mark.parametrize(("total", "narrower"), [(30, 60), (300, 60), (30, 25)])
def test_a_window_that_changes_its_size(total: int, narrower: int) -> None:
    """Narrower and wider while it is drawn: every row fits, and in the end none is left."""
    with live(80, total=total, started=20) as session:
        for columns in (narrower, 200):
            mark = len(session.output)
            session.screen.resize(24, columns)
            session.child.setwinsize(24, columns)
            session.wait_until(drawn_anew(session, mark), f"a picture at {columns} columns")
            assert session.display.count("進行中") == 1
            assert session.display.count(f" 1/{total}") == 1
            if total == 30:
                numbers = [row.split()[0] for row in rows_of(session) if "詢問中" in row or "排隊" in row]
                assert len(numbers) == len(set(numbers))
        check_nothing_is_left(session)


def drawn_anew(session: Session, mark: int) -> Callable[[], bool]:
    """Whether the whole block was drawn since, down to its last row."""

    def drawn() -> bool:
        picture = session.output[mark:].rpartition(b"\x1b[J")[2] if b"\x1b[J" in session.output[mark:] else b""
        return "p 暫停".encode() in picture and b"\x1b[?7h" in picture

    return drawn


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gives_the_terminal_back(number: signal.Signals) -> None:
    """Ctrl-C and kill end the drawing as q does: no row left, the cursor there; pastes are marked for the prompt."""
    with live(60) as session:
        session.kill(number)
        session.wait_for_prompt(ASKED)
        assert not [line for line in all_lines(session) if any(word in line for word in LIVE)]
        assert not session.screen.cursor.hidden
        assert session.text.count("\x1b[?2004h") == session.text.count("\x1b[?2004l") + 1 == 2
        session.enter()
        assert session.wait_for_exit() == 0
        assert is_given_back(session)

"""A block of lines that is drawn again and again, on a screen that may change under it."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Mapping

import pyte
import pytest

from utils.console import Console
from utils.redraw import Beat, Figures, RedrawnBlock, bar
from utils.rich_screen import rich_console
from utils.text_width import cell_width


class Screen(io.StringIO):
    """A terminal's output whose size can be changed, and what it shows."""

    encoding = "utf-8"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int = 40, rows: int = 10) -> None:
        super().__init__()
        self.size = os.terminal_size((columns, rows))
        self.pyte = pyte.HistoryScreen(columns, rows, history=100)
        self._stream = pyte.Stream(self.pyte)
        monkeypatch.setattr(os, "get_terminal_size", lambda fd: self.size)

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1

    def write(self, text: str) -> int:
        self._stream.feed(text.replace("\n", "\r\n").replace("\u200d", ""))  # as terminals do that join nothing
        return super().write(text)

    def resize(self, columns: int, rows: int) -> None:
        self.size = os.terminal_size((columns, rows))
        self.pyte.resize(rows, columns)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.pyte.display if line.strip()]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    return Screen(monkeypatch)


def started(screen: Screen, environ: Mapping[str, str] | None = None) -> RedrawnBlock:
    console = Console(stdout=screen, environ={"TERM": "xterm"})
    block = RedrawnBlock(console, environ=environ or {})
    block.start()
    return block


def test_rows_are_drawn_over_the_old_ones(screen: Screen) -> None:
    """Longer, shorter, more and fewer; in the end nothing is left and the cursor is back."""
    block = started(screen)
    screen.write("above\n")
    for rows in (["one", "two"], ["a longer one", "two"], ["1", "2", "3", "4"], ["x"], [], ["中文", "y"]):
        block.show(rows)
        assert screen.lines == ["above", *rows]
        assert screen.pyte.cursor.hidden
    block.stop()
    assert screen.lines == ["above"]
    assert (screen.pyte.cursor.y, screen.pyte.cursor.x, screen.pyte.cursor.hidden) == (1, 0, False)


def test_only_what_differs_is_written(screen: Screen) -> None:
    """A picture like the last one costs no byte, a changed row little more than itself."""
    block = started(screen)
    block.show(["x" * 30, "a"])
    before = len(screen.getvalue())
    block.show(["x" * 30, "a"])
    assert len(screen.getvalue()) == before
    block.show(["x" * 30, "b"])
    assert "x" not in screen.getvalue()[before:]
    assert screen.lines == ["x" * 30, "b"]


def test_printed_lines_stay_above_in_one_piece_with_the_rows(screen: Screen) -> None:
    """They scroll away in order, also when the screen is full; what is printed last goes out with the end."""
    block = started(screen)
    for number in range(20):
        block.print([f"line {number}"])
        count = screen.getvalue().count("line")
        block.show(["row", f"{number}"])
        assert screen.getvalue().count("line") == count + 1
        assert screen.lines[-2:] == ["row", f"{number}"]
    block.print(["the last"])
    block.stop()
    assert screen.lines[-2:] == ["line 19", "the last"]
    above = ["".join(line[column].data for column in range(40)).rstrip() for line in screen.pyte.history.top]
    assert [*above, *screen.lines] == [*(f"line {number}" for number in range(20)), "the last"]


def test_no_row_wraps_whatever_the_terminal_thinks_of_its_width(screen: Screen) -> None:
    """Rows are cut at the edge, and where a terminal draws wider than we count, it cuts them itself."""
    block = started(screen)
    block.show(["x" * 100, "👩\u200d👩\u200d👧" * 20, "z"])
    family = screen.getvalue().split("\n")[1]
    assert cell_width(family.partition("\x1b")[0]) <= 40
    assert [screen.lines[0], screen.lines[-1]] == ["x" * 40, "z"]
    assert len(screen.lines) == 3
    block.show(["x" * 40, "y" * 40, "z"])
    assert screen.lines == ["x" * 40, "y" * 40, "z"]
    assert "y" * 40 + "\x1b[K" not in screen.getvalue(), "there, some terminals erase the last character"
    block.stop()
    screen.write("w" * 50)
    assert screen.lines == ["w" * 40, "w" * 10], "the terminal wraps again"


def test_a_row_is_measured_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in for a symbol that the encoding lacks may be wider than it."""
    screen = Screen(monkeypatch, columns=20)
    screen.encoding = "ascii"
    block = started(screen)
    block.show(["✅" * 10, "end"])
    assert screen.lines == ["[OK]" * 5, "end"]


def test_no_more_rows_than_the_screen_has(screen: Screen) -> None:
    """The last ones are drawn, and one line stays free."""
    block = started(screen)
    assert block.most_rows == 9
    block.show([f"{number}" for number in range(30)])
    assert screen.lines == [f"{number}" for number in range(21, 30)]
    block.stop()
    assert screen.lines == []


def test_controls_in_a_row_are_shown_and_not_obeyed(screen: Screen) -> None:
    """Rows are someone else's text in the end."""
    block = started(screen)
    block.show(["a\x1b[2Jb\rc", "[bold]d[/bold]"])
    assert screen.lines == ["a␛[2Jb␍c", "[bold]d[/bold]"]


@pytest.mark.parametrize(("columns", "rows"), [(20, 10), (39, 10), (60, 10), (200, 10), (40, 30), (25, 20)])
def test_a_window_of_another_size_is_drawn_afresh(screen: Screen, columns: int, rows: int) -> None:
    """What was printed stays, nothing of the old rows does, and none is wider than the new window."""
    block = started(screen)
    block.print(["printed"])
    full = ["r" * 40, "s" * 40, "t"]
    block.show(full)
    screen.resize(columns, rows)
    block.show([row[:columns] for row in full])
    assert screen.lines == ["printed", *(row[:columns] for row in full)]
    block.stop()
    assert screen.lines == ["printed"]


def test_a_terminal_that_breaks_lines_anew_is_gone_after(screen: Screen) -> None:
    """Its rows have become more than we drew: all of them are taken back."""
    block = started(screen, {"VTE_VERSION": "7600"})
    block.show(["r" * 40, "中" * 20, "t"])
    screen.resize(25, 10)
    screen.pyte.reset()
    screen.write("printed\n" + "r" * 40 + "\n" + "中" * 12 + "\n" + "中" * 8 + "\nt")  # as such a terminal shows it
    block.show(["r" * 25, "中" * 12, "t"])
    assert screen.lines == ["printed", "r" * 25, "中" * 12, "t"]


def test_nothing_is_drawn_after_the_end(screen: Screen) -> None:
    """Whoever stops it, and whichever thread still draws."""
    block = started(screen)
    block.show(["x"])
    block.stop()
    before = screen.getvalue()
    block.stop()
    block.show(["y"])
    assert screen.getvalue() == before


def test_the_size_is_that_of_the_stream(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each look; where the stream has none, what the console was told."""
    block = started(screen)
    assert block.width == 40
    screen.resize(10, 10)
    assert block.width == 20, "narrower than anything fits"
    screen.size = os.terminal_size((0, 0))
    assert block.width == 40

    def none(fd: int) -> os.terminal_size:
        raise OSError

    monkeypatch.setattr(os, "get_terminal_size", none)
    assert (block.width, block.most_rows) == (40, 23)
    from utils.output_stream import OutputStream

    assert rich_console(OutputStream(lambda: None), width=33, colour=False).width == 33


def test_a_wake_up_draws_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The beat does not have to come round."""
    monkeypatch.setattr("utils.redraw.REFRESH_SECONDS", 20.0)
    steps = threading.Semaphore(0)
    with Beat(steps.release, start=lambda: None, stop=lambda: None, name="test-beat") as beat:
        beat.wake()
        assert steps.acquire(timeout=10)
        beat.wake()
        assert steps.acquire(timeout=10)
        assert not steps.acquire(timeout=0.05), "one wake-up is one step"
    assert steps.acquire(blocking=False), "and once more on leaving"


def test_figures_are_asked_for_now_and_then() -> None:
    """Four times a second; a failure counts as none."""
    asked: list[int] = []

    def read() -> int:
        asked.append(1)
        if len(asked) == 2:
            raise ZeroDivisionError
        return len(asked)

    known = Figures(read)
    assert [known.latest(now) for now in (0.0, 0.2, 0.25, 0.4, 0.5)] == [1, 1, None, None, 3]
    assert Figures[int](None).latest(0.0) is None


def test_a_bar_grows_with_its_share() -> None:
    """Never beyond the screen, nor beyond sixty columns."""
    assert bar(0.5, 10) == "━━━━━─────"
    assert bar(2.0, 200) == "━" * 60
    assert bar(0.0, 5) == "─" * 5

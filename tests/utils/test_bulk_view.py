"""A bulk run on the screen while it goes on: one bar on a terminal, a dozen lines elsewhere."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Callable

import pytest

from core.bulk import BulkProgress
from tests.fakes import FakeClock
from tests.utils.limiter_figures import figures
from tests.utils.test_live_view import Person, Terminal, WatchedTerminal
from utils.bulk_view import BulkView
from utils.console import Console, OutputClosed
from utils.redraw import RedrawnBlock
from utils.text_width import cell_width

MOST_LINES = 200


def drawn(progress: Callable[[], BulkProgress], beats: int = 2, columns: int = 80, **more: object) -> Terminal:
    """Show a run for some beats on a terminal."""
    out = Terminal()
    console = Console(stdout=out, environ={"TERM": "xterm", "COLUMNS": str(columns), "NO_COLOR": "1"})
    watch(console, progress, beats, **more)
    return out


def watch(console: Console, progress: Callable[[], BulkProgress], beats: int, **more: object) -> None:
    """Leave the block once progress was asked that often."""
    enough, count = threading.Event(), itertools.count(1)

    def counted() -> BulkProgress:
        if next(count) >= beats:
            enough.set()
        return progress()

    with BulkView(console, counted, **more):  # type: ignore[arg-type]  # handed on as it came
        assert enough.wait(20)


def show_all(sequence: list[BulkProgress]) -> list[str]:
    """What a plain output shows of these, one beat each."""
    out = io.StringIO()
    view = BulkView(Console(stdout=out, environ={}), lambda: sequence.pop(0))
    for _ in range(len(sequence)):
        view._draw()
    return out.getvalue().splitlines()


def test_a_terminal_shows_a_bar_with_its_figures() -> None:
    """Bar and counts while it runs; nothing of it is left afterwards, and the cursor is there."""
    half = BulkProgress(expected=100, answered=50, requests=2, pack_size=25, seconds=10.0)
    out = drawn(lambda: half, money=lambda: "US$0.01")
    text = out.getvalue()
    assert "━" * 30 + "─" * 30 in text
    assert "50/100 (50%)" in text
    assert out.lines() == []
    assert not out.screen().cursor.hidden


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_no_row_is_wider_than_the_screen(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any width, so that redrawing leaves nothing behind."""
    rows: list[str] = []
    show = RedrawnBlock.show

    def watched(block: RedrawnBlock, shown: list[str]) -> None:
        rows.extend(shown)
        show(block, shown)

    monkeypatch.setattr(RedrawnBlock, "show", watched)
    full = BulkProgress(expected=10**7, answered=10**6, failed=10**5, done_before=10**6, requests=10**5, seconds=1.0)
    limiter = figures(in_flight=7, requests_last_minute=9)
    out = drawn(lambda: full, columns=columns, limiter=lambda: limiter, clock=FakeClock())
    assert out.lines(columns) == []
    assert len(rows) > 2
    assert max(map(cell_width, rows)) <= columns


def test_a_run_of_unknown_length_has_no_bar() -> None:
    """Its counts are shown all the same."""
    text = drawn(lambda: BulkProgress(answered=5)).getvalue()
    assert "✅ 5" in text
    assert "━" not in text


def test_the_limiter_is_shown_where_it_has_figures() -> None:
    """And what it gets wrong ends nothing."""
    assert "9" in drawn(
        lambda: BulkProgress(answered=5), limiter=lambda: figures(requests_last_minute=9), clock=FakeClock()
    ).getvalue()  # fmt: skip

    def broken() -> None:
        raise ZeroDivisionError

    assert "✅ 5" in drawn(lambda: BulkProgress(answered=5), limiter=broken).getvalue()


def test_a_plain_output_has_a_line_for_every_tenth() -> None:
    """Ten at most, whatever the steps in which the run comes forward, the last at the end."""
    lines = show_all([BulkProgress(expected=1000, answered=done) for done in range(0, 1001, 7)] + [
        BulkProgress(expected=1000, answered=1000)] * 5)  # fmt: skip
    assert len(lines) == 10
    assert lines[0].startswith("105/1,000")
    assert lines[-1].startswith("1,000/1,000 (100%)")


def test_a_resumed_run_begins_where_it_was() -> None:
    """One line for all the tenths that were done before."""
    lines = show_all([BulkProgress(expected=100, done_before=done) for done in (90, 91, 95)])
    assert len(lines) == 1


@pytest.mark.parametrize("step", [1_000, 50_000, 1_000_000])
def test_any_length_makes_few_lines(step: int) -> None:
    """Where nobody knows how long it is, lines come ever more seldom."""
    lines = show_all([BulkProgress(answered=done) for done in range(0, 1000 * step, step)])
    assert 1 <= len(lines) <= 20 < MOST_LINES


def test_a_plain_output_writes_through_the_whole_block() -> None:
    """The last state is written on leaving, too."""
    out = io.StringIO()
    watch(Console(stdout=out, environ={}), lambda: BulkProgress(expected=1, answered=1), beats=1)
    assert out.getvalue().startswith("1/1 (100%)")


def test_a_closed_output_ends_the_drawing_and_nothing_else() -> None:
    """The run goes on."""

    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    console = Console(stdout=Gone(), environ={"TERM": "xterm"})
    with BulkView(console, BulkProgress) as view:
        view._beat._thread.join(20)
    assert not view._beat._thread.is_alive()
    assert issubclass(OutputClosed, Exception)


def test_keys_steer_a_bulk_run_too() -> None:
    """Pause, and the end; there is no key to cancel one, and what was pasted is said to be lost."""
    person, out = Person(), WatchedTerminal()
    console = Console(stdin=person.stdin, stdout=out, environ={"TERM": "xterm", "NO_COLOR": "1"})
    try:
        with BulkView(console, BulkProgress, controls=person.controls()):
            out.await_text("p 暫停 · +/- 工作數 5 · q 停止並保留 · ? 說明")
            person.types("p")
            out.await_text("已暫停 · p 繼續")
            person.types("q")
            assert person.stopped.wait(20)
            out.await_text("停止中, 已完成的會保留")
            person.types("q\rq\r")
            out.await_text("貼上的內容沒有採用")
        assert len(out.lines()) == 1
        assert not person.paused
    finally:
        person.close()


def test_a_plain_output_can_be_told_something_too() -> None:
    """A line like any other."""
    out = io.StringIO()
    view = BulkView(Console(stdout=out, environ={}), BulkProgress)
    view.say("一行")
    view._draw()
    assert out.getvalue() == "一行\n"

"""What bulk runs leave on the disk goes when nobody needs it, and not before."""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
from pathlib import Path

import pytest

from core.bulk import BatchSpec, ItemResult, RequestCost, text_key
from core.outcome import OutcomeKind
from optimizers.journal import Journal
from optimizers.journal_files import list_journals
from tests.fakes import FakeClock
from utils.spool import spool
from workflows.housekeeping import KEPT_DAYS, tidy_up

DAY = 24 * 3600


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def batch(folder: Path, clock: FakeClock, source: str, *, finished: bool) -> None:
    with Journal(folder, BatchSpec(source, "{}", "{}", "fake"), clock=clock) as journal:
        journal.record([ItemResult(text_key("a"), OutcomeKind.ANSWERED, "{}", attempts=1)], RequestCost(1))
        journal.set_finished(finished)


def piped(folder: Path, clock: FakeClock, text: str) -> Path:
    path = spool(io.BytesIO(text.encode()), folder)
    os.utime(path, (clock.wall(), clock.wall()))
    return path


def test_old_finished_batches_go_and_old_unfinished_ones_stay(tmp_path: Path, clock: FakeClock) -> None:
    """However old; what went is told."""
    batch(tmp_path, clock, "/finished.txt", finished=True)
    batch(tmp_path, clock, "/unfinished.txt", finished=False)
    clock.advance(KEPT_DAYS * DAY - 10)
    batch(tmp_path, clock, "/new.txt", finished=True)
    told: list[str] = []
    tidy_up(tmp_path, clock=clock, on_note=told.append)
    assert (len(list_journals(tmp_path)), told) == (3, [])
    clock.advance(20)
    tidy_up(tmp_path, clock=clock, on_note=told.append)
    left = {info.spec.source for info in list_journals(tmp_path) if info.spec is not None}
    assert left == {"/unfinished.txt", "/new.txt"}
    assert told == ["🧹 已刪除 1 份早就完成的批次紀錄 (30 天以上)"]


def test_inputs_from_pipes_go_when_no_batch_needs_them(tmp_path: Path, clock: FakeClock) -> None:
    """That of an unfinished batch stays, and so do young ones and files of other names."""
    needed, orphan = piped(tmp_path, clock, "needed"), piped(tmp_path, clock, "orphan")
    half = tmp_path / ".input-x1y2"
    other = tmp_path / "input-of-mine.txt"
    for path in (half, other):
        path.write_text("")
        os.utime(path, (clock.wall(), clock.wall()))
    batch(tmp_path, clock, str(needed.resolve()), finished=False)
    clock.advance(400 * DAY)
    young = piped(tmp_path, clock, "young")
    told: list[str] = []
    tidy_up(tmp_path, clock=clock, on_note=told.append)
    assert [path.exists() for path in (needed, young, other, orphan, half)] == [True, True, True, False, False]
    assert told == ["🧹 已刪除 2 份用不到的管線輸入 (30 天以上)"]


def test_while_a_batch_cannot_be_read_no_input_goes(tmp_path: Path, clock: FakeClock) -> None:
    """One that a newer program wrote, say: it may be the one that needs it."""
    orphan = piped(tmp_path, clock, "orphan")
    batch(tmp_path, clock, "/a.txt", finished=False)
    (journal,) = tmp_path.glob("*.sqlite3")
    clock.advance(400 * DAY)
    for version, kept in ((99, True), (1, False)):
        with contextlib.closing(sqlite3.connect(journal)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        tidy_up(tmp_path, clock=clock)
        assert orphan.exists() is kept


def test_a_folder_that_is_not_there_is_no_trouble(tmp_path: Path, clock: FakeClock) -> None:
    """Nor is one that is a file."""
    told: list[str] = []
    tidy_up(tmp_path / "missing", clock=clock, on_note=told.append)
    (tmp_path / "file").write_text("")
    tidy_up(tmp_path / "file", clock=clock, on_note=told.append)
    assert told == []

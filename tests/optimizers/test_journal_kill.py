"""The journal when its process dies, when two want it, and when the power goes; with real processes."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.bulk import RequestCost
from core.outcome import OutcomeKind, Usage
from optimizers.journal import Journal
from tests.optimizers.journal_writer import PACK, POINTS, SPEC, pack

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def child(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.optimizers.journal_writer", str(folder), *words]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def check(folder: Path, acknowledged: int) -> int:
    """Everything acknowledged is there once, nothing is half there; returns how many packs there are."""
    notes: list[str] = []
    with Journal(folder, SPEC, on_note=notes.append) as journal:
        found = list(journal.results())
        packs, rest = divmod(len(found), PACK)
        assert (notes, rest) == ([], 0)
        assert packs in (acknowledged, acknowledged + 1)
        expected = [result for number in range(packs) for result in pack(number)]
        assert sorted(found, key=lambda result: result.key) == sorted(expected, key=lambda result: result.key)
        assert journal.counts() == {OutcomeKind.ANSWERED: len(found)}
        assert journal.totals() == RequestCost(packs, Usage(10 * packs, 2 * packs))
        path = journal.path
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return packs


@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_at_any_point_of_a_commit_loses_and_doubles_nothing(tmp_path: Path, point: str) -> None:
    """Killed in its sixth commit, and once more in the third after that: what was acknowledged is there, once."""
    packs = 0
    for number in (6, 3):
        with child(tmp_path, "packs", point, str(number)) as process:
            acknowledged = packs
            while (line := said(process)) != "":
                assert int(line) == acknowledged
                acknowledged += 1
            assert process.wait() == -signal.SIGKILL
        assert acknowledged == packs + number - 1
        packs = check(tmp_path, acknowledged)
        assert packs == acknowledged + (point == "after commit")


def test_a_process_killed_at_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Eight times, after a seeded number of commits and a seeded moment more."""
    chance = random.Random(22)
    packs = 0
    for _ in range(8):
        with child(tmp_path, "packs") as process:
            for _ in range(chance.randrange(1, 60)):
                assert int(said(process)) == packs
                packs += 1
            until = time.perf_counter() + chance.random() * 0.002
            while time.perf_counter() < until:
                pass
            process.kill()
            assert process.stdout is not None
            packs += len([line for line in process.stdout.read().split("\n")[:-1] if line])
        packs = check(tmp_path, packs)


def test_the_files_as_they_are_after_each_commit_hold_every_commit(tmp_path: Path) -> None:
    """What a power cut leaves behind a commit is what the system was told to write: a copy of the files opens whole."""
    with Journal(tmp_path / "there", SPEC) as journal:
        for number in range(15):
            journal.record(pack(number), RequestCost(1, Usage(10, 2)))
            shutil.copytree(tmp_path / "there", tmp_path / f"{number}")
    for number in range(15):
        assert check(tmp_path / f"{number}", number + 1) == number + 1


def test_of_two_processes_at_once_exactly_one_has_the_journal(tmp_path: Path) -> None:
    """Twenty rounds: one wins, the other is told the winner's pid."""
    with child(tmp_path, "race") as one, child(tmp_path, "race") as other:
        both = (one, other)
        assert [said(process) for process in both] == ["ready", "ready"]
        for _ in range(20):
            for process in both:
                tell(process)
            answers = {process.pid: said(process) for process in both}
            winners = [pid for pid, answer in answers.items() if answer == "won"]
            assert len(winners) == 1, answers
            assert sorted(answers.values()) == [f"busy {winners[0]}", "won"]
            for process in both:
                tell(process)
            assert [said(process) for process in both] == ["free", "free"]


def test_a_lock_ends_with_its_process_and_an_old_pid_stops_nobody(tmp_path: Path) -> None:
    """The pid of a killed process stays in its file, and the journal opens all the same."""
    with child(tmp_path, "packs") as process:
        said(process)
        process.kill()
        process.wait()
    (pid_file,) = tmp_path.glob("*.pid")
    assert pid_file.read_text() == str(process.pid)
    pid_file.write_text(str(os.getppid()))
    with Journal(tmp_path, SPEC) as journal:
        assert journal.counts()[OutcomeKind.ANSWERED] >= PACK

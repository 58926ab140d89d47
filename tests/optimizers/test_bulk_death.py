"""kill -9 of a bulk run at any point: nothing answered is lost, nothing is there twice, little is asked twice."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from core.bulk import text_key
from core.outcome import OutcomeKind
from optimizers.journal import Journal
from tests.optimizers.bulk_child import PACK, POINTS, REQUESTS, SPEC, WORKERS, label

ROOT = Path(__file__).resolve().parents[2]
COUNT = 2000


def session(directory: Path, point: str = "never", *, kill_after: float | None = None) -> str:
    """Run a child to its end, whatever that is; what it said last."""
    directory.mkdir(exist_ok=True)
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.optimizers.bulk_child", str(directory), str(COUNT), point],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "running\n"
        if kill_after is not None:
            time.sleep(kill_after)  # any moment will do
            child.kill()
        said = child.stdout.read()
    assert child.returncode in (0, -signal.SIGKILL)
    if point != "never":
        assert (child.returncode, said) == (-signal.SIGKILL, "")
    return said


def requests(directory: Path) -> list[list[str]]:
    """What the model was asked, over all sessions."""
    return [json.loads(line) for line in (directory / REQUESTS).read_text().splitlines()]


def check_finished(directory: Path, *, kills: int) -> None:
    """Every text has its own label, once; per kill no more was asked again than was out."""
    with Journal(directory, SPEC, on_note=pytest.fail) as journal:
        assert journal._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = {result.key: json.loads(result.values) for result in journal.results()}
        assert found == {text_key(f"{n}"): {"result": label(f"{n}")} for n in range(1, COUNT + 1)}
        assert len(list(journal.results())) == COUNT
        assert journal.counts() == {OutcomeKind.ANSWERED: COUNT}
    asked = Counter(text for texts in requests(directory) for text in texts)
    assert len(asked) == COUNT
    assert sum(asked.values()) - COUNT <= kills * WORKERS * PACK
    assert len(requests(directory)) - COUNT // PACK <= kills * (WORKERS + 1)  # and a pack that is not full


@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_died_at_a_named_point_is_finished_by_the_next(tmp_path: Path, point: str) -> None:
    """0 lost, 0 doubled, and no more requests again than were in flight."""
    passed = {"before reading": 900, "in transaction": 777}.get(point, 60)
    session(tmp_path, f"{point}:{passed}")
    assert session(tmp_path) == "complete\n"
    check_finished(tmp_path, kills=1)


def test_a_run_that_dies_again_and_again_is_finished(tmp_path: Path) -> None:
    """Eight kills at any moment, one session after the other."""
    dice = random.Random(22)
    kills = 0
    for _ in range(8):
        kills += session(tmp_path, kill_after=dice.uniform(0.0, 0.15)) != "complete\n"
    assert session(tmp_path) == "complete\n"
    check_finished(tmp_path, kills=kills)
    assert kills > 1

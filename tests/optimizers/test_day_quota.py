"""The day's count: across restarts, across midnight, across odd files."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from core.pacific import next_pacific_midnight
from optimizers.day_quota import DayQuota

NOON = 1_764_014_400.0  # 2025-11-24, 12:00 in Los Angeles
MIDNIGHT = next_pacific_midnight(NOON)


def save(quota: DayQuota, wall: float) -> None:
    text = quota.to_save(wall, at_once=True)
    assert text is not None
    quota.write(text)


def test_the_count_survives_a_restart_and_ends_with_the_pacific_day(tmp_path: Path) -> None:
    """What is counted today is there after a restart; at midnight in Los Angeles it is zero again."""
    quota = DayQuota(tmp_path / "day.json", NOON, limit=100)
    for _ in range(3):
        quota.count(NOON)
    quota.count(NOON, -1)
    save(quota, NOON)
    again = DayQuota(tmp_path / "day.json", NOON + 60)
    assert again.calls(NOON + 60) == 2
    assert again.calls(MIDNIGHT - 1) == 2
    assert again.calls(MIDNIGHT) == 0
    assert DayQuota(tmp_path / "day.json", MIDNIGHT + 5).calls(MIDNIGHT + 5) == 0


def test_a_limit_that_is_reached_ends_the_day_until_midnight(tmp_path: Path) -> None:
    """Two of two: over until midnight; a higher limit opens it at once."""
    quota = DayQuota(None, NOON, limit=2)
    quota.count(NOON)
    assert quota.over_until(NOON) is None
    quota.count(NOON)
    assert quota.over_until(NOON) == MIDNIGHT
    assert quota.over_until(MIDNIGHT) is None
    quota.count(MIDNIGHT)
    quota.count(MIDNIGHT)
    quota.limit = 3
    assert quota.over_until(MIDNIGHT) is None


@pytest.mark.parametrize(("told", "until"), [(NOON + 100, NOON + 100), (None, MIDNIGHT), (NOON - 5, MIDNIGHT)])
def test_the_service_can_end_the_day(told: float | None, until: float) -> None:
    """It holds until the instant the service named, else until midnight, and can be forgotten."""
    quota = DayQuota(None, NOON)
    quota.end_day(NOON, told)
    assert quota.over_until(NOON + 1) == until
    assert quota.over_until(until) is None
    quota.end_day(NOON, told)
    quota.reopen()
    assert quota.over_until(NOON) is None


def test_the_file_is_for_its_owner_alone_and_replaced_whole(tmp_path: Path) -> None:
    """Mode 0600 in a directory of 0700, valid JSON, nothing else left behind."""
    path = tmp_path / "state" / "day.json"
    quota = DayQuota(path, NOON, limit=100)
    for _ in range(2):
        quota.count(NOON)
        save(quota, NOON)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert json.loads(path.read_text()) == {"version": 1, "resets_at": MIDNIGHT, "calls": 2}
    assert list(path.parent.iterdir()) == [path]


def test_it_is_written_once_a_second_at_most_and_only_when_changed(tmp_path: Path) -> None:
    """Many calls a second cost one write; none cost none; closing writes what is left."""
    quota = DayQuota(tmp_path / "day.json", NOON, limit=100)
    assert quota.to_save(NOON + 2) is None
    quota.count(NOON + 2)
    assert quota.to_save(NOON + 2) is not None
    quota.count(NOON + 2.5)
    assert quota.to_save(NOON + 2.5) is None
    assert quota.to_save(NOON + 2.5, at_once=True) is not None
    assert quota.to_save(NOON + 9, at_once=True) is None


def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No path, no file, no error."""
    monkeypatch.chdir(tmp_path)
    quota = DayQuota(None, NOON)
    quota.count(NOON)
    assert quota.to_save(NOON + 5) is None
    quota.write("{}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[1]", "null", "[" * 3000, '{"version": 2, "resets_at": 1, "calls": 1}',
        json.dumps({"version": 1, "resets_at": MIDNIGHT, "calls": -1}),
        json.dumps({"version": 1, "resets_at": MIDNIGHT, "calls": True}),
        json.dumps({"version": 1, "resets_at": "soon", "calls": 5}),
        json.dumps({"version": 1, "resets_at": float("nan"), "calls": 5}),
        json.dumps({"version": 1, "resets_at": MIDNIGHT + 86_400, "calls": 5}),
        json.dumps({"version": 1, "resets_at": NOON - 1, "calls": 5}),
    ],
)  # fmt: skip
def test_a_file_that_is_not_ours_counts_as_none(tmp_path: Path, text: str) -> None:
    """Broken, foreign, old or impossible: the count starts at zero."""
    path = tmp_path / "day.json"
    path.write_text(text)
    assert DayQuota(path, NOON).calls(NOON) == 0
    path.write_bytes(b"\xff\xfe\x00")
    assert DayQuota(path, NOON).calls(NOON) == 0


def test_a_disk_that_refuses_is_logged_once_and_harms_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The path is a directory: one warning for any number of writes, the count goes on, no file is left over."""
    path = tmp_path / "day.json"
    path.mkdir()
    quota = DayQuota(path, NOON, limit=100)
    for _ in range(3):
        quota.count(NOON)
        save(quota, NOON)
    assert (len(caplog.records), quota.calls(NOON), list(tmp_path.iterdir())) == (1, 3, [path])
    path.rmdir()
    quota.count(NOON)
    save(quota, NOON)
    assert DayQuota(path, NOON).calls(NOON) == 4


def test_a_clock_set_back_by_days_starts_a_new_day() -> None:
    """The wall clock may jump: a count from a day that is no longer today's is dropped."""
    quota = DayQuota(None, NOON, limit=1)
    quota.count(NOON)
    assert quota.over_until(NOON - 3 * 86_400) is None


def test_where_there_is_no_limit_nothing_is_written(tmp_path: Path) -> None:
    """The count matters to nobody then; a limit that is set later starts from what was counted."""
    quota = DayQuota(tmp_path / "day.json", NOON)
    quota.count(NOON)
    assert quota.to_save(NOON + 10, at_once=True) is None
    quota.limit = 5
    assert quota.to_save(NOON + 20) is not None
    assert quota.calls(NOON + 20) == 1

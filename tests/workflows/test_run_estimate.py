"""What a run will take, judged by what is known when it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.ports import Prompt
from core.scope import Scope
from core.settings import Settings
from optimizers.assembly import build_model
from optimizers.cost_ledger import CostLedger
from workflows.run_estimate import run_estimate

PROMPTS = [Prompt(f"問題 {number}") for number in range(10)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return tmp_path


@pytest.mark.parametrize(("limit", "over"), [(None, 0), (100, 0), (10, 1), (4, 7), (1, 10)])
def test_what_was_asked_today_counts_against_the_quota(limit: int | None, over: int) -> None:
    """Ten questions with one call made already: what the day's quota has no room for is said."""
    parts = build_model(Settings(offline_scale=0.0, requests_per_day=limit))
    try:
        parts.model.generate(Prompt("先前的問題"), Scope())
        found = run_estimate(PROMPTS, parts, CostLedger(), workers=5, wall=1_700_000_000.0)
    finally:
        parts.close()
    assert (found.prompts, found.calls, found.over_day_limit) == (10, 10, over)

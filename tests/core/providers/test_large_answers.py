"""Answers beyond the cap: refused in words, at the cost of little memory, and the model goes on working."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.program import ROOT
from tests.servers import LoopbackGemini
from tests.servers import replies as r

CAP = 8  # MiB
AT_ONCE = 5


@pytest.mark.parametrize("mebibytes", [10, 200])
@pytest.mark.parametrize("way", ["grpc", "rest", "google-genai"])
def test_answers_that_are_too_large_cost_little(way: str, mebibytes: int) -> None:
    """Five at once are each told as too large, the process grows by at most three caps each, and answers go on."""
    with LoopbackGemini(script=lambda seen: r.Huge(mebibytes) if seen.text == "large" else None) as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.core.providers.large_client", way),
                *(server.endpoint(way).authority, str(AT_ONCE)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=55,
            check=True,
        )
    found = json.loads(done.stdout)
    assert found["told"] == [f"too_large: 超過 {CAP} MB"] * AT_ONCE
    assert found["after"] == "10 characters"
    assert found["grown"] <= 3 * CAP * AT_ONCE
    assert done.stderr == ""

"""A quota of the day that is used up in mid-run: another model for the rest, or later."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from core.errors import ErrorKind, ModelError, NotRunError
from core.outcome import MISSING, Answer, Outcome, OutcomeKind, RunReport
from core.settings import Secret, Settings
from tests.servers import LoopbackGemini
from tests.servers.records import SeenRequest
from tests.servers.replies import Reply, quota
from utils.console import Console
from utils.interrupts import Interrupts
from workflows.engine import Engine
from workflows.fallback import left_over, merged
from workflows.session import Session

OVER = ModelError(ErrorKind.QUOTA_DAY)


def outcome(name: str, kind: OutcomeKind, error: BaseException | None = None) -> Outcome[Answer]:
    value: Any = Answer(name, "m") if kind is OutcomeKind.ANSWERED else MISSING
    return Outcome(name, name, kind, 0.0, 1.0, 0.0, value, error)


def report(*outcomes: Outcome[Answer]) -> RunReport[Answer]:
    return RunReport(outcomes, 10.0, 12.0)


ANSWERED = outcome("a", OutcomeKind.ANSWERED)
REFUSED = outcome("b", OutcomeKind.FAILED, OVER)
SKIPPED = outcome("c", OutcomeKind.NOT_RUN, NotRunError("其餘未執行", OVER))
BLOCKED = outcome("d", OutcomeKind.BLOCKED, ModelError(ErrorKind.BLOCKED))


def test_what_the_quota_has_cost_is_left_over_and_nothing_else() -> None:
    """Refused and skipped questions; not those with an answer or a failure of their own."""
    assert left_over(report(ANSWERED, REFUSED, SKIPPED, BLOCKED)) == [1, 2]


def test_another_cause_leaves_nothing_over() -> None:
    """A run that was stopped by anything else is not for another model."""
    assert left_over(report(ANSWERED, outcome("c", OutcomeKind.NOT_RUN))) == []


def test_the_later_outcomes_take_the_places_of_the_earlier() -> None:
    """Input order is kept, and the whole has taken both runs' time."""
    later = RunReport((outcome("b2", OutcomeKind.ANSWERED), outcome("c2", OutcomeKind.ANSWERED)), 20.0, 25.0)
    whole = merged(report(ANSWERED, REFUSED, SKIPPED, BLOCKED), [1, 2], later)
    assert [each.name for each in whole.outcomes] == ["a", "b2", "c2", "d"]
    assert whole.wall_seconds == 7.0


@pytest.fixture
def server() -> Iterator[LoopbackGemini]:
    with LoopbackGemini(latency=0.02) as server:
        server.set_script(_first_model_is_used_up())
        yield server


def _first_model_is_used_up() -> Any:
    granted = 0

    def script(seen: SeenRequest) -> Reply | None:
        nonlocal granted
        if seen.model != "models/gemini-2.5-flash":
            return None
        granted += 1
        return None if granted <= 30 else quota(None, per="Day")

    return script


def session(server: LoopbackGemini, typed: str, **more: Any) -> tuple[Session, Engine, io.StringIO]:
    settings = Settings(api_key=Secret("k"), endpoint=server.grpc_endpoint, max_workers=50)
    engine = Engine(replace(settings, **more))
    out = io.StringIO()
    console = Console(stdin=io.StringIO(typed), stdout=out, stderr=io.StringIO(), environ={}, history_path=None)
    return Session(console, Interrupts(), engine), engine, out


QUESTIONS = [f"問題 {number}" for number in range(200)]


def test_the_run_stops_at_once_and_says_when_the_quota_is_back(server: LoopbackGemini) -> None:
    """FAULTS 6: no more calls than workers after the first refusal of the day; the rest was not run, and says why."""
    asked, engine, out = session(server, "")
    asked.ask(QUESTIONS)
    engine.close()
    _, report = asked._last or (None, None)
    assert report is not None
    assert report.answered == 30
    assert len(server.requests) <= 30 + 50 + 1
    assert report.wall_seconds < 2.0
    assert "今日配額用完" in out.getvalue()
    assert "重置" in out.getvalue()
    assert "GEMINI_FALLBACK_MODELS" in out.getvalue()


def test_the_rest_goes_to_another_model_where_the_person_has_said_so(server: LoopbackGemini) -> None:
    """GEMINI_FALLBACK=auto asks what is left, and only that, of the next model; later runs use it as well."""
    asked, engine, out = session(server, "", fallback_models=("gemini-2.5-flash-lite",), fallback_unasked=True)
    asked.ask(QUESTIONS)
    _, report = asked._last or (None, None)
    assert report is not None
    assert report.all_answered
    assert "改用 gemini-2.5-flash-lite 問剩下的 170 個問題" in out.getvalue()
    elsewhere = [seen for seen in server.requests if seen.model == "models/gemini-2.5-flash-lite"]
    assert len(elsewhere) == 170
    assert engine.settings.model == "gemini-2.5-flash-lite"
    engine.close()


def test_without_a_word_nobody_is_asked_twice(server: LoopbackGemini) -> None:
    """A fallback that would have to be agreed to is not used where there is nobody to agree."""
    asked, engine, out = session(server, "", fallback_models=("gemini-2.5-flash-lite",))
    asked.ask(QUESTIONS)
    engine.close()
    assert engine.settings.model == "gemini-2.5-flash"
    assert "改用 gemini" not in out.getvalue()

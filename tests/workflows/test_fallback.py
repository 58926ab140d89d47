"""A quota of the day that is used up in mid-run: another model for the rest, or later."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import ErrorKind, ModelError, NotRunError
from core.outcome import MISSING, Answer, Outcome, OutcomeKind, RunReport
from core.scope import Scope
from core.settings import Secret, Settings
from tests.fakes import FakeClock
from tests.servers import LoopbackGemini
from tests.servers.records import SeenRequest
from tests.servers.replies import Failure, Reply, quota
from utils.console import Console
from utils.interrupts import Interrupts
from workflows.engine import Engine
from workflows.fallback import Fallback, left_over, merged
from workflows.loading import Loaded
from workflows.session import Session
from workflows.settings_store import SettingsStore

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


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return tmp_path


FIRST, SECOND, THIRD = "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.0-flash"
OF_THE_DAY = quota(None, per="Day")
QUESTIONS = [f"問題 {number}" for number in range(200)]


@pytest.fixture
def server() -> Iterator[LoopbackGemini]:
    with LoopbackGemini(latency=0.02) as server:
        server.set_script(granting({FIRST: 30}))
        yield server


def granting(grants: Mapping[str, int], refusal: Reply = OF_THE_DAY) -> Callable[[SeenRequest], Reply | None]:
    """So many answers of each of these models, then that refusal; others are not limited."""
    granted: Counter[str] = Counter()

    def script(seen: SeenRequest) -> Reply | None:
        name = seen.model.removeprefix("models/")
        granted[name] += 1
        return refusal if granted[name] > grants.get(name, 10**9) else None

    return script


def asked_of(server: LoopbackGemini, model: str) -> int:
    return sum(seen.method == "generate" and seen.model == f"models/{model}" for seen in server.requests)


@dataclass(frozen=True, slots=True)
class Visit:
    """A session without a person, and all it has shown."""

    session: Session
    engine: Engine
    out: io.StringIO

    def ask(self, questions: Sequence[str] = QUESTIONS) -> RunReport[Answer]:
        self.session.ask(questions)
        assert self.session._last is not None
        return self.session._last[1]

    @property
    def shown(self) -> str:
        return self.out.getvalue()


class Person(Console):
    """A console whose input counts as a person's."""

    @property
    def is_interactive(self) -> bool:
        return True


Visiting = Callable[..., Visit]


@pytest.fixture
def visiting(server: LoopbackGemini, tmp_path: Path) -> Iterator[Visiting]:
    with contextlib.ExitStack() as closing:

        def visit(*models: str, auto: bool = True, typed: str | None = None, **more: Any) -> Visit:
            settings = Settings(
                api_key=Secret("test-key-000"), endpoint=server.grpc_endpoint, max_workers=50,
                fallback_models=models, fallback_unasked=auto,
            )  # fmt: skip
            engine = Engine(replace(settings, **more))
            closing.callback(engine.close)
            out = io.StringIO()
            kind, stdin = Console if typed is None else Person, io.StringIO(typed)
            console = kind(stdin=stdin, stdout=out, stderr=io.StringIO(), environ={}, history_path=None)
            store = SettingsStore(tmp_path / "settings.toml", environ={})
            return Visit(Session(console, Interrupts(), engine, store), engine, out)

        yield visit


@pytest.mark.parametrize("refusal", [OF_THE_DAY, quota(None, limit_zero=True)], ids=["per day", "limit: 0"])
def test_the_run_stops_at_once_and_says_when_the_quota_is_back(
    server: LoopbackGemini, visiting: Visiting, refusal: Reply
) -> None:
    """FAULTS 6: no more calls than workers after the first refusal of the day; the rest was not run, and says why."""
    server.set_script(granting({FIRST: 30}, refusal))
    visit = visiting()
    report = visit.ask()
    assert report.answered == 30
    assert len(left_over(report)) == 170
    assert asked_of(server, FIRST) <= 30 + 1 + 50
    assert report.wall_seconds < 2.0
    assert "今日配額用完" in visit.shown
    assert "重置 (本地時間)" in visit.shown
    assert "💡 設定 GEMINI_FALLBACK_MODELS=" in visit.shown


def test_a_limit_of_our_own_stops_the_run_without_a_refused_call(server: LoopbackGemini, visiting: Visiting) -> None:
    """The day's count reaches REQUESTS_PER_DAY: exactly so many calls, then the next model, which has its own count."""
    visit = visiting(SECOND, requests_per_day=20, max_workers=1)
    report = visit.ask(QUESTIONS[:30])
    assert report.all_answered
    assert (asked_of(server, FIRST), asked_of(server, SECOND)) == (20, 10)
    assert visit.engine.limiter.statistics().requests_today == 10


def test_the_rest_goes_to_another_model_where_the_person_has_said_so(
    server: LoopbackGemini, visiting: Visiting
) -> None:
    """GEMINI_FALLBACK=auto asks what is left, and only that, of the next model; later runs use it as well."""
    visit = visiting(SECOND)
    report = visit.ask()
    assert [outcome.name for outcome in report.outcomes] == QUESTIONS
    assert report.all_answered
    assert "改用 gemini-2.5-flash-lite 問剩下的 170 個問題" in visit.shown
    assert asked_of(server, SECOND) == 170
    assert visit.engine.settings.model == SECOND
    models = [outcome.value.model for outcome in report.outcomes if isinstance(outcome.value, Answer)]
    assert Counter(models) == {FIRST: 30, SECOND: 170}


def test_a_model_that_is_used_up_as_well_is_passed_over(server: LoopbackGemini, visiting: Visiting) -> None:
    """One after the other, each for what the one before has left; where none is left, the screen says how to go on."""
    server.set_script(granting({FIRST: 30, SECOND: 40}))
    visit = visiting(SECOND, THIRD)
    assert visit.ask().all_answered
    assert asked_of(server, THIRD) == 130
    server.set_script(granting({FIRST: 0, SECOND: 0, THIRD: 0}))
    assert visit.ask(["新的問題"]).answered == 0
    assert visit.shown.count("🔄 改用") == 2
    assert "💡 已有的回答可用選單 8 檢視" in visit.shown


def test_a_misspelt_model_is_told_and_the_next_one_is_used(server: LoopbackGemini, visiting: Visiting) -> None:
    """The service knows no such model: no question goes there, and no later one either."""
    unknown = Failure(404, "NOT_FOUND", "models/gemini-typo is not found")
    server.set_model_script(lambda seen: unknown if seen.model.endswith("typo") else None)
    visit = visiting("gemini-typo", SECOND)
    assert visit.ask().all_answered
    assert "⚠️ 無法改用 gemini-typo: 找不到這個模型" in visit.shown
    assert asked_of(server, "gemini-typo") == 0
    assert visit.engine.settings.model == SECOND


def test_where_no_other_model_will_do_the_one_there_is_stays(server: LoopbackGemini, visiting: Visiting) -> None:
    """A refused model leaves engine, limiter and answers as they were."""
    server.set_model_script(lambda seen: Failure(403, "PERMISSION_DENIED", "no") if "lite" in seen.model else None)
    visit = visiting(SECOND)
    report = visit.ask()
    assert report.answered == 30
    assert visit.engine.settings.model == FIRST
    assert visit.engine.limiter.statistics().day_resets_at is not None


def test_a_check_without_an_answer_does_not_keep_a_model_out(server: LoopbackGemini, visiting: Visiting) -> None:
    """A hiccup of the service is no word about the model: the questions themselves will tell."""
    hiccup = Failure(503, "UNAVAILABLE", "The model is overloaded.")
    server.set_model_script(lambda seen: hiccup if "lite" in seen.model else None)
    assert visiting(SECOND).ask().all_answered


def test_a_ctrl_c_during_the_check_changes_nothing(visiting: Visiting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine keeps its model, and the new one's connections are closed."""
    visit = visiting(SECOND)
    visit.engine.wait_until_loaded()
    seen: list[Any] = []

    def interrupted(loaded: Loaded, clock: Any) -> None:
        seen.append(loaded.parts)
        raise KeyboardInterrupt

    monkeypatch.setattr(Loaded, "verify", interrupted)
    with pytest.raises(KeyboardInterrupt):
        visit.engine.use_model(SECOND)
    assert visit.engine.settings.model == FIRST
    with pytest.raises(ModelError, match="連線已關閉"):
        seen[0].provider.verify(Scope())


def test_a_model_whose_quota_has_come_back_is_asked_again(server: LoopbackGemini, visiting: Visiting) -> None:
    """The next day the model of the start is the next one for what the second has left."""
    visit, clock = visiting(SECOND), FakeClock()
    fallback = Fallback(visit.session._console, visit.engine, clock=clock)
    assert fallback.switch(report(ANSWERED, REFUSED, SKIPPED)) == [1, 2]
    assert visit.engine.settings.model == SECOND
    assert fallback.switch(report(REFUSED)) == []
    clock.advance(25 * 3600)
    assert fallback.switch(report(REFUSED)) == [0]
    assert visit.engine.settings.model == FIRST


def test_without_a_word_nobody_is_asked_twice(server: LoopbackGemini, visiting: Visiting) -> None:
    """A fallback that would have to be agreed to is not used where there is nobody to agree."""
    visit = visiting(SECOND, auto=False)
    visit.ask()
    assert visit.engine.settings.model == FIRST
    assert "🔄" not in visit.shown
    assert "💡 設定 GEMINI_FALLBACK=auto" in visit.shown


@pytest.mark.parametrize(("typed", "model"), [("y\n", SECOND), ("n\n", FIRST)])
def test_a_person_is_asked_before_another_model_is(
    server: LoopbackGemini, visiting: Visiting, typed: str, model: str
) -> None:
    """Only a yes goes over to it; after a no the screen says how to go on, and not what the person has just refused."""
    visit = visiting(SECOND, auto=False, typed=typed)
    switched = Fallback(visit.session._console, visit.engine).switch(report(ANSWERED, REFUSED, SKIPPED))
    assert "今日配額用完, 要改用 gemini-2.5-flash-lite 問剩下的 2 個問題嗎?" in visit.shown
    assert (switched, visit.engine.settings.model) == ([1, 2] if model == SECOND else [], model)
    assert ("💡 已有的回答" in visit.shown) == (model == FIRST)
    assert "GEMINI_FALLBACK=auto" not in visit.shown


def test_asking_again_asks_only_what_is_left(server: LoopbackGemini, visiting: Visiting) -> None:
    """What the screen says about the cache is so: once the quota is back, the answered ones cost no call."""
    visit = visiting()
    visit.ask()
    assert "💡 已有的回答可用選單 8 檢視; 5 分內 (CACHE_TTL) 用同一個模型再問同一組" in visit.shown
    before = asked_of(server, FIRST)
    server.set_script(granting({}))
    visit.engine.limiter.forget()
    assert visit.ask().all_answered
    assert asked_of(server, FIRST) - before == 170


def test_without_a_cache_nothing_is_promised_of_it(visiting: Visiting) -> None:
    """With CACHE_TTL=0 everything would be asked again."""
    visit = visiting(cache_ttl=0)
    visit.ask()
    assert "💡 已有的回答可用選單 8 檢視\n" in visit.shown

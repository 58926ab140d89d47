"""The one composition function."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from core.errors import ErrorKind, ModelError, ScopeError
from core.events import QuotaWaiting
from core.ports import Prompt
from core.providers.offline import OfflineModel
from core.scope import Scope
from core.settings import Endpoint, Secret, Settings
from optimizers import assembly
from optimizers.assembly import build_model, build_provider, default_model


def test_without_a_key_the_offline_model_answers() -> None:
    """No key: the demonstration model, ready to be asked through the whole chain."""
    parts = build_model(Settings(offline_scale=0.0))
    try:
        assert isinstance(parts.provider, OfflineModel)
        assert parts.model.generate(Prompt("什麼是 REST API?"), Scope()).text
    finally:
        parts.close()


@pytest.mark.parametrize(
    ("sdk", "name"), [("google-generativeai", "GeminiModel"), ("google-genai", "GoogleGenaiModel")]
)
def test_the_sdk_is_one_word_in_the_settings(sdk: str, name: str) -> None:
    """The same settings but for one word put another SDK behind the same protocol."""
    settings = Settings(api_key=Secret("k"), sdk=sdk, endpoint=Endpoint("127.0.0.1", 9, True))
    provider = build_provider(settings)
    assert type(provider).__name__ == name
    provider.close()


def test_verifying_opens_the_gate() -> None:
    """A successful check lets calls go side by side from the first."""
    parts = build_model(Settings(offline_scale=0.0))
    parts.verify(Scope())
    assert parts.gate.proven
    parts.close()


def test_the_default_model_is_built_once(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Two askers share one model, and nothing is built before the first asks."""
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, "")
    assembly._default_parts.cache_clear()
    assert default_model() is default_model()
    assembly._default_parts.cache_clear()


def test_hedging_is_off_unless_set_and_never_while_callers_wait_for_quota() -> None:
    """HEDGE puts a second attempt into the chain; a closed quota gate keeps it from being sent."""
    assert build_model(Settings(offline_scale=0.0)).hedged is None
    parts = build_model(Settings(offline_scale=0.0, hedge_quantile=0.95, offline_faults="quota_minute=60"))
    assert parts.hedged is not None
    assert parts.hedged._may_hedge()
    told = threading.Event()

    def observe(event: object) -> None:
        if isinstance(event, QuotaWaiting):
            told.set()

    scope = Scope(observer=observe)

    def ask() -> None:
        with contextlib.suppress(ScopeError):
            parts.model.generate(Prompt("q"), scope)

    caller = threading.Thread(target=ask)
    with contextlib.ExitStack() as stack:
        stack.callback(parts.close)
        stack.callback(caller.join, 10)
        stack.callback(scope.cancel)
        caller.start()
        assert told.wait(10)
        while parts.hedged._may_hedge():  # told just before it waits; the suite's timeout ends a test that never does
            threading.Event().wait(0.001)
    assert parts.hedged.statistics.calls >= 1


def test_two_threads_that_ask_first_get_one_model(mocker: MockerFixture) -> None:
    """The default model is built once even if its first two askers come at the same time."""
    both_came = threading.Event()
    built: list[object] = []
    real = assembly.build_model

    def build(settings: Settings, **more: Any) -> assembly.ModelParts:
        built.append(settings)
        both_came.wait(0.2)  # long enough for a second builder to get here, if one may
        return real(settings, **more)

    mocker.patch.dict("os.environ", {"GEMINI_API_KEY": "", "GOOGLE_API_KEY": "", "OFFLINE_SCALE": "0"})
    mocker.patch.object(assembly, "build_model", side_effect=build)
    assembly._default_parts.cache_clear()
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda _: default_model(), range(2))
    assembly._default_parts.cache_clear()
    assert one is other
    assert len(built) == 1


def test_limits_from_the_settings_are_the_limiters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configured limits are obeyed; only a daily one keeps a file, in the person's own state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    free = build_model(Settings(offline_scale=0.0))
    free.close()
    assert not list(tmp_path.rglob("*"))
    limited = build_model(Settings(offline_scale=0.0, requests_per_minute=600, requests_per_day=2))
    assert limited.limiter.limits.requests_per_minute == 600
    for text in "ab":
        limited.model.generate(Prompt(text), Scope())
    with pytest.raises(ModelError) as caught:
        limited.model.generate(Prompt("c"), Scope())
    assert caught.value.kind is ErrorKind.QUOTA_DAY
    limited.close()
    (kept,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert kept.stat().st_mode & 0o777 == 0o600
    again = build_model(Settings(offline_scale=0.0, requests_per_day=2))
    with pytest.raises(ModelError):
        again.model.generate(Prompt("d"), Scope())
    again.close()

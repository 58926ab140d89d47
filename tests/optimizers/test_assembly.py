"""The one composition function."""

from __future__ import annotations

import pytest

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
    assembly.default_model.cache_clear()
    assert default_model() is default_model()
    assembly.default_model.cache_clear()

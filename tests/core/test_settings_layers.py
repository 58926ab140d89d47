"""Which layer a setting's value comes from, and in what language that is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SettingsError
from core.language import language, use_language
from core.setting_specs import SPECS
from core.setting_values import checked_value
from core.settings import API_KEY, Settings, Source, load_layers, load_settings, screen_language

GOOD = {
    "model": ["gemini-x", "models/y"], "max_workers": ["1", "7", "1000"], "query_timeout": ["0.1", "3"],
    "cache_ttl": ["0", "9"], "history": ["on", "off"], "fallback": ["ask", "auto"], "language": ["en", "zh_TW", "auto"],
    "max_run_usd": ["0", "0.25"], "endpoint": ["", "127.0.0.1:9"], "fallback_models": ["", "a,b"],
}  # fmt: skip
LAYER = st.fixed_dictionaries({}, optional={name: st.sampled_from(texts) for name, texts in GOOD.items()})
BY_VARIABLE = LAYER.map(lambda layer: {SPECS[name].variable: text for name, text in layer.items()})


@pytest.fixture(autouse=True)
def chinese() -> Iterator[None]:
    yield
    use_language("zh_TW")


@given(flags=BY_VARIABLE, environ=BY_VARIABLE, dotenv=BY_VARIABLE, file=LAYER)
def test_the_highest_layer_that_has_it_wins(
    tmp_path_factory: pytest.TempPathFactory,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    dotenv: Mapping[str, str],
    file: Mapping[str, str],
) -> None:
    """Setting by setting: flags, environment, .env, file, default; and the source says which it was."""
    folder = tmp_path_factory.getbasetemp()
    (folder / "layers.env").write_text("".join(f"{name}='{text}'\n" for name, text in dotenv.items()))
    (folder / "layers.toml").write_text("".join(f"{name} = '{text}'\n" for name, text in file.items()))
    layered = load_layers(environ, dotenv=folder / "layers.env", file=folder / "layers.toml", flags=flags)
    by_file = {SPECS[name].variable: text for name, text in file.items() if text}
    layers = ((Source.FLAG, flags), (Source.ENVIRONMENT, environ), (Source.DOTENV, dotenv), (Source.FILE, by_file))
    for name, spec in SPECS.items():
        source, text = next(
            ((source, layer[spec.variable]) for source, layer in layers if spec.variable in layer), (Source.DEFAULT, "")
        )
        assert layered.sources[name] is source
        assert getattr(layered.settings, spec.field) == checked_value(spec, text, name)
    assert layered.problems == ()


def test_the_file_has_no_say_in_what_is_set_above_even_wrongly(tmp_path: Path) -> None:
    """A wrong value above is an error, not a reason to fall through; an empty one is the default."""
    file = tmp_path / "settings.toml"
    file.write_text("max_workers = 9\n")
    assert load_settings({}, file=file).max_workers == 9
    assert load_layers({"MAX_WORKERS": ""}, file=file).sources["max_workers"] is Source.ENVIRONMENT
    assert load_settings({"MAX_WORKERS": ""}, file=file).max_workers == 5
    with pytest.raises(SettingsError, match="MAX_WORKERS"):
        load_settings({"MAX_WORKERS": "x"}, file=file)
    with pytest.raises(SettingsError, match="--workers"):
        load_settings({}, file=file, flags={"MAX_WORKERS": "x"})


def test_a_wrong_value_in_the_file_that_is_hidden_is_not_told(tmp_path: Path) -> None:
    """Only what would have counted."""
    file = tmp_path / "settings.toml"
    file.write_text("max_workers = 0\n")
    assert load_layers({"MAX_WORKERS": "3"}, file=file).problems == ()


def test_the_key_s_layer_is_known(tmp_path: Path) -> None:
    """From the environment or .env, never from flags; an empty variable hides the one in the file."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("GEMINI_API_KEY=one\n")
    assert load_layers({}, dotenv=dotenv).sources[API_KEY] is Source.DOTENV
    assert load_layers({"GOOGLE_API_KEY": "two"}, dotenv=dotenv).sources[API_KEY] is Source.DOTENV
    assert load_layers({"GEMINI_API_KEY": "two"}, dotenv=dotenv).sources[API_KEY] is Source.ENVIRONMENT
    hidden = load_layers({"GEMINI_API_KEY": " "}, dotenv=dotenv, flags={"GEMINI_API_KEY": "three"})
    assert hidden.settings.offline
    assert hidden.sources[API_KEY] is Source.DEFAULT


@pytest.mark.parametrize(
    ("flags", "environ", "file", "expected"),
    [
        ({}, {}, "", "zh_TW"),
        ({}, {"LANG": "en_US.UTF-8"}, "", "en"),
        ({}, {"LANG": "en_US.UTF-8"}, "language = 'zh_TW'", "zh_TW"),
        ({}, {"SCREEN_LANGUAGE": "en"}, "language = 'zh_TW'", "en"),
        ({"SCREEN_LANGUAGE": "zh-TW"}, {"SCREEN_LANGUAGE": "en"}, "", "zh_TW"),
        ({"SCREEN_LANGUAGE": "auto"}, {"SCREEN_LANGUAGE": "zh_TW", "LC_ALL": "en"}, "", "en"),
        ({}, {"LANG": "en"}, "language = 'klingon'", "en"),
    ],
)
def test_the_language_is_told_first(
    tmp_path: Path, flags: dict[str, str], environ: dict[str, str], file: str, expected: str
) -> None:
    """Before there is anything to say, and the same that the settings come to."""
    path = tmp_path / "settings.toml"
    path.write_text(file)
    told: list[str] = []
    layered = load_layers(environ, file=path, flags=flags, on_language=told.append)
    assert told == [expected]
    assert screen_language(layered.settings, environ) == expected


def test_the_language_is_told_before_an_error_is_raised() -> None:
    """Also where the language itself is what is wrong."""
    for environ in ({"MAX_WORKERS": "x", "LANG": "en"}, {"SCREEN_LANGUAGE": "x", "LANG": "en"}):
        told: list[str] = []
        with pytest.raises(SettingsError):
            load_layers(environ, on_language=told.append)
        assert told == ["en"]


def test_reading_settings_does_not_change_the_language() -> None:
    """That is up to whoever reads them."""
    assert load_settings({"SCREEN_LANGUAGE": "en"}) == Settings(language="en")
    assert language() == "zh_TW"

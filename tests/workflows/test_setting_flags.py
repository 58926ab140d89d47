"""The settings as options of the command line."""

from __future__ import annotations

import argparse

import pytest

from core.setting_specs import SPECS
from core.settings import Settings, load_settings
from workflows.setting_flags import add_setting_flags, flags_of


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    add_setting_flags(made)
    return made


def test_what_is_given_stands_above_the_environment() -> None:
    """By the variables' names, as the settings are read."""
    given = ["--workers", "9", "--lang=en", "--no-history", "--max-usd", "0.5", "--timeout", "3", "--model", "m"]
    flags = flags_of(parser().parse_args(given))
    settings = load_settings({"MAX_WORKERS": "2", "HISTORY": "on"}, flags=flags)
    assert settings.max_workers == 9
    assert (settings.language, settings.history, settings.query_timeout, settings.model) == ("en", False, 3, "m")
    assert str(settings.max_run_usd) == "0.5"


def test_nothing_given_is_nothing_said() -> None:
    """No attribute, so that a command's parser leaves alone what stood before the command."""
    assert vars(parser().parse_args([])) == {}
    assert flags_of(argparse.Namespace()) == {}
    assert load_settings({}, flags=flags_of(argparse.Namespace())) == Settings()


def test_options_may_stand_before_and_after_a_command() -> None:
    """The one nearest to the command's end counts."""
    whole = parser()
    add_setting_flags(whole.add_subparsers().add_parser("ask"))
    assert flags_of(whole.parse_args(["--workers", "2", "--hedge", "0.9", "ask", "--workers", "3"])) == {
        "MAX_WORKERS": "3", "HEDGE": "0.9",
    }  # fmt: skip


def test_an_option_that_is_there_already_can_be_left_out() -> None:
    """Its value is found under the name lang."""
    made = argparse.ArgumentParser()
    made.add_argument("--lang")
    add_setting_flags(made, leave_out={"--lang"})
    assert flags_of(made.parse_args(["--lang", "en"])) == {"SCREEN_LANGUAGE": "en"}


def test_help_has_every_option_and_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    """A command line can be seen by other users."""
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    shown = capsys.readouterr().out
    assert all(spec.flag in shown for spec in SPECS.values())
    assert "--api-key" not in shown
    assert "{title}" not in shown

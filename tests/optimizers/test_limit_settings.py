"""Limits that a person has set, from one start to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import StorageError
from core.limits import Limits
from optimizers.limit_settings import LimitSettings, joined


def test_what_was_set_is_there_again_for_that_model_alone(tmp_path: Path) -> None:
    """Each model has its own limits; the file is its owner's alone."""
    path = tmp_path / "made" / "limits.json"
    LimitSettings(path).set("a", Limits(requests_per_minute=10, requests_per_day=200))
    LimitSettings(path).set("b", Limits(tokens_per_minute=1000))
    again = LimitSettings(path)
    assert again.of("a") == Limits(requests_per_minute=10, requests_per_day=200)
    assert again.of("b") == Limits(tokens_per_minute=1000)
    assert again.of("c") == Limits()
    assert path.stat().st_mode & 0o777 == 0o600


def test_setting_none_takes_the_model_out(tmp_path: Path) -> None:
    """Nothing set is nothing kept; the others stay."""
    settings = LimitSettings(tmp_path / "limits.json")
    settings.set("a", Limits(requests_per_minute=10))
    settings.set("b", Limits(requests_per_minute=20))
    settings.set("a", Limits())
    assert settings.of("a") == Limits()
    assert settings.of("b") == Limits(requests_per_minute=20)
    assert "a" not in (tmp_path / "limits.json").read_text()


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "\ufffd"])
def test_a_file_that_cannot_be_read_counts_as_none_and_is_told(tmp_path: Path, text: str) -> None:
    """The program starts without limits, and the next setting makes a good file of it."""
    path = tmp_path / "limits.json"
    path.write_text(text)
    settings = LimitSettings(path)
    assert settings.damaged is True
    assert settings.of("a") == Limits()
    settings.set("a", Limits(requests_per_minute=1))
    assert LimitSettings(path).damaged is False
    assert settings.of("a") == Limits(requests_per_minute=1)


@pytest.mark.parametrize("value", ["0", "-1", "true", '"10"', "1.5", "null", "10000000000000"])
def test_an_edited_value_that_is_no_limit_counts_as_not_set(tmp_path: Path, value: str) -> None:
    """Zero, a text, a fraction: none of them stops the program, and none is obeyed."""
    path = tmp_path / "limits.json"
    path.write_text(f'{{"a": {{"requests_per_minute": {value}, "tokens_per_minute": 7}}, "b": 3}}')
    assert LimitSettings(path).of("a") == Limits(tokens_per_minute=7)
    assert LimitSettings(path).of("b") == Limits()


def test_what_cannot_be_kept_is_told(tmp_path: Path) -> None:
    """A folder in the place of the file: one error that says so, and no half-written file."""
    path = tmp_path / "limits.json"
    path.mkdir()
    with pytest.raises(StorageError, match=r"limits\.json"):
        LimitSettings(path).set("a", Limits(requests_per_minute=1))
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_looked_at_is_no_damage(tmp_path: Path) -> None:
    """The system refuses to look: the program starts, without limits."""
    settings = LimitSettings(tmp_path / ("long" * 500))
    assert settings.damaged is False
    assert settings.of("a") == Limits()


def test_without_a_path_nothing_is_kept() -> None:
    """Switched off: all calls work."""
    settings = LimitSettings(None)
    settings.set("a", Limits(requests_per_minute=1))
    assert settings.of("a") == Limits()
    assert settings.damaged is False


def test_what_stands_above_wins_limit_by_limit() -> None:
    """The environment's figures, and the menu's where the environment has none."""
    above, below = Limits(requests_per_minute=1), Limits(requests_per_minute=2, requests_per_day=3)
    assert joined(above, below) == Limits(requests_per_minute=1, requests_per_day=3)

"""The table of settings: that it is one with Settings, and that each kind of value is read and refused as it says."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from core.endpoint import Endpoint
from core.errors import SettingsError
from core.setting_specs import GROUPS, KEY_NAMES, SPECS, Kind, SettingGroup
from core.setting_values import bounds_text, checked_value, looks_like_key, quoted
from core.settings import API_KEY, Settings

KEY = "AIzaSyCANARYofTheTestSuite0123456789abc"


def test_the_table_and_the_settings_are_one() -> None:
    """Each field but the key is in the table once, with the default that Settings has."""
    assert sorted(spec.field for spec in SPECS.values()) == sorted({each.name for each in fields(Settings)} - {API_KEY})
    for spec in SPECS.values():
        assert checked_value(spec, "", spec.name) == getattr(Settings(), spec.field), spec.name


def test_no_two_settings_share_a_name() -> None:
    """Nor does one take the name of the key, or of nothing."""
    for names in (
        [spec.variable for spec in SPECS.values()] + list(KEY_NAMES),
        [spec.name for spec in SPECS.values()] + [API_KEY],
        [spec.flag for spec in SPECS.values() if spec.flag],
        [spec.title for spec in SPECS.values()],
    ):
        assert len(set(names)) == len(names)
        assert all(names)


def test_what_the_menu_needs_is_there() -> None:
    """A title, a sentence of help and a group each; the groups lie together, in their order."""
    assert all(spec.title and spec.help for spec in SPECS.values())
    order = [spec.group for spec in SPECS.values()]
    assert order == sorted(order, key=list(SettingGroup).index)
    assert set(order) == set(GROUPS)


@pytest.mark.parametrize("spec", [spec for spec in SPECS.values() if spec.choices], ids=lambda spec: spec.name)
def test_every_choice_is_one_and_nothing_else(spec: Any) -> None:
    """The default among them, and the yes of a yes-or-no setting."""
    assert spec.default in spec.choices
    assert spec.truth in ("", *spec.choices)
    values = {checked_value(spec, choice, "x") for choice in spec.choices}
    assert len(values) == len(spec.choices)
    with pytest.raises(SettingsError, match="請用其中之一"):
        checked_value(spec, "neither", "x")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("language", "AUTO", "auto"), ("language", "en-GB", "en"), ("language", "zh", "zh_TW"),
        ("requests_per_minute", "0", None), ("requests_per_minute", " 60 ", 60), ("cache_ttl", "0", 0),
        ("hedge", "0", None), ("hedge", "0.95", 0.95), ("fallback_models", " a , models/b,, ", ("a", "b")),
        ("endpoint", "127.0.0.1:9", Endpoint("127.0.0.1", 9, True)), ("history", "off", False),
        ("fallback", "auto", True), ("max_workers", "１２", 12),
    ],
)  # fmt: skip
def test_texts_become_values(name: str, text: str, value: object) -> None:
    """Blanks around them do not count; of an optional number, 0 is none."""
    assert checked_value(SPECS[name], text, name) == value


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.kind in (Kind.WHOLE, Kind.NUMBER)])
def test_a_number_out_of_bounds_is_told_the_bounds(name: str) -> None:
    """In figures as people write them, under the name that the caller gives it."""
    low, high = bounds_text(SPECS[name])
    for text in ("-1", "nan", "inf", "x", "9" * 5000):
        with pytest.raises(SettingsError) as caught:
            checked_value(SPECS[name], text, "這一項")
        assert f"請給 {low} 到 {high} 之間的" in caught.value.reason
        assert caught.value.reason.startswith("這一項 的值 ")
        assert len(caught.value.reason) < 200


def test_what_is_quoted_is_harmless() -> None:
    """One line, visible, not endless, without a key."""
    assert quoted("a\n\x1b[31m") == r"'a\n\x1b[31m'"
    assert len(quoted("x" * 10_000)) < 70
    assert KEY not in quoted(f"a {KEY} b")
    assert looks_like_key(f"models/{KEY}")
    assert not looks_like_key("gemini-2.5-flash")

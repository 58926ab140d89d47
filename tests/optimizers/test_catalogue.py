"""The catalogue: the file that comes with the program, looking up in it, and what is refused."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest

from core.errors import SettingsError
from core.limits import Limits
from core.outcome import Usage
from optimizers.catalogue import Catalogue, load_catalogue, model_name, parse_catalogue

TODAY = date(2026, 11, 24)
SAMPLE = """
prices_source = "https://prices.example"
batch_factor = 0.5
[[models]]
name = "one"
checked = 2026-01-02
prices = [{ input = 1, output = 2.5, long_above = 100, long_input = 2, long_output = 5 }]
[[models]]
name = "two"
checked = 2026-01-02
prices = [{ from = 2026-02-01, input = 1, output = 2 }, { from = 2026-03-01, input = 3, output = 4 }]
[limits]
source = "https://limits.example"
last_published = "2025"
current_at = "https://now.example"
[[limits.tiers]]
name = "free"
title = "免費"
models = [{ name = "one", rpm = 5, tpm = 1000, rpd = 20 }, { name = "two", rpm = 7 }]
"""


@pytest.fixture
def sample() -> Catalogue:
    return parse_catalogue(SAMPLE)


def test_the_file_of_the_program_is_sound() -> None:
    """It parses, every price is dated in the past and above zero but for the demonstration, and tiers have limits."""
    catalogue = load_catalogue()
    assert load_catalogue() is catalogue
    for name, prices in catalogue.prices.items():
        for price in prices:
            assert date(2025, 1, 1) <= price.checked <= TODAY, name
            assert (name == "offline-demo") == (price.per_input == price.per_output == 0), name
            assert price.per_input <= price.per_output, name
    assert [tier.name for tier in catalogue.tiers()] == ["free", "tier-1", "tier-2", "tier-3"]
    assert all(tier.limits and tier.title for tier in catalogue.tiers())
    assert catalogue.batch_factor == Decimal("0.5")
    assert catalogue.prices_source.startswith("https://ai.google.dev/")
    assert catalogue.limits_source.startswith("https://ai.google.dev/")


def test_the_default_model_is_known() -> None:
    """gemini-2.5-flash has its published price and limits."""
    catalogue = load_catalogue()
    price = catalogue.price_of("gemini-2.5-flash", on=TODAY)
    assert price is not None
    assert (price.per_input, price.per_output) == (Decimal("0.30"), Decimal("2.50"))
    assert catalogue.limits_of("gemini-2.5-flash", "tier-1") == Limits(1_000, 1_000_000, 10_000)


@pytest.mark.parametrize("name", ["one", "models/one", "one-001", "models/one-002"])
def test_a_model_may_be_named_as_users_and_servers_do(sample: Catalogue, name: str) -> None:
    """A prefix or a version number names the same model."""
    assert sample.price_of(name, on=TODAY) == sample.price_of("one", on=TODAY) is not None


@pytest.mark.parametrize("name", ["three", "", "one-preview", "one-0001", "one-001-x"])
def test_what_is_not_there_is_unknown(sample: Catalogue, name: str) -> None:
    """No price and no limits are guessed from a similar name."""
    assert sample.price_of(name, on=TODAY) is None
    assert sample.limits_of(name, "free") is None


def test_the_price_of_the_day_holds(sample: Catalogue) -> None:
    """Each price holds from its day on; before the first there is none."""
    days = [date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 28), date(2026, 3, 1)]
    prices = [sample.price_of("two", on=day) for day in days]
    assert [price and price.per_input for price in prices] == [None, 1, 1, 3]


def test_money_counts_thinking_as_output_and_long_prompts_as_a_whole(sample: Catalogue) -> None:
    """A prompt above the bound makes the whole request dearer, one at the bound does not."""
    price = sample.price_of("one", on=TODAY)
    assert price is not None
    assert price.money(Usage(100, 6, 4)) == Decimal("0.000125")
    assert price.money(Usage(101, 6, 4)) == Decimal("0.000252")
    assert price.money(Usage()) == 0


def test_limits_come_as_the_limiter_takes_them(sample: Catalogue) -> None:
    """Figures that are absent stay unknown; a tier there is none of is refused with the names there are."""
    assert sample.limits_of("one", "free") == Limits(5, 1000, 20)
    assert sample.limits_of("two", "free") == Limits(7)
    with pytest.raises(SettingsError, match=r"'gold'.*free"):
        sample.limits_of("one", "gold")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("batch_factor = 0.5", "batch_factor = 0.5\nextra = 1", "extra"),
        ("batch_factor = 0.5", "", "batch_factor"),
        ("batch_factor = 0.5", "batch_factor = nan", "batch_factor"),
        ("batch_factor = 0.5", "batch_factor = true", "batch_factor"),
        ('name = "two"', 'name = "one"', r"models\[1\].name"),
        ('name = "two"', 'name = " "', r"models\[1\].name"),
        ("input = 3", "input = -3", r"models\[1\].prices\[1\].input"),
        ("input = 3", "inputs = 3", r"models\[1\].prices\[1\].input"),
        ("input = 3", "input = 3, audio = 1", r"models\[1\].prices\[1\].audio"),
        ("from = 2026-03-01", "from = 2026-02-01", r"models\[1\].prices"),
        ("from = 2026-03-01", "from = 2026-03-01T00:00:00", r"models\[1\].prices\[1\].from"),
        ("long_above = 100, long_input = 2,", "long_above = 100,", r"models\[0\].prices\[0\].long_input"),
        ("long_above = 100, ", "", r"models\[0\].prices\[0\].long_input"),
        ("rpm = 7", "rpm = 0", r"limits.tiers\[0\].models\[1\].rpm"),
        ("rpm = 7", "rps = 7", r"limits.tiers\[0\].models\[1\].rps"),
        ('title = "免費"', "title = 1", r"limits.tiers\[0\].title"),
        ('title = "免費"', 'title = "免費"\nold = 1', r"limits.tiers\[0\].old"),
        ("[limits]", "[limits]\nold = 1", "limits.old"),
        ("[[limits.tiers]]", '[[limits.tiers]]\nname="free"\ntitle="x"\nmodels=[]\n[[limits.tiers]]', "limits.tiers"),
        ('last_published = "2025"', "last_published = 2025", "limits.last_published"),
    ],
)
def test_a_faulty_file_is_refused_by_the_place_of_its_fault(old: str, new: str, place: str) -> None:
    """Wrong types, ranges, orders, names twice, missing and unknown keys: the message says where."""
    assert old in SAMPLE
    with pytest.raises(SettingsError, match=f"的 {place} 有誤"):
        parse_catalogue(SAMPLE.replace(old, new, 1))


@pytest.mark.parametrize("value", ["[]", "1", "[1]"])
def test_models_without_prices_are_refused(value: str) -> None:
    """An entry that prices nothing is a slip."""
    text = f'prices_source = "x"\nbatch_factor = 0\n[[models]]\nname = "m"\nchecked = 2026-01-01\nprices = {value}\n'
    with pytest.raises(SettingsError, match=r"models\[0\].prices"):
        parse_catalogue(text)


def test_what_is_no_toml_is_refused() -> None:
    """The message says so; limits that are no table are refused as well."""
    with pytest.raises(SettingsError, match="TOML"):
        parse_catalogue("= 1")
    with pytest.raises(SettingsError, match="limits 有誤"):
        parse_catalogue('models = []\nlimits = 1\nprices_source = "x"')


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (json.dumps({"provider": "gemini", "model": "gemini-2.5-pro"}), "gemini-2.5-pro"),
        ("fake", "fake"),
        ("[1]", "[1]"),
        ('{"model": 1}', '{"model": 1}'),
    ],
)
def test_an_identity_names_its_model(identity: str, name: str) -> None:
    """The name is read from canonical JSON; any other identity is its own name."""
    assert model_name(identity) == name

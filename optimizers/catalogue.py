"""What is published about the models: prices and the tiers' limits, from a dated data file beside this module."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from core.errors import SettingsError
from core.language import marked, tr
from core.limits import Limits
from core.outcome import Usage

__all__ = ["Catalogue", "Price", "Tier", "load_catalogue", "model_name", "parse_catalogue"]

T = TypeVar("T")

_FILE: Final = Path(__file__).with_name("catalogue.toml")
_MILLION: Final = Decimal(1_000_000)
# "-001" names a version of the same model; a dated preview may be priced otherwise and is not cut.
_VERSION: Final = re.compile(r"-\d{3}$")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, from the day since on (None: always), as seen on the day checked.

    Thinking is billed as output. A request whose prompt has more than long_above tokens costs the long prices as a
    whole; long_above is None where there is one price for all.
    """

    per_input: Decimal
    per_output: Decimal
    checked: date
    since: date | None = None
    long_above: int | None = None
    long_input: Decimal = Decimal(0)
    long_output: Decimal = Decimal(0)

    def money(self, usage: Usage) -> Decimal:
        """What one request of this usage costs. Exact."""
        is_long = self.long_above is not None and usage.prompt_tokens > self.long_above
        per_input, per_output = (self.long_input, self.long_output) if is_long else (self.per_input, self.per_output)
        output = usage.answer_tokens + usage.thinking_tokens
        return (usage.prompt_tokens * per_input + output * per_output) / _MILLION


@dataclass(frozen=True, slots=True)
class Tier:
    """A usage tier: its name in settings, its title (a message, shown with tr()), and the limits of known models."""

    name: str
    title: str
    limits: Mapping[str, Limits]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Prices and limits by model. What is not in it is unknown, and None is what these methods then give.

    Models may be named as users and servers do: with "models/" before, or a version ("-001") behind.
    batch_factor: what a request through the Batch API costs of these prices. limits_published: when the limits
    were last published; limits_current_at: where a project finds its own.
    """

    prices: Mapping[str, tuple[Price, ...]]
    tier_list: tuple[Tier, ...]
    batch_factor: Decimal
    prices_source: str
    limits_source: str
    limits_published: str
    limits_current_at: str

    def price_of(self, model: str, *, on: date) -> Price | None:
        """The price in force on that day."""
        known = _look_up(self.prices, model) or ()
        return next((price for price in reversed(known) if price.since is None or price.since <= on), None)

    def tiers(self) -> tuple[Tier, ...]:
        """The tiers, smallest first."""
        return self.tier_list

    def limits_of(self, model: str, tier: str) -> Limits | None:
        """The model's limits in the tier of that name.

        Raises SettingsError naming the tiers, where there is none of that name.
        """
        for known in self.tier_list:
            if known.name == tier:
                return _look_up(known.limits, model)
        names = ", ".join(known.name for known in self.tier_list)
        raise SettingsError(tr("沒有名為 {tier!r} 的方案等級, 請用其中之一: {names}", tier=tier, names=names))


def _look_up(table: Mapping[str, T], model: str) -> T | None:
    name = model.removeprefix("models/")
    return table.get(name) or table.get(_VERSION.sub("", name))


def model_name(identity: str) -> str:
    """The model's name out of a ChatModel's identity; the identity itself where it names none."""
    try:
        known = json.loads(identity)
    except ValueError:
        return identity
    name = known.get("model") if isinstance(known, dict) else None
    return name if isinstance(name, str) else identity


@functools.cache
def load_catalogue() -> Catalogue:
    """The catalogue that comes with the program, read once, when first asked for."""
    return parse_catalogue(_FILE.read_text("utf-8"))


def parse_catalogue(text: str) -> Catalogue:
    """A catalogue from TOML. Raises SettingsError naming what is wrong in it."""
    import tomllib  # the menu need not wait for it

    try:
        root = _Table(tomllib.loads(text, parse_float=Decimal), "")
        return _catalogue(root)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(tr("型錄檔不是正確的 TOML: {error}", error=error)) from None


def _catalogue(root: _Table) -> Catalogue:
    prices = {}
    for model in root.tables("models"):
        name = model.text("name")
        if name in prices:
            raise model.fault("name", tr("重複"))
        prices[name] = _prices(model)
        model.end()
    limits = root.table("limits")
    tiers = tuple(_tier(tier) for tier in limits.tables("tiers"))
    if len({tier.name for tier in tiers}) < len(tiers):
        raise limits.fault("tiers", tr("重複"))
    factor = root.number("batch_factor")
    catalogue = Catalogue(
        prices, tiers, factor, root.text("prices_source"),
        limits.text("source"), limits.text("last_published"), limits.text("current_at"),
    )  # fmt: skip
    limits.end()
    root.end()
    return catalogue


def _prices(model: _Table) -> tuple[Price, ...]:
    checked = model.day("checked")
    prices = tuple(_price(table, checked) for table in model.tables("prices"))
    days = [price.since or date.min for price in prices]
    if not days or days != sorted(set(days)):
        raise model.fault("prices", tr("至少要有一個, 且依 from 先後排列"))
    return prices


def _price(table: _Table, checked: date) -> Price:
    since = table.day("from") if "from" in table else None
    long_above = table.count("long_above") if "long_above" in table else None
    long_input, long_output = (
        (Decimal(0), Decimal(0)) if long_above is None else (table.number("long_input"), table.number("long_output"))
    )
    price = Price(table.number("input"), table.number("output"), checked, since, long_above, long_input, long_output)
    table.end()
    return price


def _tier(table: _Table) -> Tier:
    limits = {}
    for model in table.tables("models"):
        figures = {key: model.count(short) for key, short in _LIMITS if short in model}
        limits[model.text("name")] = Limits(**figures)
        model.end()
    tier = Tier(table.text("name"), table.text("title"), limits)
    table.end()
    return tier


# The titles in the data file, named here for those who translate messages.
TIER_TITLES: Final = (marked("免費"), marked("第 1 級 (已設定付款)"), marked("第 2 級"), marked("第 3 級"))
_LIMITS: Final = (("requests_per_minute", "rpm"), ("tokens_per_minute", "tpm"), ("requests_per_day", "rpd"))


class _Table:
    """A TOML table that is read key by key; end() tells of keys that nobody read. Faults name their place."""

    def __init__(self, values: dict[str, Any], place: str) -> None:
        self._values = dict(values)
        self._place = place

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def text(self, key: str) -> str:
        return str(self._take(key, lambda value: isinstance(value, str) and value.strip() != "", marked("應為文字")))

    def day(self, key: str) -> date:
        value: date = self._take(key, lambda value: type(value) is date, marked("應為日期"))
        return value

    def count(self, key: str) -> int:
        return int(self._take(key, lambda value: type(value) is int and value >= 1, marked("應為1 以上的整數")))

    def number(self, key: str) -> Decimal:
        return Decimal(self._take(key, _is_amount, marked("應為0 以上的數字")))

    def table(self, key: str) -> _Table:
        return _Table(self._take(key, lambda value: isinstance(value, dict), marked("應為表格")), self._at(key))

    def tables(self, key: str) -> list[_Table]:
        rows = self._take(key, _is_list_of_tables, marked("應為表格"))
        return [_Table(row, f"{self._at(key)}[{number}]") for number, row in enumerate(rows)]

    def end(self) -> None:
        for key in self._values:
            raise self.fault(key, tr("不認得"))

    def fault(self, key: str, what: str) -> SettingsError:
        return SettingsError(tr("型錄檔的 {place} 有誤: {what}", place=self._at(key), what=what))

    def _take(self, key: str, fits: Callable[[Any], bool], expected: str) -> Any:
        value = self._values.pop(key, None)
        if not fits(value):
            raise self.fault(key, tr(expected))
        return value

    def _at(self, key: str) -> str:
        return f"{self._place}.{key}" if self._place else key


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _is_amount(value: Any) -> bool:
    number = Decimal(value) if type(value) in (int, Decimal) else Decimal("nan")
    return number.is_finite() and 0 <= number < _MILLION

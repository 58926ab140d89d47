"""Option 9: see, set and reset the limits of the model in use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from core.clock import SYSTEM_CLOCK
from core.language import tr
from core.limits import Limits
from core.pacific import next_pacific_midnight
from core.settings import Source
from optimizers.assembly import configured_limits
from optimizers.catalogue import load_catalogue
from optimizers.limit_settings import joined
from utils.console import Console
from utils.limits_text import DAMAGED, LIMIT_NAMES, limits_text, tiers_text
from utils.settings_text import SOURCES
from workflows.engine import Engine

__all__ = ["LimitsMenu"]

_NAMES: Final = tuple(LIMIT_NAMES)
_MOST_DIGITS: Final = 12


class LimitsMenu:
    """Shows the limits and lets a person change them, as long as they want to. For the main thread.

    What is set is in force at once and kept for the next start; what the settings say stands above it. sources: where
    a setting comes from, by its name; the environment for what is not among them.
    """

    def __init__(self, console: Console, engine: Engine, *, sources: Mapping[str, Source] | None = None) -> None:
        self._console = console
        self._engine = engine
        self._sources = sources or {}

    def show(self) -> None:
        """The one loop of the entry; raises StorageError where a limit could not be kept, though it is in force."""
        self._engine.wait_until_loaded()
        if self._engine.saved_limits.damaged:
            self._console.write_line(tr(DAMAGED))
        while True:
            self._console.write_line(self._text())
            choice = self._console.ask_plain(tr("選擇 (1-5, 直接按 Enter 返回選單): "))
            match choice:
                case "":
                    return
                case "1" | "2" | "3":
                    self._set(_NAMES[int(choice) - 1])
                case "4":
                    self._choose_tier()
                case "5":
                    self._engine.limiter.forget()
                    self._console.write_line(tr("✅ 已忘記學到的限額, 從頭學起"))
                case _:
                    self._console.write_line(tr("❌ 無效的選擇"))

    @property
    def _model(self) -> str:
        return self._engine.settings.served_model

    def _text(self) -> str:
        configured, limiter = configured_limits(self._engine.settings), self._engine.limiter
        sources = {
            name: tr(SOURCES[self._source(name)]) if getattr(configured, name) else tr("選單設定") for name in _NAMES
        }
        figures = limiter.statistics()
        text = limits_text(
            self._model,
            limiter.limits,
            sources,
            figures,
            SYSTEM_CLOCK.now(),
            day_ends_at=next_pacific_midnight(SYSTEM_CLOCK.wall()),
            width=self._console.width,
        )
        choices = [
            tr("{number}. 設定{title}", number=number, title=tr(title))
            for number, title in enumerate(LIMIT_NAMES.values(), 1)
        ]
        return "\n".join([text, *choices, tr("4. 套用公布的方案等級"), tr("5. 忘記學到的限額")])

    def _set(self, name: str) -> None:
        prompt = tr("{title} (0 或直接按 Enter 表示不設定): ", title=tr(LIMIT_NAMES[name]))
        entered = self._console.ask_plain(prompt).replace(",", "") or "0"
        if not (entered.isascii() and entered.isdigit() and len(entered) <= _MOST_DIGITS):
            self._console.write_line(tr("❌ 請輸入 0 或正整數"))
            return
        saved = self._engine.saved_limits.of(self._model)
        self._keep(replace(saved, **{name: int(entered) or None}))

    def _source(self, name: str) -> Source:
        return self._sources.get(name, Source.ENVIRONMENT)

    def _choose_tier(self) -> None:
        catalogue = load_catalogue()
        tiers = [(tr(tier.title), catalogue.limits_of(self._model, tier.name)) for tier in catalogue.tiers()]
        about = tiers_text(tiers, published=catalogue.limits_published, current_at=catalogue.limits_current_at)
        self._console.write_line(about)
        choice = self._console.ask_plain(tr("選擇 (1-{last}, 直接按 Enter 不套用): ", last=len(tiers)))
        if not choice:
            return
        limits = tiers[int(choice) - 1][1] if choice in map(str, range(1, len(tiers) + 1)) else None
        if limits is None:
            self._console.write_line(tr("❌ 沒有這個模型在這個等級的數字, 請選別的或自行設定"))
        else:
            self._keep(limits)

    def _keep(self, limits: Limits) -> None:
        configured, before = configured_limits(self._engine.settings), self._engine.saved_limits.of(self._model)
        self._engine.limiter.set_limits(joined(configured, limits))
        changed = [name for name in _NAMES if getattr(limits, name) != getattr(before, name)]
        above = {self._source(name) for name in changed if getattr(configured, name)}
        if Source.FILE in above:
            self._console.write_line(tr("⚠️ 設定檔裡有設定的限額優先"))
        if above - {Source.FILE}:
            self._console.write_line(tr("⚠️ 環境變數裡有設定的限額優先"))
        self._engine.saved_limits.set(self._model, limits)
        self._console.write_line(tr("✅ 已套用並存下"))

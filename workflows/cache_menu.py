"""Option 3: the cache's figures and, for a person, its entries: look inside, drop, pin, ask again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from core.language import marked, tr
from core.outcome import Answer, Outcome
from core.ports import ChatModel, Prompt
from core.scope import Scope
from core.task import ParallelTask
from optimizers.cache_reports import EntryInfo, Pinning
from optimizers.cache_stores import MOST_PINNED
from optimizers.cache_view import CacheOrder, CacheView, NotRefreshable
from utils.cache_view_text import cache_saved_text, cache_table, entry_text
from utils.console import Console
from utils.interrupts import Interrupts
from utils.live_view import LiveView
from utils.rendering import cache_text
from utils.text_width import one_line
from workflows.engine import Engine

__all__ = ["CacheMenu"]

_AT_ONCE: Final = 20
_COMMAND: Final = re.compile(r"([a-z]?) *([0-9]{0,9})")
_HELP: Final = marked("N 看內容 · d N 刪除 · p N 釘選或取消 · r N 重新問 · n 下一頁 · b 上一頁 · o 換排序")
_ORDERS: Final = {CacheOrder.NEWEST: marked("最新的在前"), CacheOrder.MOST_HIT: marked("命中最多的在前")}
_GONE: Final = marked("❌ 這一筆已經不在快取裡")
_UNUSABLE: Final = marked("❌ 快取的檔案讀寫不了 (被佔用、磁碟已滿或沒有權限); 請稍後再試")
_PINNINGS: Final = {
    Pinning.ABSENT: _GONE,
    Pinning.EXPIRED: marked("✅ 已取消釘選; 它的時效已過, 所以移除了"),
    Pinning.FULL: marked("❌ 釘選已滿 (最多 {count:,} 筆, 也不超過快取的一半), 請先取消釘選其他的"),
}
_NOT_REFRESHABLE: Final = {
    NotRefreshable.GONE: _GONE,
    NotRefreshable.UNKNOWN_QUESTION: marked("❌ 這一筆沒有記下完整的問題, 不能從這裡重新問; 請刪除它, 再問一次"),
    NotRefreshable.OTHER_MODEL: marked("❌ 這一筆是別的模型或參數的回答, 不能用現在的模型更新; 請刪除它, 再問一次"),
}


class CacheMenu:
    """Shows the cache's figures; on a terminal also its entries, and does with them what the person says, until Enter.

    For the main thread. Raises as the methods of Session do. During a refresh the first Ctrl-C ends the call.
    """

    def __init__(self, console: Console, interrupts: Interrupts, engine: Engine) -> None:
        self._console = console
        self._interrupts = interrupts
        self._engine = engine
        self._view = CacheView(engine.cache)
        self._order = CacheOrder.NEWEST
        self._page = 0
        self._listed: list[EntryInfo] = []
        self._failures = 0  # of the store, those that were told or are none of this menu's
        self._actions: dict[str, Callable[[int, EntryInfo], bool]] = {
            "": self._look,
            "d": self._drop,
            "p": self._pin,
            "r": self._refresh,
        }

    def show(self) -> None:
        self._console.write_line(cache_text(self._engine.cache.get_stats()))
        if not self._console.is_interactive:
            return
        self._console.write_line(cache_saved_text(self._engine.ledger.totals()))
        self._failures = self._engine.cache.store.failures()
        stale = True
        while self._interrupts.leave_with is None:
            if stale and not self._list():
                return
            entered = self._console.ask_plain(tr("選擇 (直接按 Enter 返回選單): "))
            self._interrupts.reset()
            if not entered:
                return
            stale = self._do(entered)

    def _list(self) -> bool:
        """Show the page; False where there is nothing to show. The numbers stay with what was shown."""
        self._listed = self._view.entries(self._order)
        total = len(self._listed)
        if self._failed():
            return False
        if not total:
            self._console.write_line(tr("🗂️ 快取裡沒有內容"))
            return False
        self._page = min(self._page, (total - 1) // _AT_ONCE)
        start = self._page * _AT_ONCE
        shown = self._listed[start : start + _AT_ONCE]
        order, width = tr(_ORDERS[self._order]), self._console.width
        self._console.write_line(cache_table(shown, first=start + 1, total=total, order=order, width=width))
        self._console.write_line(tr(_HELP))
        return True

    def _do(self, entered: str) -> bool:
        """Do one thing; True where the list must be shown again."""
        match = _COMMAND.fullmatch(entered.lower())
        command, digits = match.groups() if match else ("?", "")
        if not digits and command in ("n", "b", "o"):
            return self._turn(command)
        action = self._actions.get(command)
        if action is None or not digits:
            self._console.write_line(tr("❌ 無效的選擇"))
            return False
        number = int(digits)
        if not 1 <= number <= len(self._listed):
            self._console.write_line(tr("❌ 沒有這個編號, 請輸入 1 到 {most:,}", most=len(self._listed)))
            return False
        return action(number, self._listed[number - 1])

    def _failed(self) -> bool:
        """Whether the store has failed since this was last asked, which is told: absence then means nothing."""
        before, self._failures = self._failures, self._engine.cache.store.failures()
        if self._failures == before:
            return False
        self._console.write_line(tr(_UNUSABLE))
        return True

    def _turn(self, command: str) -> bool:
        if command == "o":
            self._order = CacheOrder.NEWEST if self._order is CacheOrder.MOST_HIT else CacheOrder.MOST_HIT
            self._page = 0
            return True
        page = self._page + (1 if command == "n" else -1)
        if not 0 <= page * _AT_ONCE < len(self._listed):
            self._console.write_line(tr("❌ 沒有下一頁") if command == "n" else tr("❌ 沒有上一頁"))
            return False
        self._page = page
        return True

    def _look(self, number: int, entry: EntryInfo) -> bool:
        snapshot = self._view.look(entry.key)
        if snapshot is None:
            return self._tell(tr(_GONE))
        prompt = None if snapshot.question is None else snapshot.question.prompt
        self._console.write_line(entry_text(number, entry, snapshot.take(), prompt))
        return False

    def _drop(self, number: int, entry: EntryInfo) -> bool:
        dropped = self._view.drop(entry.key)
        return self._tell(tr("✅ 已刪除第 {number:,} 筆", number=number) if dropped else tr(_GONE))

    def _pin(self, number: int, entry: EntryInfo) -> bool:
        pinned = not entry.pinned
        done = marked("✅ 已釘選第 {number:,} 筆, 不會過期") if pinned else marked("✅ 已取消釘選第 {number:,} 筆")
        came = _PINNINGS.get(self._view.pin(entry.key, pinned), done)
        return self._tell(tr(came, number=number, count=MOST_PINNED))

    def _refresh(self, number: int, entry: EntryInfo) -> bool:
        model = self._engine.chat_model()
        prompt = self._view.question(entry.key, model.identity)
        if isinstance(prompt, NotRefreshable):
            return self._tell(tr(_NOT_REFRESHABLE[prompt]))
        outcome = self._ask(model, prompt)
        if self._view.replace(entry.key, outcome.value, prompt):
            return self._tell(tr("✅ 第 {number:,} 筆已換成新的回答", number=number))
        advice = f"\n💡 {one_line(outcome.advice)}" if outcome.advice else ""
        return self._tell(tr("⚠️ 沒有得到新的回答, 原來的保留") + advice)

    def _ask(self, model: ChatModel, prompt: Prompt) -> Outcome[Any]:
        """Ask past the cache, as a run of one task."""
        task = ParallelTask(
            id="refresh",
            name=prompt.text,
            function=model.generate,
            args=(prompt,),
            timeout=self._engine.settings.query_timeout,
            scoped=True,
        )
        limiter = self._engine.limiter_figures
        with self._engine.accounted(), LiveView(self._console, limiter=limiter) as view:
            scope = Scope(observer=view.observe)
            with self._interrupts.during(scope.cancel):
                (outcome,) = self._engine.executor.run([task], scope=scope).outcomes
            if isinstance(outcome.value, Answer):
                self._engine.ledger.note_answer(outcome.value)
        self._console.discard_typed()
        return outcome

    def _tell(self, text: str) -> bool:
        """Say what came of it, and that the list has changed; that nothing did, if the store has failed."""
        if self._failed():
            return False
        self._console.write_line(text)
        return True

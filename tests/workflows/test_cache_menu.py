"""Option 3, driven by typed lines."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.errors import ErrorKind, ModelError
from core.ports import ChatModel, Prompt
from core.scope import Scope
from core.settings import Endpoint, Secret, Settings
from optimizers.cache_manager import CacheManager
from optimizers.cached_model import CachedModel
from optimizers.sqlite_store import SQLiteStore
from tests.fakes import FakeClock, FunctionModel
from utils.console import Console
from utils.interrupts import Interrupts
from utils.rendering import cache_text
from workflows.cache_menu import CacheMenu
from workflows.engine import Engine
from workflows.session import Session
from workflows.settings_store import SettingsStore

Visit = Callable[[str], str]
CHOOSE = "選擇 (直接按 Enter 返回選單): "


class Person(Console):
    """A console whose input counts as a person's."""

    @property
    def is_interactive(self) -> bool:
        return True


class Loaded(Engine):
    """An engine whose model is there without any loading."""

    def __init__(self, model: ChatModel) -> None:
        settings = Settings(api_key=Secret("k"), endpoint=Endpoint("127.0.0.1", 9, True), query_timeout=5)
        super().__init__(settings)
        self.model = model

    def chat_model(self) -> ChatModel:
        return self.model


class Replies:
    """A model whose answers tell how often it was asked, until it fails."""

    def __init__(self) -> None:
        self.failing = False
        self.model = FunctionModel(self._answer, identity="m")

    def _answer(self, prompt: Prompt, scope: Scope) -> str:
        if self.failing:
            raise ModelError(ErrorKind.BLOCKED)
        return f"第 {self.model.calls} 個回答"


@pytest.fixture
def replies() -> Replies:
    return Replies()


@pytest.fixture
def engine(replies: Replies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loaded]:
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    engine = Loaded(replies.model)
    cached = CachedModel(replies.model, engine.cache, on_answer=engine.ledger.note_answer)
    for text in ("蘋果", "香蕉", "蘋果"):
        cached.generate(Prompt(text), Scope())
    yield engine
    engine.close()


@pytest.fixture
def visit(engine: Loaded) -> Visit:
    def visit(typed: str) -> str:
        return shown(Person, engine, typed)

    return visit


def shown(kind: type[Console], engine: Engine, typed: str, interrupts: Interrupts | None = None) -> str:
    out = io.StringIO()
    console = kind(stdin=io.StringIO(typed + "\n"), stdout=out, stderr=io.StringIO(), environ={}, history_path=None)
    CacheMenu(console, interrupts or Interrupts(), engine).show()
    return out.getvalue()


def questions(engine: Engine) -> list[str]:
    return [entry.question for entry in engine.cache.entries()]


def test_a_plain_input_is_told_the_figures_alone(engine: Loaded) -> None:
    """Not a line more, and nothing is asked."""
    assert shown(Console, engine, "d 1\n") == cache_text(engine.cache.get_stats()) + "\n"
    assert questions(engine) == ["香蕉", "蘋果"]


def test_a_person_sees_the_figures_what_was_saved_and_the_entries(visit: Visit) -> None:
    """Newest first."""
    text = visit("")
    assert text.startswith("💾 快取統計資訊:\n  快取大小: 2\n  命中次數: 1\n")
    assert "💰 啟動以來省下: 1 次呼叫 (快取 1, 共用 0)" in text
    assert text.index("香蕉") < text.index("蘋果")
    assert "第 1 到 2 筆, 共 2 筆 (最新的在前)" in text


def test_the_order_can_be_changed(visit: Visit) -> None:
    """Most hits first, and back."""
    _, by_hits, by_age = visit("o\no\n").split(CHOOSE)[:3]
    assert "(命中最多的在前)" in by_hits
    assert by_hits.index("蘋果") < by_hits.index("香蕉")
    assert by_age.index("香蕉") < by_age.index("蘋果")


@pytest.mark.parametrize("typed", ["2", "２", " ２ "])
def test_a_number_looks_inside(visit: Visit, typed: str) -> None:
    """The whole answer, framed; the list stays as it was."""
    text = visit(f"{typed}\n")
    assert "📝 快取 2: 蘋果\n│ 第 1 個回答\n└ 模型 m, " in text
    assert text.count("🗂️ 快取內容") == 1


def test_a_value_of_unknown_question_is_shown_too(visit: Visit, engine: Loaded) -> None:
    """By the beginning of its key; it cannot be asked again."""
    engine.cache.clear_all()
    engine.cache.set("key", "價值")
    text = visit("1\nr 1\n")
    assert "(沒有記下問題)" in text
    assert "│ 價值" in text
    assert "❌ 這一筆沒有記下完整的問題" in text


@pytest.mark.parametrize("typed", ["d 2", "ｄ　２", "D2"])
def test_dropping_one(visit: Visit, engine: Loaded, typed: str) -> None:
    """Full-width letters, digits and spaces are as good as plain ones."""
    assert "✅ 已刪除第 2 筆" in visit(f"{typed}\n")
    assert questions(engine) == ["香蕉"]


def test_dropping_the_last_one_ends_the_list(visit: Visit) -> None:
    """There is nothing to choose from any more."""
    text = visit("d 1\nd 1\n")
    assert text.endswith("✅ 已刪除第 1 筆\n🗂️ 快取裡沒有內容\n")
    assert text.count(CHOOSE) == 2


def test_pinning_and_unpinning(visit: Visit, engine: Loaded) -> None:
    """The same letter for both; the list shows which are pinned."""
    _, pinned, unpinned = visit("p 2\np 2\n").split(CHOOSE)[:3]
    assert "✅ 已釘選第 2 筆, 不會過期" in pinned
    assert "釘選  1" in pinned
    assert "✅ 已取消釘選第 2 筆" in unpinned
    assert [entry.pinned for entry in engine.cache.entries()] == [False, False]


def test_a_refused_pin_says_why(visit: Visit, engine: Loaded) -> None:
    """Here: a cache so small that half of it holds no entry."""
    engine.cache.clear_all()
    engine.cache.set("big", "x" * 40 * 2**20)
    assert "❌ 釘選已滿 (最多 1,000 筆" in visit("p 1\n")


def test_an_unpinned_entry_whose_time_is_over_goes(engine: Loaded) -> None:
    """And the person is told."""
    clock = FakeClock()
    engine.cache = type(engine.cache)(10, clock=clock)
    engine.cache.set("key", "value")
    engine.cache.store.pin(engine.cache.entries()[0].key, True)
    clock.advance(11)
    assert "✅ 已取消釘選; 它的時效已過, 所以移除了\n🗂️ 快取裡沒有內容" in shown(Person, engine, "p 1\n")


def test_refreshing_asks_past_the_cache(visit: Visit, engine: Loaded, replies: Replies) -> None:
    """The new answer takes the old one's place and its pin, and the call counts as a run."""
    text = visit("p 2\nr 2\n1\n")
    assert "✅ 第 2 筆已換成新的回答" in text
    assert "│ 第 3 個回答" in text
    assert replies.model.calls == 3
    assert [entry.pinned for entry in engine.cache.entries()] == [False, True]
    assert engine.last_run is not None
    assert (engine.last_run.asked, engine.last_run.cached) == (1, 0)


def test_a_refresh_without_an_answer_keeps_the_old_one(visit: Visit, engine: Loaded, replies: Replies) -> None:
    """Why there is none is told, and what to do."""
    replies.failing = True
    text = visit("r 2\n2\n")
    assert "❌" in text
    assert "⚠️ 沒有得到新的回答, 原來的保留\n💡 " in text
    assert "│ 第 1 個回答" in text
    assert questions(engine) == ["香蕉", "蘋果"]


def test_a_cancelled_refresh_keeps_the_old_answer(engine: Loaded, replies: Replies) -> None:
    """As the first Ctrl-C does it; a signal to end the program leaves the list at once."""
    interrupts = Interrupts()
    cancels: list[Callable[[], object]] = []
    during = interrupts.during

    def watched(cancel: Callable[[], object]) -> object:
        cancels.append(cancel)
        return during(cancel)

    interrupts.during = watched  # type: ignore[method-assign, assignment]  # to reach the run's cancel

    def held(prompt: Prompt, scope: Scope) -> str:
        interrupts.leave_with = 143
        cancels[0]()
        scope.check()
        return "too late"

    engine.model = FunctionModel(held, identity="m")
    text = shown(Person, engine, "r 2\n", interrupts)
    assert "⏹️ 任務取消" in text
    assert "⚠️ 沒有得到新的回答, 原來的保留\n" in text
    assert text.count(CHOOSE) == 1
    assert questions(engine) == ["香蕉", "蘋果"]


def test_another_model_does_not_refresh(visit: Visit, engine: Loaded) -> None:
    """Its answer would belong to another key."""
    engine.model = FunctionModel(lambda prompt, scope: "x", identity="another")
    assert "❌ 這一筆是別的模型或參數的回答" in visit("r 1\n")


def test_an_entry_that_has_gone_is_told_as_gone(engine: Loaded) -> None:
    """Whatever is to be done with it, and the list is shown anew."""
    for command in ("1", "d 1", "p 1", "r 1"):
        engine.cache.clear_all()
        engine.cache.set("key", "value")
        engine.cache.set("other", "value")

        class Late(Person):
            def ask(self, prompt: str) -> str:
                engine.cache.invalidate("other")
                return super().ask(prompt)

        text = shown(Late, engine, f"{command}\n")
        assert "❌ 這一筆已經不在快取裡" in text
        assert text.count("🗂️ 快取內容") == 2


def test_pages_of_twenty(visit: Visit, engine: Loaded) -> None:
    """Forward and back, no further than there are; numbers go through."""
    for number in range(39):
        engine.cache.set(f"{number}", f"值 {number}")
    text = visit("b\nn\n2\nｎ\nn\nn\nb\no\n").split(CHOOSE)
    assert "❌ 沒有上一頁" in text[1]
    assert "第 21 到 40 筆, 共 41 筆" in text[2]
    assert "│ 值 37" in text[3]
    assert "第 41 到 41 筆, 共 41 筆" in text[4]
    assert "❌ 沒有下一頁" in text[5]
    assert "第 21 到 40 筆" in text[7]
    assert "第 1 到 20 筆" in text[8]


def test_a_page_that_has_emptied_shows_the_one_before(visit: Visit, engine: Loaded) -> None:
    """Dropping the only entry of the last page."""
    for number in range(19):
        engine.cache.set(f"{number}", "x")
    assert "第 1 到 20 筆, 共 20 筆" in visit("n\nd 21\n").split(CHOOSE)[2]


@pytest.mark.parametrize("typed", ["x", "d", "p x", "n 1", "1 d", "-1", "q 1", "1234567890"])
def test_what_is_no_command_is_told(visit: Visit, typed: str) -> None:
    """One sentence, and the question again."""
    assert "❌ 無效的選擇" in visit(f"{typed}\n")


@pytest.mark.parametrize("typed", ["0", "3", "d 3"])
def test_a_number_that_is_not_there_is_told(visit: Visit, typed: str) -> None:
    """With those that are."""
    assert "❌ 沒有這個編號, 請輸入 1 到 2" in visit(f"{typed}\n")


class Shelf:
    """A cache on disk with two answers, which another process holds from a line that is typed."""

    def __init__(self, engine: Loaded, path: Path) -> None:
        self.engine = engine
        self.path = path
        engine.cache = self.reopened()
        cached = CachedModel(engine.model, engine.cache)
        for text in ("蘋果", "香蕉"):
            cached.generate(Prompt(text), Scope())
        self.other = sqlite3.connect(path, isolation_level=None)

    def reopened(self) -> CacheManager:
        return CacheManager(store=SQLiteStore(self.path))

    def visit(self, typed: str, how: str) -> str:
        shelf = self

        class Late(Person):
            def ask(self, prompt: str) -> str:
                if not shelf.other.in_transaction:
                    shelf.other.execute(f"BEGIN {how}")
                return super().ask(prompt)

        return shown(Late, self.engine, typed)


@pytest.fixture
def shelf(engine: Loaded, tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(engine, tmp_path / "disk" / "answers.sqlite3")
    yield shelf
    shelf.other.close()


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
@pytest.mark.parametrize("command", ["d 1", "p 1", "r 1"])
def test_what_the_file_does_not_take_is_not_told_as_done(shelf: Shelf, command: str, how: str) -> None:
    """Nor an entry as gone, or the cache as empty, which is only out of reach."""
    text = shelf.visit(f"{command}\n\n", how)
    assert text.count("❌ 快取的檔案讀寫不了") == 1
    for wrong in ("✅ 第", "✅ 已", "❌ 這一筆已經不在快取裡", "🗂️ 快取裡沒有內容"):
        assert wrong not in text
    shelf.other.execute("ROLLBACK")
    assert [entry.question for entry in shelf.reopened().entries()] == ["蘋果", "香蕉"]


def test_an_entry_that_cannot_be_read_is_not_told_as_gone(shelf: Shelf) -> None:
    """It may be there still."""
    text = shelf.visit("1\n\n", "EXCLUSIVE")
    assert "❌ 快取的檔案讀寫不了" in text
    assert "❌ 這一筆已經不在快取裡" not in text


def test_a_cache_that_cannot_be_listed_is_not_told_as_empty(shelf: Shelf) -> None:
    """There is no list to choose from, and the person knows why."""
    shelf.other.execute("BEGIN IMMEDIATE")
    text = shelf.visit("", "IMMEDIATE")
    assert text.endswith("❌ 快取的檔案讀寫不了 (被佔用、磁碟已滿或沒有權限); 請稍後再試\n")
    assert "🗂️" not in text


def test_clearing_a_cache_that_is_held_is_not_told_as_done(shelf: Shelf, tmp_path: Path) -> None:
    """The menu's option 5; once the file is free it is."""
    out = io.StringIO()
    console = Console(stdin=io.StringIO(), stdout=out, stderr=io.StringIO(), environ={}, history_path=None)
    session = Session(console, Interrupts(), shelf.engine, SettingsStore(tmp_path / "settings", environ={}))
    shelf.other.execute("BEGIN IMMEDIATE")
    session.clear_cache()
    assert out.getvalue() == "❌ 快取沒有清除, 檔案被別的程式佔用或不能寫; 請稍後再試\n"
    shelf.other.execute("ROLLBACK")
    shelf.engine.cache = shelf.reopened()
    session.clear_cache()
    assert out.getvalue().endswith("✅ 快取已清除\n")
    assert shelf.engine.cache.entries() == []

"""`cache`, in this process, on a store that stands for one that outlives it."""

from __future__ import annotations

import argparse
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import StorageError, UsageError
from core.outcome import Answer, Usage
from core.ports import Prompt
from core.settings import Settings
from optimizers.cache_manager import CacheManager
from optimizers.cache_reports import EntryInfo
from optimizers.cache_stores import MemoryStore
from optimizers.cache_values import Snapshot
from optimizers.sqlite_store import SQLiteStore
from tests.fakes import FakeClock
from utils.console import Console
from utils.interrupts import Interrupts
from utils.text_width import cell_width
from workflows.command_line import CommandLine, _guarded, read_options, run_command
from workflows.engine import Engine

Call = Callable[..., tuple[int, str, str]]
KEYS = tuple(f"{digit}" * 64 for digit in "abc")


class Lasting:
    """Hands everything to a store in memory, but is none; does nothing from when it is refusing."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._left: dict[str, int] = {}
        self._failures = 0

    def refuse(self, **left: int) -> None:
        """Refuse each of the named operations once it was done that often more."""
        self._left = left

    def failures(self) -> int:
        return self._failures

    def entries(self) -> list[EntryInfo]:
        return [] if self._refuses("entries") else self._store.entries()

    def peek(self, key: str) -> Snapshot | None:
        return None if self._refuses("peek") else self._store.peek(key)

    def remove(self, key: str) -> bool:
        return not self._refuses("remove") and self._store.remove(key)

    def clear(self) -> bool:
        return not self._refuses("clear") and self._store.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _refuses(self, name: str) -> bool:
        if name not in self._left:
            return False
        self._left[name] -= 1
        self._failures += self._left[name] < 0
        return self._left[name] < 0


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    clock = FakeClock()
    engine = Engine(Settings(offline_scale=0.0), clock=clock)
    engine.cache = CacheManager(store=Lasting(MemoryStore(max_entries=10, max_bytes=10**6, clock=clock)))
    kept = (("蘋果", "gemini-2.5-flash"), ("香蕉", "unknown-1"), ("櫻桃", "m"))
    for key, (question, model) in zip(KEYS, kept, strict=True):
        engine.cache.set(key, Answer(f"{question}的回答", model, Usage(1_000_000, 0)), prompt=Prompt(question))
        clock.advance(10)
    for key in (KEYS[0], KEYS[0], KEYS[1]):
        engine.cache.get(key)
    engine.cache.store.pin(KEYS[1], True)
    yield engine
    engine.close()


@pytest.fixture
def call(engine: Engine) -> Call:
    def call(*arguments: str) -> tuple[int, str, str]:
        return done(engine, arguments, run_command)

    return call


def ended(engine: Engine, *arguments: str) -> tuple[int, str, str]:
    """As the program ends with it: errors are told."""
    return done(
        engine, arguments, lambda options, line: _guarded(
            options, line.errors, line.interrupts, lambda: run_command(options, line)
        ),
    )  # fmt: skip


def done(
    engine: Engine, arguments: tuple[str, ...], run: Callable[[argparse.Namespace, CommandLine], int]
) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of `cache`."""
    out, notes = io.StringIO(), io.StringIO()
    console = Console(stdin=io.StringIO(), stdout=notes, environ={})
    screen = Console(stdin=io.StringIO(), stdout=out, stderr=notes, environ={})
    line = CommandLine(engine, screen, console, Interrupts(), None, errors=console)
    code = run(read_options(["cache", *arguments], version="1"), line)
    return code, out.getvalue(), notes.getvalue()


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_cache_in_memory_has_nothing_to_show(call: Call, engine: Engine) -> None:
    """One sentence that says so, and how to keep one."""
    engine.cache = CacheManager()
    for arguments in ((), ("stats",), ("clear", "--yes")):
        with pytest.raises(UsageError, match="CACHE_STORE=sqlite"):
            call(*arguments)


def test_entries_are_listed_by_their_keys(call: Call) -> None:
    """The newest first, or the most hit; a limit holds, and the table fits."""
    code, out, err = call("--order", "hits")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "🗂️ 快取內容: 第 1 到 3 筆, 共 3 筆 (命中最多的在前)"
    assert [line.split()[0] for line in lines[1:] if "-" not in line] == ["鍵", "aaaaaaaa", "bbbbbbbb", "cccccccc"]
    assert max(map(cell_width, lines)) <= 80
    found = rows(call("list", "--json", "--limit", "2")[1])
    assert [row["key"] for row in found] == [KEYS[2], KEYS[1]]
    assert found[1] == {
        "key": KEYS[1], "question": "香蕉", "age_seconds": 20.0, "remaining_seconds": None, "hits": 1,
        "bytes": found[1]["bytes"], "pinned": True,
    }  # fmt: skip
    assert found[0]["remaining_seconds"] == 290.0


def test_an_entry_is_shown_by_the_beginning_of_its_key(call: Call) -> None:
    """Whole, framed; in JSON with the answer's own figures."""
    _, out, _ = call("show", "AA")
    assert out.startswith("📝 快取 aaaaaaaa: 蘋果\n│ 蘋果的回答\n└ 模型 gemini-2.5-flash")
    (found,) = rows(call("show", KEYS[0], "--json")[1])
    assert (found["answer"], found["model"], found["tokens"], found["hits"]) == (
        "蘋果的回答", "gemini-2.5-flash", 1_000_000, 2,
    )  # fmt: skip


def test_what_is_no_answer_is_shown_as_what_it_is(call: Call, engine: Engine) -> None:
    """Text as text, the rest by its type."""
    engine.cache.set("d" * 64, "文字")
    engine.cache.set("e" * 64, 7)
    assert rows(call("show", "d", "--json")[1])[0]["answer"] == "文字"
    assert rows(call("show", "e", "--json")[1])[0]["answer"] is None


def test_an_entry_that_goes_before_it_is_shown_is_told(
    call: Call, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process dropped it after the list was read: nothing is wrong with the file."""
    monkeypatch.setattr(engine.cache.store, "peek", lambda key: None)
    with pytest.raises(UsageError, match="快取裡沒有鍵 aaaaaaaa"):
        call("show", "a")


def test_a_key_must_be_that_of_one_entry(call: Call, engine: Engine) -> None:
    """None, several, and what is no key are told apart from it."""
    engine.cache.set("ab" * 32, "x")
    with pytest.raises(UsageError, match="有 2 筆的鍵以 a 開頭"):
        call("show", "a")
    for key in ("f", "xyz", "", "*"):
        with pytest.raises(UsageError, match="快取裡沒有鍵"):
            call("drop", key)


def test_entries_are_dropped(call: Call, engine: Engine) -> None:
    """All that are named, or none."""
    with pytest.raises(UsageError):
        call("drop", "a", "f")
    assert len(engine.cache.entries()) == 3
    assert rows(call("drop", "a", "b", KEYS[0], "--json")[1]) == [{"dropped": [KEYS[0], KEYS[1]]}]
    assert call("drop", "c") == (0, "", "✅ 已從快取刪除 1 筆\n")
    assert call() == (0, "", "🗂️ 快取裡沒有內容\n")


def test_all_is_cleared_only_with_a_yes(call: Call, engine: Engine) -> None:
    """What is empty needs none."""
    with pytest.raises(UsageError, match="請加上 --yes 表示同意"):
        call("clear")
    assert len(engine.cache.entries()) == 3
    assert rows(call("clear", "--yes", "--json")[1]) == [{"dropped": 3}]
    assert call("clear") == (0, "", "✅ 已從快取刪除 0 筆\n")


def test_what_the_entries_have_saved(call: Call, engine: Engine) -> None:
    """Calls, tokens and money of each hit; what has no price is counted apart."""
    price = engine.ledger.price_of("gemini-2.5-flash")
    assert price is not None
    (found,) = rows(call("stats", "--json")[1])
    assert (found["entries"], found["pinned"], found["hits"], found["saved_tokens"]) == (3, 1, 3, 3_000_000)
    assert found["saved_usd"] == pytest.approx(float(2 * price.money(Usage(1_000_000, 0))))
    assert found["unpriced_hits"] == 1
    lines = call("stats")[1].splitlines()
    assert lines[0].startswith("💾 快取: 3 筆, ")
    assert lines[1] == "💰 現有的這些省下: 3 次呼叫, 3,000,000 tokens"
    assert lines[2].startswith("   省下費用: US$")


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (("list",), {"entries": 0}),
        (("list", "--json"), {"entries": 0}),
        (("show", "a"), {"entries": 0}),
        (("show", "a"), {"peek": 0}),
        (("drop", "a"), {"entries": 0}),
        (("drop", "a"), {"remove": 0}),
        (("stats",), {"entries": 0}),
        (("stats", "--json"), {"peek": 1}),
        (("clear", "--yes"), {"entries": 0}),
        (("clear", "--yes", "--json"), {"clear": 0}),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(
    call: Call, engine: Engine, arguments: tuple[str, ...], refused: dict[str, int]
) -> None:
    """Neither "there is nothing" nor "it is done": one sentence, and exit code 1, which a StorageError is."""
    store = engine.cache.store
    assert isinstance(store, Lasting)
    store.refuse(**refused)
    with pytest.raises(StorageError, match="快取的檔案讀寫不了"):
        call(*arguments)
    store.refuse()
    assert len(engine.cache.entries()) == 3


def test_what_was_dropped_before_the_file_failed_is_told(engine: Engine) -> None:
    """The script that reads it knows which are left."""
    store = engine.cache.store
    assert isinstance(store, Lasting)
    store.refuse(remove=1)
    code, out, notes = ended(engine, "drop", "a", "b", "--json")
    assert (code, rows(out)) == (1, [{"dropped": [KEYS[0]]}])
    assert notes.startswith("✅ 已從快取刪除 1 筆\n❌ 快取的檔案讀寫不了")
    assert len(engine.cache.entries()) == 2


def test_a_real_file_that_is_in_use_ends_the_command_with_1(engine: Engine, tmp_path: Path) -> None:
    """As the help promises; the sentence is on stderr."""
    path = tmp_path / "disk" / "answers.sqlite3"
    engine.cache = CacheManager(store=SQLiteStore(path))
    assert ended(engine, "clear", "--yes") == (0, "", "✅ 已從快取刪除 0 筆\n")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    code, out, notes = ended(engine, "clear", "--yes")
    other.close()
    assert (code, out) == (1, "")
    assert notes == "❌ 快取的檔案讀寫不了 (被佔用、磁碟已滿或沒有權限), 指令沒有做完; 請稍後再試\n"

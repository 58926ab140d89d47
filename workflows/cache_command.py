"""`cache`: the answers that the cache holds, for scripts and pipes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from core.errors import StorageError, UsageError
from core.language import marked, tr, tr_n
from core.outcome import Answer
from optimizers.cache_reports import EntryInfo
from optimizers.cache_stores import MemoryStore
from optimizers.cache_view import CacheOrder, CacheView
from utils.cache_view_text import KEY_SHOWN, cache_table, entry_text, size_text
from utils.cost_text import money_text
from workflows.command_line import CommandLine
from workflows.exit_codes import OK
from workflows.parser import Parser, positive
from workflows.stored_runs import amount

__all__ = ["CACHE_ABOUT", "add_cache_options", "cache_command"]

CACHE_ABOUT: Final = marked("""\
快取裡的回答。快取平常只在記憶體裡, 程式結束就沒有了; 設定 CACHE_STORE=sqlite 才會留到下一次, 這些指令也才有內容。
KEY 是清單裡的鍵, 給開頭幾個字就可以, 只要不和別的相同。

  CACHE_STORE=sqlite python main.py cache               列出最新的 20 筆
  CACHE_STORE=sqlite python main.py cache list --order hits --limit 100 --json
  CACHE_STORE=sqlite python main.py cache show 3f9a01cc
  CACHE_STORE=sqlite python main.py cache drop 3f9a01cc
  CACHE_STORE=sqlite python main.py cache stats
  CACHE_STORE=sqlite python main.py cache clear --yes

--json: list 每筆一行 (key, question, age_seconds, remaining_seconds, hits, bytes, pinned); show 是同樣的物件加上
answer, model, tokens, truncated; stats、drop、clear 是一個物件。釘選的 remaining_seconds 是 null。
結束代碼: 0 完成, 1 讀寫不了, 2 參數有誤、沒有這個鍵或快取只在記憶體裡
""")
_IN_MEMORY: Final = marked("快取只在記憶體裡, 程式結束就沒有了, 所以這裡沒有內容; 設定 CACHE_STORE=sqlite 就會留下來")
_UNUSABLE: Final = marked("快取的檔案讀寫不了 (被佔用、磁碟已滿或沒有權限), 指令沒有做完; 請稍後再試")
_LISTED: Final = 20
_ORDERS: Final = {"newest": CacheOrder.NEWEST, "hits": CacheOrder.MOST_HIT}
_ORDER_TITLES: Final = {"newest": marked("最新的在前"), "hits": marked("命中最多的在前")}
_DIGITS: Final = frozenset("0123456789abcdef")


def add_cache_options(parser: argparse.ArgumentParser) -> None:
    _add_list_options(parser)
    parser.set_defaults(json=False, limit=_LISTED, order="newest")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title=tr("要做什麼"), parser_class=Parser)

    def add(name: str, about: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=tr(about), description=tr(about))
        if name != "list":
            _add_json(made)
        return made

    _add_list_options(add("list", marked("列出快取裡的回答 (預設)")))
    add("show", marked("一筆的問題與完整的回答")).add_argument("key", metavar="KEY", help=tr("鍵, 或它的開頭"))
    add("drop", marked("刪除幾筆")).add_argument("key", metavar="KEY", nargs="+", help=tr("鍵, 或它的開頭"))
    clear = add("clear", marked("刪除全部"))
    clear.add_argument("--yes", action="store_true", help=tr("不詢問, 直接刪除"))
    add("stats", marked("有多少、多大、命中多少、省下多少"))


def cache_command(options: argparse.Namespace, line: CommandLine) -> int:
    """Do what the options say with the cache's entries.

    Raises UsageError where none can be there, StorageError where the file that holds them cannot be used.
    """
    if isinstance(line.engine.cache.store, MemoryStore):
        raise UsageError(tr(_IN_MEMORY))
    return _ACTIONS[options.action or "list"](options, line, CacheView(line.engine.cache))


def _list(options: argparse.Namespace, line: CommandLine, view: CacheView) -> int:
    entries = _entries(line, view, _ORDERS[options.order])
    shown = entries[: options.limit]
    if options.json:
        for entry in shown:
            line.out.write_data(_as_object(entry))
    elif shown:
        order = tr(_ORDER_TITLES[options.order])
        table = cache_table(shown, total=len(entries), order=order, width=line.out.width, by_key=True)
        line.out.write_line(table)
    else:
        line.notes.write_line(tr("🗂️ 快取裡沒有內容"))
    return OK


def _show(options: argparse.Namespace, line: CommandLine, view: CacheView) -> int:
    entry = _found(options.key, _entries(line, view))
    snapshot = view.look(entry.key)
    _check(line)
    if snapshot is None:
        raise UsageError(tr("快取裡沒有鍵 {key}; python main.py cache 會列出有的", key=entry.key[:KEY_SHOWN]))
    value = snapshot.take()
    prompt = None if snapshot.question is None else snapshot.question.prompt
    if options.json:
        question = entry.question if prompt is None else prompt.text
        line.out.write_data({**_as_object(entry), "question": question, **_answer_object(value)})
    else:
        line.out.write_line(entry_text(entry.key[:KEY_SHOWN], entry, value, prompt))
    return OK


def _drop(options: argparse.Namespace, line: CommandLine, view: CacheView) -> int:
    entries = _entries(line, view)
    keys = list(dict.fromkeys(_found(key, entries).key for key in options.key))
    gone = [key for key in keys if view.drop(key)]
    if options.json:
        line.out.write_data({"dropped": gone})
    if not gone:
        _check(line)
    line.notes.write_line(tr_n("✅ 已從快取刪除 {count:,} 筆", len(gone)))
    _check(line)
    return OK


def _clear(options: argparse.Namespace, line: CommandLine, view: CacheView) -> int:
    count = len(_entries(line, view))
    if count:
        line.agrees(
            yes=options.yes,
            question=tr_n("要刪除快取裡的 {count:,} 筆嗎?", count),
            refusal=tr("刪除後找不回來, 請加上 --yes 表示同意"),
        )
    if not line.engine.cache.clear_all():
        raise StorageError(tr(_UNUSABLE))
    if options.json:
        line.out.write_data({"dropped": count})
    line.notes.write_line(tr_n("✅ 已從快取刪除 {count:,} 筆", count))
    return OK


@dataclass(frozen=True, slots=True)
class _Saved:
    """What the hits of the entries that are there now have saved. money leaves out answers without a price."""

    hits: int = 0
    tokens: int = 0
    money: Decimal = Decimal(0)
    unpriced: int = 0


def _stats(options: argparse.Namespace, line: CommandLine, view: CacheView) -> int:
    entries = _entries(line, view)
    saved, size = _saved(line, view, entries), sum(entry.bytes for entry in entries)
    _check(line)
    pinned = sum(entry.pinned for entry in entries)
    if options.json:
        line.out.write_data(
            {
                "entries": len(entries),
                "bytes": size,
                "pinned": pinned,
                "hits": saved.hits,
                "saved_tokens": saved.tokens,
                "saved_usd": amount(saved.money),
                "unpriced_hits": saved.unpriced,
            }
        )
        return OK
    money = money_text(saved.money if saved.money or not saved.unpriced else None)
    bulk = size_text(size)
    lines = (
        tr_n("💾 快取: {count:,} 筆, {size}, 釘選 {pinned:,} 筆", len(entries), size=bulk, pinned=pinned),
        tr_n("💰 現有的這些省下: {count:,} 次呼叫, {tokens:,} tokens", saved.hits, tokens=saved.tokens),
        tr("   省下費用: {money}", money=money),
    )
    line.out.write_line("\n".join(lines))
    return OK


_ACTIONS: Final[Mapping[str, Callable[[argparse.Namespace, CommandLine, CacheView], int]]] = {
    "list": _list,
    "show": _show,
    "drop": _drop,
    "clear": _clear,
    "stats": _stats,
}


def _entries(line: CommandLine, view: CacheView, order: CacheOrder = CacheOrder.NEWEST) -> list[EntryInfo]:
    entries = view.entries(order)
    _check(line)
    return entries


def _check(line: CommandLine) -> None:
    """Raises StorageError if the file has failed: what came of it since may look like absence."""
    if line.engine.cache.store.failures():
        raise StorageError(tr(_UNUSABLE))


def _saved(line: CommandLine, view: CacheView, entries: Sequence[EntryInfo]) -> _Saved:
    saved = _Saved()
    for entry in entries:
        snapshot = view.look(entry.key) if entry.hits else None
        if snapshot is None or not isinstance(snapshot.value, Answer):
            continue
        answer = snapshot.value
        price = line.engine.ledger.price_of(answer.model)
        saved = _Saved(
            saved.hits + entry.hits,
            saved.tokens + entry.hits * answer.usage.total_tokens,
            saved.money + (Decimal(0) if price is None else entry.hits * price.money(answer.usage)),
            saved.unpriced + (entry.hits if price is None else 0),
        )
    return saved


def _found(key: str, entries: Sequence[EntryInfo]) -> EntryInfo:
    """The one entry whose key begins so. Raises UsageError where there is none, or more than one."""
    wanted = key.lower()
    found = [entry for entry in entries if entry.key.startswith(wanted)] if set(wanted) <= _DIGITS and wanted else []
    if not found:
        raise UsageError(tr("快取裡沒有鍵 {key}; python main.py cache 會列出有的", key=key[:64]))
    if len(found) > 1:
        raise UsageError(tr_n("有 {count:,} 筆的鍵以 {key} 開頭, 請多給幾個字", len(found), key=wanted))
    return found[0]


def _as_object(entry: EntryInfo) -> dict[str, object]:
    return {
        "key": entry.key,
        "question": entry.question,
        "age_seconds": round(entry.age, 3),
        "remaining_seconds": None if math.isinf(entry.remaining) else round(entry.remaining, 3),
        "hits": entry.hits,
        "bytes": entry.bytes,
        "pinned": entry.pinned,
    }


def _answer_object(value: object) -> dict[str, object]:
    """An answer's keys; of anything else, which commands never store, the text alone."""
    if not isinstance(value, Answer):
        return {"answer": value if isinstance(value, str) else None, "model": "", "tokens": 0, "truncated": False}
    tokens = value.usage.total_tokens
    return {"answer": value.text, "model": value.model, "tokens": tokens, "truncated": value.truncated}


def _add_list_options(parser: argparse.ArgumentParser) -> None:
    """Also of `cache` itself, so that `list` may be left out: what is not given is then as it is there."""
    add = parser.add_argument
    add("--limit", metavar="N", type=positive, default=argparse.SUPPRESS,
        help=tr_n("最多幾筆 (預設 {count})", _LISTED))  # fmt: skip
    add("--order", choices=tuple(_ORDERS), default=argparse.SUPPRESS, help=tr("最新的或命中最多的在前"))
    _add_json(parser)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=tr("輸出 JSON"))

"""`history`: the runs of before, for scripts and pipes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from core.clock import SYSTEM_CLOCK
from core.errors import UsageError
from core.history import StoredItem, StoredRun
from core.language import marked, tr, tr_n
from optimizers.run_history import RunHistory
from utils.history_text import compare_text, history_table, run_summary_text
from utils.rendering import answer_text
from utils.run_export import RUN_FORMATS, check_run_export, export_run
from workflows.ask_command import ask_all
from workflows.command_line import CommandLine
from workflows.exit_codes import ERROR, OK
from workflows.parser import Parser, completes_files, days, positive
from workflows.parts import ASK_ABOVE, open_history
from workflows.stored_runs import head_of_run, items_of_run, run_object

__all__ = ["HISTORY_ABOUT", "HISTORY_OFF", "add_history_options", "history_command", "with_history"]

HISTORY_ABOUT: Final = marked("""\
以前的執行。每次執行有一個編號 (選單 10 顯示的也是它), 不會改變, 刪除後也不會給別的執行。

  python main.py history                                列出最新的 20 次
  python main.py history list --search 快取 --limit 50  題目或回答裡有這些字的
  python main.py history show 12                        第 12 次的數字、每個問題與完整的回答
  python main.py history export 12 --out 報告.html
  python main.py history rerun 12 --failed --json       只重問沒有回答的
  python main.py history compare 12 15
  python main.py history delete 12 13 --yes
  python main.py history prune --keep 200               只留最新的 200 次

--json: list、search 每次執行一行; show 第一行是那次執行, 之後每個問題一行; rerun 與 ask 相同; 其他的一個物件。
執行的鍵: id, started (ISO 8601, UTC), title, model, questions, answered, counts, wall_seconds, serial_seconds,
speed_up, service_mean, service_p50, service_p95, prompt_tokens, output_tokens, usd (不知道價格時是 null)
結束代碼: 0 完成, 1 讀寫不了, 2 參數有誤或 HISTORY=off, 3 (rerun) 只有部分有回答, 130 中斷
""")
HISTORY_OFF: Final = marked("歷史紀錄已關閉 (HISTORY=off), 沒有紀錄可用; 設定 HISTORY=on 就會保留之後的執行")
_DAY: Final = 24 * 3600
_LISTED: Final = 20


def add_history_options(parser: argparse.ArgumentParser) -> None:
    _add_list_options(parser)
    parser.set_defaults(json=False, limit=_LISTED, search="")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title=tr("要做什麼"), parser_class=Parser)

    def add(name: str, about: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=tr(about), description=tr(about))

    _add_list_options(add("list", marked("列出執行, 最新的在前 (預設)")))
    search = add("search", marked("列出題目或回答裡有這些字的執行"))
    search.add_argument("text", metavar="TEXT", help=tr("要找的字"))
    _add_list_options(search, search=False)
    _add_json(_add_id(add("show", marked("一次執行的數字、每個問題與完整的回答"))))
    export = _add_json(_add_id(add("export", marked("把一次執行寫成檔案"))))
    formats = ", ".join(RUN_FORMATS)
    out = export.add_argument("--out", metavar="FILE", required=True, help=tr("寫到這個檔案"))
    completes_files(out)
    export.add_argument("--format", choices=tuple(RUN_FORMATS), help=tr("預設由副檔名決定: {formats}", formats=formats))
    export.add_argument("--overwrite", action="store_true", help=tr("輸出檔已存在時覆寫"))
    delete = _add_json(add("delete", marked("刪除執行的紀錄")))
    delete.add_argument("id", metavar="ID", type=positive, nargs="+", help=tr("執行的編號"))
    delete.add_argument("--yes", action="store_true", help=tr("不詢問, 直接刪除"))
    compare = _add_json(add("compare", marked("比較兩次執行的數字")))
    compare.add_argument("id", metavar="ID", type=positive, nargs=2, help=tr("執行的編號"))
    rerun = _add_json(_add_id(add("rerun", marked("把一次執行的問題再問一次"))))
    rerun.add_argument("--failed", action="store_true", help=tr("只重問沒有回答的"))
    rerun.add_argument("--yes", action="store_true", help=tr_n("超過 {count} 個問題也直接執行", ASK_ABOVE))
    prune = _add_json(add("prune", marked("刪除舊的執行, 不另外詢問")))
    which = prune.add_mutually_exclusive_group(required=True)
    which.add_argument("--keep", metavar="N", type=positive, help=tr("只留最新的 N 次"))
    which.add_argument("--older-than", metavar="DAYS", type=days, help=tr("刪除這麼多天以前的; 0 表示全部"))


def history_command(options: argparse.Namespace, line: CommandLine) -> int:
    """Do what the options say with the kept runs. Raises ParallelProcessingError as the menu does."""
    action = _ACTIONS[options.action or "list"]
    return with_history(line, lambda history: action(options, line, history))


def with_history(line: CommandLine, action: Callable[[RunHistory], int]) -> int:
    """The exit code of the action; ERROR where the file made trouble, which is told. Raises UsageError: HISTORY=off."""
    told: list[str] = []
    history = open_history(line.engine.settings, SYSTEM_CLOCK, told.append)
    if not history.enabled:
        raise UsageError(tr(HISTORY_OFF))
    code = action(history)
    for note in told:
        line.warn(note)
    return ERROR if told else code


def _list(options: argparse.Namespace, line: CommandLine, history: RunHistory) -> int:
    search = options.text if options.action == "search" else options.search
    runs = history.runs(options.limit, search=search)
    if options.json:
        for run in runs:
            line.out.write_data(run_object(run))
    elif runs:
        line.out.write_line(history_table(runs, line.out.width))
    else:
        line.notes.write_line(history_table((), line.notes.width))
    return OK


def _show(options: argparse.Namespace, line: CommandLine, history: RunHistory) -> int:
    run = _run(history, options.id)
    if options.json:
        line.out.write_data(run_object(run))
    else:
        line.out.write_line(run_summary_text(run, (), line.out.width) + "\n")
    for item in history.items(run.id):
        if options.json:
            line.out.write_data(_item_object(run, item))
        else:
            line.out.write_line(answer_text(item.number, item.question, item.as_outcome()) + "\n")
    return OK


def _export(options: argparse.Namespace, line: CommandLine, history: RunHistory) -> int:
    run, path = _run(history, options.id), Path(options.out).expanduser()
    check_run_export(path, options.format, overwrite=options.overwrite)
    items = items_of_run(history.items(run.id))
    count = export_run(path, options.format, head_of_run(run), items, overwrite=options.overwrite)
    if options.json:
        line.out.write_data({"id": run.id, "file": str(path), "questions": count})
    line.notes.write_line(tr_n("📄 已寫入 {name} ({count:,} 列)", count, name=path.name))
    return OK


def _delete(options: argparse.Namespace, line: CommandLine, history: RunHistory) -> int:
    numbers = [_run(history, number).id for number in dict.fromkeys(options.id)]
    line.agrees(
        yes=options.yes,
        question=tr_n("要刪除 {count:,} 次執行的紀錄嗎?", len(numbers)),
        refusal=tr("刪除後找不回來, 請加上 --yes 表示同意"),
    )
    gone = [number for number in numbers if history.delete(number)]
    if options.json:
        line.out.write_data({"deleted": gone})
    line.notes.write_line(tr_n("✅ 已刪除 {count:,} 次紀錄", len(gone)))
    return OK


def _compare(options: argparse.Namespace, line: CommandLine, history: RunHistory) -> int:
    before, after = (_run(history, number) for number in options.id)
    if options.json:
        line.out.write_data(_comparison(run_object(before), run_object(after)))
    else:
        line.out.write_line(compare_text(before, after, line.out.width))
    return OK


def _rerun(options: argparse.Namespace, line: CommandLine, history: RunHistory) -> int:
    run = _run(history, options.id)
    items = history.items(run.id)
    questions = [item.question for item in items if not (options.failed and item.as_outcome().answered)]
    if not questions:
        line.notes.write_line(tr("🎉 那次的每個問題都有回答, 沒有需要重問的"))
        return OK
    return ask_all(questions, line, as_json=options.json, yes=options.yes)


def _prune(options: argparse.Namespace, line: CommandLine, history: RunHistory) -> int:
    age = None if options.older_than is None else options.older_than * _DAY
    count = history.prune(keep_runs=options.keep, older_than=age)
    if options.json:
        line.out.write_data({"deleted": count})
    line.notes.write_line(tr_n("✅ 已刪除 {count:,} 次紀錄", count))
    return OK


_ACTIONS: Final[Mapping[str, Callable[[argparse.Namespace, CommandLine, RunHistory], int]]] = {
    "list": _list,
    "search": _list,
    "show": _show,
    "export": _export,
    "delete": _delete,
    "compare": _compare,
    "rerun": _rerun,
    "prune": _prune,
}


def _run(history: RunHistory, number: int) -> StoredRun:
    run = history.run(number)
    if run is None:
        raise UsageError(tr("沒有編號 {id} 的紀錄; python main.py history 會列出有的", id=number))
    return run


def _item_object(run: StoredRun, item: StoredItem) -> dict[str, object]:
    """As a line of `ask --json`, and the number of the run."""
    answered = item.as_outcome().answered
    return {
        "run": run.id,
        "number": item.number,
        "question": item.question,
        "outcome": item.kind.value,
        "answer": item.answer if answered else None,
        "reason": item.reason,
        "model": item.model,
        "source": item.source.value if answered else "",
        "truncated": item.truncated,
        "seconds": round(item.run_seconds, 6),
        "attempts": item.attempts,
        "tokens": item.usage.total_tokens,
    }


def _comparison(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, object]:
    """Both runs, and the second's figures less the first's, where both have them."""
    change = {
        name: round(after[name] - value, 6)  # type: ignore[operator]  # both are numbers, as is checked
        for name, value in before.items()
        if name != "id" and _is_number(value) and _is_number(after[name])
    }
    return {"before": before, "after": after, "change": change}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _add_list_options(parser: argparse.ArgumentParser, *, search: bool = True) -> None:
    """Also of `history` itself, so that `list` may be left out: what is not given is then as it is there."""
    add = parser.add_argument
    add("--limit", metavar="N", type=positive, default=argparse.SUPPRESS,
        help=tr_n("最多幾次 (預設 {count})", _LISTED))  # fmt: skip
    if search:
        add("--search", metavar="TEXT", default=argparse.SUPPRESS, help=tr("只列出題目或回答裡有這些字的"))
    _add_json(parser)


def _add_id(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("id", metavar="ID", type=positive, help=tr("執行的編號"))
    return parser


def _add_json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=tr("輸出 JSON"))
    return parser

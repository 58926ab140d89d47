"""`stats`: what all kept runs come to, for scripts and pipes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from core.clock import SYSTEM_CLOCK
from core.history import HistoryTotals, RunSums
from core.language import marked, tr
from optimizers.run_history import RunHistory
from utils.stats_text import stats_text
from workflows.command_line import CommandLine
from workflows.exit_codes import OK
from workflows.history_command import with_history
from workflows.stored_runs import amount, instant

__all__ = ["STATS_ABOUT", "add_stats_options", "stats_command"]

STATS_ABOUT: Final = marked("""\
至今的執行加起來: 問題與結果、快取命中、tokens、費用 (各模型、最近 14 天)、服務時間, 以及快取省下的。
依據歷史紀錄 (選單 10), 已刪除的不算; 費用依付費方案牌價。

  python main.py stats
  python main.py stats --json | jq .usd

--json 是一個物件: runs, questions, counts, cached, shared, prompt_tokens, output_tokens, usd, unpriced_runs,
service_p50, service_p95, service_count, saved_calls, saved_tokens, saved_usd, unpriced_saved, unknown_saved_runs,
first, last, models (依名稱), days (依日期)
結束代碼: 0 完成, 1 讀不了, 2 參數有誤或 HISTORY=off
""")
_DAYS: Final = 14


def add_stats_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=tr("輸出 JSON"))


def stats_command(options: argparse.Namespace, line: CommandLine) -> int:
    """Write the totals of the history. Raises ParallelProcessingError as the menu does."""
    return with_history(line, lambda history: _write(options, line, history))


def _write(options: argparse.Namespace, line: CommandLine, history: RunHistory) -> int:
    totals = history.totals()
    days = _latest(totals.by_day, datetime.fromtimestamp(SYSTEM_CLOCK.wall(), UTC).astimezone().date())
    if options.json:
        line.out.write_data(_as_object(totals, days))
    else:
        line.out.write_line(stats_text(totals, days, line.out.width))
    return OK


def _latest(by_day: Mapping[date, RunSums], today: date) -> dict[date, RunSums]:
    return {day: sums for day, sums in sorted(by_day.items()) if today - timedelta(days=_DAYS) < day <= today}


def _as_object(totals: HistoryTotals, days: Mapping[date, RunSums]) -> dict[str, object]:
    return {
        **_sums(totals.whole),
        "counts": {kind.value: count for kind, count in totals.counts.items()},
        "cached": totals.cached,
        "shared": totals.shared,
        "service_p50": round(totals.service.p50, 6),
        "service_p95": round(totals.service.p95, 6),
        "service_count": totals.service.tasks,
        "saved_calls": totals.cached + totals.shared,
        "saved_tokens": totals.saved_tokens,
        "saved_usd": amount(totals.saved_money),
        "unpriced_saved": totals.unpriced_saved,
        "unknown_saved_runs": totals.unknown_saved,
        "first": instant(totals.first),
        "last": instant(totals.last),
        "models": {name: _sums(sums) for name, sums in totals.by_model.items()},
        "days": {f"{day}": _sums(sums) for day, sums in days.items()},
    }


def _sums(sums: RunSums) -> dict[str, object]:
    """usd is of the runs that have a price; unpriced_runs counts the others."""
    return {
        "runs": sums.runs,
        "questions": sums.questions,
        "answered": sums.answered,
        "prompt_tokens": sums.prompt_tokens,
        "output_tokens": sums.output_tokens,
        "usd": amount(sums.known_money),
        "unpriced_runs": sums.unpriced_runs,
    }

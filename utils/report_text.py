"""Finished runs → text: the overview, one whole answer, the table of a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.outcome import Answer, AnswerSource, Outcome, OutcomeKind, RunReport
from utils.event_lines import KIND_TITLES, SYMBOLS, reason_text
from utils.neutralise import neutralise
from utils.text_width import cell_width, fit, one_line, pad, preview

__all__ = ["PREVIEW_CHARACTERS", "aggregate_text", "answer_text", "batch_table", "framed"]

PREVIEW_CHARACTERS: Final = 200
_FRAME: Final = "│ "
_MOST_SHOWN: Final = 40
_MOST_FAILED: Final = 20
_MOST_NOT_RUN: Final = 3
_QUESTION_CHARACTERS: Final = 200
_THIN_RULE: Final = "-" * 60
_SOURCES: Final = {AnswerSource.CACHE: "快取", AnswerSource.SHARED: "與相同的問題共用"}


def framed(text: str) -> str:
    """The text with a bar before every line, so that nothing in it can pass for a line of ours."""
    return "\n".join(f"{_FRAME}{line}".rstrip() for line in neutralise(text).split("\n"))


def aggregate_text(
    report: RunReport[Answer],
    questions: Sequence[str],
    cache_stats: Mapping[str, Any],
    *,
    most: int = _MOST_SHOWN,
) -> str:
    """The overview of a run: every question with its outcome, then the figures of this very run.

    questions are in the order of the report's outcomes. Of more than most questions the first ones are shown, then
    the first unanswered ones beyond them, and how many are left. Many that were not run share one line: they have
    one cause.
    """
    pairs = list(zip(range(1, len(questions) + 1), questions, report.outcomes, strict=False))
    skipped = [outcome for outcome in report.outcomes if outcome.kind is OutcomeKind.NOT_RUN]
    if len(skipped) > _MOST_NOT_RUN:
        pairs = [pair for pair in pairs if pair[2].kind is not OutcomeKind.NOT_RUN]
    shown, hidden = pairs[:most], pairs[most:]
    failed = [pair for pair in hidden if not pair[2].answered][:_MOST_FAILED]
    lines = ["📊 並行查詢結果", "=" * 60]
    for number, question, outcome in [*shown, *failed]:
        lines += _item_lines(number, question, outcome)
    if len(hidden) > len(failed):
        lines.append(f"… 另有 {len(hidden) - len(failed):,} 個問題沒有列出, 輸入編號可看每一個的完整回答")
    if len(skipped) > _MOST_NOT_RUN:
        lines.append(f"⏭️ {len(skipped):,} 個問題未執行 - {reason_text(skipped[0])}")
    return "\n".join([*lines, _THIN_RULE, *_summary_lines(report, cache_stats)])


def answer_text(number: int, question: str, outcome: Outcome[Answer]) -> str:
    """One question with its whole answer, framed; or with why there is none."""
    lines = [f"📝 問題 {number:,}: {one_line(question)}"]
    answer = outcome.value
    if not isinstance(answer, Answer):
        return "\n".join([*lines, *_failure_lines(outcome)])
    facts = [f"模型 {one_line(answer.model)}", f"{outcome.run_seconds:.2f} 秒"]
    if answer.source in _SOURCES:
        facts.append(f"來自{_SOURCES[answer.source]}")
    elif answer.usage.total_tokens:
        facts.append(f"{answer.usage.total_tokens:,} tokens")
    lines += [framed(answer.text), f"└ {', '.join(facts)}"]
    if answer.truncated:
        lines.append("⚠️ 回答到達輸出上限, 在此被截斷")
    return "\n".join(lines)


def batch_table(
    rows: Sequence[tuple[str, Outcome[str]]], *, labels: Sequence[str] = (), width: int = 80, most: int = 100
) -> str:
    """The results of a batch as a table, then how often each label came out. Rows beyond most are only counted.

    With labels every one of them is counted, also those that never came out; without, results are free text and
    only outcomes are counted.
    """
    results = [_result_text(outcome) for _, outcome in rows]
    number_columns = max(len(str(len(rows))), 2)
    result_columns = min(max((cell_width(result) for result in results[:most]), default=4), max(width // 2, 8))
    text_columns = max(width - number_columns - result_columns - 4, 8)
    lines = [f"{pad('#', number_columns)}  {pad('結果', result_columns)}  文字", "-" * min(width, 60)]
    for number, ((text, _), result) in enumerate(zip(rows[:most], results, strict=False), 1):
        label = pad(fit(result, result_columns), result_columns)
        lines.append(f"{number:>{number_columns}}  {label}  {fit(text, text_columns)}")
    if len(rows) > most:
        lines.append(f"… 另有 {len(rows) - most:,} 項沒有列出")
    return "\n".join([*lines, "-" * min(width, 60), *_count_lines(rows, labels)])


def _item_lines(number: int, question: str, outcome: Outcome[Answer]) -> list[str]:
    lines = [f"{number}. {preview(one_line(question), _QUESTION_CHARACTERS)}"]
    answer = outcome.value
    if not isinstance(answer, Answer):
        return lines + _failure_lines(outcome)
    source = f" [{_SOURCES[answer.source]}]" if answer.source in _SOURCES else ""
    lines.append(f"   {_FRAME}{preview(one_line(answer.text), PREVIEW_CHARACTERS)}{source}")
    if answer.truncated:
        lines.append("   ⚠️ 回答到達輸出上限, 被截斷")
    return lines


def _failure_lines(outcome: Outcome[Any]) -> list[str]:
    lines = [f"   {SYMBOLS[outcome.kind]} {reason_text(outcome) or KIND_TITLES[outcome.kind]}"]
    if not outcome.advice or outcome.kind is OutcomeKind.NOT_RUN:  # the one that stopped the run has the advice
        return lines
    return [*lines, f"   💡 {one_line(outcome.advice)}"]


def _summary_lines(report: RunReport[Answer], cache_stats: Mapping[str, Any]) -> list[str]:
    total, counts = len(report.outcomes), report.counts  # each look at a report adds up all outcomes again
    answered, serial, longest = counts[OutcomeKind.ANSWERED], report.serial_seconds, report.longest_seconds
    others = [f"{name} {counts[kind]:,}" for kind, name in KIND_TITLES.items() if counts[kind]]
    lines = [
        f"✅ 成功: {answered:,}/{total:,}" + ("" if answered == total else f" ({', '.join(others)})"),
        f"⏱️ 總時間: {report.wall_seconds:.2f} 秒",
        f"⏱️ 平均每個查詢: {report.mean_seconds:.2f} 秒",
        f"💾 快取命中率: {cache_stats.get('hit_rate', 0.0):.1%}",
    ]
    if answered and serial > 0 and report.wall_seconds > 0:
        lines.append(
            f"⚡ 加速: {serial / report.wall_seconds:.2f} 倍 (依序需 {serial:.2f} 秒 ÷ 並行 "
            f"{report.wall_seconds:.2f} 秒; 上限 {serial / longest:.2f} 倍, 取決於最慢的 {longest:.2f} 秒)"
        )
    return lines


def _result_text(outcome: Outcome[str]) -> str:
    if isinstance(outcome.value, str):
        return one_line(outcome.value)
    return f"{SYMBOLS[outcome.kind]} {reason_text(outcome) or KIND_TITLES[outcome.kind]}"


def _count_lines(rows: Sequence[tuple[str, Outcome[str]]], labels: Sequence[str]) -> list[str]:
    values = Counter(outcome.value for _, outcome in rows if isinstance(outcome.value, str))
    kinds = Counter(outcome.kind for _, outcome in rows)
    lines = [f"{label}: {values[label]:,}" for label in labels]
    lines += [f"{KIND_TITLES[kind]}: {kinds[kind]:,}" for kind in OutcomeKind if kinds[kind]]
    return [*lines, f"📊 批次處理完成: {kinds[OutcomeKind.ANSWERED]:,}/{len(rows):,} 成功"]

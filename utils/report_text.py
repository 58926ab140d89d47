"""Finished runs → text: the overview, one whole answer, the table of a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from core.language import marked, tr, tr_n
from core.outcome import Answer, AnswerSource, Outcome, OutcomeKind, RunReport
from utils.event_lines import KIND_TITLES, SYMBOLS, reason_text
from utils.neutralise import neutralise
from utils.text_width import cell_width, fit, one_line, pad, preview

__all__ = [
    "PREVIEW_CHARACTERS", "aggregate_text", "answer_foot", "answer_head", "answer_text", "batch_table",
    "failure_lines", "framed", "question_line",
]  # fmt: skip

PREVIEW_CHARACTERS: Final = 200
_FRAME: Final = "│ "
_MOST_SHOWN: Final = 40
_MOST_FAILED: Final = 20
_MOST_NOT_RUN: Final = 3
_QUESTION_CHARACTERS: Final = 200
_RULE: Final = 60
_PREVIEW_ROWS: Final = 3
_SOURCES: Final = {AnswerSource.CACHE: marked("快取"), AnswerSource.SHARED: marked("與相同的問題共用")}
_FROM: Final = {AnswerSource.CACHE: marked("來自快取"), AnswerSource.SHARED: marked("來自與相同的問題共用")}


def framed(text: str) -> str:
    """The text with a bar before every line, so that nothing in it can pass for a line of ours."""
    return "\n".join(f"{_FRAME}{line}".rstrip() for line in neutralise(text).split("\n"))


def aggregate_text(
    report: RunReport[Answer],
    questions: Sequence[str],
    cache_stats: Mapping[str, Any],
    *,
    most: int = _MOST_SHOWN,
    columns: int | None = None,
) -> str:
    """The overview of a run: every question with its outcome, then the figures of this very run.

    questions are in the order of the report's outcomes. Of more than most questions the first ones are shown, then
    the first unanswered ones beyond them, and how many are left. Many that were not run share one line: they have
    one cause. A preview has 200 characters. With columns, those of the screen it is for, also three of
    its lines at most, and beside it is the time.
    """
    pairs = list(zip(range(1, len(questions) + 1), questions, report.outcomes, strict=False))
    skipped = [outcome for outcome in report.outcomes if outcome.kind is OutcomeKind.NOT_RUN]
    if len(skipped) > _MOST_NOT_RUN:
        pairs = [pair for pair in pairs if pair[2].kind is not OutcomeKind.NOT_RUN]
    shown, hidden = pairs[:most], pairs[most:]
    failed = [pair for pair in hidden if not pair[2].answered][:_MOST_FAILED]
    rule = _RULE if columns is None else min(columns, _RULE)
    lines = [tr("📊 並行查詢結果"), "=" * rule]
    for number, question, outcome in [*shown, *failed]:
        lines += _item_lines(number, question, outcome, columns)
    if len(hidden) > len(failed):
        left = len(hidden) - len(failed)
        lines.append(tr_n("… 另有 {count:,} 個問題沒有列出, 輸入編號可看每一個的完整回答", left))
    if len(skipped) > _MOST_NOT_RUN:
        why = reason_text(skipped[0])
        lines.append(tr_n("⏭️ {count:,} 個問題未執行 - {reason}", len(skipped), reason=why))
    return "\n".join([*lines, "-" * rule, *_summary_lines(report, cache_stats)])


def answer_text(number: int, question: str, outcome: Outcome[Answer]) -> str:
    """One question with its whole answer, framed; or with why there is none."""
    head, answer = answer_head(number, question), outcome.value
    body = [framed(answer.text)] if isinstance(answer, Answer) else []
    return "\n".join([head, *body, *answer_foot(outcome)])


def answer_head(number: int, question: str) -> str:
    """The line above an answer."""
    return tr("📝 問題 {number:,}: {question}", number=number, question=one_line(question))


def answer_foot(outcome: Outcome[Answer]) -> list[str]:
    """The lines below an answer: where it is from; or why there is none."""
    answer = outcome.value
    if not isinstance(answer, Answer):
        return failure_lines(outcome)
    facts = [tr("模型 {model}", model=one_line(answer.model)), tr("{seconds:.2f} 秒", seconds=outcome.run_seconds)]
    if answer.source in _FROM:
        facts.append(tr(_FROM[answer.source]))
    elif answer.usage.total_tokens:
        facts.append(f"{answer.usage.total_tokens:,} tokens")
    lines = [f"└ {', '.join(facts)}"]
    return [*lines, tr("⚠️ 回答到達輸出上限, 在此被截斷")] if answer.truncated else lines


def question_line(number: int, question: str) -> str:
    """A question in a list."""
    return f"{number}. {preview(one_line(question), _QUESTION_CHARACTERS)}"


def failure_lines(outcome: Outcome[Any]) -> list[str]:
    """Why there is no answer, and what to do."""
    lines = [f"   {SYMBOLS[outcome.kind]} {reason_text(outcome) or tr(KIND_TITLES[outcome.kind])}"]
    if not outcome.advice or outcome.kind is OutcomeKind.NOT_RUN:  # the one that stopped the run has the advice
        return lines
    return [*lines, f"   💡 {one_line(outcome.advice)}"]


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
    head = f"{pad('#', number_columns)}  {pad(fit(tr('結果'), result_columns), result_columns)}  {tr('文字')}"
    lines = [head, "-" * min(width, 60)]
    for number, ((text, _), result) in enumerate(zip(rows[:most], results, strict=False), 1):
        label = pad(fit(result, result_columns), result_columns)
        lines.append(f"{number:>{number_columns}}  {label}  {fit(text, text_columns)}")
    if len(rows) > most:
        lines.append(tr_n("… 另有 {count:,} 項沒有列出", len(rows) - most))
    return "\n".join([*lines, "-" * min(width, 60), *_count_lines(rows, labels)])


def _item_lines(number: int, question: str, outcome: Outcome[Answer], columns: int | None) -> list[str]:
    lines = [question_line(number, question)]
    answer = outcome.value
    if not isinstance(answer, Answer):
        return lines + failure_lines(outcome)
    lines.append(_preview_line(answer, outcome.run_seconds, columns))
    if answer.truncated:
        lines.append(tr("   ⚠️ 回答到達輸出上限, 被截斷"))
    return lines


def _preview_line(answer: Answer, seconds: float, columns: int | None) -> str:
    head = f"   {_FRAME}"
    facts = [tr(_SOURCES[answer.source])] if answer.source in _SOURCES else []
    if columns is not None and answer.source is not AnswerSource.CACHE:
        facts.append(tr("{seconds:.2f} 秒", seconds=seconds))
    mark = f" [{', '.join(facts)}]" if facts else ""
    # The beginning is all that is looked at: an answer may have megabytes.
    text = preview(one_line(answer.text[: PREVIEW_CHARACTERS * 50]), PREVIEW_CHARACTERS)
    if columns is not None:
        text = fit(text, _PREVIEW_ROWS * (columns - cell_width(head) - 1) - cell_width(mark))
    return f"{head}{text}{mark}"


def _summary_lines(report: RunReport[Answer], cache_stats: Mapping[str, Any]) -> list[str]:
    total, counts = len(report.outcomes), report.counts  # each look at a report adds up all outcomes again
    answered = counts[OutcomeKind.ANSWERED]
    others = [f"{tr(name)} {counts[kind]:,}" for kind, name in KIND_TITLES.items() if counts[kind]]
    succeeded = tr("✅ 成功: {answered:,}/{total:,}", answered=answered, total=total)
    lines = [
        succeeded if answered == total else f"{succeeded} ({', '.join(others)})",
        tr("⏱️ 總時間: {seconds:.2f} 秒", seconds=report.wall_seconds),
        tr("⏱️ 平均每個查詢: {seconds:.2f} 秒", seconds=report.mean_seconds),
        tr("💾 快取命中率: {rate:.1%}", rate=cache_stats.get("hit_rate", 0.0)),
    ]
    return lines + _speedup_lines(report) if answered else lines


def _speedup_lines(report: RunReport[Answer]) -> list[str]:
    serial, wall, longest = report.serial_seconds, report.wall_seconds, report.longest_seconds
    if serial <= 0 or wall <= 0:
        return []
    return [
        tr(
            "⚡ 加速: {speedup:.2f} 倍 (依序需 {serial:.2f} 秒 ÷ 並行 {wall:.2f} 秒; "
            "上限 {limit:.2f} 倍, 取決於最慢的 {longest:.2f} 秒)",
            speedup=serial / wall,
            serial=serial,
            wall=wall,
            limit=serial / longest,
            longest=longest,
        )
    ]


def _result_text(outcome: Outcome[str]) -> str:
    if isinstance(outcome.value, str):
        return one_line(outcome.value)
    return f"{SYMBOLS[outcome.kind]} {reason_text(outcome) or tr(KIND_TITLES[outcome.kind])}"


def _count_lines(rows: Sequence[tuple[str, Outcome[str]]], labels: Sequence[str]) -> list[str]:
    values = Counter(outcome.value for _, outcome in rows if isinstance(outcome.value, str))
    kinds = Counter(outcome.kind for _, outcome in rows)
    lines = [f"{label}: {values[label]:,}" for label in labels]
    lines += [f"{tr(KIND_TITLES[kind])}: {kinds[kind]:,}" for kind in OutcomeKind if kinds[kind]]
    answered, total = kinds[OutcomeKind.ANSWERED], len(rows)
    return [*lines, tr("📊 批次處理完成: {answered:,}/{total:,} 成功", answered=answered, total=total)]

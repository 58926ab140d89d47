"""Lists to choose an answer from: the failed questions, and what a search found."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from core.language import tr, tr_n
from core.outcome import Answer, Outcome, RunReport
from utils.report_text import failure_lines, question_line
from utils.text_width import fit, fit_end, one_line

__all__ = ["failed_text", "found_text"]

_MOST_SHOWN: Final = 50
_HEAD: Final = "   │ "
_AROUND: Final = 400  # characters looked at on each side of a hit
_BEFORE: Final = 3  # at most a third of the line is what stands before the hit


def failed_text(questions: Sequence[str], report: RunReport[Answer]) -> str:
    """The questions without an answer, each with why and what to do."""
    failed = [
        (number, question, outcome)
        for number, (question, outcome) in enumerate(zip(questions, report.outcomes, strict=True), 1)
        if not outcome.answered
    ]
    if not failed:
        return tr("🎉 每個問題都有回答")
    lines = [tr_n("沒有回答的有 {count:,} 個問題:", len(failed))]
    for number, question, outcome in failed[:_MOST_SHOWN]:
        lines += [question_line(number, question), *failure_lines(outcome)]
    return "\n".join(lines + _rest_lines(len(failed)))


def found_text(word: str, questions: Sequence[str], report: RunReport[Answer], *, columns: int) -> str:
    """The questions and answers in which the word stands, each with a piece around its first place.

    Upper and lower case are one, and so are full-width and plain letters of the word.
    """
    pattern = re.compile("|".join(map(re.escape, dict.fromkeys([word, _plain(word), _wide(word)]))), re.IGNORECASE)
    found = []
    for number, (question, outcome) in enumerate(zip(questions, report.outcomes, strict=True), 1):
        lines = _hit_lines(pattern, number, question, outcome, columns)
        if lines:
            found.append(lines)
    shown = one_line(word)
    if not found:
        return tr("🔍 沒有問題或回答提到 {word}", word=shown)
    head = tr_n("🔍 {count:,} 個問題或其回答提到 {word}:", len(found), word=shown)
    return "\n".join([head, *(line for lines in found[:_MOST_SHOWN] for line in lines), *_rest_lines(len(found))])


def _hit_lines(
    pattern: re.Pattern[str], number: int, question: str, outcome: Outcome[Answer], columns: int
) -> list[str]:
    asked = pattern.search(question)
    told = pattern.search(outcome.value.text) if isinstance(outcome.value, Answer) else None
    if not asked and not told:
        return []
    lines = [f"{number}. {_around(asked, columns - 10) if asked else fit(question, columns - 10)}"]
    if told:
        lines.append(_HEAD + _around(told, columns - len(_HEAD)))
    return lines


def _around(hit: re.Match[str], columns: int) -> str:
    """The hit with what stands beside it, on one line of at most that many columns."""
    text, start = hit.string, hit.start()
    before = text[max(start - _AROUND, 0) : start]
    space = " " if before[-1:].isspace() else ""
    before = fit_end(before, columns // _BEFORE)
    return fit(f"{before}{space}{text[start : start + _AROUND]}", columns)


def _rest_lines(count: int) -> list[str]:
    return [tr_n("… 另有 {count:,} 個問題沒有列出", count - _MOST_SHOWN)] if count > _MOST_SHOWN else []


def _plain(word: str) -> str:
    return unicodedata.normalize("NFKC", word)


def _wide(word: str) -> str:
    return "".join(chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else each for each in _plain(word))

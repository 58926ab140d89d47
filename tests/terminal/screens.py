"""A visit to every screen of the program, and the screens it showed."""

from __future__ import annotations

import gettext
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core.language import DOMAIN, LOCALE
from tests.program import MAIN, environment
from tests.terminal.menu import all_lines, is_given_back
from tests.terminal.session import Session
from utils.text_width import cell_width

__all__ = ["Shown", "aligned", "commands", "fields", "in_language", "prompts_in", "visit"]

_EXPORTS: Final = ".md .html .json .jsonl .csv .svg .trace.json"
_PREVIEW: Final = ("Enter 執行", "e 編輯", "s 改為每段一題", "n 保留編號", "d 去掉重複", "q 取消")
_PROMPTS: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "menu": ("請選擇 (1-{most}): ", {"most": 11}),
    "sets": ("選擇測試集 (1-{most}): ", {"most": 3}),
    "read": ("輸入題號看完整回答, r 重問失敗的, e 匯出 (Enter 返回): ", {}),
    "export": ("匯出檔名 ({suffixes}; 按 Enter 略過): ", {"suffixes": _EXPORTS}),
    "save": ("另存檔名 ({suffixes}; 按 Enter 略過): ", {"suffixes": ".md .txt"}),
    "choice": ("選擇 (直接按 Enter 返回選單): ", {}),
    "prune": ("保留最新的幾次? 或輸入 30d, 刪除 30 天以前的 (Enter 取消): ", {}),
    "limits": ("選擇 (1-5, 直接按 Enter 返回選單): ", {}),
    "tiers": ("選擇 (1-{last}, 直接按 Enter 不套用): ", {"last": 4}),
    "value": ("新的值 (直接按 Enter 不改): ", {}),
    "analysis": ("選擇分析類型 (1-{most}): ", {"most": 5}),
    "file": ("檔案 (TXT/CSV/TSV/JSONL), 或按 Enter 改為貼上: ", {}),
    "table": ("匯出檔名 ({suffixes}; 按 Enter 略過): ", {"suffixes": ".jsonl .csv .md .html"}),
}
# What is typed, at which prompt the program asks next, and what the lines in between are called.
_SHORT: Final = (
    ("1", "sets", "sets"), ("1", "read", "run"), ("1", "read", "answer"), ("", "menu", ""),
    ("11", "choice", "settings"), ("7", "value", "setting"), ("", "choice", ""), ("", "menu", ""),
)  # fmt: skip
_STEPS: Final = (
    ("1", "sets", "sets"), ("1", "read", "run"), ("1", "read", "answer"), ("?", "read", "reading help"),
    ("f", "read", "failed"), ("/Python", "read", "found"), ("m", "read", "turned"), ("s", "save", ""),
    ("one.md", "read", "saved"), ("e", "export", ""), ("run.csv", "read", "exported"), ("", "menu", ""),
    ("2", "first", "entry"), ("", "menu", "nothing entered"), ("1", "sets", ""), ("2", "read", "run 2"),
    ("", "menu", ""), ("8", "read", ""), ("99", "read", "no such number"), ("", "menu", ""),
    ("3", "choice", "cache"), ("1", "choice", "cached"), ("p 1", "choice", "pinned"), ("", "menu", ""),
    ("4", "menu", "performance"),
    ("7", "analysis", "analyses"), ("1", "file", ""), ("texts.txt", "table", "batch"), ("", "menu", ""),
    ("9", "limits", "limits"), ("4", "tiers", "tiers"), ("", "limits", ""), ("", "menu", ""),
    ("10", "choice", "history"), ("1", "read", "reopened"), ("", "choice", ""), ("c 1 2", "choice", "compared"),
    ("p", "prune", ""), ("", "choice", ""), ("", "menu", ""),
    ("11", "choice", "settings"), ("7", "value", "setting"), ("0", "value", "refused"), ("6", "choice", "changed"),
    ("d", "choice", "doctor"), ("", "menu", ""), ("nonsense", "menu", "invalid"),
)  # fmt: skip


@dataclass(slots=True)
class Shown:
    """What a visit showed, by the screen's name, and how the terminal was left."""

    columns: int
    language: str
    home: Path
    screens: dict[str, list[str]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    wraps: list[str] = field(default_factory=list)
    code: int = -1
    given_back: bool = False


def in_language(language: str, message: str) -> str:
    """The message as the program shows it in that language."""
    return gettext.translation(DOMAIN, LOCALE, languages=[language], fallback=language == "zh_TW").gettext(message)


def prompts_in(language: str) -> dict[str, str]:
    """What the program asks, by a short name."""
    found = {name: in_language(language, text).format(**values) for name, (text, values) in _PROMPTS.items()}
    preview = ", ".join(in_language(language, choice) for choice in _PREVIEW)
    return {**found, "first": "1>", "more": "4>", "preview": f"{preview}:"}


def visit(home: Path, columns: int, language: str, *, short: bool = False) -> Shown:
    """Every entry of the menu from a fresh start, with one question in the first set that is never answered.

    A short one sees the menu, a run with one of its answers, and the settings.
    """
    prompts = prompts_in(language)
    (home / "texts.txt").write_text("good\nbad\nneither\nquite good\n")
    shown = Shown(columns, language, home)
    extra = {"OFFLINE_FAULTS": "blocked@match:REST", "OFFLINE_SCALE": "0.02", "NO_PROXY": "*"}
    session = Session(
        [sys.executable, str(MAIN), "--lang", language],
        environ=environment(home, extra), columns=columns, rows=50, cwd=home,
    )  # fmt: skip
    try:
        session.wait_for_prompt(prompts["menu"])
        marks = {"menu": (0, session.row)}
        for typed, prompt, name in _SHORT if short else _STEPS:
            before = session.row
            session.answer(typed, prompts[prompt])
            if name:
                marks[name] = (before + 1, session.row)
        if not short:
            marks["preview"] = _preview(session, prompts)
        session.enter("6")
        shown.code = session.wait_for_exit()
        shown.given_back = is_given_back(session)
        shown.lines, shown.wraps = all_lines(session), list(session.wraps)
        shown.screens = {name: shown.lines[start:end] for name, (start, end) in marks.items()}
    finally:
        session.close()
    return shown


def _preview(session: Session, prompts: dict[str, str]) -> tuple[int, int]:
    """Three pasted questions, numbered, two of them the same; the lines that show them."""
    session.answer("2", prompts["first"])
    before = session.row
    session.paste("1. Python\n2. SQL\n3. SQL\n")
    session.answer("", prompts["more"])
    session.answer("", prompts["preview"])
    lines = before + 1, session.row
    session.answer("q", prompts["menu"])
    return lines


_DRIVER: Final = """\
import contextlib, sys
import main
for line in sys.argv[2:]:
    print("$$", line, flush=True)
    with contextlib.suppress(SystemExit):
        main.main(["--lang", sys.argv[1], *line.split()])
"""


def commands(home: Path, columns: int, language: str, lines: Sequence[str]) -> dict[str, list[str]]:
    """What each command shows on a terminal, by its command line; all in one process."""
    session = Session(
        [sys.executable, "-c", _DRIVER, language, *lines], environ=environment(home), columns=columns, rows=50, cwd=home
    )
    try:
        session.wait_for_exit()
        found, current = {line: list[str]() for line in lines}, list[str]()
        for line in all_lines(session):
            if line.startswith("$$ "):
                current = found[next(each for each in lines if line.split() == ["$$", *each.split()])]
            else:
                current.append(line)
        found["wraps"] = list(session.wraps)
        return found
    finally:
        session.close()


def fields(line: str) -> list[tuple[int, int]]:
    """The cells in which each column's text begins and ends; columns are at least two blanks apart."""
    spans = [match.span() for match in re.finditer(r"\S+(?: \S+)*", line)]
    return [(cell_width(line[:start]), cell_width(line[:end])) for start, end in spans]


def aligned(rows: Iterable[str], head: str | None = None) -> bool:
    """Whether the rows have the same columns: of each, all begin in one cell or all end in one.

    The head may lack a name for the first columns.
    """
    found = [fields(row) for row in rows]
    if not found or len({len(each) for each in found}) != 1:
        return False
    if head is not None:
        names = fields(head)
        missing = len(found[0]) - len(names)
        found = [each[missing:] for each in found] + [names]
        if missing < 0:
            return False
    columns = list(zip(*found, strict=True))
    return bool(columns) and all(len({a for a, _ in each}) == 1 or len({b for _, b in each}) == 1 for each in columns)

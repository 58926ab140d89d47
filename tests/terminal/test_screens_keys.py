"""Ctrl-C and Ctrl-D at every question that an entry of the menu asks, and characters that act on a terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.program import MAIN, environment, fresh_home, run_main
from tests.terminal.menu import all_lines, is_given_back
from tests.terminal.screens import prompts_in
from tests.terminal.session import Session

HINT = "再按一次 Ctrl-C 離開程式"
ASK = prompts_in("zh_TW") | {
    "page": "? 說明):",
    "line": "跳到第幾行:",
    "rpm": "每分鐘請求 (RPM) (0 或直接按 Enter 表示不設定):",
    "yes": "(y/N):",
    "set": "選擇哪一組 (直接按 Enter 返回):",
    "2": "2>",
    "3": "3>",
    "4": "4>",
    "run": "q 取消:",
}
READING = (("10", "choice"), ("1", "read"))
# What is typed from the menu on, each with the question that follows it; the key under test is pressed at the last.
ENTRIES = {
    "cache": (("3", "choice"),),
    "limits": (("9", "limits"),),
    "one limit": (("9", "limits"), ("1", "rpm")),
    "tiers": (("9", "limits"), ("4", "tiers")),
    "history": (("10", "choice"),),
    "deletion": (("10", "choice"), ("d 1", "yes")),
    "pruning": (("10", "choice"), ("p", "prune")),
    "settings": (("11", "choice"),),
    "value": (("11", "choice"), ("7", "value")),
    "earlier sets": (("2", "first"), ("/history", "set")),
    "preview": (("2", "first"), ("甲", "2"), ("乙", "3"), ("丙", "4"), ("", "run")),
    "reading": READING,
    "export": (*READING, ("e", "export")),
    "save": (*READING, ("1", "page"), ("s", "save")),
    "page": (*READING, ("1", "page")),
    "line": (*READING, ("1", "page"), ("g", "line")),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one run in its history and its answer in the cache."""
    home = fresh_home(tmp_path_factory.mktemp("keys"))
    done = run_main(home, "Python 的主要特性\n", arguments=["ask", "-"], environ={"CACHE_STORE": "sqlite"})
    assert done.code == 0
    return home


@contextmanager
def started(home: Path) -> Iterator[Session]:
    """The program at its menu, on a screen too low for the answer."""
    variables = environment(home, {"CACHE_STORE": "sqlite"})
    session = Session([sys.executable, str(MAIN)], environ=variables, columns=60, rows=12, cwd=home)
    try:
        session.wait_for_prompt(ASK["menu"])
        yield session
    finally:
        session.close()


def test_ctrl_c_at_every_question(asked: Path) -> None:
    """It leads back to the menu with a hint; nothing is deleted or run, and what was typed can be had again."""
    with started(asked) as session:
        for steps in ENTRIES.values():
            for typed, prompt in steps:
                session.answer(typed, ASK[prompt])
            session.interrupt()
            session.expect(HINT)
            session.wait_for_prompt(ASK["menu"])
            session.answer("0", ASK["menu"])  # something typed: the next Ctrl-C is a first one again
        session.answer("2", "1>")
        session.send("\x1b[A")
        session.expect_on_screen("1> 甲")
        session.interrupt()
        session.expect(HINT)
        session.wait_for_prompt(ASK["menu"])
        session.answer("10", ASK["choice"])
        assert sum(bool(re.match(r"1 +\d", line)) for line in all_lines(session)[-10:]) == 1, "the run was not deleted"
        session.answer("", ASK["menu"])
        session.interrupt()
        session.expect(HINT)
        session.wait_for_prompt(ASK["menu"])
        session.interrupt()
        assert session.wait_for_exit() == 130
        assert is_given_back(session)
    assert "Traceback" not in session.text
    assert "🚀 開始" not in session.text


def test_ctrl_d_at_every_question(asked: Path) -> None:
    """It is a goodbye with 0; only in the middle of a set of questions it is a no, as the set would be lost.

    One process starts the program again and again, and waits for a line in between.
    """
    again = "import main\nwhile True: print('CODE', main.main([])); input()"
    variables = environment(asked, {"CACHE_STORE": "sqlite", "PYTHONPATH": str(MAIN.parent)})
    session = Session([sys.executable, "-c", again], environ=variables, columns=60, rows=12, cwd=asked)
    try:
        for name, steps in ENTRIES.items():
            session.wait_for_prompt(ASK["menu"])
            for typed, prompt in steps:
                session.answer(typed, ASK[prompt])
            session.send("\x04")
            if name == "preview":
                session.expect("已取消")
            elif name == "earlier sets":
                session.wait_for_prompt(ASK["first"])
                session.send("\x04")
            if name in ("preview", "earlier sets"):
                session.wait_for_prompt(ASK["menu"])
                session.send("\x04")
            session.expect("👋 再見!")
            session.expect("CODE 0")
            assert is_given_back(session), name
            session.send("\n")
    finally:
        session.close()
    assert "Traceback" not in session.text
    assert "🚀 開始" not in session.text


def test_characters_that_act_are_shown_escaped_and_kept(tmp_path: Path) -> None:
    """NUL, a line separator, text turned around and a byte order mark in a pasted question; the export has them all."""
    home = fresh_home(tmp_path)
    odd = "甲\u2028乙\u202e丙\u2066丁\ufeff戊\x00己"
    with started(home) as session:
        session.answer("2", "1>")
        session.paste(odd)
        session.answer("", ASK["2"])
        session.answer("", ASK["read"])
        session.answer("e", ASK["export"])
        session.answer("odd.json", ASK["read"])
        session.answer("", ASK["menu"])
        session.enter("6")
        assert session.wait_for_exit() == 0
    assert not any(character in session.text for character in "\u2028\u202e\u2066\ufeff\x00")
    assert "甲\\u2028乙\\u202e丙" in "".join(all_lines(session))
    (item,) = json.loads((home / "odd.json").read_text(encoding="utf-8"))["items"]
    assert item["question"] == odd

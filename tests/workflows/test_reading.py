"""Reading a run: by number, by search, failed ones, saved, exported, asked again."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.outcome import Answer, OutcomeKind, RunReport
from tests.scripted_console import ScriptedConsole
from tests.utils.run_samples import outcome, report
from utils.interrupts import Interrupts
from utils.neutralise import neutralise
from utils.pager import Pager
from workflows import reading
from workflows.reading import PROMPT, Reading

MARKDOWN = "# 標題\n\n**粗** <b>\n"
HINT = "💡 m 切換原文與 Markdown, s 另存這個回答, ? 說明"
QUESTIONS = ["什麼是並行?", "ＡＰＩ 是什麼?", "慢的"]


def run() -> RunReport[Answer]:
    slow = outcome("c", 0.0, 2.0, kind=OutcomeKind.TIMED_OUT)
    long = outcome("b", 0.0, 2.0, text="長" * 300 + "尾巴")
    return report(outcome("a", 0.0, 1.0, text=MARKDOWN), long, slow, wall=2.0)


class Desk:
    """A person, a run, and what came of the entries."""

    def __init__(self, *entries: str, finished: RunReport[Answer] | None = None, **options: Any) -> None:
        self.console = ScriptedConsole([*entries], **options)
        self.asked: list[Sequence[str]] = []
        pager = Pager(self.console, rows=lambda: 14)
        with Interrupts() as interrupts:
            desk = Reading(self.console, interrupts, again=self.asked.append, model="gemini", pager=pager)
            finished = finished or run()
            desk.show(QUESTIONS[: len(finished.outcomes)], finished)
        assert not self.console.entries

    @property
    def shown(self) -> str:
        return self.console.shown


def test_an_answer_as_it_is() -> None:
    """Without colours the text is framed as it is; what can be done with it is said below."""
    desk = Desk("１", "")
    assert desk.shown == (
        "📝 問題 1: 什麼是並行?\n│ # 標題\n│\n│ **粗** <b>\n│\n└ 模型 gemini, 1.00 秒, 6 tokens\n" + HINT + "\n"
    )
    assert desk.console.prompts == [PROMPT, PROMPT]


def test_an_answer_as_markdown() -> None:
    """With colours it is rendered; m shows the same answer as it is, and back."""
    desk = Desk("1", "m", "M", "", colour=True)
    rendered = "│ \x1b[1m# 標題\x1b[0m\n│\n│ \x1b[1m粗\x1b[0m <b>\n└"
    first, raw, again = desk.shown.split("📝 問題 1: 什麼是並行?\n")[1:]
    assert first.startswith(rendered)
    assert raw.startswith("│ # 標題\n│\n│ **粗** <b>\n│\n└")
    assert again.startswith(rendered)
    assert "🔀 以原文顯示回答\n" in first
    assert "🔀 以 Markdown 排版顯示回答\n" in raw


def test_m_before_any_answer_only_says_so() -> None:
    """The next answer is shown that way, without colours too, its structure still there."""
    desk = Desk("m", "1", "")
    assert "🔀 以 Markdown 排版顯示回答\n📝 問題 1" in desk.shown
    assert "│ # 標題\n│\n│ **粗** <b>\n└" in desk.shown


def test_m_in_the_pager_holds_for_later_answers() -> None:
    """The way chosen there is the way of the next answer."""
    long = report(outcome("a", 0.0, 1.0, text="*a*\n" * 40), outcome("b", 0.0, 1.0, text="# b\n"), wall=1.0)
    desk = Desk("1", "m", "q", "2", "", finished=long, colour=True)
    assert desk.shown.rstrip().endswith(f"│ # b\n│\n└ 模型 gemini, 1.00 秒, 6 tokens\n{HINT}")


def test_a_pipe_gets_the_text_as_it_is() -> None:
    """Whole lines, no hint, no pages, no cut."""
    desk = Desk("2", "", terminal=False)
    assert f"│ {'長' * 300}尾巴\n└ 模型" in desk.shown
    assert HINT not in desk.shown


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_large_text_in_a_pipe_is_the_text(end: str) -> None:
    """Written in parts, it is the same lines."""
    lines = [f"{number} " + "x" * 1000 for number in range(300)]
    text = end.join(lines)
    desk = Desk("1", "", finished=report(outcome("a", 0.0, 1.0, text=text), wall=1.0), terminal=False)
    assert [line[2:] for line in desk.shown.split("\n") if line.startswith("│")] == lines


def test_a_failed_question_says_why() -> None:
    """There is nothing to turn or to save."""
    desk = Desk("3", "s", "")
    assert desk.shown == "📝 問題 3: 慢的\n   ⏰ 伺服器忙碌中\n❌ 請先輸入題號看一個回答\n"


@pytest.mark.parametrize("entry", ["0", "4", "x", "9" * 30, "/", "٣"])
def test_what_is_no_number_of_a_question(entry: str) -> None:
    """The numbers that there are, are told."""
    assert Desk(entry, "").shown == "❌ 沒有這個題號, 請輸入 1 到 3\n"


def test_help() -> None:
    """Every command is explained."""
    shown = Desk("？", "").shown
    assert all(f"  {key}" in shown for key in ("題號", "m", "f", "/字詞", "e"))


def test_only_the_failed_are_listed() -> None:
    """Each with its number and its reason; of a run without any it is said."""
    assert Desk("Ｆ", "").shown == "沒有回答的有 1 個問題:\n3. 慢的\n   ⏰ 伺服器忙碌中\n"
    assert Desk("f", "", finished=report(outcome("a", 0.0, 1.0), wall=1.0)).shown == "🎉 每個問題都有回答\n"


def test_only_the_failed_are_asked_again() -> None:
    """r asks them and leaves; where there are none it says so and stays."""
    assert Desk("r").asked == [["慢的"]]
    desk = Desk("r", "", finished=report(outcome("a", 0.0, 1.0), wall=1.0))
    assert (desk.asked, desk.shown) == ([], "🎉 每個問題都有回答, 沒有需要重問的\n")


def test_searching_questions_and_answers() -> None:
    """The hits with their numbers and what stands around them, cut by cells; widths and cases are one."""
    assert Desk("/api", "").shown == "🔍 1 個問題或其回答提到 api:\n2. ＡＰＩ 是什麼?\n"
    shown = Desk("／尾巴", "", columns=40).shown.split("\n")
    assert shown[1:] == ["2. ＡＰＩ 是什麼?", "   │ …" + "長" * 5 + "尾巴", ""]
    assert Desk("/ 無\x1b ", "").shown == "🔍 沒有問題或回答提到 無␛\n"


def test_saving_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original text to the byte, for nobody else to read, and nothing replaced without a yes."""
    monkeypatch.chdir(tmp_path)
    text = "# 標題\r\n\x1b[2J\u202e尾\n"
    desk = Desk("1", "s", "好", "", finished=report(outcome("a", 0.0, 1.0, text=text), wall=1.0))
    path = tmp_path / "好.md"
    assert path.read_bytes() == text.encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"📄 已寫入 好.md ({len(text.encode())} B)" in desk.shown


def test_saving_from_the_pager(tmp_path: Path) -> None:
    """The whole text, while only its first page is on the screen."""
    text = "行\n" * 500
    path = tmp_path / "a.txt"
    desk = Desk("1", "s", str(path), "q", "", finished=report(outcome("a", 0.0, 1.0, text=text), wall=1.0))
    assert path.read_text() == text
    assert desk.shown.count("│ 行\n") == 10
    assert "📄 已寫入 a.txt (2.0 KB)" in desk.shown


def test_a_very_large_answer_shows_its_beginning() -> None:
    """Ten megabytes are told as such; no more than a page is made of them."""
    huge = report(outcome("a", 0.0, 1.0, text="文字\n" * (10 << 20 >> 3) + "x" * (10 << 20 >> 3)), wall=1.0)
    desk = Desk("1", "q", "", finished=huge, colour=True)
    assert "📄 10.0 MB, 只先顯示開頭; s 另存檔案\n⚠️ 這個回答太長或太深" in desk.shown
    assert desk.shown.count("│ 文字\n") == 10
    assert desk.console.prompts[1].startswith("第 1-10 行, 後面還有")


def test_long_and_not_very_large() -> None:
    """Below a megabyte nothing is said of the size."""
    desk = Desk("1", "q", "", finished=report(outcome("a", 0.0, 1.0, text="x" * (1 << 19)), wall=1.0))
    assert "只先顯示開頭" not in desk.shown


def test_exporting(tmp_path: Path) -> None:
    """e asks for a file and writes the run there."""
    path = tmp_path / "run.md"
    desk = Desk("e", str(path), "")
    assert "什麼是並行?" in path.read_text()
    assert "📄 已寫入 run.md (3 列)" in desk.shown


HOSTILE = st.text(alphabet=st.characters(codec=None), max_size=40) | st.sampled_from(
    ["[a](\x1b]8;;http://x\x07)", "|a\r|\n|-|\n|\x1b[2J|", "```\x1b[31m\n\x9b\n```", "<!-- \x1b -->", "&#27;&#x202e;"]
)


@given(HOSTILE, HOSTILE, st.booleans())
def test_nothing_but_our_styles_goes_out(question: str, answer: str, colour: bool) -> None:
    """Question, answer, search and file name: no control, no C1, no direction override reaches the terminal."""
    console = ScriptedConsole(["1", "m", f"/{answer[:3]}", f"/{question[:1]}", "s", "/nowhere/\x1b[2J.md", "", ""],
                              colour=colour)  # fmt: skip
    finished = report(outcome("a", 0.0, 1.0, text=answer), wall=1.0)
    with Interrupts() as interrupts:
        pager = Pager(console, rows=lambda: 10_000)
        Reading(console, interrupts, again=len, model="m\x1b", pager=pager).show([question], finished)
    shown = re.sub("\x1b\\[(?:0|[1-9](?:;[1-9])*|36)m", "", console.shown)
    assert neutralise(shown) == shown


def test_joined_emoji_and_chinese_are_untouched() -> None:
    """What is one character stays one."""
    text = "👨‍👩‍👧‍👦 中文, क्षि"
    for colour in (False, True):
        desk = Desk("1", "", finished=report(outcome("a", 0.0, 1.0, text=text), wall=1.0), colour=colour)
        assert f"│ {text}\n" in desk.shown


def test_an_output_without_our_symbols_has_plain_ones() -> None:
    """Frames, marks of lists and lines of tables are ASCII there, and no line outgrows the screen by its escapes."""
    text = "- 項\n\n|a|b|\n|-|-|\n|1|2|\n\n---\n" + "字" * 20
    finished = report(outcome("a", 0.0, 1.0, text=text), wall=1.0)
    shown = Desk("m", "1", "", "", "", finished=finished, encoding="ascii", columns=40).shown
    body = [line for line in shown.split("\n") if line.startswith("|")]
    assert body[:5] == ["| - \\u9805", "|", "| a | b", "| -----", "| 1 | 2"]
    assert body[6] == "| " + "-" * 38
    assert "".join(line[2:] for line in body[8:]) == "\\u5b57" * 20
    assert max(map(len, body)) <= 40


def test_deep_markdown_is_said_to_be_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is there all the same, and its lines are known."""
    monkeypatch.setattr(reading, "_COUNTED", 0)
    desk = Desk("1", "", finished=report(outcome("a", 0.0, 1.0, text="> " * 300 + "底"), wall=1.0), colour=True)
    assert "⚠️ 這個回答太長或太深, 無法以 Markdown 排版, 以原文顯示\n│ > >" in desk.shown
    assert "底\n└" in desk.shown

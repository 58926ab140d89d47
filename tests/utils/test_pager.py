"""Text of others in pages, framed, with the person choosing what comes next."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scripted_console import ScriptedConsole
from utils.answer_lines import LazyLines, Line, Lines, RawLines
from utils.markdown_text import markdown_lines
from utils.neutralise import neutralise
from utils.pager import HELP, Pager
from utils.text_width import cell_width

ROWS = 14  # ten lines of text


class Numbered:
    """A text of numbered lines; turn and save are counted."""

    def __init__(self, count: int, *, lazy: bool = False) -> None:
        self.text = "\n".join(f"行 {number}" for number in range(1, count + 1))
        self.lazy = lazy
        self.turns = 0
        self.saves = 0

    def lines(self, columns: int) -> Lines:
        lines = RawLines(self.text, columns)
        if not self.lazy:
            lines.take(0, 1 << 30)
        return lines

    def turn(self) -> None:
        self.turns += 1
        self.text = "轉"

    def save(self) -> None:
        self.saves += 1


def paged(count: int, *entries: str, lazy: bool = False, **options: Any) -> tuple[list[str], list[str]]:
    """The shown lines' numbers in pages, as '1-10', and the prompts, after these entries."""
    console = ScriptedConsole(entries, **options)
    Pager(console, rows=lambda: ROWS).show(Numbered(count, lazy=lazy))
    assert console.entries == []
    numbers = [int(found) for found in re.findall(r"^│ 行 (\d+)$", console.shown, re.MULTILINE)]
    pages: list[str] = []
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1 or place - start == 10:
            pages.append(f"{numbers[start]}-{numbers[place - 1]}")
            start = place
    return pages, console.prompts


def test_what_fits_is_not_paged() -> None:
    """A short text is there without a question."""
    assert paged(10) == (["1-10"], [])


def test_forth_and_back() -> None:
    """Enter goes on and leaves at the end, b goes back; the prompt says where one is."""
    pages, prompts = paged(25, "", "b", "", "", "")
    assert pages == ["1-10", "11-20", "1-10", "11-20", "21-25"]
    assert prompts[0] == "第 1-10 行, 共 25 行 (Enter 下一頁, b 上一頁, g 跳行, s 另存, q 返回): "
    assert prompts[-1] == "第 21-25 行, 共 25 行 (Enter 返回, b 上一頁, g 跳行, s 另存): "


@pytest.mark.parametrize(
    ("entries", "page"),
    [(["g 13"], "13-22"), (["g", "１３"], "13-22"), (["13"], "13-22"), (["g13"], "13-22"), (["0"], "1-10"),
     (["999"], "16-25"), (["Ｇ　２５"], "25-25")],
)  # fmt: skip
def test_jumping_to_a_line(entries: list[str], page: str) -> None:
    """By number, full-width too; beyond the end is the last page."""
    pages, _ = paged(25, *entries, "q")
    assert pages[-1] == page


def test_other_entries_explain_and_ask_again() -> None:
    """Nothing unknown is taken for a command, and the page is not written again."""
    console = ScriptedConsole(["?", "b", "g x", "g", "?", "1" * 40, "s", "q"])
    pages = Numbered(25)
    Pager(console, rows=lambda: ROWS).show(pages)
    assert console.shown.count("│ 行 10\n") == 1
    assert console.shown.count(HELP) == 4
    assert "已經是第一頁" in console.shown
    assert pages.saves == 1


def test_m_shows_the_other_way_from_the_top() -> None:
    """The text is laid out anew and shown from its beginning."""
    console = ScriptedConsole(["", "m"])
    pages = Numbered(25)
    Pager(console, rows=lambda: ROWS).show(pages)
    assert pages.turns == 1
    assert console.shown.endswith("│ 轉\n")


def test_without_a_total_the_prompt_promises_none() -> None:
    """A text that is not laid out whole says that there is more, until its end has been seen."""
    pages, prompts = paged(25, "", "", "", lazy=True, columns=100)
    assert pages == ["1-10", "11-20", "21-25"]
    assert prompts[0].startswith("第 1-10 行, 後面還有 (Enter 下一頁,")
    assert prompts[2].startswith("第 21-25 行, 共 25 行 (Enter 返回,")
    assert paged(25, "999", "q", lazy=True)[0] == ["1-10", "16-25"]


def test_narrow_screens_have_a_short_prompt() -> None:
    """It fits the line, and ? says the rest."""
    _, prompts = paged(25, "q", columns=60)
    assert prompts == ["第 1-10 行, 共 25 行 (? 說明): "]
    _, prompts = paged(25, "q", columns=60, lazy=True)
    assert prompts == ["第 1-10 行, 後面還有 (? 說明): "]


def test_a_pipe_gets_everything_at_once() -> None:
    """Without a person nobody is asked."""
    pages, prompts = paged(1200, terminal=False, lazy=True)
    assert (pages[0], pages[-1], prompts) == ("1-10", "1191-1200", [])


class Resized(ScriptedConsole):
    """A screen that is half as wide after the first question."""

    def ask(self, prompt: str) -> str:
        self.columns = 40
        return super().ask(prompt)


def test_a_resized_screen_lays_out_anew_near_the_same_place() -> None:
    """No line is ever wider than the screen it is written to."""
    console = Resized(["", "q"], columns=80)
    pages = Numbered(1)
    pages.text = "x" * 78 * 30
    Pager(console, rows=lambda: ROWS).show(pages)
    first, second = console.shown.split("\n")[:10], console.shown.split("\n")[10:-1]
    assert {len(line) for line in first} == {80}
    assert {len(line) for line in second} == {40}
    assert console.prompts[1].startswith("第 21-30 行, 共 62 行")


def test_the_height_is_the_screen_s() -> None:
    """Left out, it is asked of the screen; where there is none that can tell, it is 24."""
    console = ScriptedConsole(["q"])
    Pager(console).show(Numbered(25))
    assert console.prompts[0].startswith("第 1-20 行, 共 25 行")


class Whole:
    """Markdown in pages."""

    def __init__(self, text: str) -> None:
        self.text = text

    def lines(self, columns: int) -> Lines:
        found = markdown_lines(self.text, columns, styled=True)
        return RawLines(self.text, columns) if found is None else LazyLines(found)

    def turn(self) -> None: ...

    def save(self) -> None: ...


@given(
    st.lists(
        st.text(alphabet=st.characters(codec=None), max_size=9)
        | st.sampled_from(["**a**", "`b`", "# ", "\n", "&#x202e;", "&NewLine;", "\x1b[31m", "```\n", "|a|\n|-|", "> "]),
        max_size=30,
    ).map("".join),
    st.booleans(),
    st.integers(20, 80),
)
def test_only_our_styles_reach_the_terminal(text: str, colour: bool, columns: int) -> None:
    """Whatever the text: every line is framed and fits, and no control sequence goes out but bold and the like."""
    console = ScriptedConsole([""] * 200, columns=columns, colour=colour)
    Pager(console, rows=lambda: ROWS).show(Whole(text))
    assert colour or "\x1b" not in console.shown
    shown = re.sub("\x1b\\[(?:0|[1-9](?:;[1-9])*|36)m", "", console.shown)
    assert neutralise(shown) == shown
    for line in shown.split("\n")[:-1]:
        assert line.startswith("│")
        assert cell_width(line) <= columns


def test_a_styled_line_is_framed_before_its_style() -> None:
    """The frame has no style, so a line begins with it byte for byte; other lines have no sequence at all."""
    console = ScriptedConsole(colour=True)
    line: Line = (("粗", "bold"), ("\x1b\n\t", ""), ("  ", "bold"))
    Pager(console).write([line, ()])
    Pager(console).write([])
    assert console.shown == "│ \x1b[1m粗\x1b[0m␛␊\n│\n"

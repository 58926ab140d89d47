"""Every screen at many widths and in both languages: nothing too wide, tables straight, English without Chinese."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from tests.program import fresh_home
from tests.terminal.screens import Shown, aligned, commands, fields, in_language, visit
from utils.text_width import cell_width

WIDTHS = [(columns, language) for language in ("zh_TW", "en") for columns in (60, 80, 200)]
EXTREMES = [(20, "zh_TW"), (300, "zh_TW")]
HELP = ("", "ask", "analyze", "history", "history list", "cache", "stats", "doctor", "completion")
LINES = (
    *(f"{name} --help".strip() for name in HELP),
    "history list", "history show 1", "history compare 1 2", "stats", "doctor",
)  # fmt: skip
CHINESE = re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")


@pytest.fixture(scope="module", params=WIDTHS, ids=lambda param: f"{param[1]}-{param[0]}")
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return visit(fresh_home(tmp_path_factory.mktemp("screens")), *request.param)


@pytest.fixture(scope="module")
def said(shown: Shown) -> dict[str, list[str]]:
    """What the commands show in the home that the visit left."""
    return commands(shown.home, shown.columns, shown.language, LINES)


@pytest.fixture(scope="module", params=EXTREMES, ids=lambda param: f"{param[1]}-{param[0]}")
def extreme(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return visit(fresh_home(tmp_path_factory.mktemp("screens")), *request.param, short=True)


def after(lines: Sequence[str], head: str) -> tuple[str, list[str]]:
    """The table's head and the rows under it, as far as they begin with a number; a rule may stand between."""
    at = next(number for number, line in enumerate(lines) if line.startswith(head))
    below = [line for line in lines[at + 1 :] if set(line) != {"-"}]
    rows = []
    for line in below:
        if not re.match(r" *\d", line):
            break
        rows.append(line)
    return lines[at], rows


def check_left_in_order(shown: Shown) -> None:
    assert shown.code == 0
    assert shown.given_back, "the cursor, the echo and the paste mode are as they were"
    assert shown.wraps == [], "the terminal had to wrap what we had not"
    assert max(map(cell_width, shown.lines)) <= shown.columns
    left = [line for line in shown.lines if "━" in line or "進行中" in line or "in flight" in line or "詢問中" in line]
    assert left == [], "something of a run is still there"


def test_no_line_is_wider_than_the_terminal_and_nothing_is_left(shown: Shown) -> None:
    """Of all that can be scrolled back to; after the goodbye the terminal is as it was."""
    check_left_in_order(shown)


def test_every_screen_of_a_command_fits(shown: Shown, said: dict[str, list[str]]) -> None:
    """Help, lists, figures and the doctor's findings; each command says something."""
    assert said["wraps"] == []
    assert [line for line in LINES if not any(said[line])] == []
    assert max(cell_width(line) for lines in said.values() for line in lines) <= shown.columns


def test_tables_of_the_menu_are_straight(shown: Shown) -> None:
    """History, cache and settings: every column begins, or ends, in the same cell in all rows."""
    head, rows = after(shown.screens["history"], "#  ")
    assert len(rows) == 2
    assert aligned(rows, head)
    for name in ("cache", "pinned"):
        head, rows = after(shown.screens[name], "#  ")
        assert len(rows) == 5
        assert aligned(rows, head)
    for name in ("settings", "changed"):
        rows = [line for line in shown.screens[name] if re.match(r" ?\d+\. ", line)]
        title = in_language(shown.language, "金鑰")
        key = next(line for line in shown.screens[name] if line.startswith(f"    {title}  "))
        assert len(rows) == 19
        assert len(fields(key)) == 3
        assert {row[3] for row in rows} == {" "}, "the numbers have a column of their own"
        assert aligned([row[4:] for row in [*rows, key]])


def test_figures_are_straight(shown: Shown) -> None:
    """The comparison, the break-down of time and the timeline."""
    lines = shown.screens["compared"]
    at = next(number for number, line in enumerate(lines) if set(line) == {"-"})
    rows = [line for line in lines[at + 2 : at + 14] if line]
    assert len(rows) == 12
    assert aligned(rows, lines[at + 1])
    lines = shown.screens["performance"]
    at = next(number for number, line in enumerate(lines) if line.split()[-3:] == ["p50", "p95", "p99"])
    assert aligned(lines[at + 1 : at + 5], lines[at])
    bars = [line for line in lines if re.match(r"[123] .*│", line)]
    assert len(bars) == 3
    assert len({tuple(cell_width(bar[: match.start()]) for match in re.finditer("│", bar)) for bar in bars}) == 1


def test_tables_of_the_commands_are_straight(shown: Shown, said: dict[str, list[str]]) -> None:
    """The list of runs and the sums by model and by day."""
    head, rows = after(said["history list"], "#  ")
    assert len(rows) == 2
    assert aligned(rows, head)
    for name in ("模型", "日期"):
        head = f"{in_language(shown.language, name)}  "
        at = next(number for number, line in enumerate(said["stats"]) if line.startswith(head))
        assert aligned([said["stats"][at + 1]], said["stats"][at])


def test_english_has_no_chinese(shown: Shown, said: dict[str, list[str]]) -> None:
    """Not a character of it, as the questions are English too."""
    if shown.language == "en":
        screens = {**shown.screens, **said, "all": shown.lines}
        found = [line for name, lines in screens.items() if name != "batch" for line in lines if CHINESE.search(line)]
        labels = {"正面", "負面", "中性"}  # of an analysis: the model's answers
        assert [line for line in found if not labels & set(line.split())] == []


def test_the_other_language_has_every_screen(shown: Shown) -> None:
    """A screen is there at all: the tests above look at something."""
    assert [name for name, lines in shown.screens.items() if not any(lines)] == []
    assert any("│" in line for line in shown.screens["answer"])
    assert any(line.startswith("│ ") for line in shown.screens["preview"])


def test_very_narrow_and_very_wide(extreme: Shown) -> None:
    """At 20 and 300 columns too every line fits, rules are one line, and the terminal is given back."""
    check_left_in_order(extreme)
    assert not [line for line in extreme.lines if re.fullmatch(r" +[-=]+", line)], "a rule went on in the next line"
    settings = [line for line in extreme.screens["settings"] if re.match(r" ?\d+\. ", line)]
    assert len(settings) == 19

"""Arguments and what is said about them, in the language of the screen."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import pytest

from utils.text_width import cell_width
from workflows.command_line import program_parser, read_options
from workflows.parser import Parser, days, language_asked, positive


def complaint(capsys: pytest.CaptureFixture[str], arguments: Sequence[str], parser: Parser | None = None) -> str:
    """What is said on stderr, without the advice below it."""
    with pytest.raises(SystemExit) as left:
        (program_parser("1") if parser is None else parser).read(arguments)
    assert left.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    said, advice = shown.err.splitlines()
    assert advice.startswith("💡 說明與範例: python main.py")
    return said


def small() -> Parser:
    """A parser with what the program does not have now, so that every complaint of argparse's is seen."""
    parser = Parser(prog="main.py")
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("--red", action="store_true")
    one.add_argument("--blue", action="store_true")
    parser.add_argument("--number", type=int)
    parser.add_argument("--many", nargs="+")
    return parser


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask"], "❌ 少了必要的參數: FILE"),
        (["ask", "a", "b", "c"], "❌ 不認得的參數: b c"),
        (["ask", "a", "--encod", "big5"], "❌ 不認得的參數: --encod big5"),
        (["ask", "--encoding"], "❌ --encoding: 後面要有一個值"),
        (["ask", "a", "--yes=1"], "❌ --yes: 不需要值, 卻給了 '1'"),
        (["history", "show", "x"], "❌ ID: 'x' 不對, 請給 1 以上的整數"),
        (["history", "delete"], "❌ 少了必要的參數: ID"),
        (["history", "prune"], "❌ 這幾個參數需要其中之一: --keep --older-than"),
        (["history", "prune", "--keep", "1", "--older-than", "1"], "❌ --older-than: 不能和 --keep 一起用"),
        (["history", "prune", "--older-than", "nan"], "❌ --older-than: 'nan' 不對, 請給 0 以上的天數"),
        (["--lang", "fr", "stats"], "❌ --lang: 沒有 'fr' 這種語言, 請用 zh_TW 或 en"),
    ],
)
def test_what_is_wrong_with_arguments_is_said_in_chinese(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """One sentence, exit code 2, and where to read more; nothing on stdout."""
    assert complaint(capsys, arguments) == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--red", "--number", "x"], "❌ --number: 'x' 不是這裡能用的值"),
        (["--red", "--many"], "❌ --many: 後面至少要有一個值"),
        ([], "❌ 這幾個參數需要其中之一: --red --blue"),
        (["--red", "--blue"], "❌ --blue: 不能和 --red 一起用"),
    ],
)
def test_every_kind_of_complaint_is_known(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """Also those that no option of ours provokes today."""
    assert complaint(capsys, arguments, small()) == said


def test_an_unknown_command_is_told_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the program and of a command."""
    assert complaint(capsys, ["frobnicate"]).startswith("❌ COMMAND: 沒有 'frobnicate'; 可用的有 ")
    said = complaint(capsys, ["history", "lst"])
    assert said.startswith("❌ ACTION: 沒有 'lst'; 可用的有 ")
    assert "prune" in said


def test_what_argparse_says_and_we_do_not_know_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A later Python's words reach the person all the same."""
    parser = Parser(prog="main.py")
    with pytest.raises(SystemExit):
        parser.error("something\nnew")
    assert capsys.readouterr().err.startswith("❌ something new\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-q", "--plain", "--no-color", "--lang", "en", "--debug", "history", "list"],
        ["history", "-q", "--plain", "list", "--no-color", "--lang=en", "--debug"],
        ["history", "list", "--debug", "--lang", "en", "--no-color", "--plain", "-q"],
    ],
)
def test_common_options_stand_before_and_after_the_command(arguments: list[str]) -> None:
    """In any order, and a command's own defaults undo none of them."""
    options = read_options(arguments, version="1")
    assert (options.command, options.action) == ("history", "list")
    assert options.quiet
    assert options.plain
    assert options.no_color
    assert options.debug
    assert options.lang == "en"


def test_common_options_have_defaults() -> None:
    """Whoever reads them need not ask whether they are there."""
    options = read_options(["ask", "-"], version="1")
    for name in ("quiet", "plain", "no_color", "debug", "json"):
        assert getattr(options, name) is False
    assert options.lang is None


@pytest.mark.parametrize(
    ("arguments", "limit", "search", "as_json"),
    [
        (["history"], 20, "", False),
        (["history", "--limit", "5", "--json"], 5, "", True),
        (["history", "--search", "a", "list"], 20, "a", False),
        (["history", "--json", "list", "--limit", "7"], 7, "", True),
    ],
)
def test_list_may_be_left_out(arguments: list[str], limit: int, search: str, as_json: bool) -> None:
    """Its options count on either side of it."""
    options = read_options(arguments, version="1")
    assert (options.limit, options.search, options.json) == (limit, search, as_json)


@pytest.mark.parametrize(
    ("arguments", "language"),
    [
        (["ask", "--lang", "en"], "en"),
        (["--lang=zh-TW", "ask"], "zh_TW"),
        (["--lang", "zh", "--lang", "en"], "en"),
        (["--lang", "fr"], None),
        (["--lang"], None),
        (["ask", "--", "--lang", "en"], None),
        ([], None),
    ],
)
def test_the_language_is_found_before_the_arguments_are_read(arguments: list[str], language: str | None) -> None:
    """So that help and complaints are in it; a wrong one is left to the parser."""
    assert language_asked(arguments) == language


@pytest.mark.parametrize("command", [[], ["ask"], ["analyze"], ["history"], ["history", "export"], ["cache"], ["stats"],
                                     ["doctor"], ["completion"]])  # fmt: skip
def test_help_has_no_english_of_argparses(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    """Titles, usage and the words beside --help are ours; there is no colour in it."""
    with pytest.raises(SystemExit) as left:
        read_options([*command, "--help"], version="1")
    shown = capsys.readouterr().out
    assert left.value.code == 0
    assert shown.startswith("用法: main.py")
    for word in ("usage:", "options:", "positional arguments:", "show this help", "␛"):
        assert word not in shown


def test_what_options_do_is_wrapped_by_cells(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 60 columns no line of an option is wider, though our characters take two."""
    monkeypatch.setenv("COLUMNS", "60")
    parser = Parser(prog="main.py")
    parser.add_argument("--long", help="很長的說明文字" * 20)
    with pytest.raises(SystemExit):
        parser.read(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_width, lines)) <= 60
    assert sum("很長" in line for line in lines) > 3


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """On stdout, exit code 0."""
    with pytest.raises(SystemExit) as left:
        read_options(["--version"], version="9.8")
    assert (left.value.code, capsys.readouterr().out) == (0, "parallel_processing 9.8\n")


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", "", "１", "1" * 10])
def test_a_number_from_one_on(text: str) -> None:
    """Nothing else is one."""
    assert positive("12") == 12
    with pytest.raises(argparse.ArgumentTypeError):
        positive(text)


@pytest.mark.parametrize("text", ["-1", "inf", "nan", "x", "1e7", "３"])
def test_a_number_of_days(text: str) -> None:
    """From nothing on, fractions too."""
    assert days("0.5") == 0.5
    with pytest.raises(argparse.ArgumentTypeError):
        days(text)

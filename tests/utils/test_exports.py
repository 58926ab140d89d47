"""JSON lines, CSV and Markdown: nothing lost, nothing that acts, and the one way to write them all."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from core.errors import UsageError
from core.outcome import OutcomeKind
from utils.export_rows import ExportField, ExportHead, ExportRow, figures, shortened, value_text
from utils.export_tables import defused, plain, write_csv, write_jsonl, write_markdown
from utils.exports import FORMATS, TargetExistsError, check_export, export, format_of

FIELDS = (ExportField("label", "情感", labels=True), ExportField("score", "信心"))
HEAD = ExportHead("評論", "a.csv", "gemini", "情感分析", FIELDS, created=0.0)
NASTY = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\0=1", "＝1", "＋1", "－1", "＠a", " =1", "\u3000=1",
         "'=1", "''=1", "\ufeff=1", "\u200b@a"]  # fmt: skip
anything = st.one_of(
    st.text(st.characters()),  # lone surrogates too
    st.text("'=+-@＝＋－＠ \t\r\n\0|`\\<&\"a\ufeff\u2028"),
)
savable = st.one_of(st.text(), st.text("'=+-@＝＋－＠ \t\r\n\0\",;a\ufeff\u200b\u2028"))


def row(text: str = "好", values: Mapping[str, object] | None = None, number: int = 1, **rest: Any) -> ExportRow:
    return ExportRow(number, number + 1, text, OutcomeKind.ANSWERED, values or {}, **rest)


def failed(reason: str = "伺服器忙碌中", number: int = 2) -> ExportRow:
    return ExportRow(number, number + 1, "壞", OutcomeKind.FAILED, {}, reason, 3, 1.5)


def jsonl(*rows: ExportRow) -> list[dict[str, Any]]:
    file = io.StringIO()
    assert write_jsonl(file, HEAD, rows) == len(rows)
    encoded = file.getvalue().encode("utf-8", "backslashreplace")  # as files are written
    assert encoded.count(b"\n") == len(encoded.decode().splitlines()) == len(rows)
    return [json.loads(line) for line in encoded.splitlines()]


def table(*rows: ExportRow, head: ExportHead = HEAD) -> list[list[str]]:
    file = io.StringIO(newline="")
    assert write_csv(file, head, rows) == len(rows)
    return list(csv.reader(io.StringIO(file.getvalue(), newline=""), strict=True))


def markdown(*rows: ExportRow, head: ExportHead = HEAD) -> str:
    file = io.StringIO()
    assert write_markdown(file, head, rows) == len(rows)
    return file.getvalue()


@given(anything, anything)
def test_json_lines_lose_nothing(text: str, value: str) -> None:
    """Any text comes back as it was, one line a row, whatever splits lines."""
    values = {"label": value, "score": 0.1 + 0.2, "list": [1, None, True]}
    (back,) = jsonl(row(text, values, seconds=0.125, attempts=2))
    assert (back["text"], back["values"]) == (pair(text), {**values, "label": pair(value)})
    assert (back["number"], back["line"], back["attempts"], back["seconds"]) == (1, 2, 2, 0.125)


def pair(text: str) -> str:
    """Two surrogates that happen to make a pair are one character to every JSON reader."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def test_json_lines_say_what_failed() -> None:
    """A row without an answer has its kind and its reason and no values."""
    assert [(each["kind"], each["values"], each["reason"]) for each in jsonl(row(), failed())] == [
        ("answered", {}, ""), ("failed", {}, "伺服器忙碌中"),
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_json_lines_are_lines_for_every_reader(end: str) -> None:
    """Whatever Unicode or a reader takes for the end of a line is escaped."""
    (back,) = jsonl(row(f"a{end}b"))
    assert back["text"] == f"a{end}b"


def test_json_lines_are_json_whatever_the_numbers() -> None:
    """NaN and infinity, which JSON has not, are written as strings."""
    (back,) = jsonl(row("x\u2028", {"score": float("nan"), "label": [float("-inf"), 1.5]}))
    assert (back["text"], back["values"]) == ("x\u2028", {"score": "NaN", "label": ["-Infinity", 1.5]})


@given(savable, savable, savable)
def test_a_table_parsed_back_and_unmarked_gives_the_text(text: str, value: str, reason: str) -> None:
    """Through csv with a strict reader; no cell begins as a formula does."""
    cells = table(row(text, {"label": value}, reason=reason))[1]
    assert [plain(cells[2]), plain(cells[4]), plain(cells[6])] == [text, value, reason]
    for cell in (cells[2], cells[4], cells[6]):
        assert cell[:1] not in tuple("\t\r\n\0")
        assert cell.lstrip(" \u3000\ufeff\0")[:1] not in tuple("=+-@＝＋－＠")


@pytest.mark.parametrize("text", NASTY)
def test_formulas_are_defused_in_every_text_column(text: str) -> None:
    """Text, value, reason and the title of a column: each is marked, and the mark can be taken off."""
    head = ExportHead("", "", "", "", (ExportField("label", text),), 0.0)
    titles, cells = table(row(text, {"label": text}, reason=text), head=head)
    assert {titles[4], cells[2], cells[4], cells[5]} == {"'" + text} == {defused(text)}
    assert plain("'" + text) == text


@pytest.mark.parametrize("text", ["", "a=1", "'quoted'", "好", "1-1", "'"])
def test_other_texts_are_left_alone(text: str) -> None:
    """What no spreadsheet takes for a formula has no mark to begin with."""
    assert (defused(text), plain(text)) == (text, text)


def test_numbers_stay_numbers_and_texts_are_quoted() -> None:
    """Also a negative one; another separator in a text cannot make cells of it."""
    file = io.StringIO(newline="")
    write_csv(file, HEAD, [row("a;=1\tb", {"label": True, "score": -0.5}, seconds=0.12345, attempts=1)])
    assert file.getvalue().split("\r\n") == [
        '"編號","行","文字","結果","情感","信心","原因","嘗試次數","秒"',
        '1,2,"a;=1\tb","成功","是",-0.5,"",1,0.123',
        "",
    ]


def test_columns_have_different_names() -> None:
    """A field whose title is taken shows its own name as well."""
    fields = (ExportField("text", "文字"), ExportField("a", "標籤"), ExportField("b", "標籤"))
    (titles,) = table(head=ExportHead("", "", "", "", fields, 0.0))
    assert titles[4:7] == ["文字 (text)", "標籤", "標籤 (b)"]


@given(anything, anything, anything)
def test_nothing_breaks_a_markdown_table(text: str, value: str, reason: str) -> None:
    """A parser finds as many rows and cells as there are, and in them the text itself."""
    head = ExportHead(text, value, reason, "", FIELDS, 0.0)
    written = markdown(row(text, {"label": value}, reason=reason), failed(), head=head)
    tokens = MarkdownIt("commonmark").enable("table").parse(written)
    assert [token.type for token in tokens].count("heading_open") == 1
    assert [token.type for token in tokens].count("tr_open") == 3
    assert [token.type for token in tokens].count("td_open") == 12
    assert not {"html_block", "code_block", "fence", "hr"} & {token.type for token in tokens}
    inlines = [token for token in tokens if token.type == "inline"]
    kinds = {child.type for token in inlines for child in token.children or []}
    assert kinds <= {"text"}
    shown = inlines[-12:-6]  # the first row's cells
    content = ["".join(child.content for child in token.children or []) for token in shown]
    assert [content[1], content[3], content[5]] == [shortened(each, 200).strip() for each in (text, value, reason)]


def test_markdown_as_a_whole() -> None:
    """Figures on top, then the table; a long text is cut and says how long it is."""
    assert markdown(row("長" * 300, {"label": "正|面", "score": 0.123456789}), failed()).splitlines() == [
        "# 評論", "", "- 來源: a.csv", "- 分析: 情感分析", "- 模型: gemini", FORMATTED_TIME, "",
        "| 編號 | 文字 | 結果 | 情感 | 信心 | 原因 |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| 1 | {'長' * 200}… (全文 300 字) | 成功 | 正&#124;面 | 0.123457 |  |",
        "| 2 | 壞 | 失敗 |  |  | 伺服器忙碌中 |",
    ]  # fmt: skip


FORMATTED_TIME = f"- 匯出時間: {dict(figures(HEAD))['匯出時間']}"


def test_figures_are_those_that_are_known() -> None:
    """Zero is known, None and nothing are not; controls in names are shown, not sent."""
    head = ExportHead(
        "t", "a\x1b.csv", "m", "情感分析", (), 0.0, {OutcomeKind.ANSWERED: 1200, OutcomeKind.FAILED: 34}, 0, 5, None,
        "US$0.01", 61.0,
    )  # fmt: skip
    known = dict(figures(head))
    assert "匯出時間" in known
    del known["匯出時間"]
    assert known == {
        "來源": "a␛.csv", "分析": "情感分析", "模型": "m", "則數": "1,234 則", "結果": "成功 1,200, 失敗 34",
        "請求次數": "0", "輸入 tokens": "5", "費用": "US$0.01", "花費時間": "2 分",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), ("a", "a"), (True, "是"), (False, "否"), (3, "3"), (0.25, "0.25"), (["甲", "乙"], "甲、乙"),
        ([], ""), ([1, "甲"], '[1, "甲"]'), ({"k": "值"}, '{"k": "值"}'),
    ],
)  # fmt: skip
def test_values_read_as_people_write_them(value: object, text: str) -> None:
    """Lists of texts with the list mark, other structures as JSON."""
    assert value_text(value) == text


@pytest.mark.parametrize(
    ("path", "name", "format_name"),
    [
        ("a.jsonl", None, "jsonl"), ("a.NDJSON", None, "jsonl"), ("a.csv", None, "csv"), ("a.b.md", None, "md"),
        ("a.htm", None, "html"), ("a.txt", "csv", "csv"), ("a.csv", "jsonl", "jsonl"),
    ],
)  # fmt: skip
def test_the_format_is_the_one_named_or_that_of_the_suffix(path: str, name: str | None, format_name: str) -> None:
    """The name wins, case does not matter in a suffix."""
    assert format_of(Path(path), name) is FORMATS[format_name]


@pytest.mark.parametrize(("path", "name"), [("a.xlsx", None), ("csv", None), ("a.csv", "excel"), ("a\x1b.txt", None)])
def test_an_unknown_format_is_said_with_those_there_are(path: str, name: str | None) -> None:
    """Before anything is written."""
    with pytest.raises(UsageError, match="jsonl, csv, md, html") as caught:
        format_of(Path(path), name)
    assert "\x1b" not in caught.value.reason


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_writes_the_rows_in_order_for_this_user_only(tmp_path: Path, name: str) -> None:
    """Counted, whole, 0600, and of any iterator; the same file a second time needs a yes."""
    path = tmp_path / f"out.{name}"
    rows = [row("第一"), failed(), row("第三", number=3)]
    check_export(path)
    assert export(path, None, HEAD, iter(rows)) == 3
    text = path.read_text("utf-8")
    assert text.index("第一") < text.rindex("忙碌") < text.index("第三")
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(TargetExistsError):
        check_export(path)
    assert export(path, name, HEAD, iter([]), overwrite=True) == 0


@pytest.mark.parametrize(("bom", "first"), [(True, b'\xef\xbb\xbf"'), (False, b'"\xe7\xb7\xa8')])
def test_the_byte_order_mark_is_for_spreadsheets(tmp_path: Path, bom: bool, first: bytes) -> None:
    """In CSV unless told otherwise, in other formats never."""
    export(tmp_path / "a.csv", None, HEAD, iter([row()]), bom=bom)
    export(tmp_path / "a.jsonl", None, HEAD, iter([row()]), bom=bom)
    assert (tmp_path / "a.csv").read_bytes()[:4] == first
    assert (tmp_path / "a.jsonl").read_bytes()[:1] == b"{"


def test_rows_that_end_in_an_error_leave_the_old_file(tmp_path: Path) -> None:
    """The error is the rows' own."""
    path = tmp_path / "a.csv"
    path.write_text("old")

    def rows() -> Iterator[ExportRow]:
        yield row()
        raise RuntimeError("the journal is gone")

    with pytest.raises(RuntimeError, match="journal"):
        export(path, None, HEAD, rows(), overwrite=True)
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])


def test_no_row_is_read_before_the_target_is_known_to_be_good(tmp_path: Path) -> None:
    """Input as output, also with a yes."""
    path = tmp_path / "a.csv"
    path.write_text("text\n")
    rows = iter([row()])
    with pytest.raises(UsageError, match="就是輸入檔"):
        export(path, None, HEAD, rows, overwrite=True, inputs=[path])
    assert list(rows) == [row()]


def test_the_registry_cannot_be_changed() -> None:
    """Whoever imports it sees the same formats."""
    with pytest.raises(TypeError):
        FORMATS["x"] = FORMATS["csv"]  # type: ignore[index]  # that it is refused is what is tested

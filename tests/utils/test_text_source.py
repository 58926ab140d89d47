"""Texts out of files: every format, what is wrong in a file told with its line, nothing lost in silence."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import tracemalloc
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.bulk import TextItem
from core.errors import UsageError
from utils import source_file
from utils.source_file import MOST_CHARACTERS, ReadingAccount, file_lines
from utils.text_source import SOURCE_FORMATS, SourceOptions, TextSource

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
some_text = st.text(st.characters(codec="utf-8"), max_size=30)
visible_text = some_text.filter(lambda text: bool(text.strip()))


class Read:
    """A file read to its end: its items, notes and counts."""

    def __init__(self, path: Path, options: SourceOptions = SourceOptions()) -> None:  # noqa: B008 - frozen
        self.notes: list[str] = []
        self.source = TextSource(path, options, on_note=self.notes.append)
        self.items = list(self.source.items())

    @property
    def texts(self) -> list[str]:
        return [item.text for item in self.items]

    @property
    def lines(self) -> list[int]:
        return [item.line for item in self.items]


class _Writer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str, content: str | bytes) -> Path:
        path = self._folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


@pytest.fixture
def write(tmp_path: Path) -> _Writer:
    return _Writer(tmp_path)


def refusal(path: Path, options: SourceOptions = SourceOptions()) -> str:  # noqa: B008 - frozen
    """What a person is told about a file that is not read."""
    with pytest.raises(UsageError) as raised:
        Read(path, options)
    reason = raised.value.reason
    assert "\n" not in reason
    return reason


# lines and blocks


def test_each_line_with_text_is_a_text(write: _Writer) -> None:
    """Blank lines, also of ideographic spaces, are counted and passed over; numbers and physical lines are right."""
    read = Read(write("a.txt", "一\n\n 二 \r\n\u3000\n三"))
    assert read.items == [TextItem(1, "一", 1), TextItem(2, " 二 ", 3), TextItem(3, "三", 5)]
    assert (read.source.blank, read.source.skipped, read.notes) == (2, 0, [])


def test_an_empty_file_has_no_texts(write: _Writer) -> None:
    """Nothing in a file is no error of a file of lines."""
    assert Read(write("a.txt", "")).items == []


def test_blocks_are_parted_by_blank_lines(write: _Writer) -> None:
    """Lines up to a blank one are one text, joined by newlines, known by the line it begins in."""
    read = Read(write("a.txt", "\n一\n二\r\n\n \n三\n\n"), SourceOptions("blocks"))
    assert read.items == [TextItem(1, "一\n二", 2), TextItem(2, "三", 6)]


def test_a_block_at_the_end_needs_no_blank_line(write: _Writer) -> None:
    """The last block ends with the file."""
    assert Read(write("a.txt", "一\n\n二\n三"), SourceOptions("blocks")).texts == ["一", "二\n三"]


def test_what_is_too_long_to_hold_is_refused(write: _Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line, a block or a record without end is an error that names its line, not a full memory."""
    for module in ("source_file", "source_formats"):
        monkeypatch.setattr(f"utils.{module}.MOST_CHARACTERS", 100_000)
    assert "第 2 行" in refusal(write("a.txt", "a\n" + "b" * 200_000))
    assert "第 3 行" in refusal(write("b.txt", "a\n\n" + "b\n" * 60_000), SourceOptions("blocks"))
    assert "第 3 行" in refusal(write("c.csv", 'text\na\n"' + "b\n" * 60_000))


def test_many_records_may_hold_more_than_one_may(write: _Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is each record's and each block's own."""
    for module in ("source_file", "source_formats"):
        monkeypatch.setattr(f"utils.{module}.MOST_CHARACTERS", 1_000)
    assert len(Read(write("a.csv", "text\n" + "abc\n" * 2_000)).texts) == 2_000
    assert len(Read(write("a.txt", "abc\n\n" * 2_000), SourceOptions("blocks")).texts) == 2_000


def test_a_line_of_a_million_characters_is_a_text(write: _Writer) -> None:
    """1 MB in one line, one cell or one JSON string comes through whole."""
    long = "文" * 1_000_000
    assert Read(write("a.txt", long)).texts == [long]
    assert Read(write("a.csv", f'text\n"{long}"\n')).texts == [long]
    assert Read(write("a.jsonl", json.dumps({"text": long}))).texts == [long]


def test_lines_have_no_column(write: _Writer) -> None:
    """A column asked of plain lines is an error, not ignored."""
    assert "沒有欄位" in refusal(write("a.txt", "a"), SourceOptions(column="text"))


# CSV


@in_one_folder
@given(st.lists(st.tuples(some_text, visible_text), max_size=6), st.sampled_from([",", ";", "\t", "|"]))
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_what_the_csv_module_writes_comes_back_equal(
    write: _Writer, end: str, rows: list[tuple[str, str]], delimiter: str
) -> None:
    """Quotes, line ends, formulas, NULs and odd spaces in cells survive; every text has its physical line."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    if end == "\n":  # the writer forgets to quote a CR that such an end follows
        writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["n" * 20_000, "text"])  # so much else that NULs in the cells make it no binary file
    expected = []
    for note, text in rows:
        before = out.getvalue()
        writer.writerow([note, text])
        ends = _line_ends(before) + _line_ends(note)
        expected.append((text, ends + 1))
    read = Read(write("a.csv", out.getvalue()))
    assert [(item.text, item.line) for item in read.items] == expected
    assert (read.source.skipped, read.notes) == (0, [])


def _line_ends(text: str) -> int:
    return len(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@a", "\t=1", "'=1"])
def test_formula_cells_are_read_as_they_are(write: _Writer, formula: str) -> None:
    """Reading adds and removes no mark."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["id", "text"], ["1", formula]])
    assert Read(write("a.csv", out.getvalue())).texts == [formula]


def test_a_column_is_found_by_its_name(write: _Writer) -> None:
    """The name decides, spaces around it and, where nothing else fits, its case aside; the options say it as it is."""
    path = write("a.csv", "id, Review ,文字\n1,a,b\n")
    assert Read(path, SourceOptions(column="review")).texts == ["a"]
    assert Read(path, SourceOptions(column="review")).source.options == SourceOptions("csv", "Review", None)
    assert Read(path).source.options.column == "文字"


def test_the_only_column_needs_no_name(write: _Writer) -> None:
    """A file of one column is read whatever the column is called."""
    read = Read(write("a.csv", "whatever\na\n"))
    assert (read.texts, read.source.options.column) == (["a"], "whatever")


def test_a_column_that_cannot_be_told_is_asked_for(write: _Writer) -> None:
    """Without a usual name, with a wrong one or with two alike, the message lists the columns, and is harmless."""
    path = write("a.csv", "id,\x1b[2Jnote\n1,a\n")
    assert "id、␛[2Jnote" in refusal(path)
    assert "「nope」" in refusal(path, SourceOptions(column="nope"))
    assert "2 欄都叫" in refusal(write("b.csv", "text,text\na,b\n"), SourceOptions(column="text"))
    wide = write("c.csv", ",".join(f"c{n}" for n in range(500)) + "\n")
    assert "等 500 欄" in refusal(wide)
    assert len(refusal(wide)) < 300


def test_an_empty_table_is_refused(write: _Writer) -> None:
    """There is no column in nothing."""
    assert "是空的" in refusal(write("a.csv", "\n\n"))


def test_a_header_that_vanished_leaves_nothing(write: _Writer) -> None:
    """The file is read anew each time: emptied meanwhile it has no texts, another header is an error."""
    path = write("a.csv", "id,text\n1,a\n")
    source = TextSource(path)
    write("a.csv", "text,id\na,1\n")
    assert [item.text for item in source.items()] == ["a"]
    write("a.csv", "")
    assert list(source.items()) == []
    write("a.csv", "id,x\n")
    with pytest.raises(UsageError, match="「text」"):
        list(source.items())


def test_rows_of_another_width_are_told_unless_nothing_is_lost(write: _Writer) -> None:
    """A comma in an unquoted text would cut it: such a row is skipped with a note; empty cells too many are not."""
    read = Read(write("a.csv", "id,text\n1,a,b\n2,c,,\n3\n4,\n\n5,d\n"))
    assert read.texts == ["c", "d"]
    assert (read.source.skipped, read.source.blank) == (2, 2)
    assert read.notes[0].startswith("第 2 行有 3 欄, 標題列有 2 欄")
    assert read.notes[1].startswith("第 4 行有 1 欄")


def test_a_row_may_lack_what_comes_after_its_text(write: _Writer) -> None:
    """A short row that has the text's cell is used."""
    assert Read(write("a.csv", "text,id\na\n")).texts == ["a"]


def test_blank_cells_are_counted(write: _Writer) -> None:
    """Cells of white space are no texts."""
    read = Read(write("a.csv", 'text,id\n"  ",1\na,2\n,3\n'))
    assert (read.texts, read.source.blank) == (["a"], 2)


def test_quotes_that_do_not_match_cost_one_record(write: _Writer) -> None:
    """A record with broken quotes is skipped with its lines; those after it are read."""
    read = Read(write("a.csv", 'text\n"a"b\n"c\nd"e\nf\n'))
    assert read.texts == ["f"]
    assert read.notes == ["第 2 行的引號不成對, 已略過", "第 3 行到第 4 行的引號不成對, 已略過"]
    assert read.source.skipped == 3


def test_an_unclosed_quote_is_an_error(write: _Writer) -> None:
    """It would swallow all texts after it, so it is named by its line and nothing is read on."""
    assert "第 3 行" in refusal(write("a.csv", 'text\na\n"b\nc\nd\n'))


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_header_tells_the_delimiter(write: _Writer, delimiter: str) -> None:
    """What parts the header parts the rows, however many commas the texts have."""
    content = "id/text\n1/a,b\n2/c,d\n".replace("/", delimiter)
    assert Read(write("a.csv", content)).texts == ["a,b", "c,d"]


def test_several_possible_delimiters_are_sniffed(write: _Writer) -> None:
    """Where the header has several, the rows decide."""
    rows = "".join(f"{n};text {n}\n" for n in range(20))
    assert Read(write("a.csv", "id, or so;text\n" + rows)).texts[:2] == ["text 0", "text 1"]


def test_a_sample_that_tells_nothing_means_a_comma(write: _Writer) -> None:
    """Where even the sniffer finds nothing, it is CSV as most write it."""
    path = write("a.csv", "a;b,text\n1\n2,x\n")
    assert Read(path, SourceOptions(column="text")).texts == ["x"]


def test_a_space_after_every_comma_belongs_to_the_comma(write: _Writer) -> None:
    """Hand-written files with ', ' between cells are read, quotes and all."""
    assert Read(write("a.csv", 'id, text\n1, "a, b"\n')).texts == ["a, b"]


def test_tsv_is_parted_by_tabs(write: _Writer) -> None:
    """The suffix, or the format, says tab."""
    assert Read(write("a.tsv", 'id\ttext\n1\t"a\nb"\n2\tc,d\n')).texts == ["a\nb", "c,d"]
    assert Read(write("b.txt", "id\ttext\n1\ta\n"), SourceOptions("tsv")).texts == ["a"]


def test_the_csv_modules_own_bound_is_never_lowered(write: _Writer) -> None:
    """A larger bound that somebody else set stays; a smaller one is raised."""
    before = csv.field_size_limit(MOST_CHARACTERS * 2)
    try:
        Read(write("a.csv", "text\na\n"))
        assert csv.field_size_limit(1000) == MOST_CHARACTERS * 2
        Read(write("a.csv", "text\na\n"))
        assert csv.field_size_limit() == MOST_CHARACTERS
    finally:
        csv.field_size_limit(max(before, MOST_CHARACTERS))


# JSONL


@in_one_folder
@given(st.lists(visible_text, max_size=6), st.booleans(), st.booleans())
def test_json_lines_come_back_equal(write: _Writer, texts: list[str], ascii_only: bool, objects: bool) -> None:
    """Whatever is in the strings, as fields or by themselves, escaped or not."""
    values = [{"id": 1, "text": text} if objects else text for text in texts]
    content = "".join(json.dumps(value, ensure_ascii=ascii_only) + "\n" for value in values)
    read = Read(write("a.jsonl", content))
    assert read.texts == texts
    assert read.lines == list(range(1, len(texts) + 1))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "b"', "不是完整的 JSON"),
        ("b", "不是完整的 JSON"),
        ('{"text": 5}', "的「text」不是文字"),
        ('{"text": {"text": "b"}}', "的「text」不是文字"),
        ('{"other": "b"}', "沒有「text」這個欄位"),
        ('{"text": null}', "沒有「text」這個欄位"),
        ("[1]", "的「text」不是文字"),
        ("[" * 100_000, "不是完整的 JSON"),
        ("9" * 5_000, "不是完整的 JSON"),
    ],
)
def test_a_bad_line_is_told_counted_and_skipped(write: _Writer, line: str, reason: str) -> None:
    """It is never lost in silence and harms no other line."""
    read = Read(write("a.jsonl", f'{{"text": "a"}}\n{line}\n"c"\n'))
    assert read.texts == ["a", "c"]
    assert (read.source.skipped, read.notes) == (1, [f"第 2 行{reason}, 已略過"])


def test_objects_among_strings_are_told(write: _Writer) -> None:
    """Where the first line is a text by itself, no field is guessed for an object."""
    read = Read(write("a.jsonl", '"a"\n{"text": "b"}\n'))
    assert (read.texts, read.notes) == (["a"], ["第 2 行不是 JSON 字串, 已略過"])


def test_a_field_is_found_as_a_column_is(write: _Writer) -> None:
    """The given one, the only one, the usual one, or a message that lists them; empty objects decide nothing."""
    path = write("a.jsonl", 'broken\n{"id": "1", "評論": "a"}\n')
    assert Read(path).texts == ["a"]
    assert Read(path, SourceOptions(column="id")).texts == ["1"]
    assert "id、x" in refusal(write("b.jsonl", '{"id": 1, "x": "a"}\n'))
    assert Read(write("c.jsonl", '{"x": "a"}\n{"x": " "}\n\n')).texts == ["a"]
    assert Read(write("d.jsonl", "{}\n")).source.skipped == 1


def test_halves_of_characters_in_json_become_replacement_characters(write: _Writer) -> None:
    """No lone surrogate passes, even spelled as an escape; it is told with its line."""
    read = Read(write("a.jsonl", '"ok"\n"a\\ud800b"\n'))
    assert read.texts == ["ok", "a�b"]
    assert (read.source.replaced, read.notes) == (1, ["第 2 行有 1 個不成對的代理字元, 已用 � 代替"])


# which format


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("a.TXT", '{"text": "a"}\n', "lines"),
        ("a.CSV", "text\n", "csv"),
        ("a.tab", "text\n", "tsv"),
        ("a.ndjson", '"a"\n', "jsonl"),
        ("a.json", '{"text": "a"}\n', "jsonl"),
        ("a", '{"text": "a"}\n"b"\n', "jsonl"),
        ("a", "id,text\n1,a\n2,b\n", "csv"),
        ("a", "id,text\n1,a\n2,b,c\n", "lines"),
        ("a", "text\na\n", "lines"),
        ("a", "id,text\n", "lines"),
        ("a", "Hello, world\nDear all, hello\n", "lines"),
        ("a", 'id,text\n1,"a"b\n', "csv"),
        ("a.md", "# text\n", "lines"),
        ("a", "", "lines"),
    ],
)
def test_suffix_and_content_tell_the_format(write: _Writer, name: str, content: str, format: str) -> None:
    """The suffix decides; without a known one, what cannot be mistaken for something else."""
    assert Read(write(name, content)).source.options.format == format


def test_a_json_array_is_refused_with_advice(write: _Writer) -> None:
    """One value over many lines cannot be streamed."""
    assert "JSONL" in refusal(write("a.json", '[\n"a"\n]\n'))


def test_a_long_first_line_is_judged_by_its_beginning(write: _Writer) -> None:
    """A head without a line end does not stop the detection."""
    assert Read(write("a", "文" * 100_000)).source.options.format == "lines"


def test_equal_ways_of_reading_have_equal_specs(write: _Writer) -> None:
    """What was left open counts as what it became, so that the same batch is found again."""
    path = write("a.csv", "id,text\n1,a\n")
    spelled = SourceOptions("csv", "TEXT", "utf8")
    assert TextSource(path).options.spec == TextSource(path, spelled).options.spec
    assert TextSource(path).options.spec == '{"column":"text","encoding":null,"format":"csv"}'
    assert TextSource(path, SourceOptions(column="id")).options.spec != TextSource(path).options.spec
    assert set(SOURCE_FORMATS) == {"auto", "lines", "blocks", "csv", "tsv", "jsonl"}


# encodings


@pytest.mark.parametrize("format", ["txt", "csv", "jsonl"])
@pytest.mark.parametrize(
    ("codec", "given_as"),
    [
        ("utf-8", None), ("utf-8-sig", None), ("utf-16", None), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16"), ("utf-16-be", "UTF-16BE"), ("utf-16", "utf-16-le"), ("cp950", "big5"),
        ("cp950", "cp950"), ("gbk", "gb18030"),
    ],
)  # fmt: skip
def test_every_format_is_read_in_every_encoding(
    write: _Writer, format: str, codec: str, given_as: str | None
) -> None:
    """With a mark, with the name given, or with both: no mark stays in the first text."""
    content = {"txt": "你好\n世界\n", "csv": "text\n你好\n世界\n", "jsonl": '"你好"\n"世界"\n'}[format]
    read = Read(write(f"a.{format}", content.encode(codec)), SourceOptions(encoding=given_as))
    assert (read.texts, read.source.replaced) == (["你好", "世界"], 0)


def test_bytes_that_are_no_text_are_replaced_and_told(write: _Writer) -> None:
    """Each with its line number, and the other lines are as they were."""
    read = Read(write("a.txt", b"ok\nb\xffd\n\xe4\xbd\xa0\n\xa4\xa4\xa4\xe5"))
    assert read.texts == ["ok", "b�d", "你", "����"]
    assert read.notes == ["第 2 行有 1 個無法解碼的位元組, 已用 � 代替", "第 4 行有 4 個無法解碼的位元組, 已用 � 代替"]
    assert read.source.replaced == 5


@in_one_folder
@given(st.binary(max_size=200))
@pytest.mark.parametrize("format", ["lines", "blocks", "csv", "jsonl"])
@pytest.mark.parametrize("encoding", [None, "big5", "gb18030", "cp932", "utf-16-le"])
def test_any_bytes_give_encodable_texts_or_a_usage_error(
    write: _Writer, format: str, encoding: str | None, data: bytes
) -> None:
    """Nothing but UsageError is raised, whatever is in the file, and no lone surrogate comes out."""
    options = SourceOptions(format, encoding=encoding)  # type: ignore[arg-type]  # parametrize knows no Literal
    try:
        read = Read(write("any", b"text\n" + data if format == "csv" else data), options)
    except UsageError:
        return
    for number, item in enumerate(read.items, 1):
        item.text.encode("utf-8")
        assert item.text.strip()
        assert item.number == number


@pytest.mark.parametrize(
    "name", ["klingon", "hex", "utf-7", "utf-32", "hz", "idna", "undefined", "unicode_escape", "a\0"]
)
def test_encodings_that_cannot_be_used_are_refused(write: _Writer, name: str) -> None:
    """Unknown ones, and those whose lines cannot be told apart by their bytes."""
    assert "編碼" in refusal(write("a.txt", "a"), SourceOptions(encoding=name))


# notes


def test_notes_are_bounded_and_given_once(write: _Writer) -> None:
    """Twenty, then how many more; a second reading counts again but repeats nothing."""
    read = Read(write("a.jsonl", "x\n" * 50))
    assert len(read.notes) == 21
    assert read.notes[-1] == "另有 30 處類似的問題, 不逐一列出"
    assert read.source.skipped == 50
    assert list(read.source.items()) == []
    assert len(read.notes) == 21
    assert read.source.skipped == 50


def test_a_reading_that_was_left_early_is_told_again(write: _Writer) -> None:
    """Only a complete reading has told everything."""
    notes: list[str] = []
    source = TextSource(write("a.jsonl", 'x\n"a"\n"b"\ny\n'), on_note=notes.append)
    assert next(source.items()).text == "a"
    assert len(notes) == 1
    assert len(list(source.items())) == 2
    assert len(notes) == 3


def test_nobody_needs_to_listen(write: _Writer) -> None:
    """Without on_note what is wrong is counted all the same."""
    source = TextSource(write("a.jsonl", "x\n" * 30))
    assert list(source.items()) == []
    assert source.skipped == 30


# what is no text file


def test_each_reading_begins_at_the_start(write: _Writer) -> None:
    """items() can be called again, and two half-read ones do not disturb each other."""
    source = TextSource(write("a.txt", "a\nb\n"))
    first, second = source.items(), source.items()
    assert [next(first).text, next(second).text, next(first).text, next(second).text] == ["a", "a", "b", "b"]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A missing file, a folder, a name with NUL in it: one sentence that shows the path harmlessly."""
    assert "找不到檔案" in refusal(tmp_path / "no\x1bne.txt")
    assert "no␛ne.txt" in refusal(tmp_path / "no\x1bne.txt")
    assert "資料夾" in refusal(tmp_path)
    assert "讀不了" in refusal(Path("a\0b"))
    (tmp_path / "file").touch()
    assert "找不到檔案" in refusal(tmp_path / "file" / "a.txt")


def test_a_given_name_stands_for_the_path(tmp_path: Path) -> None:
    """Spooled input is called what the person called it."""
    with pytest.raises(UsageError, match=r"^找不到檔案 標準輸入;"):
        TextSource(tmp_path / "input-0123", name="標準輸入")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes as POSIX has them")
def test_a_pipe_is_refused_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes to it, and nothing hangs; nor where it takes a file's place at the last moment."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "管線" in refusal(pipe)
    (tmp_path / "file").touch()
    monkeypatch.setattr(Path, "stat", lambda _: os.stat(tmp_path / "file"))
    assert "檔案" in refusal(pipe)


@pytest.mark.skipif(os.name != "posix", reason="devices as POSIX has them")
def test_a_device_is_refused() -> None:
    """An endless one is never read."""
    assert "裝置" in refusal(Path("/dev/zero"))


def test_what_may_not_be_read_is_refused(write: _Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permissions are named as the reason, also a folder that takes the file's place."""
    path = write("a.txt", "a")
    for error, words in ((PermissionError, "權限"), (IsADirectoryError, "資料夾")):
        monkeypatch.setattr(source_file, "_open_without_waiting", _raising(error()))
        assert words in refusal(path)


def _raising(error: Exception) -> object:
    def open_file(path: str, flags: int) -> int:
        raise error

    return open_file


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.xlsx", b"PK\x03\x04rest"), ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), ("a.pdf", b"%PDF-1.7\n"),
        ("a.gz", b"\x1f\x8b\x08"), ("a.txt", "無 mark".encode("utf-16-le")), ("a.txt", b"\0\1\2\3" * 100),
    ],
)  # fmt: skip
def test_binary_files_are_refused(write: _Writer, name: str, data: bytes) -> None:
    """Spreadsheets are told what to do; so is UTF-16 that does not say so."""
    assert "不是文字檔" in refusal(write(name, data))


def test_a_stray_nul_is_data(write: _Writer) -> None:
    """It comes through where the format can hold it."""
    text = "a" * 100 + "\0b"
    assert Read(write("a.txt", text)).texts == [text]
    assert Read(write("a.csv", f"text\n{text}\n")).texts == [text]
    assert Read(write("a.jsonl", json.dumps(text))).texts == [text]
    assert Read(write("b.jsonl", f'"{text}"\n')).source.skipped == 1


def test_separators_of_unicode_end_no_line(write: _Writer) -> None:
    """U+2028, NEL, form feed and what turns text around stay in the text."""
    text = "a\u2028b\x85c\x0cd\u202ee"
    assert Read(write("a.txt", text)).texts == [text]
    assert Read(write("a.csv", f"text\n{text}\n")).texts == [text]
    assert Read(write("a.jsonl", json.dumps(text, ensure_ascii=False))).texts == [text]


def test_a_disk_that_fails_on_the_way_is_one_sentence() -> None:
    """An error in the middle of a file names the file."""

    class Failing(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError(5, "EIO")

    with pytest.raises(UsageError, match=r"讀不了 a\.txt"):
        list(file_lines(cast("BinaryIO", Failing()), "a.txt", ReadingAccount(), encoding=None))


# streaming


def test_a_reading_can_be_ended_from_outside(write: _Writer) -> None:
    """check is called for every 64 KiB, also where no text comes out of them."""
    source = TextSource(write("a.txt", "\n" * 500_000))
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(source.items(check=check))
    assert source.blank < 200_000


def test_a_reading_left_early_closes_its_file(write: _Writer) -> None:
    """No descriptor stays open behind an iterator that nobody finishes."""
    if not sys.platform.startswith("linux"):
        pytest.skip("counts descriptors as Linux lists them")
    source = TextSource(write("a.txt", "a\nb\n"))
    before = len(os.listdir("/proc/self/fd"))
    items = source.items()
    next(items)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    items.close()  # type: ignore[attr-defined]  # it is a generator, which callers need not know
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("suffix", ["txt", "csv", "jsonl"])
def test_memory_does_not_grow_with_the_file(write: _Writer, suffix: str) -> None:
    """Of 30,000 lines hardly more is held than one chunk's worth."""
    line = {"txt": "短短的評論 {}", "csv": '{},"短短的評論"', "jsonl": '{{"text": "短短的評論 {}"}}'}[suffix]
    head = "id,text\n" if suffix == "csv" else ""
    source = TextSource(write(f"a.{suffix}", head + "".join(line.format(n) + "\n" for n in range(30_000))))
    tracemalloc.start()
    try:
        assert sum(1 for _ in source.items()) == 30_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()

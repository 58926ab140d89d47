"""How texts lie in a file: lines, blocks, CSV cells, JSON lines. Lines go in, (line number, text) pairs come out."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core.errors import UsageError
from core.language import tr, tr_n
from utils.source_file import MOST_CHARACTERS, ReadingAccount
from utils.text_decoding import DecodedLine, clean_surrogates
from utils.text_width import fit

__all__ = [
    "NOT_JSON", "CsvDialect", "CsvRecords", "SourceFormat", "SourceOptions", "block_texts", "column_index",
    "csv_texts", "json_column", "json_value", "jsonl_texts", "line_texts",
]  # fmt: skip

SourceFormat = Literal["auto", "lines", "blocks", "csv", "tsv", "jsonl"]
_KNOWN_COLUMNS: Final = (
    "text", "content", "文字", "內容", "文本", "评论", "評論", "內文", "内容", "留言", "comment", "review", "message",
    "body", "sentence",
)  # fmt: skip
_MOST_LISTED: Final = 12
_LISTED_COLUMNS: Final = 30  # of the terminal, for one column's name
_LINE_END: Final = re.compile("\r\n|\n|\r")
NOT_JSON: Final = object()


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How a file is to be read. column: a CSV column's name or a JSON field; encoding None: BOM, else UTF-8."""

    format: SourceFormat = "auto"
    column: str | None = None
    encoding: str | None = None

    @property
    def spec(self) -> str:
        """Canonical JSON: two ways of reading have the same exactly where they are the same."""
        fields = {"column": self.column, "encoding": self.encoding, "format": self.format}
        return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """What differs between CSV files; quotes are always doubled double quotes."""

    delimiter: str = ","
    skip_space: bool = False


def line_texts(lines: Iterable[DecodedLine], account: ReadingAccount) -> Iterator[tuple[int, str]]:
    """Each line that holds text."""
    for line in lines:
        if line.text.strip():
            yield line.number, line.text
        else:
            account.blank += 1


def block_texts(lines: Iterable[DecodedLine]) -> Iterator[tuple[int, str]]:
    """Each run of lines between blank ones, joined by newlines."""
    block: list[str] = []
    start = held = 0
    for line in lines:
        if line.text.strip():
            start = start if block else line.number
            block.append(line.text)
            held += len(line.text) + 1
            if held > MOST_CHARACTERS:
                raise UsageError(
                    tr("從第 {line} 行開始的段落超過 {most:,} 個字; 請用空行把它分開", line=start, most=MOST_CHARACTERS)
                )
        elif block:
            yield start, "\n".join(block)
            block, held = [], 0
    if block:
        yield start, "\n".join(block)


class CsvRecords(Iterator[tuple[int, list[str]]]):
    """The records of a CSV file with the line each begins in; blank lines are counted and passed over.

    Strict: a record whose quotes do not match is skipped and told, an unclosed quote, which would swallow all that
    follows, raises UsageError. lines must keep their ends. A record of more than MOST_CHARACTERS raises UsageError.
    """

    def __init__(self, lines: Iterable[DecodedLine], dialect: CsvDialect, account: ReadingAccount) -> None:
        self.several_lines = False  # whether the last record has line ends in its cells
        self._lines = lines
        self._account = account
        self._start = 1
        self._held = 0
        self._ended = False
        # The csv module's own bound is the process's. It is only ever raised, so that readers do not disturb each
        # other, and _feed bounds what is read here.
        if csv.field_size_limit() < MOST_CHARACTERS:
            csv.field_size_limit(MOST_CHARACTERS)
        self._reader = csv.reader(
            self._feed(), delimiter=dialect.delimiter, skipinitialspace=dialect.skip_space, strict=True
        )

    def __next__(self) -> tuple[int, list[str]]:
        while True:
            start = self._start = self._reader.line_num + 1
            self._held = 0
            try:
                record = next(self._reader)
            except csv.Error:
                if self._ended:
                    raise UsageError(_unclosed(start)) from None
                self._mismatch(start, self._reader.line_num)
                continue
            if len(record) > 1 or (record and record[0].strip()):
                self.several_lines = self._reader.line_num > start
                return start, record
            self._account.blank += 1

    def _feed(self) -> Iterator[str]:
        for line in self._lines:
            self._held += len(line.text)
            if self._held > MOST_CHARACTERS:
                raise UsageError(_unclosed(self._start))
            yield line.text
        self._ended = True

    def _mismatch(self, start: int, end: int) -> None:
        note = tr("第 {line} 行的引號不成對, 已略過", line=start)
        if end > start:
            note = tr("第 {line} 行到第 {end} 行的引號不成對, 已略過", line=start, end=end)
        self._account.bad(note, lines=end - start + 1)


def csv_texts(records: CsvRecords, column: str | None, name: str, account: ReadingAccount) -> Iterator[tuple[int, str]]:
    """The cells of one column; the first record is the header. Raises UsageError where the column is not there."""
    header = next(records, None)
    if header is None:
        return
    names = header[1]
    index, width = column_index(names, column, name), len(names)
    for start, record in records:
        if len(record) != width and (index >= len(record) or any(record[width:])):
            account.bad(_uneven(start, len(record), width))
        elif text := record[index]:
            if not text.strip():
                account.blank += 1
                continue
            before = sum(len(_LINE_END.findall(cell)) for cell in record[:index]) if records.several_lines else 0
            yield start + before, text
        else:
            account.blank += 1


def _uneven(line: int, found: int, expected: int) -> str:
    return tr(
        "第 {line} 行有 {found} 欄, 標題列有 {expected} 欄 (含逗號或引號的文字要用引號包住), 已略過",
        line=line, found=found, expected=expected,
    )  # fmt: skip


def column_index(names: Sequence[str], column: str | None, name: str) -> int:
    """Which column holds the texts. None: the only one, or one with a usual name. Raises UsageError, listing them."""
    folded = [each.strip().casefold() for each in names]
    if column is None:
        found = [0] if len(names) == 1 else next(([folded.index(k)] for k in _KNOWN_COLUMNS if k in folded), [])
    else:
        exact = [index for index, each in enumerate(names) if each.strip() == column.strip()]
        found = exact or [index for index, each in enumerate(folded) if each == column.strip().casefold()]
    if len(found) != 1:
        raise UsageError(_no_column(names, column, name, len(found)))
    return found[0]


def _no_column(names: Sequence[str], column: str | None, name: str, found: int) -> str:
    listed = _listed(names)
    if column is None:
        return tr("{name} 有好幾欄, 請說出文字在哪一欄: {columns}", name=name, columns=listed)
    wanted = fit(column, _LISTED_COLUMNS)
    if found:
        return tr_n("{name} 有 {count} 欄都叫「{column}」, 請讓欄名各不相同", found, name=name, column=wanted)
    return tr("{name} 裡沒有「{column}」這一欄, 請從這些裡選一個: {columns}", name=name, column=wanted, columns=listed)


def jsonl_texts(lines: Iterable[DecodedLine], column: str | None, account: ReadingAccount) -> Iterator[tuple[int, str]]:
    """The field of the object in each line, or the JSON string that the line is."""
    for line in lines:
        if not line.text.strip():
            account.blank += 1
            continue
        value = json_value(line.text)
        if isinstance(value, dict) and column is not None:
            value = value.get(column)
        if not isinstance(value, str):
            account.bad(_unusable(line.number, value, column))
            continue
        text, lone = clean_surrogates(value)
        account.lone_surrogates(line.number, lone)
        if text.strip():
            yield line.number, text
        else:
            account.blank += 1


def json_value(text: str) -> object:
    """The JSON value that the text is, or NOT_JSON."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):  # not JSON, a number of thousands of digits, nested too deep
        return NOT_JSON
    return value


def json_column(value: object, name: str) -> str | None:
    """The field that holds the texts, judged by one line's value; None where the line is a text by itself."""
    if not isinstance(value, dict):
        return None
    names = list(value)
    return names[column_index(names, None, name)] if names else None


def _unusable(line: int, value: object, column: str | None) -> str:
    if value is NOT_JSON:
        return tr("第 {line} 行不是完整的 JSON, 已略過", line=line)
    if column is None:
        return tr("第 {line} 行不是 JSON 字串, 已略過", line=line)
    name = fit(column, _LISTED_COLUMNS)
    if value is None:
        return tr("第 {line} 行沒有「{column}」這個欄位, 已略過", line=line, column=name)
    return tr("第 {line} 行的「{column}」不是文字, 已略過", line=line, column=name)


def _unclosed(line: int) -> str:
    return tr(
        "從第 {line} 行開始的一筆資料沒有結束 (引號沒有關閉, 或超過 {most:,} 個字); 請修正那一行再試一次",
        line=line, most=MOST_CHARACTERS,
    )  # fmt: skip


def _listed(names: Sequence[str]) -> str:
    listed = tr("、").join(fit(each, _LISTED_COLUMNS) for each in names[:_MOST_LISTED])
    if len(names) <= _MOST_LISTED:
        return listed
    return tr("{columns}… 等 {count:,} 欄", columns=listed, count=len(names))

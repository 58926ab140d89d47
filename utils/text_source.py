"""Where the texts of a bulk run come from: a file read as a stream, as often as needed and never whole."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, get_args

from core.bulk import TextItem
from core.errors import UsageError
from core.language import tr
from utils.source_encoding import effective_encoding
from utils.source_file import ReadingAccount, file_lines, open_source, read_some, refuse_binary, shown
from utils.source_formats import (
    CsvDialect,
    CsvRecords,
    SourceFormat,
    SourceOptions,
    block_texts,
    column_index,
    csv_texts,
    json_column,
    json_value,
    jsonl_texts,
    line_texts,
)
from utils.text_decoding import DecodedLine, LineDecoder

__all__ = ["SOURCE_FORMATS", "SourceOptions", "TextSource"]

SOURCE_FORMATS: Final[tuple[str, ...]] = get_args(SourceFormat)
_SUFFIXES: Final[dict[str, SourceFormat]] = {
    ".txt": "lines", ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
_DELIMITERS: Final = ",;\t|"
_HEAD: Final = 64 * 1024
_SNIFFED: Final = 16 * 1024  # characters: the sniffer's patterns take long on long samples
_JUDGED_LINES: Final = 5
_DEFAULT: Final = SourceOptions()


class TextSource:
    """The texts of one file. items() reads it from the start each time, holding no more than one of them.

    options are the given ones with nothing left open: "auto" has become a format, the column has its name. What
    cannot be decoded becomes �; what is not as the format wants is left out. blank, skipped and replaced count these
    in the latest reading; the first complete reading tells on_note of them, with line numbers, twenty at most and
    then how many more. One reading at a time, in whatever thread.

    Raises UsageError, in one sentence, when made and while read: for what is no readable text file, for a column
    that is not there, for a line or record too long to hold.
    """

    def __init__(
        self,
        path: Path,
        options: SourceOptions = _DEFAULT,
        *,
        name: str = "",
        on_note: Callable[[str], object] | None = None,
    ) -> None:
        self.path = path
        self.name = name or shown(path)
        self._on_note = on_note
        self._told = False
        self._account = ReadingAccount()
        with open_source(path, self.name) as file:
            head = read_some(file, self.name)
        encoding = effective_encoding(options.encoding, head)
        refuse_binary(head, self.name, encoding=encoding)
        lines = _head_lines(head, encoding)
        chosen = _format(path.suffix.lower(), lines, self.name) if options.format == "auto" else options.format
        self._dialect = CsvDialect("\t") if chosen == "tsv" else _dialect(lines)
        self.options = replace(options, format=chosen, encoding=encoding)
        self.options = replace(self.options, column=self._column())

    @property
    def blank(self) -> int:
        return self._account.blank

    @property
    def skipped(self) -> int:
        return self._account.skipped

    @property
    def replaced(self) -> int:
        return self._account.replaced

    def items(self, *, check: Callable[[], object] | None = None) -> Iterator[TextItem]:
        """The texts in their order. check is called once for every 64 KiB and may raise to end the reading."""
        self._account = account = ReadingAccount(None if self._told else self._on_note)
        with open_source(self.path, self.name) as file:
            for number, (line, text) in enumerate(self._texts(file, account, check), 1):
                yield TextItem(number, text, line)
        account.close()
        self._told = True

    def _texts(
        self, file: BinaryIO, account: ReadingAccount, check: Callable[[], object] | None
    ) -> Iterator[tuple[int, str]]:
        lines = self._lines(file, account, check)
        match self.options.format:
            case "csv" | "tsv":
                return csv_texts(CsvRecords(lines, self._dialect, account), self.options.column, self.name, account)
            case "jsonl":
                return jsonl_texts(lines, self.options.column, account)
            case "blocks":
                return block_texts(lines)
            case _:
                return line_texts(lines, account)

    def _lines(
        self, file: BinaryIO, account: ReadingAccount, check: Callable[[], object] | None = None
    ) -> Iterator[DecodedLine]:
        keep_ends = self.options.format in ("csv", "tsv")
        encoding = self.options.encoding
        return file_lines(file, self.name, account, encoding=encoding, keep_ends=keep_ends, check=check)

    def _column(self) -> str | None:
        """The column's name as the file has it. Without one given: the obvious one."""
        column = self.options.column
        if self.options.format in ("lines", "blocks"):
            if column is not None:
                raise UsageError(
                    tr("{name} 一行 (或一段) 就是一則文字, 沒有欄位可選; 請改用 CSV、TSV 或 JSONL", name=self.name)
                )
            return None
        account = ReadingAccount()
        with open_source(self.path, self.name) as file:
            lines = self._lines(file, account)
            if self.options.format == "jsonl":
                return column if column is not None else self._json_column(lines)
            header = next(CsvRecords(lines, self._dialect, account), None)
        if header is None:
            raise UsageError(tr("{name} 是空的; 請給第一行是標題列的檔案", name=self.name))
        return header[1][column_index(header[1], column, self.name)].strip()

    def _json_column(self, lines: Iterator[DecodedLine]) -> str | None:
        """Judged by the first line that is JSON at all."""
        values = (json_value(line.text) for line in lines if line.text.strip())
        usable = (value for value in islice(values, 1000) if isinstance(value, dict | str))
        return json_column(next(usable, None), self.name)


def _head_lines(head: bytes, encoding: str | None) -> list[str]:
    """The lines in the head that hold text; the last one only where the file ends, or nothing else does."""
    decoder = LineDecoder(encoding=encoding)
    lines = decoder.feed(head)
    if len(head) < _HEAD or not lines:  # the whole file, or the beginning of one long line
        lines += decoder.finish()
    return [line.text for line in lines if line.text.strip()]


def _format(suffix: str, lines: Sequence[str], name: str) -> SourceFormat:
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    judged = lines[:_JUDGED_LINES]
    if judged and all(isinstance(json_value(line), dict | str) for line in judged):
        return "jsonl"
    if suffix == ".json":
        raise UsageError(tr("{name} 不是一行一個物件的 JSON; 請改存成 JSONL (每行一個物件或字串)", name=name))
    return "csv" if _looks_like_table(judged) else "lines"


def _looks_like_table(lines: Sequence[str]) -> bool:
    """Without a suffix: only where the header has a usual name for the texts and all rows are as wide as it."""
    delimiter = _dialect(lines).delimiter
    if len(lines) < 2 or delimiter not in lines[0]:
        return False
    try:
        header, *rows = csv.reader(lines, delimiter=delimiter)
        column_index(header, None, "")
    except (csv.Error, UsageError):
        return False
    return all(len(row) == len(header) for row in rows)


def _dialect(lines: Sequence[str]) -> CsvDialect:
    """What parts the header parts the rows; where that could be several characters, the csv module's sniffer decides.

    The quotes are not sniffed: from a sample in which none is doubled it would conclude that none ever is.
    """
    header = lines[0] if lines else ""
    found = [each for each in _DELIMITERS if each in header]
    delimiter = found[0] if found else ","
    if len(found) > 1:
        try:
            sample = "\n".join(lines)[:_SNIFFED]
            delimiter = csv.Sniffer().sniff(sample, "".join(found)).delimiter
        except csv.Error:
            pass
    _, *after = header.split(delimiter)
    return CsvDialect(delimiter, bool(after) and all(each.startswith(" ") for each in after))

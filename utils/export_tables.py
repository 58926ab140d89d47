"""Results as JSON lines, CSV and Markdown. Each writer takes rows one at a time and returns how many there were."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final, TextIO

from core.language import marked, tr
from utils.event_lines import KIND_TITLES
from utils.export_rows import ExportHead, ExportRow, figures, shortened, value_text

__all__ = ["defused", "plain", "row_object", "write_csv", "write_jsonl", "write_markdown"]

_SHOWN_CHARACTERS: Final = 200
_BEFORE: Final = (marked("編號"), marked("行"), marked("文字"), marked("結果"))
_AFTER: Final = (marked("原因"), marked("嘗試次數"), marked("秒"))

# What a spreadsheet takes for a formula: these characters (full-width too, which East Asian versions convert), also
# behind white space that an import may trim, and the controls that can put them first. Apostrophes before them
# count as part of it: so one more can always be taken off again.
_FORMULA: Final = re.compile("'*(?:[\\s\ufeff\u200b\0]*[=+\\-@＝＋－＠]|[\t\r\n\0])")
_MARK: Final = "'"

# What some readers take for line ends, and JSON leaves as it is.
_LINE_ENDS: Final = [(chr(code), f"\\u{code:04x}") for code in (0x85, 0x2028, 0x2029)]

_MARKDOWN: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", **{each: f"\\{each}" for each in "\\`*_[]~#!$"}}
)


def write_jsonl(file: TextIO, head: ExportHead, rows: Iterable[ExportRow]) -> int:
    """One object a line, nothing lost.

    The keys are those of ExportRow, the analysis's fields in an object of their own, so that no field's name can
    take the place of another key.
    """
    count = 0
    for row in rows:
        count += 1
        line = _json(row_object(row))
        for end, escape in _LINE_ENDS:  # one by one: several times as fast as str.translate
            line = line.replace(end, escape)
        file.write(f"{line}\n")
    return count


def row_object(row: ExportRow) -> dict[str, object]:
    """The row as JSON has it."""
    return {
        "number": row.number,
        "line": row.line,
        "text": row.text,
        "kind": row.kind.value,
        "values": dict(row.values),
        "reason": row.reason,
        "attempts": row.attempts,
        "seconds": row.seconds,
    }


def write_csv(file: TextIO, head: ExportHead, rows: Iterable[ExportRow]) -> int:
    """A table for spreadsheets. Texts are quoted, so that no other separator splits them; numbers stay numbers."""
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    names = [each.name for each in head.fields]
    writer.writerow([defused(title) for title in _column_titles(head)])
    count = 0
    for row in rows:
        count += 1
        values = [_cell(row.values.get(name)) for name in names]
        before = (row.number, row.line, defused(row.text), tr(KIND_TITLES[row.kind]))
        writer.writerow([*before, *values, defused(row.reason), row.attempts, round(row.seconds, 3)])
    return count


def write_markdown(file: TextIO, head: ExportHead, rows: Iterable[ExportRow]) -> int:
    """The figures as a list, then a table that nothing in a text can break. Long texts are cut, and say so."""
    file.write(f"# {_escaped(head.title)}\n\n")
    file.writelines(f"- {label}: {_escaped(text)}\n" for label, text in figures(head))
    titles = [tr("編號"), tr("文字"), tr("結果"), *(each.title for each in head.fields), tr("原因")]
    file.write(f"\n{_table_line(titles)}{_table_line(['---'] * len(titles), escape=False)}")
    count = 0
    for row in rows:
        count += 1
        values = (value_text(row.values.get(each.name)) for each in head.fields)
        file.write(_table_line([f"{row.number}", row.text, tr(KIND_TITLES[row.kind]), *values, row.reason]))
    return count


def defused(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would take it for a formula."""
    return _MARK + text if _FORMULA.match(text) else text


def plain(cell: str) -> str:
    """The text that defused made this cell of."""
    return cell[len(_MARK) :] if cell.startswith(_MARK) and _FORMULA.match(cell) else cell


def _json(value: object) -> str:
    """NaN and the infinities, which JSON does not have, become strings."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value), parse_constant=str), ensure_ascii=False)


def _cell(value: object) -> str | int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return defused(value_text(value))


def _column_titles(head: ExportHead) -> Iterator[str]:
    """All different, as readers by name need them: a field whose title is taken also shows its name."""
    before, after = [tr(title) for title in _BEFORE], [tr(title) for title in _AFTER]
    taken = {*before, *after}
    yield from before
    for each in head.fields:
        title = each.title
        while title in taken:
            title += f" ({each.name})"
        taken.add(title)
        yield title
    yield from after


def _table_line(cells: Iterable[str], *, escape: bool = True) -> str:
    return f"| {' | '.join(map(_escaped, cells) if escape else cells)} |\n"


def _escaped(text: str) -> str:
    return shortened(text, _SHOWN_CHARACTERS).translate(_MARKDOWN)

"""The results of a bulk run as a file: which formats there are, and the one way to write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, TextIO

from core.errors import UsageError
from core.language import marked, tr
from utils.export_html import require_libraries, write_html
from utils.export_rows import ExportField, ExportHead, ExportRow
from utils.export_tables import write_csv, write_jsonl, write_markdown
from utils.neutralise import neutralise
from utils.safe_file import TargetExistsError, check_target, replacing

__all__ = [
    "FORMATS", "ExportField", "ExportFormat", "ExportHead", "ExportRow", "TargetExistsError", "check_export", "export",
    "format_of", "unknown_format_text",
]  # fmt: skip


def _nothing() -> None:
    """Most formats need no more than the standard library."""


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A way to write results. write takes the rows one at a time and returns how many there were.

    suffixes: those of files, without the dot, by which the format is recognised. require raises UsageError where a
    library is missing. bom: spreadsheets need a byte order mark to see that it is UTF-8.
    """

    title: str
    suffixes: tuple[str, ...]
    write: Callable[[TextIO, ExportHead, Iterable[ExportRow]], int]
    require: Callable[[], None] = _nothing
    bom: bool = False


FORMATS: Final[Mapping[str, ExportFormat]] = MappingProxyType(
    {
        "jsonl": ExportFormat(marked("JSONL (給程式, 完整)"), ("jsonl", "ndjson"), write_jsonl),
        "csv": ExportFormat(marked("CSV (給試算表, 完整)"), ("csv",), write_csv, bom=True),
        "md": ExportFormat(marked("Markdown (給人閱讀)"), ("md", "markdown"), write_markdown),
        "html": ExportFormat(marked("HTML 報告 (有圖表)"), ("html", "htm"), write_html, require_libraries),
    }
)


def format_of(path: Path, name: str | None = None) -> ExportFormat:
    """The format by its name, or else by the file's suffix; UsageError says which ones there are."""
    if name is not None and name in FORMATS:
        return FORMATS[name]
    suffix = path.suffix[1:].lower()
    for each in FORMATS.values():
        if name is None and suffix in each.suffixes:
            return each
    raise UsageError(neutralise(unknown_format_text(path, name, FORMATS), keep_newlines=False))


def unknown_format_text(path: Path, name: str | None, formats: Iterable[str]) -> str:
    """That there is no such format, or none for that file; and which ones there are."""
    known = ", ".join(formats)
    if name is None:
        return tr("看不出 {file} 要用哪一種輸出格式; 可用的有 {formats}", file=path.name, formats=known)
    return tr("沒有這種輸出格式: {name}; 可用的有 {formats}", name=name, formats=known)


def check_export(path: Path, name: str | None = None, *, overwrite: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Whether export would begin; to be asked before a run that costs something. Raises what export raises."""
    format_of(path, name).require()
    check_target(path, overwrite=overwrite, inputs=inputs)


def export(
    path: Path,
    name: str | None,
    head: ExportHead,
    rows: Iterable[ExportRow],
    *,
    overwrite: bool = False,
    inputs: Sequence[Path] = (),
    bom: bool = True,
) -> int:
    """Write the rows, as they come and in their order, and return how many there were.

    name is one of FORMATS, or None for the one that fits the file's suffix. The file appears whole or not at all,
    readable by this user only. inputs: files that must not be overwritten by mistake. bom=False leaves out the byte
    order mark where the format has one. Raises TargetExistsError without overwrite, else UsageError or StorageError;
    what rows raises passes through, and the old file stays.
    """
    chosen = format_of(path, name)
    chosen.require()
    encoding = "utf-8-sig" if chosen.bom and bom else "utf-8"
    with replacing(path, overwrite=overwrite, inputs=inputs, encoding=encoding) as file:
        return chosen.write(file, head, rows)

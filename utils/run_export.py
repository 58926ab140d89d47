"""A run of questions as a file: which formats there are, and the one way to write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, TextIO

from core.errors import UsageError
from core.language import marked
from utils.exports import unknown_format_text
from utils.neutralise import neutralise
from utils.run_html import require_jinja, write_run_html
from utils.run_items import RunHead, RunItem, head_of, items_of
from utils.run_tables import write_run_csv, write_run_json, write_run_jsonl, write_run_markdown
from utils.safe_file import TargetExistsError, check_target, replacing
from utils.timeline_svg import timeline_svg
from utils.trace_export import write_trace

__all__ = [
    "RUN_FORMATS", "RunFormat", "RunHead", "RunItem", "TargetExistsError", "check_run_export", "export_run", "head_of",
    "items_of", "run_format_of",
]  # fmt: skip


def _nothing() -> None:
    """Most formats need no more than the standard library."""


def _write_svg(file: TextIO, head: RunHead, items: Iterable[RunItem]) -> int:
    listed = list(items)
    file.write(f"{timeline_svg(listed, head)}\n")
    return len(listed)


@dataclass(frozen=True, slots=True)
class RunFormat:
    """A way to write a run. write returns how many items there were.

    suffixes: those of files, without the first dot, by which the format is recognised. require raises UsageError
    where a library is missing. bom: spreadsheets need a byte order mark to see that it is UTF-8.
    """

    title: str
    suffixes: tuple[str, ...]
    write: Callable[[TextIO, RunHead, Iterable[RunItem]], int]
    require: Callable[[], None] = _nothing
    bom: bool = False


RUN_FORMATS: Final[Mapping[str, RunFormat]] = MappingProxyType(
    {
        "md": RunFormat(marked("Markdown (給人閱讀)"), ("md", "markdown"), write_run_markdown),
        "html": RunFormat(marked("HTML 報告 (有時間軸)"), ("html", "htm"), write_run_html, require_jinja),
        "json": RunFormat(marked("JSON (給程式, 完整, 一份文件)"), ("json",), write_run_json),
        "jsonl": RunFormat(marked("JSONL (給程式, 完整, 一行一題)"), ("jsonl", "ndjson"), write_run_jsonl),
        "csv": RunFormat(marked("CSV (給試算表, 完整)"), ("csv",), write_run_csv, bom=True),
        "svg": RunFormat(marked("SVG (只有時間軸)"), ("svg",), _write_svg),
        "trace": RunFormat(marked("Perfetto / Chrome 追蹤檔 (時間軸, 沒有回答)"), ("trace.json", "trace"), write_trace),
    }
)


def run_format_of(path: Path, name: str | None = None) -> RunFormat:
    """The format by its name, or else by the longest suffix that fits; UsageError says which ones there are."""
    if name is not None and name in RUN_FORMATS:
        return RUN_FORMATS[name]
    suffixes = {suffix: each for each in RUN_FORMATS.values() for suffix in each.suffixes}
    for suffix in sorted(suffixes, key=len, reverse=True):
        if name is None and path.name.lower().endswith(f".{suffix}"):
            return suffixes[suffix]
    raise UsageError(neutralise(unknown_format_text(path, name, RUN_FORMATS), keep_newlines=False))


def check_run_export(
    path: Path, format: str | None = None, *, overwrite: bool = False, inputs: Sequence[Path] = ()
) -> None:
    """Whether export_run would begin. Raises what it raises."""
    run_format_of(path, format).require()
    check_target(path, overwrite=overwrite, inputs=inputs)


def export_run(
    path: Path,
    format: str | None,
    head: RunHead,
    items: Iterable[RunItem],
    *,
    overwrite: bool = False,
    inputs: Sequence[Path] = (),
) -> int:
    """Write the items and return how many there were.

    format is one of RUN_FORMATS, or None for the one that fits the file's suffix. The file appears whole or not at
    all, readable by this user only. inputs: files that must not be overwritten by mistake. Raises TargetExistsError
    without overwrite, else UsageError or StorageError; what items raises passes through, and the old file stays.
    """
    chosen = run_format_of(path, format)
    chosen.require()
    encoding = "utf-8-sig" if chosen.bom else "utf-8"
    with replacing(path, overwrite=overwrite, inputs=inputs, encoding=encoding) as file:
        return chosen.write(file, head, items)

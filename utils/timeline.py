"""A finished run as rows of text over its time: who waited, who was asked, and when. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from core.language import marked, tr, tr_n
from core.outcome import AnswerSource, OutcomeKind
from utils.event_lines import KIND_TITLES
from utils.run_items import RunHead, RunItem
from utils.run_phases import Phase, Stretch, course_of, lanes_of, span_of, stretches_of
from utils.text_width import cell_width, fit, one_line, pad, wrap_line
from utils.timeline_bars import Sheet, axis, bar, course_bar, marks_of, seconds_text, task_bar

__all__ = ["MOST_ROWS", "ORDER_NOTE", "PHASE_TITLES", "comparison_lines", "note_of", "timeline_lines"]

MOST_ROWS: Final = 40
PHASE_TITLES: Final[Mapping[Phase, str]] = {
    Phase.QUEUE: marked("排隊"),
    Phase.LIMITER: marked("限流等待"),
    Phase.OTHER: marked("其他 (重試前的等待, 等相同的問題)"),
    Phase.SERVICE: marked("詢問模型"),
}
ORDER_NOTE: Final = marked("排隊的起訖是量到的; 其餘各段只知道總和, 依圖例的順序畫出")
_SHORT_TITLES: Final = {
    **PHASE_TITLES, Phase.LIMITER: marked("限流"), Phase.OTHER: marked("其他"), Phase.SERVICE: marked("詢問"),
}  # fmt: skip
_SOURCES: Final = {AnswerSource.CACHE: marked("快取"), AnswerSource.SHARED: marked("共用")}
_FEWEST_COLUMNS: Final = 10
_LONGEST_LABEL: Final = 200  # characters; fit would measure all of a question that fills a book


@dataclass(frozen=True, slots=True)
class _Row:
    """A bar with what stands before it (a number that stays as it is, and a name) and after it."""

    before: str
    draw: Callable[[Sheet], str]
    after: tuple[str, ...]
    number: str = ""


def timeline_lines(items: Sequence[RunItem], head: RunHead, *, width: int = 80, ascii_only: bool = False) -> list[str]:
    """The run in lines of at most width cells (4 or more); [] for a run without tasks, or of no length.

    Up to MOST_ROWS tasks have a row each. More are put into lanes in which no two of them overlap, below the number
    of those that queue; where that takes more than MOST_ROWS lanes, only numbers are drawn: the most that were in
    each phase at once, for each column. A cell shows what takes most of its time; a task with a row of its own is
    always seen. Where the width is too small, figures and names go.

    ascii_only as in spark_plot.
    """
    span = span_of(items, head)
    if not items or span <= 0:
        return []
    title, rows, note = _rows(items)
    before, after = _margins(rows, width)
    sheet = Sheet(span, max(width - before - sum(1 + most for most in after) - 2, 1), ascii_only)
    edge = "|" if ascii_only else "│"
    lines = [fit(title, width)]
    for row in rows:
        sides = "".join(" " + _right(text, most) for text, most in zip(row.after, after, strict=False))
        start = row.number + fit(row.before, before - len(row.number)) if before else ""
        lines.append(f"{pad(start, before)}{edge}{row.draw(sheet)}{edge}{sides}".rstrip())
    lines.append(" " * (before + 1) + axis(span, sheet.columns))
    marks = marks_of(ascii_only=ascii_only)
    legend = [f"{marks[phase]} {tr(PHASE_TITLES[phase])}" for phase in Phase]
    return [*lines, *_flow(legend, "  ", width), *_flow([part for part in (note, tr(ORDER_NOTE)) if part], "; ", width)]


def comparison_lines(head: RunHead, *, width: int = 80, ascii_only: bool = False) -> list[str]:
    """The run's time beside that of the same work one by one, and the speed-up beside its limit; [] if neither is."""
    wall, serial, longest = head.wall_seconds, head.serial_seconds, head.longest_seconds
    if wall <= 0 or serial <= 0:
        return []
    most, mark = max(wall, serial), "#" if ascii_only else "█"
    names, texts = (tr("並行"), tr("依序")), [_seconds(value, most) for value in (wall, serial)]
    named = max(map(cell_width, names))
    columns = width - max(map(cell_width, texts)) - named - 2
    bars = [mark * max(round(value / most * columns), 1) for value in (wall, serial)]
    drawn = [f"{pad(name, named)} {bar} {text}" for name, bar, text in zip(names, bars, texts, strict=True)]
    lines = [line if cell_width(line) <= width else fit(line, width) for line in drawn]
    slowest = seconds_text(longest, most)
    limit = tr("上限 {limit:.2f} 倍 (取決於最慢的 {seconds} 秒)", limit=head.speed_up_limit, seconds=slowest)
    return [*lines, *_flow([tr("加速 {factor:.2f} 倍", factor=head.speed_up), limit], "; ", width)]


def note_of(item: RunItem) -> str:
    """What is particular about how the item ended, in a word; mostly nothing."""
    if item.kind is not OutcomeKind.ANSWERED:
        return tr(KIND_TITLES[item.kind])
    return tr(_SOURCES[item.source]) if item.source in _SOURCES else ""


def _rows(items: Sequence[RunItem]) -> tuple[str, list[_Row], str]:
    """The title, the rows, and a note on how to read them."""
    title = tr_n("📊 時間軸 ({count:,} 個任務)", len(items))
    if len(items) <= MOST_ROWS:
        return title, _task_rows(items), ""
    stretches = [stretch for item in items for stretch in stretches_of(item)]
    lanes = _lanes(items)
    if len(lanes) > MOST_ROWS:
        note = tr("每列是同時在這個階段的任務數, 每格取其中最多的時候")
        return title, [_course_row(stretches, phase) for phase in Phase], note
    rows = [_course_row(stretches, Phase.QUEUE), *(_lane_row(number, lane) for number, lane in enumerate(lanes, 1))]
    title = tr_n("📊 時間軸 ({count:,} 個任務, 排成 {lanes:,} 個通道)", len(items), lanes=len(lanes))
    return title, rows, tr("通道只為了畫圖, 同一通道的任務不重疊; 每格是其中佔最久的一種")


def _task_rows(items: Sequence[RunItem]) -> list[_Row]:
    most = max(item.run_seconds for item in items)
    digits = len(str(items[-1].number))
    notes = [note_of(item) for item in items]
    return [
        _Row(
            one_line(item.question[:_LONGEST_LABEL]),
            partial(task_bar, item),
            (_seconds(item.run_seconds, most), *([note] if any(notes) else [])),
            f"{item.number:>{digits}} ",
        )
        for item, note in zip(items, notes, strict=True)
    ]


def _lanes(items: Sequence[RunItem]) -> list[list[RunItem]]:
    """The tasks that a worker took, in lanes."""
    taken = [(item.started, item) for item in items if item.started is not None]
    places = lanes_of([(started, max(item.ended, started)) for started, item in taken])
    lanes: list[list[RunItem]] = [[] for _ in range(max(places, default=-1) + 1)]
    for place, (_, item) in zip(places, taken, strict=True):
        lanes[place].append(item)
    return lanes


def _lane_row(number: int, lane: Sequence[RunItem]) -> _Row:
    stretches = [each for item in lane for each in stretches_of(item) if each.phase is not Phase.QUEUE]
    after = (tr_n("{count:,} 個", len(lane)),)
    return _Row(tr("通道 {number:,}", number=number), lambda sheet: bar(stretches, sheet), after)


def _course_row(stretches: Iterable[Stretch], phase: Phase) -> _Row:
    course = course_of(each for each in stretches if each.phase is phase)
    most = max((count for _, count in course), default=0)
    after = (tr("最多 {count:,}", count=most),)
    return _Row(tr(_SHORT_TITLES[phase]), lambda sheet: course_bar(course, most, sheet), after)


def _margins(rows: Sequence[_Row], width: int) -> tuple[int, list[int]]:
    """Columns before and after the bars: as much as leaves the bars enough, the last of those after going first."""
    before = min(max(len(row.number) + cell_width(row.before) for row in rows), width // 3)
    after = [max(map(cell_width, column)) for column in zip(*(row.after for row in rows), strict=True)]
    while after and width - before - sum(1 + most for most in after) - 2 < _FEWEST_COLUMNS:
        after.pop()
    return (before if width - before - 2 >= _FEWEST_COLUMNS else 0), after


def _flow(parts: Iterable[str], between: str, width: int) -> list[str]:
    """The parts in lines of at most width cells, broken between them where that is possible."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}{between}{part}" if lines else part
        if lines and cell_width(longer) <= width:
            lines[-1] = longer
        else:
            lines += wrap_line(part, width)
    return lines


def _seconds(value: float, most: float) -> str:
    return tr("{seconds} 秒", seconds=seconds_text(value, most))


def _right(text: str, columns: int) -> str:
    return " " * (columns - cell_width(text)) + text

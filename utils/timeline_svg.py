"""A finished run's timeline as a drawing: SVG that loads and runs nothing, light or dark as the reader has it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from core.language import tr, tr_n
from utils.neutralise import neutralise
from utils.run_items import RunHead, RunItem
from utils.run_phases import Phase, Stretch, course_of, lanes_of, span_of, stretches_of
from utils.run_tables import item_facts
from utils.text_width import cell_width, fit, one_line, preview
from utils.timeline import ORDER_NOTE, PHASE_TITLES, note_of
from utils.timeline_bars import seconds_text

__all__ = ["MOST_TASK_ROWS", "timeline_svg"]

MOST_TASK_ROWS: Final = 200
_WIDTH: Final = 960
_LEFT: Final = 220
_RIGHT: Final = 130
_PLOT: Final = _WIDTH - _LEFT - _RIGHT
_TOP: Final = 44
_ROW: Final = 18
_BAR: Final = 12
_COURSE: Final = 40
_LABEL_CELLS: Final = 30
_TIP_CHARACTERS: Final = 200
_TICKS: Final = 6
_NO_XML: Final = re.compile("[\ufffe\uffff]")  # what neutralise leaves and XML cannot hold
# Each phase has a height of its own, so that they can be told apart without colours.
_HEIGHTS: Final = {Phase.QUEUE: 1.5, Phase.LIMITER: 8, Phase.OTHER: 4, Phase.SERVICE: _BAR}
_STYLE: Final = """
.tl { --tl-text: #1d2329; --tl-soft: #59636e; --tl-line: #d5dae0; --tl-page: #fff; --tl-service: #2f6fb3;
  --tl-limiter: #c77700; --tl-queue: #9aa4ae; --tl-other: #7a3fa0; font: 12px system-ui, "Noto Sans TC", "PingFang TC",
  "Microsoft JhengHei", sans-serif; }
@media (prefers-color-scheme: dark) { .tl { --tl-text: #e6e9ec; --tl-soft: #a0aab4; --tl-line: #3a424b;
  --tl-page: #1d2126; --tl-service: #6ea8e6; --tl-limiter: #f0a63c; --tl-queue: #6b7680; --tl-other: #c39be0; } }
.tl text { fill: var(--tl-text); } .tl .soft { fill: var(--tl-soft); } .tl .end { text-anchor: end; }
.tl .middle { text-anchor: middle; } .tl .page { fill: var(--tl-page); } .tl .grid { stroke: var(--tl-line); }
.tl .queue { fill: var(--tl-queue); } .tl .limiter { fill: var(--tl-limiter); } .tl .other { fill: var(--tl-other); }
.tl .service { fill: var(--tl-service); }
"""


def timeline_svg(items: Sequence[RunItem], head: RunHead) -> str:
    """The drawing as one element; each task says what it was when pointed at.

    Up to MOST_TASK_ROWS tasks have a row each; more are put into lanes in which no two overlap, below the number of
    those that queue. Below the rows stand the run's time and that of the same work one by one, to one scale.
    """
    span = span_of(items, head) or 1.0
    grouped = len(items) > MOST_TASK_ROWS
    body = list(_lane_rows(items, span) if grouped else _task_rows(items, span))
    lanes = 1 + max(lanes_of(_taken(items)), default=-1) if grouped else len(items)
    bottom = _TOP + _ROW * lanes + (_COURSE + _ROW if grouped else 0)
    height = bottom + 132
    seconds = seconds_text(head.wall_seconds, head.wall_seconds)
    title = tr_n("時間軸: {count:,} 個任務, {seconds} 秒", len(items), seconds=seconds)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="tl" role="img" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" aria-label="{_safe(title)}">',
            f"<style>{_STYLE}</style>",
            f'<rect class="page" width="{_WIDTH}" height="{height}"/>',
            _text(8, 20, title),
            *_grid(span, bottom),
            *body,
            *_comparison(head, bottom + 24),
            *_legend(bottom + 100),
            "</svg>",
        ]
    )


def _task_rows(items: Iterable[RunItem], span: float) -> Iterator[str]:
    for place, item in enumerate(items):
        top = _TOP + place * _ROW
        label = f"{item.number}. {fit(item.question[:_TIP_CHARACTERS], _LABEL_CELLS)}"
        note = note_of(item)
        yield _text(8, top + _BAR, label)
        yield _task(item, top, span)
        seconds = tr("{seconds} 秒", seconds=seconds_text(item.run_seconds, span))
        yield _text(_LEFT + _PLOT + 8, top + _BAR, f"{seconds} {note}".rstrip(), "soft")


def _lane_rows(items: Sequence[RunItem], span: float) -> Iterator[str]:
    yield from _queue_course(items, span)
    top = _TOP + _COURSE + _ROW
    taken = [item for item in items if item.started is not None]
    lanes = lanes_of(_taken(items))
    for lane in range(max(lanes, default=-1) + 1):
        yield _text(8, top + lane * _ROW + _BAR, tr("通道 {number:,}", number=lane + 1), "soft")
    for lane, item in zip(lanes, taken, strict=True):
        yield _task(item, top + lane * _ROW, span, queued=False)


def _taken(items: Iterable[RunItem]) -> list[tuple[float, float]]:
    return [(item.started, max(item.ended, item.started)) for item in items if item.started is not None]


def _task(item: RunItem, top: float, span: float, *, queued: bool = True) -> str:
    """The task's phases, and what is to be read when one points at them; a task of no length is a thin line."""
    tip = f"{item.number}. {preview(one_line(item.question[:_TIP_CHARACTERS]), _TIP_CHARACTERS)}\n{item_facts(item)}"
    stretches = [each for each in stretches_of(item) if queued or each.phase is not Phase.QUEUE]
    if item.started is not None and not any(each.phase is not Phase.QUEUE for each in stretches):
        stretches.append(Stretch(Phase.OTHER, max(item.ended, 0.0), max(item.ended, 0.0)))
    return f"<g><title>{_safe(tip)}</title>{''.join(_rectangle(each, top, span) for each in stretches)}</g>"


def _rectangle(stretch: Stretch, top: float, span: float) -> str:
    left, right, height = _place(stretch.begin, span), _place(stretch.end, span), _HEIGHTS[stretch.phase]
    size = f'width="{max(right - left, 0.75):.2f}" height="{height}"'
    return f'<rect class="{stretch.phase.value}" x="{left:.2f}" y="{top + 3 + (_BAR - height) / 2:.1f}" {size}/>'


def _queue_course(items: Iterable[RunItem], span: float) -> Iterator[str]:
    course = course_of(each for item in items for each in stretches_of(item) if each.phase is Phase.QUEUE)
    most = max((count for _, count in course), default=0)
    yield _text(8, _TOP + _COURSE, tr("排隊 (最多 {count:,})", count=most), "soft")
    base, steps = _TOP + _COURSE, []
    for instant, count in course:
        steps.append(f"H{_place(instant, span):.2f}V{base - count / most * _COURSE:.1f}")
    if steps:
        yield f'<path class="queue" d="M{_place(course[0][0], span):.2f} {base}{"".join(steps)}Z"/>'


def _grid(span: float, bottom: float) -> Iterator[str]:
    power = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = next(factor for factor in (1, 2, 5, 10) if factor * power * _TICKS >= span * 0.999) * power
    for number in range(math.floor(span / step) + 1):
        left = _place(number * step, span)
        yield f'<line class="grid" x1="{left:.2f}" x2="{left:.2f}" y1="{_TOP - 6}" y2="{bottom}"/>'
        yield _text(left, _TOP - 10, f"{number * step:g}", "soft middle")
    yield _text(_WIDTH - 8, _TOP - 10, tr("秒"), "soft end")


def _comparison(head: RunHead, top: float) -> Iterator[str]:
    most = max(head.wall_seconds, head.serial_seconds)
    if head.wall_seconds <= 0 or head.serial_seconds <= 0:
        return
    for place, (name, value) in enumerate(((tr("並行"), head.wall_seconds), (tr("依序"), head.serial_seconds))):
        line = top + place * _ROW
        yield _text(_LEFT - 8, line + _BAR, name, "end")
        size = f'width="{max(value / most * _PLOT, 0.75):.2f}" height="{_BAR}"'
        yield f'<rect class="service" x="{_LEFT}" y="{line + 2}" {size}/>'
        yield _text(_LEFT + _PLOT + 8, line + _BAR, tr("{seconds} 秒", seconds=seconds_text(value, most)), "soft")
    gain = tr(
        "加速 {factor:.2f} 倍 (上限 {limit:.2f} 倍, 取決於最慢的 {seconds} 秒)",
        factor=head.speed_up, limit=head.speed_up_limit, seconds=seconds_text(head.longest_seconds, most),
    )  # fmt: skip
    yield _text(_LEFT, top + 2 * _ROW + _BAR, gain)


def _legend(top: float) -> Iterator[str]:
    left = 8.0
    for phase, message in PHASE_TITLES.items():
        title, height = tr(message), _HEIGHTS[phase]
        y = top - _BAR / 2 + (_BAR - height) / 2 - 4
        yield f'<rect class="{phase.value}" x="{left}" y="{y:.1f}" width="24" height="{height}"/>'
        yield _text(left + 30, top, title)
        left += 60 + 7 * cell_width(title)
    yield _text(8, top + 20, tr(ORDER_NOTE), "soft")


def _place(instant: float, span: float) -> float:
    return _LEFT + min(instant / span, 1.0) * _PLOT


def _text(left: float, base: float, text: str, look: str = "") -> str:
    return f'<text x="{left:.1f}" y="{base:.1f}"{f" class={look!r}" if look else ""}>{_safe(text)}</text>'


def _safe(text: str) -> str:
    return escape(_NO_XML.sub("\ufffd", neutralise(text)))

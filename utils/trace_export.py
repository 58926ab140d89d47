"""A run of questions as a trace for Perfetto and chrome://tracing: JSON in the trace event format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TextIO

from core.language import marked, tr
from utils.event_lines import KIND_TITLES
from utils.neutralise import json_line
from utils.run_items import RunHead, RunItem
from utils.run_phases import Phase, Stretch, course_of, lanes_of, stretches_of
from utils.run_tables import head_object
from utils.text_width import one_line, preview
from utils.timeline import ORDER_NOTE

__all__ = ["trace_events", "write_trace"]

_WORK: Final = 1
_QUEUE: Final = 2
_NAMES: Final = {
    Phase.LIMITER: marked("限流等待"),
    Phase.OTHER: marked("其他"),
    Phase.SERVICE: marked("詢問模型"),
}
_NAME_CHARACTERS: Final = 80
_MICROSECONDS: Final = 1e6


def write_trace(file: TextIO, head: RunHead, items: Iterable[RunItem]) -> int:
    """One JSON object with an event a line; returns how many items there were."""
    listed = list(items)
    file.write('{"displayTimeUnit": "ms",\n')
    file.write(f'"otherData": {json_line({**head_object(head), "note": tr(ORDER_NOTE)})},\n"traceEvents": [')
    between = "\n"
    for event in trace_events(listed):
        file.write(between + json_line(event))
        between = ",\n"
    file.write("\n]}\n")
    return len(listed)


def trace_events(items: Sequence[RunItem]) -> Iterator[dict[str, Any]]:
    """Metadata, then one slice for each task a worker took, in it its phases, then the waiting.

    Two groups of tracks: the tasks at work, as few tracks as there were tasks at once, and the queue, where all tasks
    wait side by side; together they would hide how few worked at once. A counter says how many waited. In a track
    slices do not overlap unless one lies in the other, and a slice comes before those in it. Times are whole
    microseconds from the run's start; a task shorter than one takes one.
    """
    taken = [(_span(item), item) for item in items if item.started is not None]
    tracks = lanes_of([span for span, _ in taken])
    waits = [(item, each) for item in items for each in stretches_of(item) if each.phase is Phase.QUEUE]
    waited = [(_instant(wait.begin), _instant(wait.end)) for _, wait in waits]
    queue_tracks = lanes_of(waited)
    yield from _metadata(_WORK, tr("任務"), [tr("任務 {number}", number=number) for number in _numbers(tracks)])
    yield from _metadata(_QUEUE, tr("排隊"), [tr("排隊 {number}", number=number) for number in _numbers(queue_tracks)])
    for track, (span, item) in sorted(zip(tracks, taken, strict=True), key=lambda pair: (pair[0], pair[1][0])):
        yield _slice(_WORK, track, span, _name(item), "task", _facts(item))
        for stretch in stretches_of(item):
            if stretch.phase is not Phase.QUEUE:
                yield from _part(track, stretch)
    for track, span, (item, _) in sorted(zip(queue_tracks, waited, waits, strict=True), key=lambda wait: wait[:2]):
        if span[0] < span[1]:
            yield _slice(_QUEUE, track, span, _name(item), Phase.QUEUE.value, {"number": item.number})
    waiting, tasks = tr("排隊中"), tr("任務")
    for instant, count in course_of(wait for _, wait in waits):
        yield {"name": waiting, "ph": "C", "pid": _QUEUE, "ts": _instant(instant), "args": {tasks: count}}


def _part(track: int, stretch: Stretch) -> Iterator[dict[str, Any]]:
    span = _instant(stretch.begin), _instant(stretch.end)
    if span[0] < span[1]:
        yield _slice(_WORK, track, span, tr(_NAMES[stretch.phase]), stretch.phase.value, {})


def _numbers(tracks: Sequence[int]) -> range:
    return range(1, max(tracks, default=-1) + 2)


def _metadata(group: int, name: str, tracks: Iterable[str]) -> Iterator[dict[str, Any]]:
    yield {"name": "process_name", "ph": "M", "pid": group, "tid": 0, "args": {"name": name}}
    yield {"name": "process_sort_index", "ph": "M", "pid": group, "tid": 0, "args": {"sort_index": group}}
    for number, track in enumerate(tracks, 1):
        common = {"ph": "M", "pid": group, "tid": number}
        yield {"name": "thread_name", **common, "args": {"name": track}}
        yield {"name": "thread_sort_index", **common, "args": {"sort_index": number}}


def _slice(
    group: int, track: int, span: tuple[int, int], name: str, category: str, facts: dict[str, Any]
) -> dict[str, Any]:
    begin, end = span
    event = {"name": name, "cat": category, "ph": "X", "pid": group, "tid": track + 1, "ts": begin, "dur": end - begin}
    return {**event, "args": facts}


def _facts(item: RunItem) -> dict[str, Any]:
    """What may be read beside a slice. No answer: a trace is shared more lightly than an export."""
    return {
        "number": item.number,
        "result": tr(KIND_TITLES[item.kind]),
        "reason": _line(item.reason),
        "model": _line(item.model),
        "source": None if item.source is None else item.source.value,
        "attempts": item.attempts,
        "limiter_seconds": item.limiter_seconds,
        "service_seconds": item.service_seconds,
        "tokens": item.tokens.total_tokens,
    }


def _span(item: RunItem) -> tuple[int, int]:
    """The time a worker had the task, as stretches_of cuts it."""
    begin = _instant(max(item.started or 0.0, item.submitted, 0.0))
    return begin, max(_instant(item.ended), begin + 1)


def _instant(seconds: float) -> int:
    """Instants are rounded, not lengths: so what met still meets."""
    return round(seconds * _MICROSECONDS)


def _name(item: RunItem) -> str:
    return f"{item.number}. {_line(item.question)}"


def _line(text: str) -> str:
    return preview(one_line(text[: _NAME_CHARACTERS * 4]), _NAME_CHARACTERS)

"""A finished run as stretches of time: what each task was doing when, and which tasks were at it at once. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from utils.run_items import RunHead, RunItem

__all__ = ["Phase", "Stretch", "course_of", "lanes_of", "span_of", "stretches_of"]


class Phase(StrEnum):
    """What a task was doing: waiting for a worker, held by the limiter, being asked, or anything else."""

    QUEUE = "queue"
    LIMITER = "limiter"
    OTHER = "other"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A phase of one task, from begin to end: seconds from the run's start."""

    phase: Phase
    begin: float
    end: float


def stretches_of(item: RunItem) -> list[Stretch]:
    """The item's phases end to end, in the order queue, limiter, other, service; those without length are left out.

    Only the queue's instants were measured. Of the rest the sums are known: the limiter stands before a call, and an
    answer mostly ends its task, hence the order. Calls made side by side (hedging) can sum up to more than the task
    took: their sums are cut to it. What lies before the run's start counts as at its start.
    """
    begin = max(item.submitted, 0.0)
    start = max(item.ended if item.started is None else item.started, begin)
    end = max(item.ended, start)
    limited = min(start + max(item.limiter_seconds, 0.0), end)
    asked = max(end - max(item.service_seconds, 0.0), limited)
    ends = (start, limited, asked, end)
    return [
        Stretch(phase, first, last)
        for phase, first, last in zip(Phase, (begin, *ends[:-1]), ends, strict=True)
        if last > first
    ]


def lanes_of(intervals: Sequence[tuple[float, float]]) -> list[int]:
    """A lane for each interval (begin, end), from 0, the lowest that is free: no two of a lane overlap.

    As few lanes as there are intervals at once. One interval may begin where another ends.
    """
    lanes, free, busy, used = [0] * len(intervals), list[int](), list[tuple[float, int]](), 0
    for place in sorted(range(len(intervals)), key=intervals.__getitem__):
        begin, end = intervals[place]
        while busy and busy[0][0] <= begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, used = used, used + 1
        lanes[place] = lane
        heapq.heappush(busy, (end, lane))
    return lanes


def course_of(stretches: Iterable[Stretch]) -> list[tuple[float, int]]:
    """(instant, how many of the stretches there are from then on), by time; each instant once."""
    changes: dict[float, int] = {}
    for stretch in stretches:
        changes[stretch.begin] = changes.get(stretch.begin, 0) + 1
        changes[stretch.end] = changes.get(stretch.end, 0) - 1
    course, count = [], 0
    for instant in sorted(changes):
        count += changes[instant]
        course.append((instant, count))
    return course


def span_of(items: Iterable[RunItem], head: RunHead) -> float:
    """Seconds from the run's start to its end, or to that of a task that ended after it."""
    return max(head.wall_seconds, max((item.ended for item in items), default=0.0))

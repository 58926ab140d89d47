"""A run as a trace: slices nest, tracks do not overlap, and nothing private is in it."""

from __future__ import annotations

import io
import json
from itertools import groupby, pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.outcome import OutcomeKind
from tests.utils.run_samples import head, item, items_strategy
from utils.neutralise import neutralise
from utils.run_items import RunItem
from utils.trace_export import trace_events, write_trace

ANYTHING = st.text(st.characters(), max_size=30)
Event = dict[str, Any]


def slices(events: list[Event], group: int) -> list[Event]:
    return [event for event in events if event["ph"] == "X" and event["pid"] == group]


def by_track(events: list[Event]) -> dict[int, list[Event]]:
    return {track: list(its) for track, its in groupby(events, key=lambda event: event["tid"])}


def assert_nested(events: list[Event]) -> None:
    """In the order they come, each begins after all before it ended, or lies within those that have not."""
    for its in by_track(events).values():
        open_ends: list[int] = []
        last = 0
        for event in its:
            begin, end = event["ts"], event["ts"] + event["dur"]
            assert last <= begin < end
            last = begin
            while open_ends and open_ends[-1] <= begin:
                open_ends.pop()
            assert all(end <= outer for outer in open_ends)
            open_ends.append(end)


@settings(deadline=None)
@given(items_strategy(ANYTHING, most=30))
def test_slices_nest_and_tasks_of_a_track_do_not_overlap(items: list[RunItem]) -> None:
    """Whole microseconds from the start, whatever was rounded; each task taken is there once."""
    events = list(trace_events(items))
    work = slices(events, 1)
    assert_nested(work)
    assert_nested(slices(events, 2))
    tasks = [event for event in work if event["cat"] == "task"]
    assert sorted(event["args"]["number"] for event in tasks) == [n.number for n in items if n.started is not None]
    assert_apart(tasks)
    assert_apart(slices(events, 2))
    for track, its in by_track(work).items():
        outer = [event for event in its if event["cat"] == "task"]
        for part in its:
            whole = [each for each in outer if each["ts"] <= part["ts"] < each["ts"] + each["dur"]]
            assert len(whole) == 1, track
            assert part["ts"] + part["dur"] <= whole[0]["ts"] + whole[0]["dur"]
    assert all(type(event["ts"]) is int and event["ts"] >= 0 for event in events if event["ph"] != "M")


def assert_apart(events: list[Event]) -> None:
    for its in by_track(events).values():
        for before, after in pairwise(its):
            assert before["ts"] + before["dur"] <= after["ts"]


@settings(deadline=None)
@given(items_strategy(ANYTHING))
def test_every_track_with_a_slice_has_a_name(items: list[RunItem]) -> None:
    """And names are on one line of bounded length, with nothing in them that acts."""
    events = list(trace_events(items))
    named = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    assert {(event["pid"], event["tid"]) for event in events if event["ph"] == "X"} <= named
    for event in events:
        assert neutralise(event["name"], keep_newlines=False) == event["name"]
        assert len(event["name"]) < 100


def test_the_trace_of_three_tasks() -> None:
    """Two workers, one task that waited for one of them, one that nobody took; the counter tells how many waited."""
    items = [
        item(1, "甲", started=0.0, ended=2.0, service_seconds=2.0),
        item(2, "乙", started=0.0, ended=1.0, limiter_seconds=0.25, service_seconds=0.5),
        item(3, "丙", started=1.0, ended=3.0, service_seconds=2.0),
        item(4, "丁", OutcomeKind.CANCELLED, ended=1.0),
    ]
    events = list(trace_events(items))
    assert [(e["tid"], e["name"], e["ts"], e["dur"]) for e in slices(events, 1)] == [
        (1, "2. 乙", 0, 1_000_000), (1, "限流等待", 0, 250_000), (1, "其他", 250_000, 250_000),
        (1, "詢問模型", 500_000, 500_000), (1, "3. 丙", 1_000_000, 2_000_000), (1, "詢問模型", 1_000_000, 2_000_000),
        (2, "1. 甲", 0, 2_000_000), (2, "詢問模型", 0, 2_000_000),
    ]  # fmt: skip
    assert [(e["tid"], e["name"], e["ts"], e["dur"]) for e in slices(events, 2)] == [
        (1, "3. 丙", 0, 1_000_000), (2, "4. 丁", 0, 1_000_000),
    ]  # fmt: skip
    assert [(e["ts"], e["args"]) for e in events if e["ph"] == "C"] == [(0, {"任務": 2}), (1_000_000, {"任務": 0})]
    assert [e["args"]["name"] for e in events if e["ph"] == "M" and "name" in e["args"]] == [
        "任務", "任務 1", "任務 2", "排隊", "排隊 1", "排隊 2",
    ]  # fmt: skip


def test_less_than_a_microsecond_is_one_or_nothing() -> None:
    """A task is seen, a phase or a wait that short is not; two such tasks at once have two tracks."""
    short = [item(n, submitted=1.0, started=1.0 + 1e-8, ended=1.0 + 2e-8, service_seconds=1e-8) for n in (1, 2)]
    events = list(trace_events(short))
    assert [(e["tid"], e["ts"], e["dur"]) for e in slices(events, 1)] == [(1, 1_000_000, 1), (2, 1_000_000, 1)]
    assert slices(events, 2) == []


@given(items_strategy(ANYTHING))
def test_the_file_is_one_json_object(items: list[RunItem]) -> None:
    """With the events, the run's figures, and how the parts of a task are to be read."""
    file = io.StringIO()
    assert write_trace(file, head(), items) == len(items)
    data = json.loads(file.getvalue().encode("utf-8", "backslashreplace"))
    assert len(data["traceEvents"]) == len(list(trace_events(items)))
    assert data["otherData"]["serial_seconds"] == 8.0
    assert "只知道總和" in data["otherData"]["note"]


def test_no_answer_is_in_a_trace() -> None:
    """A trace is opened in other people's tools."""
    file = io.StringIO()
    write_trace(file, head(), [item(answer="秘密", started=0.0, ended=1.0)])
    assert "秘密" not in file.getvalue()

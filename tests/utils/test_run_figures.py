"""The figures of a run: who waited, who was asked, when, and how long it took."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.outcome import Answer, AnswerSource, OutcomeKind, RunReport
from tests.utils.run_samples import head, item, items_strategy, outcome, report
from utils.histogram import histogram_lines, histogram_of
from utils.neutralise import neutralise
from utils.run_figures import run_figures_text
from utils.run_items import RunItem, head_of, items_of
from utils.run_phases import Phase, Stretch, course_of, lanes_of, stretches_of
from utils.text_width import cell_width
from utils.timeline import MOST_ROWS, comparison_lines, timeline_lines

ANYTHING = st.text(st.characters(), max_size=60)


def sample() -> RunReport[Answer]:
    return report(
        outcome("天空為什麼是藍色的", 0.0, 2.0, service=2.0),
        outcome("b", 0.0, 4.0, service=1.0, limiter=2.0),
        outcome("相同的問題", 2.0, 3.0, source=AnswerSource.SHARED),
        outcome("d", 3.0, 3.0, source=AnswerSource.CACHE),
        outcome("沒有輪到", None, 4.0, kind=OutcomeKind.NOT_RUN),
        wall=4.0,
    )


def bars(lines: list[str], edge: str = "│") -> list[str]:
    return [line.split(edge)[1] for line in lines if line.count(edge) == 2]


def test_the_phases_of_a_task_lie_end_to_end() -> None:
    """The queue as it was measured, then limiter, other and service by their sums."""
    stretches = stretches_of(item(submitted=0.5, started=1.0, ended=5.0, limiter_seconds=1.0, service_seconds=2.0))
    assert stretches == [
        Stretch(Phase.QUEUE, 0.5, 1.0), Stretch(Phase.LIMITER, 1.0, 2.0), Stretch(Phase.OTHER, 2.0, 3.0),
        Stretch(Phase.SERVICE, 3.0, 5.0),
    ]  # fmt: skip


def test_a_task_nobody_took_only_queued() -> None:
    """Until it ended."""
    assert stretches_of(item(kind=OutcomeKind.NOT_RUN, ended=3.0)) == [Stretch(Phase.QUEUE, 0.0, 3.0)]


def test_sums_beyond_the_task_are_cut_to_it() -> None:
    """Calls side by side add up to more than the time there was."""
    assert stretches_of(item(started=0.0, ended=2.0, service_seconds=3.0)) == [Stretch(Phase.SERVICE, 0.0, 2.0)]
    assert stretches_of(item(started=0.0, ended=2.0, limiter_seconds=3.0)) == [Stretch(Phase.LIMITER, 0.0, 2.0)]


@given(items_strategy(st.just("")))
def test_phases_are_in_order_within_the_task(items: list[RunItem]) -> None:
    """Each begins where the one before ends, none is empty, and none is outside the task."""
    for each in items:
        stretches = stretches_of(each)
        for before, after in pairwise(stretches):
            assert before.end == after.begin
        assert all(stretch.begin < stretch.end for stretch in stretches)
        assert all(stretch.begin >= 0 for stretch in stretches)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10))))
def test_lanes_keep_tasks_apart_and_are_no_more_than_needed(raw: list[tuple[int, int]]) -> None:
    """No overlap within a lane; as many lanes as the most at once."""
    spans = [(float(begin), float(begin + length)) for begin, length in raw]
    lanes = lanes_of(spans)
    for lane in set(lanes):
        mine = sorted(span for span, its in zip(spans, lanes, strict=True) if its == lane)
        assert all(before[1] <= after[0] for before, after in pairwise(mine))
    at_once = max((sum(b <= t < e for b, e in spans if b < e) for t in range(41)), default=0)
    assert max(lanes, default=-1) + 1 <= max(at_once + 1, 0)
    if all(begin < end for begin, end in spans):
        assert max(lanes, default=-1) + 1 == at_once


def test_a_course_counts_what_is_there_from_each_instant_on() -> None:
    """One that ends where another begins does not count twice."""
    course = course_of([Stretch(Phase.QUEUE, 0, 2), Stretch(Phase.QUEUE, 1, 2), Stretch(Phase.QUEUE, 2, 3)])
    assert course == [(0, 1), (1, 2), (2, 1), (3, 0)]


def test_a_small_run_has_a_row_for_each_task() -> None:
    """Names by cells, phases where they were, seconds and what is particular beside them."""
    items = list(items_of(["天空為什麼是藍色的", "b", "c", "d", "e"], sample()))
    lines = timeline_lines(items, head_of(sample()), width=61)
    assert lines[0] == "📊 時間軸 (5 個任務)"
    assert lines[1:6] == [
        "1 天空為什麼是藍色的│████████████            │ 2.00 秒",
        "2 b                 │▒▒▒▒▒▒▒▒▒▒▒▒······██████│ 4.00 秒",
        "3 c                 │░░░░░░░░░░░░······      │ 1.00 秒   共用",
        "4 d                 │░░░░░░░░░░░░░░░░░░      │ 0.00 秒   快取",
        "5 e                 │░░░░░░░░░░░░░░░░░░░░░░░░│ 0.00 秒 未執行",
    ]
    assert lines[6] == "                     0           2.00 4.00 秒"


def test_without_unicode_there_are_other_marks() -> None:
    """ASCII for everything that is drawn."""
    items = [item(started=1.0, ended=4.0, limiter_seconds=1.0, service_seconds=1.0)]
    (bar,) = bars(timeline_lines(items, head(), width=60, ascii_only=True), "|")
    assert "".join(dict.fromkeys(bar)) == "-~.#"


def test_a_task_shorter_than_half_a_column_is_still_seen() -> None:
    """Also one of no length at all, at its place, even at the very end."""
    items = [item(1, submitted=2.0, started=2.0, ended=2.001, service_seconds=0.001),
             item(2, submitted=4.0, started=4.0, ended=4.0)]  # fmt: skip
    first, second = bars(timeline_lines(items, head(), width=60))
    assert first.strip() == "█"
    assert first.index("█") == len(first) // 2
    assert second.endswith("·")
    assert second.strip() == "·"


def test_many_tasks_share_lanes_below_the_number_that_wait() -> None:
    """As many lanes as worked at once; how many tasks each has is told."""
    items = [item(n + 1, started=float(n // 2), ended=n // 2 + 1.0, service_seconds=1.0) for n in range(MOST_ROWS + 2)]
    lines = timeline_lines(items, head(wall=21.0), width=80)
    queue, *lanes = bars(lines)
    assert lines[0] == "📊 時間軸 (42 個任務, 排成 2 個通道)"
    assert (queue[0], queue[-1]) == ("█", " ")
    assert lanes == ["█" * len(queue)] * 2
    assert [line.rsplit("│")[-1].strip() for line in lines[1:4]] == ["最多 40", "21 個", "21 個"]
    assert "同一通道的任務不重疊" in "".join(lines)


def test_a_lane_shows_nothing_where_mostly_nothing_was() -> None:
    """Short tasks far apart do not fill their lane; tasks that nobody took are in none."""
    items = [item(n + 1, submitted=float(n), started=float(n), ended=n + 0.01, service_seconds=0.01) for n in range(50)]
    items.append(item(51, kind=OutcomeKind.NOT_RUN, ended=50.0))
    queue, lane = bars(timeline_lines(items, head(wall=50.0), width=60))
    assert lane.strip() == ""
    assert set(queue) == {"█"}


def test_more_at_once_than_rows_are_only_counted() -> None:
    """One row for each phase with its own highest number."""
    items = [item(n + 1, started=1.0, ended=4.0, limiter_seconds=1.0, service_seconds=1.0) for n in range(1200)]
    lines = timeline_lines(items, head(), width=60)
    assert [line.split("│")[0].strip() for line in lines[1:5]] == ["排隊", "限流", "其他", "詢問"]
    assert all(line.endswith("最多 1,200") for line in lines[1:5])
    drawn = bars(lines)
    for column in range(len(drawn[0])):
        assert "█" in {bar[column] for bar in drawn}


def test_a_run_without_tasks_or_length_has_no_timeline() -> None:
    """Nothing happened, nothing is drawn."""
    assert timeline_lines([], head()) == []
    assert timeline_lines([item(started=0.0, ended=0.0)], head(wall=0.0)) == []


def test_the_serial_time_stands_beside_the_parallel_one() -> None:
    """To one scale, with the speed-up and what limits it."""
    assert comparison_lines(head(wall=2.0, serial=8.0, longest=1.0), width=44) == [
        "並行 ████████ 2.00 秒",
        "依序 ███████████████████████████████ 8.00 秒",
        "加速 4.00 倍",
        "上限 8.00 倍 (取決於最慢的 1.00 秒)",
    ]
    assert comparison_lines(head(wall=1.0, serial=0.5), ascii_only=True)[1].count("#") == 34
    assert comparison_lines(head(serial=0.0)) == comparison_lines(head(wall=0.0)) == []


@settings(deadline=None)
@given(items_strategy(ANYTHING, most=60), st.integers(20, 200), st.booleans())
def test_no_line_is_wider_than_asked_and_nothing_in_it_acts(items: list[RunItem], width: int, ascii_only: bool) -> None:
    """Whatever the questions are made of."""
    lines = timeline_lines(items, head(wall=50.0), width=width, ascii_only=ascii_only)
    lines += comparison_lines(head(wall=50.0), width=width, ascii_only=ascii_only)
    for line in lines:
        assert cell_width(line) <= width
        assert neutralise(line, keep_newlines=False) == line
        assert not any(unicodedata.category(each) == "Cc" for each in line)


@pytest.mark.parametrize("width", [4, 20, 24, 30, 60, 80, 200])
def test_edges_are_aligned_by_cells(width: int) -> None:
    """Also where names are of wide characters, cut, or gone."""
    names = ["天空為什麼是藍色的呢請說明", "abc", "👨\u200d👩\u200d👧家", ""]
    items = [item(n + 1, name, started=0.0, ended=4.0, service_seconds=4.0) for n, name in enumerate(names * 5)]
    lines = timeline_lines(items, head(), width=width)
    ends = {tuple(cell_width(line[:place]) for place, each in enumerate(line) if each == "│") for line in lines[1:21]}
    assert len(ends) == 1
    assert all(cell_width(line) <= width for line in lines[:21])
    if width >= 60:
        assert lines[1].startswith(" 1 天空")
        assert len(bars(lines)[0]) >= width // 3


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e6) | st.floats(0, 1e-6) | st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0, 5.0]), min_size=1))
def test_every_duration_is_in_exactly_one_bin(values: list[float]) -> None:
    """Counts add up, each is what its bounds say, and there are few enough to see."""
    histogram = histogram_of(values)
    assert sum(histogram.counts) == len(values)
    assert list(histogram.bounds) == sorted(set(histogram.bounds))
    assert len(histogram.counts) <= 15
    bounds = zip(histogram.bounds, histogram.bounds[1:], histogram.counts, strict=False)
    assert all(count == sum(low <= value < high for value in values) for low, high, count in bounds)


def test_equal_bins_of_round_numbers() -> None:
    """The counts are exact, an empty bin is a gap, and the median is marked in its bin."""
    assert histogram_lines("服務", [0.5, 0.6, 0.65, 1.0, 1.9], width=40) == [
        "服務 (5 個, 秒)",
        "  0.4 - 0.6│██████████ 1",
        "  0.6 - 0.8│████████████████████ 2 < p50",
        "  0.8 - 1.0│ 0",
        "  1.0 - 1.2│██████████ 1",
        "  1.2 - 1.4│ 0",
        "  1.4 - 1.6│ 0",
        "  1.6 - 1.8│ 0",
        "  1.8 - 2.0│██████████ 1",
        "  p50 0.650, 最大 1.900 秒",
    ]


def test_one_of_a_thousand_is_still_drawn() -> None:
    """Some is not none."""
    lines = histogram_lines("服務", [*[1.05] * 999, 1.95], width=60)
    assert lines[-2].endswith("│█ 1")


def test_names_do_not_take_the_room_of_the_bars() -> None:
    """However long they are."""
    lines = timeline_lines([item(1, "很長的問題" * 4, started=0.0, ended=4.0)], head(), width=60)
    assert len(bars(lines)[0]) > 20


def test_growing_bins_where_durations_lie_far_apart() -> None:
    """The few slow ones do not press all others into one bin; what lies empty between is one bin."""
    lines = histogram_lines("服務", [0.0, *[0.02] * 50, *[0.06] * 40, *[70.0] * 9], width=60, ascii_only=True)
    assert lines[0] == "服務 (100 個, 秒, 對數刻度)"
    assert [" ".join(line.replace("#", "").split()) for line in lines[1:-1]] == [
        "0 - 0.001| 1", "0.001 - 0.02| 0", "0.02 - 0.05| 50 < p50", "0.05 - 0.1| 40", "0.1 - 50| 0",
        "50 - 100| 9 < p95 p99",
    ]  # fmt: skip
    assert lines[-1] == "  p50 0.020, p95 70.000, p99 70.000, 最大 70.000 秒"


def test_powers_of_ten_where_there_would_be_too_many_bins() -> None:
    """A scale of 1, 2 and 5 over seven decades would fill the screen."""
    histogram = histogram_of([0.001 * 1.3**number for number in range(60)])
    assert histogram.bounds == (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)
    assert histogram.counts == (9, 9, 9, 9, 8, 9, 7)


@pytest.mark.parametrize("value", [0.0, 0.0004, 0.3, 5.0, 1e6])
def test_durations_that_are_all_the_same_are_one_bin(value: float) -> None:
    """Which holds them all."""
    histogram = histogram_of([value] * 7)
    assert histogram.counts == (7,)
    assert histogram.bounds[0] <= value < histogram.bounds[1]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "服務: 尚無資料"),
        ([0.5], "服務: 0.500 秒 (1 個, 太少, 看不出分布)"),
        ([0.75, 0.5], "服務: 0.500, 0.750 秒 (2 個, 太少, 看不出分布)"),
        ([-0.1], "服務: 0.000 秒 (1 個, 太少, 看不出分布)"),
    ],
)
def test_few_durations_are_named(values: list[float], text: str) -> None:
    """A distribution of one or two would be a lie."""
    assert histogram_lines("服務", values) == [text]


@pytest.mark.parametrize(
    ("count", "names"), [(3, "p50"), (19, "p50"), (20, "p50 p95"), (99, "p50 p95"), (100, "p50 p95 p99")]
)
def test_a_percentile_is_told_from_where_it_is_not_the_greatest(count: int, names: str) -> None:
    """p95 of 19 durations would be their greatest under another name."""
    told = histogram_lines("服務", [1.0 + number / 1000 for number in range(count)])[-1]
    assert " ".join(part.split()[0] for part in told.split(",")[:-1]) == names


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1e9), max_size=150), st.integers(20, 120))
def test_no_row_of_a_histogram_is_wider_than_asked(values: list[float], width: int) -> None:
    """And some is never drawn as none where there is room to draw."""
    lines = histogram_lines("⏱️ 任務時間", values, width=width)
    assert all(cell_width(line) <= width for line in lines)
    if width > 60:
        for line in lines[1:-1]:
            assert ("█" in line) == (line.split("│")[1].split("<")[0].strip("█ ") != "0")


def test_the_whole_text_of_a_run() -> None:
    """Timeline, gain and both histograms, the service's only of tasks that called a model."""
    text = run_figures_text(sample(), width=80)
    assert [part.split("\n")[0] for part in text.split("\n\n")] == [
        "📊 時間軸 (5 個任務)",
        "並行 █████████████████████████████████████████████ 4.00 秒",
        "📶 服務時間: 1.000, 2.000 秒 (2 個, 太少, 看不出分布)",
        "⏱️ 任務時間, 不含排隊 (4 個, 秒, 對數刻度)",
    ]
    assert "加速 1.50 倍; 上限 1.50 倍 (取決於最慢的 4.00 秒)" in text


def test_a_run_in_which_nothing_happened() -> None:
    """Says so."""
    assert run_figures_text(report(wall=0.0)) == "📊 時間軸: 尚無資料"
    assert run_figures_text(report(outcome("a", 0.0, 0.0), wall=0.0)).startswith("📊 時間軸: 尚無資料\n\n")

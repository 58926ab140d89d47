"""Where the tasks' time went, as the performance report shows it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from core.limits import Limits
from core.outcome import MISSING, CallFigures, Outcome, OutcomeKind
from tests.utils.limiter_figures import figures
from utils.call_breakdown import CallBreakdown
from utils.text_width import cell_width

NOTHING = "⏱️ 時間花在哪裡: 尚無資料"


def outcome(
    kind: OutcomeKind = OutcomeKind.ANSWERED,
    *,
    queue: float = 0.0,
    run: float | None = 0.0,
    attempts: int = 0,
    limiter: float = 0.0,
    service: float = 0.0,
) -> Outcome[str]:
    """A task submitted at 10 s; run None: no worker took it."""
    started_at = None if run is None else 10.0 + queue
    return Outcome(
        "t", "n", kind, 10.0, 10.0 + queue + (run or 0.0), started_at,
        "x" if kind is OutcomeKind.ANSWERED else MISSING, figures=CallFigures(attempts, limiter, service),
    )  # fmt: skip


def broken_down(*outcomes: Outcome[str]) -> CallBreakdown:
    breakdown = CallBreakdown()
    for each in outcomes:
        breakdown.add(each)
    return breakdown


def test_the_whole_block() -> None:
    """Each part of the time with total, mean and quantiles; then attempts, refusals, the rate and its course."""
    breakdown = broken_down(
        outcome(queue=0.5, run=4.0, attempts=1, limiter=1.0, service=2.0),
        outcome(queue=1.5, run=9.0, attempts=3, limiter=2.0, service=6.0),
    )
    limiter = figures(
        calls=4, refused=1, learned_per_minute=58.3, limits=Limits(requests_per_minute=90),
        history=((0.0, 30.0), (150.0, 90.0)),
    )  # fmt: skip
    assert breakdown.text(limiter, 300.0, width=36).split("\n") == [
        "⏱️ 時間花在哪裡 (秒; 2 個任務, 其中 2 個呼叫模型):",
        "             總計   平均    p50    p95    p99",
        "  排隊      2.000  1.000  0.500  1.500  1.500",
        "  限流等待  3.000  1.500  1.000  2.000  2.000",
        "  服務時間  8.000  4.000  2.000  6.000  6.000",
        "  其他      2.000  1.000  1.000  1.000  1.000",
        "  每個回答的嘗試次數: 2.00 (嘗試 4 次, 模型回答 2 個)",
        "  被拒絕的呼叫: 1 (25.0%)",
        "  每分鐘可呼叫: 上限 90, 學到的 ~58",
        "  每分鐘可呼叫的次數, 隨時間:",
        "  90│               ████████████████",
        "    │               ████████████████",
        "   0│███████████████████████████████",
        "     5 分前                     現在",
    ]


def test_failed_tasks_count_with_their_attempts() -> None:
    """Two attempts for nothing and one for an answer are three attempts for one answer."""
    text = broken_down(
        outcome(OutcomeKind.FAILED, run=3.0, attempts=2, service=3.0),
        outcome(run=1.0, attempts=1, service=1.0),
    ).text(None, 0.0)
    assert "每個回答的嘗試次數: 3.00 (嘗試 3 次, 模型回答 1 個)" in text
    assert "服務時間  4.000  2.000" in text


def test_answers_without_a_call_make_nothing_look_better() -> None:
    """The cache's answers are tasks, but neither answers of the model nor fast services."""
    hits = [outcome(run=0.25) for _ in range(9)]
    text = broken_down(outcome(run=2.0, attempts=2, service=2.0), *hits).text(None, 0.0)
    assert "(秒; 10 個任務, 其中 1 個呼叫模型)" in text
    assert "每個回答的嘗試次數: 2.00" in text
    assert "服務時間  2.000  2.000  2.000" in text
    assert "其他      2.250  0.225  0.250" in text


def test_without_answers_there_is_no_number_of_attempts_for_one() -> None:
    """A dash, with the attempts beside it; what never occurred has dashes, too."""
    text = broken_down(outcome(OutcomeKind.TIMED_OUT, run=3.0, attempts=2, service=3.0)).text(None, 0.0)
    assert "每個回答的嘗試次數: — (嘗試 2 次, 模型回答 0 個)" in text
    text = broken_down(outcome(run=1.0)).text(None, 0.0)
    assert "限流等待      —      —" in text


def test_who_left_the_limiters_line_had_waited() -> None:
    """A task cancelled before its first attempt has its wait in the figures."""
    text = broken_down(outcome(OutcomeKind.CANCELLED, run=5.0, limiter=5.0)).text(None, 0.0)
    assert "限流等待  5.000" in text
    assert "其他      0.000" in text
    text = broken_down(outcome(run=5.0, limiter=2.0)).text(None, 0.0)
    assert "— (嘗試 0 次, 模型回答 0 個)" in text, "answered by another's call in the end"


def test_only_what_a_worker_took_counts() -> None:
    """What was never run says nothing about the way through the program."""
    breakdown = broken_down(outcome(OutcomeKind.NOT_RUN, queue=9.0, run=None))
    assert breakdown.text(None, 0.0) == NOTHING
    assert breakdown.text(figures(), 0.0) == NOTHING, "a limiter that let no call through has nothing to tell"


def test_overlapping_attempts_leave_no_negative_rest() -> None:
    """Hedged calls may be in service longer than the task ran."""
    text = broken_down(outcome(run=2.0, attempts=2, service=3.0)).text(None, 0.0)
    assert "其他      0.000  0.000" in text


def test_what_was_never_limited_says_so() -> None:
    """Without a limit, configured or learned, and without a history there is no plot."""
    lines = broken_down(outcome(run=1.0, attempts=1)).text(figures(calls=1), 0.0).split("\n")
    assert lines[-2:] == ["  被拒絕的呼叫: 0 (0.0%)", "  每分鐘可呼叫: 還沒有遇到上限"]


def test_a_plain_output_gets_a_plain_plot() -> None:
    """No block character where the output is not Unicode."""
    limiter = figures(calls=1, history=((0.0, 3.0), (5.0, 9.0)))
    text = broken_down().text(limiter, 10.0, ascii_only=True)
    assert text.startswith(NOTHING)
    assert "#" in text
    assert not set("▁▂▃▄▅▆▇█│") & set(text)


@pytest.mark.parametrize("width", [40, 60, 200])
def test_the_plot_fits_the_screen(width: int) -> None:
    """Its rows take what there is, up to 60 columns."""
    limiter = figures(calls=1, history=((0.0, 3.0), (5.0, 9.0)))
    rows = broken_down().text(limiter, 10.0, width=width).split("\n")[-4:]
    assert {cell_width(row) for row in rows} == {min(width, 60)}


def test_memory_is_bounded() -> None:
    """A hundred thousand tasks leave no more than buckets."""
    breakdown = CallBreakdown()
    for number in range(100_000):
        breakdown.add(outcome(queue=number * 1e-3, run=number * 3e-3, attempts=1, limiter=1e-3, service=number * 1e-3))
    for durations in (breakdown._sums.queue, breakdown._sums.service, breakdown._sums.other):
        assert len(durations._samples) + len(durations._buckets) < 2000
    assert "100,000 個任務" in breakdown.text(None, 0.0)


@pytest.fixture
def fine_switching() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("fine_switching")
def test_threads_lose_nothing_and_a_reader_sees_whole_tasks() -> None:
    """With four threads adding, each text in between has as many attempts as answers, and the last one has all."""
    breakdown, start = CallBreakdown(), threading.Barrier(5)

    def write() -> None:
        start.wait(20)
        for _ in range(500):
            breakdown.add(outcome(run=1.0, attempts=1, service=1.0))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    start.wait(20)
    while any(thread.is_alive() for thread in threads):
        text = breakdown.text(None, 0.0)
        assert text == NOTHING or "次數: 1.00 " in text
    for thread in threads:
        thread.join(20)
    assert "(嘗試 2,000 次, 模型回答 2,000 個)" in breakdown.text(None, 0.0)

"""What keys do to a run, and what is shown of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import UsageError
from utils.run_keys import RunControls, RunKeys
from utils.text_width import cell_width


class Run:
    """A run that notes what is done to it."""

    def __init__(self) -> None:
        self.paused = False
        self.count = 5
        self.open = {12: "twelve"}
        self.done: list[object] = []
        self.said: list[str] = []
        self.pictures = 0

    def controls(self) -> RunControls:
        return RunControls(
            pause=lambda: setattr(self, "paused", True), resume=lambda: setattr(self, "paused", False),
            is_paused=lambda: self.paused, workers=lambda: self.count, resize=self.resize,
            cancel_task=self.cancel, stop=lambda: self.done.append("stop"),
            most_workers=6,
        )  # fmt: skip

    def cancel(self, task_id: str) -> bool:
        self.done.append(task_id)
        return True

    def resize(self, count: int) -> None:
        self.count = count
        self.done.append(count)

    def keys(self, controls: RunControls | None = None, *, cancels: bool = True) -> RunKeys:
        return RunKeys(
            controls or self.controls(), say=self.said.append, changed=self.picture,
            find_task=self.open.get if cancels else None,
        )  # fmt: skip

    def picture(self) -> None:
        self.pictures += 1


@pytest.fixture
def run() -> Run:
    return Run()


def test_p_pauses_and_goes_on(run: Run) -> None:
    """Each press asks for a new picture, which says it in words."""
    keys = run.keys()
    assert keys.rows(80) == ["p 暫停 · +/- 工作數 5 · c 取消一題 · q 停止並保留 · ? 說明"]
    keys.press("p")
    assert (run.paused, keys.paused, run.pictures) == (True, True, 1)
    assert keys.rows(80) == ["已暫停 · p 繼續 · +/- 工作數 5 · c 取消一題 · q 停止並保留 · ? 說明"]
    keys.press("Ｐ")
    assert not run.paused


def test_a_pause_ends_with_the_run(run: Run) -> None:
    """The next run is not paused; where there is no pause there is nothing to lift."""
    keys = run.keys()
    keys.press("p")
    keys.close()
    assert not run.paused
    resumed: list[bool] = []
    run.keys(replace(run.controls(), resume=lambda: resumed.append(True))).close()
    assert resumed == []


def test_the_workers_are_after_the_run_as_before_it(run: Run) -> None:
    """However often they were changed; a run that changed nothing sets nothing."""
    keys = run.keys()
    keys.press("--")
    keys.press("+")
    keys.close()
    assert run.done == [4, 3, 4, 5]
    keys.close()
    run.keys().close()
    assert run.done == [4, 3, 4, 5]


def test_a_size_that_cannot_be_given_back_ends_nothing(run: Run) -> None:
    """The executor may be closed by then."""

    def resize(count: int) -> None:
        if count == 5:
            raise UsageError("closed")
        run.resize(count)

    keys = run.keys(replace(run.controls(), resize=resize))
    keys.press("-")
    keys.close()
    assert run.count == 4


def test_plus_and_minus_change_the_workers_within_their_bounds(run: Run) -> None:
    """One by one, without shift too, from 1 to the most there may be."""
    run.keys().press("+=+＋")
    assert run.done == [6]
    run.keys().press("-_-ー----")  # one of them no minus at all
    assert run.done == [6, 5, 4, 3, 2, 1]


def test_c_cancels_the_one_whose_number_is_typed(run: Run) -> None:
    """Digits of any width, backspace, Enter; the keys mean nothing else meanwhile."""
    keys = run.keys()
    keys.press("c")
    assert keys.rows(80) == ["取消第幾個? ▏ (Enter 確定, Esc 放棄)"]
    keys.press("１q3p")
    assert keys.rows(80) == ["取消第幾個? 13▏ (Enter 確定, Esc 放棄)"]
    keys.press("\x7f2")
    assert run.done == []
    keys.press("\r")
    assert (run.done, run.said, run.paused) == (["twelve"], [], False)
    assert keys.rows(80)[0].startswith("p 暫停")


def test_giving_up_cancels_nothing(run: Run) -> None:
    """Esc, or Enter without a number."""
    keys = run.keys()
    keys.press("c12")
    keys.press("\x1b")
    keys.press("c\r")
    keys.press("\n")
    assert (run.done, run.said) == ([], [])


def test_a_number_that_is_not_open_is_said_to_be(run: Run) -> None:
    """Whether nobody knows it or the task has just ended; no number is longer than six digits."""
    run.keys().press("c1234567\r")
    run.keys(replace(run.controls(), cancel_task=lambda task_id: False)).press("c12\r")
    assert run.said == ["第 123,456 個不在進行中, 也不在排隊", "第 12 個不在進行中, 也不在排隊"]


def test_q_stops_once(run: Run) -> None:
    """After it no key does anything."""
    keys = run.keys()
    keys.press("q")
    keys.press("qp+c")
    assert (run.done, run.paused) == (["stop"], False)
    assert keys.rows(80) == ["停止中, 已完成的會保留"]


@pytest.mark.parametrize("key", ["?", "h", "？"])
def test_the_keys_are_explained_on_demand(run: Run, key: str) -> None:
    """One row each, and gone at the second press."""
    keys = run.keys()
    keys.press("p" + key)
    assert [row[:1] for row in keys.rows(80)] == ["已", "p", "+", "c", "q", "?"]
    keys.press("p" + key)
    assert len(keys.rows(80)) == 1
    run.keys(cancels=False).press(key)


def test_without_tasks_there_is_none_to_cancel(run: Run) -> None:
    """Neither the key nor its help."""
    keys = run.keys(cancels=False)
    keys.press("c12\r")
    assert run.done == []
    assert keys.rows(80) == ["p 暫停 · +/- 工作數 5 · q 停止並保留 · ? 說明"]
    keys.press("?")
    assert [row[:1] for row in keys.rows(80)] == ["p", "+", "q", "?"]


def test_what_a_control_raises_is_said(run: Run) -> None:
    """In one line, whatever it is; the run goes on and so do the keys."""

    def refuse() -> None:
        raise UsageError("max_workers 必須介於\n1 與 2 之間\x1b[2J")

    def fail(count: int) -> None:
        raise ZeroDivisionError

    keys = run.keys(replace(run.controls(), pause=refuse, resize=fail))
    keys.press("p+q")
    assert run.said == [
        "⚠️ 按鍵 p 沒有作用: max_workers 必須介於 1 與 2 之間␛[2J",
        "⚠️ 按鍵 + 沒有作用: ZeroDivisionError",
    ]
    assert run.done == ["stop"]


def test_controls_that_cannot_tell_end_no_drawing(run: Run) -> None:
    """What they do not say is left out."""

    def broken() -> int:
        raise ZeroDivisionError

    keys = run.keys(replace(run.controls(), is_paused=lambda: bool(broken()), workers=broken))
    assert keys.rows(80) == ["p 暫停 · +/- 工作數 · c 取消一題 · q 停止並保留 · ? 說明"]


def test_a_paste_is_refused_once(run: Run) -> None:
    """However much of it there is."""
    keys = run.keys()
    keys.refuse()
    keys.refuse()
    assert run.said == ["⚠️ 執行中不接受輸入, 貼上的內容沒有採用"]
    assert run.pictures == 1


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
@pytest.mark.parametrize("state", ["", "p", "p?", "c123456", "q"])
def test_no_row_is_wider_than_the_screen(run: Run, width: int, state: str) -> None:
    """The line of keys keeps to one row, two where the screen is narrow."""
    keys = run.keys()
    keys.press(state)
    rows = keys.rows(width)
    assert max(map(cell_width, rows)) <= width
    assert len(rows) <= (6 if "?" in state else 1 if width >= 50 else 2)

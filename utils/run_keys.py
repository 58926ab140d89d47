"""What the keys do while a run goes on."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.language import tr
from utils.fact_rows import fact_rows
from utils.redraw import foreign
from utils.text_width import fit, one_line, preview

__all__ = ["RunControls", "RunKeys"]

_WIDE: Final = 50
_MOST_DIGITS: Final = 6
_REASON_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class RunControls:
    """What can be done to a run from outside. All of it is called from threads that are not the run's.

    cancel_task is given a task's id and says whether it was still open; stop ends the run and keeps what is
    answered, as the first Ctrl-C does.
    """

    pause: Callable[[], object]
    resume: Callable[[], object]
    is_paused: Callable[[], bool]
    workers: Callable[[], int]
    resize: Callable[[int], object]
    cancel_task: Callable[[str], bool]
    stop: Callable[[], object]
    most_workers: int = 1000


class RunKeys:
    """Takes the keys of one run and shows, in rows at the bottom, what they would do.

    press() and refuse() are for the thread that reads the keyboard: the controls are called there, and what they
    raise is said in a line. rows() and paused are for the thread that draws. say(line) tells the person something,
    changed() asks for a new picture; both are thread-safe. find_task gives the id of the open task of a number;
    without it there is no key to cancel one.
    """

    def __init__(
        self,
        controls: RunControls,
        *,
        say: Callable[[str], object],
        changed: Callable[[], object],
        find_task: Callable[[int], str | None] | None = None,
        cursor: str = "▏",
    ) -> None:
        self._controls = controls
        self._say = say
        self._changed = changed
        self._find_task = find_task
        self._cursor = cursor
        # Written by the thread that reads the keyboard, each in one assignment; the one that draws only reads them.
        self._number: str | None = None
        self._explains = False
        self._stopped = False
        self._refused = False
        self._workers_before: int | None = None  # of the first change
        self._actions = self._bound()

    def press(self, keys: str) -> None:
        """Act on keys that were typed; those that mean nothing are passed over."""
        for key in unicodedata.normalize("NFKC", keys):
            if self._number is not None:
                self._edit(key)
            elif not self._stopped and (action := self._actions.get(key.lower())):
                self._attempt(key, action)
        self._changed()

    def refuse(self) -> None:
        """Something was pasted: say once that nothing of it was taken."""
        if not self._refused:
            self._refused = True
            self._say(tr("⚠️ 執行中不接受輸入, 貼上的內容沒有採用"))
            self._changed()

    def close(self) -> None:
        """The run is over: nothing of a pause, nor of more or fewer workers, is left for the next one."""
        workers, self._workers_before = self._workers_before, None
        if workers is not None:
            foreign(lambda: self._controls.resize(workers))
        if self.paused:
            foreign(self._controls.resume)

    @property
    def paused(self) -> bool:
        return bool(foreign(self._controls.is_paused))

    def rows(self, width: int) -> list[str]:
        """The number being typed, or else the keys: on one row, or all of them explained."""
        number = self._number
        if number is not None:
            typed = f"{number}{self._cursor}"
            return [fit(tr("取消第幾個? {typed} (Enter 確定, Esc 放棄)", typed=typed), width)]
        if self._stopped:
            return [fit(tr("停止中, 已完成的會保留"), width)]
        if self._explains:
            return [fit(line, width) for line in self._explanations()]
        return fact_rows(self._facts(), width)[: 1 if width >= _WIDE else 2]

    def _bound(self) -> dict[str, Callable[[], object]]:
        more, fewer = self._resizing(1), self._resizing(-1)
        actions: dict[str, Callable[[], object]] = {
            "p": self._pause, "+": more, "=": more, "-": fewer, "_": fewer,
            "q": self._stop, "?": self._explain, "h": self._explain,
        }  # fmt: skip
        return {**actions, "c": self._begin} if self._find_task is not None else actions

    def _attempt(self, key: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - foreign code: its error is shown, and the run goes on
            reason = preview(one_line(str(error)), _REASON_CHARACTERS) or type(error).__name__
            self._say(tr("⚠️ 按鍵 {key} 沒有作用: {reason}", key=key, reason=reason))

    def _pause(self) -> None:
        if self._controls.is_paused():
            self._controls.resume()
        else:
            self._controls.pause()

    def _resizing(self, by: int) -> Callable[[], object]:
        def resize() -> None:
            workers = self._controls.workers()
            wanted = min(max(workers + by, 1), self._controls.most_workers)
            if wanted != workers:
                if self._workers_before is None:
                    self._workers_before = workers
                self._controls.resize(wanted)

        return resize

    def _stop(self) -> None:
        self._stopped = True
        self._controls.stop()

    def _explain(self) -> None:
        self._explains = not self._explains

    def _begin(self) -> None:
        self._number = ""

    def _edit(self, key: str) -> None:
        number = self._number or ""
        if key in "\r\n":
            self._number = None
            if number:
                self._attempt("c", lambda: self._cancel(int(number)))
        elif key == "\x1b":
            self._number = None
        elif key in "\x7f\b":
            self._number = number[:-1]
        elif key.isdecimal() and len(number) < _MOST_DIGITS:
            self._number = number + key

    def _cancel(self, number: int) -> None:
        assert self._find_task is not None
        task_id = self._find_task(number)
        if task_id is None or not self._controls.cancel_task(task_id):
            self._say(tr("第 {number:,} 個不在進行中, 也不在排隊", number=number))

    def _facts(self) -> list[str]:
        facts = [tr("已暫停"), tr("p 繼續")] if self.paused else [tr("p 暫停")]
        workers = foreign(self._controls.workers)
        facts.append(tr("+/- 工作數") if workers is None else tr("+/- 工作數 {workers:,}", workers=workers))
        if self._find_task is not None:
            facts.append(tr("c 取消一題"))
        return [*facts, tr("q 停止並保留"), tr("? 說明")]

    def _explanations(self) -> list[str]:
        lines = [tr("已暫停")] if self.paused else []
        lines.append(tr("p 暫停或繼續: 暫停時不開始新的問題, 正在詢問的照常完成"))
        lines.append(tr("+/- 增加或減少同時詢問的工作數"))
        if self._find_task is not None:
            lines.append(tr("c 取消一題: 輸入題號, 其他的不受影響"))
        return [*lines, tr("q 停止並保留: 已完成的回答會留下"), tr("? 收起說明")]

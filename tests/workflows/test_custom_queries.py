"""From entries to the questions that run, with a scripted keyboard and a desk that edits as it is told."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from core.cost import Range, RunEstimate
from core.errors import UsageError
from utils.console import Console
from utils.line_input import Entry, Pasted, Typed
from utils.query_desk import QueryDesk
from utils.query_preview import QueryFigures
from workflows import custom_queries
from workflows.custom_queries import ChosenQueries, CustomQueries


class Desk(QueryDesk):
    """Edits by a function; None gives up. counts holds what the box would have shown, kept what was remembered."""

    def __init__(self, change: Callable[[str], str | None] = lambda text: text) -> None:
        self.change = change
        self.counts: list[str] = []
        self.kept: list[str] = []

    def edit(self, text: str, status: Callable[[str], str], *, at_end: bool = False) -> str | None:
        changed = self.change(text)
        self.counts.append(status(text if changed is None else changed))
        return changed

    def edit_outside(self, text: str) -> str:
        changed = self.change(text)
        if changed is None:
            raise UsageError("編輯器壞了")
        return changed

    def remember(self, text: str) -> None:
        self.kept.append(text)


class Keyboard(Console):
    """A console on which a script types. A str is a typed line, a list the lines of a paste, an exception is raised."""

    def __init__(self, *script: str | list[str] | Entry | type[BaseException], desk: Desk | None = None) -> None:
        self.out = io.StringIO()
        super().__init__(stdin=io.StringIO(), stdout=self.out, stderr=self.out, environ={}, history_path=None)
        self.script = list(script)
        self.desk = desk
        self.prompts: list[str] = []

    def query_desk(self) -> QueryDesk | None:
        return self.desk

    def ask_choice(self, prompt: str) -> Entry:
        self.prompts.append(prompt)
        act = self.script.pop(0)
        if isinstance(act, type):
            raise act
        if isinstance(act, list):
            return Pasted(tuple(act))
        return Typed(act) if isinstance(act, str) else act

    def ask_query(self, number: int) -> Entry:
        return self.ask_choice(f"{number}>")

    @property
    def shown(self) -> str:
        return self.out.getvalue()


LOOKED: list[int] = []


def look(queries: Sequence[str]) -> QueryFigures:
    LOOKED.append(len(queries))
    return QueryFigures(RunEstimate(len(queries), 1, 1, Range(1, 1), None, Range(1.0, 1.0), True))


def enter(keyboard: Keyboard, sets: Sequence[tuple[str, Sequence[str]]] = ()) -> ChosenQueries | None:
    LOOKED.clear()
    found = CustomQueries(keyboard, look=look, query_sets=lambda: sets).enter()
    assert keyboard.script == []
    return found


def drawing(*script: str | list[str] | Entry | type[BaseException], desk: Desk | None = None) -> Keyboard:
    return Keyboard(*script, desk=desk or Desk())


def test_a_pipe_is_asked_as_ever() -> None:
    """Where nothing can be drawn: the prompt, numbered lines, no word more."""
    out = io.StringIO()
    console = Console(stdin=io.StringIO("1. 甲\n/edit\n\n"), stdout=out, stderr=out, environ={}, history_path=None)
    found = CustomQueries(console, look=look).enter()
    assert found == ChosenQueries(("1. 甲", "/edit"), agreed=False)
    assert out.getvalue() == "請輸入多個問題(每行一個,輸入空行結束):\n1> \n2> \n3> \n"


@pytest.mark.parametrize("keyboard", [Keyboard(""), drawing(""), drawing(EOFError), drawing("/load ", "")])
def test_nothing_entered_is_said(keyboard: Keyboard) -> None:
    """The reference's sentence, on any screen."""
    assert enter(keyboard) is None
    assert keyboard.shown.endswith("❌ 沒有輸入查詢\n")


@pytest.mark.parametrize(
    ("script", "queries"),
    [
        (("甲", ""), ("甲",)),
        (("甲", "乙", EOFError), ("甲", "乙")),
        ((Typed("-5 度", last=True),), ("-5 度",)),
        ((Typed("/help", pasted=True), ""), ("/help",)),
        (("/helpme", "/help 我", ""), ("/helpme", "/help 我")),
    ],
)
def test_one_or_two_typed_questions_just_run(
    script: tuple[str | Entry | type[BaseException], ...], queries: tuple[str, ...]
) -> None:
    """Nothing is shown and nothing asked."""
    keyboard = drawing(*script)
    assert enter(keyboard) == ChosenQueries(queries, agreed=False)
    assert "📋" not in keyboard.shown
    assert LOOKED == []


def test_a_paste_is_reviewed_with_one_question() -> None:
    """More than fifty pasted questions take one Enter, and the estimate is of what will run."""
    keyboard = drawing([f"{n}. 題{n}" for n in range(1, 62)], "", "")
    found = enter(keyboard)
    assert found == ChosenQueries(tuple(f"題{n}" for n in range(1, 62)), agreed=True)
    assert keyboard.prompts == ["1>", "62>", "Enter 執行, e 編輯, s 改為每段一題, n 保留編號, q 取消: "]
    assert LOOKED == [61]
    assert "已收到 61 個問題; 再按一次 Enter 開始, 或繼續輸入" in keyboard.shown


def test_every_choice_of_the_review() -> None:
    """n, s, d and back again; what is not offered changes nothing, nonsense and pastes are no choice."""
    keyboard = drawing(["1. 甲", "2. 乙", "3. 甲"], "", "n", "ｎ", "d", "d", "d", "s", "s", "?", ["q", "q"], "")
    assert enter(keyboard) == ChosenQueries(("甲", "乙"), agreed=True)
    assert keyboard.shown.count("❌ 無效的選擇") == 2
    assert LOOKED == [3, 3, 3, 2, 3, 2, 1, 2]
    keyboard = drawing(["甲", "乙"], "", "d", "s", "ｙ")
    assert enter(keyboard) == ChosenQueries(("甲\n乙",), agreed=True)
    keyboard = drawing(Pasted(("甲", "乙"), last=True), "d", "")
    assert enter(keyboard) == ChosenQueries(("甲", "乙"), agreed=True)
    assert "已收到" not in keyboard.shown


def test_editing_at_the_review() -> None:
    """The edited text is read again, remembered, counted as it would be read; giving up changes nothing."""
    desk = Desk(lambda text: text + "\n3. 丙")
    assert enter(drawing(["1. 甲", "2. 乙"], "", "e", "", desk=desk)) == ChosenQueries(("甲", "乙", "丙"), agreed=True)
    assert (desk.counts, desk.kept) == (["3 個問題"], ["1. 甲\n2. 乙\n3. 丙"])
    keyboard = drawing(["甲", "乙"], "", "e", "", desk=Desk(lambda text: None))
    assert enter(keyboard) == ChosenQueries(("甲", "乙"), agreed=True)
    assert LOOKED == [2]
    unchanged = Desk()
    enter(drawing(["甲", "乙"], "", "e", "", desk=unchanged))
    assert unchanged.kept == []


def test_editing_outside() -> None:
    """ed takes the person's own editor; where that fails, one sentence, and the questions stay."""
    outside = Desk(lambda text: "丙")
    assert enter(drawing(["甲", "乙"], "", "ed", "", desk=outside)) == ChosenQueries(("丙",), agreed=True)
    keyboard = drawing(["甲", "乙"], "", "ed", "", desk=Desk(lambda text: None))
    assert enter(keyboard) == ChosenQueries(("甲", "乙"), agreed=True)
    assert "❌ 編輯器壞了" in keyboard.shown


class Narrow(Desk):
    """A box that takes no text."""

    def edit(self, text: str, status: Callable[[str], str], *, at_end: bool = False) -> str | None:
        raise UsageError("文字太大")


def test_a_text_that_is_too_large_for_the_box() -> None:
    """One sentence, at the review as at the entry, and everything goes on."""
    keyboard = drawing(["甲", "乙"], "/edit", "", "e", "", desk=Narrow())
    assert enter(keyboard) == ChosenQueries(("甲", "乙"), agreed=True)
    assert keyboard.shown.count("❌ 文字太大") == 2


@pytest.mark.parametrize("last", ["q", "Ｑ", "n", EOFError])
def test_a_cancelled_set_can_be_recalled(last: str | type[BaseException]) -> None:
    """After q, a no or Ctrl-D the whole set is in the history, and the person is told."""
    desk = Desk()
    keyboard = drawing("甲", ["乙", "丙"], "", last, desk=desk)
    assert enter(keyboard) is None
    assert desk.kept == ["甲\n乙\n丙"]
    assert keyboard.shown.endswith("已取消; 再選 2, 按 ↑ 可以取回這些問題\n")


def test_an_emptied_set_is_cancelled() -> None:
    """An edit that leaves no question runs nothing, and what was there before can be recalled."""
    desk = Desk(lambda text: " \n")
    assert enter(drawing(["甲", "乙"], "", "e", desk=desk)) is None
    assert desk.kept == ["甲\n乙"]


def test_an_interrupt_keeps_the_set() -> None:
    """Ctrl-C at the review passes, and the questions are in the history."""
    desk = Desk()
    keyboard = drawing("甲", "乙", "丙", "", KeyboardInterrupt, desk=desk)
    with pytest.raises(KeyboardInterrupt):
        enter(keyboard)
    assert desk.kept == ["甲\n乙\n丙"]
    one = Desk()
    with pytest.raises(KeyboardInterrupt):
        enter(drawing("/history", "1", "", KeyboardInterrupt, desk=one), [("舊", ["甲"])])
    assert one.kept == []


def test_edit_at_the_entry_ends_it() -> None:
    """/edit takes what there is into the box and on to the review; giving up goes on with the entry."""
    assert enter(drawing("甲", "/edit", "", desk=Desk(lambda text: text + "\n乙\n丙"))) == ChosenQueries(
        ("甲", "乙", "丙"), agreed=True
    )
    keyboard = drawing("甲", "/edit", "", desk=Desk(lambda text: None))
    assert enter(keyboard) == ChosenQueries(("甲",), agreed=False)
    assert keyboard.prompts == ["1>", "2>", "2>"]


def test_loading_a_file(tmp_path: Path) -> None:
    """Its questions are added, bad bytes told; an empty file or none adds nothing."""
    path = tmp_path / "q.txt"
    path.write_bytes("1. 甲\n2. 乙".encode() + b"\xff\n")
    (tmp_path / "empty.txt").write_text("\n\n")
    keyboard = drawing(f"／ＬＯＡＤ {path}", f"/load {tmp_path}/empty.txt", "/load 無", "", "")
    assert enter(keyboard) == ChosenQueries(("甲", "乙�"), agreed=True)
    assert keyboard.prompts[:4] == ["1>", "3>", "3>", "3>"]
    for text in (
        "檔案中有 1 個無法解碼的位元組",
        "📄 已讀入 q.txt: 2 個問題",
        "📄 已讀入 empty.txt: 0 個問題",
        "❌ 找不到檔案 無",
    ):
        assert text in keyboard.shown


def test_recalling_a_set() -> None:
    """Sets are numbered; questions come as they were; anything but a number of the list goes back."""
    sets = [(f"第{n}組", [f"題{n}", " ", "兩\n行"]) for n in range(30)]
    keyboard = drawing("/history", "21", "/history", "", "/history", "２", "", "")
    assert enter(keyboard, sets) == ChosenQueries(("題1", "兩\n行"), agreed=True)
    assert "│ 20. 第19組 (3 個問題)" in keyboard.shown
    assert "第20組" not in keyboard.shown
    keyboard = drawing("/history", "")
    assert enter(keyboard) is None
    assert "還沒有過去的問題" in keyboard.shown


def test_help_is_shown() -> None:
    """Every command is in it."""
    keyboard = drawing("/help", "甲", "")
    enter(keyboard)
    assert all(word in keyboard.shown for word in ("/load 檔案", "/edit  ", "/history  ", "Ctrl-C  "))


def test_more_than_one_run_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond the most is said and left out, of the estimate too."""
    monkeypatch.setattr(custom_queries, "MOST_QUERIES", 2)
    keyboard = drawing(["甲", "乙", "丙"], "", "")
    assert enter(keyboard) == ChosenQueries(("甲", "乙"), agreed=True)
    assert "後面的 1 個沒有採用" in keyboard.shown
    assert LOOKED == [2]


def test_a_paste_at_the_menu() -> None:
    """Where nothing can be drawn a yes is asked for as ever; elsewhere it is reviewed; blank lines are nothing."""
    lines = Pasted(("5", "", "6"))
    yes, no, shown = Keyboard("y"), Keyboard(""), drawing("")
    found = [CustomQueries(keyboard, look=look).pasted(lines) for keyboard in (yes, no, shown)]
    assert found == [ChosenQueries(("5", "6")), None, ChosenQueries(("5", "6"), agreed=True)]
    assert yes.prompts == ["貼上的是多行文字, 要當成 2 個問題執行嗎? (y/N): "]
    assert CustomQueries(drawing(), look=look).pasted(Pasted(("", " "))) is None

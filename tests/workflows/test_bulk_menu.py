"""Option 7 on a file, driven by typed lines, with the offline demonstration model."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.bulk import BulkEnd, BulkProgress
from core.errors import UsageError
from core.outcome import OutcomeKind
from core.scope import Scope
from core.settings import Settings
from optimizers.analyses import ANALYSES, Analysis
from optimizers.own_analyses import custom_analysis, parse_fields
from utils.console import Console
from utils.interrupts import Interrupts
from utils.text_source import TextSource
from workflows.bulk_job import BulkJob
from workflows.bulk_menu import BulkMenu
from workflows.engine import Engine

SENTIMENT = ANALYSES["sentiment"]
EXPORT = "匯出檔名"
Visit = Callable[..., tuple[str, object]]


class Person(Console):
    """A console whose input counts as a person's."""

    @property
    def is_interactive(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return tmp_path


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(Settings(offline_scale=0.0))
    yield engine
    engine.close()


@pytest.fixture
def visit(engine: Engine) -> Visit:
    """Does something with a menu whose person types these lines; gives what was shown, and what came back."""

    def visit(do: Callable[[BulkMenu], object], typed: str = "", kind: type[Console] = Person) -> tuple[str, object]:
        out = io.StringIO()
        console = kind(stdin=io.StringIO(typed), stdout=out, stderr=io.StringIO(), environ={}, history_path=None)
        found = do(BulkMenu(console, Interrupts(), engine))
        return out.getvalue(), found

    return visit


def texts(path: Path, count: int) -> Path:
    path.write_text("".join(f"第 {number} 則, 很好\n" for number in range(count)), encoding="utf-8")
    return path


def job(engine: Engine, path: Path, analysis: Analysis = SENTIMENT) -> BulkJob:
    engine.wait_until_loaded()
    return BulkJob(engine, TextSource(path), analysis)


@pytest.mark.parametrize(("typed", "analysis"), [
    ("1\n", SENTIMENT),
    ("2\n", ANALYSES["summary"]),
    ("9\n", None),
    ("\n", None),
])  # fmt: skip
def test_a_number_chooses_an_analysis(visit: Visit, typed: str, analysis: Analysis | None) -> None:
    """Of those there are; anything else is no choice."""
    shown, found = visit(lambda menu: menu.choose_analysis(), typed)
    assert found == analysis
    assert ("❌ 無效的選擇" in shown) == (analysis is None)
    assert "4. 分類 (自訂標籤)\n5. 自訂分析\n" in shown


def test_labels_and_fields_of_ones_own(visit: Visit) -> None:
    """The person says the labels, or the instruction and the fields."""
    _, closed = visit(lambda menu: menu.choose_analysis(), "4\n帳務,技術\n")
    assert isinstance(closed, Analysis)
    assert closed.labels == ("帳務", "技術")
    _, custom = visit(lambda menu: menu.choose_analysis(), "5\n找出產品\n產品,價格:number\n")
    assert custom == custom_analysis("找出產品", parse_fields("產品,價格:number"))


def test_a_file_from_preview_to_export(visit: Visit, home: Path) -> None:
    """Counts, estimate, end, results and the file; a second time nothing is asked."""
    path = texts(home / "a.txt", 3)
    path.write_text(path.read_text(encoding="utf-8") + "\n第 0 則, 很好\n", encoding="utf-8")
    shown, _ = visit(lambda menu: menu.analyze(path, SENTIMENT), f"{home / 'out.csv'}\n")
    assert "  文字 4, 重複 1, 空白 1, 要問 3\n📐 預估: 共 3 則文字" in shown
    assert "📦 開始批次處理 3 則文字 (情感分析)" in shown
    assert "🎉 批次完成, 每一則都有結果" in shown
    assert "分析結果:\n" in shown
    assert (home / "out.csv").read_text(encoding="utf-8-sig").splitlines()[0] == (
        '"編號","行","文字","結果","分析結果","原因","嘗試次數","秒"'
    )
    shown, _ = visit(lambda menu: menu.analyze(path, SENTIMENT), "\n")
    assert "先前完成 3" in shown
    assert "📐 預估" not in shown


def test_without_a_person_nothing_is_asked(visit: Visit, home: Path) -> None:
    """Above fifty too; the results are shown and no file is offered."""
    shown, _ = visit(lambda menu: menu.analyze(texts(home / "a.txt", 60), SENTIMENT), kind=Console)
    assert "🎉 批次完成" in shown
    assert EXPORT not in shown
    assert visit(lambda menu: menu.unfinished(), kind=Console) == ("", False)


@pytest.mark.parametrize(("answer", "runs"), [("y\n\n", True), ("n\n", False)])
def test_above_fifty_a_person_is_asked(visit: Visit, home: Path, answer: str, runs: bool) -> None:
    """Only a yes starts the run."""
    shown, _ = visit(lambda menu: menu.analyze(texts(home / "a.txt", 60), SENTIMENT), answer)
    assert "要執行嗎?" in shown
    assert ("📦 開始" in shown) == runs


def test_a_file_without_texts(visit: Visit, home: Path) -> None:
    """It is said, and nothing is run."""
    (home / "a.txt").write_text("\n\n", encoding="utf-8")
    shown, _ = visit(lambda menu: menu.analyze(home / "a.txt", SENTIMENT))
    assert shown == "❌ 檔案裡沒有文字\n"


@pytest.mark.parametrize(("answer", "readable"), [("y", True), ("n", False)])
def test_another_encoding_only_after_a_yes(visit: Visit, home: Path, answer: str, readable: bool) -> None:
    """The guess is shown with a line as it would be read."""
    (home / "a.txt").write_bytes("這家餐廳很好吃, 服務也很好\n".encode("big5"))
    shown, _ = visit(lambda menu: menu.analyze(home / "a.txt", SENTIMENT), f"{answer}\n\n")
    assert "第 1 行: 這家餐廳很好吃, 服務也很好\n" in shown
    assert ("  1. 這家餐廳很好吃" in shown) == readable


def test_a_column_that_is_not_obvious_is_asked_for(visit: Visit, home: Path) -> None:
    """Of a table only, and only of a person."""
    (home / "a.csv").write_text("甲,乙\n1,很好\n", encoding="utf-8")
    shown, _ = visit(lambda menu: menu.analyze(home / "a.csv", SENTIMENT), "乙\n\n")
    assert "請說出文字在哪一欄: 甲、乙\n" in shown
    assert "  1. 很好" in shown
    with pytest.raises(UsageError, match="請說出文字在哪一欄"):
        visit(lambda menu: menu.analyze(home / "a.csv", SENTIMENT), kind=Console)
    with pytest.raises(UsageError, match="找不到檔案"):
        visit(lambda menu: menu.analyze(home / "b.txt", SENTIMENT))


@pytest.fixture
def begun(engine: Engine, home: Path) -> Path:
    """A file of which two texts have their results."""
    path = texts(home / "a.txt", 4)
    with job(engine, path) as begun:
        begun.look(Scope())
        begun.check(2, Scope())
    return path


def test_what_was_left_is_offered(visit: Visit, begun: Path) -> None:
    """A yes goes on with it and asks only the rest; then there is nothing left to offer."""
    shown, found = visit(lambda menu: menu.unfinished(), "y\n\n")
    assert found is True
    assert "上次未完成 2/4: a.txt, 要繼續嗎?" in shown
    assert "先前完成 2, 要問 2\n" in shown
    assert "⚠️" not in shown
    assert visit(lambda menu: menu.unfinished()) == ("", False)


def test_what_was_left_is_not_pressed_on_anybody(visit: Visit, begun: Path) -> None:
    """After a no, or where the file is gone, the menu goes on as if nothing was left."""
    shown, found = visit(lambda menu: menu.unfinished(), "n\n")
    assert (found, "📦" in shown) == (False, False)
    begun.unlink()
    assert visit(lambda menu: menu.unfinished()) == ("", False)


def test_going_on_with_another_model_says_that_all_is_asked_again(
    visit: Visit, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results of one model are not mixed with another's."""

    class Renamed(BulkJob):
        def __enter__(self) -> Renamed:
            self.model = "another"
            return self

    monkeypatch.setattr("workflows.bulk_menu.BulkJob", Renamed)
    shown, _ = visit(lambda menu: menu.unfinished(), "y\n\n")
    assert "⚠️ 現在的模型與上次不同" in shown


@pytest.mark.parametrize(("typed", "tries"), [("r\nR\n\n", 2), ("r\nx\n\n", 1), ("x\n\n", 0)])
def test_a_full_disk_is_tried_again_as_long_as_the_person_wants(
    visit: Visit, home: Path, monkeypatch: pytest.MonkeyPatch, typed: str, tries: int
) -> None:
    """Until everything is saved, or another key."""
    left = [1, 0]

    class Full(BulkJob):
        def run(self, scope: Scope) -> BulkEnd:
            return replace(super().run(scope), unsaved=2)

        def save_again(self) -> int:
            return left.pop(0)

    monkeypatch.setattr("workflows.bulk_menu.BulkJob", Full)
    shown, _ = visit(lambda menu: menu.analyze(texts(home / "a.txt", 2), SENTIMENT), typed)
    assert "磁碟已滿, 2 則結果仍在記憶體: 按 r 重試, 其他鍵放棄: " in shown
    assert 2 - len(left) == tries


def test_after_a_stop_the_menu_is_back_at_once(visit: Visit, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done is told; the input is not read again, and no file is offered."""

    class Stopped(BulkJob):
        def run(self, scope: Scope) -> BulkEnd:
            scope.cancel()
            return super().run(scope)

    monkeypatch.setattr("workflows.bulk_menu.BulkJob", Stopped)
    shown, _ = visit(lambda menu: menu.analyze(texts(home / "a.txt", 2), SENTIMENT))
    assert "⏸️ 批次已暫停" in shown
    assert "📋 結果" not in shown
    assert EXPORT not in shown


def test_a_job_that_has_not_run(engine: Engine, home: Path) -> None:
    """No progress, nothing to save, every text not asked yet."""
    with job(engine, texts(home / "a.txt", 2)) as fresh:
        assert fresh.progress() == BulkProgress()
        assert fresh.save_again() == 0
        assert [(row.kind, row.reason) for row in fresh.rows()] == [(OutcomeKind.NOT_RUN, "還沒有問")] * 2
        assert "❌ 沒有結果的 2 則:" in fresh.results_text(width=80)
        assert fresh.head().title == "批次文字分析: 情感分析"


def test_a_file_that_changes_after_the_look_is_looked_up_anew(engine: Engine, begun: Path) -> None:
    """What the look found at the beginning counts only for the file it was; of one that is gone, reading tells."""
    with job(engine, begun) as changed:
        changed.look(Scope())
        begun.write_text("新的\n" + begun.read_text(encoding="utf-8"), encoding="utf-8")
        assert changed.run(Scope()).complete
        assert [row.kind for row in changed.rows()] == [OutcomeKind.ANSWERED] * 5
        assert changed.save_again() == 0
        begun.unlink()
        with pytest.raises(UsageError, match="找不到檔案"):
            changed.run(Scope())


def test_several_fields_stand_side_by_side(engine: Engine, home: Path) -> None:
    """Each row tells every field by its name; only fields of few values are counted."""
    analysis = custom_analysis("看看", parse_fields("態度:好|壞,推薦:boolean,產品"))
    with job(engine, texts(home / "a.txt", 2), analysis) as several:
        assert several.run(Scope()).complete
        text = several.results_text(width=200)
    assert "    1  態度: " in text
    assert "\n態度:\n" in text
    assert "\n推薦:\n" in text
    assert "\n產品:\n" not in text

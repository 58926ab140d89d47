"""Data become the text of the screen, compared as whole transcripts."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import iter_graphemes

from core.errors import ErrorKind, ModelError
from core.events import (
    BatchFinished,
    BatchStarted,
    Event,
    QuotaWaiting,
    RetryScheduled,
    RunFinished,
    RunStarted,
    TaskFinished,
    TaskStarted,
)
from core.outcome import MISSING, Answer, AnswerSource, ExecutorStatistics, Outcome, OutcomeKind, RunReport, Usage
from utils.rendering import (
    aggregate_text,
    answer_text,
    banner_text,
    batch_table,
    cache_text,
    event_line,
    executor_text,
    framed,
    menu_text,
    outcome_line,
    query_sets_text,
)
from utils.text_width import cell_width, fit, fit_end, graphemes, one_line, pad, preview, rows_of, wrap_line

FAMILY = "👨‍👩‍👧‍👦"


def answered(
    text: str, seconds: float = 1.0, *, name: str = "問題", source: AnswerSource = AnswerSource.MODEL, cut: bool = False
) -> Outcome[Answer]:
    answer = Answer(text, "gemini-2.5-flash", Usage(10, 20, 5), truncated=cut, source=source)
    return Outcome("t", name, OutcomeKind.ANSWERED, 0.0, seconds, 0.0, answer)


def unanswered(
    kind: OutcomeKind, reason: str = "", advice: str = "", *, name: str = "問題", seconds: float = 1.0
) -> Outcome[Any]:
    return Outcome("t", name, kind, 0.0, seconds, 0.0, MISSING, RuntimeError(), reason, advice)


def report(*outcomes: Outcome[Any], wall: float = 2.5) -> RunReport[Any]:
    return RunReport(outcomes, 100.0, 100.0 + wall)


def test_the_banner_and_the_menu() -> None:
    """Title, notices, rule; then the menu from its table."""
    assert banner_text(["🧪 離線示範模型"], width=20) == (
        "⚡ 並行處理與效能優化系統\n🚀 支援多任務並行、快取機制、批次處理\n🧪 離線示範模型\n" + "=" * 20
    )
    assert menu_text([("1", "執行預設並行查詢測試"), ("6", "退出")]) == "選擇操作:\n1. 執行預設並行查詢測試\n6. 退出"


def test_the_query_sets() -> None:
    """Each set with its number, count and questions."""
    assert query_sets_text([("多領域查詢", ["Python 的主要特性是什麼?", "REST API?"]), ("資料分析", ["統計?"])]) == (
        "1. 多領域查詢 (2 個問題)\n   - Python 的主要特性是什麼?\n   - REST API?\n2. 資料分析 (1 個問題)\n   - 統計?"
    )


def test_the_cache_statistics() -> None:
    """The reference's four lines, then ours where the cache gives them."""
    stats = {"cache_size": 3, "hit_count": 1, "miss_count": 2, "hit_rate": 1 / 3}
    text = "💾 快取統計資訊:\n  快取大小: 3\n  命中次數: 1\n  未命中次數: 2\n  命中率: 33.3%"
    assert cache_text(stats) == text
    assert cache_text({**stats, "shared": 4, "stores": 5, "expired": 6, "evicted": 1234}) == text + (
        "\n  共用同一次呼叫: 4\n  存入次數: 5\n  過期移除: 6\n  滿額淘汰: 1,234"
    )


def test_the_executor_statistics() -> None:
    """失敗任務 is everything without an answer, split below; what is under way is told."""
    stats = ExecutorStatistics(
        submitted=10, queued=1, running=2, answered=4, failed=1, timed_out=2, task_seconds=14.0, started=7
    )
    assert executor_text(stats) == (
        "⚡ 並行執行統計:\n  總任務數: 10\n  成功任務: 4\n  失敗任務: 3\n    其中 錯誤 1, 逾時 2\n"
        "  成功率: 57.1%\n  平均執行時間: 2.000 秒\n  進行中: 2, 排隊中: 1"
    )
    assert executor_text(ExecutorStatistics()) == (
        "⚡ 並行執行統計:\n  總任務數: 0\n  成功任務: 0\n  失敗任務: 0\n  成功率: 0.0%\n  平均執行時間: 0.000 秒"
    )


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (RunStarted(3, 0.0), "🚀 開始並行執行 3 個任務..."),
        (RunStarted(None, 0.0), "🚀 開始並行執行任務..."),
        (TaskStarted("a", "b", 0.0), None),
        (TaskFinished(answered("x", 2.4)), "✅ 任務完成: 問題 (2.40 秒)"),
        (TaskFinished(unanswered(OutcomeKind.TIMED_OUT, "逾時", seconds=15.0)), "⏰ 任務逾時: 問題 (15.00 秒)"),
        (TaskFinished(unanswered(OutcomeKind.FAILED, "連線不到\n伺服器")), "❌ 任務失敗: 問題 - 連線不到 伺服器"),
        (TaskFinished(unanswered(OutcomeKind.BLOCKED, "內容被擋下")), "❌ 任務失敗: 問題 - 內容被擋下"),
        (TaskFinished(unanswered(OutcomeKind.CANCELLED)), "⏹️ 任務取消: 問題"),
        (TaskFinished(unanswered(OutcomeKind.NOT_RUN, "API 金鑰無效")), "⏭️ 任務未執行: 問題 - API 金鑰無效"),
        (RetryScheduled("a", 2, ErrorKind.OVERLOADED, 1.25), "🔁 重試: 第 2 次失敗 - 伺服器忙碌中, 1.2 s 後再試"),
        (QuotaWaiting("a", 99.0, 38.2), "⏳ 限流, 39 s 後繼續"),
        (BatchStarted(2, 7), "🔄 處理批次 2/7..."),
        (BatchStarted(2, None), "🔄 處理批次 2..."),
        (BatchFinished(2, 7, 1.5), "✅ 批次 2 完成 (耗時: 1.50秒)"),
        (RunFinished(report(wall=2.5)), "⏱️ 並行執行完成,耗時: 2.50 秒"),
    ],
)
def test_events_have_the_reference_s_lines(event: Event, line: str | None) -> None:
    """Each event is told as REFERENCE says."""
    assert event_line(event) == line


def test_a_retry_names_its_task_where_known() -> None:
    """With the task's name the retry line carries it."""
    line = event_line(RetryScheduled("a", 1, ErrorKind.RESET, 0.5), name="問題一")
    assert line == "🔁 重試 問題一: 第 1 次失敗 - 連線中途斷開, 0.5 s 後再試"


@given(st.text(alphabet=st.characters(codec=None), max_size=300), st.text(alphabet=st.characters(codec=None)))
def test_an_outcome_is_always_one_line(name: str, reason: str) -> None:
    """Neither a name nor a reason can break out of its line, or act on the terminal."""
    line = outcome_line(unanswered(OutcomeKind.FAILED, reason, name=name))
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e]", line)
    assert len(line) < 700


@given(st.text(alphabet=st.characters(codec=None)))
def test_every_line_of_a_framed_answer_is_framed(text: str) -> None:
    """Whatever an answer holds, no line of it can pass for one of ours."""
    assert all(line.startswith("│") for line in framed(text).split("\n"))
    assert not re.search("[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", framed(text))


def test_a_forged_status_line_stays_in_the_frame() -> None:
    """An answer that imitates our screen is visibly an answer."""
    forged = "好的\r\n✅ 快取已清除\r選擇操作:\x1b[2J"
    assert framed(forged) == "│ 好的\n│ ✅ 快取已清除␍選擇操作:␛[2J"


def test_the_overview_of_a_mixed_run() -> None:
    """Every question has its outcome, failures their reason and advice; the figures are those of this run."""
    outcomes = report(
        answered("優點" * 150, 2.5),
        answered("第一行\n\n第二行", 2.3, source=AnswerSource.CACHE, cut=True),
        unanswered(OutcomeKind.FAILED, "伺服器忙碌中", "請稍後再試", seconds=2.4),
        unanswered(OutcomeKind.CANCELLED, seconds=0.0),
        wall=2.52,
    )
    assert aggregate_text(outcomes, ["問\n題一", "二", "三", "四"], {"hit_rate": 0.25}) == (
        "📊 並行查詢結果\n" + "=" * 60 + "\n"
        "1. 問 題一\n"
        f"   │ {'優點' * 100}…\n"
        "2. 二\n"
        "   │ 第一行 第二行 [快取]\n"
        "   ⚠️ 回答到達輸出上限, 被截斷\n"
        "3. 三\n"
        "   ❌ 伺服器忙碌中\n"
        "   💡 請稍後再試\n"
        "4. 四\n"
        "   ⏹️ 取消\n" + "-" * 60 + "\n"
        "✅ 成功: 2/4 (成功 2, 失敗 1, 取消 1)\n"
        "⏱️ 總時間: 2.52 秒\n"
        "⏱️ 平均每個查詢: 1.80 秒\n"
        "💾 快取命中率: 25.0%\n"
        "⚡ 加速: 2.86 倍 (依序需 7.20 秒 ÷ 並行 2.52 秒; 上限 2.88 倍, 取決於最慢的 2.50 秒)"
    )


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
def test_an_overview_for_a_screen(columns: int) -> None:
    """Previews are cut by cells to three lines of the screen, characters whole, each with its time beside it."""
    outcomes = report(
        answered("優點" * 400, 2.5), answered(FAMILY * 400, source=AnswerSource.CACHE), answered("短", 61.0)
    )
    text = aggregate_text(outcomes, ["一", "二", "三"], {}, columns=columns)
    lines = [piece for line in text.split("\n") for piece in wrap_line(line, columns)]
    assert all(cell_width(line) <= columns for line in lines if not line.startswith(("=", "-")))
    first, second, third = re.findall("(?:^   │ .*\n)+", "\n".join(lines), re.MULTILINE)
    assert first.endswith("… [2.50 秒]\n")
    assert second.endswith("… [快取]\n")
    assert third == "   │ 短 [61.00 秒]\n"
    assert max(first.count("\n"), second.count("\n")) <= 3
    assert set(re.sub(" \\[.*|   │ |\\s|…", "", second).split(FAMILY)) == {""}


def test_the_overview_of_nothing() -> None:
    """An empty run is an empty overview and divides by nothing."""
    assert "⚡" not in aggregate_text(report(answered("x"), wall=0.0), ["q"], {})
    text = aggregate_text(report(wall=0.0), [], {})
    assert text.endswith("✅ 成功: 0/0\n⏱️ 總時間: 0.00 秒\n⏱️ 平均每個查詢: 0.00 秒\n💾 快取命中率: 0.0%")


def test_the_overview_of_a_large_run_is_bounded() -> None:
    """Ten thousand questions make under 200 lines: the first ones, the first failures, and a count of the rest."""
    outcomes = [answered("x")] * 5000 + [unanswered(OutcomeKind.FAILED, "錯", "改")] * 5000
    text = aggregate_text(report(*outcomes), ["q"] * 10_000, {})
    assert len(text.splitlines()) < 200
    assert "5001. q\n   ❌ 錯" in text
    assert "… 另有 9,940 個問題沒有列出" in text


def test_a_whole_answer() -> None:
    """The whole text, framed, with its source below."""
    assert answer_text(2, "為什麼?", answered("甲\n乙", 2.5)) == (
        "📝 問題 2: 為什麼?\n│ 甲\n│ 乙\n└ 模型 gemini-2.5-flash, 2.50 秒, 35 tokens"
    )
    shared = answered("甲", source=AnswerSource.SHARED, cut=True)
    assert answer_text(1, "q", shared).endswith(
        "└ 模型 gemini-2.5-flash, 1.00 秒, 來自與相同的問題共用\n⚠️ 回答到達輸出上限, 在此被截斷"
    )
    assert answer_text(1, "q", unanswered(OutcomeKind.BLOCKED, "被擋下", "改寫")) == (
        "📝 問題 1: q\n   🚫 被擋下\n   💡 改寫"
    )
    no_usage = Outcome("t", "n", OutcomeKind.ANSWERED, 0.0, 1.0, 0.0, Answer("x", "offline"))
    assert answer_text(1, "q", no_usage).endswith("└ 模型 offline, 1.00 秒")


def result(value: str) -> Outcome[str]:
    return Outcome("t", "n", OutcomeKind.ANSWERED, 0.0, 1.0, 0.0, value)


def test_a_batch_with_labels() -> None:
    """Columns line up in cells; each label is counted, also one that never came out."""
    rows = [
        ("很好用", result("正面")),
        ("普通", result("中性")),
        (f"{FAMILY} 家庭", result("正面")),
        ("慢", unanswered(OutcomeKind.TIMED_OUT, "逾時")),
    ]
    assert batch_table(rows, labels=("正面", "中性", "負面"), width=40) == (
        "#   結果     文字\n" + "-" * 40 + "\n"
        " 1  正面     很好用\n"
        " 2  中性     普通\n"
        f" 3  正面     {FAMILY} 家庭\n"
        " 4  ⏰ 逾時  慢\n" + "-" * 40 + "\n"
        "正面: 2\n中性: 1\n負面: 0\n成功: 3\n逾時: 1\n"
        "📊 批次處理完成: 3/4 成功"
    )


def test_a_batch_of_free_text_is_cut_to_the_screen() -> None:
    """Long results and texts are cut, long batches shortened; no row is wider than the screen."""
    rows = [("文" * 100, result("摘要" * 100))] * 150
    lines = batch_table(rows, width=60, most=3).splitlines()
    assert all(cell_width(line) <= 60 for line in lines)
    assert "… 另有 147 項沒有列出" in lines
    assert batch_table([]).endswith("📊 批次處理完成: 0/0 成功")


def test_an_empty_failure_still_says_what_it_is() -> None:
    """A failure without a reason shows its kind."""
    assert "❌ 失敗" in batch_table([("x", unanswered(OutcomeKind.FAILED))])


@given(st.text(max_size=50), st.integers(2, 30))
def test_text_is_fitted_to_columns(text: str, columns: int) -> None:
    """Fitted text is one line and never wider than asked; padded text never narrower."""
    fitted = fit(text, columns)
    assert cell_width(fitted) <= columns
    assert "\n" not in fitted
    assert cell_width(pad("中", columns)) == max(columns, 2)


@given(st.text(max_size=50), st.integers(2, 30))
def test_the_end_of_a_text_is_fitted_to_columns(text: str, columns: int) -> None:
    """What is cut is the beginning, between characters."""
    fitted = fit_end(text, columns)
    assert cell_width(fitted) <= columns
    assert one_line(text).endswith(fitted.removeprefix("…"))
    assert fit_end("abc" + FAMILY, 4) == f"…c{FAMILY}"


@given(st.text(alphabet=st.characters() | st.sampled_from("中é👨\u200d👩\u0600\u0301"), max_size=80), st.integers(0, 9))
def test_characters_make_up_the_text(text: str, start: int) -> None:
    """Whatever the window, they are those of the whole text, and none is wider than a screen."""
    many = (text + "ab👨\u200d👩") * 30
    found = list(graphemes(many, start))
    assert "".join(piece for piece, _ in found) == many[start:]
    assert all(cells <= 8 for _, cells in found)
    assert [piece for piece, _ in found] == [
        part for piece in iter_graphemes(many[start:]) for part in (piece if cell_width(piece) > 8 else [piece])
    ]


def test_a_preview_never_splits_a_character() -> None:
    """The cut falls before a joined emoji that does not fit whole, and short text is untouched."""
    assert preview("ab", 2) == "ab"
    assert preview("a" + FAMILY + "b", 5) == "a…"
    assert preview(FAMILY * 3, len(FAMILY)) == FAMILY + "…"
    assert preview("e\u0301" * 10, 3) == "e\u0301…"
    assert one_line(" a \n\t b\x1b ") == "a b␛"
    assert cell_width("中文") == 4


@given(st.text(alphabet="ab 中。「│é👨\u200d👩\t", max_size=80), st.integers(20, 40))
def test_a_wrapped_line_loses_nothing_and_fits(text: str, columns: int) -> None:
    """Wrapped pieces fit the screen, and without their heads they are the line again."""
    first, *rest = wrap_line(f"│ {text}", columns)
    assert all(cell_width(piece) <= columns for piece in [first, *rest])
    assert all(piece.startswith("│ ") for piece in rest)
    assert first + "".join(piece[2:] for piece in rest) == f"│ {text}".expandtabs(8)


def test_characters_that_pile_up_are_wrapped_as_well() -> None:
    """Signs that join what follows them into one character of any width do not push a line over the edge."""
    assert wrap_line("│ " + "\u0600" * 30, 20) == ["│ " + "\u0600" * 18, "│ " + "\u0600" * 12]


def test_long_text_cannot_reach_the_edge_of_the_screen() -> None:
    """What would wrap onto a line of its own is framed or indented there."""
    assert wrap_line("   │ " + "x" * 20 + "✅ 快取已清除", 25) == ["   │ " + "x" * 20, "   │ ✅ 快取已清除"]
    assert wrap_line("❌ " + "x" * 17 + "✅ 快取已清除", 20) == ["❌ " + "x" * 17, "    ✅ 快取已清除"]
    assert wrap_line("短", 20) == ["短"]
    assert wrap_line("│ " + " " * 30 + "✅", 20) == ["│ " + " " * 18, "│ " + " " * 12 + "✅"]
    assert wrap_line(" " * 30 + "│ 文字", 20) == [" " * 20, " " * 14 + "│ 文字"]


def test_lines_are_broken_between_words() -> None:
    """A word goes on the next line as a whole, with its marks, unless it is so long that much would stay empty."""
    assert wrap_line("❌ Nothing has been asked yet; choose 1 or 2", 20) == [
        "❌ Nothing has been ",
        "    asked yet; ",
        "    choose 1 or 2",
    ]
    assert wrap_line("│ one two three four five", 20) == ["│ one two three ", "│ four five"]
    assert wrap_line("    a word " + "x" * 40, 40) == ["    a word " + "x" * 29, "    " + "x" * 11]
    assert wrap_line("  " + "x" * 19, 20) == ["  " + "x" * 18, "    x"]
    assert wrap_line("請執行 pip install", 20) == ["請執行 pip install"]
    assert wrap_line("使用 OpenTelemetry記錄", 20) == ["使用 OpenTelemetry記", "    錄"]
    assert wrap_line("這裡使用的是OpenTelemetry", 20) == ["這裡使用的是", "    OpenTelemetry"]


def test_chinese_lines_neither_begin_nor_end_with_the_wrong_mark() -> None:
    """A closing mark brings the character before it along, and an opening one goes where what it opens goes."""
    assert wrap_line("一二三四五六七八九十。一", 20) == ["一二三四五六七八九", "    十。一"]
    assert wrap_line("一二三四五六七八九「十一」", 20) == ["一二三四五六七八九", "    「十一」"]
    assert wrap_line("一二三四五六七八九十, 一", 20) == ["一二三四五六七八九", "    十, 一"]
    assert wrap_line("一二三四五六七八九十十一", 20) == ["一二三四五六七八九十", "    十一"]
    assert wrap_line("「" * 12, 20) == ["「" * 10, "    「「"]


def test_a_frame_that_is_no_frame_is_not_repeated() -> None:
    """Blanks without end before a frame cost one row each, not one for each character after them."""
    pieces = wrap_line(" " * 100_000 + "│ " + "x" * 100_000, 60)
    assert sum(map(len, pieces)) < 220_000


def test_the_rows_a_terminal_makes_of_a_line() -> None:
    """It breaks where the screen ends, and before a character that would be cut in two."""
    assert rows_of("the sums are", 7) == ["the sum", "s are"]
    assert rows_of("一二三四", 5) == ["一二", "三四"]
    assert rows_of("", 5) == [""]
    assert rows_of("一", 1) == ["一"]


def test_reasons_of_model_errors_are_used_as_they_are() -> None:
    """A failure shows the error's own sentence."""
    error = ModelError(ErrorKind.BAD_KEY)
    line = outcome_line(unanswered(OutcomeKind.FAILED, error.reason, error.advice))
    assert line == "❌ 任務失敗: 問題 - API 金鑰無效"


def test_what_was_not_run_shares_one_line_and_one_advice() -> None:
    """A run that was stopped says once why and what to do; a few not-run questions keep their own lines."""
    stopped = unanswered(OutcomeKind.FAILED, "API 金鑰無效", "請檢查金鑰")
    skipped = unanswered(OutcomeKind.NOT_RUN, "API 金鑰無效; 其餘未執行", "請檢查金鑰")
    many = aggregate_text(report(stopped, *[skipped] * 99), [f"q{n}" for n in range(100)], {})
    assert many.count("請檢查金鑰") == 1
    assert many.count("⏭️") == 1
    assert "⏭️ 99 個問題未執行 - API 金鑰無效; 其餘未執行" in many.splitlines()
    few = aggregate_text(report(stopped, skipped), ["甲", "乙"], {})
    assert few.count("請檢查金鑰") == 1
    assert "2. 乙\n   ⏭️ API 金鑰無效; 其餘未執行" in few

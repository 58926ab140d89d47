"""The whole program with pipes in place of keyboard and screen, as scripts and cron jobs use it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import MAIN, Finished, environment, fresh_home, run_main

MENU = """\
選擇操作:
1. 執行預設並行查詢測試
2. 自訂並行查詢
3. 查看快取統計
4. 查看效能報告
5. 清除快取
6. 退出
7. 批次文字分析
8. 檢視上次查詢的完整回答
9. 限額設定
10. 歷史紀錄
11. 設定
"""
PROMPT = "請選擇 (1-11): \n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return fresh_home(tmp_path)


def sections(out: str) -> list[str]:
    """What was shown between one menu and the next."""
    return [part.strip("\n") for part in out.split(MENU + PROMPT)]


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One visit that chooses everything once."""
    home = fresh_home(tmp_path_factory.mktemp("visit"))
    return run_main(home, "1\n1\n2\n問題一\n問題二\n\n3\n4\n8\n1\n\n5\n3\n０\n12\n\n６\n")


def shown(visit: Finished, number: int) -> str:
    return sections(visit.out)[number]


def test_a_visit_ends_well_and_says_nothing_on_stderr(visit: Finished) -> None:
    """Exit code 0, an empty stderr, no control characters, and a goodbye at the very end."""
    assert (visit.code, visit.err) == (0, "")
    assert visit.out.endswith(MENU + PROMPT + "👋 再見!\n")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", visit.out)


def test_the_banner_says_that_the_model_is_a_demonstration(visit: Finished) -> None:
    """Without a key the first lines say which model answers and how to get the real one."""
    title, claim, notice, rule = shown(visit, 0).splitlines()
    assert title == "⚡ 並行處理與效能優化系統"
    assert claim == "🚀 支援多任務並行、快取機制、批次處理"
    assert "離線示範模型" in notice
    assert "GEMINI_API_KEY" in notice
    assert set(rule) == {"="}


def test_option_1_runs_a_built_in_set(visit: Finished) -> None:
    """It lists the three sets, asks for one, and shows each task and the aggregate in input order."""
    text = shown(visit, 1)
    listed, run = text.split("選擇測試集 (1-3): \n")
    assert listed.splitlines() == [
        "1. 多領域查詢 (3 個問題)",
        "   - Python 的主要特性是什麼?",
        "   - 機器學習的基本概念",
        "   - 什麼是 REST API?",
        "2. 資料分析 (3 個問題)",
        "   - 如何進行數據清洗?",
        "   - 常見的統計方法有哪些?",
        "   - 資料視覺化的最佳實踐",
        "3. 程式設計 (3 個問題)",
        "   - 什麼是設計模式?",
        "   - 如何優化程式效能?",
        "   - 單元測試的重要性",
    ]
    lines = run.splitlines()
    assert lines[0] == "📋 多領域查詢 (3 個問題)"
    assert lines[1] == "🚀 開始並行執行 3 個任務..."
    assert sum(line.startswith("✅ 任務完成: ") for line in lines) == 3
    assert any(re.fullmatch(r"⏱️ 並行執行完成,耗時: \d+\.\d\d 秒", line) for line in lines)
    questions = [line for line in lines if re.match(r"\d\. ", line)]
    assert questions == ["1. Python 的主要特性是什麼?", "2. 機器學習的基本概念", "3. 什麼是 REST API?"]
    assert "✅ 成功: 3/3" in lines


def test_option_2_runs_what_was_entered(visit: Finished) -> None:
    """One question a line until the blank one."""
    text = shown(visit, 2)
    assert text.startswith("請輸入多個問題(每行一個,輸入空行結束):\n1> \n2> \n3> \n🚀 開始並行執行 2 個任務...")
    assert "1. 問題一\n" in text
    assert "2. 問題二\n" in text


def test_option_3_shows_the_cache_s_figures(visit: Finished) -> None:
    """Five answers were asked for and stored, none found again yet; after option 5 none is left."""
    assert shown(visit, 3).startswith(
        "💾 快取統計資訊:\n  快取大小: 5\n  命中次數: 0\n  未命中次數: 5\n  命中率: 0.0%\n"
    )
    assert shown(visit, 6) == "✅ 快取已清除"
    assert shown(visit, 7).startswith("💾 快取統計資訊:\n  快取大小: 0\n")


def test_option_4_shows_both_runs_and_the_executor(visit: Finished) -> None:
    """The monitor saw options 1 and 2 alike, in seconds with three decimals; the executor counted every task."""
    report, executor = shown(visit, 4).split("⚡ 並行執行統計:\n")
    (workflow,) = [part for part in report.split("函式: ") if part.startswith("parallel_workflow\n")]
    labels = ("呼叫次數: 2", "總時間", "平均時間", "最小時間", "最大時間", "中位數")
    for line, label in zip(workflow.splitlines()[1:], labels, strict=False):
        assert line.startswith(f"  {label}")
        assert label.startswith("呼叫次數") or re.fullmatch(r".*: \d+\.\d{3} 秒", line)
    assert executor.splitlines()[:4] == ["  總任務數: 5", "  成功任務: 5", "  失敗任務: 0", "  成功率: 100.0%"]
    assert re.fullmatch(r"  平均執行時間: \d+\.\d{3} 秒", executor.splitlines()[4])


def test_option_8_shows_a_whole_answer(visit: Finished) -> None:
    """The answer that the overview cut at 200 characters is there to its last line, framed."""
    overview, whole = shown(visit, 2), shown(visit, 5)
    preview = overview.split("1. 問題一\n")[1].splitlines()[0]
    assert preview.endswith("…")
    assert len(preview) < 220
    assert "📝 問題 1: 問題一\n│ " in whole
    framed = "".join(line[2:] for line in whole.splitlines() if line.startswith("│"))
    assert len(framed) > 200
    assert framed.endswith("每一步都留下可以回頭檢查的依據。")
    assert "回頭檢查" not in preview


@pytest.mark.parametrize("number", [8, 9, 10])
def test_anything_else_is_an_invalid_choice(visit: Finished, number: int) -> None:
    """A number the menu does not have, full-width too, and an empty line."""
    assert shown(visit, number) == "❌ 無效的選擇"


_NOTHING = [
    ("2\n\n", "❌ 沒有輸入查詢"),
    ("2\n \t\n", "❌ 沒有輸入查詢"),
    ("1\n4\n", "❌ 無效的選擇"),
    ("1\nabc\n", "❌ 無效的選擇"),
    ("7\n0\n", "❌ 無效的選擇"),
    ("7\n1\n\n\n", "❌ 沒有輸入文字"),
    ("8\n", "❌ 還沒有執行過查詢, 請先選 1 或 2"),
]


def test_nothing_to_do_is_said_in_one_line(home: Path) -> None:
    """One sentence and the menu again; nothing is run."""
    done = run_main(home, "".join(keys for keys, _ in _NOTHING) + "6\n")
    assert (done.code, done.err) == (0, "")
    assert [part.splitlines()[-1] for part in sections(done.out)[1:-1]] == [answer for _, answer in _NOTHING]
    assert "🚀 開始" not in done.out


@pytest.mark.parametrize("keys", ["2\n", "1\n", "7\n1\n", "7\n1\n\n"])
def test_the_end_of_the_input_at_any_question_is_a_goodbye(home: Path, keys: str) -> None:
    """With nothing entered there is nothing to run, and the program ends with 0."""
    done = run_main(home, keys)
    assert (done.code, done.err) == (0, "")
    assert "🚀 開始" not in done.out
    assert done.out.endswith("👋 再見!\n")


def test_option_4_before_any_run(home: Path) -> None:
    """An empty report is a report."""
    out = run_main(home, "4\n6\n").out
    assert "📊 效能報告: 尚無資料" in out
    assert "⚡ 並行執行統計:\n  總任務數: 0\n" in out


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One visit that uses option 7 on good and bad files and on typed texts."""
    home = fresh_home(tmp_path_factory.mktemp("batches"))
    (home / "texts.txt").write_text("很好\n\n很差\n普通\n" + "很好\n" * 3)
    (home / "empty.txt").write_text("\n \n")
    (home / "big5.txt").write_bytes(b"ok\n\xa4\xa4\xa4\xe5\nok\n")
    (home / "folder").mkdir()
    choices = ["texts.txt", "missing.txt", "folder", "empty.txt", "~/big5.txt"]
    keys = "".join(f"7\n1\n{path}\n" for path in choices) + "7\n2\n\n一\n二\n\n6\n"
    return run_main(home, keys)


def batch(batches: Finished, number: int) -> list[str]:
    return sections(batches.out)[number].splitlines()


def test_a_file_is_analysed(batches: Finished) -> None:
    """A preview, the first texts in file order with their labels, every label counted, blank lines passed over."""
    lines = batch(batches, 1)
    assert lines[:7] == [
        "1. 情感分析 (sentiment)",
        "2. 摘要 (summary)",
        "3. 分類 (category)",
        "4. 分類 (自訂標籤)",
        "5. 自訂分析",
        "選擇分析類型 (1-5): ",
        "檔案 (TXT/CSV/TSV/JSONL), 或按 Enter 改為貼上: ",
    ]
    assert "  文字 6, 重複 3, 空白 1, 要問 3" in lines
    assert "📦 開始批次處理 3 則文字 (情感分析)" in lines
    assert "🎉 批次完成, 每一則都有結果" in lines
    rows = [line.split() for line in lines[lines.index("📋 結果:") :] if re.match(r" *\d+  ", line)]
    assert [row[1:] for row in rows[:4]] == [["正面", "很好"], ["負面", "很差"], ["中性", "普通"], ["正面", "很好"]]
    counts = [line.split()[:2] for line in lines[lines.index("分析結果:") + 1 :]]
    assert counts == [["正面", "4"], ["中性", "1"], ["負面", "1"]]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (2, "❌ 找不到檔案 missing.txt; 請檢查路徑"),
        (3, "❌ folder 是資料夾; 請給一個 TXT、CSV、TSV 或 JSONL 檔"),
        (4, "❌ 檔案裡沒有文字"),
    ],
)
def test_a_file_that_cannot_be_analysed(batches: Finished, number: int, sentence: str) -> None:
    """One sentence, and nothing that claims a batch had begun."""
    assert batch(batches, number)[7:] == [sentence]


def test_bytes_that_are_no_text_are_named_by_line(batches: Finished) -> None:
    """A Big5 line in a UTF-8 file is told once with its number; the other lines are analysed."""
    assert batches.err == "第 2 行有 4 個無法解碼的位元組, 已用 � 代替\n"
    assert "🎉 批次完成, 每一則都有結果" in batch(batches, 5)


def test_typed_texts_are_analysed(batches: Finished) -> None:
    """Without a file the texts are read from the input."""
    lines = batch(batches, 6)
    assert "請貼上文字(每行一則,輸入空行結束):" in lines
    assert lines[-2] == "📊 批次處理完成: 2/2 成功"
    assert batches.code == 0


def test_an_input_that_is_not_utf_8_and_ends_in_a_query_set(home: Path) -> None:
    """The byte is replaced and told with its line, what was entered is run, and the program says goodbye."""
    done = run_main(home, b"2\na\xffb\n\xe7\x94\xb2")
    assert done.err == "第 2 行有 1 個無法解碼的位元組, 已用 � 代替\n"
    assert "1. a�b\n" in done.out
    assert "2. 甲\n" in done.out
    assert "✅ 成功: 2/2" in done.out
    assert done.out.endswith("👋 再見!\n")
    assert done.code == 0


@pytest.mark.parametrize(
    "keys",
    [b"\xef\xbb\xbf3\r\n6\r\n", "\ufeff3\n6\n".encode("utf-16-be")],
    ids=["utf-8", "utf-16"],
)
def test_an_input_with_a_byte_order_mark(home: Path, keys: bytes) -> None:
    """The mark is no part of the choice."""
    done = run_main(home, keys)
    assert "💾 快取統計資訊:" in done.out
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("encoding", ["cp950", "cp1252", "ascii"])
def test_an_output_without_our_symbols(home: Path, encoding: str) -> None:
    """Plain symbols stand in for emoji, escapes for what has no stand-in, and nothing crashes."""
    keys = "2\n甲\n\n5\n6\n" if encoding == "cp950" else "5\n6\n"
    done = run_main(home, keys, environ={"PYTHONIOENCODING": encoding}, encoding=encoding)
    assert (done.code, done.err) == (0, "")
    cleared = "[OK] " + "快取已清除".encode(encoding, "backslashreplace").decode(encoding)
    assert cleared in done.out.splitlines()
    assert encoding != "cp950" or "[OK] 成功: 1/1" in done.out.splitlines()


def test_a_reader_that_leaves_after_the_first_line(home: Path) -> None:
    """As with `| head -1`: the program ends quietly, like any program whose reader has left."""
    with subprocess.Popen(
        [sys.executable, str(MAIN)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home),
        cwd=home,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().decode() == "⚡ 並行處理與效能優化系統\n"
        process.stdout.close()
        process.stdin.write(b"3\n4\n5\n6\n")
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


@pytest.mark.parametrize(
    ("redirections", "code", "out", "err"),
    [
        ("<&-", 0, True, True),
        ("2>&-", 0, True, False),
        (">&-", 141, False, True),
        (">&- 2>&-", 141, False, False),
        ("> /dev/full", 1, False, True),
    ],
)
def test_closed_streams(home: Path, redirections: str, code: int, out: bool, err: bool) -> None:
    """Without an input it says goodbye, without an output it leaves; never a traceback."""
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(MAIN))} {redirections}"
    done = subprocess.run(
        ["sh", "-c", command], input=b"5\n6\n", capture_output=True, env=environment(home), cwd=home, check=False
    )
    assert done.returncode == code
    assert ("👋 再見!" in done.stdout.decode()) is out
    assert b"Traceback" not in done.stderr
    assert (b"ENOSPC" in done.stderr or b"No space" in done.stderr) is (redirections == "> /dev/full")
    assert err or done.stderr == b""


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"GEMINI_TRANSPORT": "foo"}, "GEMINI_TRANSPORT"),
        ({"GEMINI_API_KEY": "AIzaCANARY with-space"}, "GEMINI_API_KEY"),
        ({"GEMINI_API_KEY": "AIzaCANARY中文"}, "GEMINI_API_KEY"),
        ({"QUERY_TIMEOUT": "soon"}, "QUERY_TIMEOUT"),
        ({"GEMINI_API_KEY": "AIzaCANARY", "GEMINI_API_ENDPOINT": "http://example.com"}, "GEMINI_API_ENDPOINT"),
    ],
    ids=["transport", "key with a space", "key with Chinese", "timeout", "endpoint in clear"],
)
def test_a_wrong_setting_is_told_in_one_sentence(home: Path, environ: dict[str, str], named: str) -> None:
    """The sentence names the setting, never the key, and the exit code is 2."""
    done = run_main(home, "6\n", environ=environ)
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith(f"❌ {named} ")
    assert "CANARY" not in done.err


def test_a_wrong_fault_of_the_demonstration_is_told_in_one_sentence(home: Path) -> None:
    """OFFLINE_FAULTS is read when the model is built; whoever needs it is told what is wrong, once."""
    done = run_main(home, "2\n甲\n\n6\n", environ={"OFFLINE_FAULTS": "explode"})
    assert done.code == 0
    assert sum("OFFLINE_FAULTS" in line for line in done.out.splitlines()) == 1
    assert done.err == ""


@pytest.mark.parametrize(
    ("argument", "code", "text"),
    [("--help", 0, "結束代碼"), ("--version", 0, "parallel_processing "), ("--nonsense", 2, "--nonsense")],
)
def test_arguments(home: Path, argument: str, code: int, text: str) -> None:
    """Help, version and a wrong argument answer at once and never start the menu."""
    done = run_main(home, "", arguments=[argument])
    assert done.code == code
    assert text in done.out + done.err
    assert "選擇操作" not in done.out


def test_help_in_a_locale_without_chinese(home: Path) -> None:
    """Help survives an output that cannot show it."""
    done = run_main(home, "", arguments=["--help"], environ={"PYTHONIOENCODING": "ascii"})
    assert done.code == 0
    assert "Traceback" not in done.err
    assert "--debug" in done.out


@pytest.mark.parametrize("debug", [False, True])
def test_a_missing_package(home: Path, debug: bool) -> None:
    """One sentence that names it and the remedy, then the menu; the traceback only with --debug."""
    shim = home / "shim" / "langgraph"
    shim.mkdir(parents=True)
    (shim / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'langgraph'\", name='langgraph')\n")
    done = run_main(home, "2\n甲\n\n5\n6\n", arguments=["--debug"] * debug, environ={"PYTHONPATH": str(home / "shim")})
    assert done.code == 0
    (sentence,) = [line for line in done.out.splitlines() if line.startswith("❌")]
    assert "langgraph" in sentence
    assert "requirements.txt" in sentence
    assert "✅ 快取已清除" in done.out
    assert ("Traceback" in done.err) is debug
    assert debug or done.err == ""


@pytest.mark.parametrize("debug", [False, True])
def test_a_bug_ends_the_action_and_not_the_program(home: Path, debug: bool) -> None:
    """What nobody foresaw is one sentence and the menu again; the traceback only with --debug."""
    shim = home / "shim"
    shim.mkdir()
    (shim / "sitecustomize.py").write_text(
        "from optimizers.cache_manager import CacheManager\n"
        "def fail(self):\n    raise ZeroDivisionError('secret detail')\n"
        "CacheManager.clear_all = fail\n"
    )
    path = os.pathsep.join([str(shim), str(MAIN.parent)])
    done = run_main(home, "5\n3\n6\n", arguments=["--debug"] * debug, environ={"PYTHONPATH": path})
    assert done.code == 0
    (sentence,) = [line for line in done.out.splitlines() if line.startswith("❌")]
    assert "ZeroDivisionError" in sentence
    assert "--debug" in sentence
    assert "secret detail" not in done.out
    assert "💾 快取統計資訊:" in done.out
    assert ("secret detail" in done.err) is debug


@pytest.mark.parametrize("environ", [{"TERM": "dumb", "COLUMNS": "20"}, {"NO_COLOR": "1", "COLUMNS": "x"}])
def test_what_the_environment_says_of_the_screen(home: Path, environ: dict[str, str]) -> None:
    """A pipe gets plain text whatever the terminal would have been like, and the whole menu."""
    done = run_main(home, "1\n\n6\n", environ=environ)
    assert (done.code, done.err) == (0, "")
    assert MENU in done.out
    assert "\x1b" not in done.out


def test_a_run_of_many_questions_from_a_pipe(home: Path) -> None:
    """Nobody is asked: the count is said, and the lines on the screen stay bounded."""
    questions = "".join(f"問題 {number % 100}\n" for number in range(2000))
    done = run_main(home, f"2\n{questions}\n6\n")
    assert "📐 預估: 共 2,000 個問題, 呼叫模型 100 次 (相同或已在快取的 1,900 個不必問)" in done.out.splitlines()
    assert "✅ 成功: 2,000/2,000" in done.out
    lines = [line for line in done.out.splitlines() if not re.fullmatch(r"[\d,]+> ", line)]
    assert len(lines) < 300
    assert done.code == 0

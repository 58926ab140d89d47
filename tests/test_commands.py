"""The commands, as a script calls them: a process of its own, results on stdout, all else on stderr."""

from __future__ import annotations

import contextlib
import csv
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.program import MAIN, Finished, Program, environment, fresh_home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return fresh_home(tmp_path)


def call(home: Path, *arguments: str, typed: bytes = b"", environ: dict[str, str] | None = None) -> Finished:
    done = subprocess.run(
        [sys.executable, str(MAIN), *arguments],
        input=typed,
        capture_output=True,
        env=environment(home, environ),
        cwd=home,
        timeout=60,
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


def rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def reviews(home: Path, count: int = 6) -> Path:
    path = home / "reviews.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["編號", "內容"])
        writer.writerows(
            [number, f"第 {number} 則, 這家店{'很好吃' if number % 2 else '很難吃'}"] for number in range(count)
        )
    return path


def test_ask_writes_every_answer_and_nothing_else(home: Path) -> None:
    """One line of JSON for each question of the file, in its order; progress goes to stderr."""
    (home / "q.txt").write_text("什麼是並行?\n\n什麼是快取?\n", encoding="utf-8")
    done = call(home, "ask", "q.txt", "--json")
    found = rows(done.out)
    assert done.code == 0
    assert [row["question"] for row in found] == ["什麼是並行?", "什麼是快取?"]
    assert all(row["outcome"] == "answered" and "【示範】" in str(row["answer"]) for row in found)
    assert "開始並行執行 2 個任務" in done.err
    assert "什麼是並行?" in done.out


def test_ask_reads_a_pipe_and_shows_answers_to_people(home: Path) -> None:
    """Without --json the answers are framed, as the menu shows them."""
    done = call(home, "ask", "-", typed="什麼是並行?\n".encode())
    assert done.code == 0
    assert done.out.startswith("📝 問題 1: 什麼是並行?\n│ 【示範】")


def test_some_without_an_answer_are_exit_code_3(home: Path) -> None:
    """What failed is in the output with its reason."""
    done = call(home, "ask", "-", "--json", typed="好\n壞\n".encode(), environ={"OFFLINE_FAULTS": "blocked@match:壞"})
    assert done.code == 3
    assert [row["outcome"] for row in rows(done.out)] == ["answered", "blocked"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ask", "missing.txt"], "❌ 找不到檔案 missing.txt"),
        (["ask", "-"], "❌ 沒有問題可以問"),
        (["analyze", "missing.csv"], "❌ 找不到檔案 missing.csv"),
        (["analyze", "reviews.csv", "--column", "評論"], "❌ reviews.csv 裡沒有「評論」這一欄"),
        (["analyze", "reviews.csv", "--labels", "a,b"], "❌ --labels 只能和 --type category 一起用"),
        (["analyze", "reviews.csv", "--fields", "a"], "❌ --instruction 與 --fields 只能和 --type custom 一起用"),
        (["analyze", "reviews.csv", "--type", "custom"], "❌ 自訂分析需要一段指示"),
        (["analyze", "reviews.csv", "--type", "category", "--labels", "a"], "❌ 標籤需要 2 到 200 個不同的"),
        (["analyze", "reviews.csv", "--pack", "many"], "❌ --pack 的值 'many' 不對"),
        (["analyze", "reviews.csv", "--out", "result.doc"], "❌ 看不出 result.doc 要用哪一種輸出格式"),
        (["analyze", "reviews.csv", "--out", "reviews.csv"], "❌ "),
        (["analyze", "reviews.csv", "--resume"], "❌ 沒有可以接續的批次"),
        (["analyze", "reviews.csv", "--batch-api"], "❌ Batch API 需要真正的 Gemini"),
        (["analyze", "many.txt"], "❌ 要執行的數量較多, 請加上 --yes 表示同意"),
        (["ask", "many.txt"], "❌ 要執行的數量較多, 請加上 --yes 表示同意"),
        (["analyze", "empty.txt"], "❌ 輸入裡沒有文字"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(home: Path, arguments: list[str], said: str) -> None:
    """Nothing is asked, nothing is on stdout, and no traceback anywhere."""
    reviews(home)
    (home / "many.txt").write_text("".join(f"第 {number} 則\n" for number in range(60)), encoding="utf-8")
    (home / "empty.txt").write_text("\n", encoding="utf-8")
    done = call(home, *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_analyze_writes_a_table_in_input_order(home: Path) -> None:
    """CSV with the marks that a spreadsheet needs; the summary counts every text."""
    reviews(home)
    done = call(home, "analyze", "reviews.csv", "--column", "內容", "--out", "result.csv")
    assert done.code == 0
    text = (home / "result.csv").read_text(encoding="utf-8-sig")
    table = list(csv.DictReader(text.splitlines()))
    assert [row["分析結果"] for row in table] == ["負面", "正面"] * 3
    assert [row["編號"] for row in table] == ["1", "2", "3", "4", "5", "6"]
    assert (home / "result.csv").stat().st_mode & 0o777 == 0o600
    assert "正面" in done.out
    assert "📄 已寫入 result.csv (6 列)" in done.err


def test_the_same_again_asks_nothing_and_new_rows_only_themselves(home: Path) -> None:
    """The journal knows what is done, also for texts that stand elsewhere in the file now."""
    path = reviews(home)
    call(home, "analyze", "reviews.csv", "--column", "內容")
    again = call(home, "analyze", "reviews.csv", "--column", "內容")
    assert "請求 0 次" in again.err
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow([99, "新的一則, 很好吃"])
    more = call(home, "analyze", "reviews.csv", "--column", "內容", "--json", "--resume")
    assert "回答 1 則" in more.err
    assert len(rows(more.out)) == 7


def test_an_existing_file_is_not_overwritten_unasked(home: Path) -> None:
    """It is checked before anything is asked; --overwrite is the yes."""
    reviews(home)
    (home / "result.jsonl").write_text("mine")
    done = call(home, "analyze", "reviews.csv", "--column", "內容", "--out", "result.jsonl")
    assert done.code == 2
    assert "回答" not in done.err
    assert (home / "result.jsonl").read_text() == "mine"
    done = call(home, "analyze", "reviews.csv", "--column", "內容", "--out", "result.jsonl", "--overwrite")
    assert done.code == 0
    assert len(rows((home / "result.jsonl").read_text(encoding="utf-8"))) == 6


def test_an_analysis_of_ones_own(home: Path) -> None:
    """Fields with labels and types come out as they were asked for, packed or not."""
    reviews(home)
    options = ["--type", "custom", "--instruction", "找出態度與分數", "--fields", "態度:好|壞,分數:number", "--json"]
    for pack in ("auto", "off", "3"):
        done = call(home, "analyze", "reviews.csv", "--column", "內容", *options, "--pack", pack)
        assert done.code == 0
        values = [row["values"] for row in rows(done.out)]
        assert len(values) == 6
        for each in values:
            assert isinstance(each, dict)
            assert each["態度"] in ("好", "壞")
            assert isinstance(each["分數"], int | float)


def test_texts_from_a_pipe_are_the_same_batch_next_time(home: Path) -> None:
    """Standard input is kept as a file of its own, so that a second run of it asks nothing."""
    typed = "很好吃\n很難吃\n".encode()
    assert call(home, "analyze", "-", typed=typed).code == 0
    assert "請求 0 次" in call(home, "analyze", "-", typed=typed).err


def test_another_encoding_is_read_only_if_the_caller_says_so(home: Path) -> None:
    """Big5 is recognised and named, and nothing is asked before somebody has agreed to it."""
    (home / "big5.txt").write_bytes("這家餐廳很好吃, 服務也很好\n".encode("big5"))
    done = call(home, "analyze", "big5.txt", "--json")
    assert (done.code, done.out) == (2, "")
    assert "看起來是 big5" in done.err or "看起來是 cp950" in done.err
    done = call(home, "analyze", "big5.txt", "--json", "--encoding", "cp950")
    assert [row["text"] for row in rows(done.out)] == ["這家餐廳很好吃, 服務也很好"]


def test_a_report_stands_alone(home: Path) -> None:
    """HTML with charts, and not one address to load anything from."""
    reviews(home)
    assert call(home, "analyze", "reviews.csv", "--column", "內容", "--out", "report.html").code == 0
    text = (home / "report.html").read_text(encoding="utf-8")
    assert "<svg" in text
    assert "src=" not in text
    assert "default-src 'none'" in text


def test_a_second_process_on_the_same_batch_is_refused_with_the_first_ones_pid(home: Path) -> None:
    """FAULTS 24: one batch, one process; the first one is not disturbed."""
    (home / "texts.txt").write_text("慢\n好\n", encoding="utf-8")
    hangs = {"OFFLINE_FAULTS": "hang@match:慢", "QUERY_TIMEOUT": "60"}
    with Program(home, "analyze", "texts.txt", "--pack", "off", environ=hangs) as first:
        journals = home / "state" / "parallel_processing" / "bulk"
        _wait_for(lambda: any(journals.glob("*.pid")))
        done = call(home, "analyze", "texts.txt", "--pack", "off", environ=hangs)
        assert done.code == 1
        assert f"另一個程式 (pid {first.pid}) 正在跑這批文字" in done.err


def test_ctrl_c_keeps_what_is_done_and_the_next_start_goes_on(home: Path) -> None:
    """130, a word about what is left, and nothing that was answered is asked again."""
    (home / "texts.txt").write_text("好\n慢\n", encoding="utf-8")
    hangs = {"OFFLINE_FAULTS": "hang@match:慢", "QUERY_TIMEOUT": "60"}
    with Program(home, "analyze", "texts.txt", "--pack", "off", environ=hangs) as program:
        _wait_for(lambda: "1/2 (50%)" in program.err)
        program.interrupt()
        done = program.finish()
    assert done.code == 130
    assert "⏸️ 批次已暫停, 還有 1 則沒有問" in done.err
    later = call(home, "analyze", "texts.txt", "--pack", "off", "--resume", environ={**hangs, "QUERY_TIMEOUT": "0.5"})
    assert later.code == 3
    assert "先前已完成 1 則" in later.err
    assert "這次: 回答 0 則, 失敗 1 則, 請求 1 次" in later.err


def test_help_opens_with_examples(home: Path) -> None:
    """Of the program and of each command."""
    for arguments in (
        ["--help"], ["ask", "--help"], ["analyze", "--help"], ["history", "--help"], ["cache", "--help"],
        ["stats", "--help"], ["doctor", "--help"], ["completion", "--help"],
    ):  # fmt: skip
        done = call(home, *arguments)
        assert done.code == 0
        assert "python main.py" in done.out


def test_the_history_of_what_was_asked(home: Path) -> None:
    """Listed, shown, compared, added up, exported and pruned by processes of their own; data on stdout alone."""
    asked = call(home, "ask", "-", "--json", typed="好\n壞\n".encode(), environ={"OFFLINE_FAULTS": "blocked@match:壞"})
    assert asked.code == 3
    again = call(home, "history", "rerun", "1", "--failed", "--json", "-q")
    assert (again.code, again.err) == (0, "")
    assert [row["question"] for row in rows(again.out)] == ["壞"]
    listed = rows(call(home, "history", "--json").out)
    assert [(row["id"], row["questions"]) for row in listed] == [(2, 1), (1, 2)]
    shown = call(home, "history", "show", "1")
    assert "🚫 內容被安全機制擋下" in shown.out
    assert rows(call(home, "stats", "--json").out)[0]["questions"] == 3
    exported = call(home, "history", "export", "1", "--out", "run.html")
    assert (exported.code, exported.out, exported.err) == (0, "", "📄 已寫入 run.html (2 列)\n")
    assert (home / "run.html").stat().st_mode & 0o777 == 0o600
    assert rows(call(home, "history", "prune", "--keep", "1", "--json").out) == [{"deleted": 1}]


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "said"),
    [
        (["history"], {}, 0, "🗂️ 沒有符合的執行紀錄"),
        (["history", "list", "-q"], {}, 0, ""),
        (["history", "show", "7"], {}, 2, "❌ 沒有編號 7 的紀錄"),
        (["history", "list"], {"HISTORY": "off"}, 2, "❌ 歷史紀錄已關閉 (HISTORY=off)"),
        (["history", "list"], {"MAX_WORKERS": "x"}, 2, "MAX_WORKERS"),
        (["history", "lst"], {}, 2, "❌ ACTION: 沒有 'lst'; 可用的有"),
        (["cache", "clear", "--yes"], {}, 2, "❌ 快取只在記憶體裡"),
    ],
)
def test_commands_without_anything_to_show(
    home: Path, arguments: list[str], environ: dict[str, str], code: int, said: str
) -> None:
    """One sentence on stderr, nothing on stdout; with -q only what is wrong."""
    done = call(home, *arguments, environ=environ)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(said) if said.startswith(("❌", "🗂️")) else said in done.err
    assert "Traceback" not in done.err


def test_a_history_that_cannot_be_read_is_exit_code_1(home: Path) -> None:
    """Not an empty list, and not a traceback; also when it should be quiet."""
    folder = home / "data" / "parallel_processing"
    folder.mkdir(parents=True)
    (folder / "history.sqlite3").write_bytes(b"no database" * 1000)
    done = call(home, "history", "--json", "-q")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("⚠️ 執行紀錄已損壞, 改名為 ")


def test_ctrl_c_in_ask_shows_what_is_answered(home: Path) -> None:
    """130; the answers that came are on stdout, and the run is in the history."""
    hangs = {"OFFLINE_FAULTS": "hang@match:慢", "QUERY_TIMEOUT": "60"}
    (home / "q.txt").write_text("好\n慢\n", encoding="utf-8")
    with Program(home, "ask", "q.txt", "--json", environ=hangs) as program:
        _wait_for(lambda: "✅ 任務完成: 好" in program.err)
        program.interrupt()
        done = program.finish()
    assert done.code == 130
    assert [row["outcome"] for row in rows(done.out)] == ["answered", "cancelled"]
    assert [row["counts"] for row in rows(call(home, "history", "--json").out)] == [{"answered": 1, "cancelled": 1}]


def test_a_reader_that_leaves_is_no_error(home: Path) -> None:
    """As with `| head -1`: no traceback, and the status of a broken pipe."""
    (home / "q.txt").write_text("".join(f"問題 {number}\n" for number in range(40)), encoding="utf-8")
    assert call(home, "ask", "q.txt", "-q").code == 0
    for arguments in ("history show 1", "history show 1 --json", "--help", "completion bash"):
        line = f'"{sys.executable}" "{MAIN}" {arguments} | head -1; exit "${{PIPESTATUS[0]}}"'
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, env=environment(home), cwd=home, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode in (0, 141)
        assert done.stderr == ""
        assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("history --json", 0, ""),
        ("stats", 0, ""),
        ("history delete 1", 2, "請加上 --yes 表示同意"),
        ("history rerun 1 --json", 0, ""),
        ("ask -", 2, "❌ 標準輸入是關閉的"),
        ("analyze -", 2, "❌ 標準輸入是關閉的"),
    ],
)
def test_a_closed_stdin_is_never_asked(home: Path, arguments: str, code: int, said: str) -> None:
    """What needs it says so; the rest does its work."""
    assert call(home, "ask", "-", typed="好\n".encode()).code == 0
    done = subprocess.run(
        ["sh", "-c", f'exec "{sys.executable}" "{MAIN}" {arguments} <&-'],
        capture_output=True, text=True, env=environment(home), cwd=home, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_old_batches_are_tidied_away_after_an_analysis(home: Path) -> None:
    """Finished ones of long ago, that is; and it is told."""
    reviews(home)
    call(home, "analyze", "reviews.csv", "--column", "內容")
    (journal,) = (home / "state" / "parallel_processing" / "bulk").glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("UPDATE meta SET value = '1000000.0' WHERE name = 'updated'")
    (home / "other.txt").write_text("很好吃\n", encoding="utf-8")
    done = call(home, "analyze", "other.txt")
    assert "🧹 已刪除 1 份早就完成的批次紀錄" in done.err
    assert not journal.exists()


def _wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.02)  # another process's progress can only be looked at
    raise AssertionError("it did not come to pass")

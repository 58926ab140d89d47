"""Good manners: readers that leave, closed streams, colours, dumb terminals, narrow screens and old encodings."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.program import MAIN, Finished, environment, fresh_home, run_main

CHINESE = re.compile("[\u4e00-\u9fff]")
# Every entry that only shows something, one after the other, and what is asked in them at the end of the line.
VISIT = "3\n4\n9\n\n10\n1\n\n11\n7\n\n\n5\n6\n"
COMMANDS = {
    "history list": "什麼是並行?",
    "history show 1": "什麼是執行緒?",
    "stats": "統計",
    "doctor": "輸出編碼",
    "--help": "用法",
    "ask --help": "用法",
}
_EACH = """\
import sys
import main
for line in sys.argv[1:]:
    try:
        code = main.main(line.split())
    except SystemExit as left:
        code = left.code or 0
    print("CODE", code, flush=True)
"""
_EACH_INPUT = """\
import sys
import main
for name in sys.argv[1:]:
    sys.stdin = open(name)
    print("CODE", main.main([]), flush=True)
"""
# What a pipe hands in before it ends; at the question it leads to there is nothing more.
UNFINISHED = ["9\n", "9\n1\n", "9\n4\n", "10\n", "10\nd 1\n", "10\np\n", "11\n", "11\n7\n"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one run of four questions in its history."""
    home = fresh_home(tmp_path_factory.mktemp("manners"))
    (home / "q.txt").write_text("什麼是並行?\n什麼是快取?\n什麼是限流?\n什麼是執行緒?\n", encoding="utf-8")
    assert run_main(home, "", arguments=["ask", "q.txt"]).code == 0
    return home


def shell(home: Path, command: str, environ: Mapping[str, str] | None = None) -> Finished:
    """A line of shell in which main.py stands for the program; it reads nothing."""
    program = f"{shlex.quote(sys.executable)} {shlex.quote(str(MAIN))}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("main.py", program)],
        stdin=subprocess.DEVNULL, capture_output=True, cwd=home, timeout=40, check=False,
        env=environment(home, environ),
    )  # fmt: skip
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize(
    "command",
    ["ask q.txt", "history show 1", "doctor", "--help"],
)
def test_a_reader_that_takes_one_line(home: Path, command: str) -> None:
    """With `| head -1` the line comes, nothing is complained about, and the status is the pipe's or 0."""
    done = shell(home, f"main.py {command} | head -1")
    assert len(done.out.splitlines()) == 1
    assert done.code in (0, 141)
    assert "Traceback" not in done.err
    assert "Exception ignored" not in done.err
    assert "BrokenPipe" not in done.err


def test_a_run_whose_reader_left_is_in_the_history(tmp_path: Path) -> None:
    """FAULTS 27: nobody reads the answers, and none of them is lost."""
    home = fresh_home(tmp_path)
    (home / "q.txt").write_text("".join(f"問題 {number}\n" for number in range(40)), encoding="utf-8")
    shell(home, "main.py ask q.txt --json | head -1")
    shown = run_main(home, "", arguments=["history", "show", "1", "--json"])
    assert shown.out.count('"answered"') >= 40


@pytest.mark.parametrize(
    ("command", "closed", "code"),
    [("ask q.txt", "2>&-", 0), ("doctor", "2>&-", 0), ("ask q.txt", ">&-", 141), ("stats", ">&- 2>&-", 141)],
)
def test_commands_with_closed_streams(home: Path, command: str, closed: str, code: int) -> None:
    """Without a stream for notes the results come all the same; without one for results the command ends quietly."""
    done = shell(home, f"main.py {command} {closed}")
    assert done.code == code
    assert bool(done.out) is (closed == "2>&-")
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "environ",
    [
        {"NO_COLOR": "1", "FORCE_COLOR": "1", "TERM": "xterm-256color"},
        {"FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": "20"},
    ],
    ids=["NO_COLOR", "dumb and 20 columns"],
)
def test_a_pipe_gets_plain_text(home: Path, environ: dict[str, str]) -> None:
    """No escape sequence, whatever the terminal would have been like, in the menu and in a command."""
    for done in (run_main(home, VISIT, environ=environ), shell(home, "main.py history show 1", environ)):
        assert (done.code, done.err) == (0, "")
        assert "\x1b" not in done.out


def test_colours_that_are_forced_are_styles_and_nothing_else(home: Path) -> None:
    """FORCE_COLOR may bring styles into a pipe, never a movement of the cursor."""
    done = run_main(home, VISIT, environ={"FORCE_COLOR": "1", "TERM": "xterm-256color"})
    assert (done.code, done.err) == (0, "")
    assert "\x1b" not in re.sub(r"\x1b\[[\d;]*m", "", done.out)


@pytest.mark.parametrize("encoding", ["cp950", "cp1252", "ascii"])
def test_the_menu_in_an_old_encoding(home: Path, encoding: str) -> None:
    """No crash and only the encoding's characters: cache, figures, limits, history, settings; in cp950 in Chinese."""
    done = run_main(home, VISIT, environ={"PYTHONIOENCODING": encoding}, encoding=encoding)
    assert (done.code, done.err) == (0, "")
    texts = ("快取統計資訊:", "效能報告", "限額 (模型 offline-demo):", "同時詢問數", "什麼是並行?")
    check_chinese(done.out, encoding, *texts)


@pytest.mark.parametrize("encoding", ["cp950", "cp1252", "ascii"])
def test_commands_in_an_old_encoding(home: Path, encoding: str) -> None:
    """No crash and only the encoding's characters on both streams; in cp950 the Chinese is what it was."""
    done = subprocess.run(
        [sys.executable, "-c", _EACH, *COMMANDS],
        stdin=subprocess.DEVNULL, capture_output=True, cwd=home, timeout=40, check=False,
        env=environment(home, {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(MAIN.parent)}),
    )  # fmt: skip
    assert "Traceback" not in done.stderr.decode(encoding)
    told = re.split("^CODE (.*)\n", done.stdout.decode(encoding), flags=re.MULTILINE)
    assert told[1::2] == ["0"] * len(COMMANDS)
    for out, text in zip(told[::2], COMMANDS.values(), strict=False):
        check_chinese(out, encoding, text)


def check_chinese(out: str, encoding: str, *texts: str) -> None:
    """In cp950 the texts are there and nothing in Chinese is escaped; elsewhere there is no Chinese at all."""
    if encoding == "cp950":
        assert [text for text in texts if text not in out] == []
        assert not re.search(r"\\u[4-9][0-9a-f]{3}", out)
    else:
        assert not CHINESE.search(out)
        assert [text for text in texts if text.encode(encoding, "backslashreplace").decode(encoding) not in out] == []


def test_an_input_that_ends_at_a_question_is_a_goodbye(home: Path) -> None:
    """At every question of limits, history and settings: 0, nothing done, no traceback."""
    files = [home / f"keys{number}" for number in range(len(UNFINISHED))]
    for file, keys in zip(files, UNFINISHED, strict=True):
        file.write_text(keys)
    done = subprocess.run(
        [sys.executable, "-c", _EACH_INPUT, *map(str, files)],
        stdin=subprocess.DEVNULL, capture_output=True, cwd=home, timeout=40, check=False,
        env=environment(home, {"PYTHONPATH": str(MAIN.parent)}),
    )  # fmt: skip
    assert done.stderr == b""
    told = re.split("^CODE (.*)\n", done.stdout.decode(), flags=re.MULTILINE)
    assert told[1::2] == ["0"] * len(UNFINISHED)
    assert [out[-60:] for out in told[:-1:2] if not out.endswith("👋 再見!\n")] == []
    assert "✅ 已刪除" not in done.stdout.decode()

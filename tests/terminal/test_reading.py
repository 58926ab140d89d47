"""Reading a long Markdown answer in a pseudo-terminal: pages, frames, styles, the saved file."""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.terminal.menu import BROWSE, all_lines
from tests.terminal.session import Session
from utils.text_width import cell_width

ROWS = 24
PART = """\
## 第 {number} 節: 並行 *處理*

一段很長的說明文字, 用來看看它在各種寬度的螢幕上怎麼換行, 其中有 **粗體**、`程式碼` 與[連結](https://example.com/{number})。

- 項目
  1. 巢狀的項目 with a few English words that have to be wrapped somewhere

> ✅ 快取已清除

```python
result = parallel(["一個很長的字串", "another long string literal", 12345, 67890], workers=50, timeout=15.0)
```

| 名稱 | 說明 | 值 |
|------|:----:|---:|
| 並行 | 同時處理 | 50 |
| family 👨‍👩‍👧‍👦 | emoji | 1 |

"""
TEXT = "".join(PART.format(number=number) for number in range(1, 9)) + "🔚 \x1b[2J\x1b]0;題\x07\u202e尾\r\n"


@contextmanager
def reading(path: Path, *, columns: int = 80, term: str = "xterm-256color", **environ: str) -> Iterator[Session]:
    """The answer's number entered at the reading prompt."""
    program = [sys.executable, "-m", "tests.terminal.reading_program", str(path)]
    session = Session(program, environ={"TERM": term, **environ}, columns=columns, rows=ROWS, cwd=path.parent)
    try:
        session.wait_for_prompt(BROWSE)
        session.enter("1")
        yield session
    finally:
        session.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "answer").write_bytes(TEXT.encode())
    return tmp_path / "answer"


def page_prompt(session: Session, first: int) -> int:
    """Wait for the prompt of the page that begins with that line; the number of lines there are."""
    told = re.compile(rf"第 {first:,}-\d+ 行, 共 ([\d,]+) 行 \(.*\):$")
    session.wait_until(lambda: told.match(last_line(session)) is not None, f"the page of line {first}")
    found = told.match(last_line(session))
    assert found is not None
    return int(found[1])


def last_line(session: Session) -> str:
    return session.display.split("\n")[-1]


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_a_long_answer_is_read_in_pages(path: Path, tmp_path: Path, columns: int, term: str) -> None:
    """Forth, back, saved to the byte; every line of the answer framed, none wider than the screen."""
    target = tmp_path / "saved.md"
    size = ROWS - 4
    with reading(path, columns=columns, term=term) as session:
        assert page_prompt(session, 1) > size * 3
        session.enter()
        page_prompt(session, 1 + size)
        session.enter("b")
        page_prompt(session, 1)
        session.enter("ｓ")
        session.wait_for_prompt("另存檔名 (.md .txt; 按 Enter 略過):")
        session.enter(target.name)
        session.expect("已寫入 saved.md")
        page_prompt(session, 1)
        session.enter("g")
        session.wait_for_prompt("跳到第幾行:")
        session.enter("９９９９")
        session.expect_on_screen("🔚")
        session.wait_until(lambda: re.search("Enter 返回|[?] 說明", last_line(session)) is not None, "the last page")
        session.enter()
        session.wait_for_prompt(BROWSE)
        session.enter()
        session.expect("LEFT")
        assert session.wait_for_exit() == 0
    assert target.read_bytes() == TEXT.encode()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    lines = all_lines(session)
    assert max(map(cell_width, lines)) <= columns
    ours = re.compile("📝|└|💡|第 |📄|另存檔名|輸入題號|Enter 返回|跳到第幾行|LEFT|$")
    assert [line for line in lines if not line.startswith("│") and not ours.match(line)] == []
    body = "\n".join(line for line in lines if line.startswith("│"))
    assert "␛[2J␛]0;題␇\\u202e尾" in body
    assert "│ > ✅ 快取已清除" in body
    assert ("**粗體**" in body) is (term == "dumb")
    sequences = re.findall(r"\x1b\[[\d;]*m", session.text)
    assert ("\x1b[1m" in sequences) is (term != "dumb")
    assert not re.search(r"\x1b\]|\x1b\[2J|\x07|\u202e|\x1b\]8", session.text)


def test_turning_and_no_colour(path: Path) -> None:
    """With NO_COLOR the text is shown as it is; m lays it out, still without a style, and turns it back."""
    with reading(path, columns=200, NO_COLOR="1") as session:
        page_prompt(session, 1)
        session.expect_on_screen("│ |------|:----:|---:|")
        session.enter("m")
        session.expect("名稱      │   說明   │ 值")
        page_prompt(session, 1)
        session.enter("q")
        session.wait_for_prompt(BROWSE)
        session.enter("m")
        session.expect("以原文顯示回答")
        page_prompt(session, 1)
        session.enter("q")
        session.wait_for_prompt(BROWSE)
        session.enter()
        assert session.wait_for_exit() == 0
    assert not re.search(r"\x1b\[1m|\x1b\[36m", session.text)


def test_ctrl_c_leaves_the_pages(path: Path) -> None:
    """It ends the reading as it does at every question."""
    with reading(path) as session:
        page_prompt(session, 1)
        session.interrupt()
        assert session.wait_for_exit() != 0
    assert not session.screen.cursor.hidden


def test_ten_megabytes_show_their_first_screen(tmp_path: Path) -> None:
    """The beginning, with the size; the end is only a number away."""
    path = tmp_path / "answer"
    path.write_bytes(("字" * 50 + "\n").encode() * (10 << 20 >> 7) + b"x" * (3 << 20) + "\n終".encode())
    with reading(path) as session:
        session.expect("MB, 只先顯示開頭; s 另存檔案")
        session.wait_until(lambda: last_line(session).startswith("第 1-20 行, 後面還有"), "the first page")
        session.enter("q")
        session.wait_for_prompt(BROWSE)
        session.enter()
        assert session.wait_for_exit() == 0
    assert len(session.output) < 20_000

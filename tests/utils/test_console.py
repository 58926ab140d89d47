"""One place writes and reads; whatever the streams are like, it copes."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils import console as console_module
from utils.console import Console, OutputClosed, write_line
from utils.line_input import QuerySet, Typed

ROOT = Path(__file__).resolve().parents[2]


class Encoded(io.TextIOWrapper):
    """A stream of some encoding that keeps its bytes."""

    def __init__(self, encoding: str) -> None:
        self.sink = io.BytesIO()
        super().__init__(self.sink, encoding=encoding, newline="")

    @property
    def shown(self) -> str:
        return self.sink.getvalue().decode(self.encoding)


def piped(data: bytes = b"", encoding: str = "utf-8") -> tuple[Console, Encoded, Encoded]:
    """A console whose streams are no terminals, and its output and error streams."""
    out, err = Encoded(encoding), Encoded(encoding)
    stdin = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
    return Console(stdin=stdin, stdout=out, stderr=err, environ={}), out, err


def test_everything_written_is_neutralised() -> None:
    """Lines, blocks, notes and prompts show escapes instead of sending them."""
    console, out, err = piped(b"x\n")
    console.write_line("a\x1b[2Jb")
    console.write_block("c\x07\n")
    console.note("n\x9b")
    console.ask("p\x1b\r\n: ")
    assert out.shown == "a␛[2Jb\nc␇\np␛\n: \n"
    assert err.shown == "n\\x9b\n"


@given(st.text(alphabet=st.characters(codec=None)), st.sampled_from(["utf-8", "cp950", "cp1252", "ascii", "utf-16"]))
def test_any_text_can_be_written_anywhere(text: str, encoding: str) -> None:
    """No text and no encoding make writing fail."""
    console, out, _ = piped(encoding=encoding)
    console.write_line(text)
    assert out.shown.endswith("\n")


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "✅ 任務完成 👨‍👩‍👧 ⏱️ │"),
        ("cp950", "[OK] 任務完成 \\U0001f468\\U0001f469\\U0001f467 [t] │"),
        ("cp1252", "[OK] \\u4efb\\u52d9\\u5b8c\\u6210 \\U0001f468\\U0001f469\\U0001f467 [t] |"),
        ("ascii", "[OK] \\u4efb\\u52d9\\u5b8c\\u6210 \\U0001f468\\U0001f469\\U0001f467 [t] |"),
    ],
)
def test_symbols_fall_back_where_the_encoding_lacks_them(encoding: str, shown: str) -> None:
    """Our symbols become plain ones, other characters escapes; what can be written stays."""
    console, out, _ = piped(encoding=encoding)
    console.write_line("✅ 任務完成 👨‍👩‍👧 ⏱️ │")
    assert out.shown == shown + "\n"
    assert console.encoding_safe("✅") == shown.split()[0]


class Failing(io.StringIO):
    """A stream whose writes fail."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        raise self.error


def test_a_reader_that_left_ends_the_output_quietly() -> None:
    """A broken pipe is OutputClosed 141, at once and for good, and is not written to again."""
    stream = Failing(BrokenPipeError())
    console = Console(stdout=stream, environ={})
    for _ in range(2):
        with pytest.raises(OutputClosed) as caught:
            console.write_line("x")
        assert (caught.value.exit_code, caught.value.detail) == (141, "")
    assert stream.tries == 1


def test_a_full_disk_is_named() -> None:
    """Any other failure to write is OutputClosed 1 with the system's word for it."""
    console = Console(stdout=Failing(OSError(errno.ENOSPC, "No space left on device")), environ={})
    with pytest.raises(OutputClosed) as caught:
        console.write_line("x")
    assert (caught.value.exit_code, caught.value.detail) == (1, "OSError: No space left on device")


def test_a_closed_stream_counts_as_left() -> None:
    """Writing to a closed stream is OutputClosed; another ValueError is somebody's bug and passes."""
    closed = io.StringIO()
    closed.close()
    console = Console(stdin=closed, stdout=closed, environ={})
    assert not console.is_terminal
    assert console.width == 80
    with pytest.raises(OutputClosed):
        console.write_line("x")
    with pytest.raises(ValueError, match="a bug"):
        Console(stdout=Failing(ValueError("a bug")), environ={}).write_line("x")


def test_no_streams_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started without any streams, asking is EOF, notes are lost and writing says that nobody reads."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    console = Console(environ={})
    with console:
        console.note("lost")
        assert console.width == 80
        assert not console.is_interactive
        console.discard_typed()
        with pytest.raises(OutputClosed):
            console.ask("? ")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with pytest.raises(EOFError):
        Console(environ={}).ask("? ")


def test_a_broken_stderr_stops_nothing() -> None:
    """A note that cannot be written is dropped."""
    console, _, _ = piped()
    broken = Console(stdout=Encoded("utf-8"), stderr=Failing(OSError()), environ={})
    broken.note("x")
    broken.write_line("still works")
    console.note("x")


def test_each_piped_line_is_one_answer() -> None:
    """Prompts are written, each line answers one, and the end of the input is EOFError."""
    console, out, _ = piped("2\r\n６\n最後".encode())
    assert console.ask("選擇: ") == "2"
    entry = console.ask_choice("選擇: ")
    assert isinstance(entry, Typed)
    assert entry.choice == "6"
    assert console.ask("問題: ") == "最後"
    with pytest.raises(EOFError):
        console.ask("選擇: ")
    assert out.shown == "選擇: \n選擇: \n問題: \n選擇: \n"


def test_a_piped_query_set() -> None:
    """Lines up to the empty one are the set; the next line answers the next question."""
    console, out, _ = piped("一\n二\n\n6\n".encode())
    assert console.ask_lines("請輸入多個問題:") == QuerySet(("一", "二"))
    assert console.ask("> ") == "6"
    assert out.shown.startswith("請輸入多個問題:\n1> \n2> \n3> \n")


def test_a_piped_set_is_bounded() -> None:
    """Beyond the most nothing more is read, which is said, and no later line becomes an answer."""
    console, _, err = piped(b"a\nb\nc\n\n6\n")
    assert console.ask_lines("?", most=2) == QuerySet(("a", "b"), left_out=None)
    assert err.shown == "一次最多 2 個問題, 其餘的輸入沒有讀取\n"
    with pytest.raises(EOFError):
        console.ask("選擇: ")


def test_undecodable_input_is_told() -> None:
    """Bytes that are no text are replaced, and a note names line and number."""
    console, _, err = piped(b"ok\nbad \xff\xfe\n")
    assert [console.ask("?"), console.ask("?")] == ["ok", "bad ��"]
    assert err.shown == "第 2 行有 2 個無法解碼的位元組, 已用 � 代替\n"


def test_a_text_only_input_works_too() -> None:
    """A stream without bytes underneath, as in tests of other code, is read line by line."""
    console = Console(stdin=io.StringIO("a\nb"), stdout=io.StringIO(), environ={})
    assert [console.ask(""), console.ask("")] == ["a", "b"]
    closed = io.StringIO()
    closed.close()
    with pytest.raises(EOFError):
        Console(stdin=closed, stdout=io.StringIO(), environ={}).ask("")


def test_the_width_comes_from_the_environment_without_a_terminal() -> None:
    """COLUMNS counts where there is no terminal; less than 20 is 20."""
    assert Console(stdout=io.StringIO(), environ={"COLUMNS": "132"}).width == 132
    assert Console(stdout=io.StringIO(), environ={"COLUMNS": "5"}).width == 20
    assert Console(stdout=io.StringIO(), environ={"COLUMNS": "wide"}).width == 80


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "draws", "colour"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
    ],
)
def test_what_a_terminal_can_do(environ: dict[str, str], draws: bool, colour: bool) -> None:
    """NO_COLOR and TERM=dumb are heeded."""
    console = Console(stdout=Terminal(), environ=environ)
    assert (console.draws, console.has_colour) == (draws, colour)


def test_long_lines_go_on_framed_on_a_terminal_only() -> None:
    """At the edge of a terminal an answer stays in its frame; a pipe gets the line as it is."""
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        Console(stdout=stream, environ={"COLUMNS": "20"}).write_line("title\n│ " + "x" * 30)
    assert terminal.getvalue() == "title\n│ " + "x" * 18 + "\n│ " + "x" * 12 + "\n"
    assert pipe.getvalue() == "title\n│ " + "x" * 30 + "\n"


def test_rich_writes_through_the_same_outlet() -> None:
    """What rich prints falls back like everything else, shows brackets as brackets, and notices a closed output."""
    out = Encoded("ascii")
    rich = Console(stdout=out, environ={"TERM": "xterm", "NO_COLOR": "1"}).rich()
    rich.print("[red]✅[/red] :smile:")
    assert out.shown == "[red][OK][/red] :smile:\n"
    with pytest.raises(OutputClosed):
        Console(stdout=Failing(BrokenPipeError()), environ={}).rich().print("x")


def test_the_module_level_line_goes_to_the_current_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """The convenience function looks the process's stdout up at each call."""
    write_line("a\x1b")
    write_line()
    assert capsys.readouterr().out == "a␛\n\n"


def test_writers_do_not_mix_their_lines() -> None:
    """Threads writing at once each get their lines out whole."""
    console, out, _ = piped()
    barrier = threading.Barrier(4)

    def write(letter: str) -> None:
        barrier.wait()
        for _ in range(200):
            console.write_line(letter * 20)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(line[0] * 20) == line for line in out.shown.split()} == {True}
    assert len(out.shown.split()) == 800


def run(
    code: str, *, stdout: int | IO[bytes], stderr: int | None = None, encoding: str = "utf-8"
) -> subprocess.CompletedProcess[bytes]:
    prefix = "import sys\nfrom utils.console import Console, OutputClosed\nconsole = Console(history_path=None)\n"
    return subprocess.run(
        [sys.executable, "-c", prefix + code],
        cwd=ROOT,
        check=False,
        timeout=30,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )


PATIENT_WRITER = """
try:
    for number in range(100_000):
        console.write_line(f"line {number}")
except OutputClosed as closed:
    sys.exit(closed.exit_code)
"""


def test_head_ends_the_program_without_a_word() -> None:
    """Piped into a reader that leaves, the program ends with 141 and nothing on stderr."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = run(PATIENT_WRITER, stdout=write_end, stderr=subprocess.PIPE)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_device_ends_the_program_with_1() -> None:
    """Where the disk refuses the output, the exit code is 1 and the interpreter adds no complaint."""
    with open("/dev/full", "wb") as full:
        done = run(PATIENT_WRITER, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("encoding", ["cp950", "cp1252", "ascii", "utf-8"])
def test_a_real_stdout_of_any_encoding(encoding: str) -> None:
    """PYTHONIOENCODING of any kind: no crash, and the symbols fall back."""
    done = run("console.write_line('✅ 完成')", stdout=subprocess.PIPE, encoding=encoding)
    assert done.returncode == 0
    assert done.stdout.decode(encoding).startswith("✅" if encoding == "utf-8" else "[OK]")


def test_importing_the_console_is_light() -> None:
    """Neither rich nor prompt_toolkit nor wcwidth is loaded before something needs it."""
    heavy = ("rich", "prompt_toolkit", "wcwidth", "platformdirs", "asyncio")
    done = run(f"print([name for name in {heavy} if name in sys.modules])", stdout=subprocess.PIPE)
    assert done.stdout == b"[]\n"


def test_the_default_history_is_looked_up_only_when_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Left out, the path is that of the state folder; given, it is what was given."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert Console()._entries._find_history_path() == tmp_path / "parallel_processing" / "history.jsonl"
    assert Console(history_path=None)._entries._find_history_path() is None
    assert console_module.MOST_QUERIES == 100_000

"""The key is nowhere: hunted for in everything the program writes, under every fault a server can have."""

from __future__ import annotations

import base64
import contextlib
import re
import shlex
import stat
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.program import MAIN, Finished, Program, environment, fresh_home
from tests.servers import LoopbackGemini
from tests.servers.replies import Failure, Hang, Raw, Redirect, Reply, bad_key, leaked_key, overloaded, quota
from tests.terminal.menu import BROWSE, MENU
from tests.terminal.session import Session

CANARY = "AIzaSyCANARYofTheTestSuite0123456789abc"
FORMS = (CANARY, CANARY[:12], base64.b64encode(CANARY.encode()).decode().rstrip("="))
PATIENCE = 30.0
KINDS = (("grpc", False), ("grpc", True), ("rest", True))
ENDS_WITH = "並行執行完成"
WARM = "✅ 任務完成: warm"


def replies(elsewhere: str) -> Mapping[str, Reply | None]:
    """What the server says to a question of this text; some of it repeats the key to whoever sent it."""
    return {
        "warm": None,
        "well": None,
        "wrong key": bad_key(),
        "key repeated": replace(bad_key(), message=f"API key {CANARY} not valid. Please pass a valid API key."),
        "forbidden": leaked_key(),
        "forbidden by name": Failure(403, "PERMISSION_DENIED", f"Consumer 'api_key:{CANARY}' has been suspended."),
        "internal": Failure(500, "INTERNAL", f"Internal error near {CANARY}"),
        "overloaded": overloaded(),
        "garbage": Raw(f'{{"candidates": "{CANARY}'.encode()),
        "portal": Raw(f"<html>x-goog-api-key: {CANARY}</html>".encode(), "text/html"),
        "redirect": Redirect(f"{elsewhere}/login?key={CANARY}"),
        "hang": Hang(),
        "interrupted": Hang(),
        "quota": quota(300.0),  # the last one: until then no further call is made
    }


@dataclass(frozen=True, slots=True)
class Hunt:
    """One program that met every fault, one after the other."""

    done: Finished
    files: Mapping[str, bytes]
    command_line: bytes
    strangers: int


@pytest.fixture(scope="module")
def hunts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, bool], Hunt]:
    """Both transports, with and without --debug, at the same time."""
    with LoopbackGemini() as elsewhere, LoopbackGemini() as server, contextlib.ExitStack() as stack:
        said = replies(elsewhere.rest_endpoint.url)
        server.set_script(lambda request: said[request.text.partition(":")[0]])
        homes = {kind: fresh_home(tmp_path_factory.mktemp("hunt")) for kind in KINDS}
        programs = {kind: stack.enter_context(start(homes[kind], server, *kind)) for kind in KINDS}
        one_by_one = [text for text in said if text not in ("warm", "interrupted", "quota")]
        for program in programs.values():
            warm_up(program)
            program.send("".join(f"2\n{text}\n\n" for text in one_by_one))
        for number, program in enumerate(programs.values()):
            for _ in one_by_one:
                program.expect(ENDS_WITH)
            program.send(f"2\ninterrupted:{number}\n\n")
            wait_for_question(server, f"interrupted:{number}")
            program.interrupt()
            program.expect("⏹️ 已中斷")
            program.send("2\nquota\n\n")
            program.expect("⏳ 限流, 300 s 後繼續")
            program.interrupt()
            program.expect(ENDS_WITH)
        lines = {kind: Path(f"/proc/{program.pid}/cmdline").read_bytes() for kind, program in programs.items()}
        ends = {kind: program.finish() for kind, program in programs.items()}
        assert all(request.api_key == CANARY for request in server.requests)
        strangers = len(elsewhere.requests)
    return {kind: Hunt(ends[kind], contents(homes[kind]), lines[kind], strangers) for kind in KINDS}


def start(home: Path, server: LoopbackGemini, transport: str, debug: bool, **more: str) -> Program:
    environ = {
        "GEMINI_API_KEY": CANARY,
        "GEMINI_TRANSPORT": transport,
        "GEMINI_API_ENDPOINT": server.endpoint(transport).authority,
        "QUERY_TIMEOUT": "1.5",
        **more,
    }
    return Program(home, *["--debug"] * debug, environ=environ)


def warm_up(program: Program) -> None:
    """Ask until there is an answer: on a busy machine a question's time may be over before the SDK is loaded."""
    for _ in range(20):
        program.send("2\nwarm\n\n")
        program.expect(ENDS_WITH)
        if WARM in program.out:
            return
    raise AssertionError("no question is ever answered")


def wait_for_question(server: LoopbackGemini, text: str) -> None:
    limit = time.monotonic() + PATIENCE
    while not any(request.text == text for request in server.requests):
        assert time.monotonic() < limit, f"{text!r} never arrived"
        threading.Event().wait(0.02)


def contents(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("transport", "debug"), KINDS)
def test_the_key_is_nowhere(hunts: Mapping[tuple[str, bool], Hunt], transport: str, debug: bool) -> None:
    """Not whole, not its beginning, not in base64: on no stream, in no file, not on the command line."""
    hunt = hunts[transport, debug]
    places = {"stdout": hunt.done.out.encode(), "stderr": hunt.done.err.encode(), "cmdline": hunt.command_line}
    for place, text in {**places, **hunt.files}.items():
        for form in FORMS:
            assert form.encode() not in text, f"the key is in {place}"


@pytest.mark.parametrize(("transport", "debug"), KINDS)
def test_every_fault_was_met_and_told(hunts: Mapping[tuple[str, bool], Hunt], transport: str, debug: bool) -> None:
    """Each fault has its own sentence, the program outlives them all, and stderr has no traceback."""
    done = hunts[transport, debug].done
    assert done.code == 0
    assert "Traceback" not in done.err
    assert debug or done.err == ""
    told = done.out.partition(WARM)[2]
    assert told.count(ENDS_WITH) == len(replies(""))
    # What is retried may run into its deadline on a busy machine, and is then told as late instead.
    out = re.sub(r"⏰ 任務逾時: (internal|overloaded|garbage|portal) .*", r"❌ 任務失敗: \1 - ", told)
    for sentence in (
        "✅ 任務完成: well",
        "❌ 任務失敗: wrong key - API 金鑰無效",
        "❌ 任務失敗: key repeated - API 金鑰無效",
        "❌ 任務失敗: forbidden - 這把金鑰沒有使用權限",
        "⏹️ 任務取消: quota",
        "❌ 任務失敗: internal - ",
        "❌ 任務失敗: overloaded - ",
        "❌ 任務失敗: garbage - ",
        "❌ 任務失敗: portal - ",
        "⏰ 任務逾時: hang",
        "⏹️ 任務取消: interrupted",
    ):
        assert sentence in out, sentence
    assert transport == "grpc" or "❌ 任務失敗: redirect - 伺服器要求轉往其他網址, 已拒絕" in out


def test_no_redirect_is_followed(hunts: Mapping[tuple[str, bool], Hunt]) -> None:
    """The other origin never hears of us, with the key or without."""
    assert {hunt.strangers for hunt in hunts.values()} == {0}


def test_a_wrong_key_is_one_call_of_a_hundred(tmp_path: Path) -> None:
    """A hundred questions cost one call; the sentence names the fix, and the others are told as not run."""
    with LoopbackGemini(script=bad_key(), model_script=bad_key()) as server:
        with start(fresh_home(tmp_path), server, "rest", False, QUERY_TIMEOUT="15") as program:
            program.send("2\n" + "".join(f"問題 {number}\n" for number in range(100)) + "\n")
            program.expect(ENDS_WITH)
            done = program.finish()
        assert server.calls == 1
    assert (done.code, done.err) == (0, "")
    seconds = re.search(r"並行執行完成,耗時: (\d+\.\d+) 秒", done.out)
    assert seconds
    assert float(seconds[1]) < 5
    assert "   ❌ API 金鑰無效 (API key not valid. Please pass a valid API key.)\n" in done.out
    assert done.out.count("請檢查 GEMINI_API_KEY 是否完整正確") == 1
    assert "❌ 任務失敗: " in done.out
    assert done.out.count("未執行") == 3  # one line for all of them, its reason, and the count
    assert "✅ 成功: 0/100 (失敗 1, 未執行 99)" in done.out
    assert CANARY not in done.out


def test_without_a_network_the_cache_still_answers(tmp_path: Path) -> None:
    """Once nothing listens any more, a new question fails with a sentence and a known one is answered at once."""
    with LoopbackGemini() as server, start(fresh_home(tmp_path), server, "grpc", False) as program:
        program.send("2\n舊的問題\n\n")
        program.expect("✅ 成功: 1/1")
        server.refuse()
        began = time.monotonic()
        program.send("2\n舊的問題\n新的問題\n\n")
        program.expect("✅ 任務完成: 舊的問題")
        program.expect("連線不到伺服器")
        assert time.monotonic() - began < 10
        program.expect("✅ 成功: 1/2")
        done = program.finish()
    assert (done.code, done.err) == (0, "")
    assert "│ echo:舊的問題 [快取]" in done.out


@pytest.fixture
def open_umask_session(tmp_path: Path) -> Iterator[Session]:
    """The program in a terminal whose shell lets everybody read and write new files."""
    command = f"umask 000; exec {shlex.quote(sys.executable)} {shlex.quote(str(MAIN))}"
    home = fresh_home(tmp_path)
    session = Session(["sh", "-c", command], environ=environment(home, {"HOME": str(home)}), cwd=home)
    yield session
    session.close()


def test_files_are_the_owner_s_alone(open_umask_session: Session, tmp_path: Path) -> None:
    """Whatever the umask: folders 0700 and files 0600 from their creation on."""
    session = open_umask_session
    session.wait_for_prompt(MENU)
    session.enter("2")
    session.wait_for_prompt("1>")
    session.enter("一個問題")
    session.wait_for_prompt("2>")
    session.enter()
    session.wait_for_prompt(BROWSE)
    session.enter()
    session.wait_for_prompt(MENU)
    session.enter("6")
    assert session.wait_for_exit() == 0
    made = list((tmp_path / "home").rglob("*"))
    files = [path for path in made if path.is_file()]
    assert sorted(path.name for path in files) == ["history.jsonl", "history.sqlite3"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    ours = [path for path in made if path.is_dir() and path.name == "parallel_processing"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in ours} == {0o700}

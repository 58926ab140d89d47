"""`doctor` as a person or a script calls it: a process of its own, against a loopback service where one is needed."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.program import Finished, Program, fresh_home, run_main
from tests.servers import LoopbackGemini
from tests.servers.replies import Failure, Hang, Raw, Redirect, Reply, bad_key

KEY = "AIzaSyCANARYofTheTestSuite0123456789abc"
FORMS = (KEY, KEY[:12], base64.b64encode(KEY.encode()).decode().rstrip("="))
NAMES = [
    "python", "packages", "settings", "settings_file", "clock", "state", "config", "cache", "data", "disk", "encoding",
    "language", "screen", "streams", "key", "sdk", "network", "service",
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return fresh_home(tmp_path)


def doctor(home: Path, *arguments: str, encoding: str = "utf-8", **environ: str) -> Finished:
    return run_main(home, "", arguments=["doctor", *arguments], environ=environ, encoding=encoding)


def against(server: LoopbackGemini, transport: str = "rest", **more: str) -> dict[str, str]:
    endpoint = server.endpoint(transport).authority
    return {"GEMINI_API_KEY": KEY, "GEMINI_TRANSPORT": transport, "GEMINI_API_ENDPOINT": endpoint, **more}


def states(done: Finished) -> Mapping[str, str]:
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["check"] for row in rows] == NAMES
    assert all(set(row) == {"check", "state", "text", "advice"} for row in rows)
    return {row["check"]: row["state"] for row in rows}


def hunt(home: Path, done: Finished) -> None:
    """The key is on no stream and in no file but the person's own, and there is no traceback."""
    texts = [done.out, done.err, *(path.read_text("utf-8") for path in home.rglob("*") if path.is_file())]
    assert not [form for form in FORMS for text in texts if form in text]
    assert "Traceback" not in done.out + done.err


def test_without_a_key_the_network_is_left_alone(home: Path) -> None:
    """It says so, calls it a warning, makes no file or folder, and leaves with 0."""
    done = doctor(home)
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == len(NAMES) + 1
    assert "⚠️ 金鑰: 沒有設定, 使用離線示範模型 → " in done.out
    assert "⏭️ 網路: 離線示範模型, 不需要檢查" in done.out
    assert done.out.endswith("✅ 可以使用, 有 1 項提醒\n")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_all_is_well_with_a_key_that_the_service_knows(home: Path, transport: str) -> None:
    """One JSON object for each check, and the service was asked for the model's description alone."""
    with LoopbackGemini() as server:
        done = doctor(home, "--json", **against(server, transport))
        assert [request.method for request in server.requests] == ["get_model"]
        assert server.requests[0].api_key == KEY
    assert (done.code, done.err) == (0, "")
    assert set(states(done).values()) == {"ok"}
    hunt(home, done)


def test_the_other_sdk_is_checked_the_same_way(home: Path) -> None:
    """GEMINI_SDK=google-genai."""
    with LoopbackGemini() as server:
        done = doctor(home, **against(server, GEMINI_SDK="google-genai"))
    assert (done.code, done.err) == (0, "")
    assert "✅ SDK: google-genai " in done.out
    assert done.out.endswith("✅ 全部正常\n")
    hunt(home, done)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (bad_key(), "❌ 金鑰與模型: API 金鑰無效"),
        (Failure(403, "PERMISSION_DENIED", f"Consumer 'api_key:{KEY}' has been suspended."), "沒有使用權限"),
        (Failure(500, "INTERNAL", f"near {KEY}"), "⚠️ 金鑰與模型: 伺服器發生錯誤"),
        (Raw(f"<html>x-goog-api-key: {KEY}</html>".encode(), "text/html"), "❌ 金鑰與模型: 回應無法解析"),
    ],
)
def test_a_service_that_refuses_is_told_without_the_key(home: Path, reply: Reply, said: str) -> None:
    """Also where the service repeats the key to whoever sent it; --debug shows no more of it."""
    with LoopbackGemini(model_script=reply) as server:
        done = run_main(home, "", arguments=["--debug", "doctor"], environ=against(server))
    assert said in done.out
    assert done.code == (0 if "⚠️ 金鑰與模型" in done.out else 1)
    hunt(home, done)


def test_a_redirect_is_refused_and_nobody_else_hears_of_us(home: Path) -> None:
    """The key does not travel to another origin, nor to the screen from the address it was sent to."""
    with LoopbackGemini() as elsewhere:
        reply = Redirect(f"{elsewhere.rest_endpoint.url}/login?key={KEY}")
        with LoopbackGemini(model_script=reply) as server:
            done = doctor(home, **against(server))
        assert elsewhere.requests == []
    assert done.code == 1
    assert "❌ 金鑰與模型: 伺服器要求轉往其他網址, 已拒絕" in done.out
    hunt(home, done)


def test_without_a_network_the_key_is_not_asked_about(home: Path) -> None:
    """A port that nobody listens on is an error that says what to look at; the rest is still checked."""
    with LoopbackGemini() as server:
        environ = against(server)
        server.refuse()
        done = doctor(home, "--json", **environ)
    assert done.code == 1
    found = states(done)
    assert (found["network"], found["service"]) == ("error", "skipped")
    hunt(home, done)


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_a_service_that_hangs_ends_in_time(home: Path, transport: str) -> None:
    """The whole is over within its bound, with room for a busy machine."""
    with LoopbackGemini(model_script=Hang()) as server:
        began = time.monotonic()
        done = doctor(home, **against(server, transport))
        assert time.monotonic() - began < 20
    assert (done.code, done.err) == (1, "")
    assert "❌ 金鑰與模型: 5 秒內沒有回應" in done.out
    hunt(home, done)


@pytest.mark.parametrize("transport", ["grpc", "rest"])
def test_ctrl_c_ends_it_at_once(home: Path, transport: str) -> None:
    """130, without a word on stderr, while the service is being waited for."""
    with (
        LoopbackGemini(model_script=Hang()) as server,
        Program(home, "doctor", environ=against(server, transport)) as program,
    ):
        limit = time.monotonic() + 30
        while not server.requests:
            assert time.monotonic() < limit, "the service was never asked"
            threading.Event().wait(0.02)
        program.interrupt()
        done = program.finish()
    assert (done.code, done.err) == (130, "")
    assert "✅ 網路: 連得上 127.0.0.1:" in done.out
    assert "❌" not in done.out
    hunt(home, done)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"MAX_WORKERS": "many"}, "❌ 設定: MAX_WORKERS 的值 'many' 不對"),
        ({"GEMINI_API_KEY": f"{KEY} x"}, "❌ 設定: GEMINI_API_KEY 含有空白"),
        ({"GEMINI_SDK": KEY}, "❌ 設定: GEMINI_SDK 的值 '***' 不對"),
    ],
)
def test_wrong_settings_do_not_stop_the_doctor(home: Path, environ: dict[str, str], said: str) -> None:
    """They are its finding; a key in the wrong variable is not shown either."""
    done = doctor(home, **environ)
    assert (done.code, done.err) == (1, "")
    assert said in done.out
    assert "⏭️ 金鑰與模型: 設定有誤, 沒有檢查" in done.out
    hunt(home, done)


def test_what_others_can_read_is_a_warning(home: Path) -> None:
    """The settings file with its key, a folder, a file; each with the command that mends it."""
    (home / ".env").write_text("GEMINI_FALLBACK=auto\n")
    (home / ".env").chmod(0o644)
    for name, mode in (("state", 0o755), ("data", 0o700)):
        folder = home / name / "parallel_processing"
        folder.mkdir(parents=True)
        folder.chmod(mode)
        (folder / "kept").touch()
        (folder / "kept").chmod(0o644)
    done = doctor(home)
    assert done.code == 0
    assert "請執行 chmod 600 .env" in done.out
    assert f"請執行 chmod 700 '{home}/state/parallel_processing'" in done.out
    assert f"請執行 chmod 600 '{home}/data/parallel_processing/kept'" in done.out


def test_an_output_without_our_symbols_gets_plain_ones(home: Path) -> None:
    """In cp950 and ASCII every line comes out, and that is one of the warnings."""
    for encoding in ("cp950", "ascii"):
        done = doctor(home, encoding=encoding, PYTHONIOENCODING=encoding)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("[OK] Python: 3.")
        assert "PYTHONUTF8=1" in done.out


def test_help_shows_how(home: Path) -> None:
    """With examples, as of the other commands."""
    done = doctor(home, "--help")
    assert done.code == 0
    assert "python main.py doctor --json" in done.out

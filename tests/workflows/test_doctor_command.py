"""The doctor's way through its checks, with surroundings made for the test."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from core.doctor import Check, CheckState
from tests.fakes import FakeClock
from utils.console import Console
from workflows import doctor_command
from workflows.doctor_command import Doctor, add_doctor_options

KEY = "AIzaSyCANARYofTheTestSuite0123456789abc"
FILE_KEY = "AIzaSyANOTHERofTheTestSuite123456789abc"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of the test's own, no proxy, no network, a service that knows every key."""
    for name in ("STATE", "CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    fine = CheckState.OK
    monkeypatch.setattr(doctor_command, "connect_check", lambda target, **_: Check("network", fine, target.shown))
    monkeypatch.setattr(doctor_command, "service_check", lambda *_: Check("service", fine, "known"))


def found(tmp_path: Path, environ: Mapping[str, str], **more: object) -> dict[str, Check]:
    doctor = Doctor(Console(stdout=io.StringIO()), environ, dotenv=tmp_path / ".env", **more)  # type: ignore[arg-type]  # each test's own
    return {check.name: check for check in doctor.checks()}


@pytest.mark.parametrize(("state", "code"), [(CheckState.OK, 0), (CheckState.WARNING, 0), (CheckState.ERROR, 1)])
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_only_an_error_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], state: CheckState, code: int
) -> None:
    """Lines with a summary for people, one JSON object for each check and nothing more for programs."""
    made = [Check("disk", state, "room"), Check("new", CheckState.OK, "x")]
    monkeypatch.setattr(Doctor, "checks", lambda _: iter(made))
    parser, out = argparse.ArgumentParser(), io.StringIO()
    add_doctor_options(parser)
    assert doctor_command.doctor_command(parser.parse_args(arguments), Console(stdout=out), os.environ) == code
    lines = out.getvalue().splitlines()
    if arguments:
        assert [json.loads(line)["check"] for line in lines] == ["disk", "new"]
    else:
        assert len(lines) == 3
        assert lines[1] == "✅ new: x"


def test_a_loose_settings_file_is_a_warning(tmp_path: Path) -> None:
    """It may hold the key; so does a wrong value make its sentence an error."""
    (tmp_path / ".env").write_text("MAX_WORKERS=3\n")
    (tmp_path / ".env").chmod(0o644)
    assert found(tmp_path, {})["settings"].advice == "請執行 chmod 600 .env"
    checks = found(tmp_path, {"MAX_WORKERS": "0"})
    assert checks["settings"].state is CheckState.ERROR
    assert checks["settings"].advice


def test_the_key_s_source_is_named(tmp_path: Path) -> None:
    """The variable that it comes from, or the file; a variable wins, also an empty one."""
    (tmp_path / ".env").write_text(f"GEMINI_API_KEY={FILE_KEY}\n")
    (tmp_path / ".env").chmod(0o600)
    checks = found(tmp_path, {})
    assert checks["key"].text == "已設定 (來自 .env)"
    assert checks["settings"] == Check("settings", CheckState.OK, "讀得到 (環境變數與 .env)")
    checks = found(tmp_path, {"GOOGLE_API_KEY": KEY, "GEMINI_API_KEY": " "})
    assert checks["key"].text == "已設定 (來自環境變數 GOOGLE_API_KEY)"
    assert "unset" in found(tmp_path, {"GEMINI_API_KEY": ""})["key"].advice


def test_keys_are_in_no_text_wherever_they_were_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file or a variable, as the model's name, and in what a check says by mistake; whatever their shape."""
    (tmp_path / ".env").write_text("GEMINI_API_KEY=odd-shaped-key\n")
    said = f"odd-shaped-key and {KEY}"
    monkeypatch.setattr(doctor_command, "service_check", lambda *_: Check("service", CheckState.OK, said, said))
    for environ in ({}, {"GEMINI_MODEL": KEY}, {"GOOGLE_API_KEY": "odd-shaped-key"}):
        checks = found(tmp_path, environ)
        assert checks["service"] == Check("service", CheckState.OK, "*** and ***", "*** and ***")
        assert "odd-shaped-key" not in str(checks)


def test_a_proxy_is_what_is_connected_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its password is not shown; one that cannot be understood is an error, and the service is not asked."""
    monkeypatch.setenv("https_proxy", "http://me:secret-word@proxy.test:3128")
    checks = found(tmp_path, {"GEMINI_API_KEY": KEY})
    assert checks["network"].text == "代理伺服器 proxy.test:3128"
    assert "secret-word" not in str(checks)
    monkeypatch.setenv("https_proxy", "http://me:secret-word@proxy.test:port")
    checks = found(tmp_path, {"GEMINI_API_KEY": KEY})
    assert checks["network"].text == "代理伺服器的設定無法使用"
    assert checks["service"].state is CheckState.SKIPPED
    assert "secret-word" not in str(checks)


def test_an_endpoint_of_ones_own_is_named(tmp_path: Path) -> None:
    """So that nobody looks for a fault at Google that is nearer."""
    checks = found(tmp_path, {"GEMINI_API_KEY": KEY, "GEMINI_API_ENDPOINT": "127.0.0.1:9", "GEMINI_TRANSPORT": "rest"})
    assert checks["sdk"].text.endswith(", 傳輸方式 REST, 位址 http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("sdk", "file"), [("google-genai", "requirements-genai.txt"), ("google-generativeai", "requirements.txt")]
)
def test_an_sdk_that_is_missing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sdk: str, file: str
) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(doctor_command, "installed_version", lambda _: None)
    checks = found(tmp_path, {"GEMINI_API_KEY": KEY, "GEMINI_SDK": sdk})
    assert checks["sdk"].state is CheckState.ERROR
    assert checks["sdk"].advice == f"請執行 pip install -r {file}"
    assert checks["packages"].state is CheckState.ERROR


def test_missing_packages_do_not_stop_the_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without platformdirs the folders are left out, without dotenv the settings cannot be read."""
    (tmp_path / ".env").write_text("MAX_WORKERS=3\n")
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    monkeypatch.setitem(sys.modules, "dotenv", None)
    checks = found(tmp_path, {})
    assert checks["state"].state is CheckState.SKIPPED
    assert checks["settings"].text == "載入不了套件 dotenv"
    assert "disk" not in checks
    assert checks["service"].state is CheckState.SKIPPED


def test_a_lost_requirements_file_is_one_check_s_result(tmp_path: Path) -> None:
    """The others go on."""
    checks = found(tmp_path, {}, root=tmp_path)
    assert checks["packages"].text == "檢查不了 (ENOENT)"
    assert checks["settings"].state is CheckState.OK


def test_no_check_waits_once_the_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hung disk uses up its own seconds; once the time of all is over, no further check is waited for."""
    gate, clock = threading.Event(), FakeClock()

    def hang(_: Path) -> None:
        clock.advance(100)
        gate.wait()

    monkeypatch.setattr(doctor_command, "look_at_directory", hang)
    try:
        checks = found(tmp_path, {"GEMINI_API_KEY": KEY}, clock=clock)
    finally:
        gate.set()
    assert {checks[name].text for name in ("state", "config", "cache", "data")} == {"時間內沒有結果"}
    assert checks["packages"].state is CheckState.OK


def test_streams_of_every_kind_have_a_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Terminal, pipe, file, device, closed and none at all."""
    leader, follower = os.openpty()
    reading, writing = os.pipe()
    with (
        open(follower, "w") as terminal, open(writing, "w") as pipe, (tmp_path / "f").open("w") as file,
        open(os.devnull) as device, open(reading), open(leader, "rb", buffering=0),
        (tmp_path / "g").open("w") as closed,
    ):  # fmt: skip
        closed.close()
        kinds = [doctor_command._kind(each) for each in (terminal, pipe, file, device, closed, io.StringIO(), None)]
    assert kinds == ["終端機", "管線", "檔案", "裝置", "關閉的", "關閉的", "關閉的"]


def test_the_settings_file_is_looked_at(tmp_path: Path) -> None:
    """The person's own, or the one given: how many settings, or what is wrong; it is no error."""
    assert "還沒有" in found(tmp_path, {})["settings_file"].text
    file = tmp_path / "config" / "parallel_processing" / "settings.toml"
    file.parent.mkdir(parents=True, mode=0o700)
    file.write_text("max_workers = 3\nlanguage = 'zh_TW'\n")
    file.chmod(0o600)
    checks = found(tmp_path, {"LANG": "en"})
    assert checks["settings_file"] == Check("settings_file", CheckState.OK, f"{file} 讀得到, 有 2 項設定")
    assert checks["language"].text == "正體中文 (由 settings.toml 決定)"
    other = tmp_path / "other.toml"
    other.write_text(f"api_key = '{KEY}'\n")
    checks = found(tmp_path, {"MAX_WORKERS": "0"}, file=other)
    assert checks["settings_file"].state is CheckState.WARNING
    assert "不能放金鑰" in checks["settings_file"].text
    assert KEY not in str(checks)


def test_flags_count_as_they_do_for_the_program(tmp_path: Path) -> None:
    """A wrong one is named as it was given."""
    assert found(tmp_path, {}, flags={"MAX_WORKERS": "0"})["settings"].text.startswith("--workers 的值")


@pytest.mark.parametrize(("code", "state"), [("zh_TW.UTF-8", CheckState.OK), ("en_US.UTF-8", CheckState.WARNING)])
def test_a_language_without_its_catalogue_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, state: CheckState
) -> None:
    """The screen is then in the language that the program is written in, which needs none."""
    monkeypatch.setattr("workflows.doctor_settings.LOCALE", tmp_path)
    assert found(tmp_path, {"LANG": code})["language"].state is state


def test_an_env_file_in_the_program_s_folder_alone_is_told(tmp_path: Path) -> None:
    """A person starts the program from elsewhere and wonders where the key is."""
    program = tmp_path / "program"
    program.mkdir()
    (program / ".env").write_text(f"GEMINI_API_KEY={KEY}\n")
    check = found(tmp_path, {}, root=program)["settings"]
    assert (check.state, check.advice) == (CheckState.WARNING, f"請先執行 cd '{program}'")


def test_from_the_menu_there_may_be_no_env_file_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads none is not told of one."""
    monkeypatch.chdir(tmp_path)
    doctor = Doctor(Console(stdout=io.StringIO()), {}, dotenv=None, root=tmp_path)
    checks = {check.name: check for check in doctor.checks()}
    assert checks["settings"].text == "讀得到 (沒有 .env, 只用環境變數)"
    assert checks["key"].state is CheckState.WARNING

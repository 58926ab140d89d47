"""The doctor's looks at the machine and the service."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.clock import SYSTEM_CLOCK
from core.doctor import Check, CheckState
from core.errors import SettingsError
from core.scope import Scope
from core.settings import Endpoint, Secret, Settings
from optimizers.health import (
    LateError,
    Target,
    bounded,
    bounded_check,
    connect_check,
    free_space,
    installed_version,
    look_at_directory,
    service_check,
    target_of,
)
from tests.fakes import FakeClock
from tests.servers import LoopbackGemini
from tests.servers.replies import Hang, Redirect, bad_key, leaked_key, no_model, overloaded

OK, WARNING, ERROR = CheckState.OK, CheckState.WARNING, CheckState.ERROR
KEY = "AIzaSyCANARYofTheTestSuite0123456789abc"
V6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 443, 0, 0))
V4 = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What nobody sets while the test runs; afterwards its waiters may go."""
    event = threading.Event()
    yield event
    event.set()


def raising(error: BaseException) -> Any:
    def work(*_: object) -> Any:
        raise error

    return work


def test_work_that_hangs_is_left_behind(never: threading.Event) -> None:
    """Also where no time is left at all; what is done in time gives its result."""
    for seconds in (0.02, 0.0, -1.0):
        with pytest.raises(LateError):
            bounded(never.wait, seconds)
    assert bounded(lambda: 7, 20) == 7


def test_a_timeout_of_the_work_s_own_is_not_lateness() -> None:
    """It is handed on as it was raised."""
    with pytest.raises(TimeoutError, match="mine"):
        bounded(raising(TimeoutError("mine")), 20)


def test_whatever_fails_in_a_check_is_its_result(never: threading.Event) -> None:
    """Of an unknown failure no more is told than its kind, since its text may hold anything."""
    assert bounded_check("a", lambda: Check("a", OK, "fine"), 20).text == "fine"
    assert bounded_check("a", raising(ValueError(KEY)), 20).text == "檢查不了 (ValueError)"
    assert bounded_check("a", raising(OSError(errno.EROFS, "no")), 20).text == "檢查不了 (EROFS)"
    assert bounded_check("a", raising(ImportError("no", name="rich")), 20).text == "載入不了套件 rich"
    assert bounded_check("a", raising(ImportError("no")), 20).text == "載入不了套件"
    assert bounded_check("a", raising(SettingsError("改")), 20).text == "改"
    late = bounded_check("a", lambda: Check("a", OK, str(never.wait())), 0.01)
    assert (late.name, late.state, late.text) == ("a", ERROR, "時間內沒有結果")


def test_versions_come_without_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package without its module, a module without its metadata and one that is not there have none."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "loud_module.py").write_text("raise SystemExit('imported')")
    half = tmp_path / "half_gone-1.0.dist-info"
    half.mkdir()
    (half / "METADATA").write_text("Metadata-Version: 2.1\nName: half-gone\nVersion: 1.0\n")
    before = set(sys.modules)
    assert (installed_version("rich") or "").startswith("15.")
    assert installed_version("google-generativeai") is not None
    assert installed_version("python-dotenv") is not None
    assert [installed_version(name) for name in ("loud-module", "half-gone", "no-such.thing")] == [None] * 3
    assert {name for name in set(sys.modules) - before if not name.startswith(("importlib", "google"))} == set()


def test_a_private_folder_is_left_as_it_is(tmp_path: Path) -> None:
    """Looking writes and removes a nameless file; nothing new stays, also where there is no folder yet."""
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    (own / "file").touch(0o600)
    (own / "sub").mkdir(mode=0o755)
    (own / "link").symlink_to("/etc/passwd")
    facts = look_at_directory(own)
    assert (facts.exists, facts.trouble, facts.open_to_others, facts.open_files) == (True, "", False, ())
    assert sorted(path.name for path in own.iterdir()) == ["file", "link", "sub"]
    facts = look_at_directory(tmp_path / "a" / "b")
    assert (facts.exists, facts.trouble) == (False, "")
    assert not (tmp_path / "a").exists()


def test_what_others_can_see_is_named(tmp_path: Path) -> None:
    """The folder's own mode, and the files in it by name."""
    tmp_path.chmod(0o755)
    for name in ("b", "a"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)
    facts = look_at_directory(tmp_path)
    assert facts.open_to_others
    assert facts.open_files == ("a", "b")


def test_what_cannot_be_written_to_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the folder's place, a path through a file, a disk that refuses, a parent that is closed."""
    (tmp_path / "file").touch()
    assert look_at_directory(tmp_path / "file").trouble == "不是資料夾"
    assert look_at_directory(tmp_path / "file" / "sub").trouble == "ENOTDIR"
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: raising(OSError(errno.ENOSPC, "full"))())
    assert look_at_directory(tmp_path).trouble == "ENOSPC"
    monkeypatch.setattr("os.access", lambda *_: False)
    assert look_at_directory(tmp_path / "a" / "b").trouble == f"{tmp_path} 不能寫入"


def test_a_system_without_modes_is_not_judged_by_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on POSIX the bits say nothing."""
    monkeypatch.setattr("optimizers.health._POSIX", False)
    tmp_path.chmod(0o755)
    (tmp_path / "a").touch()
    facts = look_at_directory(tmp_path)
    assert (facts.open_to_others, facts.open_files) == (False, ())


def test_a_file_that_goes_meanwhile_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may remove its own temporary files at any time."""

    class Gone:
        name = "gone"
        stat = staticmethod(lambda **_: raising(FileNotFoundError())())

    class Entries(list[Gone]):
        def __enter__(self) -> Entries:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(os, "scandir", lambda _: Entries([Gone()]))
    assert look_at_directory(tmp_path).open_files == ()


def test_the_fullest_place_counts(tmp_path: Path) -> None:
    """Folders that are not there yet are looked for where they would be."""
    check = free_space([tmp_path / "a" / "b", tmp_path / "c"])
    assert check.name == "disk"
    assert str(tmp_path) in check.text
    assert str(tmp_path / "a") not in check.text


@pytest.mark.parametrize(
    ("settings", "proxies", "expected"),
    [
        (Settings(), {}, Target("generativelanguage.googleapis.com", 443)),
        (Settings(), {"https": "http://me:pw@proxy:3128/"}, Target("proxy", 3128, True)),
        (Settings(), {"grpc": "a:1", "https": "b:2"}, Target("a", 1, True)),
        (Settings(transport="rest"), {"grpc": "a:1"}, Target("generativelanguage.googleapis.com", 443)),
        (Settings(transport="rest"), {"all": "socks5://s"}, Target("s", 1080, True)),
        (Settings(sdk="google-genai"), {"https": "https://p"}, Target("p", 443, True)),
        (Settings(), {"http": "http://p"}, Target("p", 80, True)),
        (Settings(endpoint=Endpoint("127.0.0.1", 5, True)), {"https": "a:1"}, Target("127.0.0.1", 5)),
        (Settings(endpoint=Endpoint("inside", 443, False)), {"https": "a:1"}, Target("inside", 443)),
    ],
)
def test_the_target_is_what_the_program_itself_connects_to(
    settings: Settings, proxies: dict[str, str], expected: Target
) -> None:
    """The proxy where one is in the way, without its user and password; never before a loopback service."""
    assert target_of(settings, proxies, lambda host: host == "inside") == expected


@pytest.mark.parametrize("proxy", ["http://", "http://p:none", "http://[::1"])
def test_a_proxy_that_is_no_address_is_refused(proxy: str) -> None:
    """With an error whose text nobody shows."""
    with pytest.raises(ValueError, match=r"."):
        target_of(Settings(), {"https": proxy}, lambda _: False)


def test_a_dead_address_leaves_time_for_the_next() -> None:
    """The seconds are shared among the addresses; the one that takes the connection makes it well."""
    clock, tried = FakeClock(), []

    def connect(address: tuple[Any, ...], seconds: float) -> None:
        tried.append((address, seconds))
        if address is V6:
            clock.advance(seconds)
            raise TimeoutError

    check = connect_check(Target("h", 443), clock=clock, resolve=lambda *_: [V6, V4], connect=connect)
    assert (check.state, check.text) == (OK, "連得上 h:443")
    assert tried == [(V6, 1.5), (V4, 1.5)]


def test_without_a_network_the_reason_is_named() -> None:
    """No name, no address, nobody there, nobody who answers in time: each an error with advice."""
    clock = FakeClock()

    def late(*_: object) -> None:
        clock.advance(10)
        raise TimeoutError

    target = Target("::1", 443, True)
    for resolve, connect, said in (
        (raising(socket.gaierror(-2, "unknown")), None, "查不到 代理伺服器 [::1]:443 的位址"),
        (raising(UnicodeError("label too long")), None, "查不到 代理伺服器 [::1]:443 的位址"),
        (lambda *_: [], None, "連不上 代理伺服器 [::1]:443 (沒有位址)"),
        (lambda *_: [V4], raising(ConnectionRefusedError(errno.ECONNREFUSED, "")), "(ECONNREFUSED)"),
        (lambda *_: [V6, V4], late, "(逾時)"),
    ):
        check = connect_check(target, clock=clock, resolve=resolve, connect=connect)
        assert check.state is ERROR
        assert said in check.text
        assert check.advice


def test_a_real_port_is_reached_and_a_closed_one_refused() -> None:
    """With the system's own resolver and sockets, on the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert connect_check(Target("127.0.0.1", port)).state is OK
    assert "ECONNREFUSED" in connect_check(Target("127.0.0.1", port)).text


@pytest.mark.parametrize(
    ("reply", "state", "said"),
    [
        (None, OK, "金鑰有效, 模型 gemini-2.5-flash 可以使用"),
        (bad_key(), ERROR, "API 金鑰無效"),
        (leaked_key(), ERROR, "沒有使用權限"),
        (no_model(), ERROR, "找不到這個模型"),
        (overloaded(), WARNING, "伺服器忙碌中"),
        (Redirect("http://127.0.0.1:9/?key=" + KEY), ERROR, "已拒絕"),
    ],
)
def test_key_and_model_are_asked_about_without_a_question(reply: Any, state: CheckState, said: str) -> None:
    """Only the model's description is read: no question is asked, no quota spent, no key shown."""
    with LoopbackGemini(model_script=reply) as server:
        settings = Settings(api_key=Secret(KEY), transport="rest", endpoint=server.rest_endpoint)
        check = service_check(settings, Scope())
        assert {request.method for request in server.requests} <= {"get_model"}
        assert server.requests
    assert check.state is state
    assert said in check.text
    assert KEY not in check.text + check.advice


def test_a_service_that_does_not_answer_ends_with_its_time() -> None:
    """The seconds bound the asking, whatever the scope around it allows."""
    with LoopbackGemini(model_script=Hang()) as server:
        settings = Settings(api_key=Secret(KEY), endpoint=server.grpc_endpoint)
        check = service_check(settings, Scope(clock=SYSTEM_CLOCK), seconds=0.2)
    assert (check.state, check.text) == (ERROR, "0.2 秒內沒有回應")


def test_the_demonstration_model_is_always_well() -> None:
    """It has nothing to load and nobody to ask."""
    assert service_check(Settings(), Scope()).state is OK

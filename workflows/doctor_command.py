"""`doctor`: looks at everything the program stands on and says what to do. Works also where the settings do not."""

from __future__ import annotations

import argparse
import functools
import os
import stat
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TextIO

from core.clock import SYSTEM_CLOCK, Clock
from core.doctor import (
    Check,
    CheckState,
    ScreenFacts,
    all_well,
    clock_check,
    directory_check,
    encoding_check,
    packages_check,
    python_check,
    read_requirements,
    redacted,
    screen_check,
)
from core.language import marked, tr
from core.scope import Scope
from core.settings import Settings
from optimizers.health import (
    CONNECT_SECONDS,
    bounded_check,
    connect_check,
    free_space,
    installed_version,
    look_at_directory,
    service_check,
    target_of,
)
from utils.console import Console
from utils.doctor_text import check_line, check_row, summary_line
from workflows.doctor_settings import SettingsChecks
from workflows.exit_codes import ERROR, OK

__all__ = ["DOCTOR_ABOUT", "Doctor", "add_doctor_options", "doctor_command"]

DOCTOR_ABOUT: Final = marked("""\
檢查執行環境: Python、套件、設定、金鑰、網路、資料夾、磁碟、畫面, 每項一行, 並說明該怎麼做。
不會用掉配額, 不會顯示金鑰; 最多 10 秒。結束代碼: 0 沒有 ❌, 1 有 ❌。

  python main.py doctor
  python main.py doctor --json | jq 'select(.state != "ok")'
""")
_ROOT: Final = Path(__file__).resolve().parents[1]
_WHOLE_SECONDS: Final = 9.0  # the start of the interpreter is the tenth
_LOCAL_SECONDS: Final = 2.0


def add_doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=tr("每項檢查輸出一行 JSON"))


def doctor_command(
    options: argparse.Namespace,
    out: Console,
    environ: Mapping[str, str],
    *,
    file: Path | None = None,
    flags: Mapping[str, str] | None = None,
) -> int:
    """Write each check as it is done. Exit code 0 where nothing is in error. Raises OutputClosed."""
    checks = []
    for check in Doctor(out, environ, file=file, flags=flags).checks():
        checks.append(check)
        if options.json:
            out.write_data(check_row(check))
        else:
            out.write_line(check_line(check))
    if not options.json:
        out.write_line(summary_line(checks))
    return OK if all_well(checks) else ERROR


class Doctor:
    """The checks, in the order in which a person would mend what they find; for one thread.

    Each is bounded in time, and so are all of them together; whatever fails inside one is that check's result. No
    text holds a key. dotenv, file and flags are what the settings are read from beside the environment: file left out
    is the person's own settings file. root is the program's folder.
    """

    def __init__(
        self,
        out: Console,
        environ: Mapping[str, str],
        *,
        dotenv: Path | None = Path(".env"),
        file: Path | None = None,
        flags: Mapping[str, str] | None = None,
        root: Path = _ROOT,
        clock: Clock = SYSTEM_CLOCK,
        seconds: float = _WHOLE_SECONDS,
    ) -> None:
        self._out = out
        self._environ = environ
        self._root = root
        self._checks = SettingsChecks(environ, dotenv=dotenv, root=root, file=file, flags=flags)
        self._clock = clock
        self._deadline = clock.now() + seconds

    def checks(self) -> Iterator[Check]:
        """The checks, one after the other, each as it is done."""
        for check in self._all():
            yield redacted(check, self._checks.secrets())

    def _all(self) -> Iterator[Check]:
        yield python_check(tuple(sys.version_info[:3]))
        yield self._bounded("packages", self._packages)
        yield self._bounded("settings", self._checks.read_settings)
        yield self._bounded("settings_file", self._checks.settings_file)
        yield self._bounded("clock", lambda: clock_check(self._clock.wall()))
        yield from self._storage()
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        yield encoding_check(encoding, is_unicode=self._out.is_unicode)
        yield self._bounded("language", self._checks.language)
        yield self._bounded("screen", self._screen)
        yield self._bounded("streams", _streams)
        settings = self._checks.settings
        if settings is None:
            skipped = tr("設定有誤, 沒有檢查")
            yield from (Check(name, CheckState.SKIPPED, skipped) for name in ("key", "sdk", "network", "service"))
        else:
            yield from self._service(settings)

    def _bounded(self, name: str, work: Callable[[], Check], seconds: float = _LOCAL_SECONDS) -> Check:
        return bounded_check(name, work, min(seconds, self._deadline - self._clock.now()))

    def _packages(self) -> Check:
        requirements = read_requirements((self._root / "requirements.txt").read_text(encoding="utf-8"))
        return packages_check(requirements, installed_version)

    def _storage(self) -> Iterator[Check]:
        """The folders of this program, whether it uses them yet or not."""
        try:
            import platformdirs
        except ImportError:
            yield Check("state", CheckState.SKIPPED, tr("沒有套件 platformdirs, 沒有檢查資料夾"))
            return
        folders = {
            name: Path(find("parallel_processing"))
            for name, find in (
                ("state", platformdirs.user_state_dir),
                ("config", platformdirs.user_config_dir),
                ("cache", platformdirs.user_cache_dir),
                ("data", platformdirs.user_data_dir),
            )
        }
        for name, path in folders.items():
            yield self._bounded(name, functools.partial(_directory, name, path))
        yield self._bounded("disk", lambda: free_space([*folders.values(), Path.cwd()]))

    def _screen(self) -> Check:
        out = self._out
        term = self._environ.get("TERM", "")
        return screen_check(ScreenFacts(out.is_terminal, out.draws, out.has_colour, out.width, term))

    def _service(self, settings: Settings) -> Iterator[Check]:
        yield self._bounded("key", functools.partial(self._checks.key, settings))
        yield self._bounded("sdk", functools.partial(self._sdk, settings))
        if settings.offline:
            for name in ("network", "service"):
                yield Check(name, CheckState.SKIPPED, tr("離線示範模型, 不需要檢查"))
            return
        network = self._bounded("network", lambda: _network(settings, self._clock), CONNECT_SECONDS + 0.2)
        yield network
        if network.state is CheckState.ERROR:
            yield Check("service", CheckState.SKIPPED, tr("連不上網路, 沒有檢查"))
            return
        yield self._verified(settings)

    def _sdk(self, settings: Settings) -> Check:
        if settings.offline:
            return Check("sdk", CheckState.OK, tr("離線示範模型, 不用 SDK"))
        version = installed_version(settings.sdk)
        if version is None:
            file = "requirements-genai.txt" if settings.sdk == "google-genai" else "requirements.txt"
            text = tr("沒有安裝 {name}", name=settings.sdk)
            return Check("sdk", CheckState.ERROR, text, tr("請執行 pip install -r {file}", file=file))
        transport = "HTTP" if settings.sdk == "google-genai" else {"grpc": "gRPC", "rest": "REST"}[settings.transport]
        found = {"name": settings.sdk, "version": version, "transport": transport}
        text = tr("{name} {version}, 傳輸方式 {transport}", **found)
        if settings.endpoint is not None:
            text = tr("{name} {version}, 傳輸方式 {transport}, 位址 {url}", **found, url=settings.endpoint.url)
        return Check("sdk", CheckState.OK, text)

    def _verified(self, settings: Settings) -> Check:
        scope = Scope(clock=self._clock, deadline=self._deadline)
        try:
            return self._bounded("service", lambda: service_check(settings, scope), float("inf"))
        finally:
            scope.cancel()  # also where Ctrl-C has ended the waiting: the call ends with it


def _directory(name: str, path: Path) -> Check:
    return directory_check(name, look_at_directory(path))


def _network(settings: Settings, clock: Clock) -> Check:
    try:
        target = target_of(settings, urllib.request.getproxies(), lambda host: bool(urllib.request.proxy_bypass(host)))
    except ValueError:
        text = tr("代理伺服器的設定無法使用")
        return Check("network", CheckState.ERROR, text, tr("請檢查 HTTPS_PROXY, 例如 http://主機:埠"))
    return connect_check(target, clock=clock)


def _streams() -> Check:
    kinds = {"stdin": _kind(sys.stdin), "stdout": _kind(sys.stdout), "stderr": _kind(sys.stderr)}
    text = tr("標準輸入是{stdin}, 標準輸出是{stdout}, 標準錯誤是{stderr}", **kinds)
    return Check("streams", CheckState.OK, text)


def _kind(stream: TextIO | None) -> str:
    if stream is None:
        return tr("關閉的")
    try:
        if stream.isatty():
            return tr("終端機")
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):
        return tr("關閉的")
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return tr("管線")
    return tr("檔案") if stat.S_ISREG(mode) else tr("裝置")

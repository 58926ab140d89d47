"""Looks at the machine and the service for the doctor; each look is bounded in time and changes nothing."""

from __future__ import annotations

import errno
import importlib.metadata
import importlib.util
import os
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, runtime_checkable
from urllib.parse import urlsplit

from core.clock import SYSTEM_CLOCK, Clock
from core.doctor import Check, CheckState, DirectoryFacts, disk_check, service_failed
from core.errors import ParallelProcessingError
from core.language import tr
from core.scope import Scope
from core.settings import Settings

__all__ = [
    "CONNECT_SECONDS", "VERIFY_SECONDS", "LateError", "Target", "bounded", "bounded_check", "connect_check",
    "free_space", "installed_version", "look_at_directory", "service_check", "target_of",
]  # fmt: skip

CONNECT_SECONDS: Final = 3.0
VERIFY_SECONDS: Final = 5.0
_GOOGLE: Final = "generativelanguage.googleapis.com"
_MODULES: Final = {
    "google-generativeai": "google.generativeai",
    "google-genai": "google.genai",
    "markdown-it-py": "markdown_it",
    "python-dotenv": "dotenv",
}
_MOST_FILES: Final = 1000
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_POSIX: Final = os.name == "posix"  # elsewhere the bits say nothing
_PROXY_PORTS: Final = {"https": 443, "socks4": 1080, "socks5": 1080, "socks5h": 1080}
_T = TypeVar("_T")
_Addresses = Sequence[tuple[Any, ...]]


class LateError(Exception):
    """The work was not done in time; it goes on in its thread, and nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a connection is made to: the service's host, or the proxy before it."""

    host: str
    port: int
    is_proxy: bool = False

    @property
    def shown(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        address = f"{host}:{self.port}"
        return tr("代理伺服器 {address}", address=address) if self.is_proxy else address


def bounded(work: Callable[[], _T], seconds: float) -> _T:
    """The work's result, waited for no longer than that. Raises LateError, or what the work raised.

    The work is done in a daemon thread, so that Ctrl-C ends the waiting whatever the system is doing.
    """
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, name="doctor", daemon=True).start()
    try:
        return future.result(max(seconds, 0.0))
    except TimeoutError:
        if future.done():
            raise
    raise LateError


def bounded_check(name: str, work: Callable[[], Check], seconds: float) -> Check:
    """The work's check; being late and failing are checks of that name too."""
    try:
        return bounded(work, seconds)
    except LateError:
        return Check(name, CheckState.ERROR, tr("時間內沒有結果"), tr("請檢查磁碟與網路是否停住了, 再試一次"))
    except ImportError as error:
        what = tr("載入不了套件 {package}", package=error.name) if error.name else tr("載入不了套件")
        return Check(name, CheckState.ERROR, what, tr("請執行 pip install -r requirements.txt"))
    except ParallelProcessingError as error:
        return Check(name, CheckState.ERROR, error.reason, error.advice)
    except Exception as error:  # noqa: BLE001 - one check's failure must not hide the others
        # No more than its kind: its text may hold anything.
        what = tr("檢查不了 ({error})", error=_system_name(error))
        return Check(name, CheckState.ERROR, what, tr("請檢查系統的權限與安裝"))


def installed_version(name: str) -> str | None:
    """The version of a package that is there to be imported; nothing is. None where it is not."""
    module = _MODULES.get(name, name.replace("-", "_"))
    try:
        if importlib.util.find_spec(module) is None:
            return None
        return importlib.metadata.version(name)
    except (ImportError, ValueError):  # also a parent that is missing, and a package without its metadata
        return None


def look_at_directory(path: Path) -> DirectoryFacts:
    """Whether the program can keep things in path and nobody else sees them. Nothing is made that stays."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        parent = _existing(path)
        trouble = "" if _can_enter(parent) else tr("{folder} 不能寫入", folder=parent)
        return DirectoryFacts(str(path), False, trouble)
    except OSError as error:
        return DirectoryFacts(str(path), False, _system_name(error))
    if not stat.S_ISDIR(mode):
        return DirectoryFacts(str(path), True, tr("不是資料夾"))
    try:
        with tempfile.TemporaryFile(dir=path, buffering=0) as file:
            file.write(b"x")
        open_files = _open_files(path)
    except OSError as error:
        return DirectoryFacts(str(path), True, _system_name(error))
    return DirectoryFacts(str(path), True, "", _POSIX and bool(mode & _OTHERS), open_files)


def free_space(paths: Iterable[Path]) -> Check:
    """Of the places that the paths lie in, or will, the one with the least room."""
    places = {_existing(path) for path in paths}
    return disk_check(*min((shutil.disk_usage(place).free, str(place)) for place in places))


def target_of(settings: Settings, proxies: Mapping[str, str], bypassed: Callable[[str], bool]) -> Target:
    """Whom the settings make the program connect to. Raises ValueError for a proxy that cannot be understood.

    proxies: URL by scheme, as urllib.request.getproxies() finds them; a user and password in them go no further.
    """
    endpoint = settings.endpoint
    host, port = (endpoint.host, endpoint.port) if endpoint is not None else (_GOOGLE, 443)
    over_grpc = settings.sdk == "google-generativeai" and settings.transport == "grpc"
    schemes = ("grpc", "https", "http") if over_grpc else ("https", "all")
    proxy = next((proxies[scheme] for scheme in schemes if proxies.get(scheme)), "")
    if not proxy or (endpoint is not None and endpoint.plaintext) or bypassed(host):
        return Target(host, port)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if not parts.hostname:
        raise ValueError("a proxy without a host")
    return Target(parts.hostname, parts.port or _PROXY_PORTS.get(parts.scheme, 80), True)


def connect_check(
    target: Target,
    *,
    seconds: float = CONNECT_SECONDS,
    clock: Clock = SYSTEM_CLOCK,
    resolve: Callable[[str, int], _Addresses] = lambda host, port: socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    ),
    connect: Callable[[tuple[Any, ...], float], None] | None = None,
) -> Check:
    """Look the name up and open a connection, to whichever of its addresses takes it first. Nothing is sent."""
    deadline = clock.now() + seconds
    try:
        addresses = resolve(target.host, target.port)
    except (OSError, UnicodeError):
        unknown = tr("查不到 {target} 的位址", target=target.shown)
        return Check("network", CheckState.ERROR, unknown, tr("請檢查網路連線與 DNS 設定"))
    why = tr("沒有位址")
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        share = (deadline - clock.now()) / left  # a dead IPv6 address must not use up the time of the IPv4 one
        if share <= 0:
            break
        try:
            (connect or _connect)(address, share)
        except OSError as error:
            why = _system_name(error)
        else:
            return Check("network", CheckState.OK, tr("連得上 {target}", target=target.shown))
    unreachable = tr("連不上 {target} ({why})", target=target.shown, why=why)
    return Check("network", CheckState.ERROR, unreachable, tr("請檢查網路連線、代理伺服器與防火牆"))


def service_check(settings: Settings, scope: Scope, *, seconds: float = VERIFY_SECONDS) -> Check:
    """Ask the service whether it knows key and model, which costs nothing. Loading the SDK is not on its time."""
    from optimizers.assembly import build_provider

    provider = build_provider(settings)
    try:
        if isinstance(provider, _Preloads):
            provider.preload()
        with scope.child(timeout=seconds) as inner:
            provider.verify(inner)
    except ParallelProcessingError as error:
        return service_failed(error, seconds=seconds)
    finally:
        provider.close()
    return Check("service", CheckState.OK, tr("金鑰有效, 模型 {model} 可以使用", model=settings.model))


@runtime_checkable
class _Preloads(Protocol):
    def preload(self) -> None: ...


def _connect(address: tuple[Any, ...], seconds: float) -> None:
    family, kind, protocol, _, where = address
    with socket.socket(family, kind, protocol) as connection:
        connection.settimeout(seconds)
        connection.connect(where)


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next((each for each in (path, *path.parents) if each.exists()), Path(path.anchor or "."))


def _can_enter(path: Path) -> bool:
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def _open_files(path: Path) -> tuple[str, ...]:
    if not _POSIX:
        return ()
    with os.scandir(path) as entries:
        return tuple(sorted(entry.name for entry in islice(entries, _MOST_FILES) if _is_open(entry)))


def _is_open(entry: os.DirEntry[str]) -> bool:
    try:
        mode = entry.stat(follow_symlinks=False).st_mode
    except OSError:  # gone meanwhile
        return False
    return stat.S_ISREG(mode) and bool(mode & _OTHERS)


def _system_name(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return tr("逾時")
    number = error.errno if isinstance(error, OSError) else None
    return errno.errorcode.get(number or 0, type(error).__name__)

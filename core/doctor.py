"""Checks of the program's surroundings, as data: facts in, one Check out. Pure; nothing here looks at the machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from core.errors import ErrorKind, ModelError, ParallelProcessingError, ScopeError
from core.language import marked, tr, tr_n

__all__ = [
    "Check", "CheckState", "DirectoryFacts", "Requirement", "ScreenFacts", "all_well", "clock_check", "directory_check",
    "disk_check", "encoding_check", "key_check", "packages_check", "python_check", "read_requirements", "redacted",
    "screen_check", "service_failed",
]  # fmt: skip

OLDEST_PYTHON: Final = (3, 11)
LEAST_DISK: Final = 100 * 1000 * 1000
NARROW: Final = 60
_YEARS: Final = range(2025, 2100)  # before it this program did not exist
_GOOGLE_KEY: Final = re.compile(r"AIza[0-9A-Za-z_-]{35}")
_KEY_LIKE: Final = re.compile(r"AIza[0-9A-Za-z_-]{16,}")
_SHORTEST_KEY: Final = 20
# Where the service is there and knows the key, but has no time now.
_PASSING: Final = {ErrorKind.QUOTA_MINUTE, ErrorKind.QUOTA_DAY, ErrorKind.OVERLOADED, ErrorKind.SERVER_ERROR}
_PIP: Final = marked("請執行 pip install -r requirements.txt")


class CheckState(StrEnum):
    """How a check came out: as it should be, works but could be better, does not work, not looked at."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found. name is for programs and stays as it is; text says what is, advice what to do."""

    name: str
    state: CheckState
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package and the versions that will do: from at_least on and before below; () is no bound."""

    name: str
    at_least: tuple[int, ...] = ()
    below: tuple[int, ...] = ()
    range: str = ""

    def admits(self, version: str) -> bool:
        """By the numbers in front alone: 2.0rc1 counts as 2.0."""
        found = _numbers(version)
        return found >= self.at_least and (not self.below or found < self.below)


@dataclass(frozen=True, slots=True)
class DirectoryFacts:
    """What is known of one of the program's folders, which need not be there yet.

    trouble: why nothing can be put there, "" where it can; open_to_others: the folder's mode lets others in;
    open_files: names of files in it that others can read or write.
    """

    path: str
    exists: bool
    trouble: str = ""
    open_to_others: bool = False
    open_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScreenFacts:
    """Where the output goes. columns counts only for a terminal."""

    is_terminal: bool
    draws: bool
    has_colour: bool
    columns: int
    term: str


def all_well(checks: Iterable[Check]) -> bool:
    """True where nothing is in error; warnings do not count."""
    return all(check.state is not CheckState.ERROR for check in checks)


def redacted(check: Check, secrets: Iterable[str]) -> Check:
    """The check without the secrets, also where a person has put a key into another setting."""
    return replace(check, text=_redact(check.text, secrets), advice=_redact(check.advice, secrets))


def python_check(version: Sequence[int]) -> Check:
    shown = ".".join(map(str, version[:3]))
    if tuple(version[:2]) >= OLDEST_PYTHON:
        return Check("python", CheckState.OK, shown)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Check(
        "python",
        CheckState.ERROR,
        tr("{version}, 太舊", version=shown),
        tr("請安裝 Python {oldest} 以上, 再重新建立虛擬環境", oldest=oldest),
    )


def read_requirements(text: str) -> tuple[Requirement, ...]:
    """The packages that a requirements file names itself, with the bounds >= and < among theirs."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(_requirement(line) for line in lines if line and not line.startswith("-"))


def packages_check(requirements: Sequence[Requirement], version_of: Callable[[str], str | None]) -> Check:
    """version_of: the installed version of a package that can be imported; None where there is none."""
    wrong = []
    for each in requirements:
        version = version_of(each.name)
        if version is None:
            wrong.append(tr("沒有 {name}", name=each.name))
        elif not each.admits(version):
            wrong.append(
                tr("{name} {version} 不在 {range} 之內", name=each.name, version=version, range=each.range)
            )
    if wrong:
        return Check("packages", CheckState.ERROR, "; ".join(wrong), tr(_PIP))
    return Check("packages", CheckState.OK, tr_n("{count} 個必要的套件都在, 版本都對", len(requirements)))


def key_check(key: str | None, source: str, *, shadowed: bool = False) -> Check:
    """Judges the key's shape; nothing of it is in the text. shadowed: an empty variable hides the .env file's key."""
    if key is None:
        advice = tr("要問真正的 Gemini, 請在 .env 寫上 GEMINI_API_KEY=金鑰 (到 Google AI Studio 申請)")
        if shadowed:
            advice = tr("環境變數 GEMINI_API_KEY 是空的, 蓋過了 .env 裡的金鑰; 請執行 unset GEMINI_API_KEY")
        return Check("key", CheckState.WARNING, tr("沒有設定, 使用離線示範模型"), advice)
    whole = _GOOGLE_KEY.fullmatch(key) is not None
    if not whole and (key.startswith("AIza") or len(key) < _SHORTEST_KEY or not re.fullmatch(r"[\w.-]+", key)):
        text = tr("已設定 (來自{source}), 但樣子不像一般的金鑰", source=source)
        return Check("key", CheckState.WARNING, text, tr("請重新複製完整的金鑰, 不要有引號或其他文字"))
    return Check("key", CheckState.OK, tr("已設定 (來自{source})", source=source))


def service_failed(error: ParallelProcessingError, *, seconds: float) -> Check:
    """What it means that key and model could not be verified within that many seconds."""
    if isinstance(error, ScopeError):
        text = tr("{seconds:g} 秒內沒有回應", seconds=seconds)
        return Check("service", CheckState.ERROR, text, tr("請檢查網路連線、代理伺服器與防火牆"))
    passing = isinstance(error, ModelError) and error.kind in _PASSING
    return Check("service", CheckState.WARNING if passing else CheckState.ERROR, error.reason, error.advice)


def directory_check(name: str, facts: DirectoryFacts) -> Check:
    path = facts.path
    if facts.trouble:
        text = tr("{path} 無法寫入 ({reason})", path=path, reason=facts.trouble)
        return Check(name, CheckState.ERROR, text, tr("請檢查這個資料夾的擁有者與權限"))
    if not facts.exists:
        return Check(name, CheckState.OK, tr("{path} (還沒有建立, 需要時才建立)", path=path))
    if facts.open_to_others:
        text = tr("{path} 其他使用者也能進入", path=path)
        return Check(name, CheckState.WARNING, text, _chmod("700", path))
    if facts.open_files:
        first = facts.open_files[0]
        text = tr_n(
            "{path} 裡有 {count} 個檔案其他使用者也能讀寫, 例如 {first}", len(facts.open_files), path=path, first=first
        )
        return Check(name, CheckState.WARNING, text, _chmod("600", f"{path}/{first}"))
    return Check(name, CheckState.OK, tr("{path} 可以寫入, 只有自己能看", path=path))


def disk_check(free: int, path: str) -> Check:
    """free: bytes left where path lies, the fullest of the places that are written to."""
    text = tr("可用空間 {megabytes:,.0f} MB ({path})", megabytes=free / 1e6, path=path)
    if free < LEAST_DISK:
        return Check("disk", CheckState.WARNING, text, tr("請清出空間, 以免結果與紀錄寫不完"))
    return Check("disk", CheckState.OK, text)


def clock_check(wall: float) -> Check:
    """wall: seconds since the Unix epoch."""
    try:
        now = datetime.fromtimestamp(wall, UTC)
    except (ValueError, OverflowError, OSError):
        now = datetime.max.replace(tzinfo=UTC)
    if now.year in _YEARS:
        return Check("clock", CheckState.OK, f"{now:%Y-%m-%d %H:%M} UTC")
    text = tr("系統時鐘說現在是 {year} 年", year=now.year)
    return Check("clock", CheckState.ERROR, text, tr("請校正系統時間, 否則加密連線與配額的重置時間都會出錯"))


def encoding_check(encoding: str, *, is_unicode: bool) -> Check:
    if is_unicode:
        return Check("encoding", CheckState.OK, encoding)
    text = tr("{encoding}, 有些符號顯示不出來", encoding=encoding)
    return Check("encoding", CheckState.WARNING, text, tr("請設定 PYTHONUTF8=1 再啟動"))


def screen_check(facts: ScreenFacts) -> Check:
    if not facts.is_terminal:
        return Check("screen", CheckState.OK, tr("輸出不是終端機, 不畫動態畫面"))
    found = {"term": facts.term[:40] or tr("(沒有設定)"), "columns": facts.columns}
    text = tr("TERM={term}, {columns} 欄, 沒有顏色", **found)
    if facts.has_colour:
        text = tr("TERM={term}, {columns} 欄, 有顏色", **found)
    if not facts.draws:
        text = tr("{screen}, 不畫動態畫面", screen=text)
        return Check("screen", CheckState.WARNING, text, tr("要有動態畫面, 請設定 TERM=xterm-256color"))
    if facts.columns < NARROW:
        advice = tr("請把視窗拉寬到 {columns} 欄以上, 比較好讀", columns=NARROW)
        return Check("screen", CheckState.WARNING, text, advice)
    return Check("screen", CheckState.OK, text)


def _chmod(mode: str, path: str) -> str:
    return tr("請執行 chmod {mode} '{path}'", mode=mode, path=path)


def _requirement(line: str) -> Requirement:
    found = re.match(r"[A-Za-z0-9._-]+", line)
    name = found[0] if found else line
    bounds = line[len(name):].strip()
    parts = [part.strip() for part in bounds.split(",")]
    least = next((part[2:] for part in parts if part.startswith(">=")), "")
    below = next((part[1:] for part in parts if re.match(r"<[^=]", part)), "")
    return Requirement(name, _numbers(least), _numbers(below), bounds)


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers in front, without zeros at the end: 3.0 and 3 are the same version."""
    found = re.match(r"\s*(\d+(?:\.\d+)*)", version)
    numbers = [int(part) for part in found[1].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _redact(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return _KEY_LIKE.sub("***", text)

"""Option 9, driven by typed lines."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.limits import Limits
from core.scope import Scope
from core.settings import Endpoint, Secret, Settings
from optimizers.limit_settings import LimitSettings, default_limits_path
from optimizers.limits import CallEnd, CallResult
from utils.console import Console
from workflows.engine import Engine
from workflows.limits_menu import LimitsMenu

Visit = Callable[[str], str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return tmp_path


@pytest.fixture
def engine(home: Path) -> Iterator[Engine]:
    settings = Settings(api_key=Secret("k"), endpoint=Endpoint("127.0.0.1", 9, True), tokens_per_minute=5000)
    engine = Engine(settings)
    yield engine
    engine.close()


@pytest.fixture
def visit(engine: Engine) -> Visit:
    def visit(typed: str) -> str:
        out = io.StringIO()
        console = Console(
            stdin=io.StringIO(typed + "\n"), stdout=out, stderr=io.StringIO(), environ={}, history_path=None
        )
        LimitsMenu(console, engine).show()
        return out.getvalue()

    return visit


def test_it_shows_what_is_set_and_where_it_comes_from(visit: Visit) -> None:
    """Each limit with its source, what was learned, and the last minute."""
    shown = visit("")
    assert "⏱️ 限額 (模型 gemini-2.5-flash):" in shown
    assert "每分鐘請求 (RPM): 未設定, 由程式自行學習" in shown
    assert "每分鐘 tokens (TPM): 5,000 (環境變數)" in shown
    assert "學到的: 還沒有遇到上限" in shown
    assert "最近一分鐘: 請求 0, tokens 0/5,000; 今日請求 0; 被拒絕 0" in shown
    assert re.search(r"今日配額 \d\d/\d\d \d\d:\d\d 重置 \(本地時間\)", shown)


def test_a_limit_is_in_force_at_once_and_kept(visit: Visit, engine: Engine) -> None:
    """Full-width digits and thousands separators are numbers; the next start finds them."""
    assert "✅ 已套用並存下" in visit("1\n１,200\n3\n50\n")
    assert engine.limiter.limits == Limits(1200, 5000, 50)
    assert LimitSettings(default_limits_path()).of("gemini-2.5-flash") == Limits(1200, None, 50)
    later = Engine(engine.settings)
    assert later.limiter.limits == Limits(1200, 5000, 50)
    later.close()


@pytest.mark.parametrize("nothing", ["0", "０", ""])
def test_zero_or_nothing_takes_a_limit_away(visit: Visit, engine: Engine, nothing: str) -> None:
    """Unset is learned again."""
    visit("1\n10\n")
    assert engine.limiter.limits.requests_per_minute == 10
    visit(f"1\n{nothing}\n")
    assert engine.limiter.limits == Limits(tokens_per_minute=5000)


def test_the_environment_stands_above_the_menu(visit: Visit, engine: Engine) -> None:
    """The person is told why the figure does not change; it is kept for when the variable is gone."""
    assert "⚠️ 環境變數裡有設定的限額優先" in visit("2\n100\n")
    assert engine.limiter.limits.tokens_per_minute == 5000
    assert LimitSettings(default_limits_path()).of("gemini-2.5-flash").tokens_per_minute == 100
    assert "環境變數裡有設定的限額優先" not in visit("1\n7\n"), "nothing was said about this one"


@pytest.mark.parametrize("typed", ["-1", "many", "1.5", "9" * 13, "9" * 5000, "１.5"])
def test_what_is_no_number_changes_nothing(visit: Visit, engine: Engine, typed: str) -> None:
    """One sentence, and the entry comes back."""
    shown = visit(f"1\n{typed}\n")
    assert "❌ 請輸入 0 或正整數" in shown
    assert shown.count("選擇 (1-5, 直接按 Enter 返回選單): ") == 2
    assert engine.limiter.limits == Limits(tokens_per_minute=5000)


def test_a_published_tier_can_be_taken_with_a_word_of_caution(visit: Visit, engine: Engine) -> None:
    """The free tier of the model, dated, and only as a starting point."""
    shown = visit("4\n1\n")
    assert "1. 免費: RPM 10, TPM 250,000, RPD 250" in shown
    assert "⚠️ 這些是 2025 年最後公布的數字, 只供參考" in shown
    assert engine.limiter.limits == Limits(10, 5000, 250)


@pytest.mark.parametrize(("typed", "said"), [("9", "❌ 沒有這個模型在這個等級的數字"), ("", "選擇 (1-4")])
def test_no_tier_changes_nothing(visit: Visit, engine: Engine, typed: str, said: str) -> None:
    """A tier that is not there, or none at all."""
    assert said in visit(f"4\n{typed}\n")
    assert engine.limiter.limits == Limits(tokens_per_minute=5000)


def test_what_was_learned_can_be_forgotten(visit: Visit) -> None:
    """And anything else is no choice."""
    shown = visit("5\nx\n")
    assert "✅ 已忘記學到的限額" in shown
    assert "❌ 無效的選擇" in shown


def test_a_daily_limit_counts_what_was_asked_before(visit: Visit, engine: Engine, home: Path) -> None:
    """Nothing is on the disk where no daily limit is set; from then on the day's count is, from the first call on."""
    for _ in range(3):
        engine.limiter.finish(engine.limiter.acquire(Scope()), CallResult(CallEnd.ANSWERED))
    assert not list((home / "state").rglob("day-*"))
    assert "今日請求 3/4" in visit("3\n4\n")
    engine.limiter.finish(engine.limiter.acquire(Scope()), CallResult(CallEnd.ANSWERED))
    engine.close()
    (kept,) = (home / "state").rglob("day-*")
    assert kept.stat().st_mode & 0o777 == 0o600
    later = Engine(engine.settings)
    assert later.limiter.statistics().requests_today == 4
    assert later.limiter.statistics().day_resets_at is not None
    later.close()


def test_a_damaged_file_is_told_and_replaced(visit: Visit) -> None:
    """One sentence; the next setting makes a good file of it."""
    path = default_limits_path()
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert "⚠️ 限額設定檔無法讀取" in visit("1\n5\n")
    assert LimitSettings(path).of("gemini-2.5-flash") == Limits(requests_per_minute=5)

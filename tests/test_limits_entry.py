"""Option 9 of the whole program: with pipes, and in a real terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import fresh_home, run_main
from tests.servers import LoopbackGemini
from tests.servers.records import SeenRequest
from tests.servers.replies import Reply, quota
from tests.terminal.menu import BROWSE, MENU, all_lines, menu

LIMITS = "選擇 (1-5, 直接按 Enter 返回選單):"
TIERS = "選擇 (1-4, 直接按 Enter 不套用):"
NUMBER = "(0 或直接按 Enter 表示不設定):"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return fresh_home(tmp_path)


def kept(home: Path) -> object:
    return json.loads((home / "config/parallel_processing/limits.json").read_text())


@pytest.fixture
def server() -> Iterator[LoopbackGemini]:
    with LoopbackGemini(latency=0.02) as server:
        yield server


def keyed(server: LoopbackGemini, **more: str) -> dict[str, str]:
    return {"GEMINI_API_KEY": "test-key-000", "GEMINI_API_ENDPOINT": f"http://{server.grpc_endpoint.authority}", **more}


def test_limits_can_be_set_through_a_pipe(home: Path) -> None:
    """A script sets two, mistypes one, and the next start finds them; the model's day is counted from then on."""
    first = run_main(home, "9\n1\n６００\n3\n3\n2\nmany\n\n2\n甲\n乙\n\n6\n")
    assert (first.code, first.err) == (0, "")
    assert "⏱️ 限額 (模型 offline-demo):" in first.out
    assert "每分鐘請求 (RPM): 600 (選單設定)" in first.out
    assert first.out.count("❌ 請輸入 0 或正整數") == 1
    assert kept(home) == {"offline-demo": {"requests_per_day": 3, "requests_per_minute": 600}}
    second = run_main(home, "9\n\n6\n", environ={"REQUESTS_PER_MINUTE": "30"})
    assert "每分鐘請求 (RPM): 30 (環境變數)" in second.out
    assert "每日請求 (RPD): 3 (選單設定)" in second.out
    assert "今日請求 2/3" in second.out


def test_a_damaged_file_is_told_at_the_start(home: Path) -> None:
    """One sentence in the banner; questions are answered as ever."""
    path = home / "config/parallel_processing/limits.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff{")
    done = run_main(home, "2\n甲\n\n6\n")
    assert (done.code, done.err) == (0, "")
    assert done.out.split("選擇操作:")[0].count("⚠️ 限額設定檔無法讀取") == 1
    assert "✅ 成功: 1/1" in done.out


def test_a_person_sets_and_resets_limits(home: Path, server: LoopbackGemini) -> None:
    """In a terminal: a limit of one's own, a published tier with its caution, forgetting, and nothing by mistake."""
    with menu(home, environ=keyed(server)) as session:
        session.enter("９")
        session.wait_for_prompt(LIMITS)
        session.expect_on_screen("每分鐘請求 (RPM): 未設定, 由程式自行學習")
        session.enter("1")
        session.wait_for_prompt(f"每分鐘請求 (RPM) {NUMBER}")
        session.enter("１,2００")
        session.wait_for_prompt(LIMITS)
        session.expect_on_screen("每分鐘請求 (RPM): 1,200 (選單設定)")
        session.enter("1")
        session.wait_for_prompt(f"每分鐘請求 (RPM) {NUMBER}")
        session.enter("-5")
        session.wait_for_prompt(LIMITS)
        session.expect_on_screen("❌ 請輸入 0 或正整數")
        session.enter("4")
        session.wait_for_prompt(TIERS)
        session.expect_on_screen("1. 免費: RPM 10, TPM 250,000, RPD 250")
        session.expect_on_screen("這些是 2025 年最後公布的數字, 只供參考")
        session.enter("1")
        session.wait_for_prompt(LIMITS)
        session.expect_on_screen("每日請求 (RPD): 250 (選單設定)")
        session.enter("5")
        session.wait_for_prompt(LIMITS)
        session.expect_on_screen("✅ 已忘記學到的限額")
        session.enter()
        session.wait_for_prompt(MENU)
        session.enter("6")
        assert session.wait_for_exit() == 0
    tier = {"requests_per_day": 250, "requests_per_minute": 10, "tokens_per_minute": 250_000}
    assert kept(home) == {"gemini-2.5-flash": tier}


@pytest.mark.parametrize(("said", "answered"), [("ｙ", 6), ("", 2)], ids=["yes", "no"])
def test_a_person_is_offered_another_model(home: Path, server: LoopbackGemini, said: str, answered: int) -> None:
    """The day's quota ends in mid-run: yes asks what is left of the other model, anything else keeps what there is."""
    server.set_script(_two_of_the_day)
    asked = keyed(server, MAX_WORKERS="1", GEMINI_FALLBACK_MODELS="gemini-2.5-flash-lite")
    with menu(home, environ=asked) as session:
        session.enter("2")
        session.wait_for_prompt("1>")
        session.paste("\n".join(f"問題 {number}" for number in range(6)))
        session.enter()
        session.wait_for_prompt("7>")
        session.enter()
        session.expect("q 取消:")
        session.enter()
        session.wait_for_prompt("今日配額用完, 要改用 gemini-2.5-flash-lite 問剩下的 4 個問題嗎? (y/N):")
        session.enter(said)
        session.wait_for_prompt(BROWSE)
        lines = all_lines(session)
        assert any(line.startswith(f"✅ 成功: {answered}/6") for line in lines)
        assert any("💡 已有的回答可用選單 8 檢視" in line for line in lines) is (said == "")
        session.enter()
        session.wait_for_prompt(MENU)
        session.enter("6")
        assert session.wait_for_exit() == 0
    elsewhere = [seen.text for seen in server.requests if seen.method == "generate" and "lite" in seen.model]
    assert sorted(elsewhere) == ([f"問題 {number}" for number in range(2, 6)] if said else [])


def _two_of_the_day(seen: SeenRequest) -> Reply | None:
    granted = "lite" in seen.model or seen.text in ("問題 0", "問題 1")
    return None if granted else quota(None, per="Day")

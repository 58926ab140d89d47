"""The settings as text."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.endpoint import Endpoint
from core.setting_specs import SPECS, SettingGroup
from utils.settings_text import SettingRow, setting_details, settings_list, shown_value
from utils.text_width import cell_width

ROWS = [
    SettingRow(SettingGroup.MODEL, None, "金鑰", "已設定", "環境變數"),
    SettingRow(SettingGroup.MODEL, 1, "模型", "models-" + "x" * 90, "設定檔 (下次啟動)"),
    SettingRow(SettingGroup.RUN, 12, "同時詢問數", "5 個\n\x1b[31m", "預設"),
]


@pytest.mark.parametrize("width", [20, 24, 49, 50, 60, 80, 200])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    """Whatever stands in it, and no control character comes through."""
    lines = settings_list(ROWS, width=width).splitlines()
    assert max(map(cell_width, lines)) <= width
    assert "\x1b" not in "".join(lines)
    assert sum(line.startswith("── ") for line in lines) == 2


@pytest.mark.parametrize("width", [60, 80, 200])
def test_columns_stand_under_each_other(width: int) -> None:
    """Counted in cells."""
    rows = [line for line in settings_list(ROWS, width=width).splitlines() if not line.startswith("──")]
    for words in (("已設定", "models", "5 個"), ("環境變數", "設定檔 (", "預設")):
        starts = {cell_width(line[: line.index(word)]) for line, word in zip(rows, words, strict=True)}
        assert len(starts) == 1
    assert [line[:4] for line in rows] == ["    ", " 1. ", "12. "]


def test_a_long_source_gets_a_line_of_its_own_with_the_value() -> None:
    """Where three columns would leave the value no room."""
    rows = [SettingRow(SettingGroup.RUN, 3, "a very long title indeed", "on", "x" * 30)]
    assert settings_list(rows, width=60).splitlines()[1:] == [" 3. a very long title indeed", f"    on ({'x' * 30})"]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("max_workers", 1000, "1,000 個"), ("query_timeout", 15.0, "15 秒"), ("query_timeout", 0.1, "0.1 秒"),
        ("max_run_usd", Decimal("0.1"), "0.1 美元"), ("max_run_usd", None, "沒有上限"), ("hedge", None, "不重複"),
        ("hedge", 0.95, "0.95"), ("history", True, "on"), ("history", False, "off"), ("fallback", False, "ask"),
        ("fallback_models", ("a", "b"), "a, b"), ("fallback_models", (), "沒有"),
        ("endpoint", Endpoint("::1", 9, True), "http://[::1]:9"), ("endpoint", None, "Google 的服務"),
        ("language", "auto", "auto (正體中文)"), ("language", "en", "en (English)"), ("offline_faults", "", "沒有"),
        ("model", "m", "m"),
    ],
)  # fmt: skip
def test_values_are_shown_as_people_write_them(name: str, value: object, text: str) -> None:
    """With their unit, and a word for none."""
    assert shown_value(SPECS[name], value) == text


def test_a_setting_is_explained() -> None:
    """What it does, is, may be, and where else it can be made."""
    assert setting_details(SPECS["hedge"], "不重複", "預設").splitlines()[1:] == [
        "  現在: 不重複 (預設)", "  可用的值: 0 到 0.999 的數字", "  改了立即生效",
        "  也可以用環境變數 HEDGE 或參數 --hedge",
    ]  # fmt: skip
    assert "  可用的值: grpc / rest\n" in setting_details(SPECS["transport"], "grpc", "預設")
    assert "可用的值" not in setting_details(SPECS["model"], "m", "預設")
    assert setting_details(SPECS["fallback"], "ask", "預設").endswith("  也可以用環境變數 GEMINI_FALLBACK")

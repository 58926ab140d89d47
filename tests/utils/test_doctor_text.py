"""The doctor's checks as lines."""

from __future__ import annotations

from core.doctor import Check, CheckState
from utils.doctor_text import check_line, check_row, summary_line

FINE = Check("python", CheckState.OK, "3.11.7")
HINT = Check("key", CheckState.WARNING, "沒有設定", "請設定")
BAD = Check("new", CheckState.ERROR, "壞\n了", "修")


def test_each_check_is_one_line_that_ends_with_what_to_do() -> None:
    """Also where a text came with line breaks; a name without a label stands for itself."""
    assert check_line(FINE) == "✅ Python: 3.11.7"
    assert check_line(HINT) == "⚠️ 金鑰: 沒有設定 → 請設定"
    assert check_line(BAD) == "❌ new: 壞 了 → 修"
    assert check_line(Check("network", CheckState.SKIPPED, "離線")) == "⏭️ 網路: 離線"


def test_a_program_gets_the_same_by_name() -> None:
    """The names of states and checks are in English and stay."""
    assert check_row(HINT) == {"check": "key", "state": "warning", "text": "沒有設定", "advice": "請設定"}


def test_the_summary_counts() -> None:
    """Errors first; warnings are only reminders."""
    assert summary_line([FINE]) == "✅ 全部正常"
    assert summary_line([FINE, HINT]) == "✅ 可以使用, 有 1 項提醒"
    assert summary_line([BAD, FINE]) == "❌ 有 1 項需要處理"
    assert summary_line([BAD, HINT, HINT]) == "❌ 有 1 項需要處理, 另有 2 項提醒"

"""What a person reads of an error."""

from __future__ import annotations

import pytest

from core.errors import StorageError, UsageError
from utils.failure_text import failure_text


@pytest.mark.parametrize(("error", "text"), [
    (UsageError("檔名不對"), "❌ 檔名不對"),
    (StorageError("磁碟已滿", advice="請清出空間"), "❌ 磁碟已滿\n💡 請清出空間"),
    (ModuleNotFoundError("No module named 'rich'", name="rich"),
     "❌ 載入不了套件 rich, 請執行 pip install -r requirements.txt 後重新啟動"),
    (ImportError("sk-secret"), "❌ 程式發生未預期的錯誤 (ImportError); 加上 --debug 重新啟動可看到細節"),
    (KeyError("sk-secret"), "❌ 程式發生未預期的錯誤 (KeyError); 加上 --debug 重新啟動可看到細節"),
])  # fmt: skip
def test_ours_is_told_whole_and_a_bug_by_its_kind_alone(error: Exception, text: str) -> None:
    """An unexpected error's text may hold anything, the key included."""
    assert failure_text(error) == text

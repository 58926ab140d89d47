"""Encodings by name and by guess: Big5 is known even from a few characters, and is not seen where it is not."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import UsageError
from utils.source_encoding import EncodingGuess, guess_encoding
from utils.text_source import SourceOptions, TextSource

TRADITIONAL = (
    "好吃", "臺灣高鐵", "推薦給大家", "退貨流程太慢了", "貨到了但是少一件", "客服態度不佳", "房間乾淨、早餐豐富",
    "這家餐廳的牛肉麵真的很好吃", "物流速度快，包裝完整，會再回購。", "今天天氣很好，我們去公園散步。",
    "品質不如預期, 顏色與照片有落差", "等了三個小時還沒送到！", "鑰匙圈有點鬆，螺絲也生鏽了", "很讚", "CP值高",
    "iPhone殼黃掉了", "任務失敗", "之間",
)  # fmt: skip
SIMPLIFIED = (
    "这家餐厅的牛肉面真的很好吃", "物流速度快，包装完整，会再回购。", "今天天气很好，我们去公园散步。",
    "退货流程太慢了", "质量不如预期, 颜色与照片有落差", "收到货了但是少一件", "推荐给大家",
)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.txt"


def guess(file: Path, data: bytes) -> str | None:
    file.write_bytes(data)
    found = guess_encoding(file)
    return None if found is None else found.encoding


@pytest.mark.parametrize("text", TRADITIONAL)
def test_a_short_line_of_big5_is_recognised(file: Path, text: str) -> None:
    """One line of a few characters, by itself and under an English header."""
    assert guess(file, text.encode("cp950")) == "cp950"
    assert guess(file, b"id,text\r\n1," + text.encode("cp950") + b"\r\n") == "cp950"


@pytest.mark.parametrize(("first", "second"), list(itertools.pairwise(TRADITIONAL)))
def test_two_short_lines_of_big5_are_recognised(file: Path, first: str, second: str) -> None:
    """So is every pair of them."""
    assert guess(file, f"{first}\n{second}\n".encode("cp950")) == "cp950"


@pytest.mark.parametrize("text", SIMPLIFIED)
def test_gbk_is_not_taken_for_big5(file: Path, text: str) -> None:
    """Although Big5 can decode most of it without an error."""
    assert guess(file, text.encode("gbk")) == "gb18030"


@pytest.mark.parametrize(
    ("text", "codec", "encoding"),
    [
        ("今日はとても天気がいいですね。", "cp932", "cp932"),
        ("今日はとても天気がいいですね。", "euc_jp", "euc_jp"),
        ("오늘은 날씨가 참 좋네요", "cp949", "cp949"),
        ("L'été dernier, j'ai mangé une crêpe à la crème près de la forêt.", "cp1252", "cp1252"),
        ("Привет, как дела? Сегодня хорошая погода", "cp1251", "cp1251"),
    ],
)
def test_other_encodings_are_told_apart(file: Path, text: str, codec: str, encoding: str) -> None:
    """Japanese, Korean and single-byte encodings by their everyday characters."""
    assert guess(file, text.encode(codec)) == encoding


def test_accented_letters_are_not_chinese(file: Path) -> None:
    """A few of them, each before a plain letter, would pass for characters of Big5."""
    assert guess(file, "Ärger mit Ämtern, Ähren".encode("cp1252")) != "cp950"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"plain\nascii\n", "全部都是 UTF-8\n".encode(), "有標記".encode("utf-8-sig"), "有標記".encode("utf-16"),
        "好吃的東西\n".encode() * 3 + "壞掉\n".encode("cp950"),
        "好吃的東西, 很多很多字".encode()[:-1] + b"\n",
    ],
)  # fmt: skip
def test_what_is_utf8_is_left_alone(file: Path, data: bytes) -> None:
    """Also where a line of it is damaged, or is something else: reading it another way would lose the others."""
    assert guess(file, data) is None


def test_noise_is_no_encoding(file: Path) -> None:
    """Bytes in which nothing makes sense give no guess, or none of a double-byte encoding."""
    noise = bytes((17 * n * n + 91 * n) % 128 + 128 for n in range(300))
    assert guess(file, noise) in (None, "koi8_r", "cp1251", "cp1256")


def test_the_guess_shows_a_line_to_judge_it_by(file: Path) -> None:
    """A person agrees to a line that can be read, not to a name; it is the first that is not UTF-8, cut."""
    file.write_bytes(b"ascii\n" + "好吃\r\n".encode("cp950") + "讚".encode("cp950") * 300)
    assert guess_encoding(file) == EncodingGuess("cp950", 2, "好吃")
    file.write_bytes("讚".encode("cp950") * 300)
    assert guess_encoding(file) == EncodingGuess("cp950", 1, "讚" * 200)


def test_a_guess_reads_the_file(file: Path) -> None:
    """What was guessed, agreed to and given as the encoding gives the texts back."""
    file.write_bytes("\n".join(TRADITIONAL).encode("cp950"))
    found = guess_encoding(file)
    assert found is not None
    source = TextSource(file, SourceOptions(encoding=found.encoding))
    assert tuple(item.text for item in source.items()) == TRADITIONAL
    assert source.replaced == 0


def test_big5_far_into_a_file_is_found(file: Path) -> None:
    """Plain lines before it, more than any sample, do not hide it; nor are many lines of it read to the end."""
    file.write_bytes(b"plain\n" * 200_000 + "退貨流程太慢了\n".encode("cp950") * 20_000)
    found = guess_encoding(file)
    assert found is not None
    assert (found.encoding, found.line) == ("cp950", 200_001)


def test_a_line_without_end_is_judged_by_its_beginning(file: Path) -> None:
    """Two million bytes in one line."""
    assert guess(file, "退貨流程太慢了".encode("cp950") * 150_000) == "cp950"


def test_a_line_that_is_utf8_by_chance_is_outvoted(file: Path) -> None:
    """Two bytes of Big5 can be a Polish letter; the bytes that can be nothing else decide."""
    assert guess(file, "髒\n很讚\n髒\n太髒了\n".encode("cp950")) == "cp950"


def test_a_large_file_is_not_read_to_its_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after many plain megabytes is not looked for."""
    monkeypatch.setattr("utils.source_encoding._MOST_CHUNKS", 2)
    assert guess(file, b"plain\n" * 50_000 + "很讚\n".encode("cp950")) is None


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """As everywhere: one sentence."""
    with pytest.raises(UsageError, match="找不到檔案"):
        guess_encoding(tmp_path / "none")


def test_the_detector_is_loaded_only_when_needed() -> None:
    """Importing, and guessing Big5, does without charset-normalizer."""
    code = (
        "import sys, pathlib, tempfile, utils.source_encoding as e\n"
        "p = pathlib.Path(tempfile.mkdtemp()) / 'a'\np.write_bytes('退貨流程太慢了'.encode('cp950'))\n"
        "assert e.guess_encoding(p).encoding == 'cp950'\nprint('charset_normalizer' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "False\n"

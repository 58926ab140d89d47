"""Bytes become lines, and what was no text is counted."""

from __future__ import annotations

import codecs
import errno
import itertools
import os
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UsageError
from utils.text_decoding import DecodedLine, LineDecoder, TextFileLines, read_text_lines, replaced_note


def decode(*chunks: bytes, encoding: str | None = None) -> list[DecodedLine]:
    decoder = LineDecoder(encoding=encoding)
    lines = [line for chunk in chunks for line in decoder.feed(chunk)]
    return lines + decoder.finish()


def texts(*chunks: bytes) -> list[str]:
    return [line.text for line in decode(*chunks)]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_lines_do_not_depend_on_how_the_bytes_were_cut(data: bytes, cuts: list[int]) -> None:
    """Any way of cutting the same bytes into chunks gives the same lines and the same counts."""
    edges = [0, *sorted(cuts), len(data)]
    chunks = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert decode(*chunks) == decode(data)


@given(st.binary(max_size=200))
def test_what_comes_out_can_always_be_encoded(data: bytes) -> None:
    """No lone surrogate passes the boundary."""
    for line in decode(data):
        line.text.encode("utf-8")


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=20), max_size=6))
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("bom", "encoding"),
    [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")],
)
def test_text_with_a_bom_comes_back_whole(bom: bytes, encoding: str, end: str, lines: list[str]) -> None:
    """UTF-8 and UTF-16 with a BOM give back exactly the lines that were written, whatever ends them."""
    data = bom + "".join(line + end for line in lines).encode(encoding)
    assert texts(data) == lines


@given(st.text(alphabet="ab\r\n", max_size=12), st.lists(st.integers(0, 12), max_size=4))
def test_lines_that_keep_their_ends_are_the_text_again(text: str, cuts: list[int]) -> None:
    """With keep_ends nothing is lost, the lines are the same ones, and a chunk's end tears no CR LF."""
    edges = [0, *sorted(cuts), len(text)]
    decoder = LineDecoder(keep_ends=True)
    kept = [line for a, b in itertools.pairwise(edges) for line in decoder.feed(text[a:b].encode())]
    kept += decoder.finish()
    assert "".join(line.text for line in kept) == text
    assert [(line.number, line.text.rstrip("\r\n")) for line in kept] == [
        (line.number, line.text) for line in decode(text.encode())
    ]


def test_only_line_ends_end_lines() -> None:
    """LF, CR LF and a lone CR end a line; U+2028, form feed and NEL do not."""
    assert texts("a\nb\r\nc\rd\u2028e\x0cf\x85g".encode()) == ["a", "b", "c", "d\u2028e\x0cf\x85g"]


def test_a_cr_lf_cut_in_two_is_one_line_end() -> None:
    """CR at the end of a chunk and LF at the start of the next end one line."""
    assert texts(b"a\r", b"\nb") == ["a", "b"]


def test_undecodable_bytes_are_replaced_and_counted() -> None:
    """Each byte that is no UTF-8 becomes one �, and the note names line and number."""
    lines = decode("好\n".encode() + b"\xff\xfeab\xc3\n" + b"ok")
    assert lines == [DecodedLine(1, "好"), DecodedLine(2, "��ab�", 3), DecodedLine(3, "ok")]
    assert replaced_note(lines[1]) == "第 2 行有 3 個無法解碼的位元組, 已用 � 代替"


def test_utf16_cut_in_mid_character_is_replaced() -> None:
    """A UTF-16 stream that ends within a character ends in �."""
    assert decode(codecs.BOM_UTF16_LE + "ab".encode("utf-16-le") + b"x") == [DecodedLine(1, "ab�", 2)]


def test_a_given_encoding_is_used() -> None:
    """Big5 is read as Big5 when asked for."""
    assert [line.text for line in decode("中文".encode("big5"), encoding="big5")] == ["中文"]


def test_nothing_gives_nothing() -> None:
    """An empty input has no lines, and neither has a BOM alone; a beginning of a BOM is text."""
    assert texts() == []
    assert texts(codecs.BOM_UTF8) == []
    assert decode(b"\xef") == [DecodedLine(1, "�", 1)]


def test_an_endless_line_is_refused() -> None:
    """A line beyond the bound is an error and not a matter of memory."""
    decoder = LineDecoder(most_characters=10)
    decoder.feed(b"ok\n123456")
    with pytest.raises(UsageError, match="第 2 行超過 10 個字"):
        decoder.feed(b"78901")


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_file_gives_its_filled_lines(tmp_path: Path) -> None:
    """Blank lines are passed over and counted; numbers are those of the file."""
    lines = read_text_lines(write(tmp_path / "a.txt", "一\n\n  \n二".encode() + b"\xff\n\n"))
    assert list(lines) == [DecodedLine(1, "一"), DecodedLine(4, "二�", 1)]
    assert (lines.blank, lines.replaced) == (3, 1)
    assert lines._file.closed


def test_a_file_is_read_as_it_is_needed(tmp_path: Path) -> None:
    """Taking the first line of a large file does not read the rest; leaving closes the file."""
    path = write(tmp_path / "big.txt", b"line\n" * 100_000)
    with read_text_lines(str(path)) as lines:
        assert next(lines).text == "line"
        assert lines._file.tell() < 200_000
    assert lines._file.closed


def test_utf16_with_a_bom_is_no_binary_file(tmp_path: Path) -> None:
    """NUL bytes are fine where a BOM says UTF-16."""
    path = write(tmp_path / "a.txt", codecs.BOM_UTF16_LE + "好\n".encode("utf-16-le"))
    assert [line.text for line in read_text_lines(path)] == ["好"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing.txt", "找不到檔案 missing.txt, 請檢查路徑"),
        ("folder", "folder 是資料夾, 請給一個文字檔"),
        ("binary.bin", "binary.bin 不是文字檔, 請給每行一則文字的檔案"),
        ("nul\0name", "讀不了 nul\0name (ValueError), 請確認它是可讀取的文字檔"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_sentence(tmp_path: Path, name: str, sentence: str) -> None:
    """Missing, a folder, binary or impossible: one sentence that says what to do."""
    (tmp_path / "folder").mkdir()
    write(tmp_path / "binary.bin", b"\x7fELF\0\0")
    with pytest.raises(UsageError) as caught:
        read_text_lines(tmp_path / name)
    assert str(caught.value) == sentence


def test_an_unknown_encoding_is_named(tmp_path: Path) -> None:
    """An encoding that does not exist is refused with examples."""
    with pytest.raises(UsageError, match="不認得編碼 'klingon'"):
        read_text_lines(write(tmp_path / "a.txt", b"a"), encoding="klingon")


class BrokenFile:
    """A file whose reads fail."""

    def __init__(self, error: OSError) -> None:
        self.error = error
        self.closed = False

    def read(self, size: int) -> bytes:
        raise self.error

    def close(self) -> None:
        self.closed = True


def test_a_file_that_breaks_on_the_way_is_reported() -> None:
    """A read error in the middle becomes a sentence, and the file is closed."""
    file = BrokenFile(OSError(errno.EIO, "I/O error"))
    lines = TextFileLines(cast(BinaryIO, file), "a.txt", LineDecoder(), b"one\n")
    assert next(lines).text == "one"
    with pytest.raises(UsageError, match=r"讀不了 a\.txt"):
        next(lines)
    assert file.closed


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(PermissionError(errno.EACCES, "no"), "沒有讀取 a.txt 的權限"), (OSError(errno.EIO, "io"), "讀不了 a.txt")],
)
def test_a_file_that_cannot_be_opened_or_begun_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, sentence: str
) -> None:
    """Failing to open and failing at the first read give the same sentences."""
    path = write(tmp_path / "a.txt", b"a")
    broken = BrokenFile(error)
    monkeypatch.setattr(Path, "open", lambda *args, **kwargs: broken)
    with pytest.raises(UsageError, match=sentence):
        read_text_lines(path)
    assert broken.closed


def test_a_fifo_is_read_like_a_file(tmp_path: Path) -> None:
    """Something without an end known in advance is read as it comes."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    os.write(writer, b"first\nsecond\n")
    with read_text_lines(path) as lines:
        assert next(lines).text == "first"
    os.close(writer)

"""The settings file as it lies on the disk, whatever lies there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from core.settings import Settings, Source, load_layers
from core.settings_file import LARGEST, FileTrouble, read_settings_file, trouble_text, value_text

KEY = "AIzaSyCANARYofTheTestSuite0123456789abc"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


def write(file: Path, content: bytes | str, mode: int = 0o600) -> Path:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(mode)
    return file


def test_a_file_that_is_not_there_is_none(file: Path) -> None:
    """Nor is one in a folder that is not there, and nothing is made."""
    for path in (file, file.parent / "no" / "settings.toml"):
        found = read_settings_file(path)
        assert (found.exists, found.trouble, dict(found.values)) == (False, None, {})
    assert list(file.parent.iterdir()) == []


def test_what_a_person_writes_is_read(file: Path) -> None:
    """Numbers, words, lists, yes and no, with comments, a byte order mark and the line ends of Windows."""
    text = '# mine\r\nmax_workers = 9\r\nhistory = false\r\nfallback_models = ["a", "b"]\r\nquery_timeout = "2.5"\r\n'
    layered = load_layers({}, file=write(file, "\ufeff" + text))
    assert layered.problems == ()
    assert layered.settings == Settings(max_workers=9, history=False, fallback_models=("a", "b"), query_timeout=2.5)
    assert layered.sources["history"] is Source.FILE
    assert layered.sources["model"] is Source.DEFAULT


@pytest.mark.parametrize(
    ("content", "trouble", "said"),
    [
        (b"\xff\xfe", FileTrouble.NOT_TOML, "不是 UTF-8 的 TOML"),
        ("max_workers = 9\nmodel = \n", FileTrouble.NOT_TOML, "的第 2 行寫錯了"),
        ("a = 1\na = 2\n", FileTrouble.NOT_TOML, "的第 2 行寫錯了"),
        (b"max_workers = 9\x00\n", FileTrouble.NOT_TOML, "的第 1 行寫錯了"),
        (f"x = {'[' * 5000}", FileTrouble.NOT_TOML, "不是 UTF-8 的 TOML"),
        (f"x = {'{a=' * 3000}", FileTrouble.NOT_TOML, "不是 UTF-8 的 TOML"),
        (f"x = {'9' * 5000}", FileTrouble.NOT_TOML, "不是 UTF-8 的 TOML"),
        ("#" * (LARGEST + 1), FileTrouble.TOO_LARGE, "超過 16 KB"),
    ],
)
def test_a_damaged_file_counts_for_nothing_and_says_why(
    file: Path, content: bytes | str, trouble: FileTrouble, said: str
) -> None:
    """One sentence with its name; the program has its defaults, and the file is as it was."""
    before = write(file, content).read_bytes()
    layered = load_layers({}, file=file)
    assert layered.settings == Settings()
    assert layered.file is not None
    assert layered.file.trouble is trouble
    assert layered.problems == (trouble_text(layered.file),)
    assert said in layered.problems[0]
    assert str(file) in layered.problems[0]
    assert file.read_bytes() == before


def test_slow_contents_are_not_slow(file: Path) -> None:
    """The dotted keys that a TOML reader is slowest at, as many as the file may have."""
    write(file, f"a{'.a' * (LARGEST // 2 - 3)}=1")
    assert "a" in str(load_layers({}, file=file).problems)


@pytest.mark.parametrize(
    "make",
    [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("/dev/tty")],
    ids=["folder", "pipe", "device", "terminal"],
)
def test_what_is_no_file_is_not_waited_for(file: Path, make: Callable[[Path], object]) -> None:
    """A pipe nobody writes to, a device without an end: told, and not read."""
    make(file)
    found = read_settings_file(file)
    assert found.trouble in (FileTrouble.NO_FILE, FileTrouble.UNREADABLE)
    assert str(file) in trouble_text(found)


def test_a_link_is_read_and_one_into_nowhere_is_there(file: Path) -> None:
    """A person may keep the file elsewhere."""
    file.symlink_to(file.parent / "elsewhere")
    assert (read_settings_file(file).exists, read_settings_file(file).text) == (True, None)
    assert load_layers({}, file=file).problems == ()
    write(file.parent / "elsewhere", "max_workers = 3\n")
    assert load_layers({}, file=file).settings.max_workers == 3


@pytest.mark.parametrize(("number", "name"), [(errno.EACCES, "EACCES"), (errno.EIO, "EIO")])
def test_what_the_system_refuses_is_told_by_its_name(
    file: Path, mocker: MockerFixture, number: int, name: str
) -> None:
    """Opening it or reading it."""
    write(file, "max_workers = 3\n")
    found = []
    for part in ("_contents", "os.open"):
        mocker.patch(f"core.settings_file.{part}", side_effect=OSError(number, "no"))
        found.append(read_settings_file(file))
        mocker.stopall()
    assert [f"({name})" in trouble_text(each) for each in found] == [True, True]


def test_a_sound_file_has_nothing_to_say(file: Path) -> None:
    """No trouble, no sentence."""
    assert trouble_text(read_settings_file(write(file, ""))) == ""


def test_a_name_that_no_system_takes_is_no_crash(tmp_path: Path) -> None:
    """Too long, or with a NUL."""
    for name in ("x" * 5000, "a\0b"):
        assert read_settings_file(tmp_path / name).trouble is FileTrouble.UNREADABLE


@pytest.mark.parametrize(("mode", "loose"), [(0o600, False), (0o400, False), (0o640, True), (0o664, True)])
def test_a_file_that_others_can_read_is_noted(file: Path, mode: int, loose: bool) -> None:
    """It is read all the same: it holds no key."""
    found = read_settings_file(write(file, "max_workers = 3\n", mode))
    assert found.open_to_others is loose
    assert found.values == {"max_workers": 3}


def test_a_file_that_anybody_can_write_is_not_obeyed(file: Path, mocker: MockerFixture) -> None:
    """Somebody else could send the key to an address of theirs; so with a file of another user's."""
    write(file, 'endpoint = "evil.example"\n', 0o606)
    layered = load_layers({}, file=file)
    assert layered.settings.endpoint is None
    assert "別人也能修改" in layered.problems[0]
    write(file, 'endpoint = "evil.example"\n', 0o600)
    owner = file.stat().st_uid
    mocker.patch("core.settings_file.os.fstat", return_value=os.stat_result((0o100600, 1, 1, 1, owner + 7, *[0] * 5)))
    theirs = read_settings_file(file)
    mocker.stopall()
    assert theirs.trouble is FileTrouble.OPEN


def test_a_key_in_the_file_is_refused_and_never_shown(file: Path) -> None:
    """Under whatever name or as whatever value; the sentence says where it belongs."""
    for name in ("api_key", "GEMINI_API_KEY", "google-api-key", "key"):
        layered = load_layers({}, file=write(file, f'"{name}" = "{KEY}"\nmax_workers = 3\n'))
        assert layered.settings == Settings(max_workers=3)
        (problem,) = layered.problems
        assert problem == "設定檔裡不能放金鑰, 沒有採用; 請移到環境變數 GEMINI_API_KEY 或 .env, 並從設定檔刪除"
        assert KEY not in repr(layered)
    layered = load_layers({}, file=write(file, f'model = "{KEY}"\nsdk = "{KEY}"\n{KEY} = 1\n'))
    assert layered.settings == Settings()
    assert len(layered.problems) == 3
    assert KEY not in str(layered.problems)
    assert KEY not in repr(layered)


def test_what_is_wrong_is_named_and_the_rest_taken(file: Path) -> None:
    """An unknown name, a value out of bounds, one that is none: a sentence each."""
    write(file, "max_workers = 0\nquery_timeout = [1]\nmodle = 'x'\ncache_ttl = 7\n[table]\nmodel = 'y'\n")
    layered = load_layers({}, file=file)
    assert layered.settings == Settings(cache_ttl=7)
    assert layered.problems == (
        "設定檔裡有不認得的名稱, 沒有採用: 'modle', 'table'",
        "設定檔: max_workers 的值 '0' 不對, 請給 1 到 1,000 之間的整數; 這一項沒有採用",
        "設定檔: query_timeout 的值不是文字也不是數字; 這一項沒有採用",
    )
    assert layered.sources["max_workers"] is Source.DEFAULT


def test_thousands_of_unknown_names_are_one_short_sentence(file: Path) -> None:
    """The first few, and how many more."""
    (problem,) = load_layers({}, file=write(file, "".join(f"'\\u001b{i}' = 1\n" for i in range(900)))).problems
    assert problem.endswith("(+895)")
    assert len(problem) < 200


def repr_or_size(value: object) -> str:
    return f"{value.bit_length()} bits" if isinstance(value, int) else repr(value)


@pytest.mark.parametrize("value", [{}, [1], ["a", 2], None, 2**65, 1 << 60_000], ids=repr_or_size)
def test_what_is_no_setting_has_no_text(value: object) -> None:
    """Tables, mixed lists, dates, numbers without end."""
    assert value_text(value) is None


_JUNK: st.SearchStrategy[Any] = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.dictionaries(
        st.sampled_from(["max_workers", "model", "endpoint", "language", "hedge", "api_key", "x"]),
        st.integers() | st.floats() | st.booleans() | st.sampled_from(['"é"', "[]", "{}", '"0.5"', "1979-05-27"]),
    ).map(lambda found: "\n".join(f"{name} = {str(value).lower()}" for name, value in found.items()).encode()),
)  # fmt: skip


@given(content=_JUNK)
def test_nothing_in_the_file_keeps_anybody_out(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever is in it: no exception, sound settings, and sentences on one line."""
    file = tmp_path_factory.getbasetemp() / "junk.toml"
    layered = load_layers({}, file=write(file, content))
    assert 1 <= layered.settings.max_workers <= 1000
    assert layered.settings.api_key is None
    assert all("\n" not in problem and problem for problem in layered.problems)

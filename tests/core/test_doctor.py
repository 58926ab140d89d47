"""The doctor's judgements: facts in, one check out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.doctor import (
    Check,
    CheckState,
    DirectoryFacts,
    Requirement,
    ScreenFacts,
    all_well,
    clock_check,
    directory_check,
    disk_check,
    encoding_check,
    key_check,
    packages_check,
    python_check,
    read_requirements,
    redacted,
    screen_check,
    service_failed,
)
from core.errors import DeadlineExceededError, ErrorKind, ModelError, SettingsError

OK, WARNING, ERROR = CheckState.OK, CheckState.WARNING, CheckState.ERROR
KEY = "AIzaSyCANARYofTheTestSuite0123456789abc"
SCREEN = ScreenFacts(True, True, True, 80, "xterm")


@pytest.mark.parametrize(("version", "state"), [((3, 10, 14), ERROR), ((3, 11, 0), OK), ((3, 14, 1), OK), ((4, 0), OK)])
def test_python_from_3_11_on(version: tuple[int, ...], state: CheckState) -> None:
    """Older ones are an error that names the version to install."""
    check = python_check(version)
    assert check.state is state
    assert ("3.11" in check.advice) is (state is ERROR)


def test_requirements_are_read_with_their_bounds() -> None:
    """Comments, blank lines and references to other files are passed over."""
    text = "# all\n-r other.txt\n\nrich>=15,<16   # why\nplain\nodd <2.0, >= 1.5\nexact==3\n@bad\n"
    assert read_requirements(text) == (
        Requirement("rich", (15,), (16,), ">=15,<16"),
        Requirement("plain"),
        Requirement("odd", (1, 5), (2,), "<2.0, >= 1.5"),
        Requirement("exact", (), (), "==3"),
        Requirement("@bad"),
    )


@pytest.mark.parametrize(
    ("version", "admitted"),
    [("1.2.22", True), ("1.2.9", False), ("1.10", True), ("2", False), ("2.0.0", False), ("1.2.22rc1", True),
     ("strange", False)],
)  # fmt: skip
def test_versions_are_compared_by_their_numbers(version: str, admitted: bool) -> None:
    """1.10 is after 1.9, 2.0.0 is 2, and what is no version is not admitted."""
    assert Requirement("x", (1, 2, 22), (2,)).admits(version) is admitted


def test_a_missing_and_an_unfit_package_are_both_named() -> None:
    """One line says which are missing and which are outside their range, and how to mend it."""
    needed = read_requirements("a>=1,<2\nb>=1,<2\nc>=1,<2")
    check = packages_check(needed, {"a": "1.0", "b": "2.1"}.get)
    assert check == Check(
        "packages", ERROR, "b 2.1 不在 >=1,<2 之內; 沒有 c", "請執行 pip install -r requirements.txt"
    )
    assert packages_check(needed, lambda _: "1.5").state is OK


@pytest.mark.parametrize(
    ("key", "state"),
    [(KEY, OK), ("AQ.Ab8RN6Ltesttesttesttest", OK), (KEY[:-1], WARNING), (KEY + "x", WARNING), ("short", WARNING),
     (f'"{KEY}"', WARNING), ("GEMINI_API_KEY=abcdefghijkl", WARNING), (None, WARNING)],
)  # fmt: skip
def test_a_key_is_judged_by_its_shape_and_never_shown(key: str | None, state: CheckState) -> None:
    """A Google key has 39 characters; other kinds pass if they could be a key at all."""
    check = key_check(key, "測試")
    assert check.state is state
    assert key is None or key not in check.text + check.advice


def test_an_empty_variable_that_hides_the_file_s_key_is_explained() -> None:
    """Both are told that there is no key, and each what to do in their own case."""
    assert "unset" in key_check(None, "", shadowed=True).advice
    assert ".env" in key_check(None, "").advice


@pytest.mark.parametrize(
    ("error", "state", "text"),
    [
        (ModelError(ErrorKind.BAD_KEY, "no"), ERROR, "API 金鑰無效 (no)"),
        (ModelError(ErrorKind.REDIRECTED), ERROR, "伺服器要求轉往其他網址, 已拒絕"),
        (ModelError(ErrorKind.QUOTA_DAY), WARNING, "今日配額用完"),
        (ModelError(ErrorKind.OVERLOADED), WARNING, "伺服器忙碌中"),
        (DeadlineExceededError("期限已到"), ERROR, "5 秒內沒有回應"),
        (SettingsError("缺"), ERROR, "缺"),
    ],
)
def test_a_busy_service_is_a_warning_and_a_refusing_one_an_error(
    error: ModelError, state: CheckState, text: str
) -> None:
    """What passes by itself does not make the doctor fail."""
    check = service_failed(error, seconds=5)
    assert (check.state, check.text) == (state, text)


@pytest.mark.parametrize(
    ("facts", "state", "said"),
    [
        (DirectoryFacts("/d", True), OK, "可以寫入"),
        (DirectoryFacts("/d", False), OK, "還沒有建立"),
        (DirectoryFacts("/d", False, "/ 不能寫入"), ERROR, "/ 不能寫入"),
        (DirectoryFacts("/d", True, "EROFS", True), ERROR, "EROFS"),
        (DirectoryFacts("/d", True, "", True, ("f",)), WARNING, "chmod 700 '/d'"),
        (DirectoryFacts("/d", True, "", False, ("f", "g")), WARNING, "chmod 600 '/d/f'"),
    ],
)
def test_a_folder_must_be_writable_and_should_be_private(facts: DirectoryFacts, state: CheckState, said: str) -> None:
    """Not to be able to write is an error; to be seen by others is a warning with the command that ends it."""
    check = directory_check("data", facts)
    assert check.state is state
    assert said in f"{check.text} {check.advice}"


def test_little_room_on_the_disk_is_a_warning() -> None:
    """From 100 MB on all is well."""
    assert disk_check(99_999_999, "/").state is WARNING
    assert disk_check(100_000_000, "/") == Check("disk", OK, "可用空間 100 MB (/)")


@pytest.mark.parametrize(
    ("wall", "state"), [(0.0, ERROR), (1_780_000_000.0, OK), (5e9, ERROR), (1e18, ERROR), (float("nan"), ERROR)]
)
def test_a_clock_before_this_program_is_wrong(wall: float, state: CheckState) -> None:
    """So is one of another century, or one that is no date at all."""
    assert clock_check(wall).state is state


def test_the_screen_is_judged_only_where_there_is_one() -> None:
    """A dumb or narrow terminal is a warning, a pipe is not."""
    assert screen_check(SCREEN) == Check("screen", OK, "TERM=xterm, 80 欄, 有顏色")
    assert screen_check(replace(SCREEN, is_terminal=False)).state is OK
    assert screen_check(replace(SCREEN, draws=False, term="")).state is WARNING
    assert screen_check(replace(SCREEN, columns=59)).state is WARNING
    assert "沒有顏色" in screen_check(replace(SCREEN, has_colour=False)).text
    assert len(screen_check(replace(SCREEN, term="x" * 5000)).text) < 80
    assert encoding_check("cp950", is_unicode=False).state is WARNING
    assert encoding_check("utf-8", is_unicode=True) == Check("encoding", OK, "utf-8")


def test_only_errors_are_not_well() -> None:
    """Warnings and what was not looked at do not count."""
    checks = [Check("a", OK, ""), Check("b", WARNING, ""), Check("c", CheckState.SKIPPED, "")]
    assert all_well(checks)
    assert not all_well([*checks, Check("d", ERROR, "")])


def test_secrets_are_taken_out_also_where_they_do_not_belong() -> None:
    """The known ones, and whatever looks like a Google key: somebody may have set it as the model's name."""
    check = redacted(Check("x", OK, f"a {KEY} b", "to my-secret"), ["my-secret"])
    assert check == Check("x", OK, "a *** b", "to ***")

"""The language of the screen: which one is used, and what looking a message up gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.language import DOMAIN, ambient_language, find_language, language, marked, tr, tr_n, use_language


def test_a_message_without_a_catalogue_is_the_message_with_its_values() -> None:
    """In Traditional Chinese the message is its own translation."""
    assert tr("已完成 {done:,}/{total:,}", done=3, total=2000) == "已完成 3/2,000"


def test_braces_in_a_message_without_values_are_braces() -> None:
    """A message that takes no values is shown as it is written."""
    assert tr('{"a": 1}') == '{"a": 1}'


def test_braces_in_a_value_are_not_places() -> None:
    """What a person typed is put in as it is."""
    assert tr("檔案 {name} 不存在", name="{oops}.txt") == "檔案 {oops}.txt 不存在"


def test_a_count_chooses_the_form() -> None:
    """Chinese has one form for every number; the count is a value of its own."""
    assert tr_n("{count:,} 個問題 ({kind})", 1200, kind="新") == "1,200 個問題 (新)"


def test_a_marked_constant_stays_what_it_is() -> None:
    """Marking is for the catalogue alone."""
    assert marked("失敗") == "失敗"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "zh_TW"),
        ({"LANG": "C.UTF-8"}, "zh_TW"),
        ({"LANG": "zh_TW.UTF-8"}, "zh_TW"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW.UTF-8"}, "zh_TW"),
        ({"LANG": "zh_TW.UTF-8", "LC_ALL": "en_GB"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": ""}, "en"),
        ({"LANG": "fr_FR.UTF-8"}, "zh_TW"),
    ],
)
def test_the_environment_asks_for_a_language(environ: dict[str, str], expected: str) -> None:
    """The first locale variable that is set decides; what we do not have is shown in Chinese."""
    assert ambient_language(environ) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("en", "en"), ("EN-gb", "en"), ("zh", "zh_TW"), ("zh_Hant_TW", "zh_TW"), ("fr", None), ("", None)],
)
def test_a_language_is_found_by_its_names(name: str, expected: str | None) -> None:
    """People write a language's name in several ways."""
    assert find_language(name) == expected


def test_an_unknown_language_is_refused() -> None:
    """Nothing changes where there is no such language."""
    with pytest.raises(ValueError, match="fr"):
        use_language("fr")
    assert language() == "zh_TW"


def test_an_empty_message_stays_empty_in_every_language() -> None:
    """To gettext the empty message is the catalogue's own header, which nobody wants to read."""
    use_language("en")
    try:
        assert tr("") == ""
    finally:
        use_language("zh_TW")


@pytest.mark.parametrize(
    "content", [None, b"", b"no catalogue at all", b"\xde\x12\x04\x95\x00\x00\x00\x00\xff\xff\xff\xff"]
)
def test_without_its_catalogue_a_language_is_chinese(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    """A missing or damaged catalogue keeps nobody from starting the program."""
    if content is not None:
        (tmp_path / "en" / "LC_MESSAGES").mkdir(parents=True)
        (tmp_path / "en" / "LC_MESSAGES" / f"{DOMAIN}.mo").write_bytes(content)
    monkeypatch.setattr("core.language.LOCALE", tmp_path)
    use_language("en")
    assert language() == "zh_TW"
    assert tr("失敗") == "失敗"

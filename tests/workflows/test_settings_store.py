"""The settings file as the menu writes it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from core.errors import SettingsError, StorageError
from core.setting_specs import SPECS
from core.settings import Settings, Source
from workflows.settings_store import SettingsStore, default_settings_path

KEY = "AIzaSyCANARYofTheTestSuite0123456789abc"


@pytest.fixture
def store(tmp_path: Path) -> SettingsStore:
    return SettingsStore(tmp_path / "config" / "settings.toml", environ={})


def test_what_was_set_is_there_at_the_next_start(store: SettingsStore) -> None:
    """One file, for its owner alone, that says what it is; the key is not what goes there."""
    store.set(SPECS["max_workers"], "9")
    store.set(SPECS["history"], "off")
    store.set(SPECS["fallback_models"], "a, models/b")
    store.set(SPECS["query_timeout"], "2.50")
    store.set(SPECS["endpoint"], "https://proxy.example")
    store.set(SPECS["language"], "EN")
    layered = SettingsStore(store.path, environ={}).load()
    assert layered.settings == Settings(
        max_workers=9, history=False, fallback_models=("a", "b"), query_timeout=2.5, language="en",
        endpoint=layered.settings.endpoint,
    )  # fmt: skip
    assert layered.settings.endpoint is not None
    assert layered.sources["history"] is Source.FILE
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert store.path.parent.stat().st_mode & 0o777 == 0o700
    assert store.path.read_text().startswith("# parallel_processing 的設定")
    assert "\nquery_timeout = 2.5\n" in store.path.read_text()


def test_a_person_s_own_lines_stay(store: SettingsStore) -> None:
    """Comments, order, spelling and tables that are not ours; only the one value changes."""
    store.path.parent.mkdir()
    store.path.write_text("# 我的\nmax_workers = 3 # 家裡的網路\n\nhistory = false\n[mine]\nx = 0x10\n")
    store.set(SPECS["max_workers"], "4")
    store.set(SPECS["cache_ttl"], "60")
    text = store.path.read_text()
    assert text.startswith("# 我的\nmax_workers = 4 # 家裡的網路\n\nhistory = false\n")
    assert text.endswith("[mine]\nx = 0x10\n")
    assert tomllib.loads(text)["cache_ttl"] == 60
    store.reset(SPECS["cache_ttl"])
    store.reset(SPECS["cache_ttl"])
    assert "cache_ttl" not in store.kept
    assert set(store.kept) == {"max_workers", "history", "mine"}


def test_a_reset_is_the_default_again(store: SettingsStore) -> None:
    """Also of the last one."""
    store.set(SPECS["max_workers"], "9")
    store.reset(SPECS["max_workers"])
    assert store.load().settings == Settings()


@pytest.mark.parametrize(("name", "text"), [("max_workers", "0"), ("model", "a b"), ("model", KEY), ("sdk", KEY)])
def test_a_wrong_value_is_not_kept(store: SettingsStore, name: str, text: str) -> None:
    """Nor is a key, which could pass for a model's name; nothing is made, and the key is in no message."""
    with pytest.raises(SettingsError) as caught:
        store.set(SPECS[name], text)
    assert KEY not in str(caught.value)
    assert not store.path.parent.exists()


def test_a_damaged_file_is_not_written_over(store: SettingsStore) -> None:
    """It can be put aside, under a name of its own each time, and then a new one is written."""
    store.path.parent.mkdir()
    for number, text in enumerate(("max_workers =", "x" * 20_000), 1):
        store.path.write_text(text)
        assert store.spoilt
        with pytest.raises(StorageError, match=r"settings\.toml"):
            store.set(SPECS["cache_ttl"], "1")
        with pytest.raises(StorageError, match=r"settings\.toml"):
            store.reset(SPECS["cache_ttl"])
        assert store.path.read_text() == text
        aside = store.put_aside()
        assert (aside.name, aside.read_text()) == (f"settings.toml.old-{number}", text)
        assert not store.spoilt
    store.set(SPECS["cache_ttl"], "1")
    assert store.load().settings.cache_ttl == 1


def test_a_link_is_not_written_through(store: SettingsStore) -> None:
    """A person keeps the file elsewhere: they are told, and it stays as it is."""
    store.path.parent.mkdir()
    (store.path.parent / "theirs").write_text("max_workers = 3\n")
    store.path.symlink_to(store.path.parent / "theirs")
    assert store.load().settings.max_workers == 3
    assert not store.spoilt
    with pytest.raises(StorageError, match="是連結") as caught:
        store.set(SPECS["max_workers"], "4")
    assert caught.value.advice
    assert store.path.is_symlink()
    assert (store.path.parent / "theirs").read_text() == "max_workers = 3\n"


def test_a_folder_in_its_place_is_left_alone(store: SettingsStore) -> None:
    """It is nothing of ours to be renamed."""
    store.path.mkdir(parents=True)
    assert not store.spoilt
    with pytest.raises(StorageError, match="不是一般的檔案"):
        store.set(SPECS["max_workers"], "4")


def test_a_disk_that_refuses_is_told(store: SettingsStore, mocker: MockerFixture) -> None:
    """Writing and renaming; the file is as it was."""
    store.set(SPECS["max_workers"], "4")
    mocker.patch("workflows.settings_store.replace_file", side_effect=OSError(28, "full"))
    with pytest.raises(StorageError, match="設定存不到") as caught:
        store.set(SPECS["max_workers"], "5")
    assert caught.value.advice
    mocker.patch("workflows.settings_store.os.rename", side_effect=PermissionError(13, "no"))
    with pytest.raises(StorageError, match="PermissionError"):
        store.put_aside()
    mocker.patch("workflows.settings_store.os.path.lexists", return_value=True)
    with pytest.raises(StorageError, match="EEXIST"):
        store.put_aside()
    mocker.stopall()
    assert store.load().settings.max_workers == 4


def test_what_cannot_be_changed_faithfully_is_not_changed(store: SettingsStore, mocker: MockerFixture) -> None:
    """What would be written is read again first: it must say what was meant, and nothing else may differ."""
    store.path.parent.mkdir()
    store.path.write_text("max_workers = 3\nx = nan\n")
    with pytest.raises(StorageError, match="改不了設定檔"):
        store.set(SPECS["max_workers"], "4")
    store.path.write_text("max_workers = 3\n")
    mocker.patch("tomlkit.parse", side_effect=RecursionError)
    with pytest.raises(StorageError, match="改不了設定檔"):
        store.set(SPECS["max_workers"], "4")
    assert store.path.read_text() == "max_workers = 3\n"


def test_each_change_reads_the_file_anew(store: SettingsStore) -> None:
    """What somebody wrote meanwhile is kept."""
    other = SettingsStore(store.path, environ={})
    store.set(SPECS["max_workers"], "4")
    other.set(SPECS["cache_ttl"], "1")
    store.set(SPECS["history"], "off")
    assert set(other.kept) == {"max_workers", "cache_ttl", "history"}


def test_the_layers_above_are_those_of_this_start(tmp_path: Path) -> None:
    """.env, environment and flags, as main read them."""
    (tmp_path / ".env").write_text("CACHE_TTL=1\n")
    store = SettingsStore(
        tmp_path / "s.toml", environ={"MAX_WORKERS": "2"}, dotenv=tmp_path / ".env", flags={"QUERY_TIMEOUT": "3"}
    )
    for name in ("max_workers", "cache_ttl", "query_timeout", "hedge"):
        store.set(SPECS[name], "0.5" if name == "hedge" else "9")
    layered = store.load()
    assert layered.settings == Settings(max_workers=2, cache_ttl=1, query_timeout=3, hedge_quantile=0.5)
    assert [layered.sources[name].value for name in ("max_workers", "cache_ttl", "query_timeout", "hedge")] == [
        "environment", ".env", "flag", "file",
    ]  # fmt: skip


def test_the_file_lies_in_the_person_s_configuration_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the limits."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_settings_path() == tmp_path / "parallel_processing" / "settings.toml"


@given(
    st.lists(
        st.sampled_from(
            [("max_workers", "1"), ("max_workers", "1000"), ("cache_ttl", ""), ("max_run_usd", "0.1"), ("hedge", "0.9"),
             ("max_run_usd", "3"), ("endpoint", "[::1]:9"), ("language", "zh"), ("fallback", "auto"), ("model", "a"),
             ("max_workers", None), ("hedge", None), ("model", None)]
        ),
        max_size=12,
    )
)  # fmt: skip
def test_any_changes_leave_what_was_set_last(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, str | None]]
) -> None:
    """A dict is the model: a set puts in, a reset takes out, and the file says the same."""
    store = SettingsStore(tmp_path_factory.mktemp("store") / "settings.toml", environ={})
    expected: dict[str, str] = {}
    for name, text in changes:
        if text is None:
            expected.pop(name, None)
            store.reset(SPECS[name])
        else:
            expected[name] = text
            store.set(SPECS[name], text)
    layered = store.load()
    assert layered.problems == ()
    as_variables = {SPECS[name].variable: text for name, text in expected.items()}
    assert layered.settings == SettingsStore(store.path / "none", environ=as_variables).load().settings

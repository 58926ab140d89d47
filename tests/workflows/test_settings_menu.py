"""Option 11, driven by typed lines."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.doctor import Check, CheckState
from core.errors import ErrorKind, ModelError, StorageError
from core.language import language, use_language
from core.limits import Limits
from core.setting_specs import SPECS
from core.settings import Settings
from optimizers.limit_settings import LimitSettings
from tests.terminal.settings_program import StandInEngine
from utils.console import Console
from workflows import doctor_command, settings_menu
from workflows.engine import Engine
from workflows.settings_menu import SettingsMenu
from workflows.settings_store import SettingsStore

KEY = "AIzaSyCANARYofTheTestSuite0123456789abc"
Visit = Callable[..., str]
NUMBERS = {spec.name: number for number, spec in enumerate(settings_menu._SHOWN, 1)}
WORKERS, MODEL, LANGUAGE, TTL = (str(NUMBERS[name]) for name in ("max_workers", "model", "language", "cache_ttl"))


@pytest.fixture(autouse=True)
def chinese() -> Iterator[None]:
    yield
    use_language("zh_TW")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "settings.toml"


@pytest.fixture
def engine() -> StandInEngine:
    return StandInEngine(Settings())


@pytest.fixture
def visit(file: Path, engine: StandInEngine) -> Visit:
    def visit(typed: str, **more: object) -> str:
        out = io.StringIO()
        console = Console(
            stdin=io.StringIO(typed + "\n\n"), stdout=out, stderr=io.StringIO(), environ={}, history_path=None
        )
        store = SettingsStore(file, **{"environ": {}, **more})  # type: ignore[arg-type]  # each test's own
        engine.settings = store.load().settings
        SettingsMenu(console, engine, store, limits=lambda: console.write_line("LIMITS")).show()
        return out.getvalue()

    return visit


def line_of(shown: str, title: str) -> list[str]:
    """The last row of that title, in its columns."""
    row = [line for line in shown.splitlines() if line[4:].startswith(f"{title}  ")][-1]
    return [part.strip() for part in row[4:].split("  ") if part]


def test_it_shows_what_is_set_and_where_it_comes_from(visit: Visit, file: Path, tmp_path: Path) -> None:
    """Every layer by its name; of the key only that there is one."""
    file.parent.mkdir()
    file.write_text("cache_ttl = 1200\n")
    (tmp_path / ".env").write_text(f"GEMINI_API_KEY={KEY}\n")
    shown = visit(
        "",
        environ={"MAX_WORKERS": "9", "LANG": "C.UTF-8"},
        dotenv=tmp_path / ".env",
        flags={"QUERY_TIMEOUT": "2.5"},
    )
    assert f"設定 (存在 {file}):" in shown
    assert line_of(shown, "金鑰")[1:] == ["已設定", ".env"]
    assert line_of(shown, "同時詢問數")[1:] == ["9 個", "環境變數"]
    assert line_of(shown, "單題時限")[1:] == ["2.5 秒", "旗標"]
    assert line_of(shown, "回答保留")[1:] == ["1,200 秒", "設定檔"]
    assert KEY not in shown
    assert "離線示範模型" not in shown


def test_a_change_is_kept_and_in_force_at_once(visit: Visit, engine: StandInEngine, file: Path) -> None:
    """Full-width digits and thousands separators are numbers; the engine is told of that one change."""
    shown = visit(f"{WORKERS}\n１２\n{TTL}\n1,200\n")
    assert "同時詢問數: 同時問幾個問題" in shown
    assert "  可用的值: 1 到 1,000 的整數" in shown
    assert "  也可以用環境變數 MAX_WORKERS 或參數 --workers" in shown
    assert "✅ 已存下: 同時詢問數\n⚡ 現在起是 12 個\n" in shown
    assert [each.max_workers for each in engine.applied] == [12, 12]
    assert engine.settings == Settings(max_workers=12, cache_ttl=1200)
    assert "max_workers = 12\ncache_ttl = 1200\n" in file.read_text()


def test_what_needs_a_new_start_says_so(visit: Visit, engine: StandInEngine, file: Path) -> None:
    """And is kept."""
    shown = visit(f"{NUMBERS['cache_store']}\nsqlite\n")
    assert "  改了在下次啟動時生效" in shown
    assert "✅ 已存下: 快取位置\n⏳ 下次啟動起是 sqlite\n" in shown
    assert 'cache_store = "sqlite"' in file.read_text()


def test_what_the_engine_works_with_beside_the_settings_is_marked(visit: Visit, engine: StandInEngine) -> None:
    """Another model since the day's quota of the first was used up: the next start asks the one that is set."""
    before = engine.apply

    def stick(settings: Settings) -> tuple[str, ...]:
        return before(replace(settings, model="gemini-y"))

    engine.apply = stick  # type: ignore[method-assign]
    shown = visit(f"{MODEL}\ngemini-x\n")
    assert line_of(shown, "模型")[1:] == ["gemini-x", "設定檔 (下次啟動)"]


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ({"environ": {"MAX_WORKERS": "3"}}, "⚠️ 環境變數 MAX_WORKERS 優先, 所以現在仍是 3 個; 移除它之後才用設定檔的值"),
        ({"flags": {"MAX_WORKERS": "3"}}, "⚠️ 這次啟動的參數 --workers 優先, 所以現在仍是 3 個"),
        ({"dotenv": "MAX_WORKERS=3\n"}, "⚠️ .env 裡的 MAX_WORKERS 優先, 所以現在仍是 3 個; 移除它之後才用設定檔的值"),
    ],
)
def test_what_stands_above_is_said_plainly(
    visit: Visit, engine: StandInEngine, file: Path, tmp_path: Path, layers: dict[str, object], said: str
) -> None:
    """It is kept for when that is gone, and nothing is told to the engine."""
    if "dotenv" in layers:
        (tmp_path / ".env").write_text(str(layers["dotenv"]))
        layers = {"dotenv": tmp_path / ".env"}
    shown = visit(f"{WORKERS}\n8\n", **layers)
    assert f"✅ 已存下: 同時詢問數\n{said}\n" in shown
    assert engine.applied == []
    assert "max_workers = 8" in file.read_text()


def test_a_wrong_value_is_told_and_asked_for_again(visit: Visit, engine: StandInEngine, file: Path) -> None:
    """Each in one sentence; Enter leaves it as it was, and a key is not taken for a model."""
    shown = visit(f"{WORKERS}\n0\nmany\n1.5\n\n{MODEL}\na b\n{KEY}\n\n{LANGUAGE}\nfr\n\n")
    assert shown.count("請給 1 到 1,000 之間的整數") == 3
    assert "❌ 模型 的值 'a b' 不對, 請給模型名稱, 例如 gemini-2.5-flash" in shown
    assert "❌ 這看起來是金鑰, 不會存進設定檔" in shown
    assert "❌ 語言 的值 'fr' 不對, 請用其中之一: auto, zh_TW, en" in shown
    assert KEY not in shown
    assert engine.applied == []
    assert not file.exists()


def test_a_setting_can_be_taken_back(visit: Visit, engine: StandInEngine, file: Path) -> None:
    """x and its number; where there is nothing to take back it says so."""
    shown = visit(f"{WORKERS}\n8\nＸ {WORKERS}\nx{TTL}\n")
    assert "✅ 已從設定檔移除: 同時詢問數\n⚡ 現在起是 5 個\n" in shown
    assert "設定檔裡沒有這一項: 回答保留" in shown
    assert engine.settings == Settings()
    assert "max_workers" not in file.read_text()


def test_the_language_changes_at_once(visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next line is in it; with auto it is the environment's again."""
    used: list[str] = []
    monkeypatch.setattr(settings_menu, "use_language", used.append)
    visit(f"{LANGUAGE}\nen\n{LANGUAGE}\nauto\nx {LANGUAGE}\n", environ={"LANG": "zh_TW.UTF-8"})
    assert used == ["en", "zh_TW", "zh_TW"]
    assert language() == "zh_TW"


def test_a_language_without_its_catalogue_is_no_crash(
    visit: Visit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An installation that lacks a file: kept for the next start."""
    monkeypatch.setattr("core.language.LOCALE", tmp_path)
    shown = visit(f"{LANGUAGE}\nen\n")
    assert "⏳ 下次啟動起是 en" in shown


def test_the_model_s_limits_are_set_in_their_own_entry(visit: Visit, engine: StandInEngine, tmp_path: Path) -> None:
    """The list shows those of entry 9, which opens from here."""
    engine.saved_limits = LimitSettings(tmp_path / "limits.json")
    engine.saved_limits.set("offline-demo", Limits(requests_per_minute=600))
    shown = visit(f"{NUMBERS['requests_per_minute']}\n", environ={"REQUESTS_PER_DAY": "50"})
    assert "\nLIMITS\n" in shown
    assert line_of(shown, "每分鐘請求 (RPM)")[1:] == ["600", "選單 9"]
    assert line_of(shown, "每日請求 (RPD)")[1:] == ["50", "環境變數"]
    assert line_of(shown, "每分鐘 tokens (TPM)")[1:] == ["由程式自行學習", "預設"]


@pytest.mark.parametrize("typed", ["0", "20", "9999", "x0", "abc", "7x", "-1", "d1", "99999"])
def test_what_is_no_choice_changes_nothing(visit: Visit, engine: StandInEngine, file: Path, typed: str) -> None:
    """One sentence, and the list again."""
    shown = visit(typed)
    assert "❌ 無效的選擇" in shown or "❌ 沒有這個編號, 請輸入 1 到 19" in shown
    assert (engine.applied, file.exists()) == ([], False)


def test_problems_of_the_file_are_told_on_entering(visit: Visit, file: Path) -> None:
    """And a good value set here mends it."""
    file.parent.mkdir()
    file.write_text("max_workers = 0\n")
    shown = visit(f"{WORKERS}\n6\n")
    assert shown.startswith("⚠️ 設定檔: max_workers 的值 '0' 不對")
    assert "max_workers = 6\n" in file.read_text()


@pytest.mark.parametrize(("said", "kept"), [("", False), ("ｙ", True)])
def test_a_damaged_file_is_replaced_only_with_a_yes(visit: Visit, file: Path, said: str, kept: bool) -> None:
    """It keeps its contents under another name."""
    file.parent.mkdir()
    file.write_text("max_workers =\n")
    shown = visit(f"{WORKERS}\n6\n{said}\n")
    assert shown.count("⚠️ 設定檔 ") == 2
    if kept:
        assert "✅ 舊的設定檔已改名為 settings.toml.old-1" in shown
        assert "⚡ 現在起是 6 個" in shown
        assert (file.parent / "settings.toml.old-1").read_text() == "max_workers =\n"
    else:
        assert "⏹️ 沒有改動" in shown
        assert file.read_text() == "max_workers =\n"


def test_an_sdk_that_is_not_installed_is_not_kept(
    visit: Visit, engine: StandInEngine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do."""

    def missing(settings: Settings) -> tuple[str, ...]:
        raise ModuleNotFoundError(name="google.genai")

    monkeypatch.setattr(engine, "apply", missing)
    shown = visit(f"{NUMBERS['sdk']}\ngoogle-genai\n")
    assert "❌ 載入不了套件 google.genai" in shown
    assert not file.exists()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr("workflows.settings_store.replace_file", full)


def test_where_nothing_was_applied_nothing_is_said_to_be(
    visit: Visit, engine: StandInEngine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spoilt file that cannot be put aside stops a change before it begins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("no = toml = at all")

    def stuck(_: SettingsStore) -> Path:
        raise StorageError("設定檔無法改名")

    monkeypatch.setattr(SettingsStore, "put_aside", stuck)
    shown = visit(f"{WORKERS}\n9\ny\n")
    assert "⏹️ 沒有改動" in shown
    assert "⚡" not in shown
    assert engine.settings.max_workers == 5


def test_what_cannot_be_kept_is_in_force_for_now(visit: Visit, engine: StandInEngine, full: None) -> None:
    """A disk that takes nothing, a home that cannot be written: told with what to do; the entry goes on."""
    shown = visit(f"{WORKERS}\n6\n{NUMBERS['cache_store']}\nsqlite\n")
    assert shown.count("❌ 設定存不到") == 2
    assert shown.count("💡 請檢查資料夾的權限與磁碟空間") == 2
    assert shown.count("⚡ 只在這次執行是 ") == 1
    assert "⚡ 只在這次執行是 6 個" in shown
    assert engine.settings.max_workers == 6


def test_what_cannot_be_kept_and_does_not_count_anyway(visit: Visit, engine: StandInEngine, full: None) -> None:
    """The environment stands above it: nothing has changed."""
    shown = visit(f"{WORKERS}\n6\n", environ={"MAX_WORKERS": "3"})
    assert "❌ 設定存不到" in shown
    assert "⚡" not in shown
    assert engine.applied == []


def test_what_the_engine_refuses_is_not_kept(
    visit: Visit, engine: StandInEngine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that the service does not know would only come back at every start."""

    def refuse(settings: Settings) -> tuple[str, ...]:
        raise ModelError(ErrorKind.NOT_FOUND)

    monkeypatch.setattr(engine, "apply", refuse)
    shown = visit(f"{MODEL}\nno-such-model\n")
    assert f"❌ {ModelError(ErrorKind.NOT_FOUND).reason}" in shown
    assert "⏹️ 沒有改動" in shown
    assert not file.exists()


def test_the_doctor_runs_from_here(visit: Visit, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """With the same layers."""
    made = [Check("disk", CheckState.OK, "room"), Check("key", CheckState.WARNING, "none", "get one")]
    monkeypatch.setattr(doctor_command.Doctor, "checks", lambda _: iter(made))
    shown = visit("d", dotenv=None)
    assert "✅ 磁碟: room\n⚠️ 金鑰: none → get one\n✅ 可以使用, 有 1 項提醒\n" in shown


def test_every_setting_that_is_shown_can_be_set_to_what_it_is(visit: Visit, file: Path) -> None:
    """The default's own text is good for each."""
    typed = [
        f"{number}\n{SPECS[name].default}\n"
        for name, number in NUMBERS.items()
        if SPECS[name].default and name not in ("requests_per_minute", "tokens_per_minute", "requests_per_day")
    ]
    shown = visit("".join(typed))
    assert "❌" not in shown
    assert shown.count("✅ 已存下") == len(typed)


def test_the_engine_itself_takes_a_change_on(
    visit: Visit, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it runs, without being loaded for it."""
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    engine = Engine(Settings(offline_scale=0.0))
    console = Console(
        stdin=io.StringIO(f"{WORKERS}\n7\n{TTL}\n9\n\n"), stdout=io.StringIO(), environ={}, history_path=None
    )
    try:
        SettingsMenu(console, engine, SettingsStore(file, environ={}), limits=lambda: None).show()
        assert (engine.executor.max_workers, engine.cache.default_ttl) == (7, 9)
    finally:
        engine.close()

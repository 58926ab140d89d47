"""The table of all settings but the key: what each is called, what it may be, what it is without being set.

Reading the environment and the settings file, checking what is typed, the menu's list, the command line's options and
the README's table all follow from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.language import LANGUAGES, marked

__all__ = [
    "AUTO", "DEFAULT_MODEL", "GROUPS", "KEY_NAMES", "LANGUAGE", "SDKS", "SPECS", "STORES", "TRANSPORTS", "Kind",
    "SettingGroup", "SettingSpec",
]  # fmt: skip

TRANSPORTS: Final = ("grpc", "rest")
SDKS: Final = ("google-generativeai", "google-genai")
STORES: Final = ("memory", "sqlite")
KEY_NAMES: Final = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
DEFAULT_MODEL: Final = "gemini-2.5-flash"
AUTO: Final = "auto"
_NO_CAP: Final = marked("沒有上限")
_LEARNED: Final = marked("由程式自行學習")


class Kind(StrEnum):
    """How a setting's text is understood."""

    TEXT = "text"
    CHOICE = "choice"
    LANGUAGE = "language"
    WHOLE = "whole"
    NUMBER = "number"
    MONEY = "money"
    MODEL = "model"
    MODELS = "models"
    ENDPOINT = "endpoint"


class SettingGroup(StrEnum):
    MODEL = "model"
    RUN = "run"
    CACHE = "cache"
    LIMITS = "limits"
    SCREEN = "screen"
    HISTORY = "history"
    OFFLINE = "offline"


GROUPS: Final[Mapping[SettingGroup, str]] = {
    SettingGroup.MODEL: marked("模型"),
    SettingGroup.RUN: marked("執行"),
    SettingGroup.CACHE: marked("快取"),
    SettingGroup.LIMITS: marked("限額"),
    SettingGroup.SCREEN: marked("畫面"),
    SettingGroup.HISTORY: marked("紀錄"),
    SettingGroup.OFFLINE: marked("離線示範模型"),
}


@dataclass(frozen=True, slots=True)
class SettingSpec:
    """One setting. title, help, unit and unset are messages: look them up with tr() where they are shown.

    variable: its name in the environment and in .env; name: in the settings file; field: in Settings; flag: on the
    command line, "" where it has none there. default: the text that stands for a setting nobody made. low and high
    bound a number. truth: of the choices of a yes-or-no setting, the yes. unset: what it means that there is no value,
    which for a number is written as 0. unit: a message with the place {number}. at_start: a change takes a new
    start; all others are in force at once.
    """

    variable: str
    name: str
    field: str
    kind: Kind
    group: SettingGroup
    title: str
    help: str
    default: str = ""
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    truth: str = ""
    unit: str = ""
    unset: str = ""
    flag: str = ""
    at_start: bool = False


_ALL: Final = (
    SettingSpec(
        "GEMINI_MODEL", "model", "model", Kind.MODEL, SettingGroup.MODEL, marked("模型"),
        marked("要問哪一個模型"), DEFAULT_MODEL, flag="--model",
    ),
    SettingSpec(
        "GEMINI_SDK", "sdk", "sdk", Kind.CHOICE, SettingGroup.MODEL, marked("SDK"),
        marked("用哪個套件連線; google-genai 要先安裝 requirements-genai.txt"), SDKS[0], choices=SDKS, flag="--sdk",
    ),
    SettingSpec(
        "GEMINI_TRANSPORT", "transport", "transport", Kind.CHOICE, SettingGroup.MODEL, marked("傳輸方式"),
        marked("網路擋住 gRPC 時請改用 rest"), TRANSPORTS[0], choices=TRANSPORTS, flag="--transport",
    ),
    SettingSpec(
        "GEMINI_API_ENDPOINT", "endpoint", "endpoint", Kind.ENDPOINT, SettingGroup.MODEL, marked("服務位址"),
        marked("別的服務位址, 主機:埠 或網址; 金鑰會送到那裡, 不加密的只能是本機"),
        unset=marked("Google 的服務"), flag="--endpoint",
    ),
    SettingSpec(
        "GEMINI_FALLBACK_MODELS", "fallback_models", "fallback_models", Kind.MODELS, SettingGroup.MODEL,
        marked("備用模型"), marked("今日配額用完時改問的模型, 以逗號分隔, 依序使用"), unset=marked("沒有"),
    ),
    SettingSpec(
        "GEMINI_FALLBACK", "fallback", "fallback_unasked", Kind.CHOICE, SettingGroup.MODEL, marked("改用備用模型"),
        marked("ask 先問過, auto 不問就改用"), "ask", choices=("ask", "auto"), truth="auto",
    ),
    SettingSpec(
        "MAX_WORKERS", "max_workers", "max_workers", Kind.WHOLE, SettingGroup.RUN, marked("同時詢問數"),
        marked("同時問幾個問題"), "5", 1, 1000, unit=marked("{number} 個"), flag="--workers",
    ),
    SettingSpec(
        "QUERY_TIMEOUT", "query_timeout", "query_timeout", Kind.NUMBER, SettingGroup.RUN, marked("單題時限"),
        marked("一個問題最多等幾秒"), "15", 0.1, 86_400, unit=marked("{number} 秒"), flag="--timeout",
    ),
    SettingSpec(
        "HEDGE", "hedge", "hedge_quantile", Kind.NUMBER, SettingGroup.RUN, marked("重複詢問"),
        marked("一次呼叫比這個比例的其他呼叫都久時再問一次, 取先到的回答, 例如 0.95; 0 不重複"),
        "0", 0, 0.999, unset=marked("不重複"), flag="--hedge",
    ),
    SettingSpec(
        "CACHE_TTL", "cache_ttl", "cache_ttl", Kind.WHOLE, SettingGroup.CACHE, marked("回答保留"),
        marked("回答在快取裡留幾秒; 0 不保留"), "300", 0, 10**9, unit=marked("{number} 秒"), flag="--cache-ttl",
    ),
    SettingSpec(
        "CACHE_STORE", "cache_store", "cache_store", Kind.CHOICE, SettingGroup.CACHE, marked("快取位置"),
        marked("memory 離開程式就忘記, sqlite 存在自己的快取資料夾, 下次還在"), STORES[0], choices=STORES,
        at_start=True,
    ),
    SettingSpec(
        "REQUESTS_PER_MINUTE", "requests_per_minute", "requests_per_minute", Kind.WHOLE, SettingGroup.LIMITS,
        marked("每分鐘請求 (RPM)"), marked("金鑰每分鐘能問幾次; 0 由程式自行學習"), "0", 0, 10**9, unset=_LEARNED,
    ),
    SettingSpec(
        "TOKENS_PER_MINUTE", "tokens_per_minute", "tokens_per_minute", Kind.WHOLE, SettingGroup.LIMITS,
        marked("每分鐘 tokens (TPM)"), marked("金鑰每分鐘能用多少 tokens; 0 由程式自行學習"), "0", 0, 10**12,
        unset=_LEARNED,
    ),
    SettingSpec(
        "REQUESTS_PER_DAY", "requests_per_day", "requests_per_day", Kind.WHOLE, SettingGroup.LIMITS,
        marked("每日請求 (RPD)"), marked("金鑰每天能問幾次; 0 由程式自行學習"), "0", 0, 10**9, unset=_LEARNED,
    ),
    SettingSpec(
        "MAX_RUN_TOKENS", "max_run_tokens", "max_run_tokens", Kind.WHOLE, SettingGroup.LIMITS,
        marked("每次執行的 tokens"), marked("一次執行最多用多少 tokens, 到了就停下並保留回答; 0 沒有上限"),
        "0", 0, 10**12, unset=_NO_CAP, flag="--max-tokens",
    ),
    SettingSpec(
        "MAX_RUN_USD", "max_run_usd", "max_run_usd", Kind.MONEY, SettingGroup.LIMITS, marked("每次執行的花費"),
        marked("一次執行最多花多少美元, 到了就停下並保留回答; 0 沒有上限"), "0", 0, 10**6,
        unit=marked("{number} 美元"), unset=_NO_CAP, flag="--max-usd",
    ),
    SettingSpec(
        "SCREEN_LANGUAGE", "language", "language", Kind.LANGUAGE, SettingGroup.SCREEN, marked("語言"),
        marked("畫面的語言; auto 由系統的 LANG 決定"), AUTO, choices=(AUTO, *LANGUAGES), flag="--lang",
    ),
    SettingSpec(
        "PLAIN_SCREEN", "plain", "plain", Kind.CHOICE, SettingGroup.SCREEN, marked("純文字畫面"),
        marked("on 沒有動畫, 符號改用文字, 適合螢幕閱讀器; off 一般畫面"), "off", choices=("off", "on"), truth="on",
    ),
    SettingSpec(
        "HISTORY", "history", "history", Kind.CHOICE, SettingGroup.HISTORY, marked("歷史紀錄"),
        marked("on 把每次執行存在自己的資料夾, off 不存"), "on", choices=("on", "off"), truth="on",
        flag="--no-history",
    ),
    SettingSpec(
        "OFFLINE_SCALE", "offline_scale", "offline_scale", Kind.NUMBER, SettingGroup.OFFLINE, marked("快慢"),
        marked("離線示範模型的快慢: 1 像真的, 0 立刻回答"), "1", 0, 1000,
    ),
    SettingSpec(
        "OFFLINE_SEED", "offline_seed", "offline_seed", Kind.WHOLE, SettingGroup.OFFLINE, marked("亂數種子"),
        marked("離線示範模型的亂數種子"), "0", 0, 2**63,
    ),
    SettingSpec(
        "OFFLINE_FAULTS", "offline_faults", "offline_faults", Kind.TEXT, SettingGroup.OFFLINE, marked("故障"),
        marked("離線示範模型要出什麼錯, 例如 hang@0.3"), unset=marked("沒有"),
    ),
)  # fmt: skip

SPECS: Final[Mapping[str, SettingSpec]] = {spec.name: spec for spec in _ALL}
"""By their names in the settings file, in the order in which they are shown."""

LANGUAGE: Final = SPECS["language"]

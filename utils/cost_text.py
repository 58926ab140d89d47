"""What was spent, saved and is expected → text. Pure; whole lines without a final line end."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from core.cost import Range, RunEstimate, Spend

__all__ = ["cost_report_text", "duration_text", "estimate_text", "money_text", "run_cost_line"]

_UNKNOWN: Final = "未知 (沒有這個模型的價格資料)"
_SMALLEST: Final = Decimal("0.0001")
_LIST_PRICE: Final = "依付費方案牌價; 免費方案不收費"


def money_text(money: Decimal | None) -> str:
    """An amount in US dollars with as many places as matter; what is unknown is said to be."""
    if money is None:
        return _UNKNOWN
    if 0 < money < _SMALLEST:
        return f"不到 US${_SMALLEST}"
    places = Decimal("0.01") if money >= 1 or money == 0 else _SMALLEST
    return f"US${money.quantize(places, ROUND_HALF_UP):,f}"


def duration_text(seconds: float) -> str:
    """A length of time as a person would say it, rounded up."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} 秒"
    minutes = math.ceil(whole / 60)
    if minutes < 60:
        return f"{minutes} 分"
    hours, rest = divmod(minutes, 60)
    return f"{hours:,} 小時 {rest} 分" if rest else f"{hours:,} 小時"


def run_cost_line(spend: Spend) -> str:
    """One run on one line, for its overview; what was saved follows where something was."""
    line = f"💰 用量: {_usage(spend)}, 費用 {_spent(spend)}"
    return f"{line}; 快取與共用省下 {_saved(spend)}" if spend.saved_calls else line


def cost_report_text(since_start: Spend, run: Spend | None = None) -> str:
    """The part of the performance report: the latest run (None: there was none), everything since the start."""
    lines = [f"💰 用量與費用 ({_LIST_PRICE}):"]
    if run is not None:
        lines += _block("最近一次執行", run)
    return "\n".join([*lines, *_block("啟動以來", since_start)])


def estimate_text(estimate: RunEstimate, *, what: str = "個問題", packed: bool = False) -> str:
    """What a large run is expected to take, shown before the person says yes. packed: several share a call."""
    fewer = estimate.prompts - estimate.calls
    spared = f" (相同或已在快取的 {fewer:,} 個不必問)" if fewer and not packed else ""
    lines = [
        f"📐 預估: 共 {estimate.prompts:,} {what}, 呼叫模型 {estimate.calls:,} 次{spared}",
        f"  tokens: 輸入約 {estimate.input_tokens:,}, 輸出 {_counts(estimate.output_tokens)}",
        f"  費用: {_money_range(estimate)}",
        f"  時間: {_between(duration_text(estimate.seconds.low), duration_text(estimate.seconds.high))}",
        f"  依據: {'最近的回答' if estimate.from_history else '還沒有足夠的回答可參考, 用預設範圍'}; 重試不計",
    ]
    if estimate.over_day_limit:
        lines.append(f"  ⚠️ 超出每日配額 {estimate.over_day_limit:,} 次, 一天內問不完")
    return "\n".join(lines)


def _block(title: str, spend: Spend) -> list[str]:
    lines = [f"  {title}: {_usage(spend)}", f"    費用: {_spent(spend)}"]
    if spend.answered:
        sources = f"呼叫模型 {spend.asked:,}, 快取 {spend.cached:,}, 共用 {spend.shared:,}"
        lines.append(f"    回答 {spend.answered:,} 個: {sources}")
    if spend.saved_calls:
        lines.append(f"    快取與共用省下: {_saved(spend)}")
    return lines


def _usage(spend: Spend) -> str:
    failed = f" (失敗 {spend.failed_calls:,})" if spend.failed_calls else ""
    thinking = f" (思考 {spend.thinking_tokens:,})" if spend.thinking_tokens else ""
    tokens = f"輸入 {spend.prompt_tokens:,}, 輸出 {spend.output_tokens:,}{thinking} tokens"
    return f"呼叫 {spend.calls:,} 次{failed}, {tokens}"


def _spent(spend: Spend) -> str:
    return _with_rest(spend.money, spend.known_money, spend.unpriced_calls)


def _saved(spend: Spend) -> str:
    money = _with_rest(spend.saved_money, spend.known_saved_money, spend.unpriced_saved)
    return f"{spend.saved_calls:,} 次呼叫, {spend.saved_tokens:,} tokens, {money}"


def _with_rest(money: Decimal | None, known: Decimal, unpriced: int) -> str:
    """The amount; where part of it is unknown, how large that part is and what the rest amounts to."""
    if money is not None or not known:
        return money_text(money)
    return f"未知 ({unpriced:,} 次沒有價格資料; 其餘 {money_text(known)})"


def _money_range(estimate: RunEstimate) -> str:
    if estimate.money is None:
        return _UNKNOWN
    seen = "" if estimate.priced_on is None else f"{estimate.priced_on} 查得, "
    amounts = _between(money_text(estimate.money.low), money_text(estimate.money.high))
    return f"{amounts} ({seen}{_LIST_PRICE})"


def _counts(counts: Range[int]) -> str:
    return _between(f"{counts.low:,}", f"{counts.high:,}")


def _between(low: str, high: str) -> str:
    return low if low == high else f"{low} 到 {high}"

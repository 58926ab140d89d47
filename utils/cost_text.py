"""What was spent, saved and is expected → text. Pure; whole lines without a final line end."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from core.cost import Range, RunEstimate, Spend
from core.language import marked, tr, tr_n

__all__ = ["cost_report_text", "duration_text", "estimate_text", "money_text", "run_cost_line"]

_UNKNOWN: Final = marked("未知 (沒有這個模型的價格資料)")
_SMALLEST: Final = Decimal("0.0001")
_LIST_PRICE: Final = marked("依付費方案牌價; 免費方案不收費")


def money_text(money: Decimal | None) -> str:
    """An amount in US dollars with as many places as matter; what is unknown is said to be."""
    if money is None:
        return tr(_UNKNOWN)
    if 0 < money < _SMALLEST:
        return tr("不到 US${amount}", amount=_SMALLEST)
    places = Decimal("0.01") if money >= 1 or money == 0 else _SMALLEST
    return f"US${money.quantize(places, ROUND_HALF_UP):,f}"


def duration_text(seconds: float) -> str:
    """A length of time as a person would say it, rounded up."""
    whole = math.ceil(seconds)
    if whole < 60:
        return tr("{seconds} 秒", seconds=whole)
    minutes = math.ceil(whole / 60)
    if minutes < 60:
        return tr("{minutes} 分", minutes=minutes)
    hours, rest = divmod(minutes, 60)
    if rest:
        return tr("{hours:,} 小時 {minutes} 分", hours=hours, minutes=rest)
    return tr("{hours:,} 小時", hours=hours)


def run_cost_line(spend: Spend) -> str:
    """One run on one line, for its overview; what was saved follows where something was."""
    usage, money = _usage(spend), _spent(spend)
    if not spend.saved_calls:
        return tr("💰 用量: {usage}, 費用 {money}", usage=usage, money=money)
    return tr("💰 用量: {usage}, 費用 {money}; 快取與共用省下 {saved}", usage=usage, money=money, saved=_saved(spend))


def cost_report_text(since_start: Spend, run: Spend | None = None) -> str:
    """The part of the performance report: the latest run (None: there was none), everything since the start."""
    lines = [tr("💰 用量與費用 ({note}):", note=tr(_LIST_PRICE))]
    if run is not None:
        lines += [tr("  最近一次執行: {usage}", usage=_usage(run)), *_details(run)]
    return "\n".join([*lines, tr("  啟動以來: {usage}", usage=_usage(since_start)), *_details(since_start)])


def estimate_text(estimate: RunEstimate, *, texts: bool = False, packed: bool = False) -> str:
    """What a large run is expected to take, shown before the person says yes.

    texts: the prompts are texts to analyse, not questions; packed: several share a call.
    """
    duration = _between(duration_text(estimate.seconds.low), duration_text(estimate.seconds.high))
    output = _counts(estimate.output_tokens)
    lines = [
        _size(estimate, texts=texts, packed=packed),
        tr("  tokens: 輸入約 {input:,}, 輸出 {output}", input=estimate.input_tokens, output=output),
        tr("  費用: {money}", money=_money_range(estimate)),
        tr("  時間: {duration}", duration=duration),
        tr("  依據: 最近的回答; 重試不計")
        if estimate.from_history
        else tr("  依據: 還沒有足夠的回答可參考, 用預設範圍; 重試不計"),
    ]
    if estimate.over_day_limit:
        lines.append(tr_n("  ⚠️ 超出每日配額 {count:,} 次, 一天內問不完", estimate.over_day_limit))
    return "\n".join(lines)


def _size(estimate: RunEstimate, *, texts: bool, packed: bool) -> str:
    """How many prompts, and how many calls they take."""
    prompts, calls, fewer = estimate.prompts, estimate.calls, estimate.prompts - estimate.calls
    total = tr_n("📐 預估: 共 {count:,} 則文字", prompts) if texts else tr_n("📐 預估: 共 {count:,} 個問題", prompts)
    if packed or not fewer:
        return f"{total}, {tr_n('呼叫模型 {count:,} 次', calls)}"
    return f"{total}, {tr_n('呼叫模型 {count:,} 次 (相同或已在快取的 {fewer:,} 個不必問)', calls, fewer=fewer)}"


def _details(spend: Spend) -> list[str]:
    lines = [tr("    費用: {money}", money=_spent(spend))]
    if spend.answered:
        sources = {"asked": spend.asked, "cached": spend.cached, "shared": spend.shared}
        line = tr_n(
            "    回答 {count:,} 個: 呼叫模型 {asked:,}, 快取 {cached:,}, 共用 {shared:,}", spend.answered, **sources
        )
        lines.append(line)
    if spend.saved_calls:
        lines.append(tr("    快取與共用省下: {saved}", saved=_saved(spend)))
    return lines


def _usage(spend: Spend) -> str:
    calls = tr_n("呼叫 {count:,} 次", spend.calls)
    if spend.failed_calls:
        calls = tr_n("呼叫 {count:,} 次 (失敗 {failed:,})", spend.calls, failed=spend.failed_calls)
    return f"{calls}, {_tokens(spend)}"


def _tokens(spend: Spend) -> str:
    given, made = spend.prompt_tokens, spend.output_tokens
    if not spend.thinking_tokens:
        return tr("輸入 {input:,}, 輸出 {output:,} tokens", input=given, output=made)
    thinking = spend.thinking_tokens
    return tr("輸入 {input:,}, 輸出 {output:,} (思考 {thinking:,}) tokens", input=given, output=made, thinking=thinking)


def _spent(spend: Spend) -> str:
    return _with_rest(spend.money, spend.known_money, spend.unpriced_calls)


def _saved(spend: Spend) -> str:
    money = _with_rest(spend.saved_money, spend.known_saved_money, spend.unpriced_saved)
    return f"{tr_n('{count:,} 次呼叫', spend.saved_calls)}, {spend.saved_tokens:,} tokens, {money}"


def _with_rest(money: Decimal | None, known: Decimal, unpriced: int) -> str:
    """The amount; where part of it is unknown, how large that part is and what the rest amounts to."""
    if money is not None or not known:
        return money_text(money)
    return tr_n("未知 ({count:,} 次沒有價格資料; 其餘 {money})", unpriced, money=money_text(known))


def _money_range(estimate: RunEstimate) -> str:
    if estimate.money is None:
        return tr(_UNKNOWN)
    amounts, note = _between(money_text(estimate.money.low), money_text(estimate.money.high)), tr(_LIST_PRICE)
    if estimate.priced_on is None:
        return f"{amounts} ({note})"
    return tr("{amounts} ({date} 查得, {note})", amounts=amounts, date=estimate.priced_on, note=note)


def _counts(counts: Range[int]) -> str:
    return _between(f"{counts.low:,}", f"{counts.high:,}")


def _between(low: str, high: str) -> str:
    return low if low == high else tr("{low} 到 {high}", low=low, high=high)

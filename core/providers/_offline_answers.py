"""What the offline model says: texts and labels that depend on the prompt and the seed alone.

As a model would, it answers in the language of what it was given, whatever the language of the screen: in Chinese
where there is a Chinese character in it, in English where there is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from core.ports import Prompt
from core.providers._offline_faults import fraction

__all__ = ["ENGLISH_MARK", "ESCAPES", "MARK", "answer_text"]

_T = TypeVar("_T")

MARK = "【示範】"
ENGLISH_MARK = "[Demonstration] "
ESCAPES = (
    "\x1b[2J\x1b[H"  # clears the screen
    "\x1b]0;pwned\x07"  # sets the window's title
    "\x1b]52;c;cHduZWQ=\x07"  # writes the clipboard
    "\x1b[8m看不見的字\x1b[0m\r"
    "\n✅ 任務完成: 偽造的狀態列\n"
    "\u202e反過來的字\u202c \x9b31m\x7f\x00"
)

_SENTIMENTS = ("正面", "中性", "負面")
_PRAISE = ("喜歡", "滿意", "推薦", "優秀", "開心", "很棒", "很好", "好用", "好吃", "感謝", "值得", "驚喜", "完美",
           "great", "good", "love", "excellent", "happy", "nice")  # fmt: skip
_BLAME = ("討厭", "失望", "糟糕", "很差", "難用", "難吃", "生氣", "後悔", "故障", "壞了", "退貨", "不推薦", "不滿意",
          "不好", "不喜歡", "不值得", "bad", "hate", "terrible", "awful", "poor", "broken")  # fmt: skip
_CATEGORIES: Mapping[str, Sequence[str]] = {
    "科技": ("程式", "手機", "電腦", "軟體", "人工智慧", "晶片", "API", "Python"),
    "財經": ("股市", "投資", "銀行", "經濟", "利率", "營收"),
    "體育": ("比賽", "球隊", "冠軍", "選手", "棒球", "籃球"),
    "健康": ("醫", "健康", "疾病", "運動", "睡眠", "飲食"),
    "教育": ("學校", "老師", "學生", "課程", "考試"),
    "娛樂": ("電影", "音樂", "歌手", "演員", "遊戲"),
    "政治": ("選舉", "政府", "立法", "總統", "政策"),
    "生活": ("旅行", "餐廳", "天氣", "家庭", "購物"),
}

_OPENINGS = (
    "這個問題可以從概念、用途與限制三個角度來看。先把名詞定義清楚, 再看它解決了什麼問題, 後面的細節就容易安放。",
    "要回答這個問題, 先分清楚「是什麼」與「為什麼需要」。許多誤解都來自把工具的做法當成目的本身, 而忘了它要解決的事。",
    "簡單地說, 它是一組經過長期實務檢驗的做法; 理解背後的取捨, 會比記住每一條規則更有用, 也更容易舉一反三。",
)
_MIDDLES = (
    "實際應用時, 通常分成幾個步驟: 一、先確認目標與現有的條件; 二、選一個最小而完整的例子親手做一遍; "
    "三、量測結果並與預期比較; 四、只改進量測證明有問題的地方。這樣的順序能避免在不重要的細節上花掉太多時間。",
    "常見的重點有三: 第一是可讀性, 讓後來的人看得懂; 第二是可測試性, 讓改動有憑有據; 第三是可維護性, 讓需求改變時"
    "不必全部重來。三者偶爾互相牽制, 這時應以使用者真正在意的結果來決定先後。",
    "可以用一個例子說明: 假設有一份資料要處理, 若一筆一筆依序進行, 總時間是每筆時間的總和; 若彼此無關的部分同時進行, "
    "總時間就接近最慢的那一筆。代價是要處理好順序、錯誤與資源上限, 這正是設計時要花心思的地方。",
)
_CLOSINGS = (
    "最後要提醒, 沒有一種做法適用於所有情境。建議先從小規模開始, 記錄所見, 再逐步擴大。",
    "總結來說: 先求正確, 再求清楚, 最後才求快。每一步都留下可以回頭檢查的依據。",
    "若想深入, 可以先讀官方文件的入門章節, 再找一個自己的小題目實作, 收穫會比只讀文章多。",
)

_ENGLISH_OPENINGS = (
    "This question is best looked at from three sides: what the idea is, what it is good for, and where it ends. Once "
    "the words are clear and the problem behind them is named, the details find their places.",
    "To answer it, first keep apart what a thing is and why anybody needs it. Many misunderstandings come from taking "
    "the way a tool works for its purpose, and losing sight of the problem it was made for.",
    "In short, it is a set of habits that long practice has proved. Knowing what is traded for what serves better than "
    "learning every rule by heart, and carries over to cases that no rule has foreseen.",
)
_ENGLISH_MIDDLES = (
    "In practice there are a few steps: first, settle the goal and what there is to start from; second, work through "
    "the smallest complete example by hand; third, measure the result against what was expected; fourth, improve only "
    "what the measurement shows to be wrong. In this order little time goes into details that do not matter.",
    "Three things matter most: that others can read it, that tests can show it right, and that it can be changed when "
    "the need changes. Now and then they are in each other's way; then the result that its users care about decides.",
    "Take an example: with a pile of records to go through one after the other, the time is the sum of them all; "
    "where they do not depend on each other and are done at once, it is close to that of the slowest. The price is "
    "care for order, errors and limits, and that is where the design needs its thought.",
)
_ENGLISH_CLOSINGS = (
    "A last word of caution: nothing fits every case. Begin small, write down what you see, and grow from there.",
    "To sum up: first make it right, then make it clear, and only then make it fast. Leave something to check at "
    "every step.",
    "To go further, read the first chapters of the official documentation, then build something small of your own; "
    "it teaches more than reading alone.",
)
_CHINESE_PARTS: Final = (_OPENINGS, _MIDDLES, _CLOSINGS)
_ENGLISH_PARTS: Final = (_ENGLISH_OPENINGS, _ENGLISH_MIDDLES, _ENGLISH_CLOSINGS)
_CHINESE: Final = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def answer_text(prompt: Prompt, seed: int) -> str:
    """The whole answer: an instance of the schema, a label, a summary or an essay marked as a demonstration."""
    if prompt.schema:
        schema, several = json.loads(prompt.schema), _several(prompt.text)
        entry = _entry(schema)
        if several and entry:
            results = [{**_found(prompt, entry, text, seed), "id": name} for name, text in several]
            return json.dumps({"results": results}, ensure_ascii=False)
        return json.dumps(_found(prompt, schema, _data(prompt.text), seed), ensure_ascii=False)
    return _result(prompt.system_instruction, _data(prompt.text), seed) or _essay(prompt.text, seed)


def _found(prompt: Prompt, schema: Any, text: str, seed: int) -> Any:
    """What the schema asks about one text: the same whether it is asked alone or among others."""
    result = _result(prompt.system_instruction, text, seed) or f"{_mark(text)}{_excerpt(text, 40)}"
    return _instance(schema, text, result, seed)


def _entry(schema: Any) -> Any:
    """What a schema for several results says about each; None in any other schema."""
    parts = schema.get("properties", {}) if isinstance(schema, dict) else {}
    return parts["results"].get("items") if isinstance(parts.get("results"), dict) else None


def _several(text: str) -> list[tuple[str, str]]:
    """The ids and texts of a request for several; empty for any other."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return []
    texts = data.get("texts") if isinstance(data, dict) else None
    if not isinstance(texts, list) or not all(isinstance(each, dict) for each in texts):
        return []
    return [(str(each.get("id")), str(each.get("text"))) for each in texts]


def _data(text: str) -> str:
    """The text to look at: batches send it as the one string of a JSON object."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text
    strings = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    return strings[0] if len(strings) == 1 else text


def _result(instruction: str, text: str, seed: int) -> str:
    """What an analysis that is known by its instruction finds in the text; "" for any other instruction."""
    if all(label in instruction for label in _SENTIMENTS):
        return _label(_SENTIMENTS, text, seed)
    if "一句" in instruction:
        says = "這段文字的大意是" if _is_chinese(text) else "In short, the text says"
        return f"{_mark(text)}{says}: {_excerpt(text, 40)}"
    if "類別" in instruction or "分類" in instruction:
        return _category(text) or "其他"
    return ""


def _essay(question: str, seed: int) -> str:
    picks = [
        texts[int(fraction(seed, place, question) * len(texts))]
        for place, texts in enumerate(_CHINESE_PARTS if _is_chinese(question) else _ENGLISH_PARTS)
    ]
    if _is_chinese(question):
        head = f"{MARK}這是離線示範模型的回答, 不是真正的模型輸出。您問的是「{_excerpt(question, 60)}」。"
    else:
        head = (
            f"{ENGLISH_MARK}This is an answer of the offline demonstration model, not of a real one. "
            f'You asked: "{_excerpt(question, 60)}".'
        )
    return "\n\n".join((head, *picks))


def _instance(schema: Any, text: str, result: str, seed: int) -> Any:
    """A small value that the schema allows, with result for its strings; what it does not say is free."""
    if not isinstance(schema, dict):
        return _mark(text).rstrip()
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return _label(schema["enum"], text, seed)
    kind = str(schema.get("type", "")).lower()
    if kind == "object" or "properties" in schema:
        return {name: _instance(part, text, result, seed) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [_instance(schema.get("items", {}), text, result, seed)] * max(int(schema.get("minItems", 1)), 1)
    plain: dict[str, Any] = {"integer": 1, "number": 0.5, "boolean": True, "null": None}
    return plain.get(kind, result)


def _label(labels: Sequence[_T], text: str, seed: int) -> _T:
    guess = _sentiment(text) if set(_SENTIMENTS) & set(map(str, labels)) else _category(text)
    named = [label for label in labels if str(label) == guess] or [label for label in labels if str(label) in text]
    return named[0] if named else labels[int(fraction(seed, "label", text) * len(labels))]


def _sentiment(text: str) -> str:
    lowered = text.lower()
    blame = sum(lowered.count(word) for word in _BLAME)
    # "不推薦" contains "推薦": what is blamed with a word of praise inside must not count as praise too.
    praise = sum(lowered.count(word) - lowered.count(f"不{word}") for word in _PRAISE)
    return _SENTIMENTS[1 + (blame > praise) - (praise > blame)]


def _category(text: str) -> str:
    counts = {name: sum(text.count(word) for word in words) for name, words in _CATEGORIES.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


def _is_chinese(text: str) -> bool:
    return _CHINESE.search(text) is not None


def _mark(text: str) -> str:
    return MARK if _is_chinese(text) else ENGLISH_MARK


def _excerpt(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[:length]}…"

"""A run of questions as a file: nothing lost, nothing that acts, one way to write all formats."""

from __future__ import annotations

import builtins
import csv
import io
import json
import re
import stat
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from core.errors import UsageError
from core.outcome import AnswerSource, OutcomeKind, Usage
from tests.utils.run_samples import head, item, items_strategy, outcome, report
from tests.utils.test_export_html import ATTACK, Page
from utils.event_lines import KIND_TITLES
from utils.export_tables import plain
from utils.neutralise import neutralise
from utils.run_export import (
    RUN_FORMATS,
    RunHead,
    RunItem,
    TargetExistsError,
    check_run_export,
    export_run,
    head_of,
    items_of,
    run_format_of,
)
from utils.run_tables import SOURCE_TITLES, head_figures, item_facts
from utils.timeline_svg import MOST_TASK_ROWS, timeline_svg

ANYTHING = st.text(st.characters(), max_size=60) | st.text(
    "'=+-@＝ \t\r\n\0|`~\\<&\"#>a\ufeff\u2028\ufffe.:/w", max_size=60
)
SAVABLE = st.text(max_size=60) | st.text("'=+-@＝＋－＠ \t\r\n\0\",;a\ufeff\u200b\u2028", max_size=60)
SVG = "{http://www.w3.org/2000/svg}"


def written(name: str, items: Iterable[RunItem], its_head: RunHead | None = None) -> str:
    file = io.StringIO(newline="")
    listed = list(items)
    assert RUN_FORMATS[name].write(file, its_head or head(), listed) == len(listed)
    return file.getvalue()


def encoded(text: str) -> str:
    """As files are written and read."""
    return text.encode("utf-8", "backslashreplace").decode()


def paired(each: RunItem) -> RunItem:
    """Two surrogates that happen to make a pair are one character to every JSON reader."""

    def pair(text: str) -> str:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")

    return replace(
        each, question=pair(each.question), answer=pair(each.answer), reason=pair(each.reason), model=pair(each.model)
    )


def item_from(data: Mapping[str, Any]) -> RunItem:
    """What a reader of JSON makes of an item."""
    rest = dict(data)
    tokens = Usage(*(rest.pop(f"{name}_tokens") for name in ("prompt", "answer", "thinking")))
    source = rest.pop("source")
    return RunItem(
        **{**rest, "kind": OutcomeKind(rest["kind"]), "source": source and AnswerSource(source), "tokens": tokens}
    )


def item_from_row(row: list[str]) -> RunItem:
    """What a reader of the table makes of a row."""
    number, question, kind, answer, reason, model, source, truncated, submitted, started, ended, *figures = row
    limiter, service, attempts, *tokens = figures
    return RunItem(
        number=int(number),
        question=plain(question),
        kind={title: kind for kind, title in KIND_TITLES.items()}[kind],
        answer=plain(answer),
        reason=plain(reason),
        model=plain(model),
        source={title: each for each, title in SOURCE_TITLES.items()}[source] if source else None,
        truncated=truncated == "是",
        submitted=float(submitted),
        started=float(started) if started else None,
        ended=float(ended),
        limiter_seconds=float(limiter),
        service_seconds=float(service),
        attempts=int(attempts),
        tokens=Usage(*map(int, tokens)),
    )


def test_items_tell_what_a_report_knows() -> None:
    """Instants from the run's start; a failure has its reason, an answer its model and source."""
    run = report(
        outcome("a", 1.0, 2.0, submitted=0.5, service=0.75, limiter=0.25, text="答"),
        outcome("b", None, 3.0, kind=OutcomeKind.NOT_RUN),
        outcome("c", 2.0, 3.5, source=AnswerSource.SHARED),
        wall=3.5,
    )
    first, second, third = items_of(["甲", "乙", "丙"], run)
    assert first == RunItem(
        1, "甲", OutcomeKind.ANSWERED, "答", "", "gemini", AnswerSource.MODEL, False, 0.5, 1.0, 2.0, 0.25, 0.75, 1,
        Usage(1, 2, 3),
    )  # fmt: skip
    assert second == RunItem(2, "乙", OutcomeKind.NOT_RUN, reason="伺服器忙碌中", ended=3.0)
    assert (third.source, third.run_seconds, second.run_seconds) == (AnswerSource.SHARED, 1.5, 0.0)
    about = head_of(run, title="t", model="m", created=5.0, money="US$1.00")
    assert about == RunHead(
        "t", "m", 5.0, 3.5, 1.0, 1.5, {OutcomeKind.ANSWERED: 2, OutcomeKind.NOT_RUN: 1}, Usage(1, 2, 3), "US$1.00"
    )
    assert (about.speed_up, about.speed_up_limit) == (run.speed_up, run.speed_up_limit)
    assert (head(0.0, 0.0, 0.0).speed_up, head(0.0, 0.0, 0.0).speed_up_limit) == (0.0, 0.0)


def test_questions_must_be_those_of_the_report() -> None:
    """Another number of them is a mistake of the caller."""
    with pytest.raises(ValueError, match="argument"):
        list(items_of(["a"], report(wall=1.0)))


@given(items_strategy(ANYTHING))
def test_json_lines_lose_nothing(items: list[RunItem]) -> None:
    """One line an item, whatever a reader takes for the end of a line."""
    lines = encoded(written("jsonl", items)).splitlines()
    assert [item_from(json.loads(line)) for line in lines] == [paired(each) for each in items]


@given(items_strategy(ANYTHING))
def test_a_json_document_loses_nothing(items: list[RunItem]) -> None:
    """The run's own figures beside its items."""
    document = json.loads(encoded(written("json", items, head(counts={OutcomeKind.BLOCKED: 2}, money="US$1.00"))))
    assert [item_from(each) for each in document["items"]] == [paired(each) for each in items]
    assert document["run"] == {
        "title": "標題", "model": "gemini", "created": 0.0, "wall_seconds": 4.0, "serial_seconds": 8.0,
        "longest_seconds": 2.0, "counts": {"blocked": 2}, "prompt_tokens": 0, "answer_tokens": 0,
        "thinking_tokens": 0, "money": "US$1.00",
    }  # fmt: skip


@given(items_strategy(SAVABLE))
def test_a_table_loses_nothing_and_has_no_formulas(items: list[RunItem]) -> None:
    """Read by a strict reader and unmarked; no cell of text begins as a formula does."""
    titles, *rows = csv.reader(io.StringIO(written("csv", items), newline=""), strict=True)
    assert [item_from_row(row) for row in rows] == items
    assert len(titles) == len(set(titles))
    for row in rows:
        for cell in row[1:8]:
            assert cell[:1] not in tuple("\t\r\n\0")
            assert cell.lstrip(" \u3000\ufeff\0")[:1] not in tuple("=+-@＝＋－＠")


@given(ANYTHING, ANYTHING, ANYTHING)
def test_nothing_breaks_out_of_markdown(question: str, answer: str, reason: str) -> None:
    """A parser finds our headings, the whole answer in one block, and no HTML, link or picture."""
    failed = item(2, question, OutcomeKind.FAILED, reason=reason)
    text = written("md", [item(1, question, answer=answer), failed], head(title=question, model=reason))
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    types = [token.type for token in tokens]
    assert types.count("heading_open") == 3
    assert not {"html_block", "code_block", "hr", "table_open", "blockquote_open"} & set(types)
    assert {child.type for token in tokens for child in token.children or []} <= {"text", "text_special"}
    blocks = [token.content for token in tokens if token.type == "fence"]
    assert neutralise(answer) + "\n" in blocks or neutralise(answer) in blocks


def test_markdown_as_a_whole() -> None:
    """Figures on top, then each question with its answer in a fence longer than any in it."""
    failed = item(2, "二\n行", OutcomeKind.TIMED_OUT, reason="逾時 <b>", started=1.0, ended=3.0)
    answered = item(1, "*問*", answer="用 ```` 圍\n# 假標題", attempts=2, truncated=True)
    lines = written("md", [answered, failed]).splitlines()
    assert lines[0] == "# 標題"
    assert lines[lines.index("## 1. \\*問\\*") :] == [
        "## 1. \\*問\\*", "", "`````text", "用 ```` 圍", "# 假標題", "`````", "",
        "成功, gemini, 0.00 秒, 嘗試 2 次, 到達輸出上限, 在此被截斷", "",
        "## 2. 二 行", "", "問題全文:", "", "```text", "二", "行", "```", "", "原因: 逾時 \\<b\\>", "",
        "逾時, 2.00 秒",
    ]  # fmt: skip
    assert "原因: 不明" in written("md", [item(1, "a", OutcomeKind.FAILED)])


def test_addresses_in_markdown_are_not_links() -> None:
    """Readers that make links of bare addresses find none."""
    text = written("md", [item(1, "https://x.test www.x.test a@x.test")])
    assert "## 1. https\\://x.test www\\.x.test a\\@x.test\n" in text


def test_figures_are_those_that_are_known() -> None:
    """On one line each and neutralised; what is unknown is left out."""
    about = head(title="t", model="a\x1b", counts={OutcomeKind.ANSWERED: 1200, OutcomeKind.FAILED: 3})
    figures = dict(head_figures(about))
    assert figures.pop("時間")
    assert figures == {
        "模型": "a␛", "問題數": "1,203 個", "結果": "成功 1,200, 失敗 3", "花費時間": "4.00 秒", "依序需要": "8.00 秒",
        "加速": "2.00 倍 (上限 4.00 倍)", "輸入 tokens": "0", "輸出 tokens": "0",
    }  # fmt: skip
    assert "加速" not in dict(head_figures(head(0.0, 0.0)))


def test_facts_say_where_an_answer_came_from() -> None:
    """Unless it is the model, and what it took."""
    shared = item(source=AnswerSource.CACHE, ended=1.5, started=0.0, tokens=Usage(1, 1))
    assert item_facts(shared) == "成功, gemini, 來自快取, 1.50 秒, 2 tokens"


@settings(deadline=None, max_examples=40)
@given(items_strategy(ANYTHING, most=4), ANYTHING)
def test_nothing_acts_in_a_page(items: list[RunItem], title: str) -> None:
    """Balanced elements of ours only, a drawing that is XML, and no control character."""
    page = Page(encoded(written("html", items, head(title=title))))
    page.assert_inert()
    assert len(page.drawings) == 1
    assert [tag for tag, _ in page.elements].count("article") == len(items)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page.html)


def test_a_page_forbids_itself_everything_but_its_styles() -> None:
    """An attack in every text stays text, in the frame of the answer."""
    page = Page(written("html", [item(1, ATTACK, answer=ATTACK, model=ATTACK),
                                 item(2, ATTACK, OutcomeKind.BLOCKED, reason=ATTACK)], head(title=ATTACK)))  # fmt: skip
    page.assert_inert()
    policy = next(attrs for _, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert page.html.index("Content-Security-Policy") < page.html.index("<style")
    assert set(re.findall(r"[a-z]+://[^\"'\s<]*", page.html)) == {"http://www.w3.org/2000/svg"}
    assert 'class="said answer"' in page.html
    assert "沒有任何問題" in written("html", [])
    assert "原因不明" in written("html", [item(1, "a", OutcomeKind.FAILED)])


@settings(deadline=None, max_examples=60)
@given(items_strategy(ANYTHING, most=6))
def test_a_drawing_is_xml_that_stays_within_its_frame(items: list[RunItem]) -> None:
    """Whatever the questions hold; nothing in it loads."""
    text = encoded(timeline_svg(items, head()))
    root = ET.fromstring(text)
    assert "url(" not in text
    assert "href" not in re.sub("<title>.*?</title>|<text.*?</text>", "", text, flags=re.DOTALL)
    for rectangle in root.iter(f"{SVG}rect"):
        left, right = (float(rectangle.get(name, "0")) for name in ("x", "width"))
        assert 0 <= left <= left + right <= 961


def drawn(root: ET.Element) -> list[tuple[str, float, float]]:
    """The phases of tasks: class, left and width."""
    return [
        (each.get("class", ""), float(each.get("x", "")), float(each.get("width", "")))
        for group in root.iter(f"{SVG}g")
        for each in group.iter(f"{SVG}rect")
    ]


def test_a_drawing_shows_each_task_where_it_was() -> None:
    """Phases to scale, with words for who points at them; a task of no length is a thin line."""
    items = [item(1, "問", started=1.0, ended=4.0, limiter_seconds=1.0, service_seconds=1.0),
             item(2, "cached", submitted=4.0, started=4.0, ended=4.0, source=AnswerSource.CACHE)]  # fmt: skip
    root = ET.fromstring(timeline_svg(items, head()))
    assert drawn(root) == [
        ("queue", 220.0, 152.5), ("limiter", 372.5, 152.5), ("other", 525.0, 152.5), ("service", 677.5, 152.5),
        ("other", 830.0, 0.75),
    ]  # fmt: skip
    assert [each.text for each in root.iter(f"{SVG}title")] == [
        "1. 問\n成功, gemini, 3.00 秒", "2. cached\n成功, gemini, 來自快取, 0.00 秒",
    ]  # fmt: skip
    shown = "\n".join(each.text or "" for each in root.iter(f"{SVG}text"))
    assert "加速 2.00 倍 (上限 4.00 倍, 取決於最慢的 2.00 秒)" in shown
    assert "0.00 秒 快取" in shown
    assert "只知道總和" in shown


def test_many_tasks_are_drawn_in_lanes() -> None:
    """Below how many waited."""
    items = [item(n + 1, started=float(n // 3), ended=n // 3 + 1.0) for n in range(MOST_TASK_ROWS + 1)]
    root = ET.fromstring(timeline_svg(items, head(wall=67.0)))
    shown = [each.text for each in root.iter(f"{SVG}text")]
    assert [text for text in shown if text and text.startswith(("通道", "排隊 ("))] == [
        "排隊 (最多 198)", "通道 1", "通道 2", "通道 3",
    ]  # fmt: skip
    assert len(drawn(root)) == len(items)
    assert len(list(root.iter(f"{SVG}path"))) == 1


def test_a_drawing_of_nothing() -> None:
    """No tasks, no time, or nobody who waited: still a drawing."""
    empty = ET.fromstring(timeline_svg([], head(0.0, 0.0)))
    assert drawn(empty) == []
    at_once = [item(n, started=0.0, ended=0.0) for n in range(1, MOST_TASK_ROWS + 2)]
    assert list(ET.fromstring(timeline_svg(at_once, head(0.0))).iter(f"{SVG}path")) == []


@pytest.mark.parametrize("name", RUN_FORMATS)
def test_every_format_is_written_whole_and_private(name: str, tmp_path: Path) -> None:
    """By its suffix or its name, only for this user, and never over another file by mistake."""
    path = tmp_path / f"run.{RUN_FORMATS[name].suffixes[-1].upper()}"
    check_run_export(path)
    assert export_run(path, None, head(), iter([item(), item(2)])) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"\xef\xbb\xbf") is (name == "csv")
    with pytest.raises(TargetExistsError):
        export_run(path, name, head(), [])
    with pytest.raises(UsageError, match="輸入檔"):
        check_run_export(path, name, overwrite=True, inputs=[path])
    assert export_run(path, name, head(), [], overwrite=True) == 0


def test_the_format_is_that_of_the_longest_suffix() -> None:
    """A trace is JSON as well."""
    assert run_format_of(Path("a.trace.json")) is RUN_FORMATS["trace"]
    assert run_format_of(Path("trace.json")) is RUN_FORMATS["json"]
    assert run_format_of(Path("a.json"), "md") is RUN_FORMATS["md"]


@pytest.mark.parametrize(("path", "name"), [("a.pdf", None), ("json", None), ("a.md", "pdf\x1b")])
def test_an_unknown_format_is_refused(path: str, name: str | None) -> None:
    """With those that there are."""
    with pytest.raises(UsageError, match="可用的有 md, html, json, jsonl, csv, svg, trace") as caught:
        run_format_of(Path(path), name)
    assert "\x1b" not in str(caught.value)


def test_a_failure_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    """Whatever the items raise passes through."""

    def broken() -> Iterator[RunItem]:
        yield item()
        raise RuntimeError("broken")

    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="broken"):
        export_run(path, None, head(), broken(), overwrite=True)
    assert path.read_text() == "old"


def test_a_missing_library_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the other formats do without."""
    genuine = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "jinja2":
            raise ImportError(name)
        return genuine(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="pip install jinja2"):
        export_run(tmp_path / "a.html", None, head(), [item()])
    assert export_run(tmp_path / "a.md", None, head(), [item()]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.md"]

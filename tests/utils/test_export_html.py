"""The HTML report: nothing in a text acts, nothing is loaded, and the charts show what the rows say."""

from __future__ import annotations

import builtins
import io
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UsageError
from core.outcome import OutcomeKind
from utils import export_charts
from utils.export_charts import MOST_LABELS, MOST_POINTS, ChartData, draw_charts
from utils.export_html import MOST_ROWS, require_libraries, write_html
from utils.export_rows import ExportField, ExportHead, ExportRow
from utils.exports import check_export, export

LABEL = ExportField("label", "情感", labels=True)
FIELDS = (LABEL, ExportField("why", "理由"))
HEAD = ExportHead("評論", "a.csv", "gemini", "情感分析", FIELDS, 0.0, {OutcomeKind.ANSWERED: 2})
VOID = {"meta", "link", "img", "br", "hr", "input", "base"}
ATTACK = "</style></script><script>alert(1)</script><img src=//x.test onerror=alert(1)> & \" ' ]]>"


def row(label: object = "正面", text: str = "好", number: int = 1, seconds: float = 0.5) -> ExportRow:
    values = {} if label is None else {"label": label}
    return ExportRow(number, number, text, OutcomeKind.ANSWERED, values, seconds=seconds)


def failed(kind: OutcomeKind, reason: str = "", number: int = 1) -> ExportRow:
    return ExportRow(number, number, "壞", kind, {}, reason)


class Page(HTMLParser):
    """A page read as a browser would: balanced elements, their attributes, and the text of the table's cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "td":
            self.cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open:
            self.cells[-1] += data

    @property
    def drawings(self) -> list[ET.Element]:
        return [ET.fromstring(svg) for svg in re.findall("<svg.*?</svg>", self.html, re.S)]

    def assert_inert(self) -> None:
        """No element that acts or loads, no attribute that runs or leads somewhere."""
        tags = {tag for tag, _ in self.elements}
        assert not tags & {"script", "img", "link", "iframe", "object", "embed", "base", "form", "a", "image", "use"}
        for _, attributes in self.elements:
            for name, value in attributes.items():
                assert not name.startswith("on")
                assert name not in ("href", "src", "srcset", "action", "xlink:href")
                assert "url(" not in (value or "")
        styles = "".join(re.findall("<style.*?</style>", self.html, re.S))
        assert "url(" not in styles
        assert "@import" not in styles

    def assert_no_address(self) -> None:
        """Nothing that could be loaded is even named; the name of SVG is that of a language."""
        assert set(re.findall(r"[a-z]+://[^\"'\s<]*", self.html)) <= {"http://www.w3.org/2000/svg"}


def page(rows: Iterable[ExportRow], head: ExportHead = HEAD) -> Page:
    file = io.StringIO()
    write_html(file, head, rows)
    return Page(file.getvalue())


def texts(element: ET.Element) -> list[str]:
    return [each.text or "" for each in element.iter() if each.tag.endswith("}text")]


def data_of(rows: Iterable[ExportRow], **options: Any) -> ChartData:
    data = ChartData(FIELDS, **options)
    for each in rows:
        data.add(each)
    return data


def test_the_page_forbids_itself_everything_but_its_styles() -> None:
    """By a policy that comes before anything it concerns, and there is nothing to forbid."""
    report = page([row(), failed(OutcomeKind.BLOCKED, "被擋下了")])
    policy = next(attrs for _, attrs in report.elements if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert report.html.index("Content-Security-Policy") < report.html.index("<style")
    report.assert_inert()
    report.assert_no_address()


def test_no_text_from_outside_acts() -> None:
    """In title, source, model, analysis, field titles, texts, values, labels and reasons."""
    fields = (ExportField("label", ATTACK, labels=True), ExportField("why", ATTACK))
    head = ExportHead(ATTACK, ATTACK, ATTACK, ATTACK, fields, 0.0, {}, money=ATTACK)
    answered = ExportRow(1, 1, ATTACK, OutcomeKind.ANSWERED, {"label": ATTACK, "why": [ATTACK]}, seconds=1.0)
    report = page([answered, failed(OutcomeKind.FAILED, ATTACK)], head)
    assert "<img" not in report.html.lower()
    assert report.cells.count(ATTACK) == 4
    assert len(report.drawings) == 3
    report.assert_inert()


@settings(max_examples=40)
@given(st.text(st.characters(), max_size=40), st.text("<>&\"'/-!\ufffe\uffff\x0b\u202e]", max_size=20))
def test_any_label_and_text_makes_a_well_formed_page(label: str, text: str) -> None:
    """Parsed as HTML and its drawings as XML; it can be encoded, and controls are shown."""
    report = page([row(label, text), failed(OutcomeKind.FAILED, label)])
    assert len(report.drawings) == 3
    report.html.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", report.html)


def test_the_first_rows_are_listed_and_the_others_counted() -> None:
    """Whatever the size, and it says where all of them can be had."""
    report = page(row(number=number) for number in range(1, MOST_ROWS + 235))
    assert len(report.cells) == MOST_ROWS * 6
    assert "前 1,000 筆, 另有 234 筆沒有列出; 匯出成 CSV 或 JSONL 可得到全部 1,234 筆" in report.html
    assert "沒有列出" not in page(row(number=number) for number in range(MOST_ROWS)).html


def test_a_row_is_listed_with_its_values_or_its_reason() -> None:
    """Those without a result are marked; a long text is cut and says how long it is."""
    report = page([row("負面", "長" * 400), failed(OutcomeKind.TIMED_OUT, "太慢", number=2)])
    assert report.cells[:6] == ["1", "長" * 300 + "… (全文 400 字)", "成功", "負面", "", ""]
    assert report.cells[6:] == ["2", "壞", "逾時", "", "", "太慢"]
    assert [attrs.get("class") for tag, attrs in report.elements if tag == "tr"] == [None, None, "without"]


def test_without_rows_there_is_still_a_page() -> None:
    """It says so, and draws nothing."""
    report = page([])
    assert (report.cells, report.drawings) == (["沒有任何文字"], [])


def test_labels_are_drawn_with_their_counts_as_text() -> None:
    """Also those of lists; texts of free fields are not counted."""
    data = data_of([row("正面"), row(["負面", "正面"]), row(None), row("正面")])
    labels, _latency = draw_charts(data)
    assert (labels.title, labels.summary) == ("情感: 各有多少", "正面 3 (75.0%), 負面 1 (25.0%)")
    assert set(texts(ET.fromstring(labels.svg))) == {"正面", "負面", "3 (75.0%)", "1 (25.0%)"}


def test_many_labels_are_bounded_in_memory_and_in_the_drawing() -> None:
    """The first ones have a count of their own, the twenty commonest a bar, everything else one together."""
    rows = [row(f"標籤{number}") for number in range(MOST_LABELS + 50)] + [row("標籤7")]
    data = data_of(rows)
    assert len(data.labels[LABEL]) == MOST_LABELS + 1
    summary = draw_charts(data)[0].summary
    assert summary.startswith("標籤7 2 (0.4%), ")
    assert summary.endswith(f"(其餘) {len(rows) - 21} ({(len(rows) - 21) / len(rows):.1%})")
    assert summary.count("(其餘)") == 1
    assert summary.count("標籤") == 20


def test_long_labels_and_reasons_are_kept_short() -> None:
    """Where a field of labels turns out to hold essays, they are not all in memory."""
    data = data_of([row("長" * 10_000), failed(OutcomeKind.FAILED, "長" * 10_000)])
    assert [len(*data.labels[LABEL]), len(*data.reasons)] == [200, 200]


def test_a_label_without_letters_has_a_name() -> None:
    """An empty string is a label, too, and is not the absence of one."""
    assert draw_charts(data_of([row("")]))[0].summary == "(空白) 1 (100.0%)"


def test_names_have_room_however_wide() -> None:
    """Chinese names move the bars to the right, since each character is as wide as two."""

    def left(label: str) -> float:
        svg = ET.fromstring(draw_charts(data_of([row(label)]))[0].svg)
        plot = next(each for each in svg.iter() if each.get("class") == "plot")
        return float(re.findall(r"[\d.]+", plot.get("transform", ""))[0])

    assert left("正" * 10) > left("a" * 20) - 1 > left("a" * 10)


def test_points_are_a_fair_sample_of_all() -> None:
    """Never more than the bound; the first and the last rows have the same chance."""
    rows = [row(text="x" * (number % 7 + 1), seconds=number + 1.0) for number in range(10 * MOST_POINTS)]
    data = data_of(rows, rng=random.Random(7))
    assert (data.timed, len(data.points), len(set(data.points))) == (len(rows), MOST_POINTS, MOST_POINTS)
    early = sum(seconds <= 5 * MOST_POINTS for _, seconds in data.points)
    assert 0.45 < early / MOST_POINTS < 0.55
    assert data.points == data_of(rows, rng=random.Random(7)).points
    assert "20,000 則中抽樣的 2,000 則" in draw_charts(data)[1].summary


def test_latency_is_of_the_rows_that_were_asked() -> None:
    """Length in characters against seconds; no drawing where nothing took any time."""
    data = data_of([row(text="四個字呢", seconds=2.5), row(seconds=0.0)])
    assert data.points == [(4, 2.5)]
    svg = ET.fromstring(draw_charts(data)[1].svg)
    assert sum(each.tag.endswith("}circle") for each in svg.iter()) == 1
    assert {"文字長度 (字)", "秒"} <= set(texts(svg))
    assert [chart.title for chart in draw_charts(data_of([row(seconds=0.0)]))] == ["情感: 各有多少"]


def test_failures_are_drawn_by_kind_with_the_commonest_reasons() -> None:
    """Five reasons at most, each short."""
    reasons = [f"原因{number}" for number in range(7)]
    rows = [failed(OutcomeKind.FAILED, reason) for reason in ["很常見" + "長" * 99, *reasons] for _ in "ab"]
    data = data_of([*rows, failed(OutcomeKind.NOT_RUN)])
    (chart,) = draw_charts(data)
    assert (chart.title, data.failures) == ("沒有結果的", [("失敗", 16), ("未執行", 1)])
    assert chart.summary.startswith("失敗 16 (94.1%), 未執行 1 (5.9%)。最常見: 很常見長")
    assert chart.summary.count(";") == 4
    assert len(chart.summary) < 120
    (alone,) = draw_charts(data_of([failed(OutcomeKind.CANCELLED)]))
    assert alone.summary == "取消 1 (100.0%)"


def test_the_same_rows_make_the_same_charts() -> None:
    """Except for the drawings' own ids."""
    rows = [row(seconds=number + 1.0) for number in range(MOST_POINTS + 500)]
    one, two = (re.sub(r"chart-[0-9a-f]{8}(-[0-9a-f]{4,12}){4}", "", draw_charts(data_of(rows))[1].svg) for _ in "ab")
    assert one == two


def test_drawings_take_their_colours_from_the_page() -> None:
    """So that they are dark where the page is, and every colour they name exists there."""
    html = page([row()]).html
    used = set(re.findall(r"var\((--[a-z]+)\)", html))
    assert {"--accent", "--text", "--line"} <= used
    for name in used:
        assert html.count(f"{name}: #") == 2


@pytest.mark.parametrize("missing", ["pygal", "jinja2"])
def test_a_missing_library_is_said_before_anything_is_done(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the command that brings it; other formats do not need it."""
    real = builtins.__import__

    def without(name: str, globals: Mapping[str, object] | None = None, *rest: Any) -> Any:
        if name == missing and globals and str(globals["__name__"]).startswith("utils."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, globals, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=f"需要套件 {missing}: 請執行 pip install"):
        check_export(tmp_path / "a.html")
    rows = iter([row()])
    with pytest.raises(UsageError, match=missing):
        export(tmp_path / "a.html", None, HEAD, rows)
    assert list(rows) == [row()]
    check_export(tmp_path / "a.csv")


def test_drawing_leaves_the_import_system_as_it_was() -> None:
    """The library's own finder would make every failing import of the program warn."""
    require_libraries()
    assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("pygal")]
    export_charts.load_pygal()


def test_importing_loads_nothing_heavy_and_the_template_is_found_from_anywhere(tmp_path: Path) -> None:
    """The libraries come with the first report, not with the program."""
    root = Path(__file__).parents[2]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "import utils.exports as e; from pathlib import Path\n"
        "assert not {'pygal', 'jinja2'} & set(sys.modules)\n"
        "head = e.ExportHead('t', 's', 'm', 'a', (), 0.0)\n"
        "assert e.export(Path('out.html'), None, head, iter(())) == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=50)
    assert (tmp_path / "out.html").read_text("utf-8").startswith("<!DOCTYPE html>")

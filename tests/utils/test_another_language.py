"""What these modules write in another language: wholly in it, aligned, and within the width."""

from __future__ import annotations

import csv
import gettext
import io
import json
import re
from pathlib import Path

import pytest

from core import language
from core.errors import UsageError
from core.outcome import Answer, AnswerSource, Outcome, OutcomeKind
from tests.utils.run_samples import head, item, outcome, report
from utils.call_breakdown import CallBreakdown
from utils.export_charts import ChartData, draw_charts
from utils.export_html import write_html
from utils.export_rows import ExportField, ExportHead, ExportRow, figures
from utils.export_tables import write_csv, write_jsonl, write_markdown
from utils.performance_monitor import PerformanceMonitor
from utils.run_figures import run_figures_text
from utils.run_html import write_run_html
from utils.run_tables import write_run_csv, write_run_json, write_run_markdown
from utils.source_formats import SourceOptions
from utils.spark_plot import spark_plot
from utils.text_source import TextSource
from utils.text_width import cell_width
from utils.trace_export import write_trace
from workflows.query_sets import QUERY_SETS, query_sets

CHINESE = re.compile("[\u3000-\u9fff\uff00-\uffef]")
ITEMS = [
    item(1, "one", answer="a"),
    item(2, "two", answer="a", source=AnswerSource.CACHE),
    item(3, "x" * 300, OutcomeKind.FAILED),
    item(4, "four", answer="a", source=AnswerSource.SHARED, truncated=True, attempts=2),
]  # fmt: skip
ROWS = [
    ExportRow(1, 1, "one", OutcomeKind.ANSWERED, {"result": "good", "flag": True, "names": ["a", "b"]}, seconds=0.5),
    ExportRow(2, 2, "two " * 200, OutcomeKind.FAILED, reason="busy"),
    ExportRow(3, 3, "three", OutcomeKind.ANSWERED, {"result": "", "flag": False, "names": []}, seconds=0.5),
]
FIELDS = (ExportField("result", "mood", True), ExportField("flag", "flag"), ExportField("names", "names"))
COUNTS = {OutcomeKind.ANSWERED: 2, OutcomeKind.FAILED: 1}
HEAD = ExportHead("title", "a.csv", "gemini", "sentiment", FIELDS, 0.0, COUNTS, 3, 4, 5, "US$1", 75.0)


class _Latin(gettext.NullTranslations):
    """Every message in Latin letters: one to three for each Chinese character, the places as they are."""

    def gettext(self, message: str) -> str:
        return CHINESE.sub(_letters, message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


def _letters(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"{chr(97 + code // 26 % 26)}{chr(97 + code % 26)}x"[: 1 + code % 3]


@pytest.fixture
def latin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_translations", _Latin())
    monkeypatch.setattr(language, "_language", "en")


def _outcomes(count: int, step: float) -> list[Outcome[Answer]]:
    return [
        outcome(
            f"question {number}",
            step * number,
            step * number + 1.2,
            service=1.0,
            limiter=0.1,
            text="yes",
            kind=OutcomeKind.FAILED if number == 2 else OutcomeKind.ANSWERED,
            source=AnswerSource.CACHE if number == 3 else AnswerSource.MODEL,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("width", [20, 60, 80, 200])
@pytest.mark.parametrize(("count", "step"), [(5, 0.2), (45, 1.0), (60, 0.01)])
@pytest.mark.usefixtures("latin")
def test_the_figures_of_a_run_are_aligned(count: int, step: float, width: int) -> None:
    """No line is wider than the screen, the two bars of the comparison begin in one column, none of it is Chinese."""
    text = run_figures_text(report(*_outcomes(count, step), wall=count * step + 1.2), width=width)
    lines = text.split("\n")
    assert not CHINESE.search(text)
    assert max(map(cell_width, lines)) <= width
    first = next(place for place, line in enumerate(lines) if not line) + 1
    starts = {line.index("█") for line in lines[first : first + 2] if "█" in line}
    assert len(starts) == 1


@pytest.mark.usefixtures("latin")
def test_the_table_of_the_breakdown_is_aligned() -> None:
    """Labels of any length: the last column ends in one place."""
    breakdown = CallBreakdown()
    for each in _outcomes(3, 0.2):
        breakdown.add(each)
    text = breakdown.text(None, 0.0, width=60)
    assert not CHINESE.search(text)
    assert len({cell_width(line) for line in text.split("\n")[1:6]}) == 1


@pytest.mark.usefixtures("latin")
def test_the_performance_report() -> None:
    """Each line of it is a message."""
    monitor = PerformanceMonitor()
    empty = monitor.report_text()
    with monitor.measure("run"):
        pass
    assert not CHINESE.search(empty + monitor.report_text())


@pytest.mark.usefixtures("latin")
def test_the_plot_s_times_fit() -> None:
    """The words below a plot are measured as they are shown."""
    plots = [spark_plot([(0.0, 1.0)], now=90.0, width=width) for width in range(1, 60)]
    assert all(cell_width(line) <= width for width, lines in enumerate(plots, 1) for line in lines)
    assert not CHINESE.search(str(plots))


@pytest.mark.usefixtures("latin")
def test_the_exports_for_people() -> None:
    """Headings, outcomes and notes are translated in every format; the page says which language it is in."""
    written = []
    for write in (write_run_csv, write_run_markdown, write_run_html, write_trace):
        write(
            file := io.StringIO(), head(title="title", counts={OutcomeKind.ANSWERED: 3, OutcomeKind.FAILED: 1}), ITEMS
        )
        written.append(file.getvalue())
    for write_rows in (write_csv, write_markdown, write_html):
        write_rows(file := io.StringIO(), HEAD, ROWS)
        written.append(file.getvalue())
    assert not [found for text in written for found in CHINESE.findall(text)]
    assert '<html lang="en">' in written[2]
    assert '<html lang="en">' in written[-1]


def test_a_page_in_chinese_says_so() -> None:
    """Screen readers choose the voice by it."""
    write_run_html(file := io.StringIO(), head(), [])
    assert '<html lang="zh-Hant">' in file.getvalue()


def test_what_programs_read_is_the_same_in_every_language(request: pytest.FixtureRequest) -> None:
    """JSON and JSON lines do not change with the language of the screen."""

    def written() -> list[str]:
        write_run_json(document := io.StringIO(), head(), ITEMS)
        write_jsonl(lines := io.StringIO(), HEAD, ROWS)
        return [document.getvalue(), lines.getvalue()]

    before = written()
    request.getfixturevalue("latin")
    assert written() == before


@pytest.mark.usefixtures("latin")
def test_the_headings_of_a_table_are_all_different() -> None:
    """A field named as one of our headings is in this language still shows its own name."""
    taken = language.tr("結果")
    write_csv(file := io.StringIO(), ExportHead("t", "s", "m", "a", (ExportField("f", taken),), 0.0), [])
    titles = next(csv.reader(io.StringIO(file.getvalue())))
    assert taken in titles
    assert f"{taken} (f)" in titles
    assert len(set(titles)) == len(titles)


@pytest.mark.usefixtures("latin")
def test_charts_name_the_rest_in_the_language() -> None:
    """More labels than bars: what is left is one bar, and its name is a message."""
    data = ChartData(FIELDS)
    for number in range(30):
        data.add(ExportRow(number, number, "t", OutcomeKind.ANSWERED, {"result": f"label {number}"}))
    charts = draw_charts(data)
    assert language.tr("(其餘)") in charts[0].summary
    assert not CHINESE.search(charts[0].svg)
    assert not CHINESE.search(str(figures(HEAD)))


@pytest.mark.parametrize(("name", "content"), [
    ("a.jsonl", '{"text": "a"}\n{"text": 1}\n{"other": 1}\n[\n"\\ud800"\n{"text": "\\ud800"}\n'),
    ("b.jsonl", '"a"\n1\n'),
    ("c.csv", 'text,b\n"a"x,1\n"a\n"x,1\na,b,c\ngood,1\n'),
])  # fmt: skip
@pytest.mark.usefixtures("latin")
def test_notes_on_lines_that_are_left_out(tmp_path: Path, name: str, content: str) -> None:
    """Each is one message that says which line it is and why."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    notes: list[str] = []
    source = TextSource(tmp_path / name, on_note=notes.append)
    assert list(source.items())
    assert notes
    assert source.skipped
    assert not CHINESE.search(str(notes))


@pytest.mark.parametrize(("column", "header"), [
    (None, "a,b"), ("c", "a,b"), ("a", "a,a"), (None, ",".join(f"c{number}" for number in range(20))),
])  # fmt: skip
@pytest.mark.usefixtures("latin")
def test_the_columns_there_are(tmp_path: Path, column: str | None, header: str) -> None:
    """What is wrong with the choice of a column, and which ones there are."""
    (tmp_path / "a.csv").write_text(f"{header}\n1,2\n", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        TextSource(tmp_path / "a.csv", SourceOptions(column=column))
    assert not CHINESE.search(caught.value.reason)


def test_the_built_in_sets_are_asked_in_the_language(request: pytest.FixtureRequest) -> None:
    """In Chinese they are the reference's; otherwise the names and the questions are the translations."""
    assert [(name, tuple(queries)) for name, queries in query_sets()] == list(QUERY_SETS)
    request.getfixturevalue("latin")
    assert not CHINESE.search(json.dumps(query_sets(), ensure_ascii=False))
    assert [len(queries) for _, queries in query_sets()] == [3, 3, 3]

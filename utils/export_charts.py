"""The charts of a report: what they show is gathered row by row in little memory, and drawn as SVG at the end."""

from __future__ import annotations

import random
import re
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from core.language import marked, tr
from core.outcome import OutcomeKind
from utils.event_lines import KIND_TITLES
from utils.export_rows import ExportField, ExportRow, value_text
from utils.text_width import cell_width, fit

__all__ = ["Chart", "ChartData", "draw_charts", "load_pygal"]

MOST_POINTS: Final = 2000
MOST_LABELS: Final = 500
_MOST_BARS: Final = 20
_MOST_REASONS: Final = 5
_LABEL_CELLS: Final = 28
_LABEL_CHARACTERS: Final = 200
_REST: Final = marked("(其餘)")  # with parentheses: 其他 is a label that people use
_FONT_PIXELS: Final = 14
_BAR_PIXELS: Final = 34
_NO_XML: Final = re.compile("[\ufffe\uffff]")  # what neutralise leaves and XML cannot hold


class ChartData:
    """What the charts need, from rows given once each. Bounded: at most MOST_LABELS labels a field, the further
    ones counted together; at most MOST_POINTS points, a fair sample of all (reservoir sampling: Vitter 1985, R).

    Not thread-safe.
    """

    def __init__(self, fields: Sequence[ExportField], *, rng: random.Random | None = None) -> None:
        self.labels: dict[ExportField, Counter[str]] = {each: Counter() for each in fields if each.labels}
        self.kinds: Counter[OutcomeKind] = Counter()
        self.reasons: Counter[str] = Counter()
        self.points: list[tuple[int, float]] = []
        self.timed = 0
        self._rng = rng or random.Random(0)  # a fixed seed: the same rows make the same report

    def add(self, row: ExportRow) -> None:
        self.kinds[row.kind] += 1
        if row.kind is OutcomeKind.ANSWERED:
            self._count_labels(row)
        elif row.reason:
            _count(self.reasons, row.reason)
        if row.seconds > 0:
            self._sample((len(row.text), row.seconds))

    @property
    def failures(self) -> list[tuple[str, int]]:
        """(name of the kind, how many), without the answered and those that did not occur."""
        kinds = (kind for kind in OutcomeKind if kind is not OutcomeKind.ANSWERED and self.kinds[kind])
        return [(tr(KIND_TITLES[kind]), self.kinds[kind]) for kind in kinds]

    def _count_labels(self, row: ExportRow) -> None:
        for each, counter in self.labels.items():
            value = row.values.get(each.name)
            for label in value if isinstance(value, list | tuple) else [value]:
                if label is not None:
                    _count(counter, value_text(label))

    def _sample(self, point: tuple[int, float]) -> None:
        self.timed += 1
        if len(self.points) < MOST_POINTS:
            self.points.append(point)
            return
        place = self._rng.randrange(self.timed)
        if place < MOST_POINTS:
            self.points[place] = point


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing: its title, a sentence that says in words what it shows, and the SVG element as text."""

    title: str
    summary: str
    svg: str


def draw_charts(data: ChartData) -> list[Chart]:
    """The charts that have something to show: a distribution for each field of labels, latency, failures."""
    fields = [(each.title, counter) for each, counter in data.labels.items() if counter]
    charts = [_bars(tr("{title}: 各有多少", title=title), counter) for title, counter in fields]
    if data.points:
        charts.append(_latency(data))
    if data.failures:
        chart = _bars(tr("沒有結果的"), Counter(dict(data.failures)))
        common = "; ".join(f"{fit(reason, 60)} {count:,}" for reason, count in data.reasons.most_common(_MOST_REASONS))
        if common:
            chart = replace(chart, summary=tr("{summary}。最常見: {common}", summary=chart.summary, common=common))
        charts.append(chart)
    return charts


def load_pygal() -> Any:
    """The library that draws. Only when a report is made: start-up is counted in milliseconds."""
    import pygal  # type: ignore[import-untyped]  # it ships no types

    # It puts a finder for its plug-in maps into the import system, of a kind that makes every later import of
    # something absent warn. Nothing here needs it.
    sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("pygal")]
    return pygal


def _count(counter: Counter[str], label: str) -> None:
    label = label[:_LABEL_CHARACTERS]
    counter[label if label in counter or len(counter) < MOST_LABELS else _REST] += 1


def _bars(title: str, counter: Counter[str]) -> Chart:
    pairs = [pair for pair in counter.most_common(_MOST_BARS + 1) if pair[0] != _REST][:_MOST_BARS]
    if rest := counter.total() - sum(count for _, count in pairs):
        pairs.append((tr(_REST), rest))
    names = [_safe(fit(label, _LABEL_CELLS)) or tr("(空白)") for label, _ in pairs]
    total = counter.total()
    shares = [f"{count:,} ({count / total:.1%})" for _, count in pairs]
    # pygal takes every character for a narrow one; the difference is room that it would not leave for the names.
    wide = (max(map(cell_width, names)) - max(map(len, names))) * _FONT_PIXELS * 0.6
    chart = load_pygal().HorizontalBar(
        **_look(),
        height=90 + _BAR_PIXELS * len(pairs),
        margin_left=20 + max(round(wide), 0),
        margin_right=120,
        range=(0, max(count for _, count in pairs)),
        print_values=True,
        print_values_position="top",
        show_x_labels=False,  # the values stand beside the bars
    )
    bars = [{"value": count, "formatter": _constant(share)} for (_, count), share in zip(pairs, shares, strict=True)]
    chart.x_labels = names[::-1]  # the first is drawn lowest
    chart.add("", bars[::-1])
    summary = ", ".join(f"{name} {share}" for name, share in zip(names, shares, strict=True))
    return Chart(title, summary, _svg(chart, title))


def _latency(data: ChartData) -> Chart:
    chart = load_pygal().XY(
        **_look(), height=420, stroke=False, dots_size=2, include_x_axis=True, x_title=tr("文字長度 (字)"),
        y_title=tr("秒"),
    )  # fmt: skip
    chart.x_value_formatter = lambda value: f"{value:,.0f}"
    chart.value_formatter = lambda value: f"{value:,.2f}"
    chart.add("", data.points)
    title, timed, drawn = tr("文字長度與回應時間"), data.timed, len(data.points)
    summary = tr("每一點是一則文字: 有回應時間的 {timed:,} 則", timed=timed)
    if timed > drawn:
        summary = tr("每一點是一則文字: 有回應時間的 {timed:,} 則中抽樣的 {drawn:,} 則", timed=timed, drawn=drawn)
    return Chart(title, summary, _svg(chart, title))


def _constant(text: str) -> Any:
    return lambda _value: text


def _look() -> dict[str, Any]:
    """Colours and fonts come from the page, so that a chart is dark where the page is."""
    from pygal.style import Style  # type: ignore[import-untyped]  # as above

    style = Style(
        background="transparent", plot_background="transparent", font_family="inherit", colors=("var(--accent)",),
        value_colors=("var(--text)",), foreground="var(--text)", foreground_strong="var(--text)",
        foreground_subtle="var(--line)", guide_stroke_color="var(--line)", major_guide_stroke_color="var(--line)",
        label_font_size=_FONT_PIXELS, major_label_font_size=_FONT_PIXELS, value_font_size=_FONT_PIXELS,
        title_font_size=_FONT_PIXELS, transition="0s",
    )  # fmt: skip
    return {"style": style, "js": [], "show_legend": False, "width": 860, "disable_xml_declaration": True}


def _svg(chart: Any, title: str) -> str:
    """The drawing without what is there for scripts, which the page does not run: half of it, and all of its links."""
    root = ET.fromstring(chart.render())
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for child in [child for child in element if _for_scripts(child)]:
            element.remove(child)
    root.attrib.update({"xmlns": "http://www.w3.org/2000/svg", "role": "img", "aria-label": title})
    return ET.tostring(root, encoding="unicode")


def _for_scripts(element: ET.Element) -> bool:
    return element.tag.endswith(("}script", "}desc", "}title")) or "tooltip" in element.get("class", "").split()


def _safe(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)

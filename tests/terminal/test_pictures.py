"""The README's pictures: a screen as SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pyte

from tests.program import ROOT
from tests.terminal.pictures import as_svg

SVG = "{http://www.w3.org/2000/svg}"


def drawn(data: str, *, above: str = "", below: str = "") -> ElementTree.Element:
    screen = pyte.HistoryScreen(20, 4, history=100)
    pyte.Stream(screen).feed(data)
    return ElementTree.fromstring(as_svg(screen, "a < b", above=above, below=below))


def texts(root: ElementTree.Element) -> list[tuple[str, list[float]]]:
    """The pieces of text with the places of their characters, in cells from the left."""
    found = [each for each in root.iter(f"{SVG}text") if each.get("text-anchor") is None]
    return [(each.text or "", [(float(x) - 14) / 9.6 for x in each.get("x", "").split()]) for each in found]


def test_every_character_stands_in_its_cell() -> None:
    """Wide characters take two, whatever the font of the reader."""
    pieces = texts(drawn("a 快取 bc"))
    assert [text for text, _ in pieces] == ["a", "快取", "bc"]
    assert [[round(place, 3) for place in places] for _, places in pieces] == [[0], [2, 4], [7]]


def test_colours_and_weights_are_kept() -> None:
    """And what is reversed has its ink for paper."""
    root = drawn("\x1b[1;32mgreen\x1b[0m \x1b[7mback\x1b[0m")
    green, back = (each for each in root.iter(f"{SVG}text") if each.get("text-anchor") is None)
    assert (green.get("fill"), green.get("font-weight")) == ("#98c379", "bold")
    assert back.get("fill") == "#181a20"
    assert "#dcdfe4" in {each.get("fill") for each in root.iter(f"{SVG}rect")}


def test_bars_are_shapes() -> None:
    """Blocks of one run are one rectangle, partly filled ones lower."""
    root = drawn("███▄")
    whole, half = list(root.iter(f"{SVG}rect"))[1:]
    assert (float(whole.get("width", 0)), float(whole.get("height", 0))) == (28.8, 21)
    assert float(half.get("height", 0)) == 10.5


def test_the_part_that_is_asked_for_is_drawn() -> None:
    """From the last line that begins so, also if it has scrolled off, up to the one before the end."""
    shown = texts(drawn("x 1\r\na 1\r\nb\r\nc\r\na 2\r\nd\r\n\r\nend\r\n", above="a", below="end"))
    assert [text for text, _ in shown] == ["a 2", "d"]


def test_text_is_text() -> None:
    """Whatever stands on the screen, the picture is well formed and fetches nothing."""
    root = drawn('<script>&"')
    assert [text for text, _ in texts(root)] == ['<script>&"']
    assert not list(root.iter(f"{SVG}script"))


def test_the_readme_shows_pictures_that_exist() -> None:
    """Each with words for those who do not see it, and nothing fetched from elsewhere."""
    for name in ("README.md", "README.zh-TW.md"):
        pictures = re.findall(r"!\[(.*?)\]\((.*?)\)", (ROOT / name).read_text("utf-8"))
        assert pictures
        for words, path in pictures:
            assert words
            svg = (ROOT / path).read_text("utf-8")
            assert not re.search(r"(?:href|src|url\()\s*=?\s*[\"']?http", svg)

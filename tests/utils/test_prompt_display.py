"""Edit lines show what they hold without letting any of it act."""

from __future__ import annotations

import pytest
from prompt_toolkit.document import Document
from prompt_toolkit.layout.controls import BufferControl
from prompt_toolkit.layout.processors import Transformation, TransformationInput

from utils.paste_shelf import PasteShelf
from utils.prompt_display import ShowSafely


def shown(text: str, display: ShowSafely) -> Transformation:
    return display.apply_transformation(
        TransformationInput(BufferControl(), Document(text), 0, lambda i: i, [("", text)], 80, 24)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("甲 abc", "甲 abc"),
        ("a\tb", "a    b"),
        ("a\u202eb", "a\\u202eb"),
        ("\x1b[2J", "␛[2J"),
        ("👨‍👩‍👧\ufe0f", "👨‍👩‍👧\ufe0f"),
    ],
)
def test_every_character_is_safe(text: str, expected: str) -> None:
    """Tabs become spaces, what acts or hides becomes visible, the rest stays."""
    assert "".join(part[1] for part in shown(text, ShowSafely()).fragments) == expected


def test_the_cursor_finds_its_place() -> None:
    """Positions map to what is shown and back, past a label and an escape."""
    shelf = PasteShelf()
    text = f"a{shelf.collapse('x' * 3000)}\x1bb"
    found = shown(text, ShowSafely(shelf.label))
    whole = "".join(part[1] for part in found.fragments)
    assert whole == "a〔貼上 1 行, 3,000 字〕␛b"
    places = [found.source_to_display(at) for at in range(len(text) + 2)]
    assert places == [0, 1, len(whole) - 2, len(whole) - 1, len(whole), len(whole)]
    assert [found.display_to_source(place) for place in places[:4]] == [0, 1, 2, 3]
    assert found.display_to_source(5) == 1

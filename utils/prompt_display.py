"""What an edit line shows for the characters in it: labels for pastes, pictures for what would act on the terminal."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput

from utils.neutralise import neutralise

__all__ = ["ShowSafely"]

_TAB = "    "


class ShowSafely(Processor):
    """Shows every character neutralised, tabs as spaces, and what label knows a label for as that label."""

    def __init__(self, label: Callable[[str], str | None] = lambda character: None) -> None:
        self._label = label

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        fragments: list[tuple[str, str]] = []
        columns = [0]
        changed = False
        for style, text, *_ in transformation_input.fragments:
            # Stand-ins, tabs and joiners count as not printable: most text takes this way.
            plain = text.isprintable() and neutralise(text) == text
            for character in text:
                shown = character if plain else self._label(character) or _visible(character)
                changed = changed or shown != character
                fragments.append((style, shown))
                columns.append(columns[-1] + len(shown))
        if not changed:
            return Transformation(transformation_input.fragments)
        return Transformation(
            list(fragments),
            source_to_display=lambda i: columns[min(i, len(columns) - 1)],
            display_to_source=lambda i: sum(column <= i for column in columns) - 1,
        )


def _visible(character: str) -> str:
    if " " <= character <= "~":
        return character
    return _TAB if character == "\t" else neutralise(character)

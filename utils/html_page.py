"""The HTML templates filled in: escaped throughout, in the language of the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from core.language import language, tr

__all__ = ["page_parts"]

_TEMPLATES: Final = Path(__file__).resolve().parent / "templates"
_TAGS: Final[Mapping[str, str]] = {"zh_TW": "zh-Hant"}  # HTML names languages as BCP 47 has it


def page_parts(template: str, **values: object) -> Iterator[str]:
    """The page piece by piece. A place that the values leave open raises jinja2.UndefinedError."""
    import jinja2  # only for a report: it takes longer to load than the menu may take to appear

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    code = language()
    return environment.get_template(template).generate(tr=tr, language=_TAGS.get(code, code), **values)

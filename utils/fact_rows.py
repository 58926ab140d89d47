"""Short facts side by side in as few rows as the screen allows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from utils.text_width import cell_width, fit

__all__ = ["BETWEEN", "fact_rows"]

BETWEEN: Final = " · "


def fact_rows(facts: Iterable[str], width: int) -> list[str]:
    """The facts in their order, in rows of at most width cells; none is split, one that is wider by itself is cut."""
    rows: list[str] = []
    for fact in facts:
        longer = f"{rows[-1]}{BETWEEN}{fact}" if rows else fact
        if rows and cell_width(longer) <= width:
            rows[-1] = longer
        else:
            rows.append(fit(fact, width))
    return rows

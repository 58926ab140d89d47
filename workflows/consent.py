"""What every run in the menu begins and ends with: the person's yes to a large one, and what it cost."""

from __future__ import annotations

from collections.abc import Iterable

from core.language import tr
from core.ports import Prompt
from utils.console import Console
from utils.cost_text import estimate_text, run_cost_line
from workflows.engine import Engine
from workflows.parts import ASK_ABOVE

__all__ = ["agrees_to", "tell_cost"]


def agrees_to(
    console: Console, engine: Engine, count: int, prompts: Iterable[Prompt], *, texts: bool = False
) -> bool:
    """Ask once before a large run; without a person to ask, the input itself is the yes. texts: not questions."""
    if count <= ASK_ABOVE:
        return True
    from workflows.outlook import outlook  # what only a large run needs must not keep the menu waiting

    console.write_line(estimate_text(outlook(engine, prompts), texts=texts))
    return not console.is_interactive or console.agrees(tr("要執行嗎?"))


def tell_cost(console: Console, engine: Engine) -> None:
    """One line of what the latest run took."""
    if engine.last_run is not None:
        console.write_line(run_cost_line(engine.last_run))

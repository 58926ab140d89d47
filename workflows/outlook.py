"""What a run is expected to take, before anything is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from core.clock import SYSTEM_CLOCK
from core.cost import RunEstimate
from core.ports import Prompt
from utils.query_preview import QueryFigures
from workflows.engine import Engine
from workflows.run_estimate import run_estimate

__all__ = ["figures_of", "outlook"]


def outlook(
    engine: Engine, prompts: Iterable[Prompt], *, is_cached: Callable[[Prompt], bool] = lambda _: False
) -> RunEstimate:
    """What asking the prompts will take, judging by the answers so far. Waits until the model is loaded."""
    return run_estimate(
        prompts,
        engine.parts(),
        engine.ledger,
        workers=engine.executor.max_workers,
        wall=SYSTEM_CLOCK.wall(),
        is_cached=is_cached,
    )


def figures_of(engine: Engine, queries: Sequence[str]) -> QueryFigures:
    """The outlook of a set of questions, and how many of them are in the cache, which counts no look-up."""
    prompts = [Prompt(query) for query in queries]
    known = {prompt for prompt in set(prompts) if _is_cached(engine, prompt)}
    estimate = outlook(engine, prompts, is_cached=known.__contains__)
    return QueryFigures(estimate, sum(prompt in known for prompt in prompts))


def _is_cached(engine: Engine, prompt: Prompt) -> bool:
    from optimizers.cached_model import chat_key, is_usable

    found = engine.cache.store.peek(chat_key(engine.chat_model().identity, prompt))
    return found is not None and is_usable(found.take())

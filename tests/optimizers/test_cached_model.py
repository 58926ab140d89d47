"""CachedModel: which prompts are one question, what is stored, and who is told what about its source."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.errors import DeadlineExceededError, ErrorKind, ModelError, ScopeError
from core.outcome import Answer, AnswerSource, Usage
from core.ports import ChatModel, Prompt
from core.scope import Scope
from optimizers.cache_manager import CacheManager
from optimizers.cached_model import CachedModel
from tests.fakes import FakeClock, FunctionModel

PATIENCE = 20.0


def answering(prompt: Prompt, scope: Scope) -> str:
    scope.trace.attempts += 1
    return f"answer to {prompt.text}"


def test_a_second_equal_prompt_is_a_hit_that_calls_nobody() -> None:
    """Same answer, marked as from the cache, with no attempt in the second scope's figures."""
    model = FunctionModel(answering)
    cached = CachedModel(model, CacheManager())
    first, second = Scope(), Scope()
    given = cached.generate(Prompt("q"), first)
    again = cached.generate(Prompt("q"), second)
    assert given == Answer("answer to q", "fake", Usage(1, 1))
    assert again == Answer("answer to q", "fake", Usage(1, 1), source=AnswerSource.CACHE)
    assert (model.calls, first.trace.attempts, second.trace.attempts) == (1, 1, 0)


def test_it_is_a_chat_model_of_the_same_identity() -> None:
    """A wrapper stands wherever the model stood."""
    cached = CachedModel(FunctionModel(answering, identity="gemini"), CacheManager())
    assert isinstance(cached, ChatModel)
    assert cached.identity == "gemini"


@pytest.mark.parametrize(
    "other", [Prompt("r"), Prompt("q", "be brief"), Prompt("q", "", "{}"), Prompt("q", "{}"), Prompt("Q"), Prompt("q ")]
)
def test_every_part_of_the_prompt_counts(other: Prompt) -> None:
    """Another text, instruction or schema is another question (D9)."""
    model = FunctionModel(answering)
    cached = CachedModel(model, CacheManager())
    cached.generate(Prompt("q"), Scope())
    assert cached.generate(other, Scope()).source is AnswerSource.MODEL
    assert model.calls == 2


def test_models_of_different_identity_share_a_cache_but_no_answers() -> None:
    """Model name and parameters are part of the key (D9)."""
    cache = CacheManager()
    one = CachedModel(FunctionModel(lambda prompt, scope: "one", identity="m t=0"), cache)
    other = CachedModel(FunctionModel(lambda prompt, scope: "other", identity="m t=1"), cache)
    texts = [model.generate(Prompt("q"), Scope()).text for model in (one, other, one, other)]
    assert texts == ["one", "other", "one", "other"]
    assert cache.statistics().hits == 2


def test_a_truncated_answer_keeps_its_mark() -> None:
    """Stored as what it is."""
    cached = CachedModel(FunctionModel(lambda prompt, scope: Answer("half", "m", truncated=True)), CacheManager())
    for source in (AnswerSource.MODEL, AnswerSource.CACHE):
        assert cached.generate(Prompt("q"), Scope()) == Answer("half", "m", truncated=True, source=source)


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_an_empty_answer_is_passed_on_and_never_stored(text: str) -> None:
    """Nothing usable, nothing to remember."""
    model = FunctionModel(lambda prompt, scope: text)
    cache = CacheManager()
    cached = CachedModel(model, cache)
    assert [cached.generate(Prompt("q"), Scope()).text for _ in range(2)] == [text, text]
    assert model.calls == 2
    assert cache.statistics().store.stores == 0


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_no_error_is_ever_stored(kind: ErrorKind) -> None:
    """Whatever went wrong, the next caller asks again, and the hit rate knows nothing of it."""
    outcomes = iter([ModelError(kind), ModelError(kind), None])

    def failing(prompt: Prompt, scope: Scope) -> str:
        error = next(outcomes)
        if error is not None:
            raise error
        return "answer"

    cache = CacheManager()
    cached = CachedModel(FunctionModel(failing), cache)
    for _ in range(2):
        with pytest.raises(ModelError) as caught:
            cached.generate(Prompt("q"), Scope())
        assert caught.value.kind is kind
    assert cached.generate(Prompt("q"), Scope()).text == "answer"
    assert (cache.statistics().hits, cache.statistics().misses, cache.statistics().store.stores) == (0, 3, 1)


def test_something_else_under_the_key_is_a_miss() -> None:
    """A value that is no answer is not handed out as one."""
    cache = CacheManager()
    cached = CachedModel(FunctionModel(answering), cache)
    cached.generate(Prompt("q"), Scope())
    (entry,) = cache.entries()
    cache.set(entry.key, "not an answer")
    assert cached.generate(Prompt("q"), Scope()).source is AnswerSource.MODEL
    assert cached.generate(Prompt("q"), Scope()).source is AnswerSource.CACHE


def ask_together(
    ttl: float | None, callers: int, failing: bool = False
) -> tuple[FunctionModel, list[Scope], list[object]]:
    """Equal prompts at once, the call ending when all others wait for it."""
    clock = FakeClock()

    def held(prompt: Prompt, scope: Scope) -> str:
        scope.trace.attempts += 1
        clock.block_until(callers - 1)
        if failing:
            raise ModelError(ErrorKind.BLOCKED)
        return "answer"

    model = FunctionModel(held)
    cached = CachedModel(model, CacheManager(clock=clock), ttl=ttl)
    scopes = [Scope(clock=clock) for _ in range(callers)]
    with ThreadPoolExecutor(callers) as pool:
        futures = [pool.submit(cached.generate, Prompt("q"), scope) for scope in scopes]
        return model, scopes, [future.exception(PATIENCE) or future.result() for future in futures]


@pytest.mark.parametrize("ttl", [None, 0])
def test_equal_prompts_in_flight_are_one_call_even_with_the_cache_off(ttl: float | None) -> None:
    """The followers' answers say SHARED and cost their scopes no attempt (D7)."""
    model, scopes, results = ask_together(ttl, 5)
    answers = [result for result in results if isinstance(result, Answer)]
    assert sorted(answer.source for answer in answers) == ["model", *["shared"] * 4]
    assert {answer.text for answer in answers} == {"answer"}
    assert model.calls == 1
    assert sorted(scope.trace.attempts for scope in scopes) == [0, 0, 0, 0, 1]


def test_a_failing_leader_fails_its_followers_with_one_call() -> None:
    """A model's error is everybody's outcome, each with an exception of its own (D7)."""
    model, scopes, results = ask_together(None, 4, failing=True)
    assert [isinstance(result, ModelError) and result.kind for result in results] == [ErrorKind.BLOCKED] * 4
    assert len({id(result) for result in results}) == 4
    assert model.calls == 1
    assert sum(scope.trace.attempts for scope in scopes) == 1


def test_a_leader_at_its_deadline_leaves_the_call_to_a_follower_with_more_time() -> None:
    """One hangs and times out by itself; the other gets its answer (D7)."""
    clock, started = FakeClock(), threading.Event()

    def hangs_once(prompt: Prompt, scope: Scope) -> str:
        if not started.is_set():
            started.set()
            scope.sleep(3600)
        return "answer"

    model = FunctionModel(hangs_once)
    cached = CachedModel(model, CacheManager(clock=clock))
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(cached.generate, Prompt("q"), Scope(clock=clock, deadline=clock.now() + 2))
        assert started.wait(PATIENCE)
        follower = pool.submit(cached.generate, Prompt("q"), Scope(clock=clock, deadline=clock.now() + 60))
        clock.block_until(2, timed=True)
        clock.advance(2)
        assert isinstance(leader.exception(PATIENCE), DeadlineExceededError)
        assert follower.result(PATIENCE) == Answer("answer", "fake", Usage(1, 1))
    assert model.calls == 2


def test_a_cancelled_follower_leaves_the_leader_alone() -> None:
    """Calling off one caller calls off nobody else."""
    clock, started, release = FakeClock(), threading.Event(), threading.Event()

    def held(prompt: Prompt, scope: Scope) -> str:
        started.set()
        assert release.wait(PATIENCE)
        return "answer"

    cached = CachedModel(FunctionModel(held), CacheManager(clock=clock))
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(cached.generate, Prompt("q"), Scope(clock=clock))
        assert started.wait(PATIENCE)
        scope = Scope(clock=clock)
        follower = pool.submit(cached.generate, Prompt("q"), scope)
        clock.block_until(1)
        scope.cancel()
        assert isinstance(follower.exception(PATIENCE), ScopeError)
        release.set()
        assert leader.result(PATIENCE).source is AnswerSource.MODEL


def test_an_answer_lives_as_long_as_the_models_ttl_says() -> None:
    """The model's own ttl goes before the cache's default."""
    clock = FakeClock()
    model = FunctionModel(answering)
    cached = CachedModel(model, CacheManager(300, clock=clock), ttl=5)
    cached.generate(Prompt("q"), Scope(clock=clock))
    clock.advance(5)
    cached.generate(Prompt("q"), Scope(clock=clock))
    assert model.calls == 2


def test_every_answer_handed_out_is_told_with_its_source() -> None:
    """The listener hears of the call and of the hit; what it raises harms nobody."""
    told: list[AnswerSource] = []

    def listen(answer: Answer) -> None:
        told.append(answer.source)
        raise RuntimeError("a listener's own trouble")

    cached = CachedModel(FunctionModel(answering), CacheManager(), on_answer=listen)
    for _ in range(2):
        assert cached.generate(Prompt("q"), Scope()).text == "answer to q"
    assert told == [AnswerSource.MODEL, AnswerSource.CACHE]

"""The cached decorator: which calls are the same call, and which functions can be cached at all."""

from __future__ import annotations

import gc
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import pytest

from core.errors import UsageError
from optimizers.cache_calls import CallKeys
from optimizers.cache_manager import CacheManager

CACHE = CacheManager()


def add(x: int, y: int = 2, /, *rest: int, z: int = 3, **more: int) -> tuple[object, ...]:
    return (x, y, rest, z, more)


def simple(x: int, y: int = 2) -> tuple[int, int]:
    return (x, y)


class Counter:
    """Counts how often its methods really run. Equal to every other Counter, and not hashable."""

    made: ClassVar[list[object]] = []

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.calls = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counter)

    @CACHE.cached()
    def value(self, x: int) -> str:
        self.calls += 1
        return f"{self.name}{x}"

    @staticmethod
    @CACHE.cached()
    def static(x: int) -> int:
        Counter.made.append(x)
        return x

    @classmethod
    @CACHE.cached()
    def of_class(cls, x: int) -> str:
        Counter.made.append(x)
        return cls.__name__


class SubCounter(Counter):
    pass


@dataclass(frozen=True, slots=True)
class Slotted:
    """Cannot be weakly referenced."""

    name: str

    @CACHE.cached()
    def value(self) -> str:
        return self.name


class Bare:
    __slots__ = ("name",)

    @CACHE.cached()
    def value(self) -> None: ...


def keyed(function: Callable[..., Any]) -> Callable[..., str]:
    keys = CallKeys(function)
    return lambda *args, **kwargs: keys.key(args, kwargs)


def test_calls_that_bind_alike_share_a_key() -> None:
    """By position, by name and by default are one call."""
    key = keyed(simple)
    assert len({key(1), key(1, 2), key(x=1), key(1, y=2), key(y=2, x=1)}) == 1
    assert len({key(1), key(2), key(1, 3), key(1.0), key(True), key("1")}) == 6
    key = keyed(add)
    assert key(1) == key(1, 2) == key(1, 2, z=3)
    assert key(1, a=1, b=2) == key(1, b=2, a=1)
    assert len({key(1), key(1, 2, 3), key(1, z=4), key(1, x=1), key(1, 2, 3, 3), key(1, 2, (3, 3))}) == 6


def test_keys_of_named_functions_are_the_same_in_every_process() -> None:
    """Module, qualified name and parameters make the name: no address, no random part."""
    assert keyed(simple)(1) == keyed(simple)(1)


def test_functions_without_a_name_of_their_own_have_other_keys_each_time() -> None:
    """Closures and lambdas look alike by name; their keys differ even in a store that outlives the cache."""

    def make() -> Callable[[int], int]:
        return lambda x: x

    assert len({keyed(make())(1), keyed(make())(1), keyed(test_two_functions_of_one_name_never_share_answers)()}) == 3


@pytest.mark.parametrize("call", [lambda key: key(), lambda key: key(1, 2, 3), lambda key: key(1, w=1)])
def test_a_call_that_does_not_fit_is_the_functions_own_type_error(call: Callable[[Any], object]) -> None:
    """Wrong arguments fail as they do without a cache."""
    with pytest.raises(TypeError):
        call(keyed(simple))


def test_an_argument_without_a_key_is_refused_and_nothing_is_called() -> None:
    """An object known only by its address cannot be part of a key (D9)."""
    ran: list[object] = []
    cached = CacheManager().cached()(ran.append)
    with pytest.raises(UsageError, match="object"):
        cached(object())
    assert ran == []


def test_two_functions_of_one_name_never_share_answers() -> None:
    """Closures of one def, lambdas, and a redefined function each have answers of their own (D9)."""
    cache = CacheManager()

    def make(n: int) -> Callable[[int], int]:
        @cache.cached()
        def plus(x: int) -> int:
            return x + n

        return plus

    assert (make(1)(10), make(2)(10)) == (11, 12)
    assert (cache.cached()(lambda: "a")(), cache.cached()(lambda: "b")()) == ("a", "b")

    def again(x: int, y: int = 2) -> str:
        return "again"

    again.__module__, again.__qualname__ = simple.__module__, simple.__qualname__
    assert (cache.cached()(simple)(1), cache.cached()(again)(1)) == ((1, 2), "again")
    assert cache.cached()(partial(simple, 5))() == (5, 2)
    assert cache.cached()(partial(simple, 6))() == (6, 2)


def test_two_objects_never_share_answers_even_equal_ones() -> None:
    """A method's answers belong to one object (D9)."""
    one, other = Counter("a"), Counter("b")
    assert one == other
    assert [one.value(1), other.value(1), one.value(1), one.value(x=1)] == ["a1", "b1", "a1", "a1"]
    assert (one.calls, other.calls) == (1, 1)


def test_an_object_at_a_dead_ones_address_does_not_inherit_its_answers() -> None:
    """Identity is a name given once, not an address."""
    for number in range(50):
        counter = Counter(f"{number}:")
        assert counter.value(1) == f"{number}:1"
        del counter
        gc.collect(0)


def test_an_object_is_not_kept_alive_by_its_answers() -> None:
    """The cache knows receivers only weakly, and forgets their names with them."""
    keys = CallKeys(Counter.value)
    counter = Counter()
    keys.key((counter, 1), {})
    assert len(keys._identities._names) == 1
    del counter
    gc.collect()
    assert keys._identities._names == {}


def test_static_and_class_methods_are_cached_by_class() -> None:
    """A static method has no receiver; a class method's receiver is the class it was called on."""
    Counter.made.clear()
    assert [Counter.static(1), Counter().static(1), SubCounter.static(1)] == [1, 1, 1]
    assert Counter.made == [1]
    calls = [Counter.of_class(1), Counter().of_class(1), SubCounter.of_class(1), SubCounter.of_class(1)]
    assert calls == ["Counter", "Counter", "SubCounter", "SubCounter"]
    assert Counter.made == [1, 1, 1]


def test_a_receiver_that_cannot_be_weakly_referenced_counts_by_value_or_is_refused() -> None:
    """A frozen slotted dataclass is its content; a slotted object without a canonical form has no key."""
    assert [Slotted("a").value(), Slotted("b").value(), Slotted("a").value()] == ["a", "b", "a"]
    with pytest.raises(UsageError, match="Bare"):
        Bare().value()


def test_a_function_that_only_looks_like_a_method_has_no_receiver() -> None:
    """self outside a class is an argument like any other."""

    def looks(self: int) -> int:
        return self

    cached = CacheManager().cached()(looks)
    assert [cached(1), cached(2)] == [1, 2]


def looks_up(kind: type[Any], /) -> None: ...


def generate() -> Iterator[int]:
    yield 1


async def generate_async() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("function", [generate, generate_async, classmethod(looks_up), 5])
def test_what_cannot_be_cached_is_refused_when_decorated(function: Any) -> None:
    """A generator would be used up by its first reader."""
    with pytest.raises(UsageError, match="cached"):
        CacheManager().cached()(function)


def test_a_cached_function_keeps_its_face() -> None:
    """Name, docstring, signature and being a coroutine function survive the decorator."""

    async def wait() -> int:
        """Docstring."""
        return 1

    cached = CacheManager().cached()(wait)
    assert (cached.__name__, cached.__doc__) == ("wait", "Docstring.")
    assert inspect.iscoroutinefunction(cached)
    assert inspect.signature(CacheManager().cached()(add)) == inspect.signature(add)


def test_a_wrong_ttl_is_refused_when_decorated() -> None:
    """Not at the first call, and not as a default; @cached without parentheses is such a mistake."""
    with pytest.raises(ValueError, match="ttl"):
        CacheManager().cached(ttl=-1)
    with pytest.raises(ValueError, match="ttl"):
        CacheManager().cached(simple)  # type: ignore[arg-type]  # the decorator written without ()

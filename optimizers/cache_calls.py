"""What CacheManager.cached makes of a function: a key for each distinct call, and the function in the cache's dress."""

from __future__ import annotations

import functools
import inspect
import secrets
import threading
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

from core.errors import UsageError
from core.language import tr
from optimizers.cache_keys import cache_key, full_name
from optimizers.cache_values import Found

__all__ = ["CallKeys", "Finder", "remembered"]

R = TypeVar("R")
P = ParamSpec("P")

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Finder(Protocol):
    """The part of a CacheManager that a remembered function needs."""

    def get_or_compute(self, key: str, compute: Callable[[], R], *, ttl: float | None) -> Found[R]: ...

    async def get_or_await(self, key: str, compute: Callable[[], Awaitable[R]], *, ttl: float | None) -> Found[R]: ...


def remembered(
    function: Callable[P, R], cache: Finder, ttl: float | None, *, unique_name: bool = True
) -> Callable[P, R]:
    """The function, answering from the cache; unique_name as in CallKeys. UsageError for what cannot be cached."""
    if not callable(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(tr("cached 只能用在函式、方法與 async 函式 (寫在 @classmethod 之下), 不能用在產生器"))
    keys = CallKeys(function, unique_name=unique_name)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return cache.get_or_compute(keys.key(args, kwargs), lambda: function(*args, **kwargs), ttl=ttl).value

    @functools.wraps(function)
    async def call_async(*args: P.args, **kwargs: P.kwargs) -> Any:
        coroutine = cast("Callable[P, Awaitable[Any]]", function)
        found = await cache.get_or_await(keys.key(args, kwargs), lambda: coroutine(*args, **kwargs), ttl=ttl)
        return found.value

    return cast("Callable[P, R]", call_async) if inspect.iscoroutinefunction(function) else call


class CallKeys:
    """Makes one key per distinct call of a function: its full name and its arguments as the signature binds them.

    f(1), f(x=1) and f() with a default of 1 share a key. A function without a name of its own (defined inside
    another function, or a lambda), and any function where unique_name is False, gets a random name instead, so two
    of them never share answers. The receiver of a method (first parameter, called self or cls, of a function
    defined in a class) counts by identity: two objects never share answers, even equal ones, nor do an object and a
    later one at its address. A receiver that cannot be weakly referenced counts by value. Every other argument
    counts by value, as in cache_key. Thread-safe.
    """

    def __init__(self, function: Callable[..., Any], *, unique_name: bool = True) -> None:
        self._signature = inspect.signature(function)
        parameters = self._signature.parameters
        self._kind = "coroutine" if inspect.iscoroutinefunction(function) else "function"
        name = f"{full_name(function)}({','.join(parameters)})"
        self._name = name if unique_name and "<" not in name else f"{name}#{secrets.token_hex(16)}"
        self._has_receiver = _has_receiver(function, self._signature)
        self._identities = _Identities()
        self._defaults = tuple(parameter.default for parameter in parameters.values())
        required = sum(default is inspect.Parameter.empty for default in self._defaults)
        by_position = all(parameter.kind in _POSITIONAL for parameter in parameters.values())
        self._plain_lengths = range(required, len(parameters) + 1) if by_position else range(0)

    def key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """Raises TypeError where the call does not fit the signature, UsageError where an argument has no key."""
        values = self._bound(args, kwargs)
        if self._has_receiver:
            values[0] = self._identities.of(values[0])
        return cache_key(self._kind, self._name, *values)

    def _bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
        """One value per parameter, in the order of the signature."""
        if not kwargs and len(args) in self._plain_lengths:  # the common call, at a third of the price of bind()
            return [*args, *self._defaults[len(args) :]]
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return list(bound.arguments.values())


def _has_receiver(function: Callable[..., Any], signature: inspect.Signature) -> bool:
    owner = getattr(function, "__qualname__", "").rpartition(".")[0]
    in_class = bool(owner) and not owner.endswith("<locals>")
    return in_class and next(iter(signature.parameters), None) in ("self", "cls")


class _Identities:
    """A random name per living object. Thread-safe; does not keep the object alive."""

    def __init__(self) -> None:
        # Guards the table; held by whoever looks a name up. The weak reference's callback may run in the middle of
        # that, so it takes no lock: it pops an id that nobody else can have yet.
        self._lock = threading.Lock()
        self._names: dict[int, tuple[weakref.ref[Any], str]] = {}

    def of(self, receiver: object) -> object:
        """Its name; the object itself where it cannot be weakly referenced."""
        identity = id(receiver)
        with self._lock:
            known = self._names.get(identity)
            if known is None:
                try:
                    reference = weakref.ref(receiver, lambda _: self._names.pop(identity, None))
                except TypeError:
                    return receiver
                known = self._names[identity] = (reference, secrets.token_hex(16))
        return known[1]

"""Equal constructors give the same object, so that a program compiled for one serves the other."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_SIZE = 512  # objects kept per constructor; past it the oldest is built anew, at the price of one compilation


def constructor(function: Callable[P, R]) -> Callable[P, R]:
    """Remember what ``function`` built for hashable arguments; others are built each time.

    Lists count as tuples; dicts, equal where their keys come in the same order, as their items.

    ``optax.adam(1e-3) == optax.adam(1e-3)`` is False, so a training program compiled for the one is compiled again for
    the other; a notebook cell is run twice. Arrays and traced values are never remembered.
    """

    @functools.lru_cache(maxsize=_SIZE)
    def remembered(args: tuple, options: tuple) -> R:
        args, options = _thaw(args), _thaw(options)
        return function(*args, **dict(options))  # type: ignore[arg-type]  # frozen by `_freeze`, equal to the caller's

    @functools.wraps(function)
    def wrapper(*args: P.args, **options: P.kwargs) -> R:
        frozen = _freeze(args), _freeze(sorted(options.items()))
        try:
            hash(frozen)
        except TypeError:
            return function(*args, **options)
        return remembered(*frozen)

    return wrapper


class _Typed(tuple):
    """A sequence with the types of its members: (1, 2) and (1.0, 2.0) are equal, but build different things."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash((tuple(self), tuple(map(type, self))))

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, tuple) and tuple(self) == tuple(other) and [*map(type, self)] == [*map(type, other)]


class _Items(_Typed):
    """A dict's keys and values."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash((_Items, super().__hash__()))

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Items) and super().__eq__(other)


def _freeze(value: Any) -> Any:
    if type(value) is dict:
        return _Items(_Typed((key, _freeze(held))) for key, held in value.items())
    return _Typed(map(_freeze, value)) if isinstance(value, (list, tuple)) and not hasattr(value, "_fields") else value


def _thaw(value: Any) -> Any:
    """Dicts again, each time new ones; sequences stay as they are."""
    if isinstance(value, _Items):
        return {key: _thaw(held) for key, held in value}
    return _Typed(map(_thaw, value)) if isinstance(value, _Typed) else value

"""What a search may choose from, and candidates: dicts of choices, from a grid or at random."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxdict import _check

Candidate = dict[str, Any]


@dataclass(frozen=True)
class Choices:
    """One of ``values``, each as likely."""

    values: tuple[Any, ...]

    def draw(self, rng: np.random.Generator) -> Any:
        """One of them."""
        return self.values[rng.integers(len(self.values))]


@dataclass(frozen=True)
class Interval:
    """A number from ``low`` to ``high``: by its logarithm where ``log``, whole where ``whole``."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def draw(self, rng: np.random.Generator) -> float | int:
        """A number of it."""
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        u = rng.uniform()
        x = low * (high / low) ** u if self.log else low + u * (high - low)
        return min(max(math.floor(x + 0.5), int(self.low)), int(self.high)) if self.whole else float(x)


def uniform(low: float, high: float) -> Interval:
    """A float, uniform from ``low`` to ``high``; ValueError where these are not in order."""
    return _interval("uniform", low, high)


def log_uniform(low: float, high: float) -> Interval:
    """A float whose logarithm is uniform: as many below as above the geometric mean of ``low`` and ``high``.

    Raises:
      ValueError: not ``0 < low < high``.
    """
    return _interval("log_uniform", low, high, log=True)


def integer(low: int, high: int, *, log: bool = False) -> Interval:
    """A whole number from ``low`` to ``high``, both included; small ones as likely as large ones by size with ``log``.

    Raises:
      ValueError: not ``low < high``, or with ``log`` not ``0 < low``. TypeError: one is not whole.
    """
    _check.integer("low", low)
    _check.integer("high", high)
    return _interval("integer", low, high, log=log, whole=True)


def choice(values: Sequence[Any]) -> Choices:
    """One of ``values``, of any kind; ValueError where there are none."""
    if not len(values):
        raise ValueError("choice needs at least one value")
    return Choices(tuple(values))


def _interval(name: str, low: float, high: float, *, log: bool = False, whole: bool = False) -> Interval:
    if not (math.isfinite(low) and math.isfinite(high) and low < high and (low > 0 or not log)):
        raise ValueError(f"{name} needs {'0 < ' if log else ''}low < high; got {low!r} and {high!r}")
    return Interval(low, high, log, whole)


def grid(space: Mapping[str, Any]) -> list[Candidate]:
    """All combinations of the values in ``space``; of the last name they change quickest.

    Args:
      space: by name a sequence of values, or one value for all.

    Returns:
      As many dicts as the product of the numbers of values.

    Raises:
      ValueError: a name without a value, or with an interval, which has no end of values.
    """
    values = []
    for name, given in space.items():
        choices = _values(name, given)
        if not isinstance(choices, Choices):
            raise ValueError(f"{name!r} is an interval: a grid needs its values one by one; tune.random draws from it")
        values.append(choices.values)
    return [dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*values)]


def random(space: Mapping[str, Any], count: int, *, key: Any) -> list[Candidate]:
    """``count`` candidates at random, all names independent.

    Args:
      space: by name an interval, a choice, a sequence (a choice of its values), or one value for all.
      count: how many. key: a PRNG key or an int seed.

    Returns:
      ``count`` dicts; the first n of more candidates are those of n.

    Raises:
      ValueError: ``count`` below 1, a name without a value.
    """
    _check.integer("count", count, low=1)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(_check.prng_key(key))).tolist())
    values = {name: _values(name, given) for name, given in space.items()}
    return [{name: given.draw(rng) for name, given in values.items()} for _ in range(count)]


def _values(name: str, given: Any) -> Choices | Interval:
    if isinstance(given, (Choices, Interval)):
        return given
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if isinstance(given, (list, tuple, range)) and not hasattr(given, "_fields"):  # a model, say, is one value
        if not len(given):
            raise ValueError(f"{name!r} has no value to choose from")
        return Choices(tuple(given))
    return Choices((given,))

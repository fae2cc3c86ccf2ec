"""Rates by layer: what is reused is moved more slowly than what is new."""

from collections.abc import Mapping
from typing import Any

import jax
import optax

from jaxdict import _cache, _check
from jaxdict.train.step import resolve_optimizer
from jaxdict.transfer._paths import by_path, matched, path_of, several


def rates(
    optimizer: optax.GradientTransformation | str, params: Any, factors: Mapping[str, Any]
) -> optax.GradientTransformationExtraArgs:
    """``optimizer`` with its updates multiplied by path: discriminative rates.

    Decay and the old part of a velocity, being in the update, shrink too. A factor of 0 is not frozen: the gradient is
    computed, remembered and counted in norms. ``freeze(rates(…), params, …)`` does both.

    Args:
      optimizer: an optax transformation, or the name of an optimizer with its defaults.
      params: the parameters, or their shapes and types, for their paths.
      factors: glob over paths -> what its leaves' updates are multiplied by, >= 0, a number or a traced scalar. A leaf
        takes the first that matches it, 1 where none does.

    Returns:
      The transformation, ``optax.chain`` of ``optimizer`` and the factors.

    Raises:
      ValueError: a negative factor, a pattern that matches no leaf, or none that an earlier one has left.
      TypeError: factors that are no mapping, a factor that is not a number, a pattern that is no string, an optimizer
        that is none. KeyError: an unknown name, with the closest.
    """
    if not isinstance(factors, Mapping):
        raise TypeError(f"factors must be a mapping, such as {{'dense_1/*': 0.1}}; got {factors!r}")
    paths, by_leaf = list(by_path(params)), {}
    for pattern in several(tuple(factors)):
        factor = _check.scalar(f"the factor of {pattern!r}", factors[pattern], low=0)
        left = [path for path in matched(pattern, paths) if path not in by_leaf]
        if not left:
            raise ValueError(f"pattern {pattern!r} matches no leaf that an earlier one has left; put it first")
        by_leaf |= dict.fromkeys(left, factor)
    return _rated(resolve_optimizer(optimizer), tuple(by_leaf.items()))


@_cache.constructor
def _rated(optimizer: optax.GradientTransformation, factors: tuple[tuple[str, Any], ...]) -> Any:
    by_leaf = dict(factors)

    def scaled(updates, params=None):
        return jax.tree_util.tree_map_with_path(
            lambda path, u: (u * by_leaf[name]).astype(u.dtype) if (name := path_of(path)) in by_leaf else u, updates
        )

    return optax.chain(optimizer, optax.stateless(scaled))

"""Torch's dropout over jaxdict's, with a key."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _check, noise
from jaxdict.compat._docs import completed

_dropout = completed(
    {
        "input": "any shape, any real dtype; integers become the default float.",
        "p": "the probability of dropping, 0 ≤ p ≤ 1.",
        "training": "whether anything is dropped.",
        "inplace": "without effect.",
        "key": "a PRNG key or an int seed, needed in training.",
    },
    returns="Same shape and dtype.",
    raises="ValueError: p out of its range. TypeError: complex input, or no key in training.",
)


@_dropout
def dropout(
    input: ArrayLike, p: ArrayLike = 0.5, training: bool = True, inplace: bool = False, *, key: Any = None
) -> jax.Array:
    """Each element is 0 with probability ``p``, and ``x/(1 - p)`` otherwise."""
    del inplace
    return _dropped(noise.dropout, input, p, training, key)


@_dropout
def alpha_dropout(
    input: ArrayLike, p: ArrayLike = 0.5, training: bool = False, inplace: bool = False, *, key: Any = None
) -> jax.Array:
    """Dropped elements take SELU's limit at -inf, and all are scaled so that mean 0 and variance 1 stay."""
    del inplace
    return _dropped(noise.alpha_dropout, input, p, training, key)


def _dropped(formula: Any, input: Any, p: Any, training: bool, key: Any) -> jax.Array:
    p = _check.scalar("p", p, low=0, high=1)
    if not _check.one_of("training", training, (True, False)):
        return _check.floating(input, name="input")
    if not _check.is_traced(p) and p == 1:  # torch's, where jaxdict's formulas ask for a rate below 1
        return jnp.zeros_like(_check.floating(input, name="input"))
    return formula(key, input, p)


__all__ = ["alpha_dropout", "dropout"]

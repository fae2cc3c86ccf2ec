"""What torch's losses share: the reduction, its deprecated flags, weights that broadcast, docstrings."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict.compat._docs import completed

Reduction: TypeAlias = Literal["none", "mean", "sum"]

loss = completed(
    {
        "input": "predictions, any real type.",
        "target": "the same shape.",
        "weight": "factors of the terms, a shape that broadcasts to ``input``'s.",
        "size_average": "deprecated by torch; with ``reduce`` it decides in place of ``reduction`` where one is given.",
        "reduce": "likewise.",
        "reduction": '"mean" over all terms, "sum", or "none" for the terms.',
    },
    returns="A scalar, or the terms; at least float32.",
    raises="ValueError: shapes that do not fit, an unknown reduction, a number out of range. TypeError: complex input.",
)


def chosen(
    reduction: str, size_average: bool | None = None, reduce: bool | None = None, allowed: Sequence[str] = ()
) -> str:
    """The reduction that is meant: the deprecated flags decide where one of them is given, as in torch."""
    if size_average is None and reduce is None:
        return _check.one_of("reduction", reduction, ("none", "mean", "sum", *allowed))
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def reduced(terms: jax.Array, reduction: str, divisor: Any = None) -> jax.Array:
    """The terms, their sum, or that over ``divisor``, which is their number when None; NaN of no terms, as torch's."""
    if reduction == "none":
        return terms
    total = jnp.sum(terms)
    if reduction == "sum":
        return total
    return total / jnp.asarray(terms.size if divisor is None else divisor, total.dtype)


def spread(name: str, value: Any, like: jax.Array) -> jax.Array:
    """``value`` broadcast to the shape and type of ``like``; a ValueError where it does not go."""
    value = _check.floating(value, name=name).astype(like.dtype)
    try:
        return jnp.broadcast_to(value, like.shape)
    except ValueError as error:
        raise ValueError(f"{name} must broadcast to the terms' shape {like.shape}; got {value.shape}") from error

"""Torch's distances between real numbers.

A ``weight`` divides by its own sum in the mean of ``mse_loss`` and ``l1_loss``, and by the number of terms in that of
``huber_loss``.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _check, losses
from jaxdict.compat.torch.nn.functional._losses import Reduction, chosen, loss, reduced


def _weighted(terms: jax.Array, weight: Any) -> tuple[jax.Array, jax.Array | None]:
    """The terms times their weights, and the sum of these."""
    if weight is None:
        return terms, None
    weight = _check.floating(weight, name="weight").astype(terms.dtype)
    _check.same_shape("weight", weight, "input", terms)
    return terms * weight, jnp.sum(weight)


@loss
def mse_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
    weight: ArrayLike | None = None,
) -> jax.Array:
    """Squared error, ``(input - target)**2``.

    Args:
      weight: of the shape of ``input``; the mean divides by its sum.
    """
    how = chosen(reduction, size_average, reduce)
    terms, total = _weighted(losses.mean_squared_error(input, target, axis=None), weight)
    return reduced(terms, how, total)


@loss
def l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
    weight: ArrayLike | None = None,
) -> jax.Array:
    """Absolute error, ``|input - target|``, with the derivative 0 at 0.

    Args:
      weight: of the shape of ``input``; the mean divides by its sum.
    """
    how = chosen(reduction, size_average, reduce)
    terms, total = _weighted(losses.l1(input, target, axis=None), weight)
    return reduced(terms, how, total)


@loss
def huber_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: Reduction = "mean",
    delta: ArrayLike = 1.0,
    weight: ArrayLike | None = None,
) -> jax.Array:
    """Half the squared error up to ``delta``, linear beyond.

    Args:
      delta: above 0.
      weight: of the shape of ``input``; the mean divides by the number of terms.
    """
    how = chosen(reduction)
    return reduced(_weighted(losses.huber(input, target, delta=delta, axis=None), weight)[0], how)


@loss
def smooth_l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
    beta: ArrayLike = 1.0,
) -> jax.Array:
    """The Huber loss divided by its ``delta``, here ``beta``: slope 1 far off.

    Args:
      beta: where the quadratic ends; at 0 this is ``l1_loss``.
    """
    how = chosen(reduction, size_average, reduce)
    beta = _check.scalar("beta", beta, low=0)
    if not _check.is_traced(beta) and beta == 0:
        return reduced(losses.l1(input, target, axis=None), how)
    terms = losses.huber(input, target, delta=beta, axis=None)
    return reduced(terms / jnp.asarray(beta, terms.dtype), how)


__all__ = ["huber_loss", "l1_loss", "mse_loss", "smooth_l1_loss"]

"""Batch normalization: by the statistics of the batch in training, by ones that were kept afterwards."""

import math

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.normalization import _arguments, _moments


@entry(
    "normalization",
    equation="gamma*(x - mean(x))/sqrt(var(x) + epsilon) + beta",
    aliases=("batchnorm", "batch normalization", "bn"),
    sources=("S0 5.5", "S2 11.1.3", "Ioffe and Szegedy 2015, arXiv:1502.03167"),
    errata=(
        "S0 5.5: the sums run from 0 to m, m + 1 terms, and are divided by m; the paper's population variance is"
        " m/(m - 1) times the mean of the batches' variances.",
        "S2 11.1.3: step 4 scales x; it must scale the normalized x. It keeps averages of σ; frameworks keep σ².",
    ),
    conventions={
        "torch": "BatchNorm: eps 1e-5; momentum 0.1 is the weight of the new value (0.9 here); the running variance is"
        " unbiased, m/(m - 1) of this one; a batch of one is an error",
        "keras": "BatchNormalization: eps 1e-3, momentum 0.99 of the old value, biased; one example gives the offset",
        "flax": "BatchNorm: eps 1e-5, momentum 0.99 of the old value, biased; the variance is E[x²] - E[x]², which a"
        " large mean cancels, unless use_fast_variance=False",
        "S2": "momentum 0.9 or 0.99 of the old value, eps about 1e-5",
        "S0": "exact population statistics after training: population_statistics, with unbiased=True for m/(m - 1)",
    },
    see_also=("batch_renorm", "layer_norm", "dropout"),
    symbols={"scale": "gamma", "offset": "beta", "eps": "epsilon"},
)
def batch_norm(
    x: jax.typing.ArrayLike,
    *,
    scale: jax.typing.ArrayLike | None = None,
    offset: jax.typing.ArrayLike | None = None,
    mean: jax.typing.ArrayLike | None = None,
    variance: jax.typing.ArrayLike | None = None,
    axis: int = -1,
    eps: float | jax.Array = 1e-5,
) -> jax.Array:
    """Batch normalization: each feature minus its mean, over its deviation, then scaled and shifted.

    Args:
      x: two or more axes, any real dtype; integers become the default float.
      scale: γ, of shape ``(features,)``; None is 1.
      offset: β, likewise; None is 0.
      mean: likewise, for example a running average; None, together with ``variance``: that over all other axes.
      variance: likewise.
      axis: of the features.
      eps: ε ≥ 0, added to the variance; with a kept variance of 0 it must not be 0.

    Returns:
      Same shape and dtype. The gradient goes through the statistics of the batch. A constant feature, and a
      batch of one, gives the offset.

    Raises:
      ValueError: mean without variance or the reverse, a shape that is not ``(features,)``, an axis that x does not
        have, a batch without examples, a negative eps.
      TypeError: complex x, or an eps that is not a number.
    """
    if (mean is None) != (variance is None):
        raise ValueError("mean and variance must be given together, or neither, for those of the batch")
    x, dtype, place, others = _arguments.batch(x, axis)
    gamma, beta = (
        _arguments.parameter("scale", scale, x, (place,), 1.0),
        _arguments.parameter("offset", offset, x, (place,)),
    )
    if mean is None or variance is None:
        _arguments.some_examples(x, others)
        return _arguments.normalized(x, eps, gamma, beta, others).astype(dtype)
    spread = _arguments.parameter("variance", variance, x, (place,)) + _arguments.scalar("eps", eps, x.dtype, low=0)
    y = (x - _arguments.parameter("mean", mean, x, (place,))) * (jax.lax.rsqrt(spread) * gamma) + beta
    return y.astype(dtype)


def batch_statistics(
    x: jax.typing.ArrayLike, *, axis: int = -1, weights: jax.typing.ArrayLike | None = None
) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance of every feature, stable when the mean is large beside the deviation.

    Args:
      x: two or more axes, any real dtype.
      axis: of the features.
      weights: ≥ 0, of shape ``(n,)``, one for each example along axis 0; an example of weight 0 does not count,
        whatever it holds. All 0: a finite mean, and variance 0.

    Returns:
      ``(mean, variance)``, each of shape ``(features,)``, float32 or wider.

    Raises:
      ValueError: an axis that x does not have, no examples, weights of another shape or along the feature axis.
      TypeError: complex x.
    """
    x, _, place, others = _arguments.batch(x, axis)
    _arguments.some_examples(x, others)
    if weights is None:
        found = _moments.moments(x, others)
    else:
        weights = _check.floating(weights, name="weights").astype(x.dtype)
        if place == 0 or weights.shape != x.shape[:1]:
            raise ValueError(f"weights must have shape ({x.shape[0]},), axis 0 of x; got {weights.shape}, axis {axis}")
        total = jnp.sum(weights) * math.prod(x.shape[i] for i in others if i)
        share = (weights / jnp.where(total > 0, total, 1)).reshape(-1, *[1] * (x.ndim - 1))
        found = _moments.moments(jnp.where(share > 0, x, 0), others, share)
    mean = (found.about + found.shift) * found.unit
    return mean.reshape(-1), (found.variance * found.unit * found.unit).reshape(-1)


def update_running(
    old: jax.typing.ArrayLike, new: jax.typing.ArrayLike, momentum: float | jax.Array = 0.9
) -> jax.Array:
    """The running average after one more value, ``momentum*old + (1 - momentum)*new``.

    Args:
      old: the average so far, any shape.
      new: the new value, same shape.
      momentum: the weight of the old value, 0 ≤ momentum ≤ 1.

    Returns:
      Same shape, the dtype of ``old``.

    Raises:
      ValueError: shapes that differ, or a momentum out of its range.
      TypeError: a momentum that is not a number.
    """
    _check.same_shape("old", old, "new", new)
    old = _check.floating(old, name="old")
    dtype = _check.compute_dtype(old.dtype)
    weight = _arguments.scalar("momentum", momentum, dtype, low=0, high=1)
    return (weight * old.astype(dtype) + (1 - weight) * jnp.asarray(new, dtype)).astype(old.dtype)

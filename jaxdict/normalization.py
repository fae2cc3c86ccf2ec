"""Normalization: shift and scale features by statistics of the batch, or by statistics that were kept.

Conventions of the room. ``axis`` is the feature axis and statistics are over all the others; in equations they are over
the batch. Variances are biased (divided by m). Momentum is the weight of the old value. Narrow floats are computed in
float32 and rounded once; statistics are float32 or wider.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check
from jaxdict._entry import entry


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
        "flax": "BatchNorm: eps 1e-5, momentum 0.99 of the old value, biased",
        "S2": "momentum 0.9 or 0.99 of the old value, eps about 1e-5",
    },
    see_also=("dropout",),
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
      mean: likewise, for example a running average; None, together with ``variance``: that of the batch.
      variance: likewise.
      axis: of the features.
      eps: ε ≥ 0, added to the variance; 0 divides by 0 where a feature is constant.

    Returns:
      Same shape and dtype. The gradient goes through the statistics of the batch.

    Raises:
      ValueError: mean without variance or the reverse, a shape that is not ``(features,)``, an axis that x does not
        have, a batch without examples, a negative eps.
      TypeError: complex x, or an eps that is not a number.
    """
    _check.number("eps", eps, low=0)
    if callable(eps) or np.ndim(eps):
        raise ValueError(f"eps must be a scalar; got {eps!r}")
    if (mean is None) != (variance is None):
        raise ValueError("mean and variance must be given together, or neither, for those of the batch")
    x = _check.floating(x)
    dtype = _check.compute_dtype(x.dtype)
    if mean is None or variance is None:
        mean, variance = batch_statistics(x, axis=axis)
    place = _axis(x, axis)

    def column(name: str, value: Any) -> jax.Array:
        value = jnp.asarray(value, dtype)
        if value.shape != x.shape[place : place + 1]:
            raise ValueError(f"{name} must have shape ({x.shape[place]},), the features of x; got {value.shape}")
        return value.reshape([-1 if i == place else 1 for i in range(x.ndim)])

    factor = jax.lax.rsqrt(column("variance", variance) + jnp.asarray(eps, dtype))
    if scale is not None:
        factor = factor * column("scale", scale)
    y = (x.astype(dtype) - column("mean", mean)) * factor
    return (y if offset is None else y + column("offset", offset)).astype(x.dtype)


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
    x = _check.floating(x)
    x = x.astype(_check.compute_dtype(x.dtype))
    place = _axis(x, axis)
    others = tuple(i for i in range(x.ndim) if i != place)
    if 0 in (x.shape[i] for i in others):
        raise ValueError(f"x of shape {x.shape} has no examples")
    # Averages are taken about one example, so that a large mean costs no digits of the variance.
    share = None
    if weights is None:
        about = _element(x, others, 0)
    else:
        weights = jnp.asarray(weights, x.dtype)
        if place == 0 or weights.shape != x.shape[:1]:
            raise ValueError(f"weights must have shape ({x.shape[0]},), axis 0 of x; got {weights.shape}, axis {axis}")
        about = _element(x, others, jnp.argmax(weights))
        total = jnp.sum(weights) * (x.size // x.shape[0] // x.shape[place])
        share = (weights / jnp.where(total > 0, total, 1)).reshape(-1, *[1] * (x.ndim - 1))
        x = jnp.where(share > 0, x, about)
    x = x - about
    shift = _average(x, share, others)
    variance = _average(jnp.square(x - shift), share, others)
    return (about + shift).reshape(-1), variance.reshape(-1)


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
    _check.number("momentum", momentum, low=0, high=1)
    if np.ndim(momentum):
        raise ValueError(f"momentum must be a scalar; got shape {np.shape(momentum)}")
    _check.same_shape("old", old, "new", new)
    old = _check.floating(old, name="old")
    dtype = _check.compute_dtype(old.dtype)
    weight = jnp.asarray(momentum, dtype)
    return (weight * old.astype(dtype) + (1 - weight) * jnp.asarray(new, dtype)).astype(old.dtype)


def _axis(x: jax.Array, axis: int) -> int:
    """The feature axis counted from the front."""
    axis = _check.integer("axis", axis)
    if x.ndim < 2:
        raise ValueError(f"x must have a batch axis and a feature axis; got shape {x.shape}")
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis must be an axis of x, of shape {x.shape}; got {axis}")
    return axis % x.ndim


def _element(x: jax.Array, axes: tuple[int, ...], example: Any) -> jax.Array:
    """One element of every feature, from the given place on axis 0 and the first on the others; no gradient."""
    for axis in axes:
        x = jax.lax.dynamic_slice_in_dim(x, example if axis == 0 else 0, 1, axis)
    return jax.lax.stop_gradient(x)


def _average(x: jax.Array, share: jax.Array | None, axes: tuple[int, ...]) -> jax.Array:
    return jnp.mean(x, axes, keepdims=True) if share is None else jnp.sum(x * share, axes, keepdims=True)


__all__ = ["batch_norm", "batch_statistics", "update_running"]

"""Normalization of each example by itself: no batch statistics, the same in training and at test time."""

from collections.abc import Sequence

import jax

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.normalization import _arguments


@entry(
    "normalization",
    equation="gamma*(x - mean(x))/sqrt(var(x) + epsilon) + beta",
    aliases=("layernorm", "layer normalization", "ln"),
    sources=("Ba, Kiros and Hinton 2016, arXiv:1607.06450",),
    conventions={
        "torch": "LayerNorm(normalized_shape): the last axes, eps 1e-5, the same",
        "keras": "LayerNormalization: eps 1e-3",
        "flax": "LayerNorm: eps 1e-6; the variance is E[x²] - E[x]², which a large mean cancels, unless"
        " use_fast_variance=False",
    },
    see_also=("rms_norm", "group_norm", "batch_norm"),
    symbols={"scale": "gamma", "offset": "beta", "eps": "epsilon"},
)
def layer_norm(
    x: jax.typing.ArrayLike,
    *,
    scale: jax.typing.ArrayLike | None = None,
    offset: jax.typing.ArrayLike | None = None,
    axis: int | Sequence[int] = -1,
    eps: float | jax.Array = 1e-5,
) -> jax.Array:
    """Layer normalization: each example's features minus their mean, over their deviation, then scaled and shifted.

    Args:
      x: one or more axes, any real dtype; integers become the default float.
      scale: γ, of the shape of the normalized axes, ``(features,)`` for one; None is 1.
      offset: β, likewise; None is 0.
      axis: one or several, over which mean and variance are taken.
      eps: ε ≥ 0, added to the variance.

    Returns:
      Same shape and dtype; the offset where all features are the same.

    Raises:
      ValueError: scale or offset of another shape, an axis that x does not have or named twice, a negative eps.
      TypeError: complex x, or an eps that is not a number.
    """
    x, dtype, axes = _arguments.floats(x, axis)
    gamma, beta = _arguments.parameter("scale", scale, x, axes, 1.0), _arguments.parameter("offset", offset, x, axes)
    return _arguments.normalized(x, eps, gamma, beta, axes).astype(dtype)


@entry(
    "normalization",
    equation="gamma*x/sqrt(mean(x**2) + epsilon) + beta",
    aliases=("rmsnorm", "root mean square layer normalization"),
    sources=("Zhang and Sennrich 2019, arXiv:1910.07467",),
    conventions={
        "torch": "RMSNorm: eps=None is the machine epsilon of the input's type, 1.2e-7 in float32; no offset",
        "keras": "RMSNormalization: eps 1e-6, no offset",
        "flax": "RMSNorm: eps 1e-6, no offset",
        "Zhang and Sennrich": "no eps",
    },
    see_also=("layer_norm",),
    symbols={"scale": "gamma", "offset": "beta", "eps": "epsilon"},
)
def rms_norm(
    x: jax.typing.ArrayLike,
    *,
    scale: jax.typing.ArrayLike | None = None,
    offset: jax.typing.ArrayLike | None = None,
    axis: int | Sequence[int] = -1,
    eps: float | jax.Array = 1e-6,
) -> jax.Array:
    """Root mean square normalization: each example's features over their root mean square, not centered.

    Args:
      x: one or more axes, any real dtype; integers become the default float.
      scale: γ, of the shape of the normalized axes, ``(features,)`` for one; None is 1.
      offset: β, likewise; None is 0, as in the paper.
      axis: one or several, over which the mean is taken.
      eps: ε ≥ 0, added to the mean square.

    Returns:
      Same shape and dtype; the offset where all features are 0.

    Raises:
      ValueError: scale or offset of another shape, an axis that x does not have or named twice, a negative eps.
      TypeError: complex x, or an eps that is not a number.
    """
    x, dtype, axes = _arguments.floats(x, axis)
    gamma, beta = _arguments.parameter("scale", scale, x, axes, 1.0), _arguments.parameter("offset", offset, x, axes)
    return _arguments.normalized(x, eps, gamma, beta, axes, center=False).astype(dtype)


@entry(
    "normalization",
    equation="gamma*(x - mean(x))/sqrt(var(x) + epsilon) + beta",
    aliases=("groupnorm", "group normalization", "instance_norm", "instance normalization"),
    sources=("Wu and He 2018, arXiv:1803.08494", "Ulyanov, Vedaldi and Lempitsky 2016, arXiv:1607.08022"),
    conventions={
        "torch": "GroupNorm(num_groups, num_channels): eps 1e-5; channels on axis 1: axis=1",
        "keras": "GroupNormalization: 32 groups, eps 1e-3",
        "flax": "GroupNorm: 32 groups, eps 1e-6",
    },
    see_also=("layer_norm", "batch_norm"),
    symbols={"scale": "gamma", "offset": "beta", "eps": "epsilon"},
)
def group_norm(
    x: jax.typing.ArrayLike,
    groups: int,
    *,
    scale: jax.typing.ArrayLike | None = None,
    offset: jax.typing.ArrayLike | None = None,
    axis: int = -1,
    eps: float | jax.Array = 1e-5,
) -> jax.Array:
    """Group normalization: mean and variance of each example over space and a group of neighbouring channels.

    Args:
      x: ``(batch, …, channels)``, any real dtype; integers become the default float.
      groups: a divisor of the number of channels; 1 normalizes each example as a whole, as many as there are channels
        is instance normalization.
      scale: γ, of shape ``(channels,)``; None is 1.
      offset: β, likewise; None is 0.
      axis: of the channels; axis 0 is the batch.
      eps: ε ≥ 0, added to the variance.

    Returns:
      Same shape and dtype; the offset where a group is constant.

    Raises:
      ValueError: groups that do not divide the channels, a scale or offset that is not ``(channels,)``, an axis that x
        does not have or the batch, a negative eps.
      TypeError: complex x, groups that are not a whole number, or an eps that is not a number.
    """
    x, dtype, place, _ = _arguments.batch(x, axis)
    if place == 0:
        raise ValueError("axis must be the channels'; axis 0 is the batch")
    groups, channels = _check.integer("groups", groups, low=1), x.shape[place]
    if channels % groups:
        raise ValueError(f"groups must divide the channels, {channels}; got {groups}")

    def split(a: jax.Array) -> jax.Array:
        sizes = (groups, channels // groups) if a.shape[place] == channels else (1, 1)
        return a.reshape(*a.shape[:place], *sizes, *a.shape[place + 1 :])

    gamma, beta = (
        _arguments.parameter("scale", scale, x, (place,), 1.0),
        _arguments.parameter("offset", offset, x, (place,)),
    )
    within = tuple(i for i in range(1, x.ndim + 1) if i != place)
    y = _arguments.normalized(split(x), eps, split(gamma), split(beta), within)
    return y.reshape(x.shape).astype(dtype)

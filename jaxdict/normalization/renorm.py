"""Batch renormalization: batch norm drawn towards the kept statistics, for batches too small to trust."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.normalization import _arguments, _moments


@entry(
    "normalization",
    equation=(
        "mu_B = mean(x); sigma_B = sqrt(var(x) + epsilon); sigma_ = sqrt(v + epsilon);"
        " r = max(1/r_max, min(sigma_B/sigma_, r_max)); d = max(-d_max, min((mu_B - mu)/sigma_, d_max));"
        " gamma*((x - mu_B)/sigma_B*r + d) + beta"
    ),
    aliases=("batchrenorm", "batch renormalization", "brn"),
    sources=("S0 5.5.1", "Ioffe 2017, arXiv:1702.03275"),
    conventions={
        "tensorflow": "BatchNormalization(renorm=True) of TensorFlow 1 and Keras 2: no clipping unless renorm_clipping"
        " is given; averages the deviation too, beside the variance",
        "keras": "none since Keras 3",
        "Ioffe": "keeps a running average of sqrt(variance + eps); here it is the root of the running variance + eps",
    },
    see_also=("batch_norm",),
    symbols={
        "scale": "gamma", "offset": "beta", "eps": "epsilon", "mean": "mu", "variance": "v",
    },
)  # fmt: skip
def batch_renorm(
    x: jax.typing.ArrayLike,
    *,
    mean: jax.typing.ArrayLike,
    variance: jax.typing.ArrayLike,
    r_max: float | jax.Array = 3.0,
    d_max: float | jax.Array = 5.0,
    scale: jax.typing.ArrayLike | None = None,
    offset: jax.typing.ArrayLike | None = None,
    axis: int = -1,
    eps: float | jax.Array = 1e-5,
) -> jax.Array:
    """Batch renormalization, for training; at test time it is ``batch_norm`` with the same mean and variance.

    Args:
      x: two or more axes, any real dtype; integers become the default float.
      mean: μ, the running average, ``(features,)``.
      variance: v, likewise. Both without a gradient, as are r and d.
      r_max: ≥ 1, the most that the deviations' ratio may count; may be infinite.
      d_max: ≥ 0, the most that the means' distance may count, in deviations; may be infinite. Limits of 1 and 0 are
        batch norm; without limits the value is (x - μ)/sqrt(v + ε). ``renorm_limits`` opens them with the steps.
      scale: γ, of shape ``(features,)``; None is 1.
      offset: β, likewise; None is 0.
      axis: of the features.
      eps: ε ≥ 0, added to both variances.

    Returns:
      Same shape and dtype. The gradient goes through the statistics of the batch.

    Raises:
      ValueError: a shape that is not ``(features,)``, an axis that x does not have, a batch without examples, a limit
        or eps out of its range.
      TypeError: complex x, or a limit or eps that is not a number.
    """
    x, dtype, place, others = _arguments.batch(x, axis)
    _arguments.some_examples(x, others)
    r_max = _arguments.scalar("r_max", r_max, x.dtype, low=1)
    d_max = _arguments.scalar("d_max", d_max, x.dtype, low=0)
    kept = {"mean": mean, "variance": variance}
    mu, v = (_arguments.parameter(name, value, x, (place,)) for name, value in kept.items())
    floor = _arguments.scalar("eps", eps, x.dtype, low=0)
    found = _moments.moments(x, others)
    _, _, root = _moments.standard(x, floor, others, True)
    kept_root = jax.lax.rsqrt(v + floor)
    # The two means are close where both are large.
    apart = (found.about * found.unit - mu) + found.shift * found.unit
    r = jax.lax.stop_gradient(jnp.clip(kept_root / root, 1 / r_max, r_max))
    d = jax.lax.stop_gradient(jnp.clip(apart * kept_root, -d_max, d_max))
    gamma = _arguments.parameter("scale", scale, x, (place,), 1.0)
    beta = _arguments.parameter("offset", offset, x, (place,))
    return _arguments.normalized(x, eps, r * gamma, d * gamma + beta, others).astype(dtype)


def renorm_limits(
    step: Any,
    *,
    start: int = 5_000,
    r_end: int = 40_000,
    d_end: int = 25_000,
    r_max: float = 3.0,
    d_max: float = 5.0,
) -> tuple[jax.Array, jax.Array]:
    """The limits of batch renormalization at a step: batch norm first, then opened evenly, as in Ioffe 2017.

    Args:
      step: the number of updates done, a number or traced.
      start: until here ``r_max`` is 1 and ``d_max`` 0.
      r_end: from here on ``r_max`` is what is given; later than ``start``.
      d_end: likewise for ``d_max``.
      r_max: the last one, ≥ 1.
      d_max: the last one, ≥ 0.

    Returns:
      ``(r_max, d_max)``, float32 scalars, or of the shape of ``step``.

    Raises:
      ValueError: an end that is not after the start, or a last limit out of its range.
      TypeError: a count that is not a whole number, or a limit that is not a number.
    """
    start = _check.integer("start", start, low=0)
    last_r = _arguments.scalar("r_max", r_max, jnp.float32, low=1)
    last_d = _arguments.scalar("d_max", d_max, jnp.float32, low=0)

    def opened(name: str, end: int) -> jax.Array:
        length = _check.integer(name, end) - start
        if length <= 0:
            raise ValueError(f"{name} must be > start, {start}; got {end}")
        return jnp.clip((jnp.asarray(step) - start).astype(jnp.float32) / length, 0, 1)

    return 1 + (last_r - 1) * opened("r_end", r_end), last_d * opened("d_end", d_end)

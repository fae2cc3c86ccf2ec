"""Distributions: ``(key, shape, dtype) -> array`` of independent draws.

Conventions of the room. The equation of an entry is its density at x. The key comes first and may be an int seed. Draws
are made in float32 for narrower types and rounded once. Parameters are keyword-only scalars, and may be traced.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check
from jaxdict._entry import entry

# The standard deviation of a standard normal that is redrawn outside [-2, 2].
TRUNCATED_STDDEV = 0.87962566103423978


@entry(
    "distribution",
    equation="cases((1/(2*r), -r <= x and x < r), (0, True))",
    aliases=("G_u", "uniform distribution", "rectangular distribution"),
    sources=("S0 2.1",),
    errata=("S0 2.1 calls r the range; the support is [-r, r), 2r long, and the variance is r²/3.",),
    conventions={
        "torch": "Tensor.uniform_ is [0, 1) by default",
        "keras": "RandomUniform is [-0.05, 0.05) by default",
        "jax": "jax.random.uniform is [0, 1), jax.nn.initializers.uniform(scale) is [0, scale)",
    },
    see_also=("normal", "truncated_normal"),
    symbols={"scale": "r"},
)
def uniform(
    key: jax.Array | int, shape: Sequence[int], dtype: Any = jnp.float32, *, scale: float | jax.Array = 1.0
) -> jax.Array:
    """Uniform draws from [-scale, scale).

    Args:
      key: a PRNG key or an int seed.
      shape: of the result.
      dtype: real floating.
      scale: r ≥ 0, half the length of the interval.

    Returns:
      Array of ``shape`` and ``dtype``.

    Raises:
      ValueError: a negative scale, or one that is not a scalar.
      TypeError: not a key, a dtype that is not real floating, or a scale that is not a number.
    """
    dtype, wide = _dtypes(dtype)
    r = jnp.asarray(_scalar("scale", scale, low=0), wide)
    draws = jax.random.uniform(_check.prng_key(key), shape, wide, -r, r).astype(dtype)
    # Rounding to a narrow type may reach the open end.
    end = r.astype(dtype)
    return draws if dtype == wide else jnp.where(draws < end, draws, jnp.nextafter(end, jnp.zeros_like(end)))


@entry(
    "distribution",
    equation="phi((x - mu)/sigma)/sigma",
    aliases=("G_n", "gaussian", "normal distribution"),
    sources=("S0 2.2",),
    errata=("S0 2.2 says 'centered at 0' of a distribution that it then gives a mean.",),
    conventions={
        "torch": "Tensor.normal_: the same",
        "keras": "RandomNormal has stddev 0.05 by default",
        "jax": "jax.random.normal has no parameters; jax.nn.initializers.normal has stddev 0.01 by default",
    },
    see_also=("truncated_normal", "uniform"),
    symbols={"mean": "mu", "stddev": "sigma"},
)
def normal(
    key: jax.Array | int,
    shape: Sequence[int],
    dtype: Any = jnp.float32,
    *,
    mean: float | jax.Array = 0.0,
    stddev: float | jax.Array = 1.0,
) -> jax.Array:
    """Normal draws of the given mean and standard deviation.

    Args:
      key: a PRNG key or an int seed.
      shape: of the result.
      dtype: real floating.
      mean: μ.
      stddev: σ ≥ 0.

    Returns:
      Array of ``shape`` and ``dtype``.

    Raises:
      ValueError: a negative standard deviation, or a parameter that is not a scalar.
      TypeError: not a key, a dtype that is not real floating, or a parameter that is not a number.
    """
    dtype, wide = _dtypes(dtype)
    mu = jnp.asarray(_scalar("mean", mean), wide)
    sigma = jnp.asarray(_scalar("stddev", stddev, low=0), wide)
    return (mu + sigma * jax.random.normal(_check.prng_key(key), shape, wide)).astype(dtype)


@entry(
    "distribution",
    equation="cases((phi((x - mu)/sigma)/(sigma*(2*Phi(2) - 1)), abs(x - mu) <= 2*sigma), (0, True))",
    aliases=("G_t", "truncated gaussian", "trunc_normal"),
    sources=("S0 2.3",),
    errata=(
        "S0 3.3 to 3.6 use it with the deviation they aim at; redrawing leaves 0.7737 of the variance, 0.077 after 10"
        " layers. corrected=True divides the deviation by 0.8796.",
    ),
    conventions={
        "torch": "trunc_normal_: the bounds -2, 2 are absolute, not in standard deviations; no correction",
        "keras": "TruncatedNormal: stddev 0.05 by default, no correction; VarianceScaling corrects",
        "jax": "jax.nn.initializers.truncated_normal: stddev 0.01 by default, no correction; variance_scaling corrects",
    },
    see_also=("normal", "uniform"),
    symbols={"mean": "mu", "stddev": "sigma"},
)
def truncated_normal(
    key: jax.Array | int,
    shape: Sequence[int],
    dtype: Any = jnp.float32,
    *,
    mean: float | jax.Array = 0.0,
    stddev: float | jax.Array = 1.0,
    corrected: bool = False,
) -> jax.Array:
    """Normal draws, redrawn when they are more than two standard deviations from the mean.

    Args:
      key: a PRNG key or an int seed.
      shape: of the result.
      dtype: real floating.
      mean: μ.
      stddev: σ ≥ 0, of the normal before truncation.
      corrected: divide σ by 0.8796, so that the draws have the deviation ``stddev``; they then reach 2.27 of it.

    Returns:
      Array of ``shape`` and ``dtype``.

    Raises:
      ValueError: a negative standard deviation, or a parameter that is not a scalar.
      TypeError: not a key, a dtype that is not real floating, or a parameter that is not a number.
    """
    dtype, wide = _dtypes(dtype)
    _check.one_of("corrected", corrected, (True, False))
    mu = jnp.asarray(_scalar("mean", mean), wide)
    sigma = jnp.asarray(_scalar("stddev", stddev, low=0), wide)
    sigma = sigma / TRUNCATED_STDDEV if corrected else sigma
    return (mu + sigma * jax.random.truncated_normal(_check.prng_key(key), -2, 2, shape, wide)).astype(dtype)


def _dtypes(dtype: Any) -> tuple[Any, Any]:
    """The type asked for and the one to draw in."""
    dtype = jnp.zeros((), dtype).dtype  # warns, as jax does, where float64 is asked for and switched off
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"dtype must be real floating; got {dtype}")
    return dtype, _check.compute_dtype(dtype)


def _scalar(name: str, value: Any, **bounds: Any) -> Any:
    if callable(value):
        raise TypeError(f"{name} must be a number; got {value!r}")
    _check.number(name, value, **bounds)
    if np.ndim(value):
        raise ValueError(f"{name} must be a scalar; got shape {np.shape(value)}")
    return value


__all__ = ["TRUNCATED_STDDEV", "normal", "truncated_normal", "uniform"]

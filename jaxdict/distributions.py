"""Distributions: ``(key, shape, dtype) -> array`` of independent draws.

Conventions of the room. The equation of an entry is its density at x. The key comes first and may be an int seed. Draws
are made in float32 for narrower types and rounded once, so that they keep the tails. Parameters are keyword-only
scalars; they may be traced, and draws are differentiable by them. A shape and type is one program.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict._draws import in_a_row
from jaxdict._entry import entry

# The standard deviation of a standard normal that is redrawn outside [-2, 2].
TRUNCATED_STDDEV = 0.87962566103423978

# Compiles ``draw(key, shape, dtype, *numbers)`` for each shape and type where it is called alone; the rest is data.
_program = functools.partial(jax.jit, static_argnums=(1, 2), inline=True)


@entry(
    "distribution",
    equation="cases((1/(2*r), -r <= x and x < r), (0, True))",
    aliases=("G_u", "uniform distribution", "rectangular distribution"),
    sources=("S0 2.1",),
    errata=("S0 2.1 calls r the range; the support is [-r, r), 2r long, and the variance is r²/3.",),
    conventions={
        "torch": "Tensor.uniform_ is [0, 1) by default",
        "keras": "RandomUniform is [-0.05, 0.05) by default",
        "jax": "jax.random.uniform is [0, 1), 128 values in bfloat16; jax.nn.initializers.uniform(scale) is [0, scale)",
    },
    see_also=("normal", "truncated_normal", "random"),
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
      ValueError: a negative scale or size, or a scale that is not a scalar.
      TypeError: not a key, not a shape, a dtype that is not real floating, or a scale that is not a number.
    """
    return _draw(_uniform, key, shape, dtype, _check.scalar("scale", scale, low=0))


@_program
def _uniform(key, shape, dtype, r):
    # Of [-1, 1) and then scaled: 2r, which is the length of the interval, may not be finite.
    draws = (r * in_a_row(lambda n: jax.random.uniform(key, n, r.dtype, -1, 1), shape)).astype(dtype)
    if dtype == r.dtype:
        return draws
    # Rounding to a narrow type may reach the open end: one step back then, which leaves the derivative as it is.
    end = jax.lax.stop_gradient(r).astype(dtype)
    step = jnp.nextafter(end, jnp.zeros_like(end)) - end
    return draws + jnp.where((draws == end) & jnp.isfinite(end), step, jnp.zeros_like(step))


@entry(
    "distribution",
    equation="phi((x - mu)/sigma)/sigma",
    aliases=("G_n", "gaussian", "normal distribution"),
    sources=("S0 2.2",),
    errata=("S0 2.2 says 'centered at 0' of a distribution that it then gives a mean.",),
    conventions={
        "torch": "Tensor.normal_: the same",
        "keras": "RandomNormal has stddev 0.05 by default",
        "jax": "jax.random.normal has no parameters; in bfloat16 it has 128 values from -2.89 to 2.52, of mean -0.012."
        " jax.nn.initializers.normal has stddev 0.01 by default",
    },
    see_also=("truncated_normal", "uniform", "random"),
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
      Array of ``shape`` and ``dtype``: quantiles of 23 random bits (52 in float64), so none is beyond 5.5σ (8.3σ).

    Raises:
      ValueError: a negative standard deviation or size, or a parameter that is not a scalar.
      TypeError: not a key, not a shape, a dtype that is not real floating, or a parameter that is not a number.
    """
    return _draw(_normal, key, shape, dtype, _check.scalar("mean", mean), _check.scalar("stddev", stddev, low=0))


@_program
def _normal(key, shape, dtype, mu, sigma):
    return (mu + sigma * in_a_row(lambda n: jax.random.normal(key, n, mu.dtype), shape)).astype(dtype)


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
    see_also=("normal", "uniform", "random"),
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
      ValueError: a negative standard deviation or size, or a parameter that is not a scalar.
      TypeError: not a key, not a shape, a dtype that is not real floating, or a parameter that is not a number.
    """
    _check.one_of("corrected", corrected, (True, False))
    sigma = _check.scalar("stddev", stddev, low=0)
    sigma = sigma / TRUNCATED_STDDEV if corrected else sigma
    return _draw(_truncated_normal, key, shape, dtype, _check.scalar("mean", mean), sigma)


@_program
def _truncated_normal(key, shape, dtype, mu, sigma):
    draws = in_a_row(lambda n: jax.random.truncated_normal(key, -2, 2, n, mu.dtype), shape)
    return (mu + sigma * draws).astype(dtype)


def _draw(formula: Callable[..., jax.Array], key: Any, shape: Any, dtype: Any, *numbers: Any) -> jax.Array:
    dtype, wide = _dtypes(dtype)
    return formula(_check.prng_key(key), _shape(shape), dtype, *(jnp.asarray(n, wide) for n in numbers))


def _dtypes(dtype: Any) -> tuple[Any, Any]:
    """The type asked for and the one to draw in."""
    dtype = jnp.zeros((), dtype).dtype  # warns, as jax does, where float64 is asked for and switched off
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"dtype must be real floating; got {dtype}")
    return dtype, _check.compute_dtype(dtype)


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise TypeError(f"shape must be a sequence of whole numbers; got {shape!r}")
    return tuple(_check.integer("a size in shape", size, low=0) for size in shape)


__all__ = ["TRUNCATED_STDDEV", "normal", "truncated_normal", "uniform"]

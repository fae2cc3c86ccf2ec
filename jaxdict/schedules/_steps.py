"""What schedules share: steps as numbers, cycles counted in whole numbers, powers and half cosines that stay accurate.

Float32 holds whole steps up to 2**24, but not their quotient by a length to within a step: what decides between two
cycles is therefore computed from whole numbers, and a fall towards a value from the steps that are left.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check

Scalar: TypeAlias = float | jax.Array
Schedule: TypeAlias = Callable[[Any], jax.Array]


def elapsed(step: Any) -> jax.Array:
    """The step as a floating array, float32 at least."""
    step = _check.floating(step, name="step")
    return step.astype(_check.compute_dtype(step.dtype))


def cycle(step: Any, period: Scalar) -> tuple[jax.Array, jax.Array]:
    """The number of whole periods before ``step`` and the steps since the last, floating; exact for whole numbers."""
    t, step = elapsed(step), jnp.asarray(step)
    if jnp.issubdtype(step.dtype, jnp.integer) and is_whole(period):
        step = step.astype(jnp.int32) if step.dtype.itemsize < 4 else step
        number, position = jnp.divmod(step, int(period) if isinstance(period, float) else period)
        return number.astype(t.dtype), position.astype(t.dtype)
    position = jnp.mod(t, period)
    return jnp.round((t - position) / period), position


def is_whole(value: Scalar) -> bool:
    """Whether it is known to be a whole number that an int32 holds."""
    if isinstance(value, float):
        return value.is_integer() and abs(value) < 2**31
    return jnp.issubdtype(jnp.result_type(value), jnp.integer)


def power(base: Scalar, exponent: jax.Array) -> jax.Array:
    """``base**exponent`` for a positive base; a concrete one as if it were not rounded to the exponent's type.

    0.999999 in float32 is off by 1e-8, and its ten millionth power by a tenth.
    """
    if not isinstance(base, float):
        return jnp.power(base, exponent)
    rounded = float(np.asarray(base, exponent.dtype))
    if not 0 < rounded < math.inf:
        return jnp.power(base, exponent)
    return jnp.power(rounded, exponent) * jnp.exp(math.log(base / rounded) * exponent)


def left(t: jax.Array, length: Scalar) -> jax.Array:
    """The share of ``length`` that is left at ``t``: 1 at 0, and 0 from ``length`` on."""
    return jnp.maximum(length - t, 0) / length


def half_cosine(share: jax.Array) -> jax.Array:
    """(1 - cos(π·share))/2, from 0 at 0 to 1 at 1, with full relative accuracy at 0."""
    return jnp.square(jnp.sin((0.5 * math.pi) * share))


def between(low: Scalar, high: Scalar, weight: jax.Array) -> jax.Array:
    """``low`` at weight 0 and ``high`` at weight 1, both exactly."""
    return high * weight + low * (1 - weight)


def row(name: str, values: Any, *, ascending: bool = False) -> list[Scalar]:
    """Several numbers, each a Python float when concrete; traced ones pass."""
    if not isinstance(values, (list, tuple)) and np.ndim(values) != 1:
        raise TypeError(f"{name} must be a sequence of numbers; got {values!r}")
    numbers = [_check.scalar(name, value) for value in values]
    if ascending and not any(map(_check.is_traced, numbers)) and sorted(set(numbers)) != numbers:
        raise ValueError(f"{name} must ascend; got {numbers}")
    return numbers

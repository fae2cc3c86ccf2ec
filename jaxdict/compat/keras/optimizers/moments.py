"""Keras's Adam and its kin: AdamW, Adamax, Nadam, Lamb.

Powers and ``1 - power`` are computed as Keras does, in the type of the parameters: in float32 the first steps carry its
rounding, up to 6e-5 of a step at ``beta_2`` 0.999, which ``jaxdict.optimizers.adam`` avoids.
"""

from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import optax

from jaxdict import _check
from jaxdict.compat.keras.optimizers._frame import Rest, Shared, assemble, optimizer
from jaxdict.optimizers._rule import ScalarOrSchedule, cast


class AdamState(NamedTuple):
    """Memory of `Adam`, `AdamW` and `Lamb`; ``velocity_hat`` is AMSGrad's."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    momentum: Any
    velocity: Any
    velocity_hat: Any = None
    average: Any = None


class AdamaxState(NamedTuple):
    """Memory of `Adamax`: the mean of gradients and the decaying maximum."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    momentum: Any
    norm: Any
    average: Any = None


class NadamState(NamedTuple):
    """Memory of `Nadam`; ``u_product`` is the product of the momentum coefficients so far."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    u_product: jax.Array
    momentum: Any
    velocity: Any
    average: Any = None


@optimizer
def Adam(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Any = 0.9,
    beta_2: Any = 0.999,
    epsilon: Any = 1e-7,
    amsgrad: bool = False,
    **shared: Unpack[Shared],
) -> optax.GradientTransformationExtraArgs:
    """Keras's Adam: epsilon is added to the root of the uncorrected moment.

    Args:
      learning_rate: ≥ 0, a number, a traced scalar or a schedule.
      beta_1: in [0, 1), decay of the mean of gradients.
      beta_2: in [0, 1), decay of the mean of squares.
      epsilon: ≥ 0, added to the root: as ``epsilon/sqrt(1 - beta_2**t)`` in the paper's Algorithm 1.
      amsgrad: divide by the root of the largest mean of squares so far, uncorrected.
      **shared: what every optimizer takes, see the package.

    Returns:
      The transformation; its state is an `AdamState`.

    Raises:
      ValueError, TypeError: an argument that is not allowed; at ``update`` parameters that are missing.
    """
    beta_1, beta_2, epsilon = _checked(beta_1, beta_2, epsilon)
    _check.one_of("amsgrad", amsgrad, (True, False))

    def step(t, lr, dtype):
        b1, b2, eps = (cast(x, dtype) for x in (beta_1, beta_2, epsilon))
        alpha = lr * jnp.sqrt(1 - _power(b2, t, dtype)) / (1 - _power(b1, t, dtype))

        def rule(g, m, v, *largest):
            m = m + (g - m) * (1 - b1)
            v = v + (g * g - v) * (1 - b2)
            if amsgrad:
                largest = (jnp.maximum(largest[0], v),)
            return -(m * alpha / (jnp.sqrt(largest[0] if amsgrad else v) + eps)), m, v, *largest

        return rule

    slots = ("momentum", "velocity", *["velocity_hat"] * amsgrad)
    return assemble(step, AdamState, slots, learning_rate, shared)


@optimizer
def AdamW(
    learning_rate: ScalarOrSchedule = 0.001,
    weight_decay: Any = 0.004,
    beta_1: Any = 0.9,
    beta_2: Any = 0.999,
    epsilon: Any = 1e-7,
    amsgrad: bool = False,
    **shared: Unpack[Rest],
) -> optax.GradientTransformationExtraArgs:
    """Keras's AdamW: `Adam` with a weight decay of 0.004 by default.

    Args:
      learning_rate: ≥ 0, a number, a traced scalar or a schedule.
      weight_decay: ≥ 0, decoupled, times the rate.
      beta_1: in [0, 1), decay of the mean of gradients.
      beta_2: in [0, 1), decay of the mean of squares.
      epsilon: ≥ 0, added to the root of the uncorrected moment.
      amsgrad: divide by the root of the largest mean of squares so far.
      **shared: what every optimizer takes, see the package.

    Returns:
      The transformation; its state is an `AdamState`.

    Raises:
      ValueError, TypeError: an argument that is not allowed; at ``update`` parameters that are missing.
    """
    if weight_decay is None:
        raise TypeError("weight_decay must be a number; got None; Adam is AdamW without")
    return Adam(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **shared)


@optimizer
def Adamax(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Any = 0.9,
    beta_2: Any = 0.999,
    epsilon: Any = 1e-7,
    **shared: Unpack[Shared],
) -> optax.GradientTransformationExtraArgs:
    """Keras's Adamax: epsilon is added to the decaying maximum.

    Args:
      learning_rate: ≥ 0, a number, a traced scalar or a schedule.
      beta_1: in [0, 1), decay of the mean of gradients.
      beta_2: in [0, 1), decay of the maximum.
      epsilon: ≥ 0.
      **shared: what every optimizer takes, see the package.

    Returns:
      The transformation; its state is an `AdamaxState`.

    Raises:
      ValueError, TypeError: an argument that is not allowed; at ``update`` parameters that are missing.
    """
    beta_1, beta_2, epsilon = _checked(beta_1, beta_2, epsilon)

    def step(t, lr, dtype):
        b1, b2, eps = (cast(x, dtype) for x in (beta_1, beta_2, epsilon))
        correction = 1 - _power(b1, t, dtype)

        def rule(g, m, u):
            m = m + (g - m) * (1 - b1)
            u = jnp.maximum(b2 * u, jnp.abs(g))
            return -(lr * m / (correction * (u + eps))), m, u

        return rule

    return assemble(step, AdamaxState, ("momentum", "norm"), learning_rate, shared)


@optimizer
def Nadam(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Any = 0.9,
    beta_2: Any = 0.999,
    epsilon: Any = 1e-7,
    **shared: Unpack[Shared],
) -> optax.GradientTransformationExtraArgs:
    """Keras's Nadam: the momentum coefficient of step t is ``beta_1*(1 - 0.96**t/2)``, which nears ``beta_1`` soon.

    Args:
      learning_rate: ≥ 0, a number, a traced scalar or a schedule.
      beta_1: in [0, 1), decay of the mean of gradients.
      beta_2: in [0, 1), decay of the mean of squares.
      epsilon: ≥ 0, added to the root of the corrected moment.
      **shared: what every optimizer takes, see the package.

    Returns:
      The transformation; its state is a `NadamState`.

    Raises:
      ValueError, TypeError: an argument that is not allowed; at ``update`` parameters that are missing.
    """
    beta_1, beta_2, epsilon = _checked(beta_1, beta_2, epsilon)

    def coefficient(t, b1, dtype):
        return b1 * (1 - 0.5 * _power(0.96, t, dtype))

    def advance(t, product):
        return product * beta_1 * (1 - 0.5 * _power(0.96, t, product.dtype))

    def step(t, lr, dtype, u_product):
        b1, b2, eps = jnp.asarray(beta_1, dtype), jnp.asarray(beta_2, dtype), cast(epsilon, dtype)
        u, following = coefficient(t, b1, dtype), coefficient(t + 1, b1, dtype)
        correction = 1 - _power(b2, t, dtype)

        def rule(g, m, v):
            m = m + (g - m) * (1 - b1)
            v = v + (g * g - v) * (1 - b2)
            ahead = following * m / (1 - u_product * following) + (1 - u) * g / (1 - u_product)
            return -(ahead * lr / (jnp.sqrt(v / correction) + eps)), m, v

        return rule

    scalars = {"u_product": (1.0, advance)}
    return assemble(step, NadamState, ("momentum", "velocity"), learning_rate, shared, scalars=scalars)


@optimizer
def Lamb(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Any = 0.9,
    beta_2: Any = 0.999,
    epsilon: Any = 1e-7,
    **shared: Unpack[Shared],
) -> optax.GradientTransformationExtraArgs:
    """Keras's Lamb: Adam's direction, in every tensor as long as the tensor itself.

    Args:
      learning_rate: ≥ 0, a number, a traced scalar or a schedule.
      beta_1: in [0, 1), decay of the mean of gradients.
      beta_2: in [0, 1), decay of the mean of squares.
      epsilon: ≥ 0, added to the root of the corrected moment.
      **shared: what every optimizer takes, see the package.

    Returns:
      The transformation; its state is an `AdamState`; ``update`` needs the parameters.

    Raises:
      ValueError, TypeError: an argument that is not allowed; at ``update`` parameters that are missing.
    """
    beta_1, beta_2, epsilon = _checked(beta_1, beta_2, epsilon)

    def step(t, lr, dtype):
        b1, b2, eps = (cast(x, dtype) for x in (beta_1, beta_2, epsilon))
        c1, c2 = 1 - _power(b1, t, dtype), 1 - _power(b2, t, dtype)

        def rule(g, p, m, v):
            m = m + (g - m) * (1 - b1)
            v = v + (g * g - v) * (1 - b2)
            direction = m / c1 / (jnp.sqrt(v / c2) + eps)
            size, length = _norm(p), _norm(direction)
            ratio = jnp.where((size > 0) & (length > 0), size / jnp.where(length > 0, length, 1), 1)
            return -(ratio * lr * direction), m, v

        return rule

    return assemble(step, AdamState, ("momentum", "velocity"), learning_rate, shared, with_params=True)


def _checked(beta_1: Any, beta_2: Any, epsilon: Any) -> tuple[Any, Any, Any]:
    return (
        _check.scalar("beta_1", beta_1, low=0, below=1),
        _check.scalar("beta_2", beta_2, low=0, below=1),
        _check.scalar("epsilon", epsilon, low=0),
    )


def _power(base: Any, t: jax.Array, dtype: Any) -> jax.Array:
    return jnp.power(jnp.asarray(base, dtype), t.astype(dtype))


def _norm(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(x * x))

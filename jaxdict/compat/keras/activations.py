"""Keras 3's activations over jaxdict's: its names, arguments and defaults.

Derivatives at a kink are jaxdict's: Keras's own depend on its backend. ``sparsemax`` is left out: Keras 3.15 sums the
cumulative sums, so that its result is not a distribution; jaxdict's is the paper's.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _check, activations
from jaxdict.compat._docs import completed

_activation = completed(
    {
        "x": "any shape, any real dtype; integers become the default float.",
        "axis": "the axis, or for softmax and log_softmax axes, over which it goes.",
    },
    returns="Same shape and dtype.",
    raises="TypeError: complex input. ValueError: a number out of range, or an axis that is not there.",
)


@_activation
def linear(x: ArrayLike) -> jax.Array:
    """``x``."""
    return activations.linear(x)


@_activation
def relu(
    x: ArrayLike, negative_slope: ArrayLike = 0.0, max_value: ArrayLike | None = None, threshold: ArrayLike = 0.0
) -> jax.Array:
    """``x`` above ``threshold``, at most ``max_value``, and ``negative_slope*(x - threshold)`` below.

    With ``max_value``, what is above a negative threshold is clipped to [0, max_value].

    Args:
      negative_slope: ≥ 0, the slope below ``threshold``.
      max_value: ≥ 0; None: there is no largest value.
      threshold: where it starts.
    """
    x = _check.floating(x)
    slope = _check.scalar("negative_slope", negative_slope, low=0)
    level = _check.scalar("threshold", threshold)
    if max_value is None and not _check.is_traced(level) and level == 0:
        none = not _check.is_traced(slope) and slope == 0
        return activations.relu(x) if none else activations.leaky_relu(x, slope)
    t = jnp.asarray(level, x.dtype)
    above = jnp.where(x <= t, 0, x)
    if max_value is not None:
        above = jnp.clip(above, 0, jnp.asarray(_check.scalar("max_value", max_value, low=0), x.dtype))
    if not _check.is_traced(slope) and slope == 0:
        return above
    return jnp.where(x <= t, jnp.asarray(slope, x.dtype) * (x - t), above)


@_activation
def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.2) -> jax.Array:
    """``x`` where ``x > 0``, else ``negative_slope*x``.

    Args:
      negative_slope: the slope below 0; Keras's layer LeakyReLU has 0.3.
    """
    return activations.leaky_relu(x, negative_slope)


@_activation
def relu6(x: ArrayLike) -> jax.Array:
    """``x`` clipped to [0, 6]."""
    return activations.relu6(x)


@_activation
def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> jax.Array:
    """``x`` where ``x > 0``, else ``alpha*(exp(x) - 1)``.

    Args:
      alpha: minus the limit at -inf.
    """
    return activations.elu(x, alpha)


@_activation
def selu(x: ArrayLike) -> jax.Array:
    """``1.0507*elu(x, 1.6733)``."""
    return activations.selu(x)


@_activation
def celu(x: ArrayLike, alpha: ArrayLike = 1.0) -> jax.Array:
    """``x`` where ``x > 0``, else ``alpha*(exp(x/alpha) - 1)``.

    Args:
      alpha: minus the limit at -inf, above 0.
    """
    return activations.celu(x, alpha)


@_activation
def gelu(x: ArrayLike, approximate: bool = False) -> jax.Array:
    """``x*Phi(x)`` with the normal distribution function; ``keras.ops.gelu`` is the tanh form.

    Args:
      approximate: the tanh form, at most 4.7e-4 away.
    """
    return activations.gelu(x, approximate=approximate)


@_activation
def silu(x: ArrayLike) -> jax.Array:
    """``x*sigmoid(x)``."""
    return activations.swish(x)


@_activation
def hard_silu(x: ArrayLike) -> jax.Array:
    """``x*hard_sigmoid(x)``."""
    return activations.hard_swish(x)


@_activation
def mish(x: ArrayLike) -> jax.Array:
    """``x*tanh(softplus(x))``."""
    return activations.mish(x)


@_activation
def glu(x: ArrayLike, axis: int = -1) -> jax.Array:
    """``u*sigmoid(v)``, where ``u`` and ``v`` are the first and the second half of ``x``.

    Args:
      axis: the axis that is halved, of even size.

    Returns:
      Half the size along ``axis``, the same dtype.
    """
    return activations.glu(x, axis=axis)


@_activation
def sigmoid(x: ArrayLike) -> jax.Array:
    """``1/(1 + exp(-x))``."""
    return activations.sigmoid(x)


@_activation
def hard_sigmoid(x: ArrayLike) -> jax.Array:
    """``x/6 + 1/2`` clipped to [0, 1]; until Keras 2 the slope was 0.2."""
    return activations.hard_sigmoid(x, 3.0)


@_activation
def log_sigmoid(x: ArrayLike) -> jax.Array:
    """``-ln(1 + exp(-x))``."""
    return activations.log_sigmoid(x)


@_activation
def sparse_sigmoid(x: ArrayLike) -> jax.Array:
    """``(x + 1)/2`` clipped to [0, 1]."""
    return activations.hard_sigmoid(x, 1.0)


@_activation
def softplus(x: ArrayLike) -> jax.Array:
    """``ln(1 + exp(x))``."""
    return activations.softplus(x)


@_activation
def sparse_plus(x: ArrayLike) -> jax.Array:
    """0 up to -1, ``x`` from 1, ``(x + 1)**2/4`` between."""
    x = _check.floating(x)
    return jnp.where(x >= 1, x, jnp.square(jnp.where(x <= -1, 0, jnp.where(x >= 1, 0, x + 1))) / 4)


@_activation
def squareplus(x: ArrayLike, b: ArrayLike = 4) -> jax.Array:
    """``(x + sqrt(x**2 + b))/2``.

    Args:
      b: above 0.
    """
    return activations.squareplus(x, b=b)


@_activation
def softsign(x: ArrayLike) -> jax.Array:
    """``x/(1 + |x|)``."""
    return activations.softsign(x)


@_activation
def tanh(x: ArrayLike) -> jax.Array:
    """The hyperbolic tangent."""
    return activations.tanh(x)


@_activation
def hard_tanh(x: ArrayLike) -> jax.Array:
    """``x`` clipped to [-1, 1]."""
    return activations.hard_tanh(x)


@_activation
def tanh_shrink(x: ArrayLike) -> jax.Array:
    """``x - tanh(x)``."""
    return activations.tanhshrink(x)


@_activation
def soft_shrink(x: ArrayLike, threshold: ArrayLike = 0.5) -> jax.Array:
    """``x`` moved towards 0 by ``threshold``, 0 where it is nearer than that.

    Args:
      threshold: at least 0.
    """
    return activations.softshrink(x, threshold=threshold)


@_activation
def hard_shrink(x: ArrayLike, threshold: ArrayLike = 0.5) -> jax.Array:
    """``x``, but 0 where it is no farther from 0 than ``threshold``.

    Args:
      threshold: at least 0.
    """
    return activations.hardshrink(x, threshold=threshold)


@_activation
def threshold(x: ArrayLike, threshold: ArrayLike, default_value: ArrayLike) -> jax.Array:
    """``x`` where ``x > threshold``, else ``default_value``.

    Args:
      threshold: a scalar.
      default_value: a scalar.
    """
    x = _check.floating(x)
    level, value = _check.scalar("threshold", threshold), _check.scalar("default_value", default_value)
    return jnp.where(x > jnp.asarray(level, x.dtype), x, jnp.asarray(value, x.dtype))


@_activation
def exponential(x: ArrayLike) -> jax.Array:
    """``exp(x)``."""
    return jnp.exp(_check.floating(x))


@_activation
def softmax(x: ArrayLike, axis: int | tuple[int, ...] = -1) -> jax.Array:
    """``exp(x)/sum(exp(x))``."""
    return activations.softmax(x, axis=axis)


@_activation
def log_softmax(x: ArrayLike, axis: int | tuple[int, ...] = -1) -> jax.Array:
    """The logarithm of ``softmax``."""
    return activations.log_softmax(x, axis=axis)


swish, hard_swish = silu, hard_silu


def get(identifier: str | Callable[..., Any] | None) -> Callable[..., Any]:
    """The activation of a name, as Keras has it.

    Args:
      identifier: a name, a function, which comes back, or None for ``linear``.

    Returns:
      A function ``x -> y``.

    Raises:
      ValueError: no such name, with the closest ones.
    """
    if identifier is None or callable(identifier):
        return identifier or linear
    return globals()[_check.one_of("activation", identifier, __all__)]


__all__ = [
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu",
    "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "squareplus",
    "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip

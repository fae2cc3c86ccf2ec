"""Torch's activations over jaxdict's.

At a kink the derivative is torch's: 0 at both ends of ``hardtanh``, ``hardsigmoid`` and ``relu6``, the slope of the
left side for the relu and elu families.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _check, activations
from jaxdict._derivative import closed_form
from jaxdict.compat._docs import completed

_activation = completed(
    {
        "input": "any shape, any real dtype; integers become the default float.",
        "inplace": "without effect.",
        "dim": "the axis; None, which torch deprecates: axis 0 for 0, 1 or 3 axes, else axis 1.",
        "dtype": "the input is cast to it first; None: not.",
    },
    returns="Same shape and dtype.",
    raises="TypeError: complex input. ValueError: a number out of range, or an axis that is not there.",
)


@_activation
def relu(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """``max(0, x)``."""
    del inplace
    return activations.relu(input)


@_activation
def leaky_relu(input: ArrayLike, negative_slope: ArrayLike = 0.01, inplace: bool = False) -> jax.Array:
    """``x`` where ``x > 0``, else ``negative_slope*x``.

    Args:
      negative_slope: the slope below 0, also at 0.
    """
    del inplace
    return activations.leaky_relu(input, negative_slope)


@_activation
def prelu(input: ArrayLike, weight: ArrayLike) -> jax.Array:
    """``x`` where ``x > 0``, else ``weight*x``; the channels are axis 1.

    Args:
      weight: one slope, shape ``()`` or ``(1,)``, or one a channel, ``(channels,)``; torch's module starts at 0.25.
    """
    x, weight = _check.floating(input, name="input"), _check.floating(weight, name="weight")
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim > 1 or weight.size not in (1, channels):
        raise ValueError(
            f"weight must be one slope, or one for each of the {channels} channels on axis 1; got {weight.shape}"
        )
    if weight.size == 1:
        return activations.leaky_relu(x, weight.reshape(()))
    return activations.leaky_relu(x, weight.reshape([-1 if axis == 1 else 1 for axis in range(x.ndim)]))


@_activation
def rrelu(
    input: ArrayLike,
    lower: ArrayLike = 1 / 8,
    upper: ArrayLike = 1 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    key: Any = None,
) -> jax.Array:
    """``x`` where ``x > 0``, else ``x`` times a slope: a draw from U(lower, upper) in training, their mean otherwise.

    Args:
      lower: smallest slope.
      upper: largest slope.
      training: whether slopes are drawn, one for each element.
      key: a PRNG key or an int seed, needed in training.
    """
    del inplace
    return activations.rrelu(input, key=_needed(key) if training else None, lower=lower, upper=upper)


def _needed(key: Any) -> Any:
    if key is None:
        raise ValueError("training draws, and needs a key: key=jax.random.key(0)")
    return key


@_activation
def elu(input: ArrayLike, alpha: ArrayLike = 1.0, inplace: bool = False) -> jax.Array:
    """``x`` where ``x > 0``, else ``alpha*(exp(x) - 1)``.

    Args:
      alpha: minus the limit at -inf.
    """
    del inplace
    return activations.elu(input, alpha)


@_activation
def selu(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """``1.0507*elu(x, 1.6733)``."""
    del inplace
    return activations.selu(input)


@_activation
def celu(input: ArrayLike, alpha: ArrayLike = 1.0, inplace: bool = False) -> jax.Array:
    """``x`` where ``x > 0``, else ``alpha*(exp(x/alpha) - 1)``.

    Args:
      alpha: minus the limit at -inf, above 0.
    """
    del inplace
    return activations.celu(input, alpha)


@_activation
def gelu(input: ArrayLike, approximate: Literal["none", "tanh"] = "none") -> jax.Array:
    """``x*Phi(x)`` with the normal distribution function.

    Args:
      approximate: "tanh" for the tanh form, at most 4.7e-4 away.
    """
    return activations.gelu(input, approximate=_check.one_of("approximate", approximate, ("none", "tanh")) == "tanh")


@_activation
def silu(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """``x*sigmoid(x)``."""
    del inplace
    return activations.swish(input)


@_activation
def mish(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """``x*tanh(softplus(x))``."""
    del inplace
    return activations.mish(input)


@_activation
def softplus(input: ArrayLike, beta: ArrayLike = 1.0, threshold: ArrayLike = 20.0) -> jax.Array:
    """``ln(1 + exp(beta*x))/beta``, and ``x`` itself where ``beta*x > threshold``.

    Args:
      beta: above 0; the larger, the nearer to ``relu``.
      threshold: where torch takes ``x``, which is 2e-9 less at 20.
    """
    x = _check.floating(input, name="input")
    dtype = _check.compute_dtype(x.dtype)
    wide = x.astype(dtype)
    steepness = jnp.asarray(_check.scalar("beta", beta, above=0), dtype)
    bx = steepness * wide
    far = bx > jnp.asarray(_check.scalar("threshold", threshold), dtype)
    return jnp.where(far, wide, activations.softplus(bx) / steepness).astype(x.dtype)


@_activation
def softsign(input: ArrayLike) -> jax.Array:
    """``x/(1 + |x|)``."""
    return activations.softsign(input)


@_activation
def tanh(input: ArrayLike) -> jax.Array:
    """The hyperbolic tangent."""
    return activations.tanh(input)


@_activation
def sigmoid(input: ArrayLike) -> jax.Array:
    """``1/(1 + exp(-x))``."""
    return activations.sigmoid(input)


@_activation
def logsigmoid(input: ArrayLike) -> jax.Array:
    """``-ln(1 + exp(-x))``."""
    return activations.log_sigmoid(input)


@_activation
def tanhshrink(input: ArrayLike) -> jax.Array:
    """``x - tanh(x)``."""
    return activations.tanhshrink(input)


@_activation
def softshrink(input: ArrayLike, lambd: ArrayLike = 0.5) -> jax.Array:
    """``x`` moved towards 0 by ``lambd``, 0 where it is nearer than that.

    Args:
      lambd: at least 0.
    """
    return activations.softshrink(input, threshold=lambd)


@_activation
def hardshrink(input: ArrayLike, lambd: ArrayLike = 0.5) -> jax.Array:
    """``x``, but 0 where it is no farther from 0 than ``lambd``.

    Args:
      lambd: at least 0.
    """
    return activations.hardshrink(input, threshold=lambd)


def _within(x: jax.Array, low: Any, high: Any) -> jax.Array:
    """1 strictly between both, 0 elsewhere, NaN at NaN."""
    outside = jnp.where(jnp.isnan(x), jax.lax.stop_gradient(x), 0)
    return jnp.where((x > low) & (x < high), 1, outside).astype(x.dtype)


def _hardtanh_rule(x, low, high):
    return jnp.clip(x, low, high), (_within(x, low, high), (x <= low).astype(x.dtype), (x >= high).astype(x.dtype))


_hardtanh = closed_form(_hardtanh_rule)(lambda input, min_val, max_val: jnp.clip(input, min_val, max_val))
_hardsigmoid = closed_form(lambda x: (activations.hard_sigmoid(x, 3.0), (_within(x, -3, 3) / 6,)))(
    lambda input: activations.hard_sigmoid(input, 3.0)
)


def _hardswish_rule(x):
    middle = _within(x, -3, 3)
    return activations.hard_swish(x), (jnp.where(x >= 3, 1, middle * jnp.where(middle == 0, 0, x / 3 + 0.5)),)


_hardswish = closed_form(_hardswish_rule)(lambda input: activations.hard_swish(input))


@_activation
def hardtanh(input: ArrayLike, min_val: ArrayLike = -1.0, max_val: ArrayLike = 1.0, inplace: bool = False) -> jax.Array:
    """``x`` clipped to [min_val, max_val].

    Args:
      min_val: the least value.
      max_val: the largest, not below ``min_val``.
    """
    del inplace
    low, high = _check.scalar("min_val", min_val), _check.scalar("max_val", max_val)
    if not (_check.is_traced(low) or _check.is_traced(high)) and low > high:
        raise ValueError(f"min_val must be <= max_val; got {low:g} and {high:g}")
    return _hardtanh(input, low, high)


@_activation
def hardsigmoid(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """``x/6 + 1/2`` clipped to [0, 1]."""
    del inplace
    return _hardsigmoid(input)


@_activation
def hardswish(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """``x*hardsigmoid(x)``."""
    del inplace
    return _hardswish(input)


@_activation
def relu6(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """``x`` clipped to [0, 6]."""
    del inplace
    return activations.relu6(input)


@_activation
def threshold(input: ArrayLike, threshold: ArrayLike, value: ArrayLike, inplace: bool = False) -> jax.Array:
    """``x`` where ``x > threshold``, else ``value``.

    Args:
      threshold: a scalar.
      value: a scalar.
    """
    del inplace
    x = _check.floating(input, name="input")
    level, value = (jnp.asarray(_check.scalar(n, v), x.dtype) for n, v in (("threshold", threshold), ("value", value)))
    return jnp.where(x <= level, value, x)


@_activation
def glu(input: ArrayLike, dim: int = -1) -> jax.Array:
    """``u*sigmoid(v)``, where ``u`` and ``v`` are the first and the second half of ``x``.

    Args:
      dim: the axis that is halved, of even size.

    Returns:
      Half the size along ``dim``, the same dtype.
    """
    return activations.glu(input, axis=dim)


@_activation
def softmax(input: ArrayLike, dim: int | None = None, *, dtype: Any = None) -> jax.Array:
    """``exp(x)/sum(exp(x))`` over ``dim``."""
    x = _cast(input, dtype)
    return activations.softmax(x, axis=_axis(dim, x))


@_activation
def softmin(input: ArrayLike, dim: int | None = None, *, dtype: Any = None) -> jax.Array:
    """``softmax(-x)`` over ``dim``."""
    x = _cast(input, dtype)
    return activations.softmax(-x, axis=_axis(dim, x))


@_activation
def log_softmax(input: ArrayLike, dim: int | None = None, *, dtype: Any = None) -> jax.Array:
    """The logarithm of ``softmax``."""
    x = _cast(input, dtype)
    return activations.log_softmax(x, axis=_axis(dim, x))


def _cast(input: ArrayLike, dtype: Any) -> jax.Array:
    x = _check.floating(input, name="input")
    return x if dtype is None else x.astype(dtype)


def _axis(dim: int | None, x: jax.Array) -> int:
    return dim if dim is not None else int(x.ndim not in (0, 1, 3))


__all__ = [
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log_softmax",
    "logsigmoid", "mish", "prelu", "relu", "relu6", "rrelu", "selu", "sigmoid", "silu", "softmax", "softmin",
    "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip

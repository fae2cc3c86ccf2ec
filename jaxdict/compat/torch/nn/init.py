"""PyTorch's ``torch.nn.init``: its names, arguments and defaults, as factories of ``init(key, shape, dtype) -> array``.

Kernels are in torch's layout, (out, in, *field); transposed convolutions are (in, out, *field), and torch takes the one
for the other. Distributions are torch's, normals are not truncated; the draws are not its, bit for bit. Equal arguments
give the same object.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

from jaxdict import _cache, _check, initializers
from jaxdict._draws import in_a_row
from jaxdict.compat._docs import completed
from jaxdict.distributions import _dtypes, _shape
from jaxdict.initializers import Initializer

Mode: TypeAlias = Literal["fan_in", "fan_out"]

_LINEAR = (
    "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "sigmoid",
)  # fmt: skip
_NONLINEARITIES = (*_LINEAR, "tanh", "relu", "leaky_relu", "selu")

_initializer = completed(
    {
        "gain": "factor of the standard deviation.",
        "mean": "of the normal before truncation.",
        "std": "≥ 0, likewise.",
        "a": "the slope of leaky_relu; √5 is the default of ``Linear``.",
        "mode": '"fan_in" or "fan_out".',
        "nonlinearity": "whose gain it is, see ``calculate_gain``.",
    },
    returns="The initializer ``(key, shape, dtype) -> array``; a key may be an int seed.",
    raises="ValueError: a number or name that is not allowed; at the call, a shape without the axes that are needed.",
)


def calculate_gain(nonlinearity: str, param: Any = None) -> Any:
    """The factor by which torch widens weights before a nonlinearity.

    Args:
      nonlinearity: "linear", "conv1d" … "conv_transpose3d", "sigmoid" (1), "tanh" (5/3), "relu" (√2), "leaky_relu"
        (√(2/(1 + slope²))) or "selu" (3/4).
      param: the slope of leaky_relu, 0.01 when None; may be traced.

    Returns:
      A number.

    Raises:
      ValueError: an unknown nonlinearity. TypeError: a slope that is not a number.
    """
    _check.one_of("nonlinearity", nonlinearity, _NONLINEARITIES)
    if nonlinearity == "leaky_relu":
        slope = _check.scalar("param", 0.01 if param is None else param)
        return (2 / (1 + slope**2)) ** 0.5
    return {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}.get(nonlinearity, 1.0)


def _drawn(draw: Callable[..., jax.Array], *numbers: Any) -> Initializer:
    """``draw(key, shape, dtype, *numbers)`` in float32 or wider, rounded once to the type that is asked for."""

    def init(key, shape, dtype=jnp.float32):
        dtype, wide = _dtypes(dtype)
        key, given = _check.prng_key(key), [jnp.asarray(n, wide) for n in numbers]
        return in_a_row(lambda n: draw(key, n, wide, *given), _shape(shape)).astype(dtype)

    return init


@_cache.constructor
@_initializer
def uniform_(a: Any = 0.0, b: Any = 1.0) -> Initializer:
    """Uniform on [a, b).

    Args:
      a: the lower end.
      b: the upper end, not below ``a``.
    """
    return _drawn(jax.random.uniform, *_ends(a, b))


def _ends(a: Any, b: Any) -> tuple[Any, Any]:
    a, b = _check.scalar("a", a), _check.scalar("b", b)
    if not (_check.is_traced(a) or _check.is_traced(b)) and a > b:
        raise ValueError(f"a must be <= b; got {a:g} and {b:g}")
    return a, b


@_cache.constructor
@_initializer
def normal_(mean: Any = 0.0, std: Any = 1.0) -> Initializer:
    """Normal."""
    return initializers.random("normal", mean=mean, stddev=_check.scalar("std", std, low=0))


@_cache.constructor
@_initializer
def trunc_normal_(mean: Any = 0.0, std: Any = 1.0, a: Any = -2.0, b: Any = 2.0) -> Initializer:
    """Normal within [a, b], which are values, not standard deviations: at ``std=0.02`` the default cuts nothing.

    Args:
      std: above 0, likewise.
      a: the least value.
      b: the largest, not below ``a``.
    """
    return _drawn(_truncated, _check.scalar("mean", mean), _check.scalar("std", std, above=0), *_ends(a, b))


def _truncated(key, shape, dtype, mean, std, a, b):
    low, high = (a - mean) / std, (b - mean) / std
    # Quantiles of the side where probabilities are small numbers, not near 1, so that a far tail has its digits.
    turned = low + high > 0
    low, high = jnp.where(turned, -high, low), jnp.where(turned, -low, high)
    least, most = jax.scipy.special.ndtr(low), jax.scipy.special.ndtr(high)
    # The middle of each step of the uniform draws: neither 0 nor 1, whose quantiles are infinite.
    share = jax.random.uniform(key, shape, dtype) + jnp.finfo(dtype).eps / 2
    z = jnp.clip(jax.scipy.special.ndtri(least + share * (most - least)), low, high)
    return jnp.clip(mean + std * jnp.where(turned, -z, z), a, b)


@_cache.constructor
@_initializer
def constant_(val: Any) -> Initializer:
    """All the same number.

    Args:
      val: a number.
    """
    return initializers.constant(val)


@_cache.constructor
@_initializer
def ones_() -> Initializer:
    """All ones."""
    return initializers.ones()


@_cache.constructor
@_initializer
def zeros_() -> Initializer:
    """All zeros."""
    return initializers.zeros()


@_cache.constructor
@_initializer
def eye_() -> Initializer:
    """The identity matrix, as far as it goes; for two axes only."""

    def init(key, shape, dtype=jnp.float32):
        return initializers.identity()(key, _of_two_axes("eye_", shape), dtype)

    return init


def _of_two_axes(name: str, shape: Any) -> tuple[int, ...]:
    shape = _shape(shape)
    if len(shape) != 2:
        raise ValueError(f"{name} is for two axes, (out, in); got shape {shape}")
    return shape


@_cache.constructor
@_initializer
def dirac_(groups: int = 1) -> Initializer:
    """The identity of a convolution, of three to five axes: input i goes on as output i of each group.

    Args:
      groups: of the convolution; they divide the outputs.
    """
    identity = initializers.identity(in_axis=1, out_axis=0, groups=groups)

    def init(key, shape, dtype=jnp.float32):
        if not 3 <= len(_shape(shape)) <= 5:
            raise ValueError(f"dirac_ is for three to five axes, (out, in, *field); got shape {shape}")
        # In a field of even size torch's centre is behind the middle, and jaxdict's before it.
        return jnp.flip(identity(key, shape, dtype), tuple(range(2, len(shape))))

    return init


def _scaled(gain: Any, mode: Literal["in", "out", "average"], distribution: Literal["uniform", "normal"]):
    return initializers.variance_scaling(gain * gain, mode=mode, distribution=distribution, in_axis=1, out_axis=0)


@_cache.constructor
@_initializer
def xavier_uniform_(gain: Any = 1.0) -> Initializer:
    """Uniform, of the variance 2 gain²/(fan_in + fan_out)."""
    return _scaled(_check.scalar("gain", gain), "average", "uniform")


@_cache.constructor
@_initializer
def xavier_normal_(gain: Any = 1.0) -> Initializer:
    """Normal, not truncated, of the variance 2 gain²/(fan_in + fan_out)."""
    return _scaled(_check.scalar("gain", gain), "average", "normal")


def _kaiming(a: Any, mode: Mode, nonlinearity: str, distribution: Literal["uniform", "normal"]) -> Initializer:
    fan = _check.one_of("mode", mode, ("fan_in", "fan_out")).removeprefix("fan_")
    return _scaled(calculate_gain(nonlinearity, a), fan, distribution)


@_cache.constructor
@_initializer
def kaiming_uniform_(a: Any = 0.0, mode: Mode = "fan_in", nonlinearity: str = "leaky_relu") -> Initializer:
    """Uniform, of the variance gain²/fan."""
    return _kaiming(a, mode, nonlinearity, "uniform")


@_cache.constructor
@_initializer
def kaiming_normal_(a: Any = 0.0, mode: Mode = "fan_in", nonlinearity: str = "leaky_relu") -> Initializer:
    """Normal, not truncated, of the variance gain²/fan."""
    return _kaiming(a, mode, nonlinearity, "normal")


@_cache.constructor
@_initializer
def orthogonal_(gain: Any = 1.0) -> Initializer:
    """Orthonormal rows of the matrix (out, all others), or columns where there are more rows, times ``gain``.

    Args:
      gain: factor of the matrix.
    """
    return initializers.orthogonal(gain, out_axis=0)


@_cache.constructor
@_initializer
def sparse_(sparsity: float, std: Any = 0.01) -> Initializer:
    """Normal weights, of which every input has a share of zeros, rounded up, among its outputs; for two axes only.

    Args:
      sparsity: the share of zeros, in [0, 1], not traced. The product with the outputs is rounded up as it comes in
        floating point, as in torch: 0.07 of 100 are 8.
      std: ≥ 0, of the other weights.
    """
    sparsity = _check.number("sparsity", sparsity, low=0, high=1)
    std = _check.scalar("std", std, low=0)

    def init(key, shape, dtype=jnp.float32):
        outputs = _of_two_axes("sparse_", shape)[0]
        share = math.ceil(sparsity * outputs) / max(outputs, 1)
        return initializers.sparse(sparsity=share, stddev=std, in_axis=0, out_axis=1)(key, shape, dtype)

    return init


__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
    "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

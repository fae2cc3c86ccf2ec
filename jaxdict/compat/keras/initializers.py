"""Keras 3's initializers: its names, arguments and defaults, as factories of ``init(key, shape, dtype) -> array``.

Kernels are in Keras's layout, (*field, in, out). ``seed`` is taken, so that calls port as they stand, and not used: the
key decides; draws are Keras's in distribution, not bit for bit. Equal arguments give the same object.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax.numpy as jnp

from jaxdict import _cache, _check, initializers
from jaxdict.compat._docs import completed
from jaxdict.compat.torch.nn.init import uniform_
from jaxdict.initializers import Initializer

_initializer = completed(
    {
        "mean": "a number or a traced scalar.",
        "stddev": "≥ 0, likewise.",
        "seed": "not used.",
        "input_axes": "with ``output_axes``, the axes whose sizes multiply to the fan in, instead of the layout's.",
        "output_axes": "likewise, to the fan out; no axis is both.",
        "gain": "factor of the matrix.",
    },
    returns="The initializer ``(key, shape, dtype) -> array``; a key may be an int seed.",
    raises="ValueError: a number or name that is not allowed; at the call, a shape that does not fit.",
)

Axes = Sequence[int] | None


@_cache.constructor
@_initializer
def VarianceScaling(
    scale: Any = 1.0,
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in",
    distribution: Literal["truncated_normal", "normal", "untruncated_normal", "uniform"] = "truncated_normal",
    seed: Any = None,
    input_axes: Axes = None,
    output_axes: Axes = None,
) -> Initializer:
    """Weights of mean 0 and variance scale/fan; a bias, or any vector, has its length as both fans.

    Args:
      scale: above 0, a number or a traced scalar.
      mode: "fan_in", "fan_out" or "fan_avg".
      distribution: "truncated_normal", which "normal" means too: at two deviations, and widened, so that the variance
        is whole; "untruncated_normal"; "uniform".
    """
    del seed
    scale = _check.scalar("scale", scale, above=0)
    fan: Any = {"fan_in": "in", "fan_out": "out", "fan_avg": "average"}[
        _check.one_of("mode", mode, ("fan_in", "fan_out", "fan_avg"))
    ]
    known = ("truncated_normal", "normal", "untruncated_normal", "uniform")
    kind: Any = {"normal": "truncated_normal", "untruncated_normal": "normal"}.get(distribution, distribution)
    _check.one_of("distribution", distribution, known)

    def init(key, shape, dtype=jnp.float32):
        axes = _axes(len(shape), input_axes, output_axes)
        return initializers.variance_scaling(scale, mode=fan if axes["out_axis"] else "in", distribution=kind, **axes)(
            key, shape, dtype
        )

    return init


def _axes(rank: int, input_axes: Axes, output_axes: Axes) -> dict[str, Any]:
    """Keras's fans as axes: of a vector, whose fans are equal, the fan in alone."""
    if input_axes is not None and output_axes is not None:
        named = {axis % rank for axis in (*input_axes, *output_axes)}
        rest = tuple(axis for axis in range(rank) if axis not in named)
        return {"in_axis": tuple(input_axes), "out_axis": tuple(output_axes), "batch_axis": rest}
    if rank < 2:
        return {"in_axis": tuple(range(rank)), "out_axis": ()}
    return {"in_axis": -2, "out_axis": -1}


@_cache.constructor
@_initializer
def GlorotUniform(seed: Any = None, input_axes: Axes = None, output_axes: Axes = None) -> Initializer:
    """Uniform, of the variance 2/(fan_in + fan_out); the default of Keras's kernels."""
    return VarianceScaling(1.0, "fan_avg", "uniform", seed, input_axes, output_axes)


@_cache.constructor
@_initializer
def GlorotNormal(seed: Any = None, input_axes: Axes = None, output_axes: Axes = None) -> Initializer:
    """Truncated normal, of the variance 2/(fan_in + fan_out)."""
    return VarianceScaling(1.0, "fan_avg", "truncated_normal", seed, input_axes, output_axes)


@_cache.constructor
@_initializer
def HeUniform(seed: Any = None, input_axes: Axes = None, output_axes: Axes = None) -> Initializer:
    """Uniform, of the variance 2/fan_in."""
    return VarianceScaling(2.0, "fan_in", "uniform", seed, input_axes, output_axes)


@_cache.constructor
@_initializer
def HeNormal(seed: Any = None, input_axes: Axes = None, output_axes: Axes = None) -> Initializer:
    """Truncated normal, of the variance 2/fan_in."""
    return VarianceScaling(2.0, "fan_in", "truncated_normal", seed, input_axes, output_axes)


@_cache.constructor
@_initializer
def LecunUniform(seed: Any = None, input_axes: Axes = None, output_axes: Axes = None) -> Initializer:
    """Uniform, of the variance 1/fan_in."""
    return VarianceScaling(1.0, "fan_in", "uniform", seed, input_axes, output_axes)


@_cache.constructor
@_initializer
def LecunNormal(seed: Any = None, input_axes: Axes = None, output_axes: Axes = None) -> Initializer:
    """Truncated normal, of the variance 1/fan_in."""
    return VarianceScaling(1.0, "fan_in", "truncated_normal", seed, input_axes, output_axes)


@_cache.constructor
@_initializer
def RandomNormal(mean: Any = 0.0, stddev: Any = 0.05, seed: Any = None) -> Initializer:
    """Normal."""
    del seed
    return initializers.random("normal", mean=mean, stddev=stddev)


@_cache.constructor
@_initializer
def TruncatedNormal(mean: Any = 0.0, stddev: Any = 0.05, seed: Any = None) -> Initializer:
    """Normal, redrawn outside two deviations and not widened: the deviation is 0.88 of ``stddev``."""
    del seed
    return initializers.random("truncated_normal", mean=mean, stddev=stddev)


@_cache.constructor
@_initializer
def RandomUniform(minval: Any = -0.05, maxval: Any = 0.05, seed: Any = None) -> Initializer:
    """Uniform on [minval, maxval).

    Args:
      minval: the lower end.
      maxval: the upper end, not below ``minval``.
    """
    del seed
    return uniform_(minval, maxval)


@_cache.constructor
@_initializer
def Orthogonal(gain: Any = 1.0, seed: Any = None) -> Initializer:
    """Orthonormal columns of the matrix (all others, out), or rows where there are more columns, times ``gain``."""
    del seed
    return initializers.orthogonal(gain)


@_cache.constructor
@_initializer
def Identity(gain: Any = 1.0) -> Initializer:
    """The identity matrix, as far as it goes, times ``gain``; for two axes only."""
    identity = initializers.identity(gain)

    def init(key, shape, dtype=jnp.float32):
        if len(shape) != 2:
            raise ValueError(f"Identity is for two axes, (in, out); got shape {tuple(shape)}")
        return identity(key, shape, dtype)

    return init


@_cache.constructor
@_initializer
def Constant(value: Any = 0.0) -> Initializer:
    """All the same number.

    Args:
      value: a number or a traced scalar.
    """
    return initializers.constant(value)


@_cache.constructor
@_initializer
def Zeros() -> Initializer:
    """All zeros; the default of biases."""
    return initializers.zeros()


@_cache.constructor
@_initializer
def Ones() -> Initializer:
    """All ones; the default of scales."""
    return initializers.ones()


_NAMES: dict[str, Callable[..., Initializer]] = {
    "constant": Constant, "glorot_normal": GlorotNormal, "glorot_uniform": GlorotUniform, "he_normal": HeNormal,
    "he_uniform": HeUniform, "identity": Identity, "lecun_normal": LecunNormal, "lecun_uniform": LecunUniform,
    "normal": RandomNormal, "one": Ones, "ones": Ones, "orthogonal": Orthogonal, "random_normal": RandomNormal,
    "random_uniform": RandomUniform, "truncated_normal": TruncatedNormal, "uniform": RandomUniform,
    "variance_scaling": VarianceScaling, "zero": Zeros, "zeros": Zeros,
}  # fmt: skip
_NAMES |= {factory.__name__: factory for factory in _NAMES.values()}


def get(identifier: str | Initializer) -> Initializer:
    """The initializer of a name as Keras has it, with its defaults.

    Args:
      identifier: a name as "he_normal" or "HeNormal", or an initializer, which comes back.

    Returns:
      The initializer ``(key, shape, dtype) -> array``.

    Raises:
      ValueError: no such name, with the closest ones.
    """
    if callable(identifier):
        return identifier
    return _NAMES[_check.one_of("initializer", identifier, _NAMES)]()


__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "LecunNormal", "LecunUniform",
    "Ones", "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros", "get",
]  # fmt: skip

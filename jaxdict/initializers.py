"""Initializers: factories that give ``init(key, shape, dtype) -> array``, the protocol of ``jax.nn.initializers``.

Conventions of the room. Kernels are (…receptive field, in, out), as in ``x @ W``; the fans n_in and n_out are the
sizes of those axes times the receptive field, and a fan of 0 counts as 1. Equations give the standard deviation of the
weights, or half the length r of the interval of uniform ones. The key may be an int seed. Every factory gives the same
object for the same arguments.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _cache, _check, distributions
from jaxdict._entry import entry

Axes: TypeAlias = int | Sequence[int]
Distribution: TypeAlias = Literal["truncated_normal", "normal", "uniform"]


class Initializer(Protocol):
    """``init(key, shape, dtype) -> array``."""

    def __call__(self, key: Any, shape: Sequence[int], dtype: Any = ..., /) -> jax.Array: ...


@entry(
    "initializer",
    equation="c",
    aliases=("fill",),
    sources=("S0 3.1",),
    conventions={
        "torch": "constant_(tensor, val)",
        "keras": "Constant(value)",
        "S3": "biases start at zero or a small positive value, constant(0.1)",
    },
    see_also=("zeros", "ones"),
    symbols={"value": "c"},
)
@_cache.constructor
def constant(value: float | jax.Array) -> Initializer:
    """Every element the same number.

    Args:
      value: a number or a traced scalar.

    Returns:
      The initializer; it takes any dtype and ignores the key.

    Raises:
      ValueError: NaN, or not a scalar.
      TypeError: not a number.
    """
    value = _scalar("value", value)

    def init(key, shape, dtype=jnp.float32):
        del key
        return jnp.full(shape, value, dtype)

    return init


@entry(
    "initializer",
    equation="0",
    aliases=("zero",),
    sources=("S0 3.1", "S3"),
    conventions={"torch": "zeros_; Linear's bias is uniform by default", "keras": "Zeros, the default of biases"},
    see_also=("constant", "ones"),
)
@_cache.constructor
def zeros() -> Initializer:
    """All zeros; for biases. Weights that start equal stay equal.

    Returns:
      The initializer ``(key, shape, dtype) -> array``; it takes any dtype and ignores the key.

    Raises:
      TypeError: any argument; it takes none.
    """
    return constant(0.0)


@entry(
    "initializer",
    equation="1",
    aliases=("one",),
    sources=("S0 3.1",),
    conventions={"torch": "ones_", "keras": "Ones, the default of scales"},
    see_also=("constant", "zeros"),
)
@_cache.constructor
def ones() -> Initializer:
    """All ones; for scales.

    Returns:
      The initializer ``(key, shape, dtype) -> array``; it takes any dtype and ignores the key.

    Raises:
      TypeError: any argument; it takes none.
    """
    return constant(1.0)


@entry(
    "initializer",
    equation="std = sqrt(f/n_in)",
    aliases=("VarianceScaling", "fan scaling"),
    sources=("S0 3.3", "S2 11.1.1.3"),
    errata=(
        "S0 3.3 redraws outside two deviations without correcting, which leaves 0.7737 f/n: its truncated and uniform"
        " forms have different variances. corrected=False is its form.",
    ),
    conventions={
        "keras": "VarianceScaling: modes fan_in, fan_out, fan_avg; 'normal' means the truncated, corrected one",
        "jax": "variance_scaling: modes fan_in, fan_out, fan_avg; the same draws to rounding",
        "torch": "none; kaiming_* has a gain, the root of scale",
        "S2": "he average is scale 2, mode 'average', uniform",
    },
    see_also=("lecun", "he", "xavier"),
    symbols={"scale": "f"},
)
@_cache.constructor
def variance_scaling(
    scale: float | jax.Array,
    *,
    mode: Literal["in", "out", "average"] = "in",
    distribution: Distribution = "truncated_normal",
    corrected: bool = True,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
) -> Initializer:
    """Weights of mean 0 and variance scale/n, n the fan in, the fan out or their average.

    Args:
      scale: f ≥ 0, a number or a traced scalar.
      mode: which fan: "in", "out" or "average".
      distribution: "truncated_normal" (redrawn outside two deviations), "normal" or "uniform".
      corrected: widen the truncated normal, so that its variance is scale/n; else it is 0.7737 of that.
      in_axis: axis or axes of the inputs.
      out_axis: likewise of the outputs.
      batch_axis: axes of independent kernels; what is left is the receptive field.

    Returns:
      The initializer, for real floating dtypes.

    Raises:
      ValueError: an unknown mode or distribution, a negative scale; at the call, axes that the shape does not have.
      TypeError: a scale that is not a number; at the call, not a key or not a floating dtype.
    """
    scale = _scalar("scale", scale, low=0)
    _check.one_of("mode", mode, ("in", "out", "average"))
    _check.one_of("distribution", distribution, ("truncated_normal", "normal", "uniform"))
    _check.one_of("corrected", corrected, (True, False))

    def init(key, shape, dtype=jnp.float32):
        n_in, n_out = fans(shape, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)
        n = {"in": n_in, "out": n_out, "average": (n_in + n_out) / 2}[mode]
        variance = scale / max(n, 1)
        std = math.sqrt(variance) if isinstance(variance, float) else jnp.sqrt(variance)
        if distribution == "uniform":
            return distributions.uniform(key, shape, dtype, scale=math.sqrt(3) * std)
        if distribution == "normal":
            return distributions.normal(key, shape, dtype, stddev=std)
        return distributions.truncated_normal(key, shape, dtype, stddev=std, corrected=corrected)

    return init


def fans(shape: Sequence[int], *, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()) -> tuple[int, int]:
    """The fans of a kernel: how many inputs an output sums over, and how many outputs an input reaches.

    Args:
      shape: of the kernel.
      in_axis: axis or axes of the inputs.
      out_axis: likewise of the outputs.
      batch_axis: axes of independent kernels; what is left is the receptive field.

    Returns:
      ``(n_in, n_out)``; (3, 3, 8, 16) has (72, 144).

    Raises:
      ValueError: an axis that the shape does not have, or one that is named twice.
    """
    shape = tuple(shape)
    groups = [_axes(a) for a in (in_axis, out_axis, batch_axis)]
    named = [axis for group in groups for axis in group]
    for axis in named:
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"a kernel of shape {shape} has no axis {axis}; name its axes with in_axis and out_axis")
    positions = [axis % len(shape) for axis in named]
    if len(set(positions)) < len(positions):
        raise ValueError(f"in_axis {in_axis}, out_axis {out_axis} and batch_axis {batch_axis} name an axis twice")
    sizes = [math.prod(shape[axis] for axis in group) for group in groups]
    field = math.prod(size for axis, size in enumerate(shape) if axis not in positions)
    return sizes[0] * field, sizes[1] * field


_LECUN: dict[str, Any] = {
    "sources": ("S0 3.4", "S2 11.1.1.3", "LeCun et al. 1998, doi:10.1007/3-540-49430-8_2"),
    "errata": ("S2 11.1.1.3 has only the normal form; S0 3.4 has the uniform one too.",),
    "conventions": {
        "torch": "no function; kaiming_* with nonlinearity='linear', plain normal",
        "keras": "LecunNormal (truncated, corrected), LecunUniform",
        "jax": "lecun_normal (truncated, corrected), lecun_uniform; flax's default",
        "S0": "truncated without correction, variance 0.7737/n_in: corrected=False",
    },
}


@entry(
    "initializer",
    equation="std = sqrt(1/n_in)",
    aliases=("lecun initialization",),
    see_also=("lecun_normal", "lecun_uniform", "variance_scaling"),
    **_LECUN,
)
@_cache.constructor
def lecun(
    *,
    distribution: Distribution = "truncated_normal",
    corrected: bool = True,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
) -> Initializer:
    """LeCun: variance 1/n_in, which keeps the variance through linear units; selu's choice.

    Args:
      distribution: "truncated_normal", "normal" or "uniform".
      corrected: widen the truncated normal to the full variance; else it is 0.7737 of it.
      in_axis: axis or axes of the inputs; out_axis: of the outputs; batch_axis: of independent kernels.

    Returns:
      The initializer ``(key, shape, dtype) -> array``, for real floating dtypes.

    Raises:
      ValueError: an unknown option; at the call, axes that the shape does not have.
    """
    return variance_scaling(
        1.0,
        distribution=distribution,
        corrected=corrected,
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
    )


@entry(
    "initializer",
    equation="std = sqrt(1/n_in)",
    see_also=("lecun", "lecun_uniform", "variance_scaling"),
    **_LECUN,
)
@_cache.constructor
def lecun_normal(
    *, corrected: bool = True, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()
) -> Initializer:
    """LeCun: truncated normal of variance 1/n_in, redrawn outside two deviations.

    Args:
      corrected: widen the truncated normal to the full variance; else it is 0.7737 of it.
      in_axis: axis or axes of the inputs; out_axis: of the outputs; batch_axis: of independent kernels.

    Returns:
      The initializer ``(key, shape, dtype) -> array``, for real floating dtypes.

    Raises:
      ValueError: an unknown option; at the call, axes that the shape does not have.
    """
    return lecun(corrected=corrected, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)


@entry(
    "initializer",
    equation="r = sqrt(3/n_in)",
    see_also=("lecun", "lecun_normal", "variance_scaling"),
    **_LECUN,
)
@_cache.constructor
def lecun_uniform(*, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()) -> Initializer:
    """LeCun: uniform on [-r, r), variance 1/n_in.

    Args:
      in_axis: axis or axes of the inputs; out_axis: of the outputs; batch_axis: of independent kernels.

    Returns:
      The initializer ``(key, shape, dtype) -> array``, for real floating dtypes.

    Raises:
      ValueError: an unknown option; at the call, axes that the shape does not have.
    """
    return lecun(distribution="uniform", in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)


_HE: dict[str, Any] = {
    "sources": ("S0 3.5", "S2 11.1.1.2", "S3", "He et al. 2015, arXiv:1502.01852"),
    "errata": ("S3 writes the normal form N[0, 2/√n]; the variance is 2/n, n the number of inputs.",),
    "conventions": {
        "torch": "kaiming_normal_ is a plain normal; Linear's own default is U[±1/√n_in], a sixth of this variance",
        "keras": "HeNormal (truncated, corrected), HeUniform",
        "jax": "he_normal (truncated, corrected), he_uniform",
        "S0": "truncated without correction, variance 0.7737 · 2/n_in: corrected=False",
    },
}


@entry(
    "initializer",
    equation="std = sqrt(2/n_in)",
    aliases=("kaiming", "he initialization"),
    see_also=("he_normal", "he_uniform", "variance_scaling"),
    **_HE,
)
@_cache.constructor
def he(
    *,
    distribution: Distribution = "truncated_normal",
    corrected: bool = True,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
) -> Initializer:
    """He, also Kaiming: variance 2/n_in, which keeps the variance through relu.

    Args:
      distribution: "truncated_normal", "normal" or "uniform".
      corrected: widen the truncated normal to the full variance; else it is 0.7737 of it.
      in_axis: axis or axes of the inputs; out_axis: of the outputs; batch_axis: of independent kernels.

    Returns:
      The initializer ``(key, shape, dtype) -> array``, for real floating dtypes.

    Raises:
      ValueError: an unknown option; at the call, axes that the shape does not have.
    """
    return variance_scaling(
        2.0,
        distribution=distribution,
        corrected=corrected,
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
    )


@entry(
    "initializer",
    equation="std = sqrt(2/n_in)",
    aliases=("kaiming_normal",),
    see_also=("he", "he_uniform", "variance_scaling"),
    **_HE,
)
@_cache.constructor
def he_normal(*, corrected: bool = True, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()) -> Initializer:
    """He, also Kaiming: truncated normal of variance 2/n_in, redrawn outside two deviations.

    Args:
      corrected: widen the truncated normal to the full variance; else it is 0.7737 of it.
      in_axis: axis or axes of the inputs; out_axis: of the outputs; batch_axis: of independent kernels.

    Returns:
      The initializer ``(key, shape, dtype) -> array``, for real floating dtypes.

    Raises:
      ValueError: an unknown option; at the call, axes that the shape does not have.
    """
    return he(corrected=corrected, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)


@entry(
    "initializer",
    equation="r = sqrt(6/n_in)",
    aliases=("kaiming_uniform",),
    see_also=("he", "he_normal", "variance_scaling"),
    **_HE,
)
@_cache.constructor
def he_uniform(*, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()) -> Initializer:
    """He, also Kaiming: uniform on [-r, r), variance 2/n_in.

    Args:
      in_axis: axis or axes of the inputs; out_axis: of the outputs; batch_axis: of independent kernels.

    Returns:
      The initializer ``(key, shape, dtype) -> array``, for real floating dtypes.

    Raises:
      ValueError: an unknown option; at the call, axes that the shape does not have.
    """
    return he(distribution="uniform", in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)


_XAVIER: dict[str, Any] = {
    "sources": ("S0 3.6", "S2 11.1.1.1", "S3", "Glorot and Bengio 2010, PMLR 9:249"),
    "errata": (
        "S2 11.1.1.1 says it is for the logistic, S3 for tanh; it is derived for slope 1 at 0, the logistic's is 1/4.",
        "S3 calls U[±1/√n] Xavier, n the number of inputs; that is the heuristic which the paper argues against.",
    ),
    "conventions": {
        "torch": "xavier_normal_ is a plain normal; both have a gain, 5/3 for tanh",
        "keras": "GlorotNormal (truncated, corrected), GlorotUniform, the default of Dense",
        "jax": "glorot_normal (truncated, corrected), glorot_uniform",
        "S0": "truncated without correction, variance 0.7737 of it: corrected=False",
    },
}


@entry(
    "initializer",
    equation="std = sqrt(2/(n_in + n_out))",
    aliases=("glorot", "xavier initialization"),
    see_also=("xavier_normal", "xavier_uniform", "variance_scaling"),
    **_XAVIER,
)
@_cache.constructor
def xavier(
    *,
    distribution: Distribution = "truncated_normal",
    corrected: bool = True,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
) -> Initializer:
    """Xavier, also Glorot: variance 2/(n_in + n_out), which keeps it both ways through units of slope 1 at 0, as tanh.

    Args:
      distribution: "truncated_normal", "normal" or "uniform".
      corrected: widen the truncated normal to the full variance; else it is 0.7737 of it.
      in_axis: axis or axes of the inputs; out_axis: of the outputs; batch_axis: of independent kernels.

    Returns:
      The initializer ``(key, shape, dtype) -> array``, for real floating dtypes.

    Raises:
      ValueError: an unknown option; at the call, axes that the shape does not have.
    """
    return variance_scaling(
        1.0,
        mode="average",
        distribution=distribution,
        corrected=corrected,
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
    )


@entry(
    "initializer",
    equation="std = sqrt(2/(n_in + n_out))",
    aliases=("glorot_normal",),
    see_also=("xavier", "xavier_uniform", "variance_scaling"),
    **_XAVIER,
)
@_cache.constructor
def xavier_normal(
    *, corrected: bool = True, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()
) -> Initializer:
    """Xavier, also Glorot: truncated normal of variance 2/(n_in + n_out), redrawn outside two deviations.

    Args:
      corrected: widen the truncated normal to the full variance; else it is 0.7737 of it.
      in_axis: axis or axes of the inputs; out_axis: of the outputs; batch_axis: of independent kernels.

    Returns:
      The initializer ``(key, shape, dtype) -> array``, for real floating dtypes.

    Raises:
      ValueError: an unknown option; at the call, axes that the shape does not have.
    """
    return xavier(corrected=corrected, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)


@entry(
    "initializer",
    equation="r = sqrt(6/(n_in + n_out))",
    aliases=("glorot_uniform",),
    see_also=("xavier", "xavier_normal", "variance_scaling"),
    **_XAVIER,
)
@_cache.constructor
def xavier_uniform(*, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()) -> Initializer:
    """Xavier, also Glorot: uniform on [-r, r), variance 2/(n_in + n_out).

    Args:
      in_axis: axis or axes of the inputs; out_axis: of the outputs; batch_axis: of independent kernels.

    Returns:
      The initializer ``(key, shape, dtype) -> array``, for real floating dtypes.

    Raises:
      ValueError: an unknown option; at the call, axes that the shape does not have.
    """
    return xavier(distribution="uniform", in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)


def _axes(axes: Axes) -> tuple[int, ...]:
    return tuple(axes) if isinstance(axes, (tuple, list)) else (_check.integer("axis", axes),)


def _scalar(name: str, value: Any, **bounds: Any) -> Any:
    """``value``, checked when it is concrete, then a Python float, so that it is rounded once."""
    if callable(value):
        raise TypeError(f"{name} must be a number; got {value!r}")
    _check.number(name, value, **bounds)
    if np.ndim(value):
        raise ValueError(f"{name} must be a scalar; got shape {np.shape(value)}")
    return value if _check.is_traced(value) else float(value)


__all__ = [
    "Initializer", "constant", "fans", "he", "he_normal", "he_uniform", "lecun", "lecun_normal", "lecun_uniform",
    "ones", "variance_scaling", "xavier", "xavier_normal", "xavier_uniform", "zeros",
]  # fmt: skip

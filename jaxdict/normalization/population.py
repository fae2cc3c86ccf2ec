"""What is known once training is over: exact statistics of a data set, and a batch norm merged into its layer."""

import functools
import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check
from jaxdict.normalization import _arguments, _moments


def population_statistics(
    data: jax.typing.ArrayLike | Iterable[jax.typing.ArrayLike], *, axis: int = -1, unbiased: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Exact mean and variance of every feature over a data set, the same to rounding however it is cut into batches.

    For a batch norm within a model, ``data`` are that layer's inputs: ``(hidden(batch) for batch in batches)``.

    Args:
      data: an array, or an iterable of arrays, of two or more axes and any real dtype; batches of any size, also 0.
      axis: of the features.
      unbiased: whether to divide by m - 1, for the variance of what the data was drawn from, instead of by m.

    Returns:
      ``(mean, variance)``, each of shape ``(features,)``, float32 or wider; for ``batch_norm(mean=…, variance=…)``.

    Raises:
      ValueError: no examples, or one when unbiased; batches that differ in features; an axis that they do not have.
      TypeError: complex data, or neither an array nor an iterable.
    """
    _check.one_of("unbiased", unbiased, (True, False))
    if not hasattr(data, "shape") and not isinstance(data, Iterable):
        raise TypeError(f"data must be an array or an iterable of arrays; got {data!r}")
    batches: Any = [data] if hasattr(data, "shape") else data
    count, features = 0, None
    about: Any = None
    mean: Any = 0.0
    variance: Any = 0.0
    dtype: Any = jnp.float32
    for batch in batches:
        x, _, place, others = _arguments.batch(batch, axis)
        if features not in (None, x.shape[place]):
            raise ValueError(f"data must have the same features in every batch; got {features} and {x.shape[place]}")
        features, size = x.shape[place], math.prod(x.shape[i] for i in others)
        if size == 0:
            continue
        dtype = jnp.promote_types(dtype, x.dtype)
        start, shift, spread = map(_host, _start_shift_variance(x, others))
        # Means are kept about one element of the first batch, where they are small numbers.
        about = start if about is None else about
        step, share = (start - about) + shift - mean, size / (count + size)
        # Variances add, and the distance of the means does: Chan, Golub and LeVeque 1983.
        variance = variance + share * (spread - variance + (1 - share) * step**2)
        mean = mean + share * step
        count += size
    if count < 1 + unbiased:
        raise ValueError(f"data must have {'two examples' if unbiased else 'an example'} at least; got {count}")
    if unbiased:
        variance = variance * (count / (count - 1))
    return jnp.asarray(about + mean, dtype), jnp.asarray(variance, dtype)


@functools.partial(jax.jit, static_argnums=1)
def _start_shift_variance(x: jax.Array, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The mean is start + shift."""
    found = _moments.moments(x, axes, careful=True)
    unit = found.unit.reshape(-1)
    return (
        found.about.reshape(-1) * unit, found.shift.reshape(-1) * unit, found.variance.reshape(-1) * unit * unit,
    )  # fmt: skip


def _host(value: jax.Array) -> Any:
    """Joined in float64 where the numbers are at hand."""
    return value if _check.is_traced(value) else np.asarray(value, np.float64)


def fold_batch_norm(
    kernel: jax.typing.ArrayLike,
    bias: jax.typing.ArrayLike | None,
    *,
    mean: jax.typing.ArrayLike,
    variance: jax.typing.ArrayLike,
    scale: jax.typing.ArrayLike | None = None,
    offset: jax.typing.ArrayLike | None = None,
    out_axis: int = -1,
    eps: float | jax.Array = 1e-5,
) -> tuple[jax.Array, jax.Array]:
    """Merge a trained batch norm into the dense or convolution layer right before it: the same outputs in one step.

    Between the two there may be no activation. ``normed(x @ kernel + bias)`` is ``x @ new_kernel + new_bias``.

    Args:
      kernel: of any layout, any real dtype.
      bias: ``(out,)``; None is 0.
      mean: the kept statistics that the batch norm uses at test time, ``(out,)``.
      variance: likewise.
      scale: γ of the batch norm, ``(out,)``; None is 1.
      offset: β, likewise; None is 0.
      out_axis: of ``kernel``, the outputs' axis: -1 for (in, out) and (height, width, in, out), 0 for (out, in, …).
      eps: ε ≥ 0 of the batch norm.

    Returns:
      ``(kernel, bias)``, the kernel in its shape, both in its dtype.

    Raises:
      ValueError: a shape that is not ``(out,)``, an axis that the kernel does not have, a negative eps.
      TypeError: complex arguments, or an eps that is not a number.
    """
    kernel = _check.floating(kernel, name="kernel")
    place = _check.integer("out_axis", out_axis)
    if not -kernel.ndim <= place < kernel.ndim:
        raise ValueError(f"out_axis must be an axis of the kernel, of shape {kernel.shape}; got {out_axis}")
    wide = kernel.astype(_check.compute_dtype(kernel.dtype))
    out = jnp.zeros(kernel.shape[place], wide.dtype)

    def each(name: str, value: Any) -> jax.Array:
        value = _check.floating(value, name=name).astype(wide.dtype)
        if value.shape != out.shape:
            raise ValueError(f"{name} must have shape {out.shape}, one for each output; got {value.shape}")
        return value

    factor = 1 / jnp.sqrt(each("variance", variance) + _arguments.scalar("eps", eps, wide.dtype, low=0))
    if scale is not None:
        factor = factor * each("scale", scale)
    shift = (out if bias is None else each("bias", bias)) - each("mean", mean)
    shift = shift * factor + (out if offset is None else each("offset", offset))
    wide = wide * factor.reshape([-1 if i == place % kernel.ndim else 1 for i in range(kernel.ndim)])
    return wide.astype(kernel.dtype), shift.astype(kernel.dtype)

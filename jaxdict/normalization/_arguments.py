"""Arguments of normalizations, checked and brought into the type and shape that they are computed in."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict.normalization import _moments

Axes = tuple[int, ...]


def floats(x: Any, axis: int | Sequence[int]) -> tuple[jax.Array, Any, Axes]:
    """``x`` in the type it is computed in, the type it comes back in, and the axes counted from the front."""
    x = _check.floating(x)
    axes = tuple(_check.integer("axis", a) for a in (axis if isinstance(axis, Sequence) else (axis,)))
    for a in axes:
        if not -x.ndim <= a < x.ndim:
            raise ValueError(f"axis must be an axis of x, of shape {x.shape}; got {a}")
    places = tuple(sorted({a % x.ndim for a in axes}))
    if len(places) != len(axes) or not axes:
        raise ValueError(f"axis must name axes of x, each once; got {axis}")
    return x.astype(_check.compute_dtype(x.dtype)), x.dtype, places


def batch(x: Any, axis: int) -> tuple[jax.Array, Any, int, Axes]:
    """Like ``floats``, for statistics over all axes but one: that one, and the others."""
    axis, x = _check.integer("axis", axis), _check.floating(x)
    if x.ndim < 2:
        raise ValueError(f"x must have a batch axis and a feature axis; got shape {x.shape}")
    x, dtype, (place,) = floats(x, axis)
    return x, dtype, place, tuple(i for i in range(x.ndim) if i != place)


def some_examples(x: jax.Array, others: Axes) -> None:
    """Raise where there is nothing to take statistics of."""
    if 0 in (x.shape[i] for i in others):
        raise ValueError(f"x of shape {x.shape} has no examples")


def scalar(name: str, value: Any, dtype: Any, **bounds: Any) -> jax.Array:
    """``value`` as an array of ``dtype`` without axes, checked when it is concrete."""
    return jnp.asarray(_check.scalar(name, value, **bounds), dtype)


def parameter(name: str, value: Any, x: jax.Array, axes: Axes, default: float = 0.0) -> jax.Array:
    """``value``, one number for each place along ``axes`` of ``x``, shaped to meet ``x``; ``default`` for None."""
    if value is None:
        return jnp.full([1] * x.ndim, default, x.dtype)
    value = _check.floating(value, name=name).astype(x.dtype)
    wanted = tuple(x.shape[i] for i in axes)
    if value.shape != wanted:
        raise ValueError(f"{name} must have shape {wanted}, the features of x; got {value.shape}")
    return value.reshape([n if i in axes else 1 for i, n in enumerate(x.shape)])


def normalized(
    x: jax.Array, eps: Any, scale: jax.Array, offset: jax.Array, axes: Axes, *, center: bool = True
) -> jax.Array:
    """``_moments.normalize``, of nothing too."""
    eps = scalar("eps", eps, x.dtype, low=0)
    return _moments.normalize(x, eps, scale, offset, axes, center) if x.size else x
